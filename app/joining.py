"""Which candidates speak of one change: kept up as entries come, the same whatever the order in which they came.

What may belong together seeks each other's keys (`app.assembly.sought`). New keys are gathered a batch
at a time and go into the table `clue` in their own order, which touches each of its pages once. From what meets there,
everything is reached that something speaks for, step by step, and `app.assembly.partition` says what belongs together
(docs/decisions/0015). Nothing here depends on when an entry came, but for what people decided: that is never swallowed.
"""

import hashlib
import time
from array import array
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, exists, select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app import decisions, evidence
from app.assembly import (
    Cluster,
    Facts,
    clue_of,
    facts,
    keys,
    keys_of,
    may_belong,
    most_holders,
    partition,
    sought,
)
from app.candidates import Candidate, Kind
from app.db import LARGEST_ID, Database, driver_sign, insert_rows, lock_chain, lock_ingest
from app.decisions import Derived
from app.evidence import Unit
from app.formats.reading import changed_lines, group_digest, title_of
from app.models import CandidateRow, DecisionRow, NewCluesRow, PartRow, RenderingRow, Status, Verdict

GREW = 0
"""The key that says: entries were added to this candidate, so look at it again."""

_ROUND, _SLICE, _ASKED = 300, 5000, 900
_SECONDS = 0.05
_FIRST, _MOST = 20, 400
# What hangs together more widely than this is looked at in pieces: else one entry more costs as much as all before.
_WIDEST = 2000
_CROWD = 0
"""Stands for those who held a clue, once they were so many that it says nothing any more."""

_CLUE_COLUMNS = ("project_id", "key", "candidate_id")
_PART_COLUMNS = ("candidate_id", "lead_id", "to_id", "place", "code", "confidence", "reason")

Progress = Callable[[int, int], None]
Pair = tuple[int, int]


# ------------------------------------------------------------------------------------------------ what is new


def run(db: Database, project_id: int, *, progress: Progress | None = None) -> int:
    """Join everything that came in since the last time, in short transactions.

    A crash at any point is made good by the next call: clues are crossed off when all of them were looked at.

    Args:
        db: the database.
        project_id: whose candidates.
        progress: called now and then with (candidates looked at, candidates to look at).

    Returns:
        How many candidates met another one and were looked at.

    """
    done = 0
    _gather_old(db, project_id)
    while batch := _take(db, project_id):
        named, grown = _unpack(pairs for _, pairs in batch)
        touched = set(grown)
        for start in range(0, len(named), _SLICE):
            with db.write() as session:
                lock_ingest(session)
                touched |= _note(session, project_id, named[start : start + _SLICE])
        _settle_all(db, project_id, _Line(touched), grown, progress)
        done += len(touched)
        with db.write() as session:
            session.execute(delete(NewCluesRow).where(col(NewCluesRow.id).in_([number for number, _ in batch])))
    return done


def settle_new(session: Session, project_id: int) -> None:
    """As `run`, within a transaction, for what was stored last; for a single corrected line."""
    wanted = select(NewCluesRow).where(col(NewCluesRow.project_id) == project_id, col(NewCluesRow.pairs) != b"")
    last = session.execute(wanted.order_by(col(NewCluesRow.id).desc()).limit(1)).scalar()
    if last is not None:
        named, grown = _unpack([last.pairs])
        settle(session, project_id, _note(session, project_id, named) | grown, grown=grown)
        session.delete(last)


def settle(session: Session, project_id: int, ids: Iterable[int], *, grown: frozenset[int] = frozenset()) -> None:
    """Look at these candidates, and at everything that could belong to them, and join what belongs together.

    Args:
        session: the transaction.
        project_id: whose they are.
        ids: the candidates.
        grown: those of them that entries were added to.

    """
    line = _Line(ids)
    while some := line.take(_MOST):
        line.cross_off(_settle_some(session, project_id, some, grown))


