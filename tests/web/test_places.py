"""Where a finding stands: in a text that the page shows one at a time, its place leads there."""

import json
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app import ingest, joining
from app.candidates import Finding, Severity
from app.db import Database
from app.settings import Settings
from app.web.review_page import _links
from tests.conftest import noon
from tests.logs import SCRIPT
from tests.web.pages import text

RUN = {
    "run_id": "20250624T131342_1",
    "timestamp_utc": "2025-06-24T13:13:42.343293+00:00",
    "spec": {"issue_description": "Fix the parser", "target_files": ["src/x.py"]},
    "outcome": "success",
    "patch_history": [
        ["import b\nx\u200b = 1\n", False, 0.4, "SyntaxError: \x1b[31mx"],
        [SCRIPT, True, 0.8, None],
    ],
}


def test_a_place_in_an_attempt_leads_to_that_attempt(
    client: TestClient, db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    path = tmp_path / "run_1.json"
    path.write_text(json.dumps(RUN))
    ingest.read_file(db, settings, project_id, ingest.Upload(path, "run_1.json"), now=noon)
    joining.run(db, project_id)

    page = client.get("/candidates/1?kind=patch").text

    links = re.findall(r'<a class="where" href="([^"]+)">([^<]+)</a>', page)
    assert [(address.replace("&amp;", "&"), place) for address, place in links] == [
        ("/candidates/1?attempt=1&kind=patch#attempt-line-2", "attempt1:2"),
        ("/candidates/1?attempt=1&kind=patch#attempt", "trace1:1"),
    ]
    there = client.get(links[0][0].replace("&amp;", "&")).text
    assert "Attempt 1 of 2" in text(there)
    assert 'id="attempt-line-2"' in there


@pytest.mark.parametrize(
    ("place", "address"),
    [
        ("attempt2:7", "/candidates/5?attempt=2&q=x#attempt-line-7"),
        ("attempt2", "/candidates/5?attempt=2&q=x#attempt"),
        ("trace12:3", "/candidates/5?attempt=12&q=x#attempt"),
        ("patched[0]:12", "/candidates/5?image=1&side=after&q=x#patch-set"),
        ("patched[3]", "/candidates/5?image=4&side=after&q=x#patch-set"),
    ],
)
def test_each_kind_of_place_has_its_address(place: str, address: str) -> None:
    assert _links(5, [Finding("secret", Severity.HOLD, place, "x.")], {"q": "x"}) == {place: address}


@pytest.mark.parametrize(
    "place",
    [
        "script:7",
        "issue",
        "phase.description",
        "attempt",
        "attempt:2",
        "extra.attempt1",
        "patched[x]",
        "attempt1:x",
        "",
    ],
)
def test_a_place_that_the_page_shows_anyway_or_does_not_know_has_none(place: str) -> None:
    assert _links(5, [Finding("secret", Severity.HOLD, place, "x.")], {}) == {}
