"""Which candidates speak of one change: kept up as entries come, the same whatever the order in which they came.

What may belong together holds counterparts of each other's keys (`app.assembly.keys`). New keys are gathered a batch
at a time and go into the table `clue` in their own order, which touches each of its pages once; what meets there is
looked at as a whole, and `app.assembly.partition` says what belongs together (docs/decisions/0015). Nothing here
depends on when an entry came, but for what people decided: that is never swallowed.
"""

import hashlib
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app import decisions, evidence
from app.assembly import Cluster, Facts, Join, counterpart, facts, keys, partition
from app.candidates import Candidate, Kind
from app.db import Database, driver_sign, insert_rows, lock_chain, lock_ingest
from app.evidence import Unit
from app.formats.reading import changed_lines, group_digest, title_of
from app.models import CandidateRow, DecisionRow, NewCluesRow, PartRow, RenderingRow, Status, Verdict

GREW = 0
"""The key that says: entries were added to this candidate, so look at it again."""

_ROUND, _SLICE, _ASKED = 300, 3000, 900
_SECONDS = 0.05

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
        pairs = sorted(_pairs(batch))
        grown = frozenset(number for key, number in pairs if key == GREW)
        touched = set(grown)
        for start in range(0, len(pairs), _SLICE):
            with db.write() as session:
                lock_ingest(session)
                touched |= _note(session, project_id, pairs[start : start + _SLICE])
        total = len(touched)
        while touched:
            with db.write() as session:
                lock_ingest(session)
                lock_chain(session)
                until = time.perf_counter() + _SECONDS
                touched -= _settle_one(session, project_id, touched.pop(), grown)
                while touched and time.perf_counter() < until:
                    touched -= _settle_one(session, project_id, touched.pop(), grown)
            if progress is not None:
                progress(total - len(touched), total)
        done += total
        with db.write() as session:
            session.execute(delete(NewCluesRow).where(col(NewCluesRow.id).in_([number for number, _ in batch])))
    return done


def settle_new(session: Session, project_id: int) -> None:
    """As `run`, within a transaction; for a single corrected line."""
    wanted = select(NewCluesRow).where(col(NewCluesRow.project_id) == project_id)
    new = [row for row in session.execute(wanted).scalars() if row.pairs]
    pairs = sorted(_pairs([(row.id, row.pairs) for row in new]))
    grown = {number for key, number in pairs if key == GREW}
    settle(session, project_id, _note(session, project_id, pairs) | grown, grown=frozenset(grown))
    for row in new:
        session.delete(row)


def settle(session: Session, project_id: int, ids: Iterable[int], *, grown: frozenset[int] = frozenset()) -> None:
    """Look at these candidates, and at everything that could belong to them, and join what belongs together.

    Args:
        session: the transaction.
        project_id: whose they are.
        ids: the candidates.
        grown: those of them that entries were added to.

    """
    left = set(ids)
    while left:
        left -= _settle_one(session, project_id, left.pop(), grown)


def _take(db: Database, project_id: int) -> list[tuple[int | None, bytes]]:
    wanted = (
        select(NewCluesRow.id, NewCluesRow.pairs)  # type: ignore[call-overload]
        .where(col(NewCluesRow.project_id) == project_id)
        .order_by(col(NewCluesRow.id))
        .limit(_ROUND)
    )
    with db.read() as session:
        return [(number, bytes(pairs)) for number, pairs in session.execute(wanted)]


def _pairs(batch: Iterable[tuple[int | None, bytes]]) -> Iterator[Pair]:
    for _, packed in batch:
        numbers = array("q", packed)
        yield from zip(numbers[::2], numbers[1::2], strict=True)


def _gather_old(db: Database, project_id: int) -> None:
    """Find the clues of what came in before there were any: a migration leaves a row without pairs."""
    with db.read() as session:
        wanted = select(NewCluesRow).where(col(NewCluesRow.project_id) == project_id, col(NewCluesRow.pairs) == b"")
        marks = [row.id for row in session.execute(wanted).scalars()]
    last = 0
    while marks:
        with db.write() as session:
            rows = session.execute(
                select(CandidateRow)
                .where(col(CandidateRow.project_id) == project_id, col(CandidateRow.id) > last)
                .order_by(col(CandidateRow.id))
                .limit(_ROUND)
            ).scalars()
            found = array("q")
            units = _Seen(session, {row.id or 0: row for row in rows})
            for one in units.facts.values():
                for key in keys(one):
                    found.extend((key, one.unit))
            if not units.rows:
                session.execute(delete(NewCluesRow).where(col(NewCluesRow.id).in_(marks)))
                return
            last = max(units.rows)
            insert_rows(session, "new_clues", ("project_id", "pairs"), [(project_id, found.tobytes())])


