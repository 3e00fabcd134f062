"""What a page leaves for later: the pieces of a long diff, and the lines that a diff leaves out."""

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app import ingest, joining, prepare
from app.db import Database
from app.diffs.edit import diff_texts
from app.settings import Settings
from tests.conftest import noon
from tests.logs import entry, line, read
from tests.web.pages import HTMX, text

BEFORE = "".join(f"line_{n}\n" for n in range(1, 101))
AFTER = BEFORE.replace("line_5\n", "line_five\nand_more\n").replace("line_90\n", "line_ninety\n")
LONG = "--- a/x.py\n+++ b/x.py\n@@ -0,0 +1,5000 @@\n" + "".join(f"+row_{n}\n" for n in range(1, 5001))


@pytest.fixture
def long(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> int:
    """A candidate with a diff of 5,000 rows."""
    read(db, settings, project_id, tmp_path, line(successful_diff_summary=LONG) + b"\n")
    return 1


@pytest.fixture
def patched(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> int:
    """A candidate whose patch set holds the file that its diff made."""
    diff = diff_texts(BEFORE, AFTER, "x.py")
    said = {
        "patch_set_name": "feature/auto-patch-fix-1", "commit_title": "Fix", "validator_results_summary": "Valid=True",
        "original_spec": {"issue_description": "Fix the parser", "target_files": ["src/x.py"], "operations": []},
        "patch_source": "LLMCore_polish_iteration_1", "generation_timestamp_utc": "2025-06-24T13:13:42.343293Z",
        "commit_builder_version": "0.1.0",
    }  # fmt: skip
    changelog = f"Issue: Fix the parser\n\nSummary of Operations:\n\nDiff Summary:\n{diff}"
    log, meta, image, changes = (
        tmp_path / name for name in ("log.jsonl", "patch_meta.json", "x.py", "CHANGELOG_PATCH.md")
    )
    log.write_text(json.dumps(entry(successful_diff_summary=diff)) + "\n")
    meta.write_text(json.dumps(said))
    image.write_text(AFTER)
    changes.write_text(changelog)
    beside = {"src/x.py": image, "CHANGELOG_PATCH.md": changes}
    for upload in (
        ingest.Upload(log, "success_memory.jsonl"),
        ingest.Upload(meta, "set/patch_meta.json", files=beside),
    ):
        ingest.read_file(db, settings, project_id, upload, now=noon)
        joining.run(db, project_id)
    return 1


@pytest.mark.parametrize("is_stored", [True, False])
def test_the_rest_of_a_long_diff_is_asked_for_and_all_of_it_comes(
    client: TestClient, db: Database, long: int, is_stored: bool
) -> None:
    if is_stored:
        prepare.run(db)
    first = client.get(f"/candidates/{long}").text
    assert "row_2000" not in first
    assert 'hx-trigger="revealed"' in first

    second = client.get(f"/candidates/{long}/diff?view=unified&piece=1", headers=HTMX).text
    assert second.startswith('<section class="df">')
    assert "row_2000" in second
    assert "row_3500" not in second
    rest = client.get(f"/candidates/{long}/diff?view=unified&piece=1&all=1", headers=HTMX).text
    assert rest.count("<tr>") + first.count("<td class=a>row_") == 5000
    assert "hx-get" not in rest
    plain = client.get(f"/candidates/{long}/diff?view=unified&piece=2").text
    assert "Back to the candidate" in plain
    assert "row_3500" in plain


def test_a_piece_that_is_not_there_is_refused_in_a_sentence(client: TestClient, long: int) -> None:
    asked = {"diff?piece=0": 404, "diff?piece=99": 404, "diff?piece=x": 422, "diff?piece=1&view=y": 422, "diff": 422}
    assert {address: client.get(f"/candidates/{long}/{address}").status_code for address in asked} == asked


def test_lines_that_the_diff_leaves_out_come_from_the_patch_set(client: TestClient, patched: int) -> None:
    first = client.get(f"/candidates/{patched}").text
    assert "All 78 lines" in text(first)
    address = f"/candidates/{patched}/context?view=unified&file=1&first=10&last=87"

    top = client.get(f"{address}&take=top", headers=HTMX).text
    assert "<tr><td>9<td>10<td>line_9<tr><td>10<td>11<td>line_10<" in top
    assert top.count("<tr>") == 20
    assert "first=30&amp;last=87&amp;take=all" in top
    bottom = client.get(f"{address}&take=bottom", headers=HTMX).text
    assert "first=10&amp;last=67&amp;take=all" in bottom
    everything = client.get(f"{address}&take=all".replace("unified", "split"), headers=HTMX).text
    assert everything.count("<tr>") == 78
    assert "<tr><td>86<td>line_86<td>87<td>line_86<" in everything
    assert "Back to the candidate" in client.get(f"{address}&take=top").text


def test_lines_that_are_not_there_are_refused_in_a_sentence(client: TestClient, patched: int) -> None:
    asked = {
        "file=2&first=1&last=2": 404, "file=1&first=9&last=8": 422, "file=1&first=1&last=999": 422,
        "file=1&first=1&last=2&take=x": 422, "file=1&first=-1&last=2": 422, "first=1&last=2": 422,
    }  # fmt: skip
    address = f"/candidates/{patched}/context?view=unified&"
    assert {more: client.get(address + more).status_code for more in asked} == asked


def test_of_a_file_that_nobody_holds_no_more_lines_are_offered(client: TestClient, three: list[int]) -> None:
    assert "context?" not in client.get(f"/candidates/{three[0]}").text
    assert client.get(f"/candidates/{three[0]}/context?file=1&first=1&last=2").status_code == 404
