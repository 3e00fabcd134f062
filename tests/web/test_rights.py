"""Every route as everybody: which roles and which tokens reach it, and that nobody reaches another project."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlmodel import Session

from app import accounts, review
from app.accounts import SCOPES, Person
from app.db import Database
from app.main import create_app
from app.models import (
    CommentRow,
    DeliveryRow,
    PostingRow,
    QuarantineRow,
    ReviewerRow,
    Role,
    SourceRow,
    ThreadRow,
    TurnRow,
    WebhookRow,
)
from app.settings import Settings
from app.web import rights
from app.web.rights import RIGHTS
from tests.conftest import NOON
from tests.logs import read_issues

ROLES = list(Role)
HASHED = accounts.hash_password("nobody", "seven quiet wonders")
_ACT: dict[str, object] = {"version": 1, "key": "k"}
_RULING: dict[str, object] = {"gate": "left_out", "digest": "0" * 64, "reason": "because"}
BODIES: dict[str, dict[str, Any]] = {
    "/decisions": _ACT | {"verdict": "accept"},
    "/join": _ACT | {"other": 1},
    "/split": _ACT | {"part": 1},
    "/api/split": _ACT | {"other": 1},
    "/draft": {"version": 1},
    "/api/draft": {"version": 1, "texts": {}},
    "/edit": _ACT,
    "/check": _ACT,
    "/discard": {"field": "comment"},
    "/rulings": _RULING | {"in_force": "yes"},
    "/api/rulings": _RULING | {"in_force": True},
    "/withdraw": {"why": "because"},
    "/scores": {"scores": "higher"},
    "/retry": {"how": "again", "corrected": ""},
    "/undo": {"key": "k"},
    "/turns": {"to": "a-admin", "sentence": "look"},
    "/answers": {"text": "so", "key": "k"},
    "/settle": {"act": "resolve", "key": "k"},
    "/{comment_id}/edit": {"text": "so", "key": "k"},
    "/{thread_id}/edit": {"comment": "1", "text": "so", "key": "k"},
    "/{webhook_id}": {"do": "off"},
    "/{posting_id}": {"do": "again"},
    "/{number}": {"name": "another"},
    "/{candidate_id}": {"verdict": "accept", "count": "1", "key": "k"},
}
"""What a form or call sends, by the end of its address; every other sends nothing."""
QUERIES = {"/context": {"file": "1", "first": "1", "last": "1"}, "/diff": {"piece": "1"}}


NOT_MADE_HERE = {
    "GET /candidates/{candidate_id}/context", "GET /candidates/{candidate_id}/diff",
    "GET /candidates/{candidate_id}/examples/{example_id}", "GET /clusters/{candidate_id}",
    "GET /api/v1/candidates/{candidate_id}/draft", "POST /clusters/{candidate_id}",
    "POST /candidates/{candidate_id}/examples/{example_id}/rulings",
    "POST /api/v1/candidates/{candidate_id}/examples/{example_id}/rulings",
    "POST /candidates/{candidate_id}/gold/end", "DELETE /api/v1/candidates/{candidate_id}/gold",
    "PATCH /api/v1/views/{number}", "DELETE /api/v1/views/{number}", "GET /exports/{job_id}/download",
}  # fmt: skip
"""What one's own project has none of in these tests either, or not any more."""


BY_ITS_AUTHOR = {"POST /candidates/{candidate_id}/comments/{thread_id}/edit", "POST /api/v1/comments/{comment_id}/edit"}
"""Routes that refuse others of the same role as well."""
NO_ROWS = {"secret", "login", "token", "name", "path", "example"}
"""Parameters that name no row of a project, or one below a row that the address names too."""


