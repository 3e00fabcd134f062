"""Accounts: who comes in, by password and second factor, login, token or one-time link; and what they may do.

Secrets are 256 random bits and stand in the database as SHA-256 digests only: whoever reads it cannot come in with what
is there. Passwords are Argon2id hashes (RFC 9106, through pwdlib), the second factor is TOTP (RFC 6238).
"""

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, case, delete, exists, func, select, update
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app.db import lock_people
from app.errors import BadInputError, ConflictError, NotFoundError, NotKnownError, RefusedError
from app.formats.reading import shown
from app.models import LoginRow, MemberRow, ProjectRow, RecoveryRow, ReviewerRow, Role, TicketRow, TokenRow

if TYPE_CHECKING:
    from pwdlib import PasswordHash

LIFETIME = timedelta(days=7)
IDLE = timedelta(hours=12)
TOUCH = timedelta(minutes=10)
TICKET_LIFETIME = timedelta(days=3)
SETUP_LIFETIME = timedelta(hours=24)
NOBODY = "local"
TOKEN_PREFIX = "pst_"  # noqa: S105  (what secret scanners know a token by)

SCOPES: dict[str, str] = {
    "read": "look at everything that its owner may look at",
    "ingest": "send logs",
    "review": "decide, undo, edit",
    "curate": "make releases, exports, templates, groups and views",
    "admin": "members and settings of the project",
}
# The least role that a token of this scope is of any use to; the table of rights says the same, route by route.
_USED_FROM: dict[str, Role] = {
    "read": Role.VIEWER,
    "ingest": Role.REVIEWER,
    "review": Role.REVIEWER,
    "curate": Role.CURATOR,
    "admin": Role.ADMIN,
}
_ROLES = tuple(Role)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@+-]{0,62}[A-Za-z0-9])?")
_LEAST, _MOST = 12, 200
_NAME_COUNTS = 3
_FEWEST_GUESSES, _MOST_ESTIMATED = 10**8, 72
_STEP_SECONDS = 30
_N_RECOVERY, _RECOVERY_DIGITS = 10, 20
_TOTP = re.compile(r"[A-Z2-7]{32}")
_LONGEST_LABEL = 100
_LONGEST_AGENT = 200
_USED_LINK = "This link was used already, or has run out. Ask an administrator for another."
_WRONG = "That name and password do not belong together, or the code of the second factor is wrong or used already."


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks, and what they may do in the project that they are in.

    Attributes:
        reviewer_id: whose decisions these are.
        name: as others see it.
        project_id: the project that the login or token is for.
        role: in that project.
        is_admin: of the server, and so of every project; not by a token, which is for one project.
        scopes: of a token; None means everything that the role may.
        login_id: the login that this came with, or None.
        token_id: the token that this came with, or None.
        project: what the project is called, where somebody logged in may go on in another; else empty.
    """

    reviewer_id: int
    name: str
    project_id: int
    role: Role
    is_admin: bool = False
    scopes: frozenset[str] | None = None
    login_id: int | None = None
    token_id: int | None = None
    project: str = ""

    def may(self, role: Role, scope: str) -> bool:
        """Whether the role reaches so far: `Person(…, role=CURATOR).may(Role.REVIEWER, "review")` → True."""
        reaches = _ROLES.index(self.role) >= _ROLES.index(role)
        return reaches and (self.scopes is None or scope in self.scopes)


def has_accounts(session: Session) -> bool:
    """Whether anybody can come in by a password or a provider: from then on nobody comes in without."""
    return bool(session.execute(select(exists().where(_comes_in()))).scalar())


def comes_in(person: ReviewerRow) -> bool:
    """Whether a person has a password or is known by a provider, and so needs no link to come in the first time."""
    return person.password is not None or person.oidc_subject is not None


def is_nobody(person: ReviewerRow) -> bool:
    """Whether this row stands for whoever works on the machine itself without an account."""
    return person.name == NOBODY and not comes_in(person) and not person.is_admin


def _comes_in() -> ColumnElement[bool]:
    return col(ReviewerRow.password).is_not(None) | col(ReviewerRow.oidc_subject).is_not(None)


# ------------------------------------------------------------------------------------------------ people


def create(
    session: Session, name: str, *, now: datetime, hashed: str | None = None, is_admin: bool = False
) -> ReviewerRow:
    """A person who can come in once there is a password (`hashed`, from `hash_password`), by `make_ticket` if not now.

    Raises:
        BadInputError: the name cannot be one.
        ConflictError: the name is taken.

    """
    if not _NAME.fullmatch(name):
        raise BadInputError(
            "A name has 1 to 64 letters, digits and . _ @ + - between them; it begins and ends with a letter or digit.",
            where="field name",
        )
    lock_people(session)
    taken = select(col(ReviewerRow.id)).where(func.lower(col(ReviewerRow.name)) == name.lower())
    if session.execute(taken).first() is not None:
        raise ConflictError(f"There is somebody called {name} already.", where="field name")
    row = ReviewerRow(name=name, created_at=now, is_admin=is_admin, password=hashed)
    session.add(row)
    session.flush()
    return row


def get_person(session: Session, name: str) -> ReviewerRow:
    """The person of this name, whatever the case of the letters.

    Raises:
        NotFoundError: there is none.

    """
    wanted = select(ReviewerRow).where(func.lower(col(ReviewerRow.name)) == shown(name).lower())
    found: ReviewerRow | None = session.execute(wanted).scalar()
    if found is None:
        raise NotFoundError(f"There is nobody called {name[:64]!r}.")
    return found


def get_reviewer(session: Session, reviewer_id: int) -> ReviewerRow:
    """The person of this number.

    Raises:
        NotFoundError: there is none.

    """
    found = session.get(ReviewerRow, reviewer_id)
    if found is None:
        raise NotFoundError("There is no such person.")
    return found


def list_people(session: Session) -> list[ReviewerRow]:
    """Everybody, by name."""
    return list(session.execute(select(ReviewerRow).order_by(func.lower(col(ReviewerRow.name)))).scalars())


def disable(session: Session, person: ReviewerRow, *, now: datetime) -> None:
    """Nobody comes in as this person any more; what they decided stays.

    Raises:
        ConflictError: nobody would be left to administer the server.

    """
    _keep_one(session, person)
    person.disabled_at = now
    session.add(person)
    end_logins(session, person.id or 0, now=now)
    _end_tickets(session, person.id, now=now)
    _end_tokens(session, person.id or 0, now)


def enable(session: Session, person: ReviewerRow) -> None:
    """Let a person come in again, with the password they had."""
    person.disabled_at = None
    session.add(person)


def set_admin(session: Session, person: ReviewerRow, *, is_admin: bool) -> None:
    """Make somebody an administrator of the server, or no longer.

    Raises:
        ConflictError: nobody would be left.

    """
    if is_admin:
        lock_people(session)
    else:
        _keep_one(session, person)
    person.is_admin = is_admin
    session.add(person)


def _keep_one(session: Session, person: ReviewerRow) -> None:
    """Refuse to lose the last administrator; of two who lock each other out at one instant, one does."""
    session.flush()
    lock_people(session)
    session.refresh(person, ["is_admin"])
    if person.is_admin and not _others(session, person):
        raise ConflictError(f"{person.name} is the only administrator. Make somebody else one first.")


def _others(session: Session, person: ReviewerRow) -> bool:
    """Whether another administrator can come in."""
    wanted = exists().where(
        col(ReviewerRow.is_admin),
        col(ReviewerRow.id) != person.id,
        col(ReviewerRow.disabled_at).is_(None),
        _comes_in(),
    )
    return bool(session.execute(select(wanted)).scalar())


# ------------------------------------------------------------------------------------------------ a provider's word


def find_by_subject(session: Session, issuer: str, subject: str) -> ReviewerRow | None:
    """Whom a provider knows by this name of its own, or None."""
    wanted = select(ReviewerRow).where(col(ReviewerRow.oidc_issuer) == issuer, col(ReviewerRow.oidc_subject) == subject)
    found: ReviewerRow | None = session.execute(wanted).scalar()
    return found


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody whom a provider names for the first time; `email` is one that it has verified, or empty."""

    issuer: str
    subject: str
    email: str
    name: str


