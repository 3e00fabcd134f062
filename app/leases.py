"""Who has which candidate: leases that are taken in one statement, run out, and are given back; and who looks at what.

A lease says whose turn it is, no more: what counts is decided by the candidate's version (docs/decisions/0036). So a
late decision counts where nobody else decided, and nothing has to be unlocked by hand.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, case, delete, exists, func, or_, select, text, update
from sqlmodel import Session, col

from app import gold, ordering, queue, turns
from app.db import LARGEST_ID
from app.errors import NotFoundError
from app.models import PresenceRow, ReviewerRow, Status, metadata
from app.queue import Filter

LEASE = timedelta(minutes=15)
"""How long a lease lasts that nobody renews: of a program, or of a page without JavaScript."""
LOOKED_AT = timedelta(minutes=5)
"""How long a lease lasts of a page that renews it every minute while it is looked at."""
GRACE = timedelta(seconds=10)
"""How long a page that is left keeps its candidate: it may only be loaded again, or opened in the editor."""
HAND = 3
"""How many candidates a page has beforehand, at most."""

_PRESENT = timedelta(minutes=2)
_STATUS_FIELDS = frozenset({"status", "view", "turn", "mine"})

_candidate, _reviewer, _presence = (metadata.tables[name] for name in ("candidate", "reviewer", "presence"))
_COLUMNS = (
    _candidate.c.id,
    _candidate.c.lease_number,
    _candidate.c.lease_by,
    func.coalesce(_reviewer.c.name, "somebody"),
    _candidate.c.lease_since,
    _candidate.c.lease_until,
)
# What every open page asks is built once: to build a statement costs more than to answer it.
_HELD = (
    select(*_COLUMNS)
    .outerjoin(_reviewer, _reviewer.c.id == _candidate.c.lease_by)
    .where(_candidate.c.id.in_(bindparam("ids", expanding=True)), _candidate.c.lease_until >= bindparam("now"))
)
_LOCKED = (
    select(_candidate.c.id)
    .where(_candidate.c.project_id == bindparam("project"), _candidate.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_candidate.c.id)
    # Whoever only refers to a row, as a finding and a decision do, need not wait: they may hold others by then.
    .with_for_update(key_share=True)
)
_N_PRESENT = select(func.count()).where(
    _presence.c.project_id == bindparam("project"), _presence.c.seen_at >= bindparam("fresh")
)
_LOOK = text(
    "INSERT INTO presence (reviewer_id, project_id, candidate_id, since, seen_at) "
    "VALUES (:reviewer, :project, :candidate, :now, :now) ON CONFLICT (reviewer_id, project_id) DO UPDATE SET "
    "since = CASE WHEN presence.candidate_id = excluded.candidate_id AND presence.seen_at > :fresh "
    "THEN presence.since ELSE excluded.since END, "
    "candidate_id = excluded.candidate_id, seen_at = excluded.seen_at"
).bindparams(
    bindparam("now", type_=_presence.c.seen_at.type), bindparam("fresh", type_=_presence.c.seen_at.type)
)  # fmt: skip


# ------------------------------------------------------------------------------------------------ shapes


@dataclass(frozen=True, slots=True)
class Lease:
    """A time-limited claim on one candidate.

    Attributes:
        candidate_id: on which.
        number: grows with each holder, so that what an earlier one sends late can be told.
        reviewer_id: who has it.
        name: theirs.
        since: when they took it.
        until: when it runs out, if it is not renewed.
    """

    candidate_id: int
    number: int
    reviewer_id: int
    name: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Presence:
    """Who looks at what: `Presence(2, "Ada", 12, "Fix the parser", since)`."""

    reviewer_id: int
    name: str
    candidate_id: int
    title: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Visit:
    """What a page is told: who has its candidate, what comes next with versions, and how many the filter finds."""

    lease: Lease
    ahead: list[tuple[int, int]]
    left: queue.Count


def is_shared(session: Session, project_id: int, reviewer_id: int) -> bool:
    """Whether anybody else reviews here; for one alone, leases would be work without a use."""
    return bool(turns.list_people(session, project_id, reviewer_id))


# ------------------------------------------------------------------------------------------------ take


def take_next(
    session: Session,
    project_id: int,
    reviewer_id: int,
    wanted: Filter,
    *,
    now: datetime,
    after: int = 0,
    span: timedelta = LEASE,
    patient: bool = False,
) -> Lease | None:
    """Take the next candidate of a filter that nobody else has, in one statement; what was sent to this person first.

    Args:
        session: to write to.
        project_id: whose queue.
        reviewer_id: who takes it. What they have already is found again.
        wanted: the filter; see `pending`.
        now: aware UTC.
        after: the candidate that was decided before; 0 for the beginning. From the end it goes on at the beginning.
        span: how long it lasts.
        patient: before saying that nothing waits, wait for what other transactions touch at this instant; for whoever
            holds no other locks.

    Returns:
        The lease, or None when nothing waits that is free.

    """
    promised = _take_gold(session, project_id, reviewer_id, wanted, after, now, span)
    if promised is not None:
        look(session, project_id, reviewer_id, promised, now=now)
        return find_lease(session, promised, now=now)
    for skips in [True, False] if patient else [True]:
        for where, along in _walk(session, project_id, reviewer_id, wanted, after, now):
            first = queue.first_of(where, along).limit(1).with_for_update(skip_locked=skips, key_share=True)
            if found := _take(session, reviewer_id, _candidate.c.id == first.scalar_subquery(), now, span):
                look(session, project_id, reviewer_id, found, now=now)
                return find_lease(session, found, now=now)
    return None


def hold(
    session: Session,
    project_id: int,
    reviewer_id: int,
    candidate_id: int,
    *,
    now: datetime,
    take_over: bool = False,
    span: timedelta = LOOKED_AT,
) -> Lease:
    """Take this very candidate, or renew the lease on it; the lease that stands, which may be another person's.

    Args:
        session: to write to.
        project_id: theirs.
        reviewer_id: who looks at it.
        candidate_id: what is looked at.
        now: aware UTC.
        take_over: take it also from somebody who has it.
        span: how long it lasts from now on.

    Raises:
        NotFoundError: no such candidate in this project.

    """
    this = (_candidate.c.id == candidate_id) & (_candidate.c.project_id == project_id)
    if not _lock(session, project_id, [candidate_id]):
        raise NotFoundError(f"There is no candidate {candidate_id} here.")
    _take(session, reviewer_id, this if take_over else this & _is_free(reviewer_id, now), now, span)
    look(session, project_id, reviewer_id, candidate_id, now=now)
    stands = find_lease(session, candidate_id, now=now)
    assert stands is not None  # noqa: S101  (it is locked, and was taken where it was free)
    return stands


def deal(
    session: Session, project_id: int, reviewer_id: int, wanted: Filter, after: int, *, n: int, now: datetime
) -> list[tuple[int, int]]:
    """Take what follows a candidate in the queue, to be fetched beforehand: `[(6, 1), (9, 3)]`, each with its version.

    What was sent to this person comes first. What another transaction touches at this instant is passed over.
    """
    promised = _take_gold(session, project_id, reviewer_id, wanted, after, now, LOOKED_AT)
    found: list[int] = [] if promised is None else [promised]
    for where, along in _walk(session, project_id, reviewer_id, wanted, after, now):
        if len(found) >= n:
            break
        others = [*where, _candidate.c.id.not_in([after, *found])]
        some = queue.first_of(others, along).limit(n - len(found)).with_for_update(skip_locked=True, key_share=True)
        found += _take_all(session, reviewer_id, some, along, now)
    versions = select(_candidate.c.id, _candidate.c.version).where(_candidate.c.id.in_(found))
    named = {row[0]: row[1] for row in session.connection().execute(versions)}
    return [(number, named[number]) for number in found]


def _take_gold(
    session: Session, project_id: int, reviewer_id: int, wanted: Filter, after: int, now: datetime, span: timedelta
) -> int | None:
    """The gold candidate that is mixed in here, taken; None where none is, or somebody else has it at this moment."""
    if wanted.status != Status.PENDING:
        return None
    found = gold.find_due(session, project_id, reviewer_id, after or gold.find_last(session, project_id, reviewer_id))
    if found is None or found == after:
        return None
    # Passed over where somebody is at it: who asks may hold others by then.
    free = select(_candidate.c.id).where(_candidate.c.id == found, _is_free(reviewer_id, now))
    this = free.with_for_update(skip_locked=True, key_share=True).scalar_subquery()
    return _take(session, reviewer_id, _candidate.c.id == this, now, span)


def _walk(
    session: Session, project_id: int, reviewer_id: int, wanted: Filter, after: int, now: datetime
) -> Iterator[tuple[list[ColumnElement[bool]], ordering.Range]]:
    """What is free, nearest first: what was sent to this person, what follows, and from the end round again."""
    queue.asks(session, reviewer_id)
    order = queue.order_of(wanted)
    after = gold.resume(session, project_id, reviewer_id, after)
    place = ordering.find_place(session, order, after) if after else None
    where = [*queue.conditions(session, project_id, wanted), _is_free(reviewer_id, now)]
    where += [_candidate.c.id != after] if after else []
    if turns.count_waiting(session, project_id, reviewer_id):
        # Also what another page only has beforehand: whom it was sent to is asked for.
        is_open = _is_free(reviewer_id, now) | _is_unseen()
        sent = [*queue.conditions(session, project_id, wanted), is_open, queue.is_sent_to(reviewer_id)]
        sent += [_candidate.c.id != after] if after else []
        yield from (([*sent, *along.where], along) for along in ordering.ranges(order))
    for begins in [place, None] if place else [None]:
        yield from (([*where, *along.where], along) for along in ordering.ranges(order, begins))


def visit(
    session: Session,
    project_id: int,
    reviewer_id: int,
    wanted: Filter,
    candidate_id: int,
    *,
    now: datetime,
    dealt: Sequence[int] = (),
    take_over: bool = False,
) -> Visit:
    """All that an open page says and asks, in one transaction: it is looked at, what comes next, who else is here.

    Args:
        session: to write to.
        project_id: theirs.
        reviewer_id: who looks at it.
        wanted: the filter that the page goes through.
        candidate_id: what is on the screen.
        now: aware UTC.
        dealt: what the page was given beforehand; what of it does not come next any more is given back.
        take_over: take the candidate also from somebody who has it.

    Raises:
        NotFoundError: no such candidate in this project.

    """
    queue.asks(session, reviewer_id)
    if dealt:
        _lock(session, project_id, [candidate_id, *dealt])
    lease = hold(session, project_id, reviewer_id, candidate_id, now=now, take_over=take_over)
    left = queue.count_candidates(session, project_id, wanted)
    present = {"project": project_id, "fresh": now - _PRESENT}
    n = share_of(left.n, session.connection().execute(_N_PRESENT, present).scalar_one())
    n = n if _is_open(session, project_id, reviewer_id, candidate_id) else 0
    ahead = deal(session, project_id, reviewer_id, wanted, candidate_id, n=n, now=now) if n else []
    give_back(session, project_id, reviewer_id, set(dealt) - {candidate_id, *(one for one, _ in ahead)}, now=now)
    return Visit(lease, ahead, left)


def _is_open(session: Session, project_id: int, reviewer_id: int, candidate_id: int) -> bool:
    """Whether a candidate waits for a decision as this person sees it: who looks at another needs none beforehand."""
    status = select(_candidate.c.status).where(_candidate.c.id == candidate_id)
    if session.connection().execute(status).scalar() in {Status.PENDING, Status.DISAGREED}:
        return True
    return candidate_id in gold.list_hidden(session, project_id, reviewer_id)


def share_of(n_left: int, n_present: int) -> int:
    """How many candidates one person may have beforehand: near the end of a queue none, so that nobody sits idle."""
    return max(0, min(HAND, n_left // (2 * max(1, n_present)) - 1))


def pending(wanted: Filter) -> Filter:
    """The filter of a queue: what waits for a decision, where it names no status itself."""
    if wanted.status or any(term.field in _STATUS_FIELDS for term in wanted.terms()):
        return wanted
    return replace(wanted, status=Status.PENDING)


def _is_free(reviewer_id: int, now: datetime) -> ColumnElement[bool]:
    lease = _candidate.c
    return lease.lease_by.is_(None) | (lease.lease_until < now) | (lease.lease_by == reviewer_id)


def _is_unseen() -> ColumnElement[bool]:
    """Who has it is not at it: it was only taken beforehand."""
    return ~exists().where(
        _presence.c.reviewer_id == _candidate.c.lease_by, _presence.c.candidate_id == _candidate.c.id
    )


def is_held(reviewer_id: int, now: datetime) -> ColumnElement[bool]:
    """Somebody else has it: a condition on candidates."""
    return (_candidate.c.lease_by != reviewer_id) & (_candidate.c.lease_until >= now)


def _values(reviewer_id: int, now: datetime, span: timedelta) -> dict[str, object]:
    """What taking writes: who has it already keeps number and beginning."""
    is_mine = (_candidate.c.lease_by == reviewer_id) & (_candidate.c.lease_until >= now)
    return {
        "lease_by": reviewer_id,
        "lease_until": now + span,
        "lease_since": case((is_mine, _candidate.c.lease_since), else_=now),
        "lease_number": case((is_mine, _candidate.c.lease_number), else_=_candidate.c.lease_number + 1),
    }


def _take(
    session: Session,
    reviewer_id: int,
    which: ColumnElement[bool],
    now: datetime,
    span: timedelta,
) -> int | None:
    taken = update(_candidate).where(which).values(_values(reviewer_id, now, span)).returning(_candidate.c.id)
    return session.connection().execute(taken).scalar()


def _take_all(session: Session, reviewer_id: int, some: Select[Any], along: ordering.Range, now: datetime) -> list[int]:
    # As a table of its own, which both databases make once: a subquery may be asked again for each row, and PostgreSQL
    # would then lock others than it takes.
    chosen = some.cte("chosen")
    taken = (
        update(_candidate)
        .where(_candidate.c.id.in_(select(chosen.c.id)))
        .values(_values(reviewer_id, now, LOOKED_AT))
        .returning(_candidate.c.id, *along.columns)
    )
    rows = session.connection().execute(taken).all()
    return [row[0] for row in sorted(rows, key=lambda row: _sorting(row[1:]), reverse=along.down)]


def _sorting(values: Sequence[Any]) -> tuple[tuple[bool, Any], ...]:
    return tuple((value is not None, value if value is not None else 0) for value in values)


# ------------------------------------------------------------------------------------------------ give back


def give_back(
    session: Session,
    project_id: int,
    reviewer_id: int,
    candidate_ids: Iterable[int],
    *,
    now: datetime,
    grace: timedelta = timedelta(),
) -> None:
    """End this person's leases on some candidates, at once or after a grace; those of others stay.

    One that runs out sooner than the grace still does.
    """
    numbers = list(candidate_ids)
    if not numbers:
        return
    _lock(session, project_id, numbers)
    mine: list[ColumnElement[bool]] = [
        _candidate.c.project_id == project_id,
        _candidate.c.id.in_(numbers),
        _candidate.c.lease_by == reviewer_id,
    ]
    given: dict[str, object] = {"lease_by": None, "lease_until": None, "lease_since": None}
    if grace:
        given = {"lease_until": now + grace}
        mine.append(_candidate.c.lease_until > now + grace)
    session.connection().execute(update(_candidate).where(*mine).values(given))


def leave(
    session: Session, project_id: int, reviewer_id: int, here: int | None, ahead: Iterable[int], *, now: datetime
) -> None:
    """A page was left, or is not looked at: what it has beforehand is free at once, its candidate after a grace."""
    before = list(ahead)
    _lock(session, project_id, before if here is None else [here, *before])
    give_back(session, project_id, reviewer_id, before, now=now)
    if here is not None:
        give_back(session, project_id, reviewer_id, [here], now=now, grace=GRACE)
        session.execute(
            delete(PresenceRow).where(
                col(PresenceRow.project_id) == project_id,
                col(PresenceRow.reviewer_id) == reviewer_id,
                col(PresenceRow.candidate_id) == here,
            )
        )


def _lock(session: Session, project_id: int, candidate_ids: Iterable[int]) -> list[int]:
    """Wait for these rows, in the order in which everything that changes several of them does; gives those there are.

    Not with `skip_locked`: whoever looked at a row for a moment and passed it over has it locked until its transaction
    ends, and what is given back at that moment would not be.
    """
    named = {"project": project_id, "ids": [number for number in candidate_ids if number <= LARGEST_ID]}
    return list(session.connection().execute(_LOCKED, named).scalars())


# ------------------------------------------------------------------------------------------------ who has what


def find_lease(session: Session, candidate_id: int, *, now: datetime) -> Lease | None:
    """Who has a candidate now, or None where it is free."""
    return list_leases(session, [candidate_id], now=now).get(candidate_id)


def list_leases(session: Session, candidate_ids: Iterable[int], *, now: datetime) -> dict[int, Lease]:
    """Who has which of these candidates; those that are free are not in it."""
    found = session.connection().execute(_HELD, {"ids": list(candidate_ids), "now": now})
    return {row[0]: Lease(*row) for row in found}


def list_held(
    session: Session, project_id: int, reviewer_id: int, wanted: Filter, *, now: datetime, limit: int = 10
) -> list[Lease]:
    """What a filter would find if others did not have it."""
    where = [*queue.conditions(session, project_id, wanted), is_held(reviewer_id, now)]
    found = select(*_COLUMNS).outerjoin(_reviewer, _reviewer.c.id == _candidate.c.lease_by).where(*where)
    return [Lease(*row) for row in session.connection().execute(found.order_by(_candidate.c.id).limit(limit))]


def look(session: Session, project_id: int, reviewer_id: int, candidate_id: int, *, now: datetime) -> None:
    """Remember that a person looks at a candidate now."""
    named = {"project": project_id, "reviewer": reviewer_id, "candidate": candidate_id}
    session.connection().execute(_LOOK, named | {"now": now, "fresh": now - LOOKED_AT})


def list_present(
    session: Session, project_id: int, *, now: datetime, candidate_id: int | None = None
) -> list[Presence]:
    """Who looks at what, or who looks at one candidate, by name: seen within two minutes, or has a lease on it."""
    is_kept = (_candidate.c.lease_by == col(PresenceRow.reviewer_id)) & (_candidate.c.lease_until >= now)
    found = (
        select(  # type: ignore[call-overload]
            PresenceRow.reviewer_id, ReviewerRow.name, PresenceRow.candidate_id, _candidate.c.title, PresenceRow.since
        )
        .join(ReviewerRow, col(ReviewerRow.id) == col(PresenceRow.reviewer_id))
        .join(_candidate, _candidate.c.id == col(PresenceRow.candidate_id))
        .where(
            col(PresenceRow.project_id) == project_id,
            or_(col(PresenceRow.seen_at) >= now - _PRESENT, is_kept),
            *([] if candidate_id is None else [col(PresenceRow.candidate_id) == candidate_id]),
        )
        .order_by(col(ReviewerRow.name))
    )
    return [Presence(*row) for row in session.execute(found)]
