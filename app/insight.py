"""What the review has come to, in numbers: each with the filter of the list that it counts.

Only decisions that stand count, each candidate once: what was undone, replaced, or made on other texts than today's is
no part of any number here, as it is no part of a list.
"""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Select, String, Table, Text, case, cast, exists, func, select, true, type_coerce
from sqlmodel import Session, col

from app import decisions, evidence, guidelines, queue, releases, syntax
from app.candidates import Direction, Kind
from app.errors import BadInputError
from app.formats.runs import stage_of
from app.models import ReviewerRow, Status, Verdict, metadata
from app.queue import Filter
from app.recipes.core_predictor import name_of
from app.syntax import Term

JUDGED = (Status.ACCEPTED, Status.EDITED, Status.REJECTED, Status.SKIPPED, Status.FLAGGED)
DAYS = 30
HASTY_MS = 2000
_RATED = 3
_MOST_ROWS = 12
_MOST_DAYS = 45
_FIRST_YEAR, _LAST_YEAR = 1971, 9000
_CHUNK = 10_000
_PACE_OF = 500
_FEWEST_GAPS = 10
_PAUSE = timedelta(minutes=5)
_CLOCK = timedelta(days=1)
_MOST_NAMED = 50
_MOST_READ = 300
_ONE_BY_ONE = Term("bulk", ("no",))
_WAITING = (Status.PENDING, Status.FLAGGED, Status.SKIPPED, Status.DISAGREED)
_TIMES: Mapping[str, tuple[str, ...]] = {
    "under 2 s": ("<2",),
    "2 to 5 s": (">=2", "<5"),
    "5 to 10 s": (">=5", "<10"),
    "10 to 20 s": (">=10", "<20"),
    "20 to 60 s": (">=20", "<60"),
    "1 to 5 min": (">=60", "<300"),
    "5 min and more": (">=300",),
}
_SCORES: Mapping[str, tuple[str, ...]] = {
    "under 0": ("<0",),
    **{f"{n / 10:g} to {(n + 1) / 10:g}": (f">={n / 10:g}", f"<{(n + 1) / 10:g}") for n in range(9)},
    "0.9 to 1": (">=0.9", "<=1"),
    "above 1": (">1",),
}
_DIRECTIONS: Mapping[str, str] = {
    Direction.HIGHER: "of which more is better",
    Direction.LOWER: "that are a penalty",
    Direction.UNKNOWN: "of which nobody said which way they count",
}
_SEEN: Mapping[str, tuple[str, ...]] = {
    "none": ("0",),
    "under a quarter": (">0", "<0.25"),
    "a quarter to a half": (">=0.25", "<0.5"),
    "a half to three quarters": (">=0.5", "<0.75"),
    "three quarters and more": (">=0.75", "<1"),
    "all": (">=1",),
}
_NO_SCORE = "no score"
# Where the bins after the first begin, as the filters above say it.
_TIME_NAMES, _TIME_EDGES = list(_TIMES), [1000 * int(values[0][2:]) for values in list(_TIMES.values())[1:]]
_SCORE_NAMES, _SCORE_EDGES = list(_SCORES), [n / 10 for n in range(10)]
_ALL_SEEN = len(_SEEN) - 1

_candidate, _decision = metadata.tables["candidate"], metadata.tables["decision"]


# ------------------------------------------------------------------------------------------------ what is asked


@dataclass(frozen=True, slots=True)
class Scope:
    """Which decisions the pictures are about; days are UTC, None means no bound.

    Attributes:
        since: the first day on which they were made.
        until: the last.
        source: the patch source of their candidates, or empty for all.
        by: name of the reviewer, or empty for all.
    """

    since: date | None = None
    until: date | None = None
    source: str = ""
    by: str = ""

    @classmethod
    def parse(cls, query: Mapping[str, str], *, today: date) -> "Scope":
        """`{"since": "2026-11-01", "by": "ann"}`; without `since` the last 30 days, with `since=all` all of them.

        Raises:
            BadInputError: no day, or an unknown name; `where` names the field.

        """
        if unknown := sorted(set(query) - {"since", "until", "source", "by"}):
            raise BadInputError(
                f"These pictures have no {unknown[0][:40]!r}; they have since, until, source, by.",
                where=f"field {unknown[0][:40]}",
            )
        said = {name: value.strip() for name, value in query.items()}
        since, until = said.get("since", ""), _day("until", said.get("until", ""))
        first = None if since == "all" else _day("since", since) or (until or today) - timedelta(days=DAYS - 1)
        if first is not None and until is not None and until < first:
            raise BadInputError(f"until ({until}) is before since ({first}).", where="field until")
        return cls(first, until, said.get("source", ""), said.get("by", ""))