def welcome(session: Session, stranger: Stranger, *, role: str, project: str, now: datetime) -> ReviewerRow:
    """Whose account this is from now on: the one that is named like the e-mail address, or a new one.

    Who comes twice at one instant, in two tabs, is welcome once.

    Args:
        session: a write session.
        stranger: as the provider says.
        role: in `project`, for who has no account; empty makes none.
        project: the project's name.
        now: aware UTC time.

    Raises:
        RefusedError: nobody here has that address, and no account is to be made.
        BadInputError: an account would be made, but has no name that could be one.
        ConflictError: the name is somebody else's.

    """
    lock_people(session)
    known = find_by_subject(session, stranger.issuer, stranger.subject)
    if known is not None:
        return known
    unbound = (func.lower(col(ReviewerRow.name)) == stranger.email.lower(), col(ReviewerRow.oidc_subject).is_(None))
    person = session.execute(select(ReviewerRow).where(*unbound)).scalar() if stranger.email else None
    if person is None:
        if not role:
            called = (stranger.email or stranger.name)[:64]
            raise RefusedError(
                f"Nobody here is called {called!r}. Ask an administrator to add somebody whose name is the e-mail "
                "address that the provider has verified."
            )
        person = create(session, stranger.email or stranger.name, now=now)
        found = session.execute(select(col(ProjectRow.id)).where(col(ProjectRow.name) == project)).scalar()
        set_role(session, found or 0, person.id or 0, role)
    person.oidc_issuer, person.oidc_subject = stranger.issuer, stranger.subject
    session.add(person)
    return person


# ------------------------------------------------------------------------------------------------ passwords