class _Line:
    """Candidates that wait to be looked at, by their ids, which lie together; each once, unless it is stirred up."""

    def __init__(self, ids: Iterable[int]) -> None:
        self._waiting = deque(sorted(ids))
        self._taken: set[int] = set()
        self._looked_at: set[int] = set()
        self.n_all = len(self._waiting)

    @property
    def n_done(self) -> int:
        return self.n_all - len(self._waiting)

    def take(self, most: int) -> set[int]:
        """The next ones; none where all were looked at."""
        self._taken = set()
        while self._waiting and len(self._taken) < most:
            number = self._waiting.popleft()
            if number not in self._looked_at:
                self._taken.add(number)
        return self._taken

    def cross_off(self, seen: "_Seen") -> None:
        """Note what was looked at with all that is beside it; what was taken and was not waits again."""
        self._waiting.extendleft(sorted(self._taken - seen.whole, reverse=True))
        self._looked_at |= seen.whole
        self._looked_at -= seen.stirred
        self._waiting.extend(sorted(seen.stirred))
        self.n_all += len(seen.stirred)


def _settle_all(db: Database, project_id: int, line: _Line, grown: frozenset[int], progress: Progress | None) -> None:
    size = _FIRST
    while some := line.take(size):
        with db.write() as session:
            lock_ingest(session)
            lock_chain(session)
            began = time.perf_counter()
            line.cross_off(_settle_some(session, project_id, some, grown))
            spent = time.perf_counter() - began
        size = min(_MOST, max(1, int(len(some) * min(2.0, _SECONDS / max(spent, 1e-4)))))
        if progress is not None:
            progress(line.n_done, line.n_all)


def _take(db: Database, project_id: int) -> list[tuple[int | None, bytes]]:
    wanted = (
        select(NewCluesRow.id, NewCluesRow.pairs)  # type: ignore[call-overload]
        .where(col(NewCluesRow.project_id) == project_id)
        .order_by(col(NewCluesRow.id))
        .limit(_ROUND)
    )
    with db.read() as session:
        return [(number, bytes(pairs)) for number, pairs in session.execute(wanted)]


def _unpack(packed: Iterable[bytes]) -> tuple[list[int], frozenset[int]]:
    """Pairs of key and candidate in the order of the keys, each as one number (see `_note`); and who grew."""
    pairs: list[int] = []
    for one in packed:
        numbers = array("q", one)
        pairs += [key * LARGEST_ID + number for key, number in zip(numbers[::2], numbers[1::2], strict=True)]
    # As numbers they take half the room and a third of the time that they take as pairs.
    pairs.sort()
    # Keys are negative; what remains is the candidates' ids alone.
    first = bisect_left(pairs, GREW)
    return pairs[:first], frozenset(pairs[first:])


def _gather_old(db: Database, project_id: int) -> None:
    """Find the clues of what came in before there were any: a migration leaves a row without pairs."""
    with db.read() as session:
        wanted = select(NewCluesRow).where(col(NewCluesRow.project_id) == project_id, col(NewCluesRow.pairs) == b"")
        marks = [row.id for row in session.execute(wanted).scalars()]
    last = 0
    while marks:
        with db.write() as session:
            old = select(CandidateRow.id, CandidateRow.logged_at).where(  # type: ignore[call-overload]
                col(CandidateRow.project_id) == project_id,
                col(CandidateRow.kind) == Kind.PATCH,
                col(CandidateRow.id) > last,
            )
            at = dict(session.execute(old.order_by(col(CandidateRow.id)).limit(_ROUND)).all())
            if not at:
                session.execute(delete(NewCluesRow).where(col(NewCluesRow.id).in_(marks)))
                return
            last = max(at)
            found = array("q")
            for number, unit in evidence.read_units(session, at).items():
                for key in keys_of(replace(unit.said, logged_at=at[number])):
                    found.extend((key, number))
            if found:
                insert_rows(session, "new_clues", ("project_id", "pairs"), [(project_id, found.tobytes())])


# ------------------------------------------------------------------------------------------------ who holds what


