"""In which order a list stands: what each order goes by, where a page begins, and what follows.

Every order is a walk along an index of its own, cut into ranges (`ranges`), so that a page costs the same wherever it
lies. What has no value yet, or none at all, stands at the end in order of arrival (docs/decisions/0030).
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, func, literal_column, select, update
from sqlmodel import Session

from app.candidates import Attempt, Candidate, Finding, Run, Validity
from app.checks import weight
from app.db import LARGEST_ID
from app.errors import BadInputError
from app.models import CandidateRow, Status, metadata

_candidate = metadata.tables["candidate"]
_number = _candidate.c.id

_issue_group = metadata.tables["issue_group"]
_GROUPS = (
    select(_number, func.coalesce(_issue_group.c.group_key, _candidate.c.group_digest))
    .outerjoin(
        _issue_group,
        (_issue_group.c.project_id == _candidate.c.project_id) & (_issue_group.c.issue == _candidate.c.group_digest),
    )
    .where(_number.in_(bindparam("ids", expanding=True)))
)
_KEEP = (
    update(_candidate)
    .where(_number == bindparam("candidate"))
    .values(
        {
            "n_changed": _candidate.c.n_added + _candidate.c.n_removed,
            **{
                name: bindparam(f"new_{name}")
                for name in ("validity", "n_valid", "score", "score_direction", "mildness", "alike")
            },
        }
    )
)
# By the index of the order, for there is none by issue.
_REGROUP = (
    update(_candidate)
    .where(
        _candidate.c.project_id == bindparam("project"),
        _candidate.c.status.in_([literal_column(f"'{status}'") for status in Status]),
        _candidate.c.alike == bindparam("before"),
        _candidate.c.group_digest == bindparam("issue"),
    )
    .values(alike=bindparam("after"))
)
# Beforehand, for that index is not the order in which everybody else waits for several.
_TO_REGROUP = (
    "SELECT id FROM candidate WHERE project_id = %s AND status = ANY(%s) AND alike = ANY(%s) "
    "AND group_digest = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
)

OLDEST = "oldest"


@dataclass(frozen=True, slots=True)
class Order:
    """One order of a list.

    Attributes:
        name: its word in an address: `gravest`.
        label: in words, for people.
        column: what it goes by; None for the order of arrival.
        falling: from the largest value down; those with one value stand in the same sense by number.
        other: the opposite order, or its own name where there is none.
        is_whole: whether its values are whole numbers.
    """

    name: str
    label: str
    column: str | None
    falling: bool
    other: str
    is_whole: bool = True


ORDERS: Mapping[str, Order] = {
    one.name: one
    for one in (
        Order(OLDEST, "first come, first shown", None, falling=False, other="newest"),
        Order("newest", "newest first", None, falling=True, other=OLDEST),
        Order("gravest", "gravest findings first", "mildness", falling=False, other="mildest"),
        Order("mildest", "mildest findings first", "mildness", falling=True, other="gravest"),
        Order("lowest", "lowest score first", "score", falling=False, other="highest", is_whole=False),
        Order("highest", "highest score first", "score", falling=True, other="lowest", is_whole=False),
        Order("smallest", "smallest change first", "n_changed", falling=False, other="largest"),
        Order("largest", "largest change first", "n_changed", falling=True, other="smallest"),
        Order("alike", "alike together", "alike", falling=False, other="alike"),
    )
}
"""By name, as a filter's `order` may say them; empty stands for the oldest first."""


# ------------------------------------------------------------------------------------------------ places


class Place(NamedTuple):
    """Where a candidate stands in an order: its value, None where it has none, and its number."""

    value: float | None
    number: int


def read_place(order: Order, cursor: str) -> Place:
    """The place that a page's address says: `"17"`, `"0.42_17"`, or `"_17"` for one without a value.

    Raises:
        BadInputError: it is none of this order.

    """
    value, parted, number = cursor.rpartition("_")
    try:
        at = None if not value else int(value) if order.is_whole else float(value)
        is_place = (
            bool(parted) == (order.column is not None)
            and (at is None or (math.isfinite(at) and abs(at) < 2**63))
            and cursor.isascii()
            and number.isdigit()
            and len(number) <= len(str(LARGEST_ID))
            and int(number) <= LARGEST_ID
        )
    except ValueError:
        at, is_place = None, False
    if not is_place:
        wanted = "whole number" if order.column is None else f"place in the order {order.name}"
        raise BadInputError(f"after must be a {wanted}; it is {cursor[:40]!r}.", where="field after")
    return Place(at, int(number))


def write_place(order: Order, row: CandidateRow) -> str:
    """The cursor that says where a candidate stands: what `read_place` reads."""
    if order.column is None:
        return str(row.id)
    value = getattr(row, order.column)
    return f"{'' if value is None else repr(value)}_{row.id}"