# A hash takes 64 MiB: many logins at once must not take the machine's memory.
_two_at_once = BoundedSemaphore(2)


@cache
def _hasher() -> "PasswordHash":
    from pwdlib import PasswordHash  # noqa: PLC0415  (Argon2 is slow to import and rarely needed)

    return PasswordHash.recommended()


@cache
def _nobody() -> str:
    """A hash that no password fits: who is not known must take as long to refuse as who is."""
    return _hasher().hash(secrets.token_urlsafe(32))


def hash_password(name: str, password: str) -> str:
    """The Argon2id hash of a password, for `set_password`. It takes a while on purpose: hold no lock meanwhile.

    Source: OWASP ASVS 5.0, 6.2.1 to 6.2.11: length and none that is tried first, no rules of composition.

    Raises:
        BadInputError: it is too short, too long, or one that is tried first; which of them is said.

    """
    if not _LEAST <= len(password) <= _MOST:
        raise BadInputError(f"A password has {_LEAST} to {_MOST} characters.", where="field password")
    if why := _why_weak(name, password):
        message = f"{why} A few words that have nothing to do with each other make a good one."
        raise BadInputError(message, where="field password")
    with _two_at_once:
        hashed: str = _hasher().hash(password)
    return hashed


def _why_weak(name: str, password: str) -> str:
    plain = password.lower()
    if len(name) >= _NAME_COUNTS and name.lower() in plain:
        return f"A password may not hold the name of whose it is, {name}: that is tried first."
    if "patchsift" in plain:
        return "A password may not hold the word Patchsift: that is tried first."
    return "This password is one of the 100 million that are guessed first." if _is_guessed(password) else ""


def _is_guessed(password: str) -> bool:
    """Whether it is among the first 100 million that are tried: common ones, keys in a row, repetitions."""
    from zxcvbn import zxcvbn  # noqa: PLC0415  (its lists of words are long and rarely needed)

    return bool(zxcvbn(password[:_MOST_ESTIMATED])["guesses"] < _FEWEST_GUESSES)


def set_password(session: Session, person: ReviewerRow, hashed: str, *, now: datetime) -> None:
    """Give a person a password; every login of theirs ends, and so does every link to choose another."""
    lock_people(session)
    person.password = hashed
    session.add(person)
    end_logins(session, person.id or 0, now=now)
    _end_tickets(session, person.id, now=now)


@dataclass(frozen=True, slots=True)
class Checked:
    """Somebody whose password and second factor fit, or whom a provider names.

    Attributes:
        reviewer_id: who.
        step: the code's time step, for `use_code`; None without a second factor.
        recovery: the digest of the recovery code that was shown instead, for `use_code`; else None.
        fitted: the hash that the password fitted, empty where a provider named them.
        better: the same password, hashed as it is done today, where that differs.
    """

    reviewer_id: int
    step: int | None = None
    recovery: bytes | None = field(default=None, repr=False)
    fitted: str = field(default="", repr=False)
    better: str | None = field(default=None, repr=False)


def check_password(session: Session, name: str, password: str, code: str = "", *, now: datetime) -> Checked:
    """Whom name, password and second factor belong to. Reads only: hashing takes too long to hold a lock meanwhile.

    Raises:
        NotKnownError: they do not belong together; which of them is wrong is not said.

    """
    person = session.execute(select(ReviewerRow).where(func.lower(col(ReviewerRow.name)) == name.lower())).scalar()
    stored = person.password if person is not None and person.password else _nobody()
    with _two_at_once:
        fits, better = _hasher().verify_and_update(password[: _MOST + 1], stored)
    if person is None or not fits or person.password is None or person.disabled_at is not None:
        raise NotKnownError(_WRONG)
    step = recovery = None
    if person.totp is not None:
        step = _find_step(person.totp, person.totp_used, code, now)
        recovery = None if step is not None else _find_recovery(session, person, code)
        if step is None and recovery is None:
            raise NotKnownError(_WRONG)
    return Checked(person.id or 0, step, recovery, stored, better)


def _find_step(secret: str, used: int, code: str, now: datetime) -> int | None:
    """The time step, this or a neighbour, that the code is of, when it was not used before (RFC 6238, 5.2)."""
    import pyotp  # noqa: PLC0415

    made = pyotp.TOTP(secret)
    given = code.replace(" ", "")
    at = int(now.timestamp()) // _STEP_SECONDS
    for step in (at - 1, at, at + 1):
        if step > used and given.isascii() and secrets.compare_digest(made.at(step * _STEP_SECONDS), given):
            return step
    return None


def _find_recovery(session: Session, person: ReviewerRow, code: str) -> bytes | None:
    """The digest of the person's recovery code, where this is one that was not used."""
    digest = _of_recovery(person, code)
    wanted = exists().where(col(RecoveryRow.digest) == digest, col(RecoveryRow.reviewer_id) == person.id)
    return digest if session.execute(select(wanted)).scalar() else None


