"""Comments on lines: threads that follow, what blocks acceptance on every path, and no trace of it in a file."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text as sql
from starlette.testclient import TestClient

from app import bulk, comments, evidence, projects, queue, review, turns
from app.comments import Draft, Thread
from app.db import Database
from app.diffs.edit import diff_texts
from app.diffs.follow import How
from app.errors import BadInputError, ConflictError, NotFoundError, RefusedError
from app.models import CommentAct, DecisionRow, ReviewerRow, Verdict
from app.queue import Filter
from app.settings import Settings
from tests.conftest import NOON
from tests.logs import line, read
from tests.people import hire
from tests.web.pages import HTMX, decide, hidden, live_parts, save, text

BEFORE = "def read(path):\n    file = open(path)\n    return file.read()\n\n\ndone = True\n"
AFTER = "def read(path):\n    file = open(path, 'rb')\n    return file.read()\n\n\ndone = False\n"
DIFF = diff_texts(BEFORE, AFTER, "src/x.py")
HOSTILE = "<script>window.__xss=1</script> {{ 7 * 7 }} </textarea><img src=x onerror=window.__xss=1>"


@dataclass
class Desk:
    """Three candidates with a diff of two changes, and a person who comments."""

    db: Database
    project: int
    me: int
    ids: list[int]

    def comment(self, candidate: int = 0, wanted: str = "+    file = open(path, 'rb')", **more: Any) -> int:
        """Comment on the line of the diff that reads so; gives the thread."""
        with self.db.write() as session:
            opened = review.open_candidate(session, self.project, self.ids[candidate])
            at = (opened.stands.diff or "").split("\n").index(wanted) + 1
            said: dict[str, Any] = {"field": "diff", "at": at, "text": "Close it.", "key": f"k{more}{candidate}"}
            draft = Draft(**said | more)
            return comments.begin(session, opened.row, self.me, draft, opened.stands, now=NOON)

    def threads(self, candidate: int = 0) -> list[Thread]:
        with self.db.read() as session:
            opened = review.open_candidate(session, self.project, self.ids[candidate])
            edits = [{edit.field: edit.text} for _, _, edit in opened.history if edit is not None]
            return comments.list_threads(session, opened.row, opened.stands, [opened.said.texts, *edits])

    def settle(self, thread: int, act: CommentAct = CommentAct.RESOLVE, key: str = "s") -> Thread:
        with self.db.write() as session:
            return comments.settle(session, self.project, self.me, thread, act, key=key, now=NOON)

    def decide(self, verdict: Verdict, key: str, candidate: int = 0, **more: Any) -> None:
        with self.db.write() as session:
            version = review.get_candidate(session, self.project, self.ids[candidate]).version
            act = review.Act(verdict, version, key, **more)
            review.decide(session, self.project, self.me, self.ids[candidate], act, now=NOON)

    def find(self, q: str) -> list[int]:
        with self.db.read() as session:
            queue.asks(session, self.me)
            return [row.id or 0 for row in queue.list_candidates(session, self.project, Filter(q=q)).candidates]


@pytest.fixture
def desk(db: Database, settings: Settings, project_id: int, reviewer_id: int, tmp_path: Path) -> Desk:
    issues = ("Fix the parser", "Name the reader", "Drop the cache")
    log = [line(issue, successful_diff_summary=DIFF.replace("x.py", f"{n}.py")) for n, issue in enumerate(issues)]
    read(db, settings, project_id, tmp_path, b"\n".join(log) + b"\n")
    with db.read() as session:
        ids = [row.id or 0 for row in queue.list_candidates(session, project_id, Filter()).candidates]
    return Desk(db, project_id, reviewer_id, ids)


def test_a_thread_is_begun_answered_edited_resolved_and_opened_again(desk: Desk) -> None:
    number = desk.comment(blocks=True, text=" Close it.\r\nAlways. ")
    with desk.db.write() as session:
        comments.answer(session, desk.project, desk.me, number, "Where?", key="a", now=NOON)
        first = comments.get_thread(session, desk.project, number).said[0].id
        comments.edit(session, desk.project, desk.me, first, "Close the file.", blocks=True, key="e", now=NOON)
        # The same act once more, under its key, is the same act.
        comments.answer(session, desk.project, desk.me, number, "Where?", key="a", now=NOON)
    [thread] = desk.threads()
    assert [(one.text, one.n_edits) for one in thread.said] == [("Close the file.", 1), ("Where?", 0)]
    assert (thread.place, thread.row.line, thread.how) == ("src/0.py:2", "    file = open(path, 'rb')", How.SAME)
    assert thread.is_blocking
    resolved = desk.settle(number)
    assert (resolved.is_resolved, resolved.blocks, resolved.settled) == (True, True, ("local", NOON))
    assert not desk.settle(number, CommentAct.REOPEN, "r").is_resolved
    for table in ("thread", "comment"):
        for statement in (f"UPDATE {table} SET id = 99", f"DELETE FROM {table}"):
            with pytest.raises(Exception, match="append-only"), desk.db.engine.begin() as connection:
                connection.execute(sql(statement))


@pytest.mark.parametrize(
    ("edited", "place", "how"),
    [
        (AFTER.replace("    file", "    # why\n    file"), "src/0.py:3", How.MOVED),
        (AFTER.replace("'rb'", "'rb', 0"), "src/0.py:2", How.CHANGED),
        (AFTER.replace("    file = open(path, 'rb')\n", ""), "src/0.py:2", How.OUTDATED),
        (AFTER + "    file = open(path, 'rb')\n", "src/0.py:2", How.SAME),
    ],
)
def test_a_thread_follows_its_line_through_an_edit(desk: Desk, edited: str, place: str, how: How) -> None:
    desk.comment()
    desk.decide(Verdict.EDIT, "k", edited=("diff", diff_texts(BEFORE, edited, "src/0.py")))
    [thread] = desk.threads()
    assert (thread.place, thread.how) == (place, how)
    with desk.db.read() as session:
        opened = review.open_candidate(session, desk.project, desk.ids[0])
        # Where nobody has the text of then any more, the line and its neighbours are all that there is.
        [blind] = comments.list_threads(session, opened.row, opened.stands, [])
    assert (blind.place, blind.how) == ((place, how) if how is not How.CHANGED else (place, How.OUTDATED))


def test_a_comment_stands_on_a_line_of_a_script_too(desk: Desk) -> None:
    with desk.db.write() as session:
        opened = review.open_candidate(session, desk.project, desk.ids[0])
        for wrong in (0, 99):
            draft = Draft("script", wrong, "x", "k")
            with pytest.raises(BadInputError, match="lines 1 to 7"):
                comments.begin(session, opened.row, desk.me, draft, opened.stands, now=NOON)
        comments.begin(session, opened.row, desk.me, Draft("script", 5, "x", "k"), opened.stands, now=NOON)
        stands = opened.stands.with_text("script", "# first\n" + (opened.stands.script or ""))
        [thread] = comments.list_threads(session, opened.row, stands, [opened.said.texts])
    assert (thread.place, thread.at, thread.how) == ("script:6", 6, How.MOVED)


def by_page(client: TestClient, desk: Desk) -> Any:
    return decide(client, desk.ids[0], "accept")


def by_htmx(client: TestClient, desk: Desk) -> Any:
    form = {"verdict": "accept", "version": "1", "key": "k9"}
    return client.post(f"/candidates/{desk.ids[0]}/decisions", data=form, headers=HTMX)


def by_outbox(client: TestClient, desk: Desk) -> Any:
    """What a browser sends by itself, at once or when the network is back."""
    body = {"verdict": "accept", "version": 1, "key": "k", "reasons": [], "comment": "", "rating": None}
    return client.post(f"/api/v1/candidates/{desk.ids[0]}/decisions", json=body)


def by_edit(client: TestClient, desk: Desk) -> Any:
    return save(client, desk.ids[0], "?field=script", edited_script="import libcst as cst\n")


@pytest.mark.parametrize("way", [by_page, by_htmx, by_outbox, by_edit])
def test_a_blocking_comment_is_in_the_way_of_acceptance(
    client: TestClient, desk: Desk, way: Callable[[TestClient, Desk], Any]
) -> None:
    number = desk.comment(blocks=True)
    said = f"Comment {number} by local at src/0.py:2 blocks acceptance: “Close it.” Resolve it first"

    refused = way(client, desk)
    assert refused.status_code == 409
    assert said in (refused.json()["error"]["message"] if way is by_outbox else text(refused.text))
    with desk.db.read() as session:
        assert session.get(DecisionRow, 1) is None
    desk.settle(number)
    assert way(client, desk).status_code in {200, 303}


def test_a_bulk_act_and_a_cluster_leave_it_out_and_say_why(client: TestClient, desk: Desk) -> None:
    number = desk.comment(1, blocks=True)
    assert "1 has a comment that blocks acceptance" in text(client.get("/bulk?status=pending").text)
    body = {"filter": {"status": "pending"}, "verdict": "accept", "count": 3, "key": "k"}
    act = client.post("/api/v1/bulk", json=body).json()
    assert (act["decided"], act["left_out"]) == (2, {"blocked": 1})
    page = text(client.get(f"/bulk/{act['job']}").text)
    assert "1 was kept from acceptance by a comment that is not resolved" in page
    assert f"Comment {number} by local at src/1.py:2 blocks acceptance" in page
    form = {"verdict": "accept", "count": "1", "key": "c", "member": f"{desk.ids[1]}.1", "comment": ""}
    answer = client.post(f"/clusters/{desk.ids[1]}", data=form, follow_redirects=False)
    assert answer.status_code == 303
    with desk.db.read() as session:
        left = bulk.get_act(session, desk.project, int(answer.headers["location"].rpartition("/")[2]))
    assert (left.decided, left.left) == (0, {"blocked": 1})
    # Reject and skip are free, of one and of many.
    assert client.post("/api/v1/bulk", json=body | {"verdict": "reject", "count": 1, "key": "r"}).json()["decided"] == 1
    desk.decide(Verdict.SKIP, "s", 1)


def test_a_part_with_a_blocking_comment_blocks_its_lead(desk: Desk) -> None:
    desk.comment(1, blocks=True)
    with desk.db.write() as session:
        review.join(session, desk.project, desk.me, desk.ids[0], desk.ids[1], version=1, key="j", now=NOON)
        lead = next(
            one
            for one in desk.ids[:2]
            if evidence.find_lead(session, review.get_candidate(session, desk.project, one)) is None
        )
    with pytest.raises(ConflictError, match="blocks acceptance"):
        desk.decide(Verdict.ACCEPT, "a", desk.ids.index(lead))
    assert desk.find("comment:blocking") == [lead]
    assert len(desk.threads(desk.ids.index(lead))) == 1
    desk.decide(Verdict.REJECT, "x", desk.ids.index(lead))


def test_filters_find_comments(desk: Desk) -> None:
    open_, blocking, resolved = desk.comment(0), desk.comment(1, blocks=True), desk.comment(2)
    desk.settle(resolved)
    first, second, third = desk.ids
    assert open_ != blocking
    assert desk.find("comment:open") == [first, second]
    assert desk.find("comment:blocking") == [second]
    assert desk.find("-comment:open") == [third]
    assert desk.find("comment:any") == desk.find("comment:me") == desk.ids
    with desk.db.write() as session:
        other = ReviewerRow(name="ada", created_at=NOON)
        session.add(other)
        session.flush()
        queue.asks(session, other.id or 0)
        assert queue.count_candidates(session, desk.project, Filter(q="comment:me")).n == 0
        comments.answer(session, desk.project, other.id or 0, resolved, "So it is.", key="o", now=NOON)
        assert queue.count_candidates(session, desk.project, Filter(q="comment:me")).n == 1
        # Who answers does not open again what is settled; and nobody edits another's words.
        assert comments.get_thread(session, desk.project, resolved).is_resolved
        with pytest.raises(RefusedError, match="edited by whoever made it"):
            comments.edit(session, desk.project, other.id or 0, 1, "x", key="p", now=NOON)
    with desk.db.read() as session, pytest.raises(BadInputError, match="comment:me means another list"):
        queue.count_candidates(session, desk.project, Filter(q="comment:me"))


def test_who_is_answered_is_told_until_they_say_done(desk: Desk) -> None:
    number, first = desk.comment(), desk.ids[0]
    bob = hire(desk.db, "Bob")[0]

    def told(who: int) -> list[tuple[str, str]]:
        with desk.db.read() as session:
            waiting = turns.list_waiting(session, desk.project, who)
        return [(one.sender, one.sentence) for one in waiting if one.is_answer]

    def answer(who: int, key: str, thread: int = number) -> None:
        with desk.db.write() as session:
            review.answer(session, desk.project, who, thread, "Look again.", key=key, now=NOON)

    answer(bob, "b")
    answer(bob, "c")
    assert (told(desk.me), told(bob)) == ([("Bob", "comment 1 at src/0.py:2")], [])
    assert desk.find("turn:me") == [first]
    desk.decide(Verdict.ACCEPT, "d")
    # Asked again with its key it is the same answer, and tells nobody anew.
    answer(bob, "c")
    assert told(desk.me) == []
    with desk.db.write() as session:
        review.undo(session, desk.project, desk.me, key="u", now=NOON)
    assert len(told(desk.me)) == 1

    with desk.db.write() as session:
        # Who answered sent nothing, and is not told what becomes of it.
        assert [turns.list_sent(session, desk.project, bob, done=done) for done in (True, False)] == [[], []]
        queue.asks(session, bob)
        assert queue.count_candidates(session, desk.project, Filter(q="turn:sent")).n == 0
        row = review.get_candidate(session, desk.project, first)
        turns.send(session, row, bob, "local", "Please look", now=NOON)
        (sent,) = turns.list_waiting(session, desk.project, desk.me)
        assert (sent.sentence, sent.is_answer) == ("Please look", False)
        turns.say_done(session, desk.project, desk.me, sent.number, now=NOON)
        assert len(turns.list_sent(session, desk.project, bob, done=True)) == 1

    # While others are to judge it too, nobody learns that somebody spoke.
    other = desk.comment(1)
    with desk.db.write() as session:
        projects.change_settings(session, desk.project, {"opinions": {"asked": 2}})
    answer(bob, "e", other)
    assert told(desk.me) == []


def test_what_cannot_be_is_refused(desk: Desk) -> None:
    number = desk.comment()
    wrong: list[dict[str, Any]] = [
        {"text": " "}, {"text": "x" * 10_001}, {"text": "a\x00"}, {"at": 1}, {"field": "spec"}, {"key": ""},
    ]  # fmt: skip
    for more in wrong:
        with pytest.raises(BadInputError):
            desk.comment(0, **more)
    with pytest.raises(ConflictError, match="was edited since this page was shown"):
        desk.comment(digest="0" * 64)
    with pytest.raises(ConflictError, match="key was used for another comment"):
        desk.settle(number, key="k{}0")
    with pytest.raises(ConflictError, match="key was used for another comment"):
        desk.comment(1, key="k{}0")
    with pytest.raises(ConflictError, match="key was used for another comment"):
        replace(desk, me=desk.me + 1).comment()
    with desk.db.write() as session:
        for wanted in (99, 2**40):
            with pytest.raises(NotFoundError):
                comments.get_thread(session, desk.project, wanted)
        with pytest.raises(NotFoundError):
            comments.get_thread(session, desk.project + 1, number)


def test_the_page_shows_a_thread_at_its_line_in_both_views_and_without_javascript(
    client: TestClient, desk: Desk
) -> None:
    address = f"/candidates/{desk.ids[0]}"
    form = client.get(f"{address}/comments/new?field=diff&hunk=f1h1").text
    at = DIFF.split("\n").index("+    file = open(path, 'rb')") + 1
    assert f'value="{at}"' in form
    sent = {"field": "diff", "hunk": "f1h1", "digest": hidden(form, "digest"), "key": hidden(form, "key"), "side": ""}
    nothing = client.post(f"{address}/comments", data=sent | {"text": "kept"})
    assert (nothing.status_code, "Choose the line" in nothing.text, "kept</textarea>" in nothing.text) == (
        422,
        True,
        True,
    )
    made = client.post(f"{address}/comments", data=sent | {"at": str(at), "text": HOSTILE}, follow_redirects=False)
    assert (made.status_code, made.headers["location"]) == (303, f"{address}#thread-1")

    for view in ("unified", "split"):
        page = client.get(f"{address}?view={view}").text
        assert live_parts(page) == []
        drawn = page[page.index('id="diff"') :]
        assert drawn.index("rb") < drawn.index('id="thread-1"') < drawn.index("return")
        assert page.count('id="thread-1"') == 1
        assert f'colspan="{3 if view == "unified" else 4}"' in drawn
        assert HOSTILE in text(page.replace("&lt;", "\x01").replace("&gt;", "\x02")).replace("\x01", "<").replace(
            "\x02", ">"
        )
    for act, fields in (
        ("answers", {"text": "Done.", "key": "a"}), ("settle", {"act": "resolve", "key": "s"}),
        ("edit", {"comment": "1", "text": "Better.", "key": "e"}),
    ):  # fmt: skip
        answer = client.post(f"{address}/comments/1/{act}", data=fields, follow_redirects=False)
        assert answer.headers["location"] == f"{address}#thread-1"
    part = client.post(f"{address}/comments/1/settle", data={"act": "reopen", "key": "o"}, headers=HTMX).text
    assert "Better." in part
    assert 'id="comments"' in part
    assert client.get(f"{address}/comments/1").status_code == 200
    for wrong, status in ((f"{desk.ids[1]}/comments/1", 404), (f"{desk.ids[0]}/comments/new?field=spec", 422)):
        assert client.get(f"/candidates/{wrong}").status_code == status


def test_an_outdated_thread_is_listed_with_what_stood_there(client: TestClient, desk: Desk) -> None:
    desk.comment(wanted="+done = False")
    desk.decide(
        Verdict.EDIT, "k", edited=("diff", diff_texts(BEFORE, AFTER.replace("done = False", "done = True"), "src/0.py"))
    )
    page = client.get(f"/candidates/{desk.ids[0]}?status=all").text
    listed = page[page.index('id="comments"') :].partition("</section>")[0]
    assert 'id="thread-1"' in listed
    assert "outdated: the line is gone" in listed
    assert "<mark>done = False</mark>" in listed


def test_programs_comment_too(client: TestClient, desk: Desk) -> None:
    address = f"/api/v1/candidates/{desk.ids[0]}/comments"
    at = DIFF.split("\n").index("+    file = open(path, 'rb')") + 1
    body = {"field": "diff", "at": at, "text": "Close it.", "key": "k", "blocks": True}
    made = client.post(address, json=body).json()
    assert (made["place"], made["blocks"], made["how"]) == ("src/0.py:2", True, "same")
    assert client.post(address, json=body).json()["id"] == made["id"]
    assert "blocks acceptance" in client.get(address).json()["blocked"]
    assert len(client.post("/api/v1/comments/1/answers", json={"text": "x", "key": "a"}).json()["comments"]) == 2
    edited = client.post("/api/v1/comments/1/edit", json={"text": "y", "key": "e", "blocks": False}).json()
    assert (edited["comments"][0]["text"], edited["blocks"]) == ("y", False)
    assert client.post("/api/v1/comments/1/settle", json={"act": "resolve", "key": "s"}).json()["resolved"]
    assert client.get(address).json()["blocked"] is None
    for wrong, status in (({"act": "x", "key": "t"}, 422), ({"act": "reopen", "key": "s"}, 409), ({}, 422)):
        assert client.post("/api/v1/comments/1/settle", json=wrong).status_code == status
    assert client.post("/api/v1/comments/9/answers", json={"text": "x", "key": "n"}).status_code == 404


def test_nothing_that_is_said_reaches_an_example(client: TestClient, desk: Desk) -> None:
    desk.comment(text="SECRET REMARK")
    desk.decide(Verdict.ACCEPT, "a")
    examples = client.get(f"/api/v1/candidates/{desk.ids[0]}/examples").text
    assert "Fix the parser" in examples
    assert "SECRET REMARK" not in examples


def test_while_opinions_are_awaited_nobody_learns_what_others_said(client: TestClient, desk: Desk) -> None:
    with desk.db.write() as session:
        ada = ReviewerRow(name="ada", created_at=NOON)
        session.add(ada)
        session.flush()
        me, desk.me = desk.me, ada.id or 0
        projects.change_settings(session, desk.project, {"opinions": {"asked": 2}})
    desk.comment(blocks=True, text="ADAS WORD")
    desk.me = me
    address = f"/candidates/{desk.ids[0]}"
    assert "ADAS WORD" not in client.get(address).text
    assert client.get(f"/api/v1{address}/comments").json() == {"threads": [], "blocked": None}
    assert client.post("/api/v1/comments/1/answers", json={"text": "x", "key": "a"}).status_code == 404
    # It is no secret of what stands in the way either: this opinion is one's own.
    desk.decide(Verdict.ACCEPT, "mine")
    assert desk.find("comment:open") == []
    with desk.db.write() as session:
        version = review.get_candidate(session, desk.project, desk.ids[0]).version
        act = review.Act(Verdict.REJECT, version, "adas")
        review.decide(session, desk.project, ada.id or 0, desk.ids[0], act, now=NOON)
    assert "ADAS WORD" in client.get(f"{address}?status=all").text
    with pytest.raises(ConflictError, match="ADAS WORD"):
        desk.decide(Verdict.ACCEPT, "last word")
