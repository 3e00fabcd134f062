"""Who may call which route: one table, one place that holds to it.

A route without a row answers nobody; tests/web/test_rights.py fails on it, and calls every route as everybody.
"""

import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import Request
from sqlmodel import Session
from starlette.concurrency import run_in_threadpool

from app import accounts, audit, decisions, deeds
from app.accounts import Person
from app.db import LARGEST_ID, Database
from app.errors import NotFoundError, NotKnownError, NotStoredError, RefusedError
from app.models import Role
from app.opinions import Team
from app.settings import Settings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOK_SECONDS = 2.0
_NUMBER = re.compile(r"[+-]?[0-9]{10,4000}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Right:
    """What a route asks for: a role in the project, and of a token also a scope.

    `is_told`: a change is written to the audit log. Decisions are not: they have a chain of their own. `of_server`: the
    person must be an administrator of the server.
    """

    role: Role
    scope: str
    is_told: bool = True
    of_server: bool = False


EVERYBODY = None
# No token has this scope: a program makes no further tokens, and changes no password.
_SELF = "login"
_VIEW = Right(Role.VIEWER, "read", is_told=False)
_MINE = Right(Role.VIEWER, _SELF, is_told=False)
_OWN = Right(Role.VIEWER, _SELF)
_DECIDE = Right(Role.REVIEWER, "review", is_told=False)
_REVIEW = Right(Role.REVIEWER, "review")
_SEND = Right(Role.REVIEWER, "ingest")
_CURATE = Right(Role.CURATOR, "curate")
_TRY = Right(Role.CURATOR, "curate", is_told=False)
_ADMIN = Right(Role.ADMIN, "admin")
_LOOK_AT = Right(Role.ADMIN, "admin", is_told=False)
_SERVER = Right(Role.ADMIN, _SELF, of_server=True)
_LOOK_AT_SERVER = Right(Role.ADMIN, _SELF, is_told=False, of_server=True)

RIGHTS: Mapping[str, Right | None] = {
    # Who is not known yet.
    "GET /login": EVERYBODY,
    "POST /login": EVERYBODY,
    "GET /login/provider": EVERYBODY,
    "GET /login/provider/return": EVERYBODY,
    "GET /login/provider/out": EVERYBODY,
    "GET /come-in/{secret}": EVERYBODY,
    "POST /come-in/{secret}": EVERYBODY,
    "POST /theme": EVERYBODY,
    "GET /healthz": EVERYBODY,
    "GET /readyz": EVERYBODY,
    "GET /api/v1/openapi.json": EVERYBODY,
    # Oneself.
    "POST /logout": _OWN,
    "GET /account": _MINE,
    "POST /account/password": _OWN,
    "POST /account/totp": _OWN,
    "POST /account/totp/codes": _OWN,
    "POST /account/totp/remove": _OWN,
    "POST /account/logins/{login_id}/end": _OWN,
    "POST /account/tokens": _OWN,
    "POST /account/tokens/{token_id}/end": _OWN,
    "POST /account/project": _OWN,
    "GET /preferences": _MINE,
    "POST /preferences": _OWN,
    "POST /preferences/wrap": _OWN,
    # Members and the server.
    "GET /members": _LOOK_AT,
    "POST /members": _ADMIN,
    "POST /members/{reviewer_id}": _ADMIN,
    "GET /audit": _LOOK_AT,
    "GET /audit.jsonl": _LOOK_AT,
    "GET /server": _LOOK_AT_SERVER,
    "POST /server/people": _SERVER,
    "POST /server/people/{reviewer_id}": _SERVER,
    "POST /server/logins/{login_id}/end": _SERVER,
    "POST /server/tokens/{token_id}/end": _SERVER,
    "POST /server/projects": _SERVER,
    "GET /retention": _LOOK_AT_SERVER,
    "POST /retention": _SERVER,
    # The queue and what is looked at.
    "GET /": _VIEW,
    "GET /queue": _VIEW,
    "GET /queue/ahead": _VIEW,
    "GET /queue/done": _VIEW,
    "GET /queue/here": _VIEW,
    "GET /queue/live": _VIEW,
    "GET /queue/start": _VIEW,
    "GET /candidates/{candidate_id}": _VIEW,
    "GET /candidates/{candidate_id}/context": _VIEW,
    "GET /candidates/{candidate_id}/diff": _VIEW,
    "GET /candidates/{candidate_id}/examples": _VIEW,
    "GET /candidates/{candidate_id}/examples/{example_id}": _VIEW,
    "GET /candidates/{candidate_id}/ladder": _VIEW,
    "GET /candidates/{candidate_id}/next": _VIEW,
    "GET /candidates/{candidate_id}/previous": _VIEW,
    "GET /candidates/{candidate_id}/patch-set": _VIEW,
    "GET /candidates/{candidate_id}/script": _VIEW,
    "GET /clusters": _VIEW,
    "GET /clusters/{candidate_id}": _VIEW,
    "GET /insight": _VIEW,
    "GET /agreement": _VIEW,
    "GET /me": _VIEW,
    "GET /api/v1/agreement": _VIEW,
    "GET /api/v1/me": _VIEW,
    "GET /views": _VIEW,
    "GET /jobs/{job_id}": _VIEW,
    "GET /api/v1/candidates": _VIEW,
    "GET /api/v1/candidates/{candidate_id}": _VIEW,
    "GET /api/v1/candidates/{candidate_id}/examples": _VIEW,
    "GET /api/v1/clusters": _VIEW,
    "GET /api/v1/insight": _VIEW,
    "GET /api/v1/jobs/{job_id}": _VIEW,
    "GET /api/v1/views": _VIEW,
    # Decisions.
    "GET /candidates/{candidate_id}/edit": _DECIDE,
    "POST /candidates/{candidate_id}/edit": _DECIDE,
    "POST /candidates/{candidate_id}/draft": _DECIDE,
    "POST /candidates/{candidate_id}/draft/discard": _DECIDE,
    "POST /candidates/{candidate_id}/check": _DECIDE,
    "POST /candidates/{candidate_id}/decisions": _DECIDE,
    "POST /candidates/{candidate_id}/join": _DECIDE,
    "POST /candidates/{candidate_id}/split": _DECIDE,
    "POST /undo": _DECIDE,
    "POST /queue/visit": _DECIDE,
    "GET /queue/held": _DECIDE,
    "POST /queue/leave": _DECIDE,
    "POST /queue/start": _DECIDE,
    "POST /candidates/{candidate_id}/take": _DECIDE,
    "POST /candidates/{candidate_id}/turns": _REVIEW,
    "POST /turns/{turn_id}/done": _REVIEW,
    "POST /turns/{turn_id}/read": _REVIEW,
    "POST /api/v1/queue/next": _DECIDE,
    "POST /api/v1/candidates/{candidate_id}/lease": _DECIDE,
    "DELETE /api/v1/candidates/{candidate_id}/lease": _DECIDE,
    "POST /api/v1/candidates/{candidate_id}/turns": _REVIEW,
    "GET /api/v1/turns": _VIEW,
    "POST /api/v1/turns/{turn_id}/done": _REVIEW,
    "POST /api/v1/turns/{turn_id}/read": _REVIEW,
    "GET /api/v1/presence": _VIEW,
    "POST /api/v1/candidates/{candidate_id}/decisions": _DECIDE,
    "POST /api/v1/candidates/{candidate_id}/join": _DECIDE,
    "POST /api/v1/candidates/{candidate_id}/split": _DECIDE,
    "POST /api/v1/undo": _DECIDE,
    "GET /api/v1/candidates/{candidate_id}/draft": _DECIDE,
    "PUT /api/v1/candidates/{candidate_id}/draft": _DECIDE,
    "DELETE /api/v1/candidates/{candidate_id}/draft": _DECIDE,
    # Comments.
    "GET /candidates/{candidate_id}/comments/new": _DECIDE,
    "POST /candidates/{candidate_id}/comments": _REVIEW,
    "GET /candidates/{candidate_id}/comments/{thread_id}": _VIEW,
    "POST /candidates/{candidate_id}/comments/{thread_id}/answers": _REVIEW,
    "POST /candidates/{candidate_id}/comments/{thread_id}/edit": _REVIEW,
    "POST /candidates/{candidate_id}/comments/{thread_id}/settle": _REVIEW,
    "GET /api/v1/candidates/{candidate_id}/comments": _VIEW,
    "POST /api/v1/candidates/{candidate_id}/comments": _REVIEW,
    "POST /api/v1/comments/{thread_id}/answers": _REVIEW,
    "POST /api/v1/comments/{thread_id}/settle": _REVIEW,
    "POST /api/v1/comments/{comment_id}/edit": _REVIEW,
    # Many decisions at once.
    "GET /bulk": _DECIDE,
    "POST /bulk": _REVIEW,
    "GET /bulk/{job_id}": _VIEW,
    "POST /bulk/{job_id}/undo": _REVIEW,
    "POST /clusters/{candidate_id}": _REVIEW,
    "POST /api/v1/bulk": _REVIEW,
    "GET /api/v1/bulk/{job_id}": _VIEW,
    # What is looked for again and again.
    "POST /views": _REVIEW,
    "POST /views/{number}": _REVIEW,
    "POST /views/{number}/delete": _REVIEW,
    "POST /api/v1/views": _REVIEW,
    "PATCH /api/v1/views/{number}": _REVIEW,
    "DELETE /api/v1/views/{number}": _REVIEW,
    "POST /candidates/{candidate_id}/gold": _CURATE,
    "POST /candidates/{candidate_id}/gold/end": _CURATE,
    "POST /api/v1/candidates/{candidate_id}/gold": _CURATE,
    "DELETE /api/v1/candidates/{candidate_id}/gold": _CURATE,
    "POST /candidates/{candidate_id}/examples/{example_id}/rulings": _CURATE,
    "POST /api/v1/candidates/{candidate_id}/examples/{example_id}/rulings": _CURATE,
    # What comes in.
    "GET /imports": _VIEW,
    "GET /imports/{source_id}": _VIEW,
    "GET /imports/deliveries/{delivery_id}": _VIEW,
    "GET /quarantine": _VIEW,
    "GET /quarantine/{quarantine_id}": _VIEW,
    "GET /quarantine/{quarantine_id}/raw": _VIEW,
    "POST /ingest": _SEND,
    "POST /samples": _SEND,
    "POST /api/v1/ingest": _SEND,
    "POST /quarantine/{quarantine_id}/retry": _SEND,
    "POST /imports/{source_id}/scores": _CURATE,
    "POST /imports/deliveries/{delivery_id}/scores": _CURATE,
    "POST /jobs/{job_id}/cancel": _CURATE,
    "POST /api/v1/jobs/{job_id}/cancel": _CURATE,
    # What goes out.
    "GET /exports": _VIEW,
    "POST /exports": _CURATE,
    "GET /exports/{job_id}/download": _CURATE,
    "GET /releases": _VIEW,
    "GET /releases/new": _CURATE,
    "POST /releases": _CURATE,
    "POST /releases/preview": _TRY,
    "GET /releases/{number}": _VIEW,
    "GET /releases/{number}/verify": _VIEW,
    "GET /releases/{number}/files/{path:path}": _CURATE,
    "POST /releases/{number}/withdraw": _CURATE,
    "GET /api/v1/releases": _VIEW,
    "POST /api/v1/releases": _CURATE,
    "POST /api/v1/releases/preview": _TRY,
    "GET /api/v1/releases/{number}": _VIEW,
    "GET /api/v1/releases/{number}/held": _VIEW,
    "GET /api/v1/releases/{number}/files": _VIEW,
    "GET /api/v1/releases/{number}/files/{path:path}": _CURATE,
    "GET /api/v1/releases/{number}/download": _CURATE,
    "GET /api/v1/releases/{number}/verify": _VIEW,
    "GET /api/v1/releases/{first}/diff/{second}": _VIEW,
    "POST /api/v1/releases/{number}/withdraw": _CURATE,
    # How it is made.
    "GET /templates": _VIEW,
    "GET /templates/{name}": _VIEW,
    "POST /templates/{name}": _CURATE,
    "POST /templates/{name}/preview": _TRY,
    "POST /templates/{name}/use": _CURATE,
    "GET /api/v1/templates": _VIEW,
    "GET /api/v1/templates/{name}": _VIEW,
    "POST /api/v1/templates/{name}": _CURATE,
    "GET /guidelines": _VIEW,
    "POST /guidelines": _CURATE,
    "POST /guidelines/preview": _TRY,
    "POST /guidelines/reasons": _CURATE,
    "POST /guidelines/panel": _MINE,
    "GET /api/v1/guideline": _VIEW,
    "POST /api/v1/guideline": _CURATE,
    "GET /webhooks": _LOOK_AT,
    "POST /webhooks": _ADMIN,
    "POST /webhooks/{webhook_id}": _ADMIN,
    "POST /webhooks/messages/{posting_id}": _ADMIN,
    "GET /project": _VIEW,
    "POST /project/benchmark": _ADMIN,
    "POST /project/budgets": _ADMIN,
    "POST /project/files": _ADMIN,
    "POST /project/files/remove": _ADMIN,
    "POST /project/splits": _ADMIN,
    "POST /project/opinions": _ADMIN,
    "GET /api/v1/project": _VIEW,
    "PATCH /api/v1/project": _ADMIN,
}
"""Method and path of a route → what it asks for; `EVERYBODY` where nobody need be known."""


class Door:
    """Whether people come in without a name: on this machine only, until somebody has a password.

    Args:
        settings: the address that is listened on.
        local: who they are then.

    """

    def __init__(self, settings: Settings, local: Person) -> None:
        self.local = local
        self._may_be_open = settings.is_private
        self._looked = float("-inf")
        self._is_open = False

    async def is_open(self, db: Database) -> bool:
        """Looked up anew every two seconds, until there are accounts."""
        if self._may_be_open and time.monotonic() - self._looked > _LOOK_SECONDS:
            self._is_open = await run_in_threadpool(_is_nobody_known, db)
            self._looked = time.monotonic()
        return self._is_open

    def look(self) -> None:
        """Look anew at the next request: an account was made."""
        self._looked = float("-inf")


def may_call(person: Person, name: str) -> bool:
    """Whether a route answers this person: `may_call(ann, "POST /project/splits")`; pages offer nothing else."""
    right = RIGHTS[name]
    return right is None or (person.may(right.role, right.scope) and (person.is_admin or not right.of_server))


def may_settle(person: Person) -> bool:
    """Whether this person may have the last word where several people were asked."""
    return person.may(Role.CURATOR, "review")


def sees_team(person: Person, team: Team) -> bool:
    """Whether this person sees figures of others by name; `team` is what the project says."""
    return person.may({Team.ADMINS: Role.ADMIN, Team.CURATORS: Role.CURATOR, Team.EVERYBODY: Role.VIEWER}[team], "read")


def _is_nobody_known(db: Database) -> bool:
    with db.read() as session:
        return not accounts.has_accounts(session)


def path_of(request: Request) -> str:
    """`"GET /candidates/{candidate_id}"`: the row of the table that a request falls under."""
    method = "GET" if request.method == "HEAD" else request.method
    return f"{method} {request.scope['route'].path}"


def cookie_of(request: Request) -> str:
    """The cookie's name. One that begins with `__Host-` can be set over https by this very host only (RFC 6265bis)."""
    return "__Host-patchsift" if request.url.scheme == "https" else "patchsift"


def actor_of(request: Request) -> audit.Actor:
    """Who asks, for the audit log."""
    person: Person | None = getattr(request.state, "person", None)
    address = request.client.host if request.client else ""
    return audit.Actor(
        None if person is None else person.reviewer_id, "somebody" if person is None else person.name, address
    )


async def authorise(request: Request) -> AsyncIterator[None]:
    """Let the request through, or say why not; afterwards tell the audit log what was changed.

    Raises:
        NotFoundError: a number in the address is larger than any id.
        NotKnownError: nobody is logged in, or the token is none.
        RefusedError: the role, or the token's scope, does not reach.

    """
    _refuse_numbers(request)
    name = path_of(request)
    right = RIGHTS[name]
    if right is EVERYBODY:
        yield
        return
    person = await _find_person(request)
    request.state.person = person
    decisions.come_from(request.client.host if request.client else "")
    if not may_call(person, name):
        raise RefusedError(_why_not(person, right))
    yield
    if request.method not in SAFE_METHODS and right.is_told and not getattr(request.state, "is_told", False):
        await run_in_threadpool(_tell_alone, request)


def _refuse_numbers(request: Request) -> None:
    """No route, however new, asks a database for a number that its columns cannot hold: PostgreSQL takes that ill."""
    for name, value in request.path_params.items():
        if _NUMBER.fullmatch(str(value)) and not -LARGEST_ID <= int(value) <= LARGEST_ID:
            raise NotFoundError(f"There is no {name.removesuffix('_id')} {str(value)[:40]}.")


def _why_not(person: Person, right: Right) -> str:
    if person.scopes is not None and right.scope == _SELF:
        return "This is for people who log in; a token does not reach it."
    if person.scopes is not None and right.scope not in person.scopes:
        return f"This token may not do that: it needs the scope {right.scope}."
    if right.of_server:
        return "This is for administrators of the server."
    wanted, held = (f"{'an' if one == Role.ADMIN else 'a'} {one}" for one in (right.role, person.role))
    return f"This is for {wanted} of the project; {person.name} is {held} here."


async def _find_person(request: Request) -> Person:
    door: Door = request.app.state.door
    db: Database = request.app.state.db
    shown = request.headers.get("authorization", "")
    if not shown and await door.is_open(db):
        return door.local
    found = await run_in_threadpool(_look_up, db, shown, request.cookies.get(cookie_of(request), ""))
    if found is None:
        bearer = _bearer(shown)
        why = await run_in_threadpool(_why_ended, db, bearer) if bearer else ""
        raise NotKnownError(why or "Log in first, or send a token: Authorization: Bearer pst_…")
    return found


def _look_up(db: Database, shown: str, cookie: str) -> Person | None:
    now = datetime.now(UTC)
    if shown:
        bearer = _bearer(shown)
        return _of_token(db, bearer, now) if bearer else None
    if not cookie:
        return None
    with db.read() as session:
        found = accounts.find_login(session, cookie, now=now)
    if found is None:
        return None
    person, seen_at = found
    if now - seen_at > accounts.TOUCH and person.login_id is not None:
        # On a full disk people go on reading.
        with suppress(NotStoredError), db.write() as session:
            accounts.touch(session, person.login_id, now=now)
    return person


def _bearer(shown: str) -> str:
    """`"Bearer pst_…"` → `"pst_…"`; nothing of any other scheme."""
    scheme, _, secret = shown.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _why_ended(db: Database, secret: str) -> str:
    with db.read() as session:
        return accounts.why_ended(session, secret, now=datetime.now(UTC))


def _of_token(db: Database, secret: str, now: datetime) -> Person | None:
    with db.read() as session:
        found = accounts.find_token(session, secret, now=now)
    if found is None:
        return None
    person, used_at = found
    if person.token_id is not None and (used_at is None or now - used_at > accounts.TOUCH):
        with suppress(NotStoredError), db.write() as session:
            accounts.touch_token(session, person.token_id, now=now)
    return person


def about(request: Request, **facts: object) -> None:
    """What the audit row of this request says besides: `about(request, name="ann", role="curator")`; never a secret."""
    request.state.about = getattr(request.state, "about", {}) | facts


def tell(request: Request, session: Session) -> None:
    """Write a change to the audit log in the very transaction that makes it; called before the commit."""
    right = RIGHTS.get(path_of(request))
    if right is EVERYBODY or not right.is_told:
        return
    _note(request, session)
    request.state.is_told = True


def leave_untold(request: Request) -> None:
    """Write no row of this request: the one before said the same."""
    request.state.is_told = True


def _tell_alone(request: Request) -> None:
    db: Database = request.app.state.db
    with db.write() as session:
        _note(request, session)


def _note(request: Request, session: Session) -> None:
    person: Person = request.state.person
    said = request.path_params | getattr(request.state, "about", {})
    # A page that says why not is no change, but it was tried.
    if refused := getattr(request.state, "refused", 0):
        said |= {deeds.REFUSED: refused}
    if person.token_id is not None and (token := accounts.find_token_name(session, person.token_id)):
        said |= {deeds.BY_TOKEN: token}
    facts = {name: str(value)[:100] for name, value in said.items() if name != "secret"}
    audit.note(
        session,
        actor_of(request),
        path_of(request),
        now=datetime.now(UTC),
        project_id=person.project_id,
        about=facts,
    )