def _day(name: str, value: str) -> date | None:
    if not value:
        return None
    try:
        found = date.fromisoformat(value)
    except ValueError:
        found = date.min
    # Beyond, there is no room to count with days.
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise BadInputError(f"{name} must be a day such as 2026-11-22; it is {value[:40]!r}.", where=f"field {name}")
    return found


# ------------------------------------------------------------------------------------------------ what is answered


class Cell(NamedTuple):
    """A number and the list that it counts; None where no filter says it."""

    n: int
    wanted: Filter | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One bar: `Row("LLMCore_scaffold", (Cell(31, Filter(…)), …))`, a cell for each series of its picture."""

    name: str
    cells: tuple[Cell, ...]
    is_marked: bool = False

    @property
    def n(self) -> int:
        """All cells together."""
        return sum(cell.n for cell in self.cells)

    @property
    def rate(self) -> float | None:
        """Accepted or edited, of those that were accepted, edited or rejected; only where the series are states."""
        accepted, edited, rejected = (cell.n for cell in self.cells[:_RATED])
        n = accepted + edited + rejected
        return (accepted + edited) / n if n else None


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture, and its table.

    Attributes:
        code: its short name: `sources`.
        title: what it shows.
        says: a sentence that tells how to read it.
        head: what its rows are: `Patch source`.
        series: what its cells are.
        rows: its bars, in the order in which they are drawn.
        in_time: whether the rows follow each other, as days do.
        has_rate: whether each row has an accept rate.
        n_more: rows that are left out.
    """

    code: str
    title: str
    says: str
    head: str
    series: tuple[str, ...]
    rows: tuple[Row, ...]
    in_time: bool = False
    has_rate: bool = False
    n_more: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(row.n for row in self.rows)


@dataclass(frozen=True, slots=True)
class Left:
    """What waits, and how long it will take at the pace of late.

    Attributes:
        waiting: by status: pending, flagged, skipped.
        per_hour: decisions an hour of reviewing, pauses of five minutes and more left out; None where too few tell.
    """

    waiting: Mapping[str, int]
    per_hour: float | None

    @property
    def hours(self) -> float | None:
        """Hours of reviewing until nothing is pending."""
        return None if self.per_hour is None else self.waiting[Status.PENDING] / self.per_hour


@dataclass(frozen=True, slots=True)
class Pace:
    """Time per decision, of those that were made one by one and measured.

    Attributes:
        n: of how many.
        median_ms: half took longer.
        p95_ms: one of twenty took longer.
        n_hasty: took less than 2 seconds.
    """

    n: int
    median_ms: float | None
    p95_ms: float | None
    n_hasty: int


@dataclass(frozen=True, slots=True)
class Insight:
    """All pictures of one scope.

    Attributes:
        scope: what was asked for.
        n: decisions that stand.
        n_in_bulk: of these made in bulk.
        pace: how long they took.
        left: what waits.
        release: number of the release that the yield is of, or None.
        pictures: in the order of the page.
    """

    scope: Scope
    n: int
    n_in_bulk: int
    pace: Pace
    left: Left
    release: int | None
    pictures: tuple[Picture, ...]


def take_mark(session: Session, project_id: int, *, now: datetime) -> str:
    """Another one when anything was decided, came in, was checked or released since; at the latest every minute."""
    newest = session.connection().execute(select(func.max(_decision.c.id))).scalar()
    release = releases.find_latest(session, project_id)
    beat = queue.take_pulse(session, project_id).beat
    return f"{beat} {newest} {release and release.number} {now:%Y%m%d%H%M}"


