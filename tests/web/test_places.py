"""Where a finding stands: its place leads to the very line, or to the text that the page shows one at a time."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app import ingest, joining, prepare
from app.db import Database
from app.settings import Settings
from app.web.places import address_of
from tests.conftest import noon
from tests.logs import SCRIPT, line, read
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

    links = re.findall(r'<a class="where" href="([^"]+)" data-place>([^<]+)</a>', page)
    assert [(address.replace("&amp;", "&"), place) for address, place in links] == [
        ("#diff", "diff"),
        ("/candidates/1?attempt=1&kind=patch#attempt-line-2", "attempt1:2"),
        ("/candidates/1?attempt=1&kind=patch#attempt", "trace1:1"),
    ]
    there = client.get(links[1][0].replace("&amp;", "&")).text
    assert "Attempt 1 of 2" in text(there)
    assert 'id="attempt-line-2"' in there


DIFF = """\
--- a/x.py
+++ b/x.py
@@ -1,3 +1,4 @@
 import os
-a = 1
+a = 2
+b = eval(a)
 c = 3
--- a/test_x.py
+++ b/test_x.py
@@ -8,4 +8,4 @@
 def test_x():
-    assert f() == 3
+    assert f()
     x = 1
     y = 2
"""


@pytest.mark.parametrize("view", ["unified", "split"])
def test_a_place_in_the_diff_leads_to_its_very_row_in_either_view_and_any_file(
    client: TestClient, db: Database, settings: Settings, project_id: int, tmp_path: Path, view: str
) -> None:
    more: dict[str, Any] = {"spec_target_files": ["src/x.py", "tests/test_x.py"], "successful_diff_summary": DIFF}
    script = SCRIPT + "eval('1')\n"
    read(db, settings, project_id, tmp_path, line(**more, successful_script=script) + b"\n")

    page = client.get(f"/candidates/1?view={view}").text

    chips = re.findall(r'<a class="chip warning" href="([^"]+)" data-place>([^<]+)</a>', page)
    assert chips == [("#d14", "test weakened"), ("#d7", "runs code × 2")]  # noqa: RUF001
    assert re.findall(r'<a class="where" href="([^"]+)"', page)[:3] == ["#d14", "#d7", "/candidates/1#L8"]
    for anchor, said in (("d14", "assert f()"), ("d7", "b = eval(a)"), ("L8", "eval('1')")):
        (row,) = re.findall(rf'<tr id="{anchor}"[^>]*>(?:(?!<tr).)*', page)
        assert text(row).replace(" ", "").endswith(said.replace(" ", ""))


def test_a_place_in_a_later_piece_of_a_long_diff_leads_to_that_piece(
    client: TestClient, db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    rows = [f"+a{n} = {n}" for n in range(4_000)] + ["+b = eval(a)"]
    diff = "\n".join(["--- a/x.py", "+++ b/x.py", "@@ -1,1 +1,4002 @@", " import os", *rows]) + "\n"
    read(db, settings, project_id, tmp_path, line(successful_diff_summary=diff) + b"\n")
    prepare.run(db)

    page = client.get("/candidates/1").text

    (address,) = re.findall(r'<a class="where" href="([^"]+)"[^>]*>diff:4005<', page)
    assert re.fullmatch(r"/candidates/1/diff\?view=unified&amp;piece=\d#d4005", address)
    assert "eval" in client.get(address.replace("&amp;", "&")).text.partition('id="d4005"')[2]


@pytest.mark.parametrize(
    ("place", "address"),
    [
        ("script:7", "/candidates/5?q=x#L7"),
        ("script_hash", "#script"),
        ("diff", "#diff"),
        ("attempt2:7", "/candidates/5?attempt=2&q=x#attempt-line-7"),
        ("attempt2", "/candidates/5?attempt=2&q=x#attempt"),
        ("trace12:3", "/candidates/5?attempt=12&q=x#attempt"),
        ("patched[0]:12", "/candidates/5?image=1&side=after&q=x#patch-set"),
        ("patched[3]", "/candidates/5?image=4&side=after&q=x#patch-set"),
    ],
)
def test_each_kind_of_place_has_its_address(place: str, address: str) -> None:
    assert address_of(5, place, {"q": "x"}) == address


@pytest.mark.parametrize(
    "place",
    [
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
    assert address_of(5, place, {}) is None
