"""Members of a project, people and projects of the server, the audit log."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import APIRouter, Request
from sqlmodel import Session
from starlette.responses import Response, StreamingResponse

from app import accounts, audit, review
from app.accounts import Person
from app.audit import Wanted
from app.errors import BadInputError, NotFoundError, RefusedError
from app.models import AuditRow, ProjectRow, ReviewerRow, Role, TokenRow
from app.web.deps import AppDb, Db, Now, Who
from app.web.forms import Form
from app.web.render import as_json, page, see_other, url

router = APIRouter()
_PAGE = 100
_LONGEST_PROJECT = 64


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
    """What `server.html` may read."""

    people: list[ReviewerRow]
    n_logins: dict[int, int]
    projects: list[ProjectRow]
    tokens: list[tuple[TokenRow, str]]
    notice: str
    link: str
    typed: str


@dataclass(frozen=True)
class AuditView:
    """What `audit.html` may read."""

    rows: list[AuditRow]
    wanted: Wanted
    older: str


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
    accounts.set_role(session, who.project_id, person.id or 0, fields.one("role"))
    if person.password is None:
        link = _link(request, accounts.make_ticket(session, person.id, now=now))
    return _members(request, session, who, link=link, typed=name)


def _link(request: Request, secret: str) -> str:
    return str(request.base_url).rstrip("/") + f"/come-in/{secret}"


@router.post("/members/{reviewer_id}")
def change_member(form: Form, session: Db, who: Who, reviewer_id: int) -> Response:
    """Another role, or none."""
    fields = form.allow(("role", "do"))
    role = None if fields.one("do") == "remove" else fields.one("role")
    accounts.change_member(session, who, reviewer_id, role)
    return see_other("/members")


# ------------------------------------------------------------------------------------------------ the server


def _only_administrators(who: Person) -> None:
    if not who.is_admin:
        raise RefusedError("This is for administrators of the server.")


def _server(request: Request, session: Session, now: Now, *, link: str = "", typed: str = "") -> Response:
    people = accounts.list_people(session)
    names = {one.id: one.name for one in people}
    view = ServerView(
        people=people,
        n_logins=accounts.count_logins(session, now=now),
        projects=accounts.list_all_projects(session),
        tokens=[(one, names.get(one.reviewer_id, "")) for one in accounts.list_tokens(session)],
        notice="",
        link=link,
        typed=typed,
    )
    return page(request, "server.html", view)


@router.get("/server")
def show_server(request: Request, session: Db, who: Who, now: Now) -> Response:
    """People, projects and tokens of the whole server."""
    _only_administrators(who)
    return _server(request, session, now)


@router.post("/server/people")
def add_person(request: Request, form: Form, session: Db, who: Who, now: Now) -> Response:
    """Somebody new, with a link for their password."""
    _only_administrators(who)
    person = accounts.create(session, form.allow(("name",)).one("name").strip(), now=now)
    link = _link(request, accounts.make_ticket(session, person.id, now=now))
    return _server(request, session, now, link=link, typed=person.name)


@router.post("/server/people/{reviewer_id}")
def change_person(request: Request, form: Form, session: Db, who: Who, now: Now, reviewer_id: int) -> Response:
    """A link for a new password, an end of logins, lock out, let in, make an administrator or none."""
    _only_administrators(who)
    person = accounts.get_reviewer(session, reviewer_id)
    what = form.allow(("do",)).one("do")
    if what == "link":
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


@router.post("/server/projects")
def add_project(form: Form, session: Db, who: Who, now: Now) -> Response:
    """Another project; whoever makes it may everything in it."""
    _only_administrators(who)
    name = form.allow(("name",)).one("name").strip()
    if not 0 < len(name) <= _LONGEST_PROJECT or not name.isprintable():
        raise BadInputError(f"A project's name has 1 to {_LONGEST_PROJECT} characters.", where="field name")
    review.ensure_project(session, name, now=now)
    return see_other("/server")


# ------------------------------------------------------------------------------------------------ audit


@router.get("/audit")
def show_audit(
    request: Request, session: Db, person: Who, before: int | None = None, who: str = "", what: str = ""
) -> Response:
    """What was changed, by whom, when and from where; of the project, or for administrators of the whole server."""
    wanted = Wanted(who, what)
    rows = audit.list_page(session, _of(person), wanted, before=before, limit=_PAGE + 1)
    older = url("/audit", before=rows[_PAGE - 1].id, who=wanted.who, what=wanted.what) if len(rows) > _PAGE else ""
    return page(request, "audit.html", AuditView(rows[:_PAGE], wanted, older))


def _of(who: Person) -> int | None:
    return None if who.is_admin else who.project_id


@router.get("/audit.jsonl")
def download_audit(db: AppDb, who: Who) -> Response:
    """The whole log in order, a row a line, with the digests."""

    def lines() -> Iterator[bytes]:
        with db.read() as session:
            for row in audit.scan(session, _of(who)):
                yield bytes(as_json(audit.as_json(row)).body)

    headers = {"Content-Disposition": 'attachment; filename="audit.jsonl"'}
    return StreamingResponse(lines(), media_type="application/jsonl", headers=headers)