def look(session: Session, project_id: int, scope: Scope, *, now: datetime) -> Insight:
    """Everything that the page shows, in one snapshot.

    Args:
        session: one snapshot.
        project_id: whose.
        scope: which decisions.
        now: where the last day ends that has no bound.

    Raises:
        BadInputError: there is no such reviewer.

    """
    sums = _Sums()
    for chunk in _read(session, project_id, scope):
        sums.add(chunk)
    intake = _count_intake(session, project_id, scope)
    counts = decisions.count_by_status(session, project_id)
    release, yields = _yields(session, project_id)
    pictures = (
        _intake(scope, intake, now.date()),
        _decided(scope, sums, now.date()),
        _ways(scope, sums),
        _waiting(counts),
        _sources(scope, sums),
        _files(scope, sums),
        _stages(scope, sums),
        _operations(session, project_id, scope),
        _scores(scope, sums),
        _reasons(scope, sums, guidelines.get_labels(session, project_id)),
        _times(scope, sums),
        _seen(scope, sums),
        yields,
    )
    left = Left(counts, _per_hour(session, project_id))
    return Insight(scope, sums.when.total(), sums.n_in_bulk, _pace(sums.spent), left, release, pictures)


# ------------------------------------------------------------------------------------------------ what is read


class _Sums:
    """Decisions that stand, counted by what the pictures ask."""

    def __init__(self) -> None:
        self.when: Counter[tuple[str, int, str]] = Counter()
        self.sources: Counter[tuple[str, str]] = Counter()
        self.targets: Counter[tuple[str, str]] = Counter()
        self.reasons: Counter[tuple[str, str]] = Counter()
        self.spent: Counter[int | None] = Counter()
        self.seen: Counter[int | None] = Counter()
        self.scores: Counter[tuple[float | None, str, str]] = Counter()

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Rows as `_read` gives them; counted column by column, which is several times quicker than row by row."""
        states, days, in_bulk, sources, targets, reasons, spent, seen, scores, directions = zip(*rows, strict=True)
        self.when.update(zip(days, in_bulk, states, strict=True))
        self.sources.update(zip(sources, states, strict=True))
        self.targets.update(zip(targets, states, strict=True))
        self.reasons.update(one for one in zip(reasons, states, strict=True) if one[0] is not None)
        self.spent.update(spent)
        self.seen.update(seen)
        self.scores.update(zip(scores, directions, states, strict=True))

    def by_day(self) -> Counter[tuple[str, str]]:
        """By day and state."""
        return _summed(((day, state), n) for (day, _, state), n in self.when.items())

    def by_way(self) -> Counter[tuple[int, str]]:
        """By whether they were made in bulk (1) or one by one (0), and state."""
        return _summed(((in_bulk, state), n) for (_, in_bulk, state), n in self.when.items())

    @property
    def n_in_bulk(self) -> int:
        return sum(n for (_, in_bulk, _), n in self.when.items() if in_bulk)


_Key = TypeVar("_Key")


def _summed(pairs: Iterable[tuple[_Key, int]]) -> Counter[_Key]:
    found: Counter[_Key] = Counter()
    for key, n in pairs:
        found[key] += n
    return found


def _read(session: Session, project_id: int, scope: Scope) -> Iterator[Sequence[tuple[Any, ...]]]:
    """The decisions of a scope that stand, some thousands at a time."""
    one_by_one = _decision.c.bulk.is_(None)
    wanted = _standing(
        session,
        project_id,
        scope,
        _candidate.c.status,
        _day_of(session, _decision.c.decided_at),
        case((one_by_one, 0), else_=1),
        _candidate.c.patch_source,
        _candidate.c.target,
        case((_decision.c.verdict.in_([Verdict.REJECT, Verdict.FLAG]), cast(_decision.c.reasons, Text))),
        case((one_by_one, _decision.c.spent_ms)),
        case((one_by_one, _part_seen())),
        _candidate.c.score,
        _candidate.c.score_direction,
    )
    # The driver's own rows: to make an object of each costs as much as all the counting.
    cursor = session.connection().execute(wanted).cursor
    while cursor is not None and (rows := cursor.fetchmany(_CHUNK)):
        yield rows


def _standing(session: Session, project_id: int, scope: Scope, *columns: ColumnElement[Any]) -> Select[Any]:
    """What is asked of the decisions of a scope that stand, and of their candidates."""
    wanted = (
        select(*columns)
        .join_from(_decision, _candidate, _candidate.c.id == _decision.c.candidate_id)
        .where(
            _decision.c.project_id == project_id,
            _candidate.c.status.in_(JUDGED),
            *decisions.stands(),
            *_between(session, _decision, "decided_at", scope),
        )
    )
    if scope.source:
        wanted = wanted.where(_candidate.c.patch_source == scope.source)
    if scope.by:
        wanted = wanted.where(_decision.c.reviewer_id == _reviewer_id(session, scope.by))
    return wanted


def _part_seen() -> ColumnElement[int | None]:
    """Which of `_SEEN`; null where nobody measured, or there was nothing to see."""
    seen, hunks = _decision.c.n_seen, _decision.c.n_hunks
    return case(
        (hunks > 0, case((seen >= hunks, _ALL_SEEN), (seen == 0, 0), else_=1 + seen * 4 // hunks)),
    )


def _between(session: Session, table: Table, column: str, scope: Scope) -> list[ColumnElement[bool]]:
    """The scope's days; rows are written in the order of their times, so their ids lead to the first of them."""
    found: list[ColumnElement[bool]] = []
    if scope.since is not None:
        since = datetime.combine(scope.since, time.min, UTC)
        # A clock that was set back does not hide what was written before.
        first = _first_id(session, table, column, since - _CLOCK)
        found += [table.c.id >= first, table.c[column] >= since]
    if scope.until is not None:
        found.append(table.c[column] < datetime.combine(scope.until + timedelta(days=1), time.min, UTC))
    return found