def _note(session: Session, project_id: int, named: Iterable[int]) -> set[int]:
    """Write down who holds which key, given as key * `LARGEST_ID` + id; gives those that meet another one by theirs."""
    rows: list[tuple[object, ...]] = []
    asked: dict[int, list[int]] = defaultdict(list)
    for pair in named:
        key, number = divmod(pair, LARGEST_ID)
        rows.append((project_id, key, number))
        for one in sought(key):
            asked[one].append(number)
    insert_rows(session, "clue", _CLUE_COLUMNS, rows, keep=True)
    found = _who_holds(session, project_id, asked)
    met = {number for key, held in found.holders.items() for number in asked[key] if held != [number]}
    return met | found.stirred


class _Found(NamedTuple):
    """Who holds each key, clues that say nothing because a crowd holds them, and the crowds that show only now."""

    holders: Mapping[int, list[int]]
    crowded: set[int]
    stirred: set[int]


def _who_holds(session: Session, project_id: int, wanted: Iterable[int]) -> _Found:
    holders: dict[int, list[int]] = {}
    for key, number in _find_holders(session, project_id, wanted):
        holders.setdefault(key, []).append(number)
    full = [key for key, numbers in holders.items() if key < 0 and len(numbers) > most_holders(key)]
    known = [key for key, numbers in holders.items() if _CROWD in numbers]
    new = {clue_of(key) for key in full} - {clue_of(key) for key in known}
    for key in {*full, *known}:
        del holders[key]
    stirred = _disperse(session, project_id, new) if new else set()
    return _Found(holders, {clue_of(key) for key in (*full, *known)}, stirred)


def _disperse(session: Session, project_id: int, clues: Iterable[int]) -> set[int]:
    """Cross out clues that too many hold, whoever comes; gives who held them, for they may have been joined by them."""
    named = {clue | role for clue in clues for role in range(4)}
    holders = {number for _, number in _find_holders(session, project_id, named)}
    sign = driver_sign(session)
    for some in _some_at_a_time(named):
        statement = f"DELETE FROM clue WHERE project_id = {sign} AND key IN ({', '.join([sign] * len(some))})"
        session.connection().exec_driver_sql(statement, (project_id, *some))
    insert_rows(session, "clue", _CLUE_COLUMNS, [(project_id, key, _CROWD) for key in sorted(named)])
    return holders - {_CROWD}


def _find_holders(session: Session, project_id: int, wanted: Iterable[int]) -> Iterator[Pair]:
    sign = driver_sign(session)
    for some in _some_at_a_time(wanted):
        signs = ", ".join([sign] * len(some))
        statement = f"SELECT key, candidate_id FROM clue WHERE project_id = {sign} AND key IN ({signs})"
        found = session.connection().exec_driver_sql(statement, (project_id, *some))
        yield from ((row[0], row[1]) for row in found)


def _some_at_a_time(numbers: Iterable[int]) -> Iterator[list[int]]:
    left = iter(sorted(numbers))
    while some := list(islice(left, _ASKED)):
        yield some


def tied(number: int) -> int:
    """The key of what people joined with a candidate, or took from it: those of `app.assembly` are all negative."""
    return number


def tie(session: Session, project_id: int, one: int, other: int) -> None:
    """See to it that two candidates are looked at together from now on, because a person said something of both."""
    rows: list[tuple[object, ...]] = [(project_id, tied(a), b) for a, b in ((one, other), (other, one))]
    insert_rows(session, "clue", _CLUE_COLUMNS, rows, keep=True)


# ------------------------------------------------------------------------------------------------ what is reached


