"""Gold: given unseen, hidden until judged, told then; no decision, nothing trained on, and drift shows."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import audit, decisions, gold, leases, outlook, queue, review
from app.errors import BadInputError, ConflictError, NotFoundError
from app.queue import Filter
from tests.conftest import NOON
from tests.test_opinions import Team, team  # noqa: F401  (a fixture)

PENDING, HOUR = Filter(status="pending"), timedelta(hours=1)


@pytest.fixture
def golden(team: Team) -> Team:  # noqa: F811
    """The first candidate was rejected by Kim and is gold; of what a queue gives, half is."""
    team.ask(asked=1, gold_share=0.5)
    team.says("kim", "reject", reasons=("wrong_fix",), comment="It hides the error.")
    _mark(team, team.ids[0], "It hides.")
    return team


def _mark(team: Team, number: int, why: str) -> None:  # noqa: F811
    with team.db.write() as session:
        gold.mark(session, review.get_candidate(session, team.project, number), team.people["kim"], why, now=NOON)


def _opened(team: Team, who: str) -> review.Opened:  # noqa: F811
    with team.db.read() as session:
        queue.asks(session, team.people[who])
        return review.open_candidate(session, team.project, team.ids[0])


def test_it_looks_like_what_waits_until_it_is_judged(golden: Team) -> None:
    for who, status, n in (("ann", "pending", 0), ("kim", "rejected", 1)):
        opened = _opened(golden, who)
        assert (opened.row.status, len(opened.history)) == (status, n)
    assert golden.found("status:rejected", me="ann") == []
    assert golden.found("status:rejected", me="kim") == golden.ids[:1]
    with golden.db.read() as session:
        queue.asks(session, golden.people["ann"])
        seen = outlook.look(session, golden.project, golden.ids[0])
    assert seen is not None
    assert seen.is_supposed

    told = golden.says("ann", "accept", version=1)

    assert told.gold == f"#{golden.ids[0]} was a gold candidate: you said accept, and reject is right. It hides."
    assert (told.decision, _opened(golden, "ann").row.status) == (None, "rejected")
    assert golden.says("ben", "reject").gold.endswith("you said reject, rightly. It hides.")


def test_an_answer_is_no_decision(golden: Team) -> None:
    before = golden.row()
    first = golden.says("ann", "edit", key="once", edited=("script", "other"))
    again = golden.says("ann", "edit", key="once", edited=("script", "other"))

    assert (again.repeated, again.gold) == (True, first.gold)
    after = golden.row()
    assert (after.status, after.version, after.agreement) == (before.status, before.version, "")
    with golden.db.read() as session:
        assert len(decisions.list_history(session, golden.ids[0])) == 1
        [told] = audit.list_page(session, golden.project, audit.Wanted(what="judged gold"))
        assert told.reviewer_id == golden.people["ann"]
        assert (told.about["candidate"], told.about["verdict"]) == (golden.ids[0], "edit")
    golden.check()
    with pytest.raises(ConflictError, match="it was gold"), golden.db.write() as session:
        review.undo(session, golden.project, golden.people["ann"], key="u", of="once", now=NOON)
    with pytest.raises(DBAPIError, match="append-only"), golden.db.write() as session:
        session.connection().execute(text("UPDATE gold_answer SET is_right = 1"))


def test_where_nothing_is_told_it_stays_hidden(golden: Team) -> None:
    golden.ask(gold_told=False)

    assert golden.says("ann", "accept").gold == f"Kept: accept #{golden.ids[0]}"
    assert _opened(golden, "ann").row.status == "pending"
    with pytest.raises(ConflictError, match="already"):
        golden.says("ann", "reject")


def test_a_queue_gives_it_at_the_share_that_is_set_and_goes_on_behind_it(golden: Team) -> None:
    one, two, three = golden.ids
    given = []
    with golden.db.write() as session:
        for after in range(2, 200):
            given.append(gold.find_due(session, golden.project, golden.people["ann"], after) == one)
            assert gold.find_due(session, golden.project, golden.people["kim"], after) is None
    assert 70 < sum(given) < 130
    due = next(at for at, is_due in enumerate(given, 2) if is_due)
    with golden.db.write() as session:
        lease = leases.take_next(session, golden.project, golden.people["ann"], PENDING, now=NOON, after=due)
        ahead = leases.deal(session, golden.project, golden.people["ben"], PENDING, 0, n=3, now=NOON)
    assert lease is not None
    assert lease.candidate_id == one
    assert {number for number, _ in ahead} <= {two, three}

    golden.says("ann", "accept", two)
    golden.says("ann", "reject", one)
    with golden.db.write() as session:
        lease = leases.take_next(
            session, golden.project, golden.people["ann"], PENDING, now=NOON + timedelta(hours=1), after=one
        )
    assert lease is not None
    assert lease.candidate_id == three


def test_drift_shows_by_person_and_week(golden: Team) -> None:
    golden.says("ann", "accept")
    golden.says("ben", "skip")
    golden.says("cleo", "reject")

    with golden.db.read() as session:
        scores = gold.list_scores(session, golden.project, now=NOON + timedelta(days=1))
        later = gold.list_scores(
            session, golden.project, now=NOON + timedelta(days=40), reviewer_id=golden.people["cleo"]
        )
        weeks = gold.list_weeks(session, golden.project, golden.people["cleo"])
        [listed] = gold.list_gold(session, golden.project)
    assert [(one.name, one.n, one.n_right) for one in scores] == [("ben", 0, 0), ("cleo", 1, 1), ("local", 1, 0)]
    assert (later[0].n_lately, later[0].n) == (0, 1)
    assert [(f"{monday}", right, wrong) for monday, right, wrong in weeks] == [("2026-02-23", 1, 0)]
    assert (listed.n, listed.n_right, listed.by) == (2, 1, "kim")


def test_only_what_is_decided_becomes_gold_with_a_reason_and_ends(golden: Team) -> None:
    with pytest.raises(BadInputError, match="pending"):
        _mark(golden, golden.ids[1], "So")
    with pytest.raises(ConflictError, match="already"):
        _mark(golden, golden.ids[0], "So")
    golden.says("kim", "accept", golden.ids[1])
    with pytest.raises(BadInputError, match="why"):
        _mark(golden, golden.ids[1], " ")
    with golden.db.write() as session:
        gold.end(session, golden.project, golden.ids[0], now=NOON)
    assert _opened(golden, "ann").row.status == "rejected"
    with pytest.raises(NotFoundError), golden.db.write() as session:
        gold.end(session, golden.project, golden.ids[0], now=NOON)
    _mark(golden, golden.ids[0], "So after all")
    assert _opened(golden, "ann").row.status == "pending"
