"""The JSON twin of working side by side: who has which candidate, who is here, and what one sends to another."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from app import leases, review, turns
from app.errors import ConflictError
from app.web import rights
from app.web.api import JsonObject, OptionalObject, lease_json, read_as, takes
from app.web.deps import Db, Me, Now, Project
from app.web.render import as_json

router = APIRouter()


class LeaseIn(BaseModel):
    """Whether to take the candidate also from somebody who has it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    take_over: bool = False


class TurnIn(BaseModel):
    """Who shall look at a candidate, by name, and why, in a sentence."""

    model_config = ConfigDict(extra="forbid", strict=True)

    to: str
    sentence: str


def turn_json(turn: turns.Turn) -> dict[str, object]:
    """What was sent: `{"id": 3, "candidate": 12, "title": "Fix x", "from": "Ada", "to": "Bob", "sentence": "…", …}`."""
    return {
        "id": turn.number,
        "candidate": turn.candidate_id,
        "title": turn.title,
        "from": turn.sender,
        "to": turn.receiver,
        "sentence": turn.sentence,
        "sent_at": turn.sent_at,
        "done_at": turn.done_at,
        "verdict": turn.verdict or None,
        "answer": turn.is_answer,
    }


@router.post("/api/v1/candidates/{candidate_id}/lease", openapi_extra=takes(LeaseIn))
def post_lease(body: OptionalObject, session: Db, project: Project, me: Me, now: Now, candidate_id: int) -> Response:
    """Take this very candidate for 15 minutes, or renew that; 409 with the holder where another has it."""
    given = read_as(LeaseIn, body)
    lease = leases.hold(
        session, project, me, candidate_id, now=now, take_over=given.take_over, span=leases.LEASE
    )  # fmt: skip
    if lease.reviewer_id != me:
        raise ConflictError(
            f"{lease.name} has candidate {candidate_id}. Wait until they give it back, take another, or send "
            '{"take_over": true}.',
            where=f"candidate {candidate_id}",
            both={"lease": lease_json(lease)},
        )
    return as_json({"lease": lease_json(lease)})


@router.delete("/api/v1/candidates/{candidate_id}/lease", status_code=204, response_class=Response)
def delete_lease(session: Db, project: Project, me: Me, now: Now, candidate_id: int) -> Response:
    """Give a candidate back; what another has stays theirs."""
    review.get_candidate(session, project, candidate_id)
    leases.give_back(session, project, me, [candidate_id], now=now)
    return Response(status_code=204)


@router.get("/api/v1/presence")
def get_presence(session: Db, project: Project, now: Now) -> Response:
    """Who looks at what."""
    present = leases.list_present(session, project, now=now)
    shown = [{"by": one.name, "candidate": one.candidate_id, "title": one.title, "since": one.since} for one in present]
    return as_json({"present": shown})


@router.post("/api/v1/candidates/{candidate_id}/turns", openapi_extra=takes(TurnIn))
def post_turn(
    request: Request, body: JsonObject, session: Db, project: Project, me: Me, now: Now, candidate_id: int
) -> Response:
    """Send a candidate to a person; a second sentence takes the place of one that still waits."""
    given = read_as(TurnIn, body)
    row = review.get_candidate(session, project, candidate_id)
    sent = turns.send(session, row, me, given.to, given.sentence, now=now)
    rights.about(request, to=given.to)
    return as_json({"turn": turn_json(sent)})


@router.get("/api/v1/turns")
def get_turns(session: Db, project: Project, me: Me) -> Response:
    """What waits for the caller, what they sent and others have not done, and what came back and was not read."""
    found = {
        "waiting": turns.list_waiting(session, project, me),
        "sent": turns.list_sent(session, project, me, done=False),
        "back": turns.list_sent(session, project, me, done=True),
    }
    return as_json({name: [turn_json(one) for one in some] for name, some in found.items()})


@router.post("/api/v1/turns/{turn_id}/done")
def post_done(session: Db, project: Project, me: Me, now: Now, turn_id: int) -> Response:
    """Say done without a decision."""
    return as_json({"turn": turn_json(turns.say_done(session, project, me, turn_id, now=now))})


@router.post("/api/v1/turns/{turn_id}/read")
def post_read(session: Db, project: Project, me: Me, now: Now, turn_id: int) -> Response:
    """Put away what came back; what still waits with the other is taken back."""
    return as_json({"turn": turn_json(turns.read(session, project, me, turn_id, now=now))})