def _of_recovery(person: ReviewerRow, code: str) -> bytes:
    # 66 random bits need no slow hash.
    return _digest(f"recovery {person.id} " + "".join(one for one in code if one not in " -"))


def make_recovery_codes(session: Session, person: ReviewerRow) -> list[str]:
    """Ten codes, each for one time that the second factor is not at hand; those that there were before end.

    `["3141-5926-5358-9793-2384", …]`: digits, which a telephone's keys have. They are shown once and stored nowhere.
    """
    lock_people(session)
    _end_recovery(session, person)
    codes = ["".join(secrets.choice("0123456789") for _ in range(_RECOVERY_DIGITS)) for _ in range(_N_RECOVERY)]
    session.add_all(RecoveryRow(digest=_of_recovery(person, code), reviewer_id=person.id or 0) for code in codes)
    return ["-".join(code[at : at + 4] for at in range(0, _RECOVERY_DIGITS, 4)) for code in codes]


def count_recovery_codes(session: Session, person: ReviewerRow) -> int:
    """How many of the codes are left."""
    wanted = select(func.count()).select_from(RecoveryRow).where(col(RecoveryRow.reviewer_id) == person.id)
    return session.execute(wanted).scalar() or 0


def _end_recovery(session: Session, person: ReviewerRow) -> None:
    session.execute(delete(RecoveryRow).where(col(RecoveryRow.reviewer_id) == person.id))


def new_totp(person: ReviewerRow, begun: str = "") -> tuple[str, str]:
    """A secret for a second factor, and the address that an authenticator reads; nothing is stored yet.

    `begun` is one that was shown before and not confirmed: an authenticator may have it, so it stays.
    """
    import pyotp  # noqa: PLC0415

    made = begun if _TOTP.fullmatch(begun) else pyotp.random_base32()
    return made, pyotp.TOTP(made).provisioning_uri(name=person.name, issuer_name="Patchsift")


def confirm_totp(session: Session, person: ReviewerRow, secret: str, code: str, *, now: datetime) -> list[str]:
    """Ask for a second factor from now on, once a code shows that the authenticator has the secret.

    Gives the codes for when the authenticator is lost, which are shown once.

    Raises:
        BadInputError: the code is not of that secret.
        ConflictError: there is one already; to change it takes the password and a code of it.

    """
    lock_people(session)
    session.refresh(person, ["totp"])
    if person.totp is not None:
        raise ConflictError("There is a second factor already. Take it away first, then begin again.")
    if not _TOTP.fullmatch(secret):
        raise BadInputError("That is no secret of this page. Begin again.", where="field secret")
    step = _find_step(secret, 0, code, now)
    if step is None:
        raise BadInputError(
            "This code does not fit. Type the one that is shown now; if it is refused again, the "
            "clock of the telephone may be wrong.",
            where="field code",
        )
    person.totp, person.totp_used = secret, step
    session.add(person)
    return make_recovery_codes(session, person)


def remove_totp(session: Session, person: ReviewerRow) -> None:
    """Ask for the password alone from now on."""
    person.totp, person.totp_used = None, 0
    session.add(person)
    _end_recovery(session, person)


# ------------------------------------------------------------------------------------------------ logins


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def log_in(session: Session, checked: Checked, *, address: str, agent: str, now: datetime) -> str:
    """The secret of a new login, for a cookie; it opens the first project that the person is a member of.

    Raises:
        NotKnownError: the password was changed, or the code of the second factor used by somebody else, meanwhile.
        RefusedError: the person is a member of no project.

    """
    # Locked: who gives the person another password meanwhile ends the logins that there are, and this one among them.
    person = session.get_one(ReviewerRow, checked.reviewer_id, with_for_update={"key_share": True})
    if person.disabled_at is not None:
        raise RefusedError(f"{person.name} is locked out. Ask an administrator.")
    if checked.fitted and person.password != checked.fitted:
        raise NotKnownError(_WRONG)
    use_code(session, checked)
    if checked.better is not None:
        person.password = checked.better
        session.add(person)
    projects = list_projects(session, person)
    if not projects:
        raise RefusedError(f"{person.name} is a member of no project yet. Ask an administrator.")
    secret = secrets.token_urlsafe(32)
    session.add(
        LoginRow(
            digest=_digest(secret),
            reviewer_id=person.id or 0,
            project_id=projects[0][0].id or 0,
            made_at=now,
            seen_at=now,
            ends_at=now + LIFETIME,
            address=address[:_LONGEST_LABEL],
            agent=agent[:_LONGEST_AGENT],
        )
    )
    return secret


