"""The edit page: what it carries, what is stored of it, and what happens to what was typed."""

import json
from pathlib import Path

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from app.db import Database
from app.models import DecisionRow, RevisionRow
from app.settings import Settings
from tests.logs import SCRIPT, entry, read
from tests.web.pages import save, text


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
