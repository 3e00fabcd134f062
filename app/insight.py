"""What the review has come to, in numbers: each with the filter of the list that it counts.

Only decisions that stand count, each candidate once: what was undone, replaced, or made on other texts than today's is
no part of any number here, as it is no part of a list.
"""

import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, String, Table, Text, case, cast, exists, func, select, true, type_coerce
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app import decisions, releases
from app.errors import BadInputError
from app.models import DecisionRow, ReviewerRow, Status, Verdict, metadata
from app.queue import Filter
from app.review import REASONS

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
_SEEN = ("none", "under a quarter", "a quarter to a half", "a half to three quarters", "three quarters and more", "all")
_ALL_SEEN = len(_SEEN) - 1
_WORDS = re.compile(r"[^\W_]+")

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
    release, yields = _yields(session, project_id)
    pictures = (
        _intake(scope, intake, now.date()),
        _decided(scope, sums, now.date()),
        _ways(sums),
        _waiting(session, project_id),
        _sources(scope, sums),
        _files(scope, sums),
        _reasons(sums),
        _times(sums),
        _seen(sums),
        yields,
    )
    left = Left(decisions.count_by_status(session, project_id), _per_hour(session, project_id))
    return Insight(scope, sums.ways.total(), sums.n_in_bulk, _pace(sums.spent), left, release, pictures)


# ------------------------------------------------------------------------------------------------ what is read