def use_code(session: Session, checked: Checked) -> None:
    """Use the code of the second factor, or the recovery code, up, whatever it was shown for: it is taken once.

    Raises:
        NotKnownError: it was used by somebody else meanwhile.

    """
    if checked.recovery is not None:
        # In one statement: of two who show it at the same instant, one does.
        used = delete(RecoveryRow).where(col(RecoveryRow.digest) == checked.recovery)
        if session.execute(used.returning(col(RecoveryRow.digest))).first() is None:
            raise NotKnownError(_WRONG)
        return
    if checked.step is None:
        return
    unused = (col(ReviewerRow.id) == checked.reviewer_id, col(ReviewerRow.totp_used) < checked.step)
    taken = update(ReviewerRow).where(*unused).values(totp_used=checked.step).returning(col(ReviewerRow.id))
    if session.execute(taken).first() is None:
        raise NotKnownError(_WRONG)


def came_from(session: Session, name: str, address: str, *, now: datetime) -> bool:
    """Whether the person of this name has come in from this address lately."""
    wanted = exists().where(
        func.lower(col(ReviewerRow.name)) == name.lower(),
        col(LoginRow.reviewer_id) == col(ReviewerRow.id),
        col(LoginRow.address) == address[:_LONGEST_LABEL],
        col(LoginRow.made_at) > now - LIFETIME,
    )
    return bool(session.execute(select(wanted)).scalar())


def find_login(session: Session, secret: str, *, now: datetime) -> tuple[Person, datetime] | None:
    """Who has this cookie, and when they were last seen; None where the login has ended or never was."""
    every = select(func.count()).select_from(aliased(ProjectRow)).scalar_subquery()
    member = aliased(MemberRow)
    theirs = (
        select(func.count())
        .where(col(member.reviewer_id) == col(ReviewerRow.id))
        .correlate(ReviewerRow)
        .scalar_subquery()
    )
    n_projects = case((col(ReviewerRow.is_admin), every), else_=theirs)
    found = session.execute(
        select(LoginRow, ReviewerRow, col(MemberRow.role), col(ProjectRow.name), n_projects)
        .join(ReviewerRow, col(ReviewerRow.id) == col(LoginRow.reviewer_id))
        .join(ProjectRow, col(ProjectRow.id) == col(LoginRow.project_id))
        .outerjoin(
            MemberRow,
            (col(MemberRow.reviewer_id) == col(LoginRow.reviewer_id))
            & (col(MemberRow.project_id) == col(LoginRow.project_id)),
        )
        .where(
            col(LoginRow.digest) == _digest(secret),
            col(LoginRow.ended_at).is_(None),
            col(LoginRow.ends_at) > now,
            col(LoginRow.seen_at) > now - IDLE,
            col(ReviewerRow.disabled_at).is_(None),
        )
    ).first()
    if found is None:
        return None
    login, person, role, project, n_projects = found
    made = _person(person, login.project_id, role, login_id=login.id, project=project if n_projects > 1 else "")
    return None if made is None else (made, login.seen_at)


def _person(
    row: ReviewerRow,
    project_id: int,
    role: str | None,
    *,
    scopes: Iterable[str] | None = None,
    login_id: int | None = None,
    token_id: int | None = None,
    project: str = "",
) -> Person | None:
    if row.is_admin:
        role = Role.ADMIN
    if role is None:
        return None
    kept = None if scopes is None else frozenset(scopes)
    is_admin = row.is_admin and kept is None
    return Person(row.id or 0, row.name, project_id, Role(role), is_admin, kept, login_id, token_id, project)


def touch(session: Session, login_id: int, *, now: datetime) -> None:
    """Remember that a login was used; who was away for twelve hours comes in anew."""
    session.execute(update(LoginRow).where(col(LoginRow.id) == login_id).values(seen_at=now))


def list_logins(session: Session, reviewer_id: int | None, *, now: datetime) -> list[LoginRow]:
    """The logins that are open, the newest first; of a person, or of everybody."""
    wanted = select(LoginRow).where(
        col(LoginRow.ended_at).is_(None), col(LoginRow.ends_at) > now, col(LoginRow.seen_at) > now - IDLE
    )
    if reviewer_id is not None:
        wanted = wanted.where(col(LoginRow.reviewer_id) == reviewer_id)
    return list(session.execute(wanted.order_by(col(LoginRow.id).desc())).scalars())


def count_logins(session: Session, *, now: datetime) -> dict[int, int]:
    """How many logins are open, by person; who has none is left out."""
    wanted = select(col(LoginRow.reviewer_id), func.count()).where(
        col(LoginRow.ended_at).is_(None), col(LoginRow.ends_at) > now, col(LoginRow.seen_at) > now - IDLE
    )
    return dict(session.execute(wanted.group_by(col(LoginRow.reviewer_id))).all())


def end_login(session: Session, reviewer_id: int | None, login_id: int, *, now: datetime) -> int:
    """End one login of a person, or, for an administrator, of anybody (None); gives whose it was.

    Raises:
        NotFoundError: there is none, or it is not theirs.

    """
    wanted = update(LoginRow).where(col(LoginRow.id) == login_id, col(LoginRow.ended_at).is_(None))
    if reviewer_id is not None:
        wanted = wanted.where(col(LoginRow.reviewer_id) == reviewer_id)
    ended = session.execute(wanted.values(ended_at=now).returning(col(LoginRow.reviewer_id))).scalar()
    if ended is None:
        raise NotFoundError("There is no such login that is open.")
    return int(ended)


