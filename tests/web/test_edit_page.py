"""The edit page: what it carries, what is stored of it, and what happens to what was typed."""

import html
import json
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from app import ingest, joining
from app.db import Database
from app.diffs.edit import diff_texts
from app.models import CandidateRow, DecisionRow, DraftRow, RevisionRow
from app.settings import Settings
from tests.conftest import noon
from tests.logs import SCRIPT, entry, read
from tests.web.pages import HTMX, hidden, live_parts, save, text


def decisions(db: Database) -> list[DecisionRow]:
    with db.read() as session:
        return list(session.exec(select(DecisionRow).order_by("id")))


def test_an_edited_script_is_stored_beside_the_original(client: TestClient, db: Database, three: list[int]) -> None:
    edited = SCRIPT.replace("Change", "Rename")
    answer = save(client, three[0], edited_script=edited.replace("\n", "\r\n"))

    assert answer.status_code == 303
    with db.read() as session:
        (revision,) = session.exec(select(RevisionRow))
    assert (revision.field, revision.text) == ("script", edited)
    seen = text(client.get(f"/candidates/{three[0]}?status=all").text)
    assert "Edit of the script" in seen
    assert "class Rename(VisitorBasedCodemodCommand)" in seen


def test_a_form_that_only_turned_line_ends_is_no_edit(client: TestClient, db: Database, three: list[int]) -> None:
    answer = save(client, three[0], edited_script=SCRIPT.replace("\n", "\r\n"))

    assert answer.status_code == 200
    assert "Nothing was changed, so no edit was recorded." in text(answer.text)
    assert decisions(db) == []


def test_edited_hunks_become_a_diff_with_true_numbers(client: TestClient, db: Database, three: list[int]) -> None:
    answer = save(client, three[0], edited_hunk="b\r\nc\r\n")

    assert answer.status_code == 303
    with db.read() as session:
        (revision,) = session.exec(select(RevisionRow))
    assert (revision.field, revision.text) == ("diff", "--- a/x.py\n+++ b/x.py\n@@ -1 +1,2 @@\n-a\n+b\n+c\n")


def test_a_refused_edit_keeps_the_text(client: TestClient, three: list[int]) -> None:
    form = {"version": "9", "key": "k", "edited_script": "import this\n", "comment": "kept"}
    answer = client.post(f"/candidates/{three[0]}/edit", data=form)

    assert answer.status_code == 409
    assert "import this" in answer.text
    assert "kept</textarea>" in answer.text


@pytest.mark.parametrize(
    "fields",
    [
        {"edited_script": "a", "edited_hunk": "b"},
        {"edited_hunk": ["a", "b"]},
        {"edited_script": "a", "verdict": "accept"},
        {},
    ],
)
def test_a_form_that_the_edit_page_does_not_have_is_refused(
    client: TestClient, db: Database, three: list[int], fields: dict[str, str | list[str]]
) -> None:
    answer = client.post(f"/candidates/{three[0]}/edit", data={"version": "1", "key": "k", **fields})

    assert answer.status_code == 422
    assert decisions(db) == []


