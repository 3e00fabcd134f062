"""What stands in a list and what comes next: the filter with its one parser, pages by keyset, counts, and the lease.

A page, a queue, a saved view and a release mean the same by the same filter.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import ColumnElement, bindparam, exists, func, select, update
from sqlmodel import Session, col

from app import decisions
from app.candidates import Kind
from app.db import LARGEST_ID
from app.errors import BadInputError
from app.models import SHOWN, CandidateRow, FindingRow, SourceRow, Status, metadata
from app.search import matches, names_file

LEASE = timedelta(minutes=15)
COUNT_CAP = 1000

# What every decision asks is built once, and of tables where no object is needed.
_candidate = metadata.tables["candidate"]
_FOLLOWING = (
    select(_candidate.c.id)
    .where(
        _candidate.c.project_id == bindparam("project"),
        _candidate.c.status == bindparam("named"),
        _candidate.c.id > bindparam("after"),
    )
    .order_by(_candidate.c.id)
    .limit(1)
)
_PULSE = select(
    select(func.max(_candidate.c.id)).scalar_subquery(),
    select(_candidate.c.checks_version)
    .where(_candidate.c.project_id == bindparam("project"), _candidate.c.status == Status.PENDING)
    .order_by(_candidate.c.id.desc())
    .limit(1)
    .scalar_subquery(),
)


# ------------------------------------------------------------------------------------------------ filter and queue


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list, a queue and a link show; every field is a parameter of the URL, empty means all.

    `Filter.parse({"status": "pending", "source": "LLMCore_polish_iteration_1", "q": "termui"})`
    """

    status: str = ""
    kind: str = ""
    source: str = ""
    file: str = ""
    since: str = ""
    until: str = ""
    rating: str = ""
    finding: str = ""
    upload: str = ""
    delivery: str = ""
    q: str = ""
    order: str = ""

    @classmethod
    def parse(cls, query: Mapping[str, str], *, also: Iterable[str] | None = None) -> "Filter":
        """The filter that a query string says.

        Args:
            query: parameters by name.
            also: other names that may stand in it; any name not known is refused then, because a filter that is not
                heard gives a wrong list, or a wrong dataset. None where the query holds more than a filter.

        Raises:
            BadInputError: a value that the field cannot have, or an unknown name; `where` names the field.

        """
        if also is not None:
            _known(query, also)
        named = {one.name: query.get(one.name, "").strip() for one in fields(cls)}
        named["finding"] = named["finding"].lower().replace(" ", "_").replace("-", "_")
        made = cls(**named)
        _one_of("status", made.status, SHOWN)
        _one_of("kind", made.kind, [*Kind])
        _one_of("order", made.order, ["oldest", "newest"])
        _one_of("rating", made.rating, ["none", "1", "2", "3", "4", "5"])
        _day("since", made.since)
        _day("until", made.until)
        for name in ("upload", "delivery"):
            if value := getattr(made, name):
                whole_number(name, value)
        return made

    def query(self) -> dict[str, str]:
        """The parameters that are set, for a link."""
        return {one.name: value for one in fields(self) if (value := getattr(self, one.name))}


def _known(query: Mapping[str, str], also: Iterable[str]) -> None:
    names = [one.name for one in fields(Filter)]
    unknown = sorted(set(query) - {*names, *also})
    if unknown:
        raise BadInputError(
            f"A filter has no {unknown[0][:40]!r}; it has {', '.join(names)}.", where=f"field {unknown[0][:40]}"
        )


def _one_of(field: str, value: str, allowed: Iterable[str]) -> None:
    if value and value not in (names := list(allowed)):
        raise BadInputError(f"{field} must be one of {', '.join(names)}; it is {value[:40]!r}.", where=f"field {field}")


def _day(field: str, value: str) -> date | None:
    if not value:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise BadInputError(
            f"{field} must be a day such as 2026-11-22; it is {value[:40]!r}.", where=f"field {field}"
        ) from error


def whole_number(field: str, value: str) -> int:
    """`"17"` → 17.

    Raises:
        BadInputError: not digits 0 to 9, or larger than any id.

    """
    if not (value.isascii() and value.isdigit() and len(value) <= len(str(LARGEST_ID)) and int(value) <= LARGEST_ID):
        raise BadInputError(f"{field} must be a whole number; it is {value[:40]!r}.", where=f"field {field}")
    return int(value)


def conditions(session: Session, project_id: int, wanted: Filter) -> list[ColumnElement[bool]]:
    """The filter as conditions on candidates; the same for a page, a queue and an export."""
    found: list[ColumnElement[bool]] = [_candidate.c.project_id == project_id]
    if not wanted.status:
        found.append(_candidate.c.status != Status.JOINED)
    equal = {
        _candidate.c.status: wanted.status,
        _candidate.c.kind: wanted.kind,
        _candidate.c.patch_source: wanted.source,
    }
    found += [column == value for column, value in equal.items() if value]
    if wanted.rating:
        rating = None if wanted.rating == "none" else int(wanted.rating)
        found.append(_candidate.c.rating.is_(None) if rating is None else _candidate.c.rating == rating)
    if since := _day("since", wanted.since):
        found.append(_candidate.c.logged_at >= datetime.combine(since, time.min, UTC))
    if until := _day("until", wanted.until):
        found.append(_candidate.c.logged_at < datetime.combine(until + timedelta(days=1), time.min, UTC))
    if wanted.finding:
        found.append(
            exists().where(col(FindingRow.candidate_id) == _candidate.c.id, col(FindingRow.code) == wanted.finding)
        )
    if wanted.upload:
        found.append(_candidate.c.source_id == int(wanted.upload))
    if wanted.delivery:
        came = select(SourceRow.id).where(col(SourceRow.delivery_id) == int(wanted.delivery))  # type: ignore[call-overload]
        found.append(_candidate.c.source_id.in_(came))
    if wanted.file:
        found.append(names_file(session, wanted.file))
    if wanted.q:
        found.append(matches(session, wanted.q))
    return found