def end_logins(session: Session, reviewer_id: int, *, now: datetime, but: int | None = None) -> None:
    """End every login of a person, but one."""
    wanted = update(LoginRow).where(col(LoginRow.reviewer_id) == reviewer_id, col(LoginRow.ended_at).is_(None))
    if but is not None:
        wanted = wanted.where(col(LoginRow.id) != but)
    session.execute(wanted.values(ended_at=now))


def end_shown(session: Session, secret: str, *, now: datetime) -> None:
    """End the login of this cookie, if it is one: whoever comes in anew gets another."""
    wanted = (col(LoginRow.digest) == _digest(secret), col(LoginRow.ended_at).is_(None))
    session.execute(update(LoginRow).where(*wanted).values(ended_at=now))


def enter(session: Session, person: Person, name: str) -> None:
    """Go on in another project with this login.

    Raises:
        NotFoundError: there is no such project, or the person is no member.

    """
    row = session.get_one(ReviewerRow, person.reviewer_id)
    found = next((project for project, _ in list_projects(session, row) if project.name == name), None)
    if found is None or person.login_id is None:
        raise NotFoundError(f"There is no project {name[:64]!r} that you are a member of.")
    session.execute(update(LoginRow).where(col(LoginRow.id) == person.login_id).values(project_id=found.id))


# ------------------------------------------------------------------------------------------------ members


def list_projects(session: Session, person: ReviewerRow) -> list[tuple[ProjectRow, Role]]:
    """The projects that a person may enter, the oldest first, with the role there."""
    if person.is_admin:
        return [(project, Role.ADMIN) for project in list_all_projects(session)]
    found = session.execute(
        select(ProjectRow, col(MemberRow.role))
        .join(MemberRow, col(MemberRow.project_id) == col(ProjectRow.id))
        .where(col(MemberRow.reviewer_id) == person.id)
        .order_by(col(ProjectRow.id))
    )
    return [(project, Role(role)) for project, role in found]


def list_all_projects(session: Session) -> list[ProjectRow]:
    """Every project of the server, the oldest first."""
    return list(session.execute(select(ProjectRow).order_by(col(ProjectRow.id))).scalars())


def get_project(session: Session, project_id: int) -> ProjectRow:
    """The project of this number, which is one that somebody is in."""
    return session.get_one(ProjectRow, project_id)


def rename_project(session: Session, project_id: int, name: str, *, started_with: str) -> str:
    """Give a project another name, and say what it was called; `started_with` is the one that the settings name.

    Raises:
        NotFoundError: there is no such project.
        ConflictError: another has the name, or the server makes a project of the old name at its next start.

    """
    row = session.get(ProjectRow, project_id)
    if row is None:
        raise NotFoundError(f"There is no project {project_id}.")
    before = row.name
    if before == name:
        return before
    if before == started_with:
        raise ConflictError(
            f"The server is started with the project {before} (PATCHSIFT_PROJECT), and would make an empty one of that "
            "name at its next start. Start it with another project first."
        )
    refuse_taken(session, name)
    row.name = name
    session.add(row)
    return before


def refuse_taken(session: Session, name: str) -> None:
    """Refuse the name of a project that there is.

    Raises:
        ConflictError: it is taken.

    """
    if session.execute(select(col(ProjectRow.id)).where(col(ProjectRow.name) == name)).first() is not None:
        raise ConflictError(f"There is a project {name} already.")


def list_members(session: Session, project_id: int) -> list[tuple[ReviewerRow, Role]]:
    """Who may do what in a project, by name; administrators of the server may do all and are not listed for it."""
    found = session.execute(
        select(ReviewerRow, col(MemberRow.role))
        .join(MemberRow, col(MemberRow.reviewer_id) == col(ReviewerRow.id))
        .where(col(MemberRow.project_id) == project_id)
        .order_by(func.lower(col(ReviewerRow.name)))
    )
    return [(person, Role(role)) for person, role in found]


def add_member(session: Session, person: Person, reviewer_id: int, role: str) -> None:
    """Make somebody a member of the project that `person` is in.

    Raises:
        RefusedError: nobody changes their own role.
        BadInputError: there is no such role.

    """
    _refuse_own(person, reviewer_id)
    set_role(session, person.project_id, reviewer_id, role)


def change_member(session: Session, person: Person, reviewer_id: int, role: str | None, *, now: datetime) -> None:
    """What a member's role is from now on, by `person`, in the project that they are in; None ends the membership.

    Raises:
        NotFoundError: there is no such member.
        RefusedError: nobody changes their own role.
        BadInputError: there is no such role.

    """
    lock_people(session)
    if session.get(MemberRow, (person.project_id, reviewer_id)) is None:
        raise NotFoundError("There is no such member of this project.")
    _refuse_own(person, reviewer_id)
    if role is None:
        remove_member(session, person.project_id, reviewer_id, now=now)
    else:
        set_role(session, person.project_id, reviewer_id, role)