@dataclass
class Server:
    """A server with accounts: one of each role, an outsider, and a project next door."""

    client: TestClient
    db: Database
    secrets: dict[str, str]
    here: dict[str, int]
    there: dict[str, int]

    def call(self, name: str, token: str | None, numbers: dict[str, int] | None = None, *, follow: bool = False) -> int:
        """The status that a route answers, its parameters filled in."""
        method, _, path = name.partition(" ")
        end, known = "/" + path.rpartition("/")[2], numbers or {}
        ends = "/" + "/".join(path.split("/")[-2:])
        end = ends if ends in BODIES else end
        # Of one's own logins and tokens none is ended.
        filled = re.sub(r"\{(login|token)_id\}", "9999", path)
        filled = re.sub(r"\{([a-z_]+)(:path)?\}", lambda found: str(known.get(key_of(path, found[1]), 1)), filled)
        headers = {} if token is None else {"Authorization": f"Bearer {self.secrets[token]}"}
        body, sent = BODIES.get(end, {}), dict[str, Any]()
        if method != "GET":
            is_api = filled.startswith("/api/")
            sent = {"json": BODIES.get(f"/api{end}", body)} if is_api else {"data": body}
        sent |= {"params": QUERIES.get(end, {}), "headers": headers}
        return self.client.request(method, filled, follow_redirects=follow, **sent).status_code

    def fill(self, token: str, project: int, number: int) -> dict[str, int]:
        """Make something of everything that an address may name; gives the last number of each."""
        headers = {"Authorization": f"Bearer {self.secrets[token]}"}

        def send(path: str, body: object = None, **more: Any) -> dict[str, int]:
            answer = self.client.post(path, json=body, headers=headers, **more)
            assert answer.status_code < 400, answer.text
            found: dict[str, int] = answer.json() if body is not None else {}
            return found

        send("/ingest", files=[("files", (name, b'{"issue": "cut her\n')) for name in ("a.jsonl", "b.jsonl")])
        made = {}
        for name in ("one", "two")[:number]:
            made["view"] = send("/api/v1/views", {"name": name, "filter": "status:pending"})["id"]
            made["release"] = send("/api/v1/releases", {"name": name})["number"]
            said = {"field": "diff", "at": 4, "text": "Why?", "key": f"{token} {name}"}
            candidate = (self.here if number == 1 else self.there)["candidate"]
            thread: dict[str, Any] = send(f"/api/v1/candidates/{candidate}/comments", said)
            made |= {"thread": thread["id"], "comment": thread["comments"][0]["id"]}
        bulk = {"filter": {"status": "pending"}, "verdict": "accept", "count": 1, "key": token}
        made["job"] = send("/api/v1/bulk", bulk)["job"]
        with self.db.read() as session:
            for name, table in (("source", SourceRow), ("delivery", DeliveryRow), ("quarantine", QuarantineRow)):
                newest = select(func.max(table.id)).where(table.project_id == project)  # type: ignore[arg-type]
                made[name] = session.execute(newest).scalar() or 0
        return made

    def note(self, project: int, numbers: dict[str, int]) -> dict[str, int]:
        """Put rows there that pages make only of others: a turn, a comment, a webhook and its message."""
        reviewer, key = numbers.get("reviewer", 1), str(project)
        at: dict[str, Any] = {"candidate_id": numbers["candidate"], "project_id": project}
        with self.db.write() as session:
            turn = TurnRow(**at, from_id=reviewer, to_id=reviewer, sentence="look", sent_at=NOON)
            thread = ThreadRow(**at, candidate_version=1, field="script", digest=b"", at=0, place=0, line="")
            hook = WebhookRow(project_id=project, url="https://x.example", secret="x", made_at=NOON)
            session.add_all([turn, thread, hook])
            session.flush()
            said: dict[str, Any] = {
                "act": "say",
                "is_resolved": False,
                "blocks": False,
                "reviewer_id": reviewer,
                "made_at": NOON,
            }
            comment = CommentRow(thread_id=thread.id or 0, key=key, **said)
            sent = PostingRow(
                webhook_id=hook.id or 0, key=key, message_id=key, event="decision", body="", next_at=NOON, made_at=NOON
            )
            session.add_all([comment, sent])
            session.flush()
            rows = {"turn": turn, "thread": thread, "webhook": hook, "comment": comment, "posting": sent}
            return {name: row.id or 0 for name, row in rows.items()}  # type: ignore[attr-defined]