def _first_id(session: Session, table: Table, column: str, instant: datetime) -> int:
    """The id of the first row at or after an instant, found by halving: no index over times is kept."""
    run = session.connection().execute
    low, high = run(select(func.min(table.c.id), func.max(table.c.id))).one()
    if low is None:
        return 0
    following = select(table.c.id, table.c[column]).order_by(table.c.id).limit(1)
    while low < high:
        middle = (low + high) // 2
        number, at = run(following.where(table.c.id >= middle)).one()
        if at < instant:
            low = number + 1
        else:
            high = middle
    return int(low)


def _day_of(session: Session, column: ColumnElement[datetime]) -> ColumnElement[str]:
    """The day of an instant in UTC: `2026-11-22`."""
    if session.get_bind().dialect.name == "sqlite":
        return func.substr(type_coerce(column, String), 1, 10)
    return func.to_char(func.timezone("UTC", column), "YYYY-MM-DD")


def _reviewer_id(session: Session, name: str) -> int:
    found = session.execute(select(col(ReviewerRow.id)).where(col(ReviewerRow.name) == name)).scalar()
    if found is None:
        raise BadInputError(f"Nobody here is called {name[:40]!r}.", where="field by")
    return int(found)


def list_reviewers(session: Session, project_id: int, most: int = 100) -> list[str]:
    """The names of those who have decided in a project, in order."""
    decided = exists().where(_decision.c.project_id == project_id, _decision.c.reviewer_id == col(ReviewerRow.id))
    wanted = select(col(ReviewerRow.name)).where(decided).order_by(col(ReviewerRow.name)).limit(most)
    return list(session.execute(wanted).scalars())