def _refuse_own(person: Person, reviewer_id: int) -> None:
    if reviewer_id == person.reviewer_id and not person.is_admin:
        raise RefusedError("Nobody changes their own role. Ask another admin.")


def set_role(session: Session, project_id: int, reviewer_id: int, role: str) -> None:
    """Make a person a member of a project, or give a member another role.

    Raises:
        BadInputError: there is no such role.

    """
    if role not in [one.value for one in Role]:
        raise BadInputError(f"role must be one of {', '.join(Role)}; it is {role[:40]!r}.", where="field role")
    lock_people(session)
    row = session.get(MemberRow, (project_id, reviewer_id))
    row = row or MemberRow(project_id=project_id, reviewer_id=reviewer_id, role=role)
    row.role = role
    session.add(row)


def remove_member(session: Session, project_id: int, reviewer_id: int, *, now: datetime) -> None:
    """End a membership, and with it the person's tokens for the project: they are not to live again with the next."""
    lock_people(session)
    row = session.get(MemberRow, (project_id, reviewer_id))
    if row is not None:
        session.delete(row)
    _end_tokens(session, reviewer_id, now, col(TokenRow.project_id) == project_id)


# ------------------------------------------------------------------------------------------------ tokens


def make_token(
    session: Session, person: Person, name: str, scopes: Sequence[str], *, now: datetime, days: int | None = None
) -> tuple[TokenRow, str]:
    """A token for a program, for the project that the person is in; the secret is shown once and stored nowhere.

    `("nightly import", ["ingest"])` → `(row, "pst_Zb3…")`

    Raises:
        BadInputError: no name, an unknown scope, or none.

    """
    if not name.strip() or len(name) > _LONGEST_LABEL:
        raise BadInputError(f"Give the token a name of 1 to {_LONGEST_LABEL} characters.", where="field name")
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise BadInputError(f"A token has one or more of the scopes {', '.join(SCOPES)}.", where="field scopes")
    if days is not None and not 1 <= days <= 3650:  # noqa: PLR2004
        raise BadInputError("A token ends after 1 to 3650 days, or never.", where="field days")
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = TokenRow(
        digest=_digest(secret),
        name=name.strip(),
        reviewer_id=person.reviewer_id,
        project_id=person.project_id,
        scopes=sorted(set(scopes)),
        made_at=now,
        ends_at=None if days is None else now + timedelta(days=days),
    )
    session.add(row)
    session.flush()
    return row, secret


def find_token(session: Session, secret: str, *, now: datetime) -> tuple[Person, datetime | None] | None:
    """Who shows this token, and when it was last shown; None where it ended or never was."""
    found = session.execute(
        select(TokenRow, ReviewerRow, col(MemberRow.role))
        .join(ReviewerRow, col(ReviewerRow.id) == col(TokenRow.reviewer_id))
        .outerjoin(
            MemberRow,
            (col(MemberRow.reviewer_id) == col(TokenRow.reviewer_id))
            & (col(MemberRow.project_id) == col(TokenRow.project_id)),
        )
        .where(
            col(TokenRow.digest) == _digest(secret),
            col(TokenRow.ended_at).is_(None),
            col(TokenRow.ends_at).is_(None) | (col(TokenRow.ends_at) > now),
            col(ReviewerRow.disabled_at).is_(None),
        )
    ).first()
    if found is None:
        return None
    token, person, role = found
    made = _person(person, token.project_id, role, scopes=token.scopes, token_id=token.id)
    return None if made is None else (made, token.used_at)


def why_ended(session: Session, secret: str, *, now: datetime) -> str:
    """Why a token that `find_token` does not find is refused: who shows one that was real learns what became of it.

    `"This token, 'nightly', ended on 2026-11-23. Make another."`
    """
    row: TokenRow | None = session.execute(select(TokenRow).where(col(TokenRow.digest) == _digest(secret))).scalar()
    if row is None:
        return "There is no such token here. Send it whole, as it was shown: Authorization: Bearer pst_…"
    ended = min((at for at in (row.ended_at, row.ends_at) if at is not None and at <= now), default=None)
    if ended is not None:
        return f"This token, {row.name!r}, ended on {ended.astimezone(UTC):%Y-%m-%d}. Make another."
    return f"This token, {row.name!r}, is of somebody who may not come in any more."


def usable_scopes(role: Role) -> list[str]:
    """What a token of somebody in this role may be for: `usable_scopes(Role.REVIEWER)` → read, ingest, review."""
    return [scope for scope, least in _USED_FROM.items() if _ROLES.index(role) >= _ROLES.index(least)]


def get_role(session: Session, person: ReviewerRow, project_id: int) -> Role:
    """What a person is in a project.

    Raises:
        RefusedError: no member of it.

    """
    if person.is_admin:
        return Role.ADMIN
    row = session.get(MemberRow, (project_id, person.id))
    if row is None:
        raise RefusedError(f"{person.name} is no member of this project, so a token of theirs could do nothing in it.")
    return Role(row.role)


