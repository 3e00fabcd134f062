"""Working side by side: what an open page says of itself and hears of others, taking over, and sending to a person."""

from dataclasses import dataclass, replace

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import Session
from starlette.responses import Response

from app import leases, queue, review, turns
from app.web import beside
from app.web.api import JsonObject, read_as
from app.web.deps import AppDb, Db, Me, Now, Project
from app.web.forms import Form, Typed
from app.web.queue import link_query, wanted_of
from app.web.render import as_json, is_partial, page, see_other, url
from app.web.review_page import FIELDS, review_view
from app.web.rights import about

router = APIRouter()
_MOST_DEALT = 50


class VisitIn(BaseModel):
    """What an open page says of itself: its candidate and version, what it was given beforehand, what it `had`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    candidate: int
    version: int
    dealt: list[int] = Field(default_factory=list, max_length=_MOST_DEALT)
    take_over: bool = False
    had: bool = False


class LeaveIn(BaseModel):
    """What a page gives back; its candidate is None while it is only out of sight."""

    model_config = ConfigDict(extra="forbid", strict=True)

    candidate: int | None = None
    dealt: list[int] = Field(default_factory=list, max_length=_MOST_DEALT)


@dataclass(frozen=True)
class BesideView:
    """What the blocks `lease` and `turn` of `review.html` may read."""

    beside: beside.Beside | None
    query: dict[str, str]


@dataclass(frozen=True)
class HereView:
    """What the block `here` of `queue.html` may read."""

    here: beside.Here | None


# ------------------------------------------------------------------------------------------------ leases


@router.post("/queue/visit")
def visit(request: Request, body: JsonObject, db: AppDb, project: Project, me: Me, now: Now) -> Response:
    """What an open page says when it comes and once a minute: it is looked at; the answer is the block `lease`."""
    said, wanted = read_as(VisitIn, body), wanted_of(request)
    # Short, and in one thread: who decides on what is touched here waits, and everybody who decides waits for them.
    with db.write() as session:
        found = leases.visit(
            session, project, me, wanted, said.candidate, now=now, dealt=said.dealt, take_over=said.take_over
        )
    if not is_partial(request):
        return see_other(url(f"/candidates/{said.candidate}", **link_query(wanted)))
    with db.read() as session:
        queue.asks(session, me)
        row = review.get_candidate(session, project, said.candidate)
        shown = beside.of_visit(request, session, row, said.version, found, had=said.had)
    return page(request, "review.html", BesideView(shown, link_query(wanted)), fragment="lease")


@router.get("/queue/held")
def held(session: Db, project: Project, me: Me, now: Now, candidate: str) -> Response:
    """Whether somebody else has a candidate: what an open page asks every few seconds, and nothing is written for."""
    row = review.get_candidate(session, project, queue.whole_number("candidate", candidate))
    lease = leases.find_lease(session, row.id or 0, now=now)
    return as_json({"held": lease is not None and lease.reviewer_id != me})


@router.post("/queue/leave")
def leave(body: JsonObject, db: AppDb, project: Project, me: Me, now: Now) -> Response:
    """A page was left, or is out of sight: what it had is free."""
    said = read_as(LeaveIn, body)
    with db.write() as session:
        leases.leave(session, project, me, said.candidate, said.dealt, now=now)
    return Response(status_code=204)


@router.post("/queue/start")
def start(request: Request, db: AppDb, project: Project, me: Me, now: Now) -> Response:
    """Take the first candidate of the filter that nobody else has, and go to it."""
    wanted = wanted_of(request)
    with db.write() as session:
        lease = leases.take_next(session, project, me, wanted, now=now, patient=True)
    address = "/queue/done" if lease is None else f"/candidates/{lease.candidate_id}"
    return see_other(url(address, **link_query(wanted)))


@router.get("/queue/here")
def here(request: Request, session: Db) -> Response:
    """Who is on what, what waits for this person and what came back: what an open queue asks twice a minute."""
    if not is_partial(request):
        return see_other("/queue")
    return page(request, "queue.html", HereView(beside.of_queue(request, session)), fragment="here")


@router.post("/candidates/{candidate_id}/take")
def take(
    request: Request, fields: Form, session: Db, project: Project, me: Me, now: Now, candidate_id: int
) -> Response:
    """Take a candidate over from whoever has it; what was typed comes back with the page."""
    sent = fields.allow(FIELDS, {"reasons"})
    leases.hold(session, project, me, candidate_id, now=now, take_over=True, span=leases.LEASE)
    view = review_view(request, session, project, me, candidate_id, wanted_of(request))
    typed = Typed(sent.one("comment"), sent.one("rating"), sent.many("reasons"))
    view = replace(view, typed=typed, said=f"Taken over: #{candidate_id}")
    return page(request, "review.html", view, fragment="candidate")


# ------------------------------------------------------------------------------------------------ your turn


@router.post("/candidates/{candidate_id}/turns")
def send(
    request: Request, fields: Form, session: Db, project: Project, me: Me, now: Now, candidate_id: int
) -> Response:
    """Send a candidate to a person with a sentence."""
    sent = fields.allow({"to", "sentence"})
    row = review.get_candidate(session, project, candidate_id)
    turns.send(session, row, me, sent.one("to"), sent.one("sentence"), now=now)
    about(request, to=sent.one("to"))
    return _show(request, session, project, candidate_id)


@router.post("/turns/{turn_id}/done")
def done(request: Request, session: Db, project: Project, me: Me, now: Now, turn_id: int) -> Response:
    """Say done without a decision."""
    turn = turns.say_done(session, project, me, turn_id, now=now)
    return _show(request, session, project, turn.candidate_id)


@router.post("/turns/{turn_id}/read")
def read(request: Request, session: Db, project: Project, me: Me, now: Now, turn_id: int) -> Response:
    """Put away what came back, or take back what still waits."""
    turn = turns.read(session, project, me, turn_id, now=now)
    return _show(request, session, project, turn.candidate_id)


def _show(request: Request, session: Session, project: int, candidate_id: int) -> Response:
    """Where it was said: the block of the queue, or that of the candidate."""
    wanted = wanted_of(request)
    is_queue = request.headers.get("HX-Target", "").endswith("#here")
    if not is_partial(request):
        return see_other(url(f"/candidates/{candidate_id}", **link_query(wanted)))
    if is_queue:
        return page(request, "queue.html", HereView(beside.of_queue(request, session)), fragment="here")
    row = review.get_candidate(session, project, candidate_id)
    shown = beside.of_candidate(request, session, row)
    return page(request, "review.html", BesideView(shown, link_query(wanted)), fragment="turn")
