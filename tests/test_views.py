"""Saved views: a filter with a name, in other filters, on pages, in commands and over JSON."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app import queue, releases, views
from app.db import Database
from app.errors import BadInputError
from app.queue import Filter
from app.settings import Settings
from tests.commands import call
from tests.conftest import NOON
from tests.logs import line, read_issues
from tests.test_cli import write
from tests.web.pages import HTMX, decide, text


@pytest.fixture
def three(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> list[int]:
    """Three pending candidates."""
    return read_issues(db, settings, project_id, tmp_path, "Fix the parser", "Name the reader", "Drop the cache")


@pytest.fixture
def hard(db: Database, project_id: int, reviewer_id: int) -> views.View:
    """The view `Hard ones` of what is pending and holds `parser`."""
    wanted = Filter.parse({"status": "pending", "q": "parser"})
    with db.write() as session:
        return views.save(session, project_id, reviewer_id, "Hard ones", wanted, now=NOON)


@pytest.mark.usefixtures("three")
def test_a_view_in_a_filter_is_what_it_stands_for(
    db: Database, project_id: int, reviewer_id: int, hard: views.View
) -> None:
    with db.write() as session:
        inside = Filter.parse({"q": f"{hard.term} -cache"})
        assert queue.expand(session, project_id, inside) == Filter.parse({"q": "status:pending parser -cache"})
        assert [row.title for row in queue.list_candidates(session, project_id, inside).candidates] == [
            "Fix the parser"
        ]
        other = views.save(session, project_id, reviewer_id, "Other", inside, now=NOON)
        assert other.filter.query() == {"status": "pending", "q": "parser -cache"}
        for wrong in ("view:nothing", f"-{hard.term}", f"{hard.term},other"):
            with pytest.raises(BadInputError, match="view"):
                queue.list_candidates(session, project_id, Filter.parse({"q": wrong}))
        views.save(session, project_id, reviewer_id, "Kept", Filter(source="Unknown"), now=NOON)
        spec = releases.Spec(filter=Filter(q="view:Kept"))
        release = releases.create(session, project_id, reviewer_id, spec, now=NOON)
        assert release.spec["filter"] == {"source": "Unknown"}


@pytest.mark.usefixtures("three")
def test_a_view_is_saved_shown_renamed_and_deleted_on_pages(client: TestClient) -> None:
    form = client.get("/views?status=pending&q=parser").text
    assert "Save status:pending parser as" in text(form)
    made = client.post("/views?status=pending&q=parser", data={"name": " Hard  ones "}, follow_redirects=False)
    assert (made.status_code, made.headers["location"]) == (303, "/queue?q=parser")
    again = client.post("/views?q=cache", data={"name": "Hard ones"})
    assert (again.status_code, "There is a view 'Hard ones' already" in text(again.text)) == (409, True)
    assert 'value="Hard ones"' in again.text

    shown = client.get("/queue?q=parser").text
    assert len(re.findall(r'href="/queue\?q=parser"\s+aria-current="true"', shown)) == len(["Hard ones"])
    assert "Hard ones 1" in text(shown)
    assert client.post("/views/1", data={"name": ""}).status_code == 422
    assert "Easy" in client.post("/views/1", data={"name": "Easy"}).text
    assert client.post("/views/1/delete").status_code == 200
    assert "Easy" not in client.get("/queue").text
    assert client.post("/views/1/delete").status_code == 404


def test_the_json_twin_says_the_same(client: TestClient) -> None:
    at = "/api/v1/views"
    made = client.post(at, json={"name": "Low", "filter": "score:<0.4 status:pending"})
    assert (made.status_code, made.json()["query"]) == (201, "status=pending&q=score%3A%3C0.4")
    assert client.post(at, json={"name": "Low", "filter": {}}).status_code == 409
    assert client.post(at, json={"name": "Low", "filter": {"kind": "patch"}, "replace": True}).json()["id"] == 1
    assert client.patch(f"{at}/1", json={"name": "All patches"}).json()["name"] == "All patches"
    assert [one["filter"] for one in client.get(at).json()["views"]] == [{"kind": "patch"}]
    assert client.delete(f"{at}/1").status_code == 200
    assert client.get(at).json() == {"views": []}
    for wrong in ({"name": "x"}, {"name": "x", "filter": "foo:1"}, {"name": "\x00", "filter": ""}):
        assert client.post(at, json=wrong).status_code == 422


def test_views_from_a_terminal(tmp_path: Path) -> None:
    at = ("--data-dir", tmp_path / "fresh")
    assert call("ingest", write(tmp_path / "log.jsonl", line("Fix") + b"\n" + line("Add")), *at).status == 0
    saved = call("view", "save", "Mine", "--filter", "fix status:pending", *at)
    assert "in a filter it is view:Mine" in saved.err
    assert call("view", "list", *at).out == "Mine  1  status=pending&q=fix\n"
    assert call("view", "save", "Mine", "--filter", "sorce=x", "--replace", *at).status == 1
    assert call("view", "delete", "Mine", "--json", *at).json["name"] == "Mine"
    assert call("view", "delete", "Mine", *at).status == 1


def test_tabs_count_what_the_filter_finds(client: TestClient, three: list[int], hard: views.View) -> None:
    decide(client, three[1], "accept")
    seen = text(client.get("/queue?q=reader", headers=HTMX).text)

    assert f"pending 0 accepted 1 edited 0 rejected 0 flagged 0 skipped 0 all 1 {hard.name} 1" in seen