def refuse_useless(name: str, role: Role, scopes: Sequence[str]) -> None:
    """Refuse a scope that a token could never use, before the token is made.

    Raises:
        RefusedError: the role does not reach so far.

    """
    useless = sorted(set(scopes) & set(SCOPES) - set(usable_scopes(role)))
    if useless:
        raise RefusedError(
            f"{name} is {role.value} here, so a token of theirs could not {useless[0]}: that takes "
            f"{_USED_FROM[useless[0]].value}. Leave the scope out, or change the role first."
        )


def touch_token(session: Session, token_id: int, *, now: datetime) -> None:
    """Remember that a token was used, so that its owner sees which of them nobody needs."""
    session.execute(update(TokenRow).where(col(TokenRow.id) == token_id).values(used_at=now))


def list_tokens(session: Session, reviewer_id: int | None = None, project_id: int | None = None) -> list[TokenRow]:
    """Tokens that have not ended, the newest first; of a person, of a project, or all."""
    wanted = select(TokenRow).where(col(TokenRow.ended_at).is_(None))
    if reviewer_id is not None:
        wanted = wanted.where(col(TokenRow.reviewer_id) == reviewer_id)
    if project_id is not None:
        wanted = wanted.where(col(TokenRow.project_id) == project_id)
    return list(session.execute(wanted.order_by(col(TokenRow.id).desc())).scalars())


def find_token_name(session: Session, token_id: int) -> str | None:
    """What a token is called: `"nightly"`; None where there is none."""
    row = session.get(TokenRow, token_id)
    return None if row is None else row.name


def _end_tokens(session: Session, reviewer_id: int, now: datetime, *also: ColumnElement[bool]) -> None:
    theirs = (col(TokenRow.reviewer_id) == reviewer_id, col(TokenRow.ended_at).is_(None), *also)
    session.execute(update(TokenRow).where(*theirs).values(ended_at=now))


def end_token(session: Session, token_id: int, *, now: datetime, reviewer_id: int | None = None) -> TokenRow:
    """End a token; of this person, or of anybody.

    Raises:
        NotFoundError: there is no such token, or it has ended.

    """
    row = session.get(TokenRow, token_id)
    if row is None or row.ended_at is not None or reviewer_id not in {None, row.reviewer_id}:
        raise NotFoundError("There is no such token that is open.")
    row.ended_at = now
    session.add(row)
    return row


# ------------------------------------------------------------------------------------------------ links


def make_ticket(session: Session, reviewer_id: int | None, *, now: datetime) -> str:
    """The secret of a link that works once: for a person to choose a password, or, of nobody, to set the server up.

    Links of the same kind that were made before end.
    """
    lock_people(session)
    _end_tickets(session, reviewer_id, now=now)
    secret = secrets.token_urlsafe(32)
    lifetime = SETUP_LIFETIME if reviewer_id is None else TICKET_LIFETIME
    session.add(TicketRow(digest=_digest(secret), reviewer_id=reviewer_id, made_at=now, ends_at=now + lifetime))
    return secret


def _end_tickets(session: Session, reviewer_id: int | None, *, now: datetime) -> None:
    same = col(TicketRow.reviewer_id).is_(None) if reviewer_id is None else col(TicketRow.reviewer_id) == reviewer_id
    session.execute(update(TicketRow).where(same, col(TicketRow.used_at).is_(None)).values(used_at=now))


def get_ticket(session: Session, secret: str, *, now: datetime) -> TicketRow:
    """A link that can still be used.

    Raises:
        NotFoundError: it was used, has run out, or never was.

    """
    row = session.get(TicketRow, _digest(secret))
    if row is None or row.used_at is not None or row.ends_at <= now:
        raise NotFoundError(_USED_LINK)
    if row.reviewer_id is None and has_accounts(session):
        raise NotFoundError("This server is set up already.")
    return row


def use_ticket(session: Session, secret: str, name: str, hashed: str, *, now: datetime) -> ReviewerRow:
    """Choose a password by a link; a setup link makes the first administrator, of this name.

    Raises:
        NotFoundError: the link cannot be used any more.
        BadInputError: the name cannot be one.

    """
    lock_people(session)
    ticket = get_ticket(session, secret, now=now)
    # In one statement: of two who come at the same instant, one does.
    unused = (col(TicketRow.digest) == ticket.digest, col(TicketRow.used_at).is_(None))
    taken = session.execute(update(TicketRow).where(*unused).values(used_at=now).returning(col(TicketRow.digest)))
    if taken.first() is None:
        raise NotFoundError(_USED_LINK)
    if ticket.reviewer_id is None:
        return create(session, name, hashed=hashed, is_admin=True, now=now)
    person = session.get_one(ReviewerRow, ticket.reviewer_id)
    set_password(session, person, hashed, now=now)
    return person
