"""Who else is here: what the queue and the review page show of others, where several people review."""

import json
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request
from sqlalchemy import ColumnElement
from sqlmodel import Session

from app import asking, decisions, guidelines, leases, queue, turns
from app.accounts import Person
from app.leases import Lease, Presence, Visit
from app.models import CandidateRow, Role
from app.queue import Filter
from app.turns import Turn
from app.web.deps import instant


@dataclass(frozen=True)
class Beside:
    """What the blocks `lease` and `turn` of `review.html` may read; without it, one person reviews alone.

    Attributes:
        candidate: its number.
        version: the one that is on the page.
        holder: who has it, where that is somebody else.
        also: names of the others who look at it.
        changed: what somebody else made of it since it was put on the page, or empty.
        ahead: what the page has beforehand, as JSON.
        left: how many the filter finds; -1 where nobody counted.
        capped: whether counting stopped.
        waiting: what was sent to this person about it.
        n_waiting: how much more waits for this person, on other candidates.
        sent: what this person sent about it, and waits.
        people: whom it can be sent to.
        now: when this was asked.
        is_lost: whether who has it took it from this person.
        is_blind: whether several people judge it, each for themselves.
        guideline: the version of the guideline that stands.
    """

    candidate: int
    version: int
    holder: Lease | None
    also: list[str]
    changed: str
    ahead: str
    left: int
    capped: bool
    waiting: list[Turn]
    n_waiting: int
    sent: list[Turn]
    people: list[str]
    now: datetime
    is_lost: bool
    is_blind: bool
    guideline: int


@dataclass(frozen=True)
class Here:
    """What the block `here` of `queue.html` may read: who is on what, what waits for this person, what came back."""

    me: int
    present: list[Presence]
    waiting: list[Turn]
    back: list[Turn]


def person_of(request: Request) -> Person:
    """Who asks."""
    person: Person = request.state.person
    return person


def is_beside(request: Request, session: Session) -> bool:
    """Whether others review here too, and this person reviews at all."""
    me = person_of(request)
    return me.may(Role.REVIEWER, "review") and leases.is_shared(session, me.project_id, me.reviewer_id)


def but_held(request: Request, session: Session) -> ColumnElement[bool] | None:
    """What this person's way through the queue passes over: what others have."""
    return leases.is_held(person_of(request).reviewer_id, instant()) if is_beside(request, session) else None


def find_next(request: Request, session: Session, wanted: Filter, number: int) -> int | None:
    """What comes after a candidate that was decided; where several people review, it is this person's from now on."""
    me = person_of(request)
    if not is_beside(request, session):
        return queue.find_next(session, me.project_id, wanted, number)
    lease = leases.take_next(session, me.project_id, me.reviewer_id, wanted, now=instant(), after=number)
    return None if lease is None else lease.candidate_id


def of_candidate(request: Request, session: Session, row: CandidateRow) -> Beside | None:
    """What the page of a candidate says of others."""
    if not is_beside(request, session):
        return None
    me, now, number = person_of(request), instant(), row.id or 0
    lease = leases.find_lease(session, number, now=now)
    present = leases.list_present(session, me.project_id, now=now, candidate_id=number)
    others = [one.name for one in present if one.reviewer_id != me.reviewer_id]
    return Beside(
        candidate=number,
        version=row.version,
        holder=None if lease is None or lease.reviewer_id == me.reviewer_id else lease,
        also=others,
        changed="",
        ahead="[]",
        left=-1,
        capped=False,
        waiting=turns.list_waiting(session, me.project_id, me.reviewer_id, number),
        n_waiting=turns.count_waiting(session, me.project_id, me.reviewer_id, but=number),
        sent=turns.list_sent(session, me.project_id, me.reviewer_id, number, done=False),
        people=turns.list_people(session, me.project_id, me.reviewer_id),
        now=now,
        is_lost=False,
        is_blind=asking.is_blind(session, row),
        guideline=guidelines.get_standing(session, me.project_id),
    )


def of_visit(
    request: Request, session: Session, row: CandidateRow, seen: int, visit: Visit, *, had: bool = False
) -> Beside:
    """What an open page is told once a minute, the block `lease` alone; `had` says that it had the candidate before."""
    me, number = person_of(request), row.id or 0
    now = instant()
    present = leases.list_present(session, me.project_id, now=now, candidate_id=number)
    return Beside(
        candidate=number,
        version=seen,
        holder=None if visit.lease.reviewer_id == me.reviewer_id else visit.lease,
        also=[one.name for one in present if one.reviewer_id != me.reviewer_id],
        changed="" if seen == row.version else _changed(session, row, me.reviewer_id),
        ahead=json.dumps(visit.ahead),
        left=visit.left.n,
        capped=visit.left.capped,
        waiting=[],
        n_waiting=turns.count_waiting(session, me.project_id, me.reviewer_id, but=number),
        sent=[],
        people=[],
        now=now,
        is_lost=had and visit.lease.reviewer_id != me.reviewer_id,
        is_blind=asking.is_blind(session, row),
        guideline=guidelines.get_standing(session, me.project_id),
    )


def _changed(session: Session, row: CandidateRow, me: int) -> str:
    history = [] if asking.is_hidden(session, row, me) else decisions.list_history(session, row.id or 0)
    # What this person did in another tab, or has taken back a moment ago, is no news.
    if not history or history[-1][0].reviewer_id == me:
        return ""
    last, who, _ = history[-1]
    return f"{who} decided on it while you looked ({last.verdict}): it is version {row.version} and {row.status} now."


def of_queue(request: Request, session: Session) -> Here | None:
    """What the page of the queue says of others."""
    if not is_beside(request, session):
        return None
    me = person_of(request)
    return Here(
        me=me.reviewer_id,
        present=leases.list_present(session, me.project_id, now=instant()),
        waiting=turns.list_waiting(session, me.project_id, me.reviewer_id),
        back=turns.list_sent(session, me.project_id, me.reviewer_id, done=True),
    )


def list_held(request: Request, session: Session, wanted: Filter) -> list[Lease]:
    """What a filter would find if others did not have it."""
    me = person_of(request)
    return leases.list_held(session, me.project_id, me.reviewer_id, wanted, now=instant())