def _count_intake(session: Session, project_id: int, scope: Scope) -> dict[str, int]:
    """How many candidates came, by day; parts of others left out."""
    day = _day_of(session, _candidate.c.created_at)
    wanted = (
        select(day, func.count())
        .where(
            _candidate.c.project_id == project_id,
            _candidate.c.status != Status.JOINED,
            (_candidate.c.patch_source == scope.source) if scope.source else true(),
            *_between(session, _candidate, "created_at", scope),
        )
        .group_by(day)
    )
    return {name: n for name, n in session.connection().execute(wanted)}  # noqa: C416  (a row is no pair to `dict`)


def _per_hour(session: Session, project_id: int) -> float | None:
    """Decisions an hour of reviewing, of the last 500 that were made one by one."""
    wanted = (
        select(_decision.c.reviewer_id, _decision.c.decided_at)
        .where(
            _decision.c.project_id == project_id,
            _decision.c.verdict.in_(list(decisions.STATUS_OF)),
            _decision.c.bulk.is_(None),
        )
        .order_by(_decision.c.id.desc())
        .limit(_PACE_OF)
    )
    times: dict[int, list[datetime]] = {}
    for reviewer, at in session.connection().execute(wanted):
        times.setdefault(reviewer, []).append(at)
    gaps = [after - before for one in times.values() for after, before in pairwise(one)]
    worked = [gap for gap in gaps if timedelta() <= gap < _PAUSE]
    spent = sum(worked, timedelta())
    return len(worked) * timedelta(hours=1) / spent if len(worked) >= _FEWEST_GAPS and spent else None


def _pace(measured: Counter[int | None]) -> Pace:
    spent = Counter({ms: n for ms, n in measured.items() if ms is not None})
    n = spent.total()
    return Pace(n, _quantile(spent, 0.5), _quantile(spent, 0.95), sum(k for ms, k in spent.items() if ms < HASTY_MS))


def _quantile(values: Counter[int], share: float) -> float | None:
    """The value below which a share of all lies, between neighbours as `statistics.median` does it."""
    if not values:
        return None
    ordered = sorted(values)
    ends, total = [], 0
    for value in ordered:
        total += values[value]
        ends.append(total)
    at = share * (total - 1)
    below, above = (
        ordered[bisect_right(ends, int(at) + more)] if int(at) + more < total else ordered[-1] for more in (0, 1)
    )
    return below + (above - below) * (at - int(at))


# ------------------------------------------------------------------------------------------------ lists


def _cell(scope: Scope, n: int, *terms: Term, **parameters: str) -> Cell:
    """A number of a scope, and its list: what the scope says and these terms and parameters of a filter."""
    if not n:
        return Cell(0)
    own = [Term("by", (scope.by,))] if scope.by else []
    if (scope.since or scope.until) and not any(term.field == "decided" for term in terms):
        own.append(_days("decided", scope.since, scope.until))
    source = {} if any(term.field == "source" for term in terms) else {"source": scope.source}
    return Cell(n, Filter(**source | parameters, q=syntax.write([*terms, *own])))


def _days(field: str, first: date | None, last: date | None) -> Term:
    """Days as a term: `decided:2026-11-01..2026-11-22`."""
    return Term(field, (f"{first}" if first == last else f"{first or ''}..{last or ''}",))


def _asked(field: str, values: Iterable[str]) -> list[Term]:
    """Bounds that all hold as terms: `spent:>=2 spent:<5`."""
    return [Term(field, (value,)) for value in values]


# ------------------------------------------------------------------------------------------------ pictures


def _intake(scope: Scope, intake: Mapping[str, int], today: date) -> Picture:
    counted = Counter({(day, ""): n for day, n in intake.items()})
    source = Scope(source=scope.source)
    rows = [
        Row(span.name, (_cell(source, span.of(counted, ""), _days("came", span.first, span.last)),))
        for span in _spans(scope, intake, today)
    ]
    says = "Candidates by the day on which they came in (UTC), whoever decides on them."
    return Picture("intake", "Intake", says, "Day", ("candidates",), tuple(rows), in_time=True)


