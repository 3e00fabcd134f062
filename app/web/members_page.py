"""Members of a project, people and projects of the server, the audit log."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from fastapi import APIRouter, Request
from sqlmodel import Session
from starlette.responses import Response, StreamingResponse

from app import accounts, audit, deeds, review
from app.accounts import Person
from app.audit import Decided, Wanted
from app.errors import BadInputError, ConflictError, NotFoundError
from app.models import AuditRow, LoginRow, ProjectRow, ReviewerRow, Role, TokenRow
from app.settings import Settings
from app.web.deps import AppDb, Db, Now, Who
from app.web.forms import Form
from app.web.render import as_json, page, see_other, url
from app.web.rights import about

router = APIRouter()
_PAGE = 100
_DIGITS = 10
_LONGEST_PROJECT = 64
_BRIEF = ("candidate", "version", "reasons", "undoes", "other", "bulk", "asked")


@dataclass(frozen=True)
class MembersView:
    """What `members.html` may read."""

    project: str
    members: list[tuple[ReviewerRow, Role]]
    roles: list[str]
    may_create: bool
    notice: str
    link: str
    typed: str


@dataclass(frozen=True)
class ServerView:
    """What `server.html` may read; `nobody` is the row that stands for whoever has no account."""

    people: list[ReviewerRow]
    nobody: int | None
    n_logins: dict[int, int]
    projects: list[ProjectRow]
    started_with: str
    logins: list[tuple[LoginRow, str]]
    tokens: list[tuple[TokenRow, str]]
    notice: str
    link: str
    typed: str


@dataclass(frozen=True)
class AuditView:
    """What `audit.html` may read: rows, each as a sentence with the facts that it does not say; names of projects."""

    rows: Sequence[tuple[AuditRow | Decided, str, Sequence[tuple[str, object]]]]
    projects: Mapping[int | None, str]
    wanted: Wanted
    tabs: Sequence[tuple[str, str, bool]]
    decided: bool
    older: str
    download: str
    of_server: bool


# ------------------------------------------------------------------------------------------------ members


def _members(
    request: Request,
    session: Session,
    who: Person,
    *,
    notice: str = "",
    link: str = "",
    typed: str = "",
    status: int = 200,
) -> Response:
    view = MembersView(
        project=accounts.get_project(session, who.project_id).name,
        members=accounts.list_members(session, who.project_id),
        roles=[one.value for one in Role],
        may_create=who.is_admin,
        notice=notice,
        link=link,
        typed=typed,
    )
    return page(request, "members.html", view, status=status)


@router.get("/members")
def show_members(request: Request, session: Db, who: Who) -> Response:
    """Who may do what in the project."""
    return _members(request, session, who)


@router.post("/members")
def add_member(request: Request, form: Form, session: Db, who: Who, now: Now) -> Response:
    """Make somebody a member; an administrator of the server makes people by it, with a link for their password."""
    fields = form.allow(("name", "role"))
    name, link = fields.one("name").strip(), ""
    try:
        person = accounts.get_person(session, name)
    except NotFoundError as error:
        if not who.is_admin:
            message = f"{error.message} Ask an administrator of the server to add them."
            return _members(request, session, who, notice=message, typed=name, status=error.status)
        person = accounts.create(session, name, now=now)
    accounts.add_member(session, who, person.id or 0, fields.one("role"))
    about(request, name=person.name, role=fields.one("role"))
    # Whoever has the link is that person on the whole server, so it is not for the admins of one project.
    if who.is_admin and not accounts.comes_in(person):
        link = _link(request, accounts.make_ticket(session, person.id, now=now))
    return _members(request, session, who, link=link, typed=name)


def _link(request: Request, secret: str) -> str:
    config: Settings = request.app.state.settings
    return (config.public_url or str(request.base_url)).rstrip("/") + f"/come-in/{secret}"


@router.post("/members/{reviewer_id}")
def change_member(request: Request, form: Form, session: Db, who: Who, now: Now, reviewer_id: int) -> Response:
    """Another role, or none."""
    fields = form.allow(("role", "do"))
    role = None if fields.one("do") == "remove" else fields.one("role")
    accounts.change_member(session, who, reviewer_id, role, now=now)
    about(request, name=accounts.get_reviewer(session, reviewer_id).name, role=role or "none")
    return see_other("/members")


# ------------------------------------------------------------------------------------------------ the server


def _server(request: Request, session: Session, now: Now, *, link: str = "", typed: str = "") -> Response:
    people = accounts.list_people(session)
    names = {one.id: one.name for one in people}
    view = ServerView(
        people=people,
        nobody=next((one.id for one in people if accounts.is_nobody(one)), None),
        n_logins=accounts.count_logins(session, now=now),
        projects=accounts.list_all_projects(session),
        started_with=request.app.state.settings.project,
        logins=[(one, names.get(one.reviewer_id, "")) for one in accounts.list_logins(session, None, now=now)],
        tokens=[(one, names.get(one.reviewer_id, "")) for one in accounts.list_tokens(session)],
        notice="",
        link=link,
        typed=typed,
    )
    return page(request, "server.html", view)


@router.get("/server")
def show_server(request: Request, session: Db, now: Now) -> Response:
    """People, logins, projects and tokens of the whole server."""
    return _server(request, session, now)


@router.post("/server/people")
def add_person(request: Request, form: Form, session: Db, now: Now) -> Response:
    """Somebody new, with a link for their password."""
    person = accounts.create(session, form.allow(("name",)).one("name").strip(), now=now)
    about(request, name=person.name)
    link = _link(request, accounts.make_ticket(session, person.id, now=now))
    return _server(request, session, now, link=link, typed=person.name)


@router.post("/server/people/{reviewer_id}")
def change_person(request: Request, form: Form, session: Db, now: Now, reviewer_id: int) -> Response:
    """A link for a new password, an end of logins, lock out, let in, make an administrator or none."""
    person = accounts.get_reviewer(session, reviewer_id)
    what = form.allow(("do",)).one("do")
    about(request, name=person.name, do=what)
    if what == "link":
        if person.disabled_at is not None:
            raise ConflictError(f"{person.name} is locked out. Let them in again first.")
        link = _link(request, accounts.make_ticket(session, person.id, now=now))
        return _server(request, session, now, link=link, typed=person.name)
    acts = {
        "end": lambda: accounts.end_logins(session, reviewer_id, now=now),
        "disable": lambda: accounts.disable(session, person, now=now),
        "enable": lambda: accounts.enable(session, person),
        "admin": lambda: accounts.set_admin(session, person, is_admin=True),
        "not-admin": lambda: accounts.set_admin(session, person, is_admin=False),
    }
    if what not in acts:
        raise BadInputError(f"do must be one of link, {', '.join(acts)}.", where="field do")
    acts[what]()
    return see_other("/server")


@router.post("/server/logins/{login_id}/end")
def end_login(request: Request, session: Db, now: Now, login_id: int) -> Response:
    """End anybody's login: the next request that it comes with is answered no more."""
    ended = accounts.end_login(session, None, login_id, now=now)
    about(request, name=accounts.get_reviewer(session, ended).name)
    return see_other("/server#h-logins")