@dataclass(frozen=True, slots=True)
class Page:
    """Candidates of one page, and the cursor that the next page begins after, or None at the end."""

    candidates: list[CandidateRow]
    after: str | None


def list_candidates(session: Session, project_id: int, wanted: Filter, *, after: str = "", limit: int = 50) -> Page:
    """One page of the list, by keyset: the cost does not grow with depth.

    Raises:
        BadInputError: the cursor is none.

    """
    newest = wanted.order == "newest"
    where = conditions(session, project_id, wanted)
    if after:
        at = whole_number("after", after)
        where.append(col(CandidateRow.id) < at if newest else col(CandidateRow.id) > at)
    order = col(CandidateRow.id).desc() if newest else col(CandidateRow.id)
    rows = list(session.execute(select(CandidateRow).where(*where).order_by(order).limit(limit + 1)).scalars())
    more = len(rows) > limit
    return Page(rows[:limit], str(rows[limit - 1].id) if more else None)


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are; `capped` when counting stopped at the cap."""

    n: int
    capped: bool = False

    def __str__(self) -> str:
        """`1,000+` for a capped count."""
        return f"{self.n:,}+" if self.capped else f"{self.n:,}"


def count_candidates(session: Session, project_id: int, wanted: Filter, *, since: int = 0) -> Count:
    """How many candidates a filter finds: from the tally where it can, else counted up to 1,000.

    Args:
        session: to read from.
        project_id: theirs.
        wanted: the filter.
        since: only those that came after the one with this id.

    """
    if not since and replace(wanted, status="", order="") == Filter():
        tally = decisions.count_by_status(session, project_id)
        return Count(tally[wanted.status] if wanted.status else sum(tally.values()))
    where = (*conditions(session, project_id, wanted), _candidate.c.id > since)
    some = select(col(CandidateRow.id)).where(*where).limit(COUNT_CAP + 1).subquery()
    n = session.execute(select(func.count()).select_from(some)).scalar_one()
    return Count(min(n, COUNT_CAP), capped=n > COUNT_CAP)


@dataclass(frozen=True, slots=True)
class Pulse:
    """What an open list compares to know whether it is out of date.

    Attributes:
        newest: every candidate that comes later has a larger id.
        beat: another one when candidates came, were joined or decided, or when the newest was checked.
    """

    newest: int
    beat: str


def take_pulse(session: Session, project_id: int) -> Pulse:
    """Look whether anything changed, at the cost of two indexed reads."""
    counts = decisions.count_by_status(session, project_id)
    newest, checked = session.connection().execute(_PULSE, {"project": project_id}).one()
    return Pulse(newest or 0, ".".join(map(str, (newest or 0, checked or 0, *counts.values()))))


def list_patch_sources(session: Session, project_id: int, limit: int = 50) -> list[str]:
    """The patch sources that occur, found by leaping along the index."""
    found: list[str] = []
    while len(found) < limit:
        wanted = select(func.min(CandidateRow.patch_source)).where(col(CandidateRow.project_id) == project_id)
        if found:
            wanted = wanted.where(col(CandidateRow.patch_source) > found[-1])
        following = session.execute(wanted).scalar()
        if following is None:
            break
        found.append(following)
    return found


def find_next(session: Session, project_id: int, wanted: Filter, after_id: int, *, back: bool = False) -> int | None:
    """The candidate that follows (or goes before) in the queue; at the end the first one left, or None."""
    if wanted.status and wanted == Filter(status=wanted.status) and not back:
        named = {"project": project_id, "named": wanted.status, "after": after_id}
        found = session.connection().execute(_FOLLOWING, named).scalar()
        if found is not None:
            return int(found)
    newest = wanted.order == "newest"
    forward = newest == back
    where = conditions(session, project_id, wanted)
    number = _candidate.c.id
    order = number if forward else number.desc()
    beyond = number > after_id if forward else number < after_id
    found = session.connection().execute(select(number).where(*where, beyond).order_by(order).limit(1)).scalar()
    if found is None and not back:
        found = (
            session.connection()
            .execute(select(number).where(*where, number != after_id).order_by(order).limit(1))
            .scalar()
        )
    return found


# ------------------------------------------------------------------------------------------------ lease


@dataclass(frozen=True, slots=True)
class Lease:
    """A time-limited claim; `number` grows with each, so a late answer of an old one can be told."""

    candidate_id: int
    number: int
    until: datetime


def lease_next(session: Session, project_id: int, reviewer_id: int, wanted: Filter, *, now: datetime) -> Lease | None:
    """Claim the next pending candidate for 15 minutes, in one statement; None when nothing waits."""
    free = (
        col(CandidateRow.lease_until).is_(None)
        | (col(CandidateRow.lease_until) < now)
        | (col(CandidateRow.lease_by) == reviewer_id)
    )
    pending = replace(wanted, status=wanted.status or Status.PENDING)
    first = (
        select(col(CandidateRow.id))
        .where(*conditions(session, project_id, pending), free)
        .order_by(col(CandidateRow.id))
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    claimed = session.execute(
        update(CandidateRow)
        .where(col(CandidateRow.id) == first)
        .values(lease_by=reviewer_id, lease_until=now + LEASE, lease_number=CandidateRow.lease_number + 1)
        .returning(CandidateRow.id, CandidateRow.lease_number, CandidateRow.lease_until)  # type: ignore[call-overload]
        .execution_options(synchronize_session=False)
    ).first()
    return None if claimed is None else Lease(*claimed)
