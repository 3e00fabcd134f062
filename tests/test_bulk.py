"""Decisions made as one: counted by hand, each candidate with its own, written in pieces, taken back as one."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlmodel import Session

from app import bulk, decisions, jobs, review, worker
from app.bulk import Ask, Members
from app.db import Database
from app.errors import AppError, ConflictError, NotFoundError
from app.models import CandidateRow, DecisionRow, FindingRow, JobRow, JobState, ReviewerRow, Verdict
from app.queue import Filter
from app.settings import Settings
from tests.conftest import NOON
from tests.logs import read_issues

PENDING = Filter(status="pending")


@dataclass
class Desk:
    """A reviewer at work, each act in transactions of its own."""

    db: Database
    settings: Settings
    project_id: int
    reviewer_id: int
    n: int = field(default=0)

    def key(self) -> str:
        self.n += 1
        return f"key-{self.n}"

    def order(
        self, count: int | str, verdict: str = "accept", wanted: Filter | Members = PENDING, **more: object
    ) -> JobRow:
        asked = Ask(Verdict(verdict), str(count), self.key())
        asked = replace(asked, **more)  # type: ignore[arg-type]
        return bulk.order(self.db, self.project_id, self.reviewer_id, asked, wanted, now=NOON)

    def decide(self, candidate_id: int, verdict: str, *, as_who: int = 0) -> None:
        with self.db.write() as session:
            version = review.get_candidate(session, self.project_id, candidate_id).version
            act = review.Act(Verdict(verdict), version, self.key())
            review.decide(session, self.project_id, as_who or self.reviewer_id, candidate_id, act, now=NOON)

    def undo(self, key: str = "", *, as_who: int = 0) -> review.Outcome:
        with self.db.write() as session:
            me = as_who or self.reviewer_id
            return review.undo(session, self.project_id, me, key=key or self.key(), now=NOON)

    def work(self) -> None:
        worker.run(self.db, self.settings, stop=lambda: False, until_idle=True)

    def state(self) -> dict[int, str]:
        """What each candidate is; checked against the counts that are kept, and the chain."""
        with self.db.read() as session:
            assert decisions.verify_chain(session, self.project_id) is None
            assert decisions.find_false_state(session, self.project_id) == ""
            found = session.execute(select(CandidateRow).order_by(CandidateRow.id)).scalars()  # type: ignore[arg-type]
            state = {row.id or 0: row.status for row in found}
            counted = decisions.count_by_status(session, self.project_id)
        assert {name: n for name, n in counted.items() if n} == {
            name: list(state.values()).count(name) for name in set(state.values())
        }
        return state

    def statuses(self) -> str:
        """`"aarp"`: the first letter of each."""
        return "".join(status[0] for status in self.state().values())

    def made(self) -> list[DecisionRow]:
        with self.db.read() as session:
            return list(session.execute(select(DecisionRow).order_by(DecisionRow.id)).scalars())  # type: ignore[arg-type]

    def act(self, job: JobRow) -> bulk.Act:
        with self.db.read() as session:
            return bulk.get_act(session, self.project_id, job.id or 0)


@pytest.fixture
def desk(db: Database, settings: Settings, project_id: int, reviewer_id: int) -> Desk:
    return Desk(db, settings, project_id, reviewer_id)


@pytest.fixture
def ids(desk: Desk, tmp_path: Path) -> list[int]:
    names = ("One", "Two", "Three", "Four", "Five", "Six")
    return read_issues(desk.db, desk.settings, desk.project_id, tmp_path, *names)


@pytest.fixture
def bob(db: Database) -> int:
    with db.write() as session:
        row = ReviewerRow(name="bob", created_at=NOON)
        session.add(row)
        session.flush()
        return row.id or 0


def test_every_candidate_gets_a_decision_of_its_own_and_they_share_a_name(desk: Desk, ids: list[int]) -> None:
    job = desk.order(6, "reject", key="mine", reasons=("style",), comment="All of one kind.")

    assert desk.statuses() == "rrrrrr"
    made = desk.made()
    assert [one.candidate_id for one in made] == ids
    assert [one.key for one in made] == [f"mine:{number}" for number in ids]
    assert {(one.bulk, one.comment, *one.reasons) for one in made} == {
        (decisions.bulk_name(job.id or 0), "All of one kind.", "style")
    }
    assert (job.state, job.message) == (JobState.DONE, "6 decided, 0 left out")


@pytest.mark.usefixtures("ids")
def test_a_filter_bounds_what_is_decided(desk: Desk) -> None:
    desk.order(1, wanted=Filter(q="three"))

    assert desk.statuses() == "ppappp"


def test_the_same_key_again_decides_nothing_anew(desk: Desk, ids: list[int]) -> None:
    first = desk.order(6, key="once")
    desk.decide(ids[0], "reject")

    assert desk.order(6, key="once").id == first.id

    assert desk.statuses() == "raaaaa"
    assert len(desk.made()) == 7
    with pytest.raises(ConflictError, match="key was used"):
        desk.order(6, "skip", key="once")


@pytest.mark.usefixtures("ids")
@pytest.mark.parametrize(
    ("count", "more", "sentence"),
    [
        ("5", {}, "Type how many there are: it is 6, you typed '5'"),
        ("", {}, "nothing was typed"),
        ("six", {}, "you typed 'six'"),
        ("6", {"digest": "0" * 64}, "has changed since the page was shown: it is 6 now"),
        ("6", {"verdict": "edit"}, "an edit is of one candidate"),
        ("6", {"reasons": ("style",)}, "Reasons say why"),
        ("6", {"key": "k" * 181}, "at most 180"),
        ("6", {"comment": "\x00"}, "cannot be stored"),
        ("0", {"wanted": Filter(status="flagged")}, "no candidate to decide on"),
    ],
)
def test_what_was_not_meant_is_refused_and_stores_nothing(
    desk: Desk, count: str, more: dict[str, object], sentence: str
) -> None:
    with pytest.raises(AppError, match=sentence):
        desk.order(count, **more)  # type: ignore[arg-type]

    assert desk.statuses() == "pppppp"
    with desk.db.read() as session:
        assert jobs.list_jobs(session, desk.project_id, bulk.KIND) == []


def test_a_set_that_changed_since_it_was_shown_is_refused(desk: Desk, ids: list[int]) -> None:
    with desk.db.read() as session:
        shown = bulk.survey(session, desk.project_id, Filter())
    desk.decide(ids[2], "skip")

    with pytest.raises(ConflictError, match="changed since"):
        desk.order(6, wanted=Filter(), digest=shown.members.digest)

    assert desk.statuses() == "ppsppp"


def test_the_survey_says_what_a_person_should_know(desk: Desk, ids: list[int], db: Database) -> None:
    desk.decide(ids[0], "reject")
    desk.decide(ids[1], "accept")
    desk.undo()
    with db.write() as session:
        session.get_one(CandidateRow, ids[5]).version = 2  # as joining leaves it: nobody decided
        for number, severity in [(ids[2], "hold"), (ids[2], "hold"), (ids[3], "hold"), (ids[4], "warning")]:
            session.add(
                FindingRow(candidate_id=number, code="secret", severity=severity, place="diff:1", message="A key.")
            )

    with db.read() as session:
        every = bulk.survey(session, desk.project_id, Filter())
        held = bulk.survey(session, desk.project_id, Filter(finding="secret"))

    assert every.by_status == {"rejected": 1, "pending": 5}
    assert (len(every.members), every.n_again) == (6, 1)
    assert (every.grave, every.n_grave) == ([("secret", 2)], 2)
    assert [row.id for row in every.sample] == ids
    assert (len(held.members), held.n_grave) == (3, 2)


def test_members_survive_their_packing() -> None:
    pairs = [(3, 1), (4, 2), (90_000, 17), (2**31 - 1, 1)]

    assert list(Members.unpack(Members.of(reversed(pairs)).packed()).pairs()) == pairs
    assert Members.of(pairs).digest != Members.of([(3, 2), *pairs[1:]]).digest


# ------------------------------------------------------------------------------------------------ undo


def test_it_is_taken_back_as_one_between_single_decisions(desk: Desk, ids: list[int]) -> None:
    desk.decide(ids[0], "flag")
    desk.order(5)
    desk.decide(ids[1], "reject")
    desk.order(1, "skip", wanted=Filter(status="flagged"))
    seen = [desk.statuses()]
    for _ in range(4):
        desk.undo()
        seen.append(desk.statuses())

    assert seen == ["sraaaa", "fraaaa", "faaaaa", "fppppp", "pppppp"]
    with pytest.raises(ConflictError, match="nothing left to undo"):
        desk.undo()
    undone = [one for one in desk.made() if one.bulk and one.verdict == "undo"]
    assert len({one.key for one in undone}) == 6
    assert len({one.bulk for one in undone}) == 2


def test_an_undo_sent_twice_takes_back_one_act(desk: Desk, ids: list[int]) -> None:
    desk.decide(ids[0], "flag")
    desk.order(5)

    first = desk.undo("same")
    again = desk.undo("same")

    assert (again.repeated, again.bulk, again.candidate.id) == (True, first.bulk, first.candidate.id)
    assert desk.statuses() == "fppppp"


def test_what_somebody_decided_on_afterwards_stays(desk: Desk, ids: list[int], bob: int) -> None:
    job = desk.order(6)
    desk.decide(ids[1], "reject", as_who=bob)
    before = desk.made()[-1].candidate_version

    desk.undo()

    assert desk.statuses() == "prpppp"
    act = desk.act(job)
    assert (act.decided, act.taken_back) == (6, 6)
    assert [(row.id, row.version) for row in act.since] == [(ids[1], before + 1)]
    desk.undo(as_who=bob)
    assert desk.statuses() == "pppppp"


def test_an_act_can_be_taken_back_whatever_was_decided_since(desk: Desk, ids: list[int], bob: int) -> None:
    job = desk.order(6)
    desk.decide(ids[0], "reject")

    with pytest.raises(ConflictError, match="Only who decided"):
        bulk.undo(desk.db, desk.project_id, bob, job.id or 0, key="u", now=NOON)
    bulk.undo(desk.db, desk.project_id, desk.reviewer_id, job.id or 0, key="u", now=NOON)

    assert desk.statuses() == "rppppp"
    with pytest.raises(ConflictError, match="nothing left"):
        bulk.undo(desk.db, desk.project_id, desk.reviewer_id, job.id or 0, key="again", now=NOON)
    desk.undo()
    assert desk.statuses() == "pppppp"


def test_a_job_that_is_no_bulk_act_is_not_found(desk: Desk) -> None:
    with desk.db.write() as session:
        job_id = jobs.enqueue(session, desk.project_id, "prepare", {}, now=NOON).id or 0

    with pytest.raises(NotFoundError), desk.db.read() as session:
        bulk.get_act(session, desk.project_id, job_id)


# ------------------------------------------------------------------------------------------------ in pieces


@pytest.fixture
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two candidates a transaction, and two before the answer; the worker does the others."""
    for module, name, value in [
        (bulk, "AT_ONCE", 2), (bulk, "_FIRST", 2), (bulk, "_LEAST", 2), (bulk, "_MOST", 2),
        (review, "_SOME", 2), (review, "_SECONDS", 0.0),
    ]:  # fmt: skip
        monkeypatch.setattr(module, name, value)