def _decided(scope: Scope, sums: _Sums, today: date) -> Picture:
    by_day = sums.by_day()

    def cells(span: Span) -> tuple[Cell, ...]:
        on = _days("decided", span.first, span.last)
        return tuple(_cell(scope, span.of(by_day, state), on, status=state) for state in JUDGED)

    rows = [Row(span.name, cells(span)) for span in _spans(scope, {day for day, _ in by_day}, today)]
    says = "Candidates by the day (UTC) of the decision that stands."
    return Picture("decided", "Decisions", says, "Day", JUDGED, tuple(rows), in_time=True, has_rate=True)


def _ways(scope: Scope, sums: _Sums) -> Picture:
    by_way = sums.by_way()

    def cells(in_bulk: int) -> tuple[Cell, ...]:
        how = Term("bulk", ("yes" if in_bulk else "no",))
        return tuple(_cell(scope, by_way[in_bulk, state], how, status=state) for state in JUDGED)

    says = "Decisions that were made for many candidates at once, beside those that were made one by one."
    rows = (Row("one by one", cells(0)), Row("in bulk", cells(1)))
    return Picture("ways", "One by one and in bulk", says, "How", JUDGED, rows, has_rate=True)


def _sources(scope: Scope, sums: _Sums) -> Picture:
    rows, n_more = _rated(sums.sources, lambda name, n, state: _of_sources(scope, n, state, [name]))
    says = "What became of the patches, by what the log names as their source."
    return Picture(
        "sources", "Accept rate by patch source", says, "Patch source", JUDGED, rows, has_rate=True, n_more=n_more
    )


def _stages(scope: Scope, sums: _Sums) -> Picture:
    by_stage: Counter[tuple[str, str]] = Counter()
    named: dict[str, set[str]] = {}
    for (source, state), n in sums.sources.items():
        stage = str(stage_of(source))
        by_stage[stage, state] += n
        named.setdefault(stage, set()).add(source)
    rows, _ = _rated(by_stage, lambda stage, n, state: _of_sources(scope, n, state, sorted(named[stage])))
    says = "What became of the patches, by the step of the agent that their source names."
    return Picture("stages", "Accept rate by stage", says, "Stage", JUDGED, rows, has_rate=True)


def _of_sources(scope: Scope, n: int, state: str, names: Sequence[str]) -> Cell:
    if not all(names) or len(names) > _MOST_NAMED:
        return Cell(n)
    if len(names) == 1:
        return _cell(scope, n, status=state, source=names[0])
    return _cell(scope, n, Term("source", tuple(names)), status=state)


def _files(scope: Scope, sums: _Sums) -> Picture:
    """The files most decided on; a bar counts what the filter `file` finds, which takes a part of a path for it."""
    by_target: dict[str, Counter[str]] = {}
    for (target, state), n in sums.targets.items():
        by_target.setdefault(target, Counter())[state] += n
    by_file: Counter[str] = Counter()
    for target, states in by_target.items():
        by_file.update({name: states.total() for name in set(_files_of(target))})
    chosen = [name for name, _ in by_file.most_common(_MOST_ROWS)]
    lines = [(_line(target), states) for target, states in by_target.items()]
    counted: Counter[tuple[str, str]] = Counter()
    for name in chosen:
        part = _line(name)
        for whole, states in lines:
            if part in whole:
                counted.update({(name, state): n for state, n in states.items()})
    rows, _ = _rated(counted, lambda name, n, state: _cell(scope, n, status=state, file=name))
    says = "The files most decided on, and what became of the patches that are to change them."
    n_more = len(by_file) - len(chosen)
    return Picture("files", "Accept rate by file", says, "File", JUDGED, rows, has_rate=True, n_more=n_more)


@lru_cache(100_000)
def _files_of(target: str) -> tuple[str, ...]:
    return tuple(part for part in target.split(", ") if syntax.words_of(part))


@lru_cache(100_000)
def _line(path: str) -> str:
    """The words of a path as the index knows them: `src/x_y.py` → ` src x y py `."""
    return f" {' '.join(syntax.words_of(path))} "