def test_the_edit_page_carries_the_texts_byte_for_byte(
    client: TestClient, db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    script = "import libcst as cst\r\nx = '</textarea>\"&amp;'\r\n# \u2028 \x0c end \ud800"
    read(db, settings, project_id, tmp_path, json.dumps(entry("Odd", successful_script=script)).encode())
    page = client.get("/candidates/1/edit").text

    carried = page.split('data-original="')[1].split('"')[0]
    assert json.loads(carried.replace("&#34;", '"').replace("&amp;", "&")) == script


def test_a_candidate_without_script_is_edited_by_its_changed_lines(
    client: TestClient, db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    bare = {key: value for key, value in entry("Bare").items() if key != "successful_script"}
    read(db, settings, project_id, tmp_path, json.dumps(bare).encode())

    assert 'name="edited_hunk"' in client.get("/candidates/1/edit").text
    assert client.get("/candidates/1/edit?field=script").status_code == 422


# ------------------------------------------------------------------------------------------------ hunks

BEFORE = "".join(f"n{n}\n" for n in range(30))
FIRST, SECOND = ("n1\n", "one\n"), ("n27\n", "x\nn27\n")
TWO = diff_texts(BEFORE, BEFORE.replace(*FIRST).replace(*SECOND), "x.py")


@pytest.fixture
def two(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> list[str]:
    """Candidate 1 has two hunks; their new sides."""
    read(db, settings, project_id, tmp_path, json.dumps(entry("Two", successful_diff_summary=TWO)).encode())
    return ["n0\none\nn2\nn3\nn4\n", "n24\nn25\nn26\nx\nn27\nn28\nn29\n"]


def stored(db: Database) -> str:
    with db.read() as session:
        return session.exec(select(RevisionRow).order_by("id")).all()[-1].text


def test_a_hunk_is_dropped_and_can_come_back(client: TestClient, db: Database, two: list[str]) -> None:
    assert save(client, 1, edited_hunk=two, drop_hunk="0").status_code == 303
    assert stored(db) == diff_texts(BEFORE, BEFORE.replace(*SECOND), "x.py")

    page = client.get("/candidates/1/edit?field=diff").text
    assert page.count("checked>") == 1
    assert save(client, 1, edited_hunk=[two[0].replace("one", "uno"), two[1]]).status_code == 303
    assert stored(db) == TWO.replace("+one", "+uno")


def test_who_drops_all_is_told_to_reject(client: TestClient, db: Database, two: list[str]) -> None:
    answer = save(client, 1, edited_hunk=two, drop_hunk=["0", "1"])

    assert answer.status_code == 422
    assert "Nothing of the diff is left. Reject the patch" in text(answer.text)
    assert answer.text.count("checked>") == 2
    assert decisions(db) == []
    assert save(client, 1, edited_hunk=two, drop_hunk="2").status_code == 422


def test_programs_drop_a_hunk_with_null(client: TestClient, db: Database, two: list[str]) -> None:
    def send(edited: object, version: int = 1) -> Any:
        act = {"verdict": "edit", "version": version, "key": str(edited), "edited": edited}
        return client.post("/api/v1/candidates/1/decisions", json=act)

    assert send({"hunks": [None, None]}).status_code == 422
    assert send({"hunks": two[0]}).status_code == 422
    assert send({"files": {"src/x.py": "a"}}).status_code == 422
    assert send({"hunks": [two[0], None]}).status_code == 200
    assert stored(db) == diff_texts(BEFORE, BEFORE.replace(*FIRST), "x.py")
    assert [one["dropped"] for one in client.get("/api/v1/candidates/1").json()["hunks"]] == [False, True]


def test_the_check_shows_the_diff_that_would_be_stored(client: TestClient, two: list[str]) -> None:
    answer = client.post(
        "/candidates/1/check",
        data={"edited_hunk": [two[0], two[1].replace("x", "<b>")], "drop_hunk": "0"},
        headers=HTMX,
    )

    assert answer.status_code == 200
    assert "@@ -25,6 +25,7 @@" in text(answer.text)
    assert "&lt;b&gt;" in answer.text
    assert "one" not in text(answer.text)
    assert live_parts(answer.text) == []


# ------------------------------------------------------------------------------------------------ whole files

CHANGED = BEFORE.replace(*FIRST).replace(*SECOND)


@pytest.fixture
def whole(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> int:
    """A patch with two hunks and the file that they made; its number."""
    log = json.dumps(entry("Two", successful_diff_summary=TWO)).encode()
    read(db, settings, project_id, tmp_path, log)
    said = {
        "patch_set_name": "feature/auto-patch-fix-1", "commit_title": "Auto-apply", "patch_source": "LLMCore",
        "original_spec": {"issue_description": "Two", "target_files": ["src/x.py"], "operations": []},
        "generation_timestamp_utc": "2025-06-24T13:13:42.343293Z", "commit_builder_version": "0.1.0",
    }  # fmt: skip
    beside = {"src/x.py": CHANGED, "CHANGELOG_PATCH.md": f"Issue: Two\n\nDiff Summary:\n{TWO}"}
    (tmp_path / "set").mkdir()
    files = {}
    for name, content in {"patch_meta.json": json.dumps(said), **beside}.items():
        files[name] = tmp_path / "set" / name.replace("/", "_")
        files[name].write_text(content)
    meta = files.pop("patch_meta.json")
    sent = ingest.Upload(meta, "set/patch_meta.json", files=files)
    ingest.read_file(db, settings, project_id, sent, now=noon)
    joining.run(db, project_id)
    patches = select(CandidateRow).where(CandidateRow.kind == "patch", CandidateRow.status != "joined")
    with db.read() as session:
        return session.exec(patches).one().id or 0


def test_a_whole_file_is_edited_and_its_diff_written_anew(client: TestClient, db: Database, whole: int) -> None:
    page = client.get(f"/candidates/{whole}/edit?field=files")
    assert "src/x.py" in text(page.text)
    edited = CHANGED.replace("n15\n", "fifteen\n")
    answer = save(client, whole, "?field=files", edited_file=edited.replace("\n", "\r\n"))

    assert answer.status_code == 303
    assert stored(db) == diff_texts(BEFORE, edited, "x.py")
    # It has a hunk that the log's diff has not: from now on its own hunks are edited, and the file as it was.
    assert client.get(f"/candidates/{whole}/edit?field=diff").text.count('data-name="edited_hunk"') == 3
    assert client.get(f"/api/v1/candidates/{whole}").json()["files"] == [{"path": "src/x.py", "text": edited}]
    act = {"verdict": "edit", "version": 2, "key": "k", "edited": {"files": {"src/x.py": CHANGED}}}
    assert client.post(f"/api/v1/candidates/{whole}/decisions", json=act).status_code == 200
    assert stored(db) == TWO


def test_a_file_that_does_not_parse_is_said_at_its_line_and_saved(client: TestClient, db: Database, whole: int) -> None:
    broken = CHANGED.replace("n15\n", "def f(:\n")
    said = client.post(f"/candidates/{whole}/check", data={"edited_file": broken}, headers=HTMX).text
    assert 'data-place="src/x.py:16"' in said
    assert 'data-number="0" data-line="16"' in said
    assert save(client, whole, "?field=files", edited_file=broken).status_code == 303
    assert "+def f(:" in stored(db)


# ------------------------------------------------------------------------------------------------ drafts


def test_a_draft_is_shown_until_it_is_saved(client: TestClient, db: Database, two: list[str]) -> None:
    draft = {"version": 1, "texts": {"diff": ["typed\r\n", two[1]], "dropped": [1], "comment": "so far"}}
    assert client.put("/api/v1/candidates/1/draft", json=draft).json()["texts"] == draft["texts"]
    page = client.get("/candidates/1/edit").text
    assert "Below stands what you typed until" in text(page)
    assert json.loads(_attribute(page, "data-current")) == "typed\r\n"
    assert page.count("checked>") == 1
    assert "so far</textarea>" in page
    assert "Below stands" not in text(client.get("/candidates/1/edit?field=script").text)

    assert save(client, 1, edited_hunk=["typed\n", two[1]]).status_code == 303
    assert client.get("/api/v1/candidates/1/draft").status_code == 404
    with db.read() as session:
        assert session.exec(select(DraftRow)).all() == []


def test_a_draft_is_thrown_away(client: TestClient, three: list[int]) -> None:
    form = {"version": "1", "key": "k", "edited_script": "typed\r\n", "comment": "so far"}
    assert client.post(f"/candidates/{three[0]}/draft", data=form, follow_redirects=False).status_code == 303
    assert "typed" in client.get(f"/candidates/{three[0]}/edit").text
    answer = client.post(f"/candidates/{three[0]}/draft/discard", data={"field": "script"})

    assert "so far" not in answer.text
    assert "Below stands" not in text(answer.text)
    assert client.delete(f"/api/v1/candidates/{three[0]}/draft").status_code == 204


def test_a_draft_of_an_older_version_is_offered_and_brought_together(client: TestClient, three: list[int]) -> None:
    number = three[0]
    mine = SCRIPT.replace("import libcst as cst", "import libcst as cst  # mine")
    client.put(f"/api/v1/candidates/{number}/draft", json={"version": 1, "texts": {"script": mine}})
    _edit_elsewhere(client, number, SCRIPT + "# theirs\n")
    # What another person saved is another draft's end: as one person is both here, it is kept again.
    client.put(f"/api/v1/candidates/{number}/draft", json={"version": 1, "texts": {"script": mine}})
    page = client.get(f"/candidates/{number}/edit").text
    assert "They are an edit of version 1; it is version 2 now." in text(page)
    assert "# mine" not in page
    page = client.get(f"/candidates/{number}/edit?field=script&draft=1").text
    assert "The two do not touch" in text(page)
    assert json.loads(_attribute(page, "data-current")) == mine + "# theirs\n"
    assert hidden(page, "version") == "2"


@pytest.mark.parametrize(
    "body",
    [
        {"version": 2, "texts": {}},
        {"version": 0, "texts": {}},
        {"version": 1},
        {"version": 1, "texts": {"verdict": "accept"}},
        {"version": 1, "texts": {"script": ["a"]}},
        {"version": 1, "texts": {"diff": "a"}},
        {"version": 1, "texts": {"files": ["a"]}},
        {"version": 1, "texts": {"diff": [1]}},
        {"version": 1, "texts": {"dropped": ["a"]}},
        {"version": 1, "texts": {"script": "a"}, "reviewer": 7},
    ],
)
def test_what_is_no_draft_is_refused(client: TestClient, three: list[int], body: dict[str, object]) -> None:
    assert client.put(f"/api/v1/candidates/{three[0]}/draft", json=body).status_code == 422
    assert client.put("/api/v1/candidates/999/draft", json=body).status_code in {404, 422}
    assert client.get(f"/candidates/{three[0]}/edit").status_code == 200


# ------------------------------------------------------------------------------------------------ two edits


def _edit_elsewhere(client: TestClient, number: int, script: str, version: int = 1) -> None:
    act = {"verdict": "edit", "version": version, "key": f"elsewhere {version}", "edited": {"script": script}}
    assert client.post(f"/api/v1/candidates/{number}/decisions", json=act).status_code == 200


def _attribute(page: str, name: str) -> str:
    return html.unescape(page.split(f'{name}="')[1].split('"', maxsplit=1)[0])


def test_two_edits_that_meet_are_marked_and_the_marks_are_not_stored(
    client: TestClient, db: Database, three: list[int]
) -> None:
    number = three[0]
    _edit_elsewhere(client, number, SCRIPT.replace('value="b"', 'value="c"').replace("class Change", "class Other"))
    mine = "# mine\n" + SCRIPT.replace('value="b"', 'value="<d>"')
    form = {"version": "1", "key": "k", "comment": "so far", "edited_script": mine.replace("\n", "\r\n")}
    answer = client.post(f"/candidates/{number}/edit", data=form)

    assert answer.status_code == 409
    assert "you, elsewhere (edit)" in text(answer.text)
    assert "They meet at 1 place" in text(answer.text)
    assert "so far</textarea>" in answer.text
    assert live_parts(answer.text) == []
    merged = json.loads(_attribute(answer.text, "data-current"))
    assert "class Other" in merged
    assert merged.startswith("# mine\n")
    assert 'value="c"' in merged
    assert 'value="<d>"' in merged
    again = {"version": "2", "key": hidden(answer.text, "key"), "edited_script": merged}
    refused = client.post(f"/candidates/{number}/edit", data=again)
    assert refused.status_code == 422
    assert "Line 8 still marks where two edits met" in text(refused.text)
    assert len(decisions(db)) == 1

    whole = merged.split("<<<<<<< theirs")[0] + merged.split("=======\n")[1].replace(">>>>>>> yours\n", "")
    saved = client.post(f"/candidates/{number}/edit", data={**again, "edited_script": whole}, follow_redirects=False)
    assert saved.status_code == 303
    assert stored(db) == mine.replace("class Change", "class Other")


def test_an_edit_after_an_accept_is_only_shown_again(client: TestClient, three: list[int]) -> None:
    accept = {"verdict": "accept", "version": 1, "key": "elsewhere"}
    client.post(f"/api/v1/candidates/{three[0]}/decisions", json=accept)
    form = {"version": "1", "key": "k", "edited_script": SCRIPT + "# mine\n"}
    answer = client.post(f"/candidates/{three[0]}/edit", data=form)

    assert answer.status_code == 409
    assert "The text was not changed" in text(answer.text)
    assert json.loads(_attribute(answer.text, "data-current")) == SCRIPT + "# mine\n"


def test_a_hunk_that_one_drops_and_the_other_edits_is_said(client: TestClient, two: list[str]) -> None:
    save(client, 1, edited_hunk=two, drop_hunk="0")
    form = {"version": "1", "key": "k", "edited_hunk": [two[0].replace("one", "uno"), two[1]]}
    answer = client.post("/candidates/1/edit", data=form)

    assert answer.status_code == 409
    assert "One of you dropped this change and the other did not" in text(answer.text)
    assert json.loads(_attribute(answer.text, "data-current")) == two[0].replace("one", "uno")


def test_edits_of_other_hunks_are_both_shown(client: TestClient, whole: int) -> None:
    save(client, whole, "?field=files", edited_file=CHANGED.replace("n15\n", "fifteen\n"))
    hunks = ["n0\nuno\nn2\nn3\nn4\n", "n24\nn25\nn26\nx\nn27\nn28\nn29\n"]
    answer = client.post(f"/candidates/{whole}/edit", data={"version": "1", "key": "k", "edited_hunk": hunks})

    assert answer.status_code == 409
    assert "The two changed other hunks" in text(answer.text)
    assert "uno" in text(answer.text)
    assert "fifteen" in text(answer.text)
