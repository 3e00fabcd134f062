"""The JSON twin of many decisions as one, and of the clusters of near-duplicates."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import Session
from starlette.responses import Response

from app import bulk, clusters, review
from app.models import JobState
from app.queue import Filter
from app.web import description
from app.web.api import JsonObject, read_as, takes
from app.web.deps import AppDb, Db, Me, Now, Project
from app.web.render import as_json
from app.web.rights import about

router = APIRouter()
_MOST = 500


class BulkIn(BaseModel):
    """What is decided of everything that a filter finds; `count` is how many the caller takes that to be."""

    model_config = ConfigDict(extra="forbid", strict=True)

    filter: dict[str, str]
    verdict: str
    count: int
    key: str
    reasons: list[str] = Field(default_factory=list, max_length=20)
    comment: str = ""


@router.post(
    "/api/v1/bulk",
    openapi_extra=takes(BulkIn),
    responses=description.gives(description.BulkAct, 200, 202),
)
def post_bulk(request: Request, body: JsonObject, db: AppDb, project: Project, me: Me, now: Now) -> Response:
    """Decide everything that a filter finds; 202 while a job goes on with it, the same key gets the same act."""
    given = read_as(BulkIn, body)
    asked = bulk.Ask(
        verdict=review.parse_verdict(given.verdict),
        count=str(given.count),
        key=given.key,
        reasons=tuple(given.reasons),
        comment=given.comment,
    )
    job = bulk.order(db, project, me, asked, Filter.parse(given.filter, also=()), now=now)
    about(request, verdict=asked.verdict, job=job.id)
    with db.read() as session:
        return _answer(session, project, job.id or 0)


@router.get("/api/v1/bulk/{job_id}", responses=description.gives(description.BulkAct, 200, 202))
def get_bulk(session: Db, project: Project, job_id: int) -> Response:
    """What came of a bulk act: how many were decided, left out and taken back."""
    return _answer(session, project, job_id)


@router.get("/api/v1/clusters")
def get_clusters(
    session: Db, project: Project, after: str = "", limit: Annotated[int, Query(ge=1, le=_MOST)] = 50
) -> Response:
    """One page of clusters of near-duplicates, the largest first; their candidates: `/candidates?q=like:ID`."""
    page = clusters.list_clusters(session, project, after=after, limit=limit)
    return as_json({"clusters": [asdict(one) for one in page.clusters], "after": page.after})


def _answer(session: Session, project: int, job_id: int) -> Response:
    act = bulk.get_act(session, project, job_id)
    running = act.job.state in {JobState.QUEUED, JobState.RUNNING}
    found = {
        "job": act.job.id,
        "state": act.job.state,
        "verdict": act.job.args["verdict"],
        "found": act.job.args["n"],
        "decided": act.decided,
        "left_out": dict(act.left),
        "taken_back": act.taken_back,
        "message": act.job.message,
    }
    return as_json(found, 202 if running else 200)