def _operations(session: Session, project_id: int, scope: Scope) -> Picture:
    """The newest decisions by what the specs asked for: no column holds it, so the entries of some are read."""
    newest = _standing(session, project_id, scope, _candidate.c.id, _candidate.c.status, _candidate.c.n_parts).where(
        _candidate.c.kind == Kind.PATCH
    )
    judged = session.connection().execute(newest.order_by(_decision.c.id.desc()).limit(_MOST_READ)).all()
    units = evidence.read_units(session, [number for number, *_ in judged])
    found: dict[tuple[str, str], list[int]] = {}
    for number, state, n_parts in judged:
        said = units[number].said
        if not said.operations and n_parts:
            said = evidence.read_whole(session, number)
        for name in set(filter(None, map(name_of, said.operations))):
            found.setdefault((name, state), []).append(number)

    def cell(name: str, n: int, state: str) -> Cell:
        numbers = tuple(sorted(map(str, found.get((name, state), ()))))
        return Cell(n, Filter(status=state, q=str(Term("id", numbers)))) if n else Cell(0)

    rows, n_more = _rated(Counter({key: len(numbers) for key, numbers in found.items()}), cell)
    says = f"What became of the patches, by the operations of their specs: of the newest {_MOST_READ} decisions."
    return Picture(
        "operations", "Accept rate by operation", says, "Operation", JUDGED, rows, has_rate=True, n_more=n_more
    )


def _rated(counted: Counter[tuple[str, str]], cell: Callable[[str, int, str], Cell]) -> tuple[tuple[Row, ...], int]:
    """The rows most decided on, each state a cell, and how many rows more there are."""
    names = _summed((name, n) for (name, _), n in counted.items())
    rows = [
        Row(name or "(none)", tuple(cell(name, counted[name, state], state) for state in JUDGED))
        for name, _ in names.most_common(_MOST_ROWS)
    ]
    return tuple(rows), max(0, len(names) - _MOST_ROWS)


def _reasons(scope: Scope, sums: _Sums, labels: Mapping[str, str]) -> Picture:
    counted: Counter[tuple[str, str]] = Counter()
    for (text, state), n in sums.reasons.items():
        for reason in _parse_reasons(text):
            counted[reason, state] += n
    series = (Status.REJECTED, Status.FLAGGED)
    rows = [
        Row(
            labels.get(name, name),
            tuple(_cell(scope, counted[name, state], Term("reason", (name,)), status=state) for state in series),
        )
        for name in sorted({name for name, _ in counted})
    ]
    says = "Why patches were rejected or flagged; one may have several reasons."
    return Picture("reasons", "Reasons", says, "Reason", series, tuple(sorted(rows, key=lambda row: -row.n)))


@lru_cache(1000)
def _parse_reasons(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(json.loads(text)))


def _scores(scope: Scope, sums: _Sums) -> Picture:
    """Style score against verdict: where the rate does not follow the score, one of the two is wrong."""
    binned = _summed(((_bin_of(score), state), n) for (score, _, state), n in sums.scores.items())
    directions = _summed((direction, n) for (_, direction, _), n in sums.scores.items())
    rows = [
        Row(name, tuple(_cell(scope, binned[name, state], *_asked("score", values), status=state) for state in JUDGED))
        for name, values in {**_SCORES, _NO_SCORE: (syntax.NONE,)}.items()
    ]
    told = ", ".join(f"{n:,} {_DIRECTIONS.get(name, '')}" for name, n in directions.most_common() if name)
    says = "What became of the patches, by the style score of the attempt that made their script"
    kept = tuple(row for row in rows if row.n)
    return Picture(
        "scores",
        "Style score against verdict",
        f"{says}: {told}." if told else f"{says}.",
        "Style score",
        JUDGED,
        kept,
        has_rate=True,
    )


def _bin_of(score: float | None) -> str:
    if score is None:
        return _NO_SCORE
    return _SCORE_NAMES[-1] if score > 1 else _SCORE_NAMES[bisect_right(_SCORE_EDGES, score)]


