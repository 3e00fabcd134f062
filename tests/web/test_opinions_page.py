"""Several opinions in the browser and by JSON: nobody reads another's before all have spoken; then a curator does."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from starlette.responses import Response

from app import accounts, ingest, projects, releases, review, worker
from app.accounts import SCOPES, Person
from app.db import Database
from app.main import create_app
from app.models import Role
from app.releases import Spec
from app.settings import Settings
from app.web.rights import RIGHTS
from tests.conftest import NOON, noon
from tests.logs import SCRIPT, read_issues
from tests.web.pages import HTMX, hidden, text

MARK = "wherefore-art-thou"
EDITED = SCRIPT + f"# {MARK}\n"
ROLES = {"ann": Role.REVIEWER, "ben": Role.REVIEWER, "cleo": Role.CURATOR, "dora": Role.ADMIN}


@dataclass
class Server:
    client: TestClient
    db: Database
    settings: Settings
    project: int
    secrets: dict[str, str]
    ids: list[int]

    def ask(self, who: str, method: str, path: str, **more: object) -> Response:
        headers = {"Authorization": f"Bearer {self.secrets[who]}"}
        return self.client.request(method, path, headers=headers, **more)  # type: ignore[arg-type, return-value]

    def says(self, who: str, verdict: str, number: int, **more: object) -> dict[str, object]:
        candidate = self.ask(who, "GET", f"/api/v1/candidates/{number}").json()  # type: ignore[attr-defined]
        body = {"verdict": verdict, "version": candidate["version"], "key": f"{who}-{number}-{verdict}"} | more
        answer = self.ask(who, "POST", f"/api/v1/candidates/{number}/decisions", json=body)
        assert answer.status_code == 200, answer.body
        found: dict[str, object] = answer.json()  # type: ignore[attr-defined]
        return found


@pytest.fixture
def settings(sqlite_template: Path, tmp_path: Path) -> Settings:
    """On SQLite alone: tests/test_opinions.py asks both databases what this only shows."""
    shutil.copy(sqlite_template, tmp_path / "patchsift.db")
    return Settings(data_dir=tmp_path, allowed_hosts="testserver")


@pytest.fixture
def server(settings: Settings, db: Database, tmp_path: Path) -> Iterator[Server]:
    with db.write() as session:
        project = review.ensure_project(session, "default", now=NOON).id or 0
        projects.change_settings(session, project, {"opinions": {"asked": 2}})
    ids = read_issues(db, settings, project, tmp_path, "Fix the parser", "Name the reader")
    ingest.finish(db, project, now=noon)
    secrets = {}
    with db.write() as session:
        for name, role in ROLES.items():
            row = accounts.create(session, name, hashed="x", now=NOON)
            accounts.set_role(session, project, row.id or 0, role)
            person = Person(row.id or 0, name, project, role)
            secrets[name] = accounts.make_token(session, person, "all", list(SCOPES), now=NOON)[1]
    with TestClient(create_app(settings, db), headers={"Sec-Fetch-Site": "same-origin"}) as client:
        yield Server(client, db, settings, project, secrets, ids)


def _paths(number: int) -> list[str]:
    """Every address that can be read, filled in; with lists by what was said, which must not find it."""
    paths = []
    for name in RIGHTS:
        method, _, path = name.partition(" ")
        if method == "GET" and not path.startswith(("/server", "/come-in")):
            paths.append(re.sub(r"\{[a-z_]+(:path)?\}", "1", path.replace("{candidate_id}", str(number))))
    asked = ("by:ann", "reason:wrong_fix", "opinion:edit", "opinion_by:ann", "agreement:yes", "status:edited")
    paths += [f"{page}?log=decisions" for page in ("/audit", "/audit.jsonl")]
    return [*paths, *(f"{page}?q={one}" for one in asked for page in ("/queue", "/api/v1/candidates"))]


def test_no_page_and_no_answer_tells_what_another_said(server: Server) -> None:
    one, two = server.ids
    server.says("ann", "edit", one, edited={"script": EDITED}, comment=MARK, rating=2)
    server.says("ann", "reject", two, reasons=["wrong_fix"], comment=MARK)

    said = {"field": "script", "at": 1, "text": MARK, "blocks": True, "key": "said"}
    assert server.ask("ann", "POST", f"/api/v1/candidates/{one}/comments", json=said).status_code == 200

    survey = text(server.ask("ben", "GET", f"/bulk?q=id:{one}").text)  # type: ignore[attr-defined]
    assert ("Decide 1 candidate" in survey, "blocks" in survey, "decided on before" in survey) == (True, False, False)
    for who, number in (("ben", one), ("dora", two)):
        for path in _paths(number):
            shown = server.ask(who, "GET", path)
            assert MARK not in shown.text, (who, path)  # type: ignore[attr-defined]
            assert shown.status_code < 500, path
            if path.startswith("/api/v1/candidates?"):
                assert json.loads(shown.text)["candidates"] == [], path  # type: ignore[attr-defined]
    # And neither does being refused, nor what is given next.
    stale = {"verdict": "accept", "version": 7, "key": "stale"}
    assert "ann" not in server.ask("ben", "POST", f"/api/v1/candidates/{one}/decisions", json=stale).text  # type: ignore[attr-defined]
    given = server.ask("ben", "POST", "/api/v1/queue/next")
    assert given.json()["candidate"]["id"] == one  # type: ignore[attr-defined]
    assert MARK not in given.text  # type: ignore[attr-defined]
    # The one who said it sees it, finds it, and is given nothing more.
    assert MARK in server.ask("ann", "GET", f"/candidates/{one}").text  # type: ignore[attr-defined]
    for who, found in (("ann", [two, one]), ("ben", []), ("dora", [])):
        listed = server.ask(who, "GET", "/api/v1/candidates?q=mine:waiting").json()["candidates"]  # type: ignore[attr-defined]
        assert sorted((row["id"] for row in listed), reverse=True) == found, who
        tabs = text(server.ask(who, "GET", "/queue?q=mine:waiting").text)  # type: ignore[attr-defined]
        assert (f"all 2 yours, waiting {len(found)}" in tabs, "No candidate matches" in tabs) == (True, not found), who
    assert "pending 0" in text(server.ask("ann", "GET", "/queue").text)  # type: ignore[attr-defined]
    assert server.ask("ann", "POST", "/api/v1/queue/next").status_code == 204


def test_what_was_said_of_a_part_waits_with_the_whole(server: Server) -> None:
    one, two = server.ids
    joined = {"other": two, "version": 1, "key": "join"}
    assert server.ask("cleo", "POST", f"/api/v1/candidates/{one}/join", json=joined).status_code == 200
    said = {"field": "script", "at": 1, "text": MARK, "key": "said"}
    thread = server.ask("ann", "POST", f"/api/v1/candidates/{two}/comments", json=said).json()["id"]  # type: ignore[attr-defined]
    for path in (f"/candidates/{two}/comments/{thread}", f"/api/v1/candidates/{two}/comments", f"/candidates/{two}"):
        for who in ("ben", "dora"):
            assert MARK not in server.ask(who, "GET", path).text, path  # type: ignore[attr-defined]
    answer = {"text": "Why?", "key": "answer"}
    assert server.ask("ben", "POST", f"/api/v1/comments/{thread}/answers", json=answer).status_code == 404
    assert MARK in server.ask("ann", "GET", f"/api/v1/candidates/{two}/comments").text  # type: ignore[attr-defined]


def test_from_two_who_differ_to_the_row_that_leaves(server: Server) -> None:
    one, two = server.ids
    for number in server.ids:
        server.says("ann", "accept", number, comment="Fine by me.")
    server.says("ben", "accept", two)
    made = server.says("ben", "edit", one, edited={"script": EDITED}, comment="Not quite.")
    assert made["candidate"]["status"] == "disagreed"  # type: ignore[index]

    shown = text(server.ask("cleo", "GET", f"/candidates/{one}").text)  # type: ignore[attr-defined]
    assert "2 people judged this one, and they differ." in shown
    assert "Fine by me." in shown
    assert "Not quite." in shown
    assert "disagreed" in text(server.ask("ann", "GET", "/queue").text)  # type: ignore[attr-defined]
    refused = {"verdict": "accept", "version": 2, "key": "ann-again"}
    answer = server.ask("ann", "POST", f"/api/v1/candidates/{one}/decisions", json=refused)
    assert (answer.status_code, "a curator's" in answer.text) == (403, True)  # type: ignore[attr-defined]

    assert _rows(server, "held back") == {one: set(), two: {("accept", 2)}}
    server.says("cleo", "edit", one, edited={"script": EDITED})

    assert _rows(server, "settled")[one] == {("edit", 2)}


def _rows(server: Server, name: str) -> dict[int, set[tuple[str, int]]]:
    """Of each candidate the verdicts and opinions of the rows that a new release holds of it."""
    with server.db.write() as session:
        spec = Spec.parse({"name": name})
        number = releases.create(session, server.project, 1, spec, now=NOON).number
    worker.run(server.db, server.settings, stop=lambda: False, until_idle=True)
    folder = server.settings.data_dir / "releases" / str(server.project) / str(number)
    found: dict[int, set[tuple[str, int]]] = {number: set() for number in server.ids}
    for path in folder.glob("lineage/**/*.jsonl"):
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            found[row["candidate"]].add((row["verdict"], row["opinions"]))
    return found


def test_figures_by_person_are_for_whom_the_project_says(server: Server) -> None:
    for number, said in zip(server.ids, ("accept", "reject"), strict=True):
        server.says("ann", "accept", number)
        server.says("ben", said, number)

    def people(who: str) -> object:
        assert ("Two by two" in server.ask(who, "GET", "/agreement").text) == (  # type: ignore[attr-defined]
            server.ask(who, "GET", "/api/v1/agreement").json()["people"] is not None  # type: ignore[attr-defined]
        )
        return server.ask(who, "GET", "/api/v1/agreement").json()["people"]  # type: ignore[attr-defined]

    def insight(who: str, by: str) -> list[int]:
        return [server.ask(who, "GET", f"{path}?by={by}").status_code for path in ("/insight", "/api/v1/insight")]

    assert (people("ann"), people("cleo")) == (None, None)
    assert [insight(who, "ben") for who in ("ann", "ben", "cleo", "dora")] == [
        [403] * 2, [200] * 2, [403] * 2, [200] * 2,
    ]  # fmt: skip
    assert "cleo" not in text(server.ask("ann", "GET", "/insight").text)  # type: ignore[attr-defined]
    assert [one["name"] for one in people("dora")] == ["ann", "ben"]  # type: ignore[attr-defined]
    changed = server.ask("dora", "PATCH", "/api/v1/project", json={"opinions": {"team": "curators"}})
    assert changed.status_code == 200
    assert (people("ann"), people("cleo") is None) == (None, False)
    mine = server.ask("ann", "GET", "/api/v1/me").json()  # type: ignore[attr-defined]
    assert (mine["name"], mine["opinions"], mine["work"]["n"]) == ("ann", {"n": 1, "same": 1}, 2)
    shown = text(server.ask("ann", "GET", "/me").text)  # type: ignore[attr-defined]
    assert "What ann decided" in shown
    assert "100% of 1 that several judged" in shown


def test_gold_is_marked_judged_unknowingly_and_told_of(server: Server) -> None:
    one, two = server.ids
    server.ask("dora", "PATCH", "/api/v1/project", json={"opinions": {"asked": 1, "gold_share": 0.5}})
    for number in server.ids:
        server.says("cleo", "reject", number, comment=MARK)
    assert "Make it gold" in server.ask("cleo", "GET", f"/candidates/{one}").text  # type: ignore[attr-defined]
    form = server.ask("cleo", "POST", f"/candidates/{one}/gold", data={"why": MARK}, follow_redirects=False)
    assert form.status_code == 303
    assert server.ask("ann", "POST", f"/api/v1/candidates/{two}/gold", json={"why": "x"}).status_code == 403

    for path in _paths(one):
        shown = server.ask("ann", "GET", path)
        assert (MARK in shown.text, shown.status_code < 500) == (False, True), path  # type: ignore[attr-defined]
    seen = server.ask("ann", "GET", f"/api/v1/candidates/{one}").json()  # type: ignore[attr-defined]
    assert (seen["status"], seen["history"], seen["releases"]) == ("pending", [], [])

    # Nor does a refusal, a page that looks again, or a list that would have it in it.
    stale = {"other": two, "version": 1, "key": "stale"}
    refused = server.ask("ann", "POST", f"/api/v1/candidates/{one}/join", json=stale)
    seen = {"candidate": one, "version": 1}
    look = server.client.post(
        "/queue/visit", json=seen, headers=HTMX | {"Authorization": f"Bearer {server.secrets['ann']}"}
    )
    assert server.ask("ann", "POST", "/queue/visit", json=seen, follow_redirects=False).status_code == 303
    first = server.ask("ann", "GET", "/queue/start?status=rejected", follow_redirects=False)
    listed = text(server.ask("ann", "GET", f"/queue?status=all&q=id:{one}").text)  # type: ignore[attr-defined]
    assert "Nothing is found" in server.ask("ann", "GET", f"/bulk?status=rejected&q=id:{one}").text  # type: ignore[attr-defined]
    assert (refused.status_code, look.status_code) == (409, 200)
    assert not [one for one in (MARK, "reject", "cleo") if one in refused.text + look.text]  # type: ignore[attr-defined]
    assert first.headers["location"].startswith(f"/candidates/{two}")
    assert "rejected 1" not in listed.lower()

    told = server.says("ann", "accept", one)
    assert "reject is right" in str(told["message"])
    assert told["decision"] is None
    assert server.ask("ann", "GET", "/api/v1/me").json()["gold"]["n_right"] == 0  # type: ignore[attr-defined]
    assert "gold judged rightly 0%" in text(server.ask("ann", "GET", "/me").text)  # type: ignore[attr-defined]
    listed = text(server.ask("cleo", "GET", "/agreement").text)  # type: ignore[attr-defined]
    assert f"#{one} Fix the parser reject 1 0 {MARK}" in listed
    assert server.ask("cleo", "DELETE", f"/api/v1/candidates/{one}/gold").status_code == 204


def test_who_may_not_decide_is_told_before_and_takes_an_opinion_back_on_its_page(server: Server) -> None:
    one, two = server.ids
    server.says("ann", "accept", one)
    server.says("ann", "accept", two)
    server.says("ben", "reject", one, reasons=["wrong_fix"])

    off = server.ask("ann", "GET", f"/candidates/{one}").text  # type: ignore[attr-defined]
    assert "the last word on it is a curator" in text(off)
    assert off.count("disabled aria-describedby") == 4
    assert "disabled aria-describedby" not in server.ask("cleo", "GET", f"/candidates/{one}").text  # type: ignore[attr-defined]
    listed = text(server.ask("ann", "GET", "/queue?status=disagreed").text)  # type: ignore[attr-defined]
    assert ("Decide all" in listed, "Start reviewing" in listed) == (False, False)

    # Not her last one, which stays.
    form = {"key": hidden(off, "key"), "of": hidden(off, "of")}
    taken = server.ask("ann", "POST", "/undo", data={**form, "key": "of-one"}, follow_redirects=False)
    assert taken.headers["location"].startswith(f"/candidates/{one}?")
    now = text(server.ask("ann", "GET", f"/candidates/{one}").text)  # type: ignore[attr-defined]
    assert ("Your opinion is kept" in now, "curator's" in now) == (False, False)
    assert "Your opinion is kept: accept" in text(server.ask("ann", "GET", f"/candidates/{two}").text)  # type: ignore[attr-defined]