@router.post("/server/tokens/{token_id}/end")
def end_token(request: Request, session: Db, now: Now, token_id: int) -> Response:
    """End anybody's token."""
    ended = accounts.end_token(session, token_id, now=now)
    about(request, name=ended.name, of=accounts.get_reviewer(session, ended.reviewer_id).name)
    return see_other("/server#h-tokens")


@router.post("/server/projects")
def add_project(request: Request, form: Form, session: Db, now: Now) -> Response:
    """Another project; administrators of the server may do everything in it. With `project`: its new name."""
    fields = form.allow(("name", "project"))
    name, number = fields.one("name").strip(), _number(fields.one("project"), "project")
    if not 0 < len(name) <= _LONGEST_PROJECT or not name.isprintable():
        raise BadInputError(f"A project's name has 1 to {_LONGEST_PROJECT} characters.", where="field name")
    if number is None:
        accounts.refuse_taken(session, name)
        review.ensure_project(session, name, now=now)
        about(request, name=name)
    else:
        before = accounts.rename_project(session, number, name, started_with=request.app.state.settings.project)
        about(request, name=name, before=before)
    return see_other("/server#h-projects")


# ------------------------------------------------------------------------------------------------ audit


@router.get("/audit")
def show_audit(request: Request, session: Db, who: Who) -> Response:
    """What was changed, by whom, when and from where; of the project, or for administrators of the whole server."""
    asked = dict(request.query_params)
    wanted, before, decided = _wanted(asked), _number(asked.pop("before", ""), "before"), _is_decided(asked)
    rows: Sequence[AuditRow | Decided]
    if decided:
        rows = audit.list_decided(session, _of(who), wanted, who.reviewer_id, before=before, limit=_PAGE + 1)
    else:
        rows = audit.list_page(session, _of(who), wanted, before=before, limit=_PAGE + 1)
    older = url("/audit", **asked | {"before": str(rows[_PAGE - 1].id)}) if len(rows) > _PAGE else ""
    kept = {name: value for name, value in asked.items() if name not in {"log", "what"}}
    tabs = [
        ("Changes", url("/audit", **kept), not decided),
        ("Decisions", url("/audit", log="decisions", **kept), decided),
    ]
    download = url("/audit.jsonl", **asked)
    shown = [(row, deeds.tell(row.what, row.about) or row.what, _brief(row)) for row in rows[:_PAGE]]
    names = {one.id: one.name for one in accounts.list_all_projects(session)} if who.is_admin else {}
    return page(request, "audit.html", AuditView(shown, names, wanted, tabs, decided, older, download, who.is_admin))