def _times(scope: Scope, sums: _Sums) -> Picture:
    binned = _summed((_TIME_NAMES[bisect_right(_TIME_EDGES, ms)], n) for ms, n in sums.spent.items() if ms is not None)
    rows = [
        Row(
            name,
            (_cell(scope, binned[name], _ONE_BY_ONE, *_asked("spent", values)),),
            is_marked=name == _TIME_NAMES[0],
        )
        for name, values in _TIMES.items()
    ]
    says = "From the painted candidate to the decision, made one by one and measured. In 2 s nobody has read a patch."
    return Picture("times", "Time per decision", says, "Time", ("decisions",), tuple(rows))


def _seen(scope: Scope, sums: _Sums) -> Picture:
    rows = [
        Row(name, (_cell(scope, sums.seen[at], _ONE_BY_ONE, *_asked("seen", values)),))
        for at, (name, values) in enumerate(_SEEN.items())
    ]
    n_not = sums.seen[None] - sums.n_in_bulk
    rows.append(Row("not measured", (_cell(scope, n_not, _ONE_BY_ONE, Term("seen", (syntax.NONE,))),)))
    says = "How much of a patch's changes was on the screen before the decision, made one by one."
    return Picture("seen", "Share of changes seen", says, "Seen", ("decisions",), tuple(rows))


def _waiting(counts: Mapping[str, int]) -> Picture:
    rows = tuple(
        Row(name, (Cell(counts[name], Filter(status=name)),))
        for name in _WAITING
        if name != Status.DISAGREED or counts[name]
    )
    says = "What waits now: every day, source and reviewer."
    return Picture("left", "What is left", says, "Status", ("candidates",), rows)


def _yields(session: Session, project_id: int) -> tuple[int | None, Picture]:
    """Rows and held-back rows of the newest release, by the model's role."""
    release = releases.find_latest(session, project_id)
    counts: Any = {} if release is None else release.counts.get("datasets", {})
    rows: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for name, counted in counts.items():
        role = name.partition("/")[0]
        rows[role] += counted["rows"]
        held[role] += counted["held"]
    drawn = tuple(Row(role, (Cell(n), Cell(held[role]))) for role, n in rows.most_common())
    says = "Examples of the newest release for each model, and those that it held back."
    picture = Picture("yields", "Yield per model role", says, "Role", ("rows", "held back"), drawn)
    return None if release is None else release.number, picture


# ------------------------------------------------------------------------------------------------ days


@dataclass(frozen=True, slots=True)
class Span:
    """Days that are drawn as one bar: `Span(date(2026, 11, 16), date(2026, 11, 22))`, a week."""

    first: date
    last: date

    @property
    def name(self) -> str:
        """`2026-11-22`, or for a week or a month its first day and its last."""
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"

    def of(self, counted: Mapping[tuple[str, str], int], state: str) -> int:
        """What was counted on its days."""
        days = (self.last - self.first).days + 1
        return sum(counted.get((str(self.first + timedelta(n)), state), 0) for n in range(days))


def _spans(scope: Scope, days: Iterable[str], today: date) -> list[Span]:
    """The scope in days, weeks, months or years; a long one from the first day to the last on which anything was."""
    found = sorted(date.fromisoformat(day) for day in days) or [today]
    last = min(scope.until or date.max, max(today, found[-1]))
    first = min(scope.since or found[0], last)
    if (last - first).days >= _MOST_DAYS:
        first = max(first, found[0])
    n = (last - first).days + 1
    end_of = next(end for most, end in _SPANS if n <= most)
    spans: list[Span] = []
    while first <= last:
        end = end_of(first)
        spans.append(Span(first, min(end, last)))
        first = end + timedelta(1)
    return spans


def _end_of_week(day: date) -> date:
    return day + timedelta(6 - day.weekday())


def _end_of_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(4)).replace(day=1) - timedelta(1)


# So many days are drawn one by one, by weeks, by months, by years.
_SPANS: tuple[tuple[int, Callable[[date], date]], ...] = (
    (_MOST_DAYS, lambda day: day),
    (315, _end_of_week),
    (1500, _end_of_month),
    (date.max.toordinal(), lambda day: day.replace(month=12, day=31)),
)
