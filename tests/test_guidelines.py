"""Guidelines and reasons: versions that only grow, what decisions keep of them, the page, the API, the commands."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text as sql
from starlette.testclient import TestClient

from app import decisions, guidelines, insight, markdown, queue, review
from app.db import Database
from app.errors import BadInputError, ConflictError, NotFoundError
from app.guidelines import FIRST_REASONS, Reason
from app.models import DecisionRow, Verdict
from app.queue import Filter
from app.settings import Settings
from tests.commands import call
from tests.conftest import NOON
from tests.logs import read_issues
from tests.test_cli import write
from tests.web.pages import decide, hidden, live_parts, text

NO_TEST = Reason("no_test", "No test", 5)
SHORTER = tuple(
    replace(one, digit=None, is_retired=True) if one.code == "duplicate" else replace(one, label="Looks wrong")
    if one.code == "style" else one for one in FIRST_REASONS
)  # fmt: skip


@pytest.fixture
def three(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> list[int]:
    """Three pending candidates."""
    return read_issues(db, settings, project_id, tmp_path, "Fix the parser", "Name the reader", "Drop the cache")


def test_the_first_version_of_a_project_is_what_the_program_came_with(db: Database, project_id: int) -> None:
    with db.read() as session:
        found = guidelines.get_guideline(session, project_id)
        assert (found.version, found.text, found.reasons) == (1, "", FIRST_REASONS)
        assert [one.as_json()["by"] for one in guidelines.list_versions(session, project_id)] == [""]
        with pytest.raises(NotFoundError, match="no version 2"):
            guidelines.get_guideline(session, project_id, 2)


def test_every_change_is_a_version_and_nothing_is_ever_changed(db: Database, project_id: int, reviewer_id: int) -> None:
    with db.write() as session:
        made = guidelines.save(session, project_id, reviewer_id, text="Read\r\ntwice.", comment=" first ", now=NOON)
        same = guidelines.save(session, project_id, reviewer_id, text="Read\ntwice.", seen=2, now=NOON)
        third = guidelines.save(session, project_id, reviewer_id, reasons=SHORTER, seen=2, now=NOON)
        assert (made.version, same, third.version, third.text) == (2, made, 3, "Read\ntwice.")
        with pytest.raises(ConflictError, match=r"at version 3 now; you began with version 2\. Nothing was stored"):
            guidelines.save(session, project_id, reviewer_id, text="Other.", seen=2, now=NOON)
    with db.read() as session:
        listed = guidelines.list_versions(session, project_id)
        assert [(one.version, one.changed, one.comment, one.reviewer) for one in listed] == [
            (3, ("reasons",), "", "local"), (2, ("text",), "first", "local"), (1, (), "", ""),
        ]  # fmt: skip
        assert guidelines.get_guideline(session, project_id, 2).reasons == FIRST_REASONS
    for statement in ("UPDATE guideline SET text = 'x'", "DELETE FROM guideline"):
        with pytest.raises(Exception, match="append-only"), db.engine.begin() as connection:
            connection.execute(sql(statement))


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        (FIRST_REASONS[1:], "wrong_fix is missing: decisions may name it. Retire it"),
        ((*FIRST_REASONS, FIRST_REASONS[0]), "wrong_fix stands twice"),
        ((*FIRST_REASONS, NO_TEST), "digit 5 ticks Duplicate and No test"),
        ((*FIRST_REASONS, Reason("No Test", "x")), "A code is 1 to 40 small letters"),
        ((*FIRST_REASONS, Reason("no_test", " ")), "label of no_test"),
        ((*FIRST_REASONS, Reason("no_test", "a\u202eb")), "label of no_test"),
        ((*FIRST_REASONS, Reason("no_test", "x", 10)), "digit of no_test is 1 to 9"),
        ((*FIRST_REASONS, Reason("no_test", "x", 5, is_retired=True)), "no digit ticks it"),
        (tuple(Reason(f"r{n}", "x") for n in range(61)), "at most 60 reasons"),
    ],
)
def test_a_list_of_reasons_that_cannot_be_is_refused(reasons: tuple[Reason, ...], said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        guidelines.check_list(reasons, FIRST_REASONS)


def test_a_decision_keeps_the_guideline_and_the_labels_of_then(
    client: TestClient, db: Database, project_id: int, reviewer_id: int, three: list[int]
) -> None:
    decide(client, three[0], "reject", reasons=["style", "duplicate"])
    with db.write() as session:
        guidelines.save(session, project_id, reviewer_id, reasons=SHORTER, now=NOON)
    decide(client, three[1], "reject", reasons=["style"])

    with db.read() as session:
        made = [session.get_one(DecisionRow, number) for number in (1, 2)]
        assert [one.guideline for one in made] == [None, 2]
        # What was decided before there were versions has the digest that it had.
        assert decisions.chain_digest(made[0], None) == bytes(made[0].digest)
        made[1].guideline = 3
        assert decisions.chain_digest(made[1], None) != bytes(made[1].digest)
        session.rollback()
    with db.read() as session:
        assert decisions.verify_chain(session, project_id) is None
        found = {
            asked: [row.id for row in queue.list_candidates(session, project_id, Filter(q=asked)).candidates]
            for asked in ("guideline:1", "guideline:>1", "reason:duplicate")
        }
        pictures = insight.look(session, project_id, insight.Scope(), now=NOON).pictures
    assert found == {"guideline:1": three[:1], "guideline:>1": [three[1]], "reason:duplicate": three[:1]}
    rows = next(one for one in pictures if one.code == "reasons").rows
    assert [row.name for row in rows] == ["Looks wrong", "Duplicate"]
    assert "Style Duplicate" in text(client.get(f"/candidates/{three[0]}").text)
    assert "Looks wrong" in text(client.get(f"/candidates/{three[1]}").text)


def test_a_retired_reason_is_neither_offered_nor_taken(
    client: TestClient, db: Database, project_id: int, reviewer_id: int, three: list[int]
) -> None:
    with db.write() as session:
        guidelines.save(session, project_id, reviewer_id, reasons=[NO_TEST, *SHORTER], now=NOON)

    shown = client.get(f"/candidates/{three[0]}").text
    assert 'value="duplicate"' not in shown
    assert shown.index('value="no_test"') < shown.index('value="wrong_fix"')
    assert 'data-key="5" aria-keyshortcuts="5"' in shown
    refused = decide(client, three[0], "reject", reasons="duplicate")
    assert refused.status_code == 422
    assert "The reason Duplicate (duplicate) is retired" in text(refused.text)
    # Who had read the version before gave it under that one, and it is kept so.
    early = {"verdict": "reject", "version": 1, "key": "early", "reasons": ["duplicate"], "guideline": 1}
    address = f"/api/v1/candidates/{three[2]}/decisions"
    assert client.post(address, json=early).json()["decision"]["guideline"] is None
    assert client.post("/api/v1/undo", json={"key": "back"}).status_code == 200
    assert client.post(address, json=early | {"key": "none", "guideline": 3, "version": 3}).status_code == 422
    body = {"filter": {}, "verdict": "reject", "count": 3, "key": "k", "reasons": ["duplicate"]}
    assert client.post("/api/v1/bulk", json=body).status_code == 422
    assert client.post("/api/v1/bulk", json=body | {"reasons": ["no_test"]}).json()["decided"] == 3
    with db.read() as session:
        assert session.get_one(DecisionRow, 3).guideline == 2
        act = review.Act(Verdict.REJECT, 2, "k2", ("nothing",))
        with pytest.raises(BadInputError, match=r"there are no_test, wrong_fix, incomplete, style, unsafe, unrelated"):
            review.check_act(session, project_id, act)


HOSTILE = """# <script>window.__xss = 1</script>
<img src=x onerror="window.__xss = 1"> ![p](https://example.org/p.png)
[a](javascript:window.__xss=1) [b](&#x6a;avascript:window.__xss=1) [c](data:text/html,x) [d](//example.org) [e](/undo)
[f](https://example.org/?a="onmouseover=window.__xss=1) <https://example.org> [g]: javascript:window.__xss=1

| <b onclick=window.__xss=1> | ' hx-get='/undo' hx-trigger='load' |
|-|-|
| {{ 7 * 7 }} | </textarea></section><script>window.__xss = 1</script> |

```"><svg onload=window.__xss=1>
x
```
"""


def test_hostile_markdown_stays_text() -> None:
    drawn = str(markdown.draw(HOSTILE))

    assert live_parts(drawn) == []
    assert drawn.count("<a ") == drawn.count('rel="noopener noreferrer nofollow" target="_blank"') == 3
    assert drawn.count('href="https://example.org') == 3
    assert "<h3>&lt;script&gt;" in drawn


def test_the_page_writes_versions_and_gives_back_what_it_refuses(client: TestClient, three: list[int]) -> None:
    assert "Nothing is written down yet" in client.get(f"/candidates/{three[0]}").text
    seen = hidden(client.get("/guidelines").text, "seen")
    form = {"text": "# Read *twice*", "comment": "first", "seen": seen}
    shown = client.post("/guidelines/preview", data=form).text
    assert "<h3>Read <em>twice</em></h3>" in shown
    assert client.get("/api/v1/guideline").json()["version"] == 1

    saved = client.post("/guidelines", data=form, follow_redirects=False)
    assert saved.headers["location"] == "/guidelines?done=text"
    assert "<h3>Read <em>twice</em></h3>" in client.get(f"/candidates/{three[0]}").text
    stale = client.post("/guidelines", data=form | {"text": "mine"})
    assert stale.status_code == 409
    assert "mine</textarea>" in stale.text
    assert hidden(stale.text, "seen") == "2"
    long = client.post("/guidelines", data=form | {"text": "x" * 50_001, "seen": "2"})
    assert (long.status_code, "at most 50,000 characters; this has 50,001" in long.text) == (422, True)
    assert "What version 2 changed" in client.get("/guidelines?version=2").text
    assert client.get("/guidelines?version=9").status_code == 404
    assert client.get("/guidelines?version=x").status_code == 422


def test_the_form_of_reasons_retires_adds_and_orders(client: TestClient, db: Database, project_id: int) -> None:
    rows = [(str(n), one.code, one.label, str(one.digit or ""), "offered") for n, one in enumerate(FIRST_REASONS, 1)]
    rows[4] = ("5", "duplicate", "Duplicate", "5", "retired")
    rows[8] = ("0", "other", "Other", "9", "offered")
    rows += [("", "no_test", "No test", "5", "offered"), ("", "", "", "", "offered")]
    columns = ("place", "code", "label", "digit", "state")
    form: dict[str, object] = {name: [row[n] for row in rows] for n, name in enumerate(columns)}

    answer = client.post("/guidelines/reasons", data=form | {"seen": "1", "comment": "c"}, follow_redirects=False)
    assert answer.headers["location"] == "/guidelines?done=reasons#reasons"
    with db.read() as session:
        found = guidelines.get_guideline(session, project_id)
    assert [one.code for one in found.active][:2] == ["other", "wrong_fix"]
    assert found.active[-1] == NO_TEST
    assert found.reasons[5] == Reason("duplicate", "Duplicate", None, is_retired=True)

    form["label"] = ["", *[row[2] for row in rows[1:]]]
    wrong = client.post("/guidelines/reasons", data=form | {"seen": "2", "comment": "kept"})
    assert wrong.status_code == 422
    assert "The label of wrong_fix" in text(wrong.text)
    assert "kept</textarea>" in wrong.text


def panel(page: str) -> str:
    """The tag of the panel."""
    return page.partition('<section id="guide"')[2].partition(">")[0]


def test_the_panel_is_remembered_with_the_person(client: TestClient, three: list[int]) -> None:
    form = {"open": "yes", "back": str(three[0])}
    answer = client.post("/guidelines/panel", data=form, follow_redirects=False)
    assert answer.headers["location"] == f"/candidates/{three[0]}"
    assert "hidden" not in panel(client.get(f"/candidates/{three[1]}").text)
    client.post("/preferences", data={"as_it_came": "yes"})
    client.post("/guidelines/panel", data=form | {"open": "no", "back": "//example.org"})
    assert "hidden" in panel(client.get(f"/candidates/{three[1]}").text)


def test_programs_read_and_write_the_same(client: TestClient) -> None:
    made = client.post("/api/v1/guideline", json={"text": "Read.", "comment": "why", "seen": 1}).json()
    assert (made["version"], made["reasons"][0]["code"]) == (2, "wrong_fix")
    wanted = [*made["reasons"], {"code": "no_test", "label": "No test"}]
    assert client.post("/api/v1/guideline", json={"reasons": wanted}).json()["version"] == 3
    assert client.get("/api/v1/guideline?version=2").json()["text"] == "Read."
    assert [one["changed"] for one in client.get("/api/v1/guideline").json()["versions"]] == [
        ["reasons"], ["text"], [],
    ]  # fmt: skip
    for body, status in (
        ({}, 422), ({"text": "x", "seen": 1}, 409), ({"reasons": [{"code": 7}]}, 422), ({"text": "a\x00"}, 422),
        ({"reasons": [{"code": "a", "label": "b", "more": 1}]}, 422), ({"reasons": [], "by": "x"}, 422),
    ):  # fmt: skip
        assert client.post("/api/v1/guideline", json=body).status_code == status, body


def test_commands_read_and_write_the_same(tmp_path: Path) -> None:
    where = ("--data-dir", tmp_path / "desk")
    assert call("db", "upgrade", *where).status == 0
    assert "Version 2 stands." in call("guideline", "set", "-", "--comment", "why", *where, given=b"Read twice.\n").err
    assert call("guideline", "show", *where).out == "Read twice.\n"
    listed = call("reasons", "show", "--json", *where).json
    listed["reasons"].append({"code": "no_test", "label": "No test"})
    path = write(tmp_path / "reasons.json", json.dumps(listed).encode())
    assert "Version 3 stands: 10 reasons are offered." in call("reasons", "set", path, *where).err
    history = call("reasons", "history", *where).out
    assert [row.split()[:2] for row in history.splitlines()] == [["3", "reasons"], ["2", "text"], ["1", "-"]]
