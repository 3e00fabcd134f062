"""The review page: what it shows, what its form does, and what happens to what was typed."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from sqlmodel import select
from starlette.testclient import TestClient

from app.db import Database
from app.models import CandidateRow, DecisionRow
from app.settings import Settings
from tests.logs import SCRIPT, entry, read, read_issues
from tests.web.pages import HTMX, decide, hidden, live_parts, text

HOSTILE = (
    "<script>window.__xss=1</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' hx-get='/undo' hx-trigger='load' x='",
    "{{ 7 * 7 }}{% raw %}",
    "</textarea><script>alert(1)</script>",
    "\u202egnp.exe",
)


def decisions(db: Database) -> list[DecisionRow]:
    with db.read() as session:
        return list(session.exec(select(DecisionRow).order_by("id")))


def status(db: Database, candidate_id: int) -> str:
    with db.read() as session:
        return session.get_one(CandidateRow, candidate_id).status


def test_the_page_tells_the_whole_story(client: TestClient, three: list[int]) -> None:
    seen = text(client.get(f"/candidates/{three[0]}").text)

    for part in (
        "Fix the parser", "src/x.py", "rename_variable", "old_name a", "new_name b", "LLMCore_polish_iteration_1",
        "Predicted core LLMCore", "generation G6", "log.jsonl :1", "2025-06-24 13:13 UTC", "3 left",
        f"{SCRIPT.count(chr(10))} lines of LibCST",
    ):  # fmt: skip
        assert part in seen


def test_a_verdict_shows_the_next_candidate_in_the_same_answer(
    client: TestClient, db: Database, three: list[int]
) -> None:
    page = client.get(f"/candidates/{three[0]}").text
    form = {"verdict": "reject", "version": "1", "key": hidden(page, "key"), "reasons": ["style", "unsafe"]}
    answer = client.post(f"/candidates/{three[0]}/decisions", data={**form, "comment": "no"}, headers=HTMX)

    assert answer.status_code == 200
    assert answer.text.lstrip().startswith('<article id="candidate"')
    assert f"#{three[1]}" in text(answer.text)
    assert f"Rejected #{three[0]}" in text(answer.text)
    assert answer.headers["HX-Push-Url"] == f"/candidates/{three[1]}"
    (decision,) = decisions(db)
    assert (decision.verdict, decision.reasons, decision.comment) == ("reject", ["style", "unsafe"], "no")
    assert status(db, three[0]) == "rejected"


def test_a_plain_form_is_sent_on_to_the_next_candidate(client: TestClient, three: list[int]) -> None:
    answer = decide(client, three[0], "accept", "?q=the")

    assert answer.status_code == 303
    assert answer.headers["location"] == f"/candidates/{three[1]}?q=the&last={three[0]}"
    assert f"Accepted #{three[0]}" in text(client.get(answer.headers["location"]).text)


def test_the_last_decision_leads_to_the_end_of_the_queue(client: TestClient, three: list[int]) -> None:
    for number in three[:2]:
        decide(client, number, "skip")
    answer = decide(client, three[2], "flag")

    assert answer.headers["location"] == "/queue/done"
    assert "Nothing is left to review here" in text(client.get("/queue/done").text)


def test_the_next_is_found_within_the_filter(client: TestClient, three: list[int]) -> None:
    answer = decide(client, three[0], "accept", "?q=cache")

    assert answer.headers["location"].startswith(f"/candidates/{three[2]}?q=cache")


def test_the_same_form_twice_decides_once(client: TestClient, db: Database, three: list[int]) -> None:
    form = {"verdict": "accept", "version": "1", "key": "the-same"}
    for _ in range(2):
        assert client.post(f"/candidates/{three[0]}/decisions", data=form, headers=HTMX).status_code == 200

    assert len(decisions(db)) == 1


def test_a_stale_form_is_refused_with_both_versions_and_all_that_was_typed(
    client: TestClient, db: Database, three: list[int]
) -> None:
    decide(client, three[0], "accept")
    form = {"verdict": "reject", "version": "1", "key": "k", "comment": "a long <b>thought", "reasons": "style"}
    for headers in ({}, HTMX):
        answer = client.post(f"/candidates/{three[0]}/decisions", data={**form, "rating": "2"}, headers=headers)

        assert answer.status_code == 409
        assert "you saw version 1, it is version 2 and accepted now" in text(answer.text)
        assert "a long &lt;b&gt;thought</textarea>" in answer.text
        assert "<option selected>2</option>" in answer.text
        assert hidden(answer.text, "version") == "2"
    assert answer.headers["HX-Retarget"] == "#candidate"
    assert len(decisions(db)) == 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ([("verdict", "accept"), ("verdict", "reject")], 400),
        ([("verdict", "accept"), ("reviewer_id", "7")], 422),
        ([("verdict", "accept"), ("is_admin", "1")], 422),
        ([("verdict", "Accept")], 422),
        ([("verdict", "undo")], 422),
        ([("verdict", "accept"), ("rating", "9")], 422),
        ([("verdict", "accept"), ("rating", "-1")], 422),
        ([("verdict", "reject"), ("reasons", "because")], 422),
        ([("verdict", "accept"), ("comment", "x" * 10_001)], 422),
        ([("verdict", "accept"), ("comment", "nul \x00")], 422),
        ([("verdict", "edit")], 422),
        ([("verdict", "edit"), ("edited_script", "a")], 422),
        ([], 422),
    ],
)
def test_a_form_that_no_page_has_is_refused_and_nothing_is_stored(
    client: TestClient, db: Database, three: list[int], fields: list[tuple[str, str]], code: int
) -> None:
    sent: dict[str, list[str]] = {"version": ["1"], "key": ["k"]}
    for name, value in fields:
        sent.setdefault(name, []).append(value)
    answer = client.post(f"/candidates/{three[0]}/decisions", data=sent)

    assert answer.status_code == code
    assert decisions(db) == []
    assert status(db, three[0]) == "pending"


def test_undo_takes_back_the_last_decision_and_shows_it_again(
    client: TestClient, db: Database, three: list[int]
) -> None:
    decide(client, three[0], "accept")
    answer = client.post("/undo", data={"key": "u1"}, headers=HTMX)

    assert f"Undone: #{three[0]}" in text(answer.text)
    assert "(taken back)" in text(answer.text)
    assert answer.headers["HX-Push-Url"] == f"/candidates/{three[0]}"
    assert status(db, three[0]) == "pending"
    assert [one.verdict for one in decisions(db)] == ["accept", "undo"]


def test_nothing_left_to_undo_is_a_sentence_in_the_notice(client: TestClient) -> None:
    answer = client.post("/undo", data={"key": "u1"}, headers=HTMX)

    assert answer.status_code == 409
    assert answer.headers["HX-Retarget"] == "#notice"
    assert "There is nothing left to undo." in text(answer.text)


def test_next_and_previous_walk_the_filter_without_deciding(client: TestClient, three: list[int]) -> None:
    def go(number: int, where: str) -> str:
        return str(client.get(f"/candidates/{number}/{where}", follow_redirects=False).headers["location"])

    assert go(three[0], "next") == f"/candidates/{three[1]}"
    assert go(three[1], "previous") == f"/candidates/{three[0]}"
    assert go(three[2], "next") == f"/candidates/{three[0]}"
    assert go(three[0], "previous") == f"/candidates/{three[0]}?end=1"


def test_the_view_is_in_the_address_and_remembered(client: TestClient, three: list[int]) -> None:
    assert 'class="diff split"' in client.get(f"/candidates/{three[0]}?view=split").text
    assert 'class="diff split"' in client.get(f"/candidates/{three[1]}").text
    assert 'class="diff unified"' in client.get(f"/candidates/{three[1]}?view=unified").text


def test_htmx_gets_the_diff_alone_where_it_asks_for_that(client: TestClient, three: list[int]) -> None:
    headers = HTMX | {"HX-Target": "section#diff"}
    answer = client.get(f"/candidates/{three[0]}?view=split", headers=headers)

    assert answer.text.lstrip().startswith('<section id="diff"')


def test_a_fragment_brings_the_script_when_it_is_asked_for(client: TestClient, three: list[int]) -> None:
    fragment = client.get(f"/candidates/{three[0]}", headers=HTMX).text
    script = client.get(f"/candidates/{three[0]}/script", headers=HTMX).text

    assert "leave_Name" not in fragment
    assert "leave_Name" in script
    assert "leave_Name" in client.get(f"/candidates/{three[0]}").text


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_text_is_text_on_every_page(
    client: TestClient, db: Database, settings: Settings, project_id: int, tmp_path: Path, hostile: str
) -> None:
    more = {
        "spec_target_files": [hostile], "spec_operations_details": [{hostile: [hostile]}, hostile],
        "patch_source": hostile,
        "predicted_core": hostile, "spec_issue_id": hostile, "successful_script": f"x = 1  # {hostile}\n",
        "successful_diff_summary": f"--- a/{hostile}\n+++ b/{hostile}\n@@ -1 +1 @@\n-a\n+{hostile}\n",
    }  # fmt: skip
    read(db, settings, project_id, tmp_path, json.dumps(entry(hostile, **more)).encode())
    decide(client, 1, "reject", comment=hostile)

    for path in (
        "/queue?status=all", "/candidates/1?status=all", "/candidates/1/edit", "/candidates/1/edit?field=diff",
        "/imports/1", "/exports",
    ):  # fmt: skip
        page = client.get(path).text
        assert live_parts(page) == [], path
        if path.startswith("/candidates"):
            assert " ".join(hostile.split()) in text(page), path


@pytest.mark.parametrize("path", ["/candidates/0", "/candidates/99999999999999999999", "/candidates/7/edit"])
def test_a_candidate_that_is_not_there_is_not_found(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_more_history_adds_no_statements(
    client: TestClient, db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    read_issues(db, settings, project_id, tmp_path, "One", "Two")
    for _ in range(5):
        decide(client, 1, "flag", "?status=all")
    decide(client, 2, "flag", "?status=all")

    def statements(path: str) -> int:
        seen: list[str] = []

        def note(*args: object) -> None:
            seen.append(str(args[2]))

        event.listen(Engine, "before_cursor_execute", note)
        client.get(path)
        event.remove(Engine, "before_cursor_execute", note)
        return len(seen)

    assert statements("/candidates/1?status=all") == statements("/candidates/2?status=all")


def test_an_edit_that_exports_hold_back_says_so_at_once(client: TestClient, three: list[int]) -> None:
    first = three[0]
    edited = {"verdict": "edit", "version": 1, "key": "k", "edited": {"script": "def broken(:\n"}}
    assert client.post(f"/api/v1/candidates/{first}/decisions", json=edited).status_code == 200

    following = client.get(f"/candidates/{first}/next?last={first}").text

    assert f"Edited #{first}, but exports hold it back" in text(following)
    assert "Below stands the text as it was edited" in text(client.get(f"/candidates/{first}?status=all").text)
