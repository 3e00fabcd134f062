"""Clusters of near-duplicates: seen on the candidate's page, compared with the one shown, decided as one."""

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app import worker
from app.db import Database
from app.settings import Settings
from tests.logs import SCRIPT, line, read
from tests.web.pages import decide, hidden, text

HUNK = """@@ -1,4 +1,12 @@
 def load(path):
-    with open(path) as source:
-        return parse(source.read())
+    try:
+        with open(path, encoding="utf-8") as source:
+            found = source.read()
+    except FileNotFoundError as error:
+        raise ConfigError(path) from error
+    if not found.strip():
+        return default
+    return parse(found)
"""
DIFF = f"--- a/x.py\n+++ b/x.py\n{HUNK}"
OTHER = "--- a/y.py\n+++ b/y.py\n@@ -1,2 +1,2 @@\n-import os\n+import pathlib\n"


@pytest.fixture
def alike(client: TestClient, db: Database, settings: Settings, project_id: int, tmp_path: Path) -> list[int]:
    """Four fixes that are one, in other files and names, or with another script; and two of another kind."""
    del client
    lines = [
        line("One", successful_diff_summary=DIFF),
        line("Two", successful_diff_summary=DIFF.replace("x.py", "z.py").replace("found", "body")),
        line("Three", successful_diff_summary=DIFF, successful_script=SCRIPT.replace('"b"', '"c"')),
        line("Four", successful_diff_summary=DIFF.replace("path", "name")),
        line("Five", successful_diff_summary=OTHER),
        line("Six", successful_diff_summary=OTHER),
        line("Seven", successful_diff_summary=OTHER.replace("os", "re")),
    ]
    read(db, settings, project_id, tmp_path, b"\n".join(lines) + b"\n")
    worker.run(db, settings, stop=lambda: False, until_idle=True)
    return [1, 2, 3, 4]


def send(client: TestClient, candidate_id: int, ticked: list[str], **typed: Any) -> Any:
    page = client.get(f"/clusters/{candidate_id}").text
    form = {"key": hidden(page, "key"), "verdict": "accept", "member": ticked, **typed}
    return client.post(f"/clusters/{candidate_id}", data=form, follow_redirects=False)


def test_a_candidate_says_how_many_are_like_it(client: TestClient, alike: list[int]) -> None:
    del alike
    assert '<a href="/clusters/2">3 more like this</a>' in client.get("/candidates/2").text
    assert '<a href="/clusters/5">1 more like this</a>' in client.get("/candidates/5").text
    assert "more like this" not in client.get("/candidates/7").text
    assert client.get("/clusters/7").status_code == 404
    assert client.get("/clusters/99999999999").status_code == 404


def test_the_cluster_shows_who_is_in_it_and_what_differs(client: TestClient, alike: list[int]) -> None:
    del alike
    decide(client, 4, "reject")

    page = client.get("/clusters/1").text

    seen = text(page)
    assert "3 more like #1 One" in seen
    assert re.search(r"#2 Two .* another diff What differs in the diff", seen)
    assert "body = source.read()" in seen
    assert re.search(r"#3 Three .*? same diff another script What differs in the script", seen)
    assert re.findall(r'name="member"\s+value="(\S+)"\s+checked', page) == ["1.1", "2.1", "3.1"]
    assert 'value="4.2"' in page
    assert "3 more like #4 Four" in text(client.get("/clusters/4").text)


def test_the_ticked_ones_are_decided_as_one(client: TestClient, alike: list[int]) -> None:
    answer = send(client, 1, ["1.1", "3.1"], count="2", verdict="reject", reasons=["duplicate"])

    assert "2 rejected as one" in text(client.get(answer.headers["location"]).text)
    assert [client.get(f"/api/v1/candidates/{number}").json()["status"] for number in alike] == [
        "rejected", "pending", "rejected", "pending",
    ]  # fmt: skip
    assert client.post("/api/v1/undo").json()["bulk"]
    assert client.get("/queue?q=like:3").text.count("data-row") == 4
    assert "Every candidate like #3 ." in text(client.get("/bulk?status=all&q=like:3").text)


@pytest.mark.parametrize(
    ("ticked", "count", "status", "sentence"),
    [
        (["1.1", "2.1"], "3", 422, "it is 2, you typed '3'"),
        ([], "0", 422, "no candidate to decide on"),
        (["1.1", "4.1"], "2", 409, "Changed since the page was shown: #4."),
        (["1.1", "x"], "2", 422, "such as 17.1"),
        (["1.1", "2.-1"], "2", 422, "whole number"),
    ],
)
def test_a_refusal_keeps_the_ticks(
    client: TestClient, alike: list[int], ticked: list[str], count: str, status: int, sentence: str
) -> None:
    del alike
    decide(client, 4, "skip")

    answer = send(client, 1, ticked, count=count, comment="Alike.")

    assert answer.status_code == status
    assert sentence in text(answer.text)
    kept = [value.partition(".")[0] for value in re.findall(r'name="member"\s+value="(\S+)"\s+checked', answer.text)]
    assert kept == [one.partition(".")[0] for one in ticked if one[0] in "1234"]
    assert ">Alike.</textarea>" in answer.text
    assert client.get("/api/v1/candidates/1").json()["status"] == "pending"


def test_the_largest_cluster_stands_first_and_pages_follow(client: TestClient, alike: list[int]) -> None:
    decide(client, alike[0], "accept")

    assert '<a class="button quiet" href="/clusters">' in client.get("/queue").text
    seen = text(client.get("/clusters").text)
    assert seen.index("#1 One") < seen.index("#5 Five")

    first = client.get("/api/v1/clusters?limit=1").json()
    second = client.get(f"/api/v1/clusters?limit=1&after={first['after']}").json()
    assert [one | {"title": ""} for one in (*first["clusters"], *second["clusters"])] == [
        {"id": 1, "title": "", "n": 4, "by_status": {"accepted": 1, "pending": 3}},
        {"id": 5, "title": "", "n": 2, "by_status": {"pending": 2}},
    ]
    assert (first["after"], second["after"]) == ("4.1", None)
    assert client.get("/clusters?after=x").status_code == 422


def test_without_clusters_the_page_says_so(client: TestClient) -> None:
    assert "No two candidates are alike" in text(client.get("/clusters").text)