def _brief(row: AuditRow | Decided) -> list[tuple[str, object]]:
    """What a row of the page says besides; the download says all of it."""
    if isinstance(row, AuditRow):
        return deeds.left(row.what, row.about)
    said = ((name, row.about.get(name)) for name in _BRIEF)
    return [(name, ", ".join(value) if isinstance(value, list) else value) for name, value in said if value]


def _is_decided(asked: Mapping[str, str]) -> bool:
    log = asked.get("log", "")
    if log not in {"", "decisions"}:
        raise BadInputError(f"log must be decisions, or be left out; it is {log[:20]!r}.", where="field log")
    return bool(log)


def _wanted(asked: Mapping[str, str]) -> Wanted:
    days = {name: _day(asked.get(name, ""), name) for name in ("since", "until")}
    return Wanted(asked.get("who", "").strip(), asked.get("what", "").strip(), **days)


def _day(said: str, name: str) -> date | None:
    try:
        return date.fromisoformat(said) if said else None
    except ValueError as error:
        message = f"{name} must be a day such as 2026-01-31; it is {said[:20]!r}."
        raise BadInputError(message, where=f"field {name}") from error


def _number(said: str, name: str) -> int | None:
    if said and not (said.isascii() and said.isdigit() and len(said) < _DIGITS):
        raise BadInputError(f"{name} must be a number; it is {said[:20]!r}.", where=f"field {name}")
    return int(said) if said else None


def _of(who: Person) -> int | None:
    return None if who.is_admin else who.project_id


@router.get("/audit.jsonl")
def download_audit(request: Request, db: AppDb, who: Who) -> Response:
    """The log in order, a row a line, with the digests; the filters of the page narrow it."""
    wanted, decided = _wanted(request.query_params), _is_decided(request.query_params)

    def lines() -> Iterator[bytes]:
        with db.read() as session:
            rows: Iterator[AuditRow | Decided] = (
                audit.scan_decided(session, _of(who), wanted, who.reviewer_id)
                if decided
                else audit.scan(session, _of(who), wanted)
            )
            for row in rows:
                yield bytes(as_json(audit.as_json(row)).body)

    name = "decisions" if decided else "audit"
    headers = {"Content-Disposition": f'attachment; filename="{name}.jsonl"'}
    return StreamingResponse(lines(), media_type="application/jsonl", headers=headers)