class _Sums:
    """Decisions that stand, counted by what the pictures ask."""

    def __init__(self) -> None:
        self.days: Counter[tuple[str, str]] = Counter()
        self.ways: Counter[tuple[int, str]] = Counter()
        self.sources: Counter[tuple[str, str]] = Counter()
        self.targets: Counter[tuple[str, str]] = Counter()
        self.reasons: Counter[tuple[str, str]] = Counter()
        self.spent: Counter[int | None] = Counter()
        self.seen: Counter[int | None] = Counter()

    @property
    def n_in_bulk(self) -> int:
        return sum(n for (in_bulk, _), n in self.ways.items() if in_bulk)

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Rows as `_read` gives them; counted column by column, which is several times quicker than row by row."""
        states, days, in_bulk, sources, targets, reasons, spent, seen = zip(*rows, strict=True)
        self.days.update(zip(days, states, strict=True))
        self.ways.update(zip(in_bulk, states, strict=True))
        self.sources.update(zip(sources, states, strict=True))
        self.targets.update(zip(targets, states, strict=True))
        self.reasons.update(one for one in zip(reasons, states, strict=True) if one[0] is not None)
        self.spent.update(spent)
        self.seen.update(seen)


def _read(session: Session, project_id: int, scope: Scope) -> Iterator[Sequence[tuple[Any, ...]]]:
    """The decisions of a scope that stand, some thousands at a time."""
    one_by_one = _decision.c.bulk.is_(None)
    wanted = (
        select(
            _candidate.c.status,
            _day_of(session, _decision.c.decided_at),
            case((one_by_one, 0), else_=1),
            _candidate.c.patch_source,
            _candidate.c.target,
            case((_decision.c.verdict.in_([Verdict.REJECT, Verdict.FLAG]), cast(_decision.c.reasons, Text))),
            case((one_by_one, _decision.c.spent_ms)),
            case((one_by_one, _part_seen())),
        )
        .join(_candidate, _candidate.c.id == _decision.c.candidate_id)
        .where(
            _decision.c.project_id == project_id,
            _candidate.c.status.in_(JUDGED),
            *_stands(),
            *_between(session, _decision, "decided_at", scope),
        )
    )
    if scope.source:
        wanted = wanted.where(_candidate.c.patch_source == scope.source)
    if scope.by:
        wanted = wanted.where(_decision.c.reviewer_id == _reviewer_id(session, scope.by))
    # The driver's own rows: to make an object of each costs as much as all the counting.
    cursor = session.connection().execute(wanted).cursor
    while cursor is not None and (rows := cursor.fetchmany(_CHUNK)):
        yield rows


def _part_seen() -> ColumnElement[int | None]:
    """Which of `_SEEN`; null where nobody measured, or there was nothing to see."""
    seen, hunks = _decision.c.n_seen, _decision.c.n_hunks
    return case(
        (hunks > 0, case((seen >= hunks, _ALL_SEEN), (seen == 0, 0), else_=1 + seen * 4 // hunks)),
    )


def _stands() -> tuple[ColumnElement[bool], ...]:
    """What makes a decision, joined with its candidate, the one that counts: as `decisions.find_standing` says it."""
    later = aliased(DecisionRow)
    judging = list(decisions.STATUS_OF)
    replaced = exists().where(
        col(later.candidate_id) == _decision.c.candidate_id,
        col(later.id) > _decision.c.id,
        col(later.verdict).in_(judging),
        ~_taken_back(col(later.id)),
    )
    # Nothing has happened since to most of them: the candidate is the version that the decision made of it.
    is_last = _candidate.c.version == _decision.c.candidate_version + 1
    return (
        _decision.c.verdict.in_(judging),
        _decision.c.candidate_version >= _candidate.c.judged_from,
        is_last | ~replaced,
        ~_taken_back(_decision.c.id),
    )


def _taken_back(decision: Any) -> ColumnElement[bool]:  # noqa: ANN401  (an attribute or a column)
    undo = aliased(DecisionRow)
    return exists().where(col(undo.undoes_id) == decision)


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


def list_reviewers(session: Session, most: int = 100) -> list[str]:
    """The names of those who may have decided, in order."""
    wanted = select(col(ReviewerRow.name)).order_by(col(ReviewerRow.name)).limit(most)
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


# ------------------------------------------------------------------------------------------------ pictures


def _intake(scope: Scope, intake: Mapping[str, int], today: date) -> Picture:
    counted = Counter({(day, ""): n for day, n in intake.items()})
    rows = [Row(span.name, (Cell(span.of(counted, "")),)) for span in _spans(scope, intake, today)]
    says = "Candidates by the day on which they came in (UTC)."
    return Picture("intake", "Intake", says, "Day", ("candidates",), tuple(rows), in_time=True)


def _decided(scope: Scope, sums: _Sums, today: date) -> Picture:
    spans = _spans(scope, {day for day, _ in sums.days}, today)
    rows = [Row(span.name, tuple(Cell(span.of(sums.days, one)) for one in JUDGED)) for span in spans]
    says = "Candidates by the day (UTC) of the decision that stands."
    return Picture("decided", "Decisions", says, "Day", JUDGED, tuple(rows), in_time=True, has_rate=True)


def _ways(sums: _Sums) -> Picture:
    rows = [
        Row(name, tuple(Cell(sums.ways[in_bulk, one]) for one in JUDGED))
        for name, in_bulk in (("one by one", False), ("in bulk", True))
    ]
    says = "Decisions that were made for many candidates at once, beside those that were made one by one."
    return Picture("ways", "One by one and in bulk", says, "How", JUDGED, tuple(rows), has_rate=True)


def _sources(scope: Scope, sums: _Sums) -> Picture:
    def listed(name: str) -> Filter:
        return Filter(source=name)

    rows, n_more = _rated(scope, sums.sources, listed)
    says = "What the agent's step was that made the patch, and what became of it."
    return Picture(
        "sources", "Accept rate by patch source", says, "Patch source", JUDGED, rows, has_rate=True, n_more=n_more
    )


def _files(scope: Scope, sums: _Sums) -> Picture:
    """The files most decided on; a bar counts what the filter `file` finds, which takes a part of a path for it."""
    by_file: Counter[str] = Counter()
    parted: dict[str, Counter[str]] = {}
    for (target, state), n in sums.targets.items():
        parted.setdefault(target, Counter())[state] += n
    for target, states in parted.items():
        for name in set(_files_of(target)):
            by_file[name] += states.total()
    chosen = [name for name, _ in by_file.most_common(_MOST_ROWS)]
    counted: Counter[tuple[str, str]] = Counter()
    lines = [(_line(target), states) for target, states in parted.items()]
    for name in chosen:
        part = _line(name)
        for whole, states in lines:
            if part in whole:
                counted.update({(name, state): n for state, n in states.items()})
    rows, _ = _rated(scope, counted, lambda name: Filter(file=name))
    says = "The files most decided on, and what became of the patches that touch them."
    n_more = len(by_file) - len(chosen)
    return Picture("files", "Accept rate by file", says, "File", JUDGED, rows, has_rate=True, n_more=n_more)


@lru_cache(100_000)
def _files_of(target: str) -> tuple[str, ...]:
    return tuple(part for part in target.split(", ") if part and _WORDS.search(part))


@lru_cache(100_000)
def _line(path: str) -> str:
    """The words of a path as the index knows them: `src/x_y.py` → ` src x y py `."""
    return f" {' '.join(_WORDS.findall(path)).lower()} "


def _rated(
    scope: Scope, counted: Counter[tuple[str, str]], listed: Callable[[str], Filter]
) -> tuple[tuple[Row, ...], int]:
    """The rows most decided on, and how many more there are."""
    names: Counter[str] = Counter()
    for (name, _), n in counted.items():
        names[name] += n
    rows = [
        Row(name, tuple(_cell(scope, counted[name, state], replace(listed(name), status=state)) for state in JUDGED))
        for name, _ in names.most_common(_MOST_ROWS)
    ]
    return tuple(rows), max(0, len(names) - _MOST_ROWS)


def _reasons(sums: _Sums) -> Picture:
    counted: Counter[tuple[str, str]] = Counter()
    for (text, state), n in sums.reasons.items():
        for reason in _parse_reasons(text):
            counted[reason, state] += n
    series = (Status.REJECTED, Status.FLAGGED)
    names = [*REASONS, *sorted({name for name, _ in counted} - set(REASONS))]
    rows = [
        Row(REASONS.get(name, name), tuple(Cell(counted[name, state]) for state in series))
        for name in names
        if any(counted[name, state] for state in series)
    ]
    says = "Why patches were rejected or flagged; one may have several reasons."
    ordered = tuple(sorted(rows, key=lambda row: -row.n))
    return Picture("reasons", "Reasons", says, "Reason", series, ordered)


@lru_cache(1000)
def _parse_reasons(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(json.loads(text)))


_TIMES = ((0, 2), (2, 5), (5, 10), (10, 20), (20, 60), (60, 300), (300, None))


def _times(sums: _Sums) -> Picture:
    rows = []
    for first, end in _TIMES:
        n = sum(
            n
            for ms, n in sums.spent.items()
            if ms is not None and first * 1000 <= ms and (end is None or ms < end * 1000)
        )
        name = f"{first} s and more" if end is None else f"under {end} s" if not first else f"{first} to {end} s"
        rows.append(Row(name, (Cell(n),), is_marked=end is not None and end * 1000 <= HASTY_MS))
    says = (
        "From the painted candidate to the decision, made one by one and measured. Under 2 s nobody has read a patch."
    )
    return Picture("times", "Time per decision", says, "Time", ("decisions",), tuple(rows))


def _seen(sums: _Sums) -> Picture:
    n_not = sums.seen[None] - sums.n_in_bulk
    rows = [Row(name, (Cell(sums.seen[at]),)) for at, name in enumerate(_SEEN)]
    rows.append(Row("not measured", (Cell(n_not),)))
    says = "How much of a patch's changes was on the screen before the decision, made one by one."
    return Picture("seen", "Share of changes seen", says, "Seen", ("decisions",), tuple(rows))


def _waiting(session: Session, project_id: int) -> Picture:
    counts = decisions.count_by_status(session, project_id)
    names = (Status.PENDING, Status.FLAGGED, Status.SKIPPED)
    rows = tuple(Row(name, (Cell(counts[name], Filter(status=name)),)) for name in names)
    says = "What waits now, whatever the days above."
    return Picture("left", "What is left", says, "Status", ("candidates",), rows)


def _yields(session: Session, project_id: int) -> tuple[int | None, Picture]:
    """Rows and held-back rows of the newest release, by the model's role."""
    release = releases.find_latest(session, project_id)
    rows: Counter[str] = Counter()
    held: Counter[str] = Counter()
    counts = {} if release is None else release.counts.get("datasets", {})
    assert isinstance(counts, dict)  # noqa: S101
    for name, counted in counts.items():
        role = name.partition("/")[0]
        rows[role] += counted["rows"]
        held[role] += counted["held"]
    drawn = tuple(Row(role, (Cell(rows[role]), Cell(held[role]))) for role in sorted(rows, key=lambda one: -rows[one]))
    says = "Examples of the newest release for each model, and those that it held back."
    picture = Picture("yields", "Yield per model role", says, "Role", ("rows", "held back"), drawn)
    return None if release is None else release.number, picture


def _cell(scope: Scope, n: int, wanted: Filter) -> Cell:
    """The cell with its list narrowed to the scope, as far as a filter says it."""
    if scope.by or scope.since or scope.until:
        return Cell(n)
    return Cell(n, replace(wanted, source=wanted.source or scope.source))


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