@pytest.mark.usefixtures("in_pieces")
def test_what_is_left_is_decided_by_the_worker(desk: Desk, ids: list[int]) -> None:
    job = desk.order(6, key="mine")

    assert desk.statuses() == "aapppp"
    assert (job.state, job.done, job.total) == (JobState.QUEUED, 2, 6)
    desk.decide(ids[2], "reject")
    desk.decide(ids[3], "flag")
    desk.undo()
    desk.work()

    act = desk.act(job)
    assert desk.statuses() == "aarpaa"
    assert (act.job.state, act.job.message, act.decided, act.left) == (
        JobState.DONE, "4 decided, 2 left out", 4, {"changed": 2},
    )  # fmt: skip
    assert [row.id for row in act.told] == ids[2:4]
    assert desk.order(6, key="mine").id == job.id
    assert desk.statuses() == "aarpaa"


class Killed(BaseException):
    """What ends a worker in the middle: nothing is tidied up."""


@pytest.mark.usefixtures("in_pieces")
@pytest.mark.parametrize("at", range(1, 4))
def test_a_worker_that_dies_leaves_the_rest_to_the_next(
    desk: Desk, ids: list[int], monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Both the act and its undo, after each of their pieces."""

    decide_some, pieces = bulk._decide_some, iter(range(1, 99))

    def dies(session: Session, job: JobRow, name: str, seen: Mapping[int, int]) -> dict[int, str]:
        if next(pieces) == at:
            raise Killed
        return decide_some(session, job, name, seen)

    monkeypatch.setattr(bulk, "_decide_some", dies)
    with suppress(Killed):
        desk.order(6, key="mine")
        desk.work()
    assert next(pieces) == at + 1
    desk.decide(ids[2 * at - 1], "skip")
    with desk.db.write() as session:
        session.execute(update(JobRow).values(heartbeat_at=NOON))
    desk.work()

    assert desk.state() == {number: "skipped" if number == ids[2 * at - 1] else "accepted" for number in ids}
    assert len(desk.made()) == 6


@pytest.mark.usefixtures("in_pieces")
def test_an_undo_goes_on_in_the_worker_and_after_its_death(
    desk: Desk, ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.decide(ids[0], "flag")
    desk.order(5)
    desk.work()

    outcome = desk.undo("u")

    assert outcome.rest is not None
    assert desk.statuses() == "fppaaa"
    assert desk.undo("u").rest == outcome.rest
    # What is being taken back is a step that is done: the next one is what came before it.
    desk.undo()
    assert desk.statuses() == "pppaaa"
    take_back = review.take_back
    monkeypatch.setattr(review, "take_back", lambda *_, **__: (_ for _ in ()).throw(Killed()))
    with pytest.raises(Killed):
        desk.work()
    monkeypatch.setattr(review, "take_back", take_back)
    with desk.db.write() as session:
        session.execute(update(JobRow).values(heartbeat_at=NOON))
    desk.work()

    assert desk.statuses() == "pppppp"
    with pytest.raises(ConflictError, match="nothing left to undo"):
        desk.undo()


@pytest.mark.usefixtures("in_pieces")
def test_an_act_that_is_taken_back_while_it_runs_does_not_go_on(desk: Desk, ids: list[int]) -> None:
    job = desk.order(6)
    desk.decide(ids[5], "reject")

    desk.undo()
    desk.undo()
    desk.work()

    assert desk.statuses() == "pppppp"
    act = desk.act(job)
    assert (act.job.state, act.decided, act.taken_back) == (JobState.CANCELLED, 2, 2)


@pytest.mark.usefixtures("in_pieces")
def test_the_act_that_began_last_is_taken_back_first(desk: Desk, ids: list[int]) -> None:
    """The worker writes on while its reviewer decides: what counts is when the act began."""
    desk.order(6)
    desk.decide(ids[5], "reject")
    desk.work()

    desk.undo()

    assert desk.statuses() == "aaaaap"


def test_chosen_candidates_must_be_as_they_were_seen(desk: Desk, ids: list[int]) -> None:
    desk.order(2, "flag", wanted=Members.of([(ids[1], 1), (ids[4], 1)]))

    assert desk.statuses() == "pfppfp"
    with pytest.raises(ConflictError, match=f"Changed since the page was shown: #{ids[1]}"):
        desk.order(2, wanted=Members.of([(ids[0], 1), (ids[1], 1)]))
    with pytest.raises(ConflictError, match="#999999"):
        desk.order(1, wanted=Members.of([(999_999, 1)]))
    assert desk.statuses() == "pfppfp"