@dataclass
class _Seen:
    """Candidates with what they say by themselves.

    Attributes:
        session: the transaction.
        project_id: whose they are; others are passed over, and what is no patch.
        rows: all that were read, by id, like `units` and `facts`.
        inside: those that something speaks for, step by step from where it began.
        whole: of these, the ones beside which everything was looked at.
        crowded: clues that say nothing any more.
        stirred: who may have been joined by one of them until now.
    """

    session: Session
    project_id: int
    rows: dict[int, CandidateRow] = field(default_factory=dict)
    units: dict[int, Unit] = field(default_factory=dict)
    facts: dict[int, Facts] = field(default_factory=dict)
    inside: set[int] = field(default_factory=set)
    whole: set[int] = field(default_factory=set)
    crowded: set[int] = field(default_factory=set)
    stirred: set[int] = field(default_factory=set)

    def read(self, ids: Iterable[int]) -> None:
        """Read those that were not read yet."""
        new = [number for number in ids if number not in self.rows]
        if not new:
            return
        found = self.session.execute(_CANDIDATES, {"ids": new}).scalars()
        rows = {row.id or 0: row for row in found if row.project_id == self.project_id and row.kind == Kind.PATCH}
        units = evidence.read_units(self.session, rows)
        self.rows |= rows
        self.units |= units
        for number, row in rows.items():
            self.facts[number] = facts(number, bytes(row.digest), units[number].said, row.logged_at)

    def step(self, frontier: set[int]) -> set[int]:
        """Take these in; gives what something speaks for to belong to them, and what they are joined with."""
        self.read(frontier)
        new = frontier & self.facts.keys()
        self.inside |= new
        joined = _with_parts(self.session, [self.rows[number] for number in new])
        if len(self.inside) > _WIDEST:
            return joined - self.inside
        self.whole |= frontier
        beside, by_hand = self._meet(new)
        self.read({other for _, other in beside})
        near = {
            other for one, other in beside if other in self.facts and may_belong(self.facts[one], self.facts[other])
        }
        return (joined | by_hand | near) - self.inside

    def _meet(self, new: Iterable[int]) -> tuple[list[Pair], set[int]]:
        """These, each with every other one that it finds by a key; and those that people named with them."""
        asked: dict[int, list[int]] = defaultdict(list)
        for number in new:
            asked[tied(number)].append(number)
            for key in keys(self.facts[number]):
                for one in sought(key):
                    asked[one].append(number)
        found = _who_holds(self.session, self.project_id, asked)
        self.crowded |= found.crowded
        self.stirred |= found.stirred
        beside: list[Pair] = []
        by_hand: set[int] = set()
        for key, numbers in found.holders.items():
            if key > 0:
                by_hand.update(numbers)
            else:
                beside += [(one, other) for one in asked[key] for other in numbers if other not in self.inside]
        return beside, by_hand


# By id alone: where more is asked for, SQLite takes an index over the whole project instead.
_CANDIDATES = select(CandidateRow).where(col(CandidateRow.id).in_(bindparam("ids", expanding=True)))


_FOR_CHANGE = (
    select(col(CandidateRow.id))
    .where(col(CandidateRow.id).in_(bindparam("ids", expanding=True)))
    .order_by(col(CandidateRow.id))
    .with_for_update(key_share=True)
)


def _with_parts(session: Session, rows: Sequence[CandidateRow]) -> set[int]:
    """What these are joined with until now: the reason may be gone, as a run grows or shows to be older."""
    several = [row.id for row in rows if row.n_parts or row.status == Status.JOINED]
    if not several:
        return set()
    wanted = select(PartRow.candidate_id, PartRow.lead_id).where(  # type: ignore[call-overload]
        col(PartRow.candidate_id).in_(several) | col(PartRow.lead_id).in_(several)
    )
    return {number for pair in session.execute(wanted) for number in pair}


# ------------------------------------------------------------------------------------------------ what belongs together


