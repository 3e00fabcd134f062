"""Coming in and going: the login, one-time links, and what people see and change of their own account."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from markupsafe import Markup
from sqlmodel import Session
from starlette.responses import Response

from app import accounts, audit
from app.accounts import Checked, Person
from app.errors import AppError, BadInputError, ConflictError, NotFoundError, RefusedError, TooManyError
from app.models import LoginRow, TokenRow
from app.settings import Settings
from app.web.deps import AppDb, Config, Db, Now, Who
from app.web.forms import MOST_TYPED, Fields, Form
from app.web.render import page, see_other, url
from app.web.rights import Door, about, cookie_of, leave_untold

if TYPE_CHECKING:
    from app.web.limits import Tries

router = APIRouter()
log = logging.getLogger("patchsift.login")


@dataclass(frozen=True)
class LoginView:
    """What `login.html` may read."""

    next: str
    name: str
    notice: str
    by_password: bool
    provider: str
    is_out: bool
    has_chosen: bool

    @classmethod
    def of(
        cls,
        config: Settings,
        target: str,
        name: str = "",
        notice: str = "",
        *,
        is_out: bool = False,
        has_chosen: bool = False,
    ) -> "LoginView":
        """With the ways in that the settings say; `provider` is the host that people know theirs by.

        `is_out`: somebody has just logged out, and may want to log out at the provider too. `has_chosen`: somebody has
        just chosen a password by a one-time link.
        """
        host = urlsplit(config.oidc_issuer).hostname or ""
        return cls(target, name, notice, not config.oidc_only, host, is_out and bool(host), has_chosen)


@dataclass(frozen=True)
class ComeInView:
    """What `come_in.html` may read; `name` is None where the server is set up and its first person chooses one."""

    action: str
    name: str | None
    typed: str
    notice: str


@dataclass(frozen=True)
class AccountView:
    """What `account.html` may read."""

    person: Person
    has_password: bool
    has_totp: bool
    totp_secret: str
    totp_picture: Markup
    logins: list[LoginRow]
    tokens: list[TokenRow]
    scopes: dict[str, str]
    projects: list[tuple[str, str]]
    project: str
    n_codes: int = 0
    new_codes: Sequence[str] = ()
    new_token: str = ""
    notice: str = ""


def tries(request: Request) -> "Tries":
    """The counts of this process."""
    from app.web.limits import Tries  # noqa: PLC0415  (slow to import and rarely needed)

    state = request.app.state
    if not hasattr(state, "tries"):
        state.tries = Tries()
    found: Tries = state.tries
    return found


# ------------------------------------------------------------------------------------------------ log in and out


def inside(address: str) -> str:
    r"""Where to go on after the login: a path of this server, or the queue.

    `"/releases/3?x=1"` → itself; `"//evil.example"`, `"/\\evil.example"`, `"https://…"` → `"/queue"`.
    """
    parts = urlsplit(address)
    own = address.startswith("/") and not address.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return address if own and address.isprintable() and not address.startswith("/login") else "/queue"


@router.get("/login")
def show_login(request: Request, config: Config, next: str = "", out: str = "", chosen: str = "") -> Response:
    """The form for name, password and code; `out` after a logout, `chosen` after a one-time link."""
    view = LoginView.of(config, inside(next), is_out=bool(out), has_chosen=bool(chosen))
    return page(request, "login.html", view)


@router.post("/login", max_body_size=MOST_TYPED)
def log_in(request: Request, form: Form, db: AppDb, config: Config, now: Now) -> Response:
    """Come in: a cookie that scripts cannot read, and the page that was asked for."""
    fields = form.allow(("name", "password", "code", "next"))
    name, target = fields.one("name").strip(), inside(fields.one("next"))
    address = address_of(request)
    try:
        _take_passwords(config)
        with db.read() as session:
            is_known = accounts.came_from(session, name, address, now=now)
        tries(request).take(address, name, is_known=is_known)
        with db.read() as session:
            checked = accounts.check_password(session, name, fields.one("password"), fields.one("code"), now=now)
        with db.write() as session:
            secret = accounts.log_in(
                session, checked, address=address, agent=request.headers.get("user-agent", ""), now=now
            )
            accounts.end_shown(session, request.cookies.get(cookie_of(request), ""), now=now)
            person = accounts.get_reviewer(session, checked.reviewer_id)
            what = "logged in" if checked.recovery is None else "logged in by a recovery code"
            audit.note(session, audit.Actor(person.id, person.name, address), what, now=now)
    except AppError as error:
        is_held_back = isinstance(error, TooManyError)
        known = ""
        if not is_held_back or tries(request).is_first_refusal(address, name):
            with db.write() as session:
                what = "login held back" if is_held_back else "login refused"
                known = _note_refused(session, name, address, what, now)
        tell_refused(request, error, known)
        return page(request, "login.html", LoginView.of(config, target, name, error.message), status=error.status)
    tries(request).forget(address, name)
    answer = see_other(target)
    set_cookie(request, answer, secret)
    return answer


def address_of(request: Request) -> str:
    """Where a request comes from, as a proxy says that is trusted."""
    return request.client.host if request.client else ""


def _take_passwords(config: Settings) -> None:
    if config.oidc_only:
        raise RefusedError("No passwords are taken here. Log in by the provider.")


def tell_refused(request: Request, error: AppError, name: str = "") -> None:
    """A line in the server's log, by which something in front may keep an address out; `name` is of who is known."""
    address = address_of(request)
    said = {"request": request.scope["state"]["request_id"], "address": address, "status": error.status}
    log.warning("login refused from %s", address, extra={"said": said | ({"name": name} if name else {})})


