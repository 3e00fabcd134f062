"""Every route as everybody: which roles and which tokens reach it, and that nobody reaches another project."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from app import accounts, review
from app.accounts import SCOPES, Person
from app.db import Database
from app.main import create_app
from app.models import ReviewerRow, Role
from app.settings import Settings
from app.web import rights
from app.web.rights import RIGHTS
from tests.conftest import NOON
from tests.logs import read_issues

ROLES = list(Role)
HASHED = accounts.hash_password("nobody", "seven quiet wonders")
_MANY = 17
_BODIES: dict[str, dict[str, object]] = {
    "decisions": {"verdict": "accept", "version": 1, "key": "k"},
    "join": {"other": 1, "version": 1, "key": "k"},
    "split": {"part": 1, "version": 1, "key": "k"},
}


@dataclass
class Server:
    """A server with accounts: one of each role, an outsider, and a project next door."""

    client: TestClient
    db: Database
    secrets: dict[str, str]
    candidate: int
    foreign: int

    def call(self, name: str, token: str | None, candidate: int = 1, *, follow: bool = False) -> int:
        """The status that a route answers, its parameters filled in."""
        method, _, path = name.partition(" ")
        filled = re.sub(r"\{candidate_id\}", str(candidate), path)
        # Of one's own logins and tokens none is ended.
        filled = re.sub(r"\{(login|token)_id\}", "9999", filled)
        filled = re.sub(r"\{[a-z_]+(:path)?\}", "1", filled)
        headers = {} if token is None else {"Authorization": f"Bearer {self.secrets[token]}"}
        body = _BODIES.get(filled.rpartition("/")[2], {}) if method == "POST" else None
        sent = {"json": body} if filled.startswith("/api/") else {"data": body}
        return int(
            self.client.request(method, filled, headers=headers, follow_redirects=follow, **sent).status_code  # type: ignore[arg-type]
        )


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
    with db.write() as session:
        for role in ROLES:
            row = accounts.create(session, f"a-{role}", hashed=HASHED, now=NOON)
            accounts.set_role(session, here, row.id or 0, role)
            person = Person(row.id or 0, row.name, here, role)
            tokens[role] = accounts.make_token(session, person, "all", list(SCOPES), now=NOON)[1]
        for scope in SCOPES:
            row = session.get_one(ReviewerRow, row.id)
            person = Person(row.id or 0, row.name, here, Role.ADMIN)
            tokens[f"only {scope}"] = accounts.make_token(session, person, scope, [scope], now=NOON)[1]
        outsider = accounts.create(session, "outsider", hashed=HASHED, now=NOON)
        person = Person(outsider.id or 0, "outsider", here, Role.ADMIN)
        tokens["outsider"] = accounts.make_token(session, person, "all", list(SCOPES), now=NOON)[1]
    with TestClient(create_app(settings, db)) as client:
        yield Server(client, db, tokens, mine, foreign)


def routes(client: TestClient) -> set[str]:
    """Every route of the application that is no static file."""
    found = set()
    for route in client.app.router.routes:  # type: ignore[attr-defined]
        inner = getattr(route, "original_router", None)
        for one in inner.routes if inner is not None else [route]:
            if isinstance(one, APIRoute) or hasattr(one, "methods"):
                found |= {f"{method} {one.path}" for method in one.methods or () if method != "HEAD"}
    return found


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
            status = server.call(name, role, server.candidate)
            may = ROLES.index(role) >= ROLES.index(right.role)
            if name.partition(" ")[2].startswith("/server"):
                assert status == 403, (name, role)
            else:
                assert (status == 403) == (not may), (name, role, status)
            assert status < 500, (name, role)


def test_a_token_reaches_what_its_scope_says(server: Server) -> None:
    for name, right in RIGHTS.items():
        if right is None or name.partition(" ")[2].startswith("/server"):
            continue
        for scope in SCOPES:
            status = server.call(name, f"only {scope}", server.candidate)
            assert (status == 403) == (scope != right.scope), (name, scope, status)


def test_who_is_no_member_is_nobody(server: Server) -> None:
    assert {server.call(name, "outsider") for name, right in RIGHTS.items() if right and "/api/" in name} == {401}


def test_what_lies_in_another_project_is_not_there(server: Server) -> None:
    about = [name for name in RIGHTS if "{candidate_id}" in name]
    assert len(about) > _MANY
    for name in about:
        # Next and previous lead to what is one's own.
        wanted = {200} if name.endswith(("/next", "/previous")) else {404, 422}
        assert server.call(name, "admin", server.foreign, follow=True) in wanted, name


def test_the_table_is_read_in_one_place() -> None:
    """A route that reads the person itself would be no row of the table."""
    folder = Path(rights.__file__).parent
    readers = {path.name for path in folder.glob("*.py") if ".may(" in path.read_text(encoding="utf-8")}
    assert readers == {"rights.py"}