def find_place(session: Session, order: Order, candidate_id: int) -> Place | None:
    """Where a candidate stands, or None where there is no such candidate."""
    if order.column is None:
        return Place(None, candidate_id)
    wanted = select(_candidate.c[order.column]).where(_number == candidate_id)
    found = session.connection().execute(wanted).first()
    return None if found is None else Place(found[0], candidate_id)


# ------------------------------------------------------------------------------------------------ ranges


class Range(NamedTuple):
    """A part of an order that is one range of its index: what it holds, what it is sorted by, and which way."""

    where: tuple[ColumnElement[bool], ...]
    columns: tuple[ColumnElement[Any], ...]
    down: bool


def ranges(order: Order, place: Place | None = None, *, back: bool = False) -> Iterator[Range]:
    """What stands behind a place, or before it with `back`, nearest first; without a place all of it."""
    down = order.falling != back
    if order.column is None:
        yield Range(_beyond(place, down=down), (_number,), down)
        return
    value = _candidate.c[order.column]
    valued = Range((value.is_not(None),), (value, _number), down)
    none = Range((value.is_(None),), (value, _number), back)
    if place is None:
        yield from (none, valued) if back else (valued, none)
    elif place.value is None:
        yield none._replace(where=(*none.where, *_beyond(place, down=back)))
        if back:
            yield valued
    else:
        # Two ranges and no pair of values: SQLite would go through all that have this value.
        yield valued._replace(where=(value == place.value, *_beyond(place, down=down)))
        yield valued._replace(where=(value < place.value if down else value > place.value,))
        if not back:
            yield none


def _beyond(place: Place | None, *, down: bool) -> tuple[ColumnElement[bool], ...]:
    if place is None:
        return ()
    return (_number < place.number if down else _number > place.number,)


# ------------------------------------------------------------------------------------------------ what is ordered by


def keep(session: Session, made: Sequence[tuple[int, Candidate, Iterable[Finding]]]) -> None:
    """Write what the whole evidence says of some candidates into the columns that lists filter and order by.

    Args:
        session: the transaction.
        made: each candidate's id, its whole story, and the findings about it.

    """
    found = session.connection().execute(_GROUPS, {"ids": [number for number, _, _ in made]})
    groups = {number: bytes(key) for number, key in found}
    told = [
        {"candidate": number, **_columns(said, findings), "new_alike": alike_of(groups[number])}
        for number, said, findings in made
        if number in groups
    ]
    if told:
        session.connection().execute(_KEEP, told)


def regroup(session: Session, project_id: int, moves: Iterable[tuple[bytes, bytes, bytes]]) -> None:
    """Let candidates stand beside those that they are grouped with from now on; once in a transaction, for its locks.

    Args:
        session: the transaction.
        project_id: theirs.
        moves: issue, the group that it was in, the group that it is in; in the order in which it moved.

    """
    told: list[dict[str, Any]] = [
        {"project": project_id, "issue": issue, "before": alike_of(before), "after": alike_of(after)}
        for issue, before, after in moves
        if before != after
    ]
    if told:
        if session.get_bind().dialect.name == "postgresql":
            befores, issues = [one["before"] for one in told], [one["issue"] for one in told]
            named = (project_id, [str(status) for status in Status], befores, issues)
            session.connection().exec_driver_sql(_TO_REGROUP, named)
        session.connection().execute(_REGROUP, told)


def alike_of(group: bytes) -> int:
    """What candidates of one group share in the order `alike`, from the group's key."""
    return int.from_bytes(hashlib.sha256(group).digest()[:8]) >> 1


def _columns(said: Candidate, findings: Iterable[Finding]) -> dict[str, object]:
    run = said.run
    attempts = _of_script(run, said.script) if run else []
    score = _score(attempts)
    return {
        "new_validity": _validity(attempts),
        "new_n_valid": sum(one.validity is Validity.VALID for one in run.attempts) if run else 0,
        "new_score": score,
        "new_score_direction": str(run.direction) if run and score is not None else "",
        "new_mildness": -_weight(findings),
    }


def _weight(findings: Iterable[Finding]) -> int:
    """How grave findings are together; one of a code says as much as fifty."""
    return sum({one.code: weight(one.code, one.severity) for one in findings}.values())


def _of_script(run: Run, script: str | None) -> Sequence[Attempt]:
    """The attempts that tried the script; all of the run where none did, for then its end is all that is known."""
    same = [one for one in run.attempts if script and one.script and one.script.rstrip("\n") == script.rstrip("\n")]
    return same or run.attempts


def _validity(attempts: Sequence[Attempt]) -> str:
    if any(one.validity is Validity.VALID for one in attempts):
        return Validity.VALID
    return attempts[-1].validity if attempts else ""


def _score(attempts: Sequence[Attempt]) -> float | None:
    # A copied score is none, and one that the agent forced says nothing of the script.
    return next((one.score for one in reversed(attempts) if one.score is not None and not one.placeholder), None)