def _note(session: Session, project_id: int, pairs: Sequence[Pair]) -> set[int]:
    """Write down who has which key; gives those of the candidates that meet another one by theirs."""
    named = [pair for pair in pairs if pair[0] != GREW]
    insert_rows(
        session,
        "clue",
        ("project_id", "key", "candidate_id"),
        [(project_id, key, number) for key, number in named],
        keep=True,
    )
    holders: dict[int, list[int]] = {}
    for key, number in _who_has(session, project_id, {counterpart(key) for key, _ in named}):
        holders.setdefault(key, []).append(number)
    return {number for key, number in named if any(one != number for one in holders.get(counterpart(key), ()))}


def _who_has(session: Session, project_id: int, wanted: Iterable[int]) -> Iterator[Pair]:
    sign, asked = driver_sign(session), iter(sorted(wanted))
    while some := list(islice(asked, _ASKED)):
        signs = ", ".join([sign] * len(some))
        statement = f"SELECT key, candidate_id FROM clue WHERE project_id = {sign} AND key IN ({signs})"
        found = session.connection().exec_driver_sql(statement, (project_id, *some))
        yield from ((row[0], row[1]) for row in found)


# ------------------------------------------------------------------------------------------------ what belongs together


@dataclass
class _Seen:
    """Candidates with what they say by themselves."""

    session: Session
    rows: dict[int, CandidateRow]
    units: dict[int, Unit] = field(default_factory=dict)
    facts: dict[int, Facts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first, self.rows = self.rows, {}
        self.add(first)

    def add(self, rows: Mapping[int, CandidateRow]) -> None:
        patches = {number: row for number, row in rows.items() if row.kind == Kind.PATCH}
        units = evidence.read_units(self.session, patches)
        self.rows |= rows
        self.units |= units
        self.facts |= {
            number: facts(number, bytes(row.digest), units[number].said, row.logged_at)
            for number, row in patches.items()
        }


def _settle_one(session: Session, project_id: int, start: int, grown: frozenset[int]) -> set[int]:
    """Look at one candidate with all that could belong to it; gives everything that was looked at."""
    seen = _reach(session, project_id, start)
    _note_whole(session, project_id, [one for number, one in seen.facts.items() if number in grown])
    together, apart, decided = _by_people(session, seen.rows)
    clusters = partition(list(seen.facts.values()), together=together, apart=apart, decided=decided)
    _apply(session, seen, clusters, grown)
    return set(seen.rows) | {start}


def _reach(session: Session, project_id: int, start: int) -> _Seen:
    """Everything that hangs together with a candidate by its keys, or by a join, over any number of steps."""
    seen = _Seen(session, {})
    asked: set[int] = set()
    frontier = {start}
    while frontier:
        rows = session.execute(
            select(CandidateRow).where(
                col(CandidateRow.id).in_(frontier),
                col(CandidateRow.project_id) == project_id,
                col(CandidateRow.kind) == Kind.PATCH,
            )
        ).scalars()
        new = {row.id or 0: row for row in rows}
        seen.add(new)
        wanted = {key for number in new for key in _leads_from(number, seen.facts[number])} - asked
        asked |= wanted
        frontier = {number for _, number in _who_has(session, project_id, wanted)} | _with_parts(session, new)
        frontier -= seen.rows.keys()
    return seen


def _with_parts(session: Session, rows: Mapping[int, CandidateRow]) -> set[int]:
    """What these are joined with until now: the reason may be gone, as a run grows or shows to be older."""
    several = [number for number, row in rows.items() if row.n_parts or row.status == Status.JOINED]
    if not several:
        return set()
    wanted = select(PartRow).where(col(PartRow.candidate_id).in_(several) | col(PartRow.lead_id).in_(several))
    return {number for one in session.execute(wanted).scalars() for number in (one.candidate_id, one.lead_id)}


def _note_whole(session: Session, project_id: int, grown: Iterable[Facts]) -> None:
    """Write down by which keys a run is found that grew: all its steps together have some that none of them has."""
    rows = sorted((project_id, key, one.unit) for one in grown for key in keys(one))
    insert_rows(session, "clue", ("project_id", "key", "candidate_id"), list(rows), keep=True)


def _leads_from(number: int, said: Facts) -> Iterator[int]:
    yield tied(number)
    yield from map(counterpart, keys(said))


def tied(number: int) -> int:
    """The key of what people joined with a candidate, or took from it: no hash comes near such small numbers."""
    return number


def tie(session: Session, project_id: int, one: int, other: int) -> None:
    """See to it that two candidates are looked at together from now on, because a person said something of both."""
    rows: list[tuple[object, ...]] = [(project_id, tied(a), b) for a, b in ((one, other), (other, one))]
    insert_rows(session, "clue", ("project_id", "key", "candidate_id"), rows, keep=True)


def _by_people(
    session: Session, rows: Mapping[int, CandidateRow]
) -> tuple[frozenset[frozenset[int]], frozenset[frozenset[int]], frozenset[int]]:
    """What people joined and took apart, the last word on each two counting; and what they have decided on.

    A decision that no longer stands, because there are new texts to judge, still says whose history this is.
    """
    taken_back = aliased(DecisionRow)
    wanted = (
        select(DecisionRow.candidate_id, DecisionRow.other_id, DecisionRow.verdict)  # type: ignore[call-overload]
        .where(
            col(DecisionRow.candidate_id).in_(list(rows)),
            col(DecisionRow.verdict).not_in([Verdict.UNDO, Verdict.SKIP]),
            ~exists().where(col(taken_back.undoes_id) == col(DecisionRow.id)),
        )
        .order_by(col(DecisionRow.id))
    )
    said: dict[frozenset[int], str] = {}
    decided: set[int] = set()
    for one, other, verdict in session.execute(wanted):
        if other is None:
            decided.add(one)
        else:
            said[frozenset((one, other))] = verdict
    return (
        frozenset(pair for pair, verdict in said.items() if verdict == Verdict.JOIN),
        frozenset(pair for pair, verdict in said.items() if verdict == Verdict.SPLIT),
        frozenset(decided),
    )


# ------------------------------------------------------------------------------------------------ what changes


def _apply(session: Session, seen: _Seen, clusters: Sequence[Cluster], grown: frozenset[int]) -> None:
    """Make the tables say what the clusters say, and nothing else change."""
    before = {
        row.candidate_id: row
        for row in session.execute(select(PartRow).where(col(PartRow.candidate_id).in_(list(seen.rows)))).scalars()
    }
    stories = _stories(seen, before)
    was = {number: _as_row(row) for number, row in before.items()}
    after = {join.unit: _row_of(cluster, place, join) for cluster in clusters for place, join in _placed(cluster)}
    _write_parts(session, before, was, after)
    for number, row in seen.rows.items():
        if number in after and row.status != Status.JOINED:
            decisions.move(session, row, Status.JOINED)
        elif number not in after and row.status == Status.JOINED:
            decisions.move(session, row, decisions.status_of(session, row))
    for cluster in clusters:
        _refresh(session, seen, cluster, stories.get(cluster.lead), has_grown=not grown.isdisjoint(cluster.units))


def _placed(cluster: Cluster) -> list[tuple[int, Join]]:
    by_unit = {join.unit: join for join in cluster.joins}
    return [(place, by_unit[unit]) for place, unit in enumerate(cluster.units[1:])]


def _row_of(cluster: Cluster, place: int, join: Join) -> dict[str, Any]:
    return {
        "lead_id": cluster.lead,
        "to_id": join.to,
        "place": place,
        "code": join.code,
        "confidence": join.confidence,
        "reason": join.reason,
    }


def _as_row(row: PartRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("lead_id", "to_id", "place", "code", "confidence", "reason")}


def _write_parts(
    session: Session,
    before: Mapping[int, PartRow],
    was: Mapping[int, dict[str, Any]],
    after: Mapping[int, dict[str, Any]],
) -> None:
    for number in before.keys() - after.keys():
        session.delete(before[number])
    for number, values in after.items():
        if number not in before:
            session.add(PartRow(candidate_id=number, **values))
        elif was[number] != values:
            session.execute(update(PartRow).where(col(PartRow.candidate_id) == number).values(values))
    session.flush()


def _stories(seen: _Seen, before: Mapping[int, PartRow]) -> dict[int, Candidate]:
    """What each candidate that stood for itself said until now, with the parts that it had."""
    parts: dict[int, list[PartRow]] = {}
    for row in before.values():
        parts.setdefault(row.lead_id, []).append(row)
    return {
        number: _story(seen, number, [one.candidate_id for one in sorted(parts.get(number, []), key=lambda p: p.place)])
        for number, row in seen.rows.items()
        if row.status != Status.JOINED
    }


def _story(seen: _Seen, lead: int, parts: Sequence[int]) -> Candidate:
    return evidence.put_together(seen.units, lead, parts, at=seen.rows[lead].logged_at)


def _refresh(session: Session, seen: _Seen, cluster: Cluster, before: Candidate | None, *, has_grown: bool) -> None:
    """Let a lead's row say what the whole story says; texts that are new must be judged anew."""
    row = seen.rows[cluster.lead]
    said = _story(seen, cluster.lead, cluster.units[1:])
    _, n_added, n_removed = changed_lines(said.diff or "")
    values = {
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
    changed = {name: value for name, value in values.items() if getattr(row, name) != value}
    if before == said and not changed and not has_grown:
        return
    texts = _digest(said)
    known = row.texts_digest or (texts if before is None else _digest(before))
    for name, value in (changed | {"checks_version": 0, "texts_digest": texts}).items():
        setattr(row, name, value)
    if known != texts:
        session.execute(delete(RenderingRow).where(col(RenderingRow.candidate_id) == cluster.lead))
        row.judged_from = row.version + 1
        session.flush()
        decisions.move(session, row, Status.PENDING)
    session.flush()


def _digest(said: Candidate) -> bytes:
    return hashlib.sha256(repr(sorted(said.texts.items())).encode()).digest()