def key_of(path: str, parameter: str) -> str:
    """What a parameter names: `number` is a view's or a release's."""
    if parameter in {"number", "first", "second"}:
        return "view" if "/views/" in path else "release"
    return parameter.removesuffix("_id")


@pytest.fixture
def settings(sqlite_template: Path, tmp_path: Path) -> Settings:
    """On SQLite alone: what a role may has nothing to do with the database, and there are a thousand calls."""
    shutil.copy(sqlite_template, tmp_path / "patchsift.db")
    return Settings(data_dir=tmp_path, allowed_hosts="testserver")


@pytest.fixture
def server(settings: Settings, db: Database, tmp_path: Path) -> Iterator[Server]:
    with db.write() as session:
        here = review.ensure_project(session, "default", now=NOON).id or 0
        there = review.ensure_project(session, "next door", now=NOON).id or 0
    (mine,) = read_issues(db, settings, here, tmp_path, "Fix the parser")
    (foreign,) = read_issues(db, settings, there, tmp_path, "Name the reader")
    tokens: dict[str, str] = {}

    def make(session: Session, row: ReviewerRow, project: int, name: str, scopes: list[str]) -> None:
        person = Person(row.id or 0, row.name, project, Role.ADMIN)
        tokens[name] = accounts.make_token(session, person, name, scopes, now=NOON)[1]

    with db.write() as session:
        for role in ROLES:
            row = accounts.create(session, f"a-{role}", hashed=HASHED, now=NOON)
            accounts.set_role(session, here, row.id or 0, role)
            make(session, row, here, role, list(SCOPES))
        for scope in SCOPES:
            make(session, row, here, f"only {scope}", [scope])
        outsider = accounts.create(session, "outsider", hashed=HASHED, now=NOON)
        accounts.set_role(session, there, outsider.id or 0, Role.ADMIN)
        make(session, outsider, here, "outsider", list(SCOPES))
        make(session, outsider, there, "next door", list(SCOPES))
    with TestClient(create_app(settings, db)) as client:
        made = Server(client, db, tokens, {"candidate": mine}, {"candidate": foreign, "reviewer": outsider.id or 0})
        made.here |= made.fill("admin", here, 1)
        made.there |= made.fill("next door", there, 2)
        made.here |= made.note(here, made.here | {"reviewer": row.id or 0})
        made.there |= made.note(there, made.there)
        yield made


def routes(client: TestClient) -> set[str]:
    """Every route of the application that is no static file."""
    found = set()
    for route in client.app.router.routes:  # type: ignore[attr-defined]
        inner = getattr(route, "original_router", None)
        for one in inner.routes if inner is not None else [route]:
            if isinstance(one, APIRoute) or hasattr(one, "methods"):
                found |= {f"{method} {one.path}" for method in one.methods or () if method != "HEAD"}
    return found


def test_no_token_is_made_that_no_route_would_take() -> None:
    for role in ROLES:
        taken = {one.scope for one in RIGHTS.values() if one and ROLES.index(role) >= ROLES.index(one.role)}
        assert set(accounts.usable_scopes(role)) == taken & set(SCOPES)


def test_every_route_has_a_row_and_every_row_a_route(server: Server) -> None:
    assert routes(server.client) == set(RIGHTS)


def test_nobody_reaches_what_is_not_for_everybody(server: Server) -> None:
    for name, right in RIGHTS.items():
        status = server.call(name, None)
        if right is None:
            # An empty login is refused by the login itself.
            assert status not in {401, 403} or name == "POST /login", name
        elif name.startswith("GET ") and "/api/" not in name:
            assert status == 303, name
        else:
            assert status == 401, name


def test_each_role_reaches_what_its_row_says_and_no_more(server: Server) -> None:
    for name, right in RIGHTS.items():
        for role in ROLES if right is not None else ():
            assert right is not None
            status = server.call(name, role, server.here)
            may = ROLES.index(role) >= ROLES.index(right.role) and right.scope in SCOPES
            if not (may and name in BY_ITS_AUTHOR):
                assert (status == 403) == (not may), (name, role, status)
            assert status < 500, (name, role)