def _settle_some(session: Session, project_id: int, starts: set[int], grown: frozenset[int]) -> _Seen:
    """Look at some candidates with all that could belong to them, and make the tables say what belongs together."""
    seen = _Seen(session, project_id)
    frontier = starts
    while frontier:
        frontier = seen.step(frontier)
    if len(seen.inside) > _WIDEST and len(starts) > 1:
        # Together they are too many, alone they may not be.
        return _settle_some(session, project_id, set(sorted(starts)[: len(starts) // 2]), grown)
    _note_whole(session, project_id, [seen.facts[number] for number in sorted(seen.inside & grown)])
    together, apart, decided = _by_people(session, seen.inside)
    clusters = partition(
        [seen.facts[number] for number in seen.inside],
        together=together,
        apart=apart,
        decided=decided,
        crowded=frozenset(seen.crowded),
    )
    _apply(session, seen, clusters, grown)
    return seen


def _note_whole(session: Session, project_id: int, grown: Iterable[Facts]) -> None:
    """Write down by which keys a run is found that grew: all its steps together have some that none of them has."""
    rows: list[tuple[object, ...]] = [(project_id, key, one.unit) for one in grown for key in sorted(keys(one))]
    insert_rows(session, "clue", _CLUE_COLUMNS, rows, keep=True)


_Undoing = aliased(DecisionRow)
_SAID_BY_PEOPLE = (
    select(DecisionRow.candidate_id, DecisionRow.other_id, DecisionRow.verdict)  # type: ignore[call-overload]
    .where(
        col(DecisionRow.candidate_id).in_(bindparam("ids", expanding=True)),
        col(DecisionRow.verdict).not_in([Verdict.UNDO, Verdict.SKIP]),
        ~exists().where(col(_Undoing.undoes_id) == col(DecisionRow.id)),
    )
    .order_by(col(DecisionRow.id))
)


class _ByPeople(NamedTuple):
    together: frozenset[frozenset[int]]
    apart: frozenset[frozenset[int]]
    decided: frozenset[int]


def _by_people(session: Session, ids: Iterable[int]) -> _ByPeople:
    """What people joined and took apart, the last word on each two counting; and what they have decided on.

    A decision that no longer stands, because there are new texts to judge, still says whose history this is.
    """
    said: dict[frozenset[int], str] = {}
    decided: set[int] = set()
    for one, other, verdict in session.execute(_SAID_BY_PEOPLE, {"ids": list(ids)}):
        if other is None:
            decided.add(one)
        else:
            said[frozenset((one, other))] = verdict
    return _ByPeople(
        frozenset(pair for pair, verdict in said.items() if verdict == Verdict.JOIN),
        frozenset(pair for pair, verdict in said.items() if verdict == Verdict.SPLIT),
        frozenset(decided),
    )


# ------------------------------------------------------------------------------------------------ what changes

_PartOf = tuple[int, int, int, str, str, str]
"""The columns of `part` but its own candidate: lead, what it was joined to, place, code, confidence, reason."""


def _apply(session: Session, seen: _Seen, clusters: Sequence[Cluster], grown: frozenset[int]) -> None:
    """Make the tables say what the clusters say, and nothing else change."""
    before = _read_parts(session, seen)
    after = {number: part for cluster in clusters for number, part in _parts_of(cluster)}
    several = [one for one in clusters if _may_change(seen.rows[one.lead], one, grown)]
    stories = _stories(seen, before, {one.lead for one in several})
    ratings = evidence.ratings(session, [number for one in several for number in one.units])
    _lock(session, {*before, *after, *(one.lead for one in several)})
    _write_parts(session, before, after)
    moves = []
    for number in sorted(seen.inside):
        row = seen.rows[number]
        if number in after and row.status != Status.JOINED:
            moves.append((row, Derived(Status.JOINED)))
        elif number not in after and row.status == Status.JOINED:
            moves.append((row, decisions.derive_row(session, row)))
    decisions.move_all(session, moves)
    renewed = [
        seen.rows[one.lead]
        for one in several
        if _refresh(seen, one, stories.get(one.lead), ratings, has_grown=not grown.isdisjoint(one.units))
    ]
    session.flush()
    if renewed:
        ids = [row.id for row in renewed]
        session.execute(delete(RenderingRow).where(col(RenderingRow.candidate_id).in_(ids)))
        decisions.move_all(session, [(row, Derived(Status.PENDING)) for row in renewed])


def _lock(session: Session, ids: Collection[int]) -> None:
    """Wait for all that may change, in the order in which everything does: leases come and go meanwhile."""
    if ids and session.get_bind().dialect.name == "postgresql":
        session.execute(_FOR_CHANGE, {"ids": list(ids)})


def _may_change(row: CandidateRow, cluster: Cluster, grown: frozenset[int]) -> bool:
    """Whether a lead may have anything new to say: one that was and is alone says what it said."""
    return len(cluster.units) > 1 or row.n_parts > 0 or row.status == Status.JOINED or cluster.lead in grown


def _read_parts(session: Session, seen: _Seen) -> dict[int, _PartOf]:
    ids = [number for number in seen.inside if seen.rows[number].status == Status.JOINED]
    if not ids:
        return {}
    columns = [getattr(PartRow, name) for name in _PART_COLUMNS]
    found = session.execute(select(*columns).where(col(PartRow.candidate_id).in_(ids)))
    return {number: tuple(part) for number, *part in found}


def _parts_of(cluster: Cluster) -> Iterator[tuple[int, _PartOf]]:
    by_unit = {join.unit: join for join in cluster.joins}
    for place, unit in enumerate(cluster.units[1:]):
        join = by_unit[unit]
        yield unit, (cluster.lead, join.to, place, join.code, join.confidence, join.reason)


def _write_parts(session: Session, before: Mapping[int, _PartOf], after: Mapping[int, _PartOf]) -> None:
    changed = [number for number, part in before.items() if after.get(number) != part]
    if changed:
        session.execute(delete(PartRow).where(col(PartRow.candidate_id).in_(changed)))
    rows: list[tuple[object, ...]] = [
        (number, *part) for number, part in sorted(after.items()) if before.get(number) != part
    ]
    insert_rows(session, "part", _PART_COLUMNS, rows)


def _stories(seen: _Seen, before: Mapping[int, _PartOf], leads: set[int]) -> dict[int, Candidate]:
    """What those of the leads that stood for themselves said until now, with the parts that they had."""
    parts: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, (lead, _, place, *_) in before.items():
        parts[lead].append((place, number))
    return {
        number: _story(seen, number, [one for _, one in sorted(parts[number])])
        for number in leads
        if seen.rows[number].status != Status.JOINED
    }


def _story(seen: _Seen, lead: int, parts: Sequence[int]) -> Candidate:
    return evidence.put_together(seen.units, lead, parts, at=seen.rows[lead].logged_at)


def _refresh(
    seen: _Seen, cluster: Cluster, before: Candidate | None, ratings: Mapping[int, int], *, has_grown: bool
) -> bool:
    """Let a lead's row say what the whole story says; tells whether there are texts to be judged anew."""
    row = seen.rows[cluster.lead]
    said = _story(seen, cluster.lead, cluster.units[1:])
    columns = _columns(row, cluster, said) | {"rating": _rating(cluster, ratings)}
    changed = {name: value for name, value in columns.items() if getattr(row, name) != value}
    if before == said and not changed and not has_grown:
        return False
    texts = _digest(said)
    known = row.texts_digest or (texts if before is None else _digest(before))
    for name, value in (changed | {"checks_version": 0, "texts_digest": texts}).items():
        setattr(row, name, value)
    if known != texts:
        row.judged_from = row.version + 1
    return known != texts


def _rating(cluster: Cluster, ratings: Mapping[int, int]) -> int | None:
    """The lead's own rating, or the best of its parts where it has none."""
    others = [ratings[number] for number in cluster.units[1:] if number in ratings]
    return ratings.get(cluster.lead, max(others, default=None))


def _columns(row: CandidateRow, cluster: Cluster, said: Candidate) -> dict[str, Any]:
    _, n_added, n_removed = changed_lines(said.diff or "")
    return {
        "title": title_of(said),
        "target": ", ".join(said.target_files)[:200],
        "generation": said.generation,
        "patch_source": said.patch_source,
        "n_added": n_added,
        "n_removed": n_removed,
        "has_script": said.script is not None,
        "n_attempts": 0 if said.run is None else len(said.run.attempts),
        "n_parts": len(cluster.units) - 1,
        "group_digest": group_digest(said, bytes(row.digest)),
    }


def _digest(said: Candidate) -> bytes:
    return hashlib.sha256(repr(sorted(said.texts.items())).encode()).digest()
