"""Many people at one queue: a lease against a simple model, fifty reviewers at once, and what one sends to another.

`PATCHSIFT_LEASE_RUNS=500 pytest tests/test_leases.py` is the large campaign of the model.
"""

import os
import random
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select
from sqlmodel import Session, col

from app import decisions, leases, queue, review, turns
from app.db import Database
from app.errors import BadInputError, ConflictError
from app.models import DecisionRow, Verdict
from app.queue import Filter
from app.settings import Settings
from tests.conftest import NOON
from tests.logs import read_issues
from tests.people import hire
from tests.test_db import together

PENDING = Filter(status="pending")
SOON, LATER = NOON + timedelta(minutes=1), NOON + timedelta(hours=1)
RUNS = int(os.environ.get("PATCHSIFT_LEASE_RUNS", "12"))
_numbers = count()


def act(key: str, version: int = 1, *, lease: int | None = None, verdict: Verdict = Verdict.ACCEPT) -> review.Act:
    return review.Act(verdict, version, key, comment=f"said with {key}", lease=lease)


@pytest.fixture
def ada(db: Database) -> int:
    return hire(db, "Ada")[0]


@pytest.fixture
def bob(db: Database) -> int:
    return hire(db, "Bob")[0]


@pytest.fixture
def ids(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> list[int]:
    return read_issues(db, settings, project_id, tmp_path, *(f"Issue {n}" for n in range(6)))


# ------------------------------------------------------------------------------------------------ one by one


def test_a_candidate_is_held_taken_over_and_given_back(
    db: Database, project_id: int, ids: list[int], ada: int, bob: int
) -> None:
    with db.write() as session:
        first = leases.hold(session, project_id, ada, ids[0], now=NOON)
        renewed = leases.hold(session, project_id, ada, ids[0], now=SOON)
        refused = leases.hold(session, project_id, bob, ids[0], now=SOON)
        taken = leases.hold(session, project_id, bob, ids[0], now=SOON, take_over=True)
        told = leases.hold(session, project_id, ada, ids[0], now=SOON)
        leases.give_back(session, project_id, ada, ids, now=SOON)
        kept = leases.find_lease(session, ids[0], now=SOON)
        leases.leave(session, project_id, bob, ids[0], [], now=SOON)
        lasting = leases.find_lease(session, ids[0], now=SOON + leases.GRACE)
        over = leases.find_lease(session, ids[0], now=SOON + leases.GRACE * 1.1)

    assert (first.name, first.since, first.until) == ("Ada", NOON, NOON + leases.LOOKED_AT)
    assert (renewed.number, renewed.since, renewed.until) == (first.number, NOON, SOON + leases.LOOKED_AT)
    assert refused == renewed
    assert (taken.name, taken.since, taken.number) == ("Bob", SOON, first.number + 1)
    assert told == kept == taken
    assert lasting is not None
    assert over is None


def test_an_expired_lease_is_free_at_once_and_a_late_decision_counts_until_another_decided(
    db: Database, project_id: int, ids: list[int], ada: int, bob: int
) -> None:
    with db.write() as session:
        mine = leases.take_next(session, project_id, ada, PENDING, now=NOON)
        other = leases.take_next(session, project_id, ada, PENDING, now=NOON, after=ids[0])
        theirs = leases.take_next(session, project_id, bob, PENDING, now=LATER)
        assert mine is not None
        assert other is not None
        assert theirs is not None
        assert (mine.candidate_id, other.candidate_id, theirs.candidate_id) == (ids[0], ids[1], ids[0])
        late = review.decide(session, project_id, ada, ids[0], act("late", lease=mine.number), now=LATER)
        with pytest.raises(ConflictError, match="changed by Ada") as refused:
            review.decide(session, project_id, bob, ids[0], act("lost", lease=theirs.number), now=LATER)
        in_time = review.decide(session, project_id, ada, ids[1], act("in time", lease=other.number), now=SOON)

    assert late.late
    assert not in_time.late
    assert refused.value.both["yours"] == {
        "verdict": "accept", "version": 1, "reasons": [], "comment": "said with lost", "rating": None, "edited": None,
    }  # fmt: skip
    theirs_now = refused.value.both["theirs"]
    assert isinstance(theirs_now, dict)
    assert (theirs_now["version"], theirs_now["status"]) == (2, "accepted")
    assert theirs_now["decision"]["comment"] == "said with late"
    assert set(theirs_now["texts"]) == {"script", "diff"}


def test_what_is_fetched_beforehand_is_nobody_elses_and_free_once_it_is_given_back(
    db: Database, project_id: int, ids: list[int], ada: int, bob: int
) -> None:
    with db.write() as session:
        leases.hold(session, project_id, ada, ids[0], now=NOON)
        assert leases.deal(session, project_id, ada, PENDING, ids[0], n=2, now=NOON) == [(ids[1], 1), (ids[2], 1)]
        next_of_bob = leases.take_next(session, project_id, bob, PENDING, now=NOON)
        assert next_of_bob is not None
        assert next_of_bob.candidate_id == ids[3]
        assert leases.deal(session, project_id, bob, PENDING, ids[3], n=3, now=NOON) == [(ids[4], 1), (ids[5], 1)]
        leases.leave(session, project_id, bob, None, [ids[4], ids[5]], now=NOON)
        newest = Filter(status="pending", order="newest")
        dealt = leases.deal(session, project_id, ada, newest, ids[2], n=3, now=NOON)
        assert dealt == [(ids[1], 1), (ids[0], 1), (ids[5], 1)]
        held = leases.list_held(session, project_id, bob, PENDING, now=NOON)

    assert [(one.candidate_id, one.name) for one in held] == [(n, "Ada") for n in (*ids[:3], ids[5])]
    assert [leases.share_of(left, 5) for left in (0, 19, 20, 30, 40, 400)] == [0, 0, 1, 2, 3, 3]


def test_who_looks_at_what_is_known_until_they_leave(
    db: Database, project_id: int, ids: list[int], ada: int, bob: int
) -> None:
    with db.write() as session:
        leases.hold(session, project_id, bob, ids[0], now=NOON)
        leases.hold(session, project_id, ada, ids[0], now=SOON)

        def here(now: datetime) -> list[tuple[str, int, datetime]]:
            present = leases.list_present(session, project_id, now=now, candidate_id=ids[0])
            return [(one.name, one.candidate_id, one.since) for one in present]

        assert here(SOON) == [("Ada", ids[0], SOON), ("Bob", ids[0], NOON)]
        # Whoever has it is here as long as that lasts; the other one for two minutes after the last sign.
        assert here(NOON + timedelta(minutes=4)) == [("Bob", ids[0], NOON)]
        assert here(LATER) == []
        leases.leave(session, project_id, bob, ids[0], [], now=SOON)
        assert here(SOON) == [("Ada", ids[0], SOON)]


# ------------------------------------------------------------------------------------------------ your turn


def test_what_is_sent_comes_first_and_comes_back_when_it_is_decided(
    db: Database, project_id: int, ids: list[int], ada: int, bob: int
) -> None:
    def found(session: Session, asks: int, typed: str) -> list[int | None]:
        queue.asks(session, asks)
        return [row.id for row in queue.list_candidates(session, project_id, Filter.parse({"q": typed})).candidates]

    with db.write() as session:
        row = review.get_candidate(session, project_id, ids[3])
        turns.send(session, row, ada, "Bob", "Please look", now=NOON)
        sent = turns.send(session, row, ada, "Bob", "Please look at the second hunk", now=SOON)
        assert [one.sentence for one in turns.list_waiting(session, project_id, bob)] == [sent.sentence]
        assert [found(session, who, "turn:me") for who in (ada, bob)] == [[], [ids[3]]]
        assert found(session, ada, "turn:sent") == found(session, ada, 'turn:"Bob"') == [ids[3]]
        with pytest.raises(BadInputError, match="no reviewer 'Nobody'"):
            found(session, ada, "turn:Nobody")
        lease = leases.take_next(session, project_id, bob, PENDING, now=SOON)
        assert lease is not None
        assert lease.candidate_id == ids[3]

        review.decide(session, project_id, ada, ids[3], act("of the sender"), now=SOON)
        assert turns.count_waiting(session, project_id, bob) == 1
        review.decide(session, project_id, bob, ids[3], act("of bob", 2, verdict=Verdict.REJECT), now=LATER)
        assert turns.count_waiting(session, project_id, bob) == 0
        back = turns.list_sent(session, project_id, ada, done=True)
        assert [(one.receiver, one.verdict, one.done_at) for one in back] == [("Bob", "reject", LATER)]

        review.undo(session, project_id, bob, key="back", now=LATER)
        assert turns.list_sent(session, project_id, ada, done=True) == []
        turns.say_done(session, project_id, bob, sent.number, now=LATER)
        assert [one.verdict for one in turns.list_sent(session, project_id, ada, done=True)] == [""]
        turns.read(session, project_id, ada, sent.number, now=LATER)
        assert turns.list_sent(session, project_id, ada, done=True) == []


def test_who_looks_at_a_decided_one_reserves_nothing_and_a_turn_goes_before_what_is_only_fetched(
    db: Database, project_id: int, ids: list[int], ada: int, bob: int
) -> None:
    with db.write() as session:
        given = leases.visit(session, project_id, ada, PENDING, ids[0], now=NOON)
        dealt = [number for number, _ in given.ahead]
        assert ids[1] in dealt
        turns.send(session, review.get_candidate(session, project_id, ids[1]), ada, "Bob", "Please look", now=NOON)
        lease = leases.take_next(session, project_id, bob, PENDING, now=SOON)
        assert lease is not None
        assert (lease.candidate_id, lease.reviewer_id) == (ids[1], bob)
        # What somebody is at stays theirs.
        turns.send(session, review.get_candidate(session, project_id, ids[0]), ada, "Bob", "This too", now=SOON)
        following = leases.take_next(session, project_id, bob, PENDING, now=SOON, after=ids[1])
        assert following is None or following.candidate_id != ids[0]

        review.decide(session, project_id, ada, ids[0], act("decided"), now=SOON)
        looked = leases.visit(session, project_id, ada, PENDING, ids[0], now=SOON, dealt=dealt)
        held = leases.list_leases(session, ids, now=SOON)
    assert looked.ahead == []
    assert [number for number, one in held.items() if one.reviewer_id == ada] == [ids[0]]


@pytest.mark.usefixtures("bob")
@pytest.mark.parametrize(
    ("to", "sentence", "field"),
    [
        ("Bob", " \n", "sentence"),
        ("Bob", "x" * 501, "sentence"),
        ("Bob", "a\x00b", "sentence"),
        ("Eve", "Look", "to"),
    ],
)
def test_what_cannot_be_sent_is_refused(
    db: Database, project_id: int, ids: list[int], ada: int, to: str, sentence: str, field: str
) -> None:
    with db.write() as session, pytest.raises(BadInputError) as refused:
        turns.send(session, review.get_candidate(session, project_id, ids[0]), ada, to, sentence, now=NOON)
    assert refused.value.where == f"field {field}"


# ------------------------------------------------------------------------------------------------ many at once


@dataclass
class Floor:
    """What fifty reviewers did, and who had what when; everything that must not happen is an assertion."""

    project_id: int
    guard: threading.Lock = field(default_factory=threading.Lock)
    holders: dict[int, int] = field(default_factory=dict)
    numbers: set[tuple[int, int]] = field(default_factory=set)
    acknowledged: dict[str, int] = field(default_factory=dict)
    n_stale: int = 0
    left: dict[int, leases.Lease] = field(default_factory=dict)

    def take(self, lease: leases.Lease) -> None:
        with self.guard:
            assert self.holders.setdefault(lease.candidate_id, lease.reviewer_id) == lease.reviewer_id, "two have it"
            assert (lease.candidate_id, lease.number) not in self.numbers, "one number for two claims"
            self.numbers.add((lease.candidate_id, lease.number))

    def let_go(self, candidate_id: int) -> None:
        with self.guard:
            del self.holders[candidate_id]

    def review(self, db: Database, me: int, chance: random.Random) -> None:
        """Take, and decide, give back, or go away with it; also try again what somebody else has decided."""
        while True:
            with db.write() as session:
                lease = leases.take_next(session, self.project_id, me, PENDING, now=NOON, patient=True)
            if lease is None:
                return
            self.take(lease)
            what = chance.random()
            if what < 0.1 and me not in self.left:
                self.left[me] = lease
                return
            self.let_go(lease.candidate_id)
            if what < 0.3:
                with db.write() as session:
                    leases.give_back(session, self.project_id, me, [lease.candidate_id], now=NOON)
                continue
            self.decide(db, me, lease.candidate_id, f"{me}-{lease.candidate_id}", lease.number)
            self.be_late(db, me, chance.choice(sorted(self.acknowledged.values())))

    def decide(self, db: Database, me: int, candidate_id: int, key: str, number: int, now: datetime = NOON) -> bool:
        with db.write() as session:
            late = review.decide(session, self.project_id, me, candidate_id, act(key, lease=number), now=now).late
        with self.guard:
            self.acknowledged[key] = candidate_id
        return late

    def be_late(self, db: Database, me: int, candidate_id: int) -> None:
        """A write on what is decided already is refused, with what was sent and what stands."""
        with pytest.raises(ConflictError) as refused, db.write() as session:
            review.decide(session, self.project_id, me, candidate_id, act(f"stale-{me}-{candidate_id}"), now=NOON)
        assert refused.value.status == 409
        assert set(refused.value.both) == {"yours", "theirs"}
        with self.guard:
            self.n_stale += 1


def test_many_reviewers_at_once_lose_nothing_and_get_nothing_twice(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    n_reviewers, n = (8, 32) if db.is_sqlite else (50, 100)
    read_issues(db, settings, project_id, tmp_path, *(f"Issue {number}" for number in range(n)))
    people = hire(db, *(f"reviewer {number}" for number in range(n_reviewers)))
    # As three processes would: one pool each.
    pools = [db, Database(settings), Database(settings)]
    floor = Floor(project_id)
    together(
        n_reviewers,
        lambda number: floor.review(pools[number % 3], people[number], random.Random(number)),
    )

    # Nobody waits for those who went away: an hour later the first who asks gets what they had.
    with db.write() as session:
        while (lease := leases.take_next(session, project_id, people[0], PENDING, now=LATER)) is not None:
            key = f"after {lease.candidate_id}"
            review.decide(session, project_id, people[0], lease.candidate_id, act(key, lease=lease.number), now=LATER)
            floor.acknowledged[key] = lease.candidate_id
    for me, lease in floor.left.items():
        floor.be_late(db, me, lease.candidate_id)

    with db.read() as session:
        rows = session.execute(select(col(DecisionRow.key), col(DecisionRow.candidate_id))).all()
        assert decisions.count_by_status(session, project_id)["accepted"] == n
        assert decisions.verify_chain(session, project_id) is None
    assert sorted(row[1] for row in rows) == [*range(1, n + 1)]
    assert {row[0]: row[1] for row in rows} == floor.acknowledged
    assert floor.left
    assert floor.n_stale >= n - 2 * len(floor.left)
    for pool in pools[1:]:
        pool.close()


# ------------------------------------------------------------------------------------------------ the model


@dataclass
class Model:
    """What a lease is, in ten lines: who has it, until when, and under which number."""

    by: int | None = None
    until: datetime = NOON
    number: int = 0
    version: int = 1
    is_pending: bool = True

    def is_free(self, who: int, now: datetime) -> bool:
        return self.by in {None, who} or self.until < now

    def take(self, who: int, now: datetime, span: timedelta) -> None:
        self.number += not (self.by == who and self.until >= now)
        self.by, self.until = who, now + span

    def move(self, *, pending: bool) -> None:
        self.by, self.version, self.is_pending = None, self.version + 1, pending


class Desk(RuleBasedStateMachine):
    """Two people and four candidates: whatever happens, the tables say what the model says."""

    folder: Path
    make: Callable[[Path], tuple[Database, int, list[int]]]

    def __init__(self) -> None:
        super().__init__()
        self.db, self.project_id, ids = type(self).make(self.folder / str(next(_numbers)))
        self.people = hire(self.db, "Ada", "Bob")
        self.now = NOON
        self.model = {number: Model() for number in ids}
        self.keys: list[str] = []

    @initialize()
    def begin(self) -> None:
        self.stack: dict[int, list[int]] = {who: [] for who in self.people}

    who = st.integers(0, 1)
    which = st.integers(1, 4)

    @rule(minutes=st.sampled_from([1, 4, 6, 16]))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(who=who)
    def take_next(self, who: int) -> None:
        me = self.people[who]
        with self.db.write() as session:
            lease = leases.take_next(session, self.project_id, me, PENDING, now=self.now)
        free = [n for n, one in self.model.items() if one.is_pending and one.is_free(me, self.now)]
        assert (lease.candidate_id if lease else None) == (free[0] if free else None)
        if free:
            self.model[free[0]].take(me, self.now, leases.LEASE)

    @rule(who=who, which=which, take_over=st.booleans())
    def hold(self, who: int, which: int, take_over: bool) -> None:
        me, known = self.people[who], self.model[which]
        if take_over or known.is_free(me, self.now):
            known.take(me, self.now, leases.LOOKED_AT)
        with self.db.write() as session:
            lease = leases.hold(session, self.project_id, me, which, now=self.now, take_over=take_over)
        assert (lease.reviewer_id, lease.number) == (known.by, known.number)

    @rule(who=who, which=which, n=st.integers(0, 3))
    def deal(self, who: int, which: int, n: int) -> None:
        me = self.people[who]
        free = [n for n, one in self.model.items() if one.is_pending and one.is_free(me, self.now) and n != which]
        expected = sorted(free, key=lambda number: (number < which, number))[:n]
        with self.db.write() as session:
            dealt = leases.deal(session, self.project_id, me, PENDING, which, n=n, now=self.now)
        assert dealt == [(number, self.model[number].version) for number in expected]
        for number in expected:
            self.model[number].take(me, self.now, leases.LOOKED_AT)

    @rule(who=who, which=which)
    def give_back(self, who: int, which: int) -> None:
        with self.db.write() as session:
            leases.give_back(session, self.project_id, self.people[who], [which], now=self.now)
        if self.model[which].by == self.people[who]:
            self.model[which].by = None

    @rule(who=who, which=which, is_stale=st.booleans(), number=st.integers(0, 3))
    def decide(self, who: int, which: int, is_stale: bool, number: int) -> None:
        me, known = self.people[who], self.model[which]
        said = act(f"key {len(self.keys)}", known.version - is_stale, lease=number)
        running = known.by == me and known.number == number and known.until >= self.now
        if is_stale:
            with pytest.raises(ConflictError), self.db.write() as session:
                review.decide(session, self.project_id, me, which, said, now=self.now)
            return
        with self.db.write() as session:
            outcome = review.decide(session, self.project_id, me, which, said, now=self.now)
        assert outcome.late == (not running)
        self.keys.append(said.key)
        self.stack[me].append(which)
        known.move(pending=False)

    @precondition(lambda self: any(self.stack.values()))
    @rule(who=who)
    def undo(self, who: int) -> None:
        me = self.people[who]
        if not self.stack[me]:
            return
        which = self.stack[me].pop()
        with self.db.write() as session:
            outcome = review.undo(session, self.project_id, me, key=f"undo {which} {next(_numbers)}", now=self.now)
        assert outcome.candidate.id == which
        self.model[which].move(pending=outcome.candidate.status == "pending")

    @invariant()
    def the_tables_say_the_same(self) -> None:
        with self.db.read() as session:
            held = leases.list_leases(session, self.model, now=self.now)
            keys = session.execute(select(col(DecisionRow.key)).where(col(DecisionRow.verdict) != "undo")).scalars()
            assert sorted(keys) == sorted(self.keys)
        expected = {n: one for n, one in self.model.items() if one.by is not None and one.until >= self.now}
        assert {n: (one.reviewer_id, one.number, one.until) for n, one in held.items()} == {
            n: (one.by, one.number, one.until) for n, one in expected.items()
        }

    def teardown(self) -> None:
        self.db.close()


def test_a_lease_is_what_a_simple_model_says(sqlite_template: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    shutil.copy(sqlite_template, first / "patchsift.db")
    made = Settings(data_dir=first)
    db = Database(made)
    with db.write() as session:
        project_id = review.ensure_project(session, "default", now=NOON).id or 0
    ids = read_issues(db, made, project_id, tmp_path, *(f"Issue {n}" for n in range(4)))
    db.close()

    def make(folder: Path) -> tuple[Database, int, list[int]]:
        shutil.copytree(first, folder)
        return Database(Settings(data_dir=folder)), project_id, ids

    machine = type("Here", (Desk,), {"folder": tmp_path, "make": staticmethod(make)})
    profile = hypothesis_settings(
        max_examples=RUNS,
        stateful_step_count=30,
        deadline=None,
        derandomize="PATCHSIFT_LEASE_RUNS" not in os.environ,
        suppress_health_check=[*HealthCheck],
    )
    run_state_machine_as_test(machine, settings=profile)
