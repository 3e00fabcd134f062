"""What `/api/v1/openapi.json` says: the routes for programs, what they take and give, and the shape of an error.

An answer may hold more keys than are described; those that are described stay.
"""

from dataclasses import fields
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from pydantic import BaseModel, ConfigDict
from starlette.routing import BaseRoute

from app.queue import Filter
from app.web import deps

# Programs that watch the server ask these two, and nothing else of what stands outside /api.
_HEALTH = frozenset({"/healthz", "/readyz"})
_REFUSED = "What was asked for cannot be done; the message says what, where, and what to do."
_FAILED = "The server cannot do it right now, and stored nothing; `Retry-After` says when to ask again."


class _Shape(BaseModel):
    model_config = ConfigDict(extra="allow")


class Report(_Shape):
    """What became of a log: `entries` = `new` + `repeated` + `quarantined`; or the `job` that goes on with it."""

    entries: int = 0
    new: int = 0
    repeated: int = 0
    quarantined: int = 0
    blank: int = 0
    candidates: int = 0
    job: int | None


class CandidateInList(_Shape):
    """A candidate as lists hold it."""

    id: int
    kind: str
    status: str
    version: int
    title: str
    digest: str
    group: str
    n_attempts: int
    n_parts: int
    findings: list[str]
    rating: int | None


class Candidates(_Shape):
    """One page of candidates; `after` is the cursor of the next one."""

    candidates: list[CandidateInList]
    after: str | None


class Decision(_Shape):
    """One reviewer's act on one version of a candidate."""

    id: int
    candidate: int
    candidate_version: int
    verdict: str
    key: str
    reasons: list[str]
    comment: str
    rating: int | None
    undoes: int | None
    decided_at: str
    digest: str


class Candidate(CandidateInList):
    """A candidate with its texts, its findings, where it comes from, and what was decided on it."""

    issue: str | None
    diff: str | None
    script: str | None
    hunks: list[dict[str, Any]]
    files: list[dict[str, Any]]
    findings_detail: list[dict[str, Any]]
    entry: dict[str, Any]
    parts: list[dict[str, Any]]
    history: list[dict[str, Any]]


class Lease(_Shape):
    """A claim on a candidate, with its number and its end."""

    number: int
    until: str


class Taken(_Shape):
    """The next candidate, and the claim on it."""

    candidate: Candidate
    lease: Lease


class Outcome(_Shape):
    """What came of an act; `repeated` where the same key had it already, and no decision where nothing was changed."""

    decision: Decision | None
    candidate: CandidateInList
    repeated: bool


class Draft(_Shape):
    """What somebody has typed about a version and not saved."""

    candidate: int
    version: int
    texts: dict[str, Any]
    saved_at: str


class Job(_Shape):
    """Long work: `queued`, `running`, `done`, `failed` or `cancelled`, and its result once it has one."""

    id: int
    kind: str
    state: str
    done: int
    total: int
    message: str


class BulkAct(_Shape):
    """How far many decisions that were made as one have come."""

    job: int
    state: str
    verdict: str
    found: int
    decided: int
    message: str


class Release(_Shape):
    """A numbered, immutable set of examples, or one in the making; `job` says where it stands."""

    number: int
    name: str
    state: str
    counts: dict[str, Any]
    job: int | None
    message: str


class Releases(_Shape):
    """One page of releases, the newest first; `before` is where the next one goes on."""

    releases: list[Release]
    before: int | None


class File(_Shape):
    """A file of a release."""

    path: str
    sha256: str
    bytes: int


class Files(_Shape):
    """The files of a release."""

    files: list[File]


class Project(_Shape):
    """A project's name, its settings and its files."""

    project: str
    settings: dict[str, Any]
    files: list[dict[str, Any]]


class Standing(_Shape):
    """Whether the server can work; `message` says why not."""

    status: str


def gives(model: type[BaseModel], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """What the description says of a route's answers: `responses=gives(Report, 200, 202)`; 200 where none is named."""
    return {status: {"model": model, "description": _first_line(model)} for status in statuses or (200,)}


def gives_bytes() -> dict[int | str, dict[str, Any]]:
    """What it says of a route that sends a file, which can be fetched in parts and is not sent twice."""
    whole: dict[str, Any] = {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
    said = {200: "The file.", 206: "A part of the file.", 304: "The caller has these bytes.", 416: "No such part."}
    return {status: {"description": said[status], **(whole if status in {200, 206} else {})} for status in said}


def nothing(status: int, why: str) -> dict[int | str, dict[str, Any]]:
    """An answer without a body: `nothing(204, "Nothing waits.")`."""
    return {status: {"description": why}}


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().partition("\n")[0]


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI description of an application's routes for programs."""
    routes = [one for one in iter_route_contexts(app.routes) if _is_for_programs(one)]
    said = get_openapi(title=app.title, version=app.version, routes=routes)
    schemas = said["components"]["schemas"]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas["Error"] = _ERROR
    for route in routes:
        for method in route.methods or ():
            # HEAD is not described: it is GET without the body.
            if told := said["paths"].get(route.path_format, {}).get(method.lower()):
                _complete(told, route.original_route)
    return said


def _is_for_programs(route: RouteContext) -> bool:
    path = route.path or ""
    return isinstance(route.original_route, APIRoute) and (path.startswith("/api/") or path in _HEALTH)


def _complete(told: dict[str, Any], route: BaseRoute) -> None:
    """What FastAPI cannot see: parameters that a filter reads, and this program's one shape of an error."""
    if isinstance(route, APIRoute) and _reads_a_filter(route.dependant):
        told.setdefault("parameters", []).extend(_FILTER)
    told["responses"].pop("422", None)
    told["responses"] |= {"4XX": _error(_REFUSED), "5XX": _error(_FAILED)}


def _reads_a_filter(dependant: Dependant) -> bool:
    return any(one.call is deps.read_filter or _reads_a_filter(one) for one in dependant.dependencies)


def _error(why: str) -> dict[str, Any]:
    return {"description": why, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}


_ERROR = {
    "type": "object",
    "title": "Error",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "where"],
            "properties": {
                "code": {"type": "string", "description": "A short name that programs can test."},
                "message": {"type": "string", "description": "A sentence: what, where, what to do."},
                "where": {"type": ["string", "null"], "description": "The field, file, line or byte."},
            },
        }
    },
}
_FILTER = [
    {"name": one.name, "in": "query", "required": False, "schema": {"type": "string", "default": ""}}
    for one in fields(Filter)
]