def _note_refused(session: Session, name: str, address: str, what: str, now: Now) -> str:
    """A row of the audit log; gives whose name it was, if anybody's.

    Names that nobody has are not kept: people type their password there.
    """
    try:
        person = accounts.get_person(session, name)
        actor = audit.Actor(person.id, person.name, address)
    except NotFoundError:
        actor = audit.Actor(None, "somebody", address)
    audit.note(session, actor, what, now=now)
    return "" if actor.reviewer_id is None else actor.name


def set_cookie(request: Request, answer: Response, secret: str) -> None:
    """What the browser shows from now on."""
    answer.set_cookie(
        cookie_of(request),
        secret,
        max_age=int(accounts.LIFETIME.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


@router.post("/logout")
def log_out(request: Request, session: Db, who: Who, now: Now) -> Response:
    """End this login, here and on the server."""
    if who.login_id is not None:
        accounts.end_login(session, who.reviewer_id, who.login_id, now=now)
    return _to_login(request)


def _to_login(request: Request) -> Response:
    answer = see_other("/login" if request.app.state.provider is None else "/login?out=yes")
    answer.delete_cookie(cookie_of(request), secure=request.url.scheme == "https", httponly=True)
    return answer


# ------------------------------------------------------------------------------------------------ one-time links


def _asked(db: AppDb, secret: str, now: Now) -> str | None:
    with db.read() as session:
        ticket = accounts.get_ticket(session, secret, now=now)
        return None if ticket.reviewer_id is None else accounts.get_reviewer(session, ticket.reviewer_id).name


@router.get("/come-in/{secret}")
def show_come_in(request: Request, db: AppDb, now: Now, secret: str) -> Response:
    """Choose a password; on a new server also the name of its first administrator."""
    return page(request, "come_in.html", ComeInView(request.url.path, _asked(db, secret, now), "", ""))


@router.post("/come-in/{secret}", max_body_size=MOST_TYPED)
def come_in(request: Request, form: Form, db: AppDb, config: Config, now: Now, secret: str) -> Response:
    """Take the name and the password, and go on to the login."""
    fields = form.allow(("name", "password", "again"))
    known = _asked(db, secret, now)
    name = fields.one("name").strip() if known is None else known
    if known is not None:
        _take_passwords(config)
    try:
        if fields.one("password") != fields.one("again"):
            raise BadInputError("The two passwords differ.", where="field again")
        hashed = accounts.hash_password(name, fields.one("password"))
        with db.write() as session:
            person = accounts.use_ticket(session, secret, name, hashed, now=now)
            actor = audit.Actor(person.id, person.name, address_of(request))
            audit.note(session, actor, "chose a password by a link", now=now)
    except NotFoundError:
        raise
    except AppError as error:
        view = ComeInView(request.url.path, known, name, error.message)
        return page(request, "come_in.html", view, status=error.status)
    door: Door = request.app.state.door
    door.look()
    return see_other(url("/login", next="/queue", chosen="yes"))


# ------------------------------------------------------------------------------------------------ one's own account


def _account(
    request: Request, session: Db, who: Who, now: Now, status: int = 200, begun: str = "", **more: object
) -> Response:
    """The page; `begun` is the secret of a second factor that an authenticator may have read already."""
    row = accounts.get_reviewer(session, who.reviewer_id)
    projects = accounts.list_projects(session, row)
    secret, address = ("", "") if row.totp else accounts.new_totp(row, begun)
    view = AccountView(
        person=who,
        has_password=row.password is not None,
        has_totp=row.totp is not None,
        totp_secret=secret,
        totp_picture=_picture(address),
        n_codes=accounts.count_recovery_codes(session, row),
        logins=accounts.list_logins(session, who.reviewer_id, now=now),
        tokens=accounts.list_tokens(session, reviewer_id=who.reviewer_id),
        scopes={name: accounts.SCOPES[name] for name in accounts.usable_scopes(who.role)},
        projects=[(project.name, role) for project, role in projects],
        project=next((project.name for project, _ in projects if project.id == who.project_id), ""),
        **more,  # type: ignore[arg-type]
    )
    return page(request, "account.html", view, status=status)


def _picture(address: str) -> Markup:
    """A QR code as SVG without style or script, which the page's policy would block."""
    if not address:
        return Markup()
    import segno  # noqa: PLC0415

    drawn = segno.make(address, error="m").svg_inline(scale=4, border=2, svgclass="qr", lineclass=None, omitsize=True)
    return Markup(drawn)  # noqa: S704  made of an address that is percent-encoded, as rectangles


@router.get("/account")
def show_account(request: Request, session: Db, who: Who, now: Now) -> Response:
    """Password, second factor, logins, tokens and projects of whoever asks."""
    return _account(request, session, who, now)


def _prove(request: Request, db: AppDb, who: Who, fields: Fields, now: Now) -> Checked:
    """The password of whoever asks, and a code where there is a second factor, shown once more."""
    try:
        tries(request).take(address_of(request), who.name, is_known=True)
    except TooManyError:
        if not tries(request).is_first_refusal(address_of(request), who.name):
            leave_untold(request)
        raise
    with db.read() as session:
        return accounts.check_password(session, who.name, fields.one("old"), fields.one("code"), now=now)


@router.post("/account/password")
def change_password(request: Request, form: Form, db: AppDb, who: Who, now: Now) -> Response:
    """Another password, for whoever knows the one before; every other login ends."""
    fields = form.allow(("old", "code", "password", "again"))
    try:
        if fields.one("password") != fields.one("again"):
            raise BadInputError("The two passwords differ.", where="field again")
        checked = _prove(request, db, who, fields, now)
        hashed = accounts.hash_password(who.name, fields.one("password"))
        with db.write() as session:
            accounts.use_code(session, checked)
            row = accounts.get_reviewer(session, checked.reviewer_id)
            accounts.set_password(session, row, hashed, now=now)
    except AppError as error:
        with db.read() as session:
            return _account(request, session, who, now, error.status, notice=error.message)
    return _to_login(request)


@router.post("/account/totp")
def begin_totp(request: Request, form: Form, db: AppDb, who: Who, now: Now) -> Response:
    """Ask for a code of the authenticator from now on, where whoever does so knows the password."""
    fields = form.allow(("old", "secret", "code"))
    try:
        with db.read() as session:
            row = accounts.get_reviewer(session, who.reviewer_id)
        if row.password is not None and row.totp is None:
            _prove(request, db, who, fields, now)
        with db.write() as session:
            row = accounts.get_reviewer(session, who.reviewer_id)
            codes = accounts.confirm_totp(session, row, fields.one("secret"), fields.one("code"), now=now)
    except AppError as error:
        with db.read() as session:
            return _account(request, session, who, now, error.status, begun=fields.one("secret"), notice=error.message)
    with db.read() as session:
        return _account(request, session, who, now, new_codes=codes)


@router.post("/account/totp/codes")
def renew_codes(request: Request, form: Form, db: AppDb, who: Who, now: Now) -> Response:
    """Ten new recovery codes, for whoever shows the password and a code; the ones before end."""
    fields = form.allow(("old", "code"))
    try:
        checked = _prove(request, db, who, fields, now)
        with db.write() as session:
            accounts.use_code(session, checked)
            row = accounts.get_reviewer(session, who.reviewer_id)
            if row.totp is None:
                raise ConflictError("There is no second factor, so there are no codes for when it is lost.")
            codes = accounts.make_recovery_codes(session, row)
    except AppError as error:
        with db.read() as session:
            return _account(request, session, who, now, error.status, notice=error.message)
    with db.read() as session:
        return _account(request, session, who, now, new_codes=codes)


@router.post("/account/totp/remove")
def end_totp(request: Request, form: Form, db: AppDb, who: Who, now: Now) -> Response:
    """Ask for the password alone from now on; whoever does so shows both once more."""
    fields = form.allow(("old", "code"))
    try:
        checked = _prove(request, db, who, fields, now)
        with db.write() as session:
            accounts.use_code(session, checked)
            accounts.remove_totp(session, accounts.get_reviewer(session, who.reviewer_id))
    except AppError as error:
        with db.read() as session:
            return _account(request, session, who, now, error.status, notice=error.message)
    return see_other("/account")


@router.post("/account/logins/{login_id}/end")
def end_login(session: Db, who: Who, now: Now, login_id: int) -> Response:
    """End one of one's logins, on whatever machine it is."""
    accounts.end_login(session, who.reviewer_id, login_id, now=now)
    return see_other("/login" if login_id == who.login_id else "/account")


@router.post("/account/tokens")
def make_token(request: Request, form: Form, session: Db, who: Who, now: Now) -> Response:
    """A token for a program; its secret is shown on this page and never again."""
    fields = form.allow(("name", "days"), ("scopes",))
    days = fields.one("days").strip()
    if days and not (days.isascii() and days.isdigit() and len(days) < 6):  # noqa: PLR2004
        raise BadInputError("A token ends after 1 to 3650 days, or never.", where="field days")
    accounts.refuse_useless(who.name, who.role, fields.many("scopes"))
    _, secret = accounts.make_token(
        session, who, fields.one("name"), fields.many("scopes"), now=now, days=int(days) if days else None
    )
    about(request, name=fields.one("name"), scopes=" ".join(sorted(fields.many("scopes"))))
    return _account(request, session, who, now, new_token=secret)


@router.post("/account/tokens/{token_id}/end")
def end_token(request: Request, session: Db, who: Who, now: Now, token_id: int) -> Response:
    """End one of one's tokens."""
    about(request, name=accounts.end_token(session, token_id, now=now, reviewer_id=who.reviewer_id).name)
    return see_other("/account")


@router.post("/account/project")
def enter_project(request: Request, form: Form, session: Db, who: Who) -> Response:
    """Go on in another project."""
    name = form.allow(("project",)).one("project")
    accounts.enter(session, who, name)
    about(request, name=name)
    return see_other("/queue")