def test_a_token_reaches_what_its_scope_says(server: Server) -> None:
    for name, right in RIGHTS.items():
        for scope in SCOPES if right is not None else ():
            assert right is not None
            status = server.call(name, f"only {scope}", server.here)
            assert (status == 403) == (scope != right.scope), (name, scope, status)


def test_a_token_that_reads_changes_nothing() -> None:
    changing = [name for name, right in RIGHTS.items() if right and right.scope == "read" and "GET " not in name]
    assert changing == []


def test_who_is_no_member_is_nobody(server: Server) -> None:
    assert {server.call(name, "outsider") for name, right in RIGHTS.items() if right and "/api/" in name} == {401}


def test_what_lies_in_another_project_is_not_there(server: Server) -> None:
    reached, missing = [], []
    for name, right in RIGHTS.items():
        keys = {key_of(name, found) for found, _ in re.findall(r"\{([a-z_]+)(:path)?\}", name)}
        named = keys & (server.there.keys())
        assert keys <= named | NO_ROWS, f"{name}: make one of these in another project"
        if right is None or not named or right.scope not in SCOPES:
            continue
        # Next and previous lead to what is one's own, where there is anything.
        if name.endswith(("/next", "/previous")):
            assert server.call(name, "admin", server.there) == 303
            continue
        if (status := server.call(name, "admin", server.there, follow=True)) != 404:
            reached.append((name, status))
        if name not in NOT_MADE_HERE and server.call(name, "admin", server.here, follow=True) == 404:
            missing.append(name)
    assert (reached, missing) == ([], [])


def test_what_a_body_names_of_another_project_is_not_there(server: Server) -> None:
    shown = {"Authorization": f"Bearer {server.secrets['admin']}"}
    here, there = server.here["candidate"], server.there["candidate"]

    def state() -> list[Any]:
        """All that another project's admin can read of what is theirs."""
        mine = {"Authorization": f"Bearer {server.secrets['next door']}"}
        paths = (
            f"/api/v1/candidates/{there}",
            f"/api/v1/candidates/{there}/comments",
            "/api/v1/turns",
            "/api/v1/views",
        )
        return [server.client.get(path, headers=mine).text for path in paths]

    def call(path: str, **body: Any) -> int:
        kept: dict[str, Any] = {"json": body} if path.startswith(("/api/", "/queue/")) else {"data": body}
        return server.client.post(path, headers=shown, follow_redirects=False, **kept).status_code

    before, version = state(), server.client.get(f"/api/v1/candidates/{here}", headers=shown).json()["version"]
    thread = f"/candidates/{here}/comments/{server.here['thread']}"
    assert [
        call(f"/api/v1/candidates/{here}/join", other=there, version=version, key="1"),
        call(f"/api/v1/candidates/{here}/split", other=there, version=version, key="2"),
        call(f"/clusters/{here}", member=f"{there}.1", verdict="accept", count="1", key="3"),
        call("/api/v1/bulk", filter={"q": f"id:{there}"}, verdict="accept", count=1, key="4"),
        call(f"/api/v1/candidates/{here}/turns", to="outsider", sentence="look"),
        call("/api/v1/undo", key="5", of="next door"),
        call(f"{thread}/edit", comment=str(server.there["comment"]), text="x", key="6"),
        call("/queue/visit", candidate=there, version=1),
        call("/queue/visit", candidate=here, version=1, dealt=[there], take_over=True),
        call("/queue/leave", candidate=there, dealt=[there]),
    ] == [404, 404, 404, 422, 422, 409, 404, 404, 303, 204]
    for said in (f"like:{there}", f"group:{there}", f"upload:{server.there['source']}", f"id:{there}"):
        found = server.client.get("/api/v1/candidates", params={"q": said}, headers=shown).json()
        assert found["candidates"] == [], said
    assert state() == before


def test_the_table_is_read_in_one_place() -> None:
    """A route that reads the person itself would be no row of the table."""
    folder = Path(rights.__file__).parent
    readers = {path.name for path in folder.glob("*.py") if ".may(" in path.read_text(encoding="utf-8")}
    # What stands beside a page asks whether a person reviews; nobody is let in by it.
    assert readers == {"rights.py", "beside.py"}
