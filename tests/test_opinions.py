"""Several opinions: what they come to, who is given what, and that nobody sees another's while one is waited for."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import select

from app import asking, bulk, decisions, leases, queue, review
from app.bulk import Ask
from app.db import Database
from app.errors import BadInputError, ConflictError, RefusedError
from app.models import CandidateRow, DecisionRow, ReviewerRow, Verdict
from app.opinions import Opinions
from app.projects import change_settings
from app.queue import Filter
from app.review import Act
from app.settings import Settings
from tests.conftest import NOON
from tests.logs import SCRIPT, read_issues

# ------------------------------------------------------------------------------------------------ what they come to

_SAID = ("accept", "reject", "edit1", "edit2", "skip")
_ACTS = [(who, said) for who in "abc" for said in (*_SAID, "undo")] + [("k", "accept"), ("k", "undo")]
_STATUS = {"accept": "accepted", "reject": "rejected", "edit1": "edited", "edit2": "edited"}


class Plain:
    """What people remember: each has a pile of what they said, and takes from its top."""

    def __init__(self, asked: int) -> None:
        self.asked = asked
        self.piles: dict[str, list[str]] = {who: [] for who in "abck"}

    def status(self) -> str:
        if self.piles["k"]:
            return _STATUS[self.piles["k"][-1]]
        said = [pile[-1] for pile in self.piles.values() if pile and pile[-1] != "skip"]
        if len(said) < self.asked:
            return "pending"
        return _STATUS[said[0]] if len(set(said)) == 1 else "disagreed"

    def allows(self, who: str, said: str) -> bool:
        if said == "undo":
            return bool(self.piles[who])
        return (self.status() == "pending") != (who == "k")

    def add(self, who: str, said: str) -> None:
        if said == "undo":
            self.piles[who].pop()
        else:
            self.piles[who].append(said)


@cache
def _row(number: int, who: str, said: str, asked: int, undoes: int | None) -> DecisionRow:
    verdict = "edit" if said.startswith("edit") else said
    return DecisionRow(
        id=number, project_id=1, candidate_id=1, candidate_version=1, reviewer_id=ord(who), verdict=verdict,
        key=str(number), revision_id=int(said[4]) if verdict == "edit" else None, undoes_id=undoes,
        asked=None if said == "undo" else 0 if who == "k" else asked, decided_at=NOON,
    )  # fmt: skip


def _histories(asked: int, acts: tuple[tuple[str, str], ...], longest: int) -> Iterator[tuple[list[DecisionRow], str]]:
    """Every history that begins so and can be, with what people say that it comes to."""
    plain, rows = Plain(asked), list[DecisionRow]()
    last: dict[str, list[int]] = {who: [] for who in "abck"}
    for number, (who, said) in enumerate(acts, 1):
        rows.append(_row(number, who, said, asked, last[who].pop() if said == "undo" else None))
        if said != "undo":
            last[who].append(number)
        plain.add(who, said)
    if rows:
        yield rows, plain.status()
    if len(acts) < longest:
        # Who speaks first is called a.
        for act in _ACTS if acts else _ACTS[: len(_SAID)]:
            if plain.allows(*act):
                yield from _histories(asked, (*acts, act), longest)


@pytest.mark.parametrize("asked", [2, 3])
def test_all_short_histories_come_to_what_people_say(asked: int) -> None:
    longest = int(os.environ.get("PATCHSIFT_OPINIONS", "4"))
    n = 0
    for rows, status in _histories(asked, (), longest):
        n += 1
        derived = decisions.derive(rows, 1)
        assert derived.status == status, [(one.reviewer_id, one.verdict, one.undoes_id) for one in rows]
        assert (derived.standing is None) == (status in {"pending", "disagreed"})
    assert n > 3_000


def test_opinions_on_other_texts_do_not_count() -> None:
    rows = [_row(1, "a", "accept", 2, None), _row(2, "b", "accept", 2, None)]

    assert decisions.derive(rows, 1).status == "accepted"
    assert decisions.derive(rows, 2).status == "pending"


# ------------------------------------------------------------------------------------------------ at the desk


@dataclass
class Team:
    """Three people and a curator on three candidates, of each of which two opinions are asked."""

    db: Database
    settings: Settings
    project: int
    people: dict[str, int]
    ids: list[int]
    n: int = 0

    def ask(self, **said: object) -> None:
        with self.db.write() as session:
            change_settings(session, self.project, {"opinions": said})

    def says(
        self, who: str, verdict: str, number: int = 0, *, may_settle: bool = True, **more: object
    ) -> review.Outcome:
        self.n += 1
        number = number or self.ids[0]
        given = {"version": self.row(number).version, "key": f"k{self.n}"} | more
        with self.db.write() as session:
            act = Act(Verdict(verdict), **given)  # type: ignore[arg-type]
            return review.decide(session, self.project, self.people[who], number, act, may_settle=may_settle, now=NOON)

    def undo(self, who: str) -> None:
        self.n += 1
        with self.db.write() as session:
            review.undo(session, self.project, self.people[who], key=f"k{self.n}", now=NOON)

    def row(self, number: int = 0) -> CandidateRow:
        with self.db.read() as session:
            return review.get_candidate(session, self.project, number or self.ids[0])

    def found(self, typed: str, me: str = "") -> list[int]:
        with self.db.read() as session:
            wanted = Filter.parse({"q": typed})
            if me:
                queue.asks(session, self.people[me])
            return [row.id or 0 for row in queue.list_candidates(session, self.project, wanted).candidates]

    def given(self, who: str, after: int = 0) -> int | None:
        with self.db.read() as session:
            queue.asks(session, self.people[who])
            return queue.find_next(session, self.project, Filter(status="pending"), after)

    def check(self) -> None:
        """The chain holds, the counts are those of the rows, and every row says what its decisions say."""
        with self.db.read() as session:
            assert decisions.verify_chain(session, self.project) is None
            assert decisions.find_false_state(session, self.project) == ""
            rows = list(session.execute(select(CandidateRow)).scalars())
            for row in rows:
                derived = decisions.derive_row(session, row)
                told = (row.status, row.agreement, row.n_opinions, row.settled_by)
                assert told == (derived.status, derived.agreement, len(derived.opinions), derived.settled_by)
            counts = decisions.count_by_status(session, self.project)
            standing = session.execute(
                select(DecisionRow.id).where(DecisionRow.candidate_id == CandidateRow.id, *decisions.stands())  # type: ignore[call-overload]
            ).scalars()
            derived_ids = [
                one.standing.id or 0 for row in rows if (one := decisions.derive_row(session, row)).standing is not None
            ]
            assert sorted(standing) == sorted(derived_ids)
        statuses = [row.status for row in rows]
        assert {name: n for name, n in counts.items() if n} == {name: statuses.count(name) for name in set(statuses)}


@pytest.fixture
def team(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> Team:
    ids = read_issues(db, settings, project_id, tmp_path, "One", "Two", "Three")
    people = {}
    with db.write() as session:
        people["ann"] = review.ensure_local_reviewer(session, now=NOON).id or 0
        for name in ("ben", "cleo", "kim"):
            row = ReviewerRow(name=name, created_at=NOON)
            session.add(row)
            session.flush()
            people[name] = row.id or 0
    made = Team(db, settings, project_id, people, ids)
    made.ask(asked=2)
    return made


def test_two_who_agree_decide(team: Team) -> None:
    first = team.says("ann", "accept")
    assert (first.candidate.status, first.candidate.version) == ("pending", 1)
    team.check()
    second = team.says("ben", "accept")

    assert (second.candidate.status, second.candidate.version) == ("accepted", 2)
    assert second.candidate.agreement == "yes"
    assert team.found("agreement:yes") == team.found("by:ben") == team.found("opinion_by:local") == team.ids[:1]
    assert team.found("by:local") == []
    team.check()


def test_a_disagreement_waits_for_the_last_word(team: Team) -> None:
    team.says("ann", "accept")
    team.says("ben", "reject", reasons=("wrong_fix",))

    assert team.row().status == "disagreed"
    assert team.found("agreement:no") == team.found("status:disagreed") == team.found("opinion:accept opinion:reject")
    assert team.given("cleo") == team.ids[1]
    team.check()
    with pytest.raises(RefusedError, match="curator"):
        team.says("cleo", "accept", may_settle=False)

    team.says("kim", "reject", reasons=("style",))

    assert (team.row().status, team.row().agreement) == ("rejected", "settled")
    assert team.found("agreement:settled by:kim reason:style") == team.ids[:1]
    team.check()
    team.undo("kim")
    assert team.row().status == "disagreed"
    team.undo("ben")
    assert team.row().agreement == "waiting"
    assert team.given("ben") == team.ids[0]
    assert team.given("ann") == team.ids[1]
    team.check()
    team.says("cleo", "accept")
    assert team.row().status == "accepted"
    team.check()


def test_equal_edits_agree_and_different_ones_do_not(team: Team) -> None:
    one, two, _ = team.ids
    team.says("ann", "edit", one, edited=("script", SCRIPT + "# a\n"))
    team.says("ben", "edit", one, edited=("script", SCRIPT + "# a\n"))
    team.says("ann", "edit", two, edited=("script", SCRIPT + "# a\n"))
    team.says("ben", "edit", two, edited=("script", SCRIPT + "# b\n"))

    assert (team.row(one).status, team.row(two).status) == ("edited", "disagreed")
    with team.db.read() as session:
        assert review.open_candidate(session, team.project, two).stands.script == SCRIPT
        assert review.open_candidate(session, team.project, one).stands.script == SCRIPT + "# a\n"
    team.check()


def test_nobody_is_given_what_has_their_opinion_or_was_passed_on_by_them(team: Team) -> None:
    one, two, three = team.ids
    team.says("ann", "accept", one)
    team.says("ann", "skip", two)

    assert team.found("status:pending", me="ann") == [three]
    assert (team.given("ann"), team.given("ann", three)) == (three, None)
    assert team.found("status:pending", me="ben") == team.ids
    with team.db.write() as session:
        lease = leases.take_next(session, team.project, team.people["ann"], Filter(status="pending"), now=NOON)
        counted = queue.count_candidates(session, team.project, Filter(status="pending"))
    assert lease is not None
    assert (lease.candidate_id, counted.n) == (three, 1)
    team.says("ben", "accept", two)
    assert (team.row(two).agreement, team.row(two).n_opinions) == ("waiting", 1)
    team.check()


def test_two_at_once_are_both_heard(team: Team) -> None:
    version = team.row().version
    team.says("ann", "accept", version=version)
    team.says("ben", "accept", version=version)

    with pytest.raises(ConflictError, match="accepted now"):
        team.says("cleo", "reject", version=version)


def test_what_was_asked_of_the_first_holds_for_all(team: Team) -> None:
    team.says("ann", "accept")
    team.ask(asked=1)
    team.says("ben", "reject")
    assert team.row().status == "disagreed"

    team.says("ann", "accept", team.ids[1])
    assert (team.row(team.ids[1]).status, team.row(team.ids[1]).agreement) == ("accepted", "")
    team.check()


def test_a_share_is_stable_and_a_search_adds_to_it(team: Team) -> None:
    def asked() -> list[int]:
        with team.db.read() as session:
            return [
                number
                for number in team.ids
                if asking.asked_of(session, review.get_candidate(session, team.project, number)) > 1
            ]

    team.ask(share=0, only="issue:two")
    assert asked() == [team.ids[1]]
    team.ask(share=0, only="")
    assert asked() == []
    for share, only in ((0, ""), (0, "issue:two"), (0.2, ""), (0.5, "issue:two"), (0.8, ""), (1, "")):
        team.ask(share=share, only=only)
        with team.db.read() as session:
            assert asking.count_asked(session, team.project) == (len(asked()), len(team.ids))
    digests = [bytes([n]) * 32 for n in range(256)]
    small, large = ({d for d in digests if Opinions(share=share).is_in_share(d)} for share in (0.1, 0.6))
    assert small < large
    assert (len(small), len(large)) == (26, 153)
    for share in (0, 0.1, 0.6, 1):
        said = Opinions(share=share)
        below = said.share_below
        assert [one for one in digests if said.is_in_share(one)] == [
            one for one in digests if below is None or one[-8:] < below
        ]


def test_a_bulk_act_leaves_them_to_people(team: Team) -> None:
    team.ask(share=0, only="issue:two")

    asked = Ask(Verdict.ACCEPT, "3", "bulk")
    job = bulk.order(team.db, team.project, team.people["ann"], asked, Filter(status="pending"), now=NOON)

    assert job.result is not None
    assert job.result["why"] == {"several opinions": 1}
    assert [team.row(number).status for number in team.ids] == ["accepted", "pending", "accepted"]


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({"asked": 0}, "asked"),
        ({"asked": "two"}, "asked"),
        ({"asked": True}, "asked"),
        ({"asked": 1.5}, "asked"),
        ({"share": 1.1}, "share"),
        ({"share": float("nan")}, "share"),
        ({"only": "nofield:x"}, "q"),
        ({"only": "by:ann"}, "only"),
        ({"only": "finding:nothing"}, "only"),
        ({"other": 1}, "other"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(said: dict[str, object], where: str) -> None:
    with pytest.raises(BadInputError) as error:
        Opinions.parse(said)
    assert error.value.where == f"field {where}"


def _texts(history: Sequence[tuple[DecisionRow, str, object]]) -> list[str]:
    return [one.comment for one, _, _ in history]


def test_nobody_sees_the_history_of_others_before_all_have_spoken(team: Team) -> None:
    # Decided alone, taken back, and then asked of two: what was said then is as telling.
    team.ask(asked=1)
    team.says("kim", "reject", comment="long ago")
    team.undo("kim")
    team.ask(asked=2)

    def seen(viewer: str) -> list[str]:
        with team.db.read() as session:
            if viewer:
                queue.asks(session, team.people[viewer])
            return _texts(review.open_candidate(session, team.project, team.ids[0]).history)

    assert seen("ann") == []
    team.says("ann", "accept", comment="mine")
    assert (seen("ann"), seen("ben"), seen("")) == (["mine"], [], [])
    team.says("ben", "reject", comment="yours")
    assert seen("cleo") == ["long ago", "", "mine", "yours"]
    with pytest.raises(ConflictError) as error:
        team.says("cleo", "accept", version=1)
    assert "disagreed now" in str(error.value)
