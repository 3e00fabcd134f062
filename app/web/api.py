"""The JSON twin: the same domain functions as the pages, under `/api/v1`, described at `/api/v1/openapi.json`."""

import logging
import secrets
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlmodel import Session
from starlette.responses import Response

from app import bulk, deliveries, drafts, editing, ingest, jobs, leases, migrations, outlook, queue, releases, review
from app.candidates import Finding, Run
from app.db import is_out_of_room, is_reachable
from app.diffs.edit import normalise_edit
from app.errors import BadInputError, NotFoundError, UnsupportedError
from app.evidence import Part
from app.formats.lines import HeldError, parse_line
from app.models import CandidateRow, DecisionRow, DraftRow, JobRow
from app.web import description, rights
from app.web.deps import AppDb, Body, Config, Db, Me, Now, Project, Who
from app.web.deps import Query as FilterQuery
from app.web.render import as_json

router = APIRouter()
log = logging.getLogger("patchsift.web")
_MOST = 500

Model = TypeVar("Model", bound=BaseModel)


# ------------------------------------------------------------------------------------------------ shapes


def candidate_json(row: CandidateRow, lease: leases.Lease | None = None) -> dict[str, object]:
    """A candidate in a list: `{"id": 7, "kind": "patch", "status": "pending", "version": 1, "title": "Fix x", …}`."""
    return {
        "id": row.id,
        "kind": row.kind,
        "status": row.status,
        "version": row.version,
        "title": row.title,
        "digest": bytes(row.digest).hex(),
        "group": bytes(row.group_digest).hex(),
        "n_attempts": row.n_attempts,
        "n_parts": row.n_parts,
        "findings": row.findings.split(),
        "checked": row.checks_version > 0,
        "target": row.target,
        "generation": row.generation,
        "patch_source": row.patch_source,
        "rating": row.rating,
        "logged_at": row.logged_at,
        "n_added": row.n_added,
        "n_removed": row.n_removed,
        "has_script": row.has_script,
        "agreement": row.agreement or None,
        "n_opinions": row.n_opinions,
        "lease": None if lease is None else lease_json(lease),
    }


def lease_json(lease: leases.Lease) -> dict[str, object]:
    """Who has a candidate: `{"number": 3, "by": "Ada", "since": "…", "until": "…"}`."""
    return {"number": lease.number, "by": lease.name, "since": lease.since, "until": lease.until}


def _finding_json(found: Finding) -> dict[str, object]:
    return {"code": found.code, "severity": found.severity, "place": found.place, "message": found.message}


def _opened_json(session: Session, opened: review.Opened, now: datetime) -> dict[str, object]:
    said, entry = opened.said, opened.entry
    hunks = editing.hunks_of(said, opened.stands)
    return candidate_json(opened.row, leases.find_lease(session, opened.row.id or 0, now=now)) | {
        "findings": list(dict.fromkeys(found.code for found in opened.findings)),
        "findings_detail": [_finding_json(found) for found in opened.findings],
        "issue": said.issue,
        "issue_id": said.issue_id,
        "target_files": said.target_files,
        "operations": said.operations,
        "diff": said.diff,
        "hunks": [
            {"path": one.path, "start": one.start, "text": one.original, "dropped": one.dropped} for one in hunks
        ],
        "files": [{"path": one.path, "text": one.now} for one in editing.files_of(said, opened.stands)],
        "script": said.script,
        "script_hash": said.script_hash,
        "predicted_core": said.predicted_core,
        "entry": {
            "source": opened.source_name,
            "source_id": entry.source_id,
            "line": entry.line,
            "offset_bytes": entry.offset_bytes,
            "digest": bytes(entry.digest).hex(),
        },
        "texts": said.texts,
        "found_in": said.found_in,
        "run": None if said.run is None else _run_json(said.run),
        "patch_set": None if said.patch_set is None else asdict(said.patch_set),
        "spec": None if said.spec is None else asdict(said.spec),
        "refine": None if said.refine is None else asdict(said.refine),
        "unify": None if said.unify is None else asdict(said.unify),
        "parts": [_part_json(part) for part in opened.parts],
        "joined_with": opened.lead,
        # A first version is one that nobody has decided on.
        "releases": releases.list_holding(session, opened.row.id or 0) if opened.history else [],
        "blind": opened.is_blind,
        "history": [
            decision_json(decision)
            | {"reviewer": name, "edited": None if revision is None else {revision.field: revision.text}}
            for decision, name, revision in opened.history
        ],
    }


def _run_json(run: Run) -> dict[str, object]:
    return asdict(run) | {"phase": dict(run.phase), "prompts": dict(run.prompts)}


def _part_json(part: Part) -> dict[str, object]:
    return {
        "candidate": part.unit,
        "form": part.form,
        "source": part.name,
        "source_id": part.entry.source_id,
        "line": part.entry.line,
        "offset_bytes": part.entry.offset_bytes,
        "digest": bytes(part.entry.digest).hex(),
        "reason": part.reason,
        "confidence": part.confidence,
    }


def decision_json(decision: DecisionRow) -> dict[str, object]:
    """A decision: `{"id": 3, "verdict": "accept", "reasons": [], "comment": "", "rating": null, …}`."""
    return {
        "id": decision.id,
        "candidate": decision.candidate_id,
        "candidate_version": decision.candidate_version,
        "verdict": decision.verdict,
        "key": decision.key,
        "reasons": decision.reasons,
        "comment": decision.comment,
        "rating": decision.rating,
        "n_seen": decision.n_seen,
        "n_hunks": decision.n_hunks,
        "spent_ms": decision.spent_ms,
        "undoes": decision.undoes_id,
        "other": decision.other_id,
        "bulk": decision.bulk,
        "guideline": decision.guideline,
        "asked": decision.asked,
        "decided_at": decision.decided_at,
        "digest": bytes(decision.digest).hex(),
    }


def job_json(job: JobRow) -> dict[str, object]:
    """A job: `{"id": 9, "state": "running", "done": 3, "total": 10, "message": "", …}`, with its result merged in.

    One that freezes a release names it from the start: `{…, "release": 3}`.
    """
    asked = {"release": job.args["release"]} if job.kind == releases.JOB_KIND else {}
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "done": job.done,
        "total": job.total,
        "message": job.message,
        **asked,
        **(job.result or {}),
    }


# ------------------------------------------------------------------------------------------------ bodies


class DecisionIn(BaseModel):
    """One act; every other field is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    verdict: str
    version: int
    key: str
    reasons: list[str] = Field(default_factory=list, max_length=20)
    comment: str = ""
    rating: int | None = None
    edited: dict[str, str | list[str | None] | dict[str, str]] | None = None
    n_seen: int | None = None
    n_hunks: int | None = None
    spent_ms: int | None = None
    lease: int | None = None
    guideline: int | None = None


class DraftIn(BaseModel):
    r"""What was typed about one version, by field: `{"diff": ["a = 1\n"], "dropped": [], "comment": "so far"}`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: int
    texts: dict[str, str | list[str] | list[int] | dict[str, str]]


class UndoIn(BaseModel):
    """An undo; the key is made here when the client has none. `of` names the decision by its key, else the last one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key: str = Field(default_factory=lambda: secrets.token_hex(16))
    of: str = ""


class OfTwoIn(BaseModel):
    """What belongs together, or does not: another candidate, or a part of this one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    other: int
    version: int
    key: str


class ExportIn(BaseModel):
    """Which dataset to build."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: str = "llm"
    task: str = "scaffold"
    objective: str = "sft"
    format: str = "prompt-completion"
    filter: dict[str, str] = Field(default_factory=dict)
    seed: int = 0


async def _json_object(request: Request) -> dict[str, object]:
    """The body as a JSON object, read as strictly as a log line: no NaN, no doubled key, no ten thousand levels."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedError(f"Send JSON with Content-Type: application/json; this says {kind or 'nothing'!r}.")
    try:
        return parse_line(b" ".join((await request.body()).split(b"\n")), first=True) or {}
    except HeldError as error:
        raise BadInputError(error.message, where="body", code=error.code) from error


async def _optional_object(request: Request) -> dict[str, object]:
    return await _json_object(request) if await request.body() else {}


# Ask for a body before the session: a slow sender must not hold the write lock.
JsonObject = Annotated[dict[str, object], Depends(_json_object)]
OptionalObject = Annotated[dict[str, object], Depends(_optional_object)]


def read_as(model: type[Model], body: dict[str, object]) -> Model:
    """A body as what a route takes: `read_as(UndoIn, {"key": "k1"})`.

    Raises:
        BadInputError: a field that is missing, of another type, or not known; says which.

    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BadInputError(f"{field}: {first['msg']}.", where=f"field {field}") from error


def takes(model: type[BaseModel], *, optional: bool = False) -> dict[str, object]:
    """What the description of the API says of a route's body; an `optional` one may be left out."""
    schema = model.model_json_schema()
    return {"requestBody": {"content": {"application/json": {"schema": schema}}, "required": not optional}}


# ------------------------------------------------------------------------------------------------ routes


@router.post(
    "/api/v1/ingest",
    openapi_extra={"requestBody": {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}},
    responses=description.gives(description.Report, 200, 202),
)
def post_ingest(
    request: Request,
    db: AppDb,
    config: Config,
    project: Project,
    body: Body,
    name: str = "upload.jsonl",
    format: str = "",
) -> Response:
    """Take in one log, plain or gzip, or an archive of many: the body is its bytes. Answers the report."""
    sent = ingest.Upload(body, name, origin="push", format=deliveries.check_format(format))
    rights.about(request, files=ingest.shown_name(name))
    report = deliveries.receive(db, config, project, [sent], now=lambda: datetime.now(UTC))
    return as_json(report.as_json(), 202 if report.job else 200)


@router.get("/api/v1/candidates", responses=description.gives(description.Candidates))
def get_candidates(
    session: Db,
    project: Project,
    now: Now,
    wanted: FilterQuery,
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 50,
) -> Response:
    """One page of candidates; `after` is the cursor of the page before."""
    page = queue.list_candidates(session, project, wanted, after=after, limit=limit)
    held = leases.list_leases(session, [row.id or 0 for row in page.candidates], now=now)
    shown = [candidate_json(row, held.get(row.id or 0)) for row in page.candidates]
    return as_json({"candidates": shown, "after": page.after})


@router.get("/api/v1/candidates/{candidate_id}", responses=description.gives(description.Candidate))
def get_candidate(session: Db, project: Project, now: Now, candidate_id: int) -> Response:
    """One candidate with its texts, findings, history, and who has it."""
    return as_json(_opened_json(session, review.open_candidate(session, project, candidate_id), now))


@router.post(
    "/api/v1/queue/next",
    responses=description.gives(description.Taken) | description.nothing(204, "Nothing waits."),
)
def post_next(db: AppDb, project: Project, me: Me, now: Now, wanted: FilterQuery) -> Response:
    """Take the next pending candidate of a filter that nobody else has; 204 when nothing waits."""
    with db.write() as session:
        lease = leases.take_next(session, project, me, leases.pending(wanted), now=now, patient=True)
    if lease is None:
        return Response(status_code=204)
    with db.read() as session:
        queue.asks(session, me)
        opened = review.open_candidate(session, project, lease.candidate_id)
        return as_json({"candidate": _opened_json(session, opened, now), "lease": lease_json(lease)})


@router.post(
    "/api/v1/candidates/{candidate_id}/decisions",
    openapi_extra=takes(DecisionIn),
    responses=description.gives(description.Outcome),
)
def post_decision(body: JsonObject, db: AppDb, project: Project, who: Who, now: Now, candidate_id: int) -> Response:
    """Record a verdict; the same key gets the same answer, a stale version 409 with what was sent and what stands.

    `releases` hold examples of it. `late`: the lease that `lease` names was over, and nobody else had decided.
    """
    given = read_as(DecisionIn, body)
    # All decisions stand in one line: nothing is done in it that can be done before or behind, and no other thread
    # (which a session as a dependency would wait for) stands between its steps.
    with db.write() as session:
        queue.asks(session, who.reviewer_id)
        act = review.Act(
            verdict=review.parse_verdict(given.verdict),
            version=given.version,
            key=given.key,
            reasons=tuple(given.reasons),
            comment=given.comment,
            rating=given.rating,
            edited=None if given.edited is None else _edited(session, project, candidate_id, given),
            n_seen=given.n_seen,
            n_hunks=given.n_hunks,
            spent_ms=given.spent_ms,
            lease=given.lease,
            guideline=given.guideline,
        )
        outcome = review.decide(
            session, project, who.reviewer_id, candidate_id, act, may_settle=rights.may_settle(who), now=now
        )
    with db.read() as session:
        queue.asks(session, who.reviewer_id)
        return as_json(_outcome_json(session, outcome))


def _edited(session: Session, project: int, candidate_id: int, given: DecisionIn) -> tuple[str, str] | None:
    if given.edited is None or len(given.edited) != 1:
        raise BadInputError(
            "edited holds one text: script, spec, refined, unified, diff, hunks (new sides; null drops one), or files.",
            where="field edited",
        )
    ((field, text),) = given.edited.items()
    if isinstance(text, str) and field != "diff":
        return field, text
    if {"diff": str, "hunks": list, "files": dict}.get(field) is not type(text):
        raise BadInputError(f"edited.{field} must be text.", where=f"field edited.{field}")
    opened = review.open_candidate(session, project, candidate_id)
    if isinstance(text, str):
        return field, normalise_edit(opened.said.diff or "", text)
    return "diff", review.rebuild_diff(opened, given.version, text)


def _outcome_json(session: Session, outcome: review.Outcome) -> dict[str, object]:
    made: dict[str, object] = {
        "decision": None if outcome.decision is None else decision_json(outcome.decision),
        "candidate": candidate_json(outcome.candidate),
        "repeated": outcome.repeated,
        "late": outcome.late,
        "releases": [] if outcome.gold else outlook.list_touched(session, outcome.candidate),
    }
    if outcome.gold:
        made["message"] = outcome.gold
    elif outcome.decision is None:
        made["message"] = "Nothing was changed, so no edit was recorded."
    return made


@router.get("/api/v1/candidates/{candidate_id}/draft", responses=description.gives(description.Draft))
def get_draft(session: Db, project: Project, me: Me, candidate_id: int) -> Response:
    """What the caller has typed about a candidate and not saved."""
    review.get_candidate(session, project, candidate_id)
    draft = drafts.find_draft(session, me, candidate_id)
    if draft is None:
        raise NotFoundError(f"You have no draft of candidate {candidate_id}.")
    return as_json(_draft_json(draft))


@router.put(
    "/api/v1/candidates/{candidate_id}/draft",
    openapi_extra=takes(DraftIn),
    responses=description.gives(description.Draft),
)
def put_draft(body: JsonObject, session: Db, project: Project, me: Me, now: Now, candidate_id: int) -> Response:
    """Keep what the caller has typed; the fields that are not named stay as they are."""
    given = read_as(DraftIn, body)
    row = review.get_candidate(session, project, candidate_id)
    return as_json(_draft_json(drafts.keep(session, me, row, version=given.version, texts=given.texts, now=now)))


@router.delete("/api/v1/candidates/{candidate_id}/draft", status_code=204, response_class=Response)
def delete_draft(session: Db, project: Project, me: Me, candidate_id: int) -> Response:
    """Forget what the caller has typed."""
    review.get_candidate(session, project, candidate_id)
    drafts.discard(session, me, candidate_id)
    return Response(status_code=204)


def _draft_json(draft: DraftRow) -> dict[str, object]:
    shown = {"version": draft.version, "texts": draft.texts, "saved_at": draft.saved_at}
    return {"candidate": draft.candidate_id, **shown}


def _bulk_json(session: Session, undone: review.Outcome) -> dict[str, object]:
    return {"bulk": undone.bulk, "job": undone.rest, "said": bulk.sentence(session, undone)}


@router.post(
    "/api/v1/undo",
    openapi_extra=takes(UndoIn, optional=True),
    responses=description.gives(description.Outcome),
)
def post_undo(body: OptionalObject, db: AppDb, project: Project, me: Me, now: Now) -> Response:
    """Take back the caller's last act that stands, or the decision that `of` names.

    What was decided as one goes as one, `job` takes back the rest.
    """
    given = read_as(UndoIn, body)
    undone = bulk.undo_last(db, project, me, key=given.key, of=given.of, now=now)
    with db.read() as session:
        return as_json(_outcome_json(session, undone) | _bulk_json(session, undone))


@router.post(
    "/api/v1/candidates/{candidate_id}/join",
    openapi_extra=takes(OfTwoIn),
    responses=description.gives(description.Outcome),
)
def post_join(body: JsonObject, session: Db, project: Project, me: Me, now: Now, candidate_id: int) -> Response:
    """Say that another candidate speaks of the same change; undo takes it back."""
    given = read_as(OfTwoIn, body)
    made = review.join(session, project, me, candidate_id, given.other, version=given.version, key=given.key, now=now)
    return as_json(_outcome_json(session, made))


@router.post(
    "/api/v1/candidates/{candidate_id}/split",
    openapi_extra=takes(OfTwoIn),
    responses=description.gives(description.Outcome),
)
def post_split(body: JsonObject, session: Db, project: Project, me: Me, now: Now, candidate_id: int) -> Response:
    """Say that a part speaks of another change; undo takes it back."""
    given = read_as(OfTwoIn, body)
    made = review.split(session, project, me, candidate_id, given.other, version=given.version, key=given.key, now=now)
    return as_json(_outcome_json(session, made))


@router.get("/api/v1/jobs/{job_id}", responses=description.gives(description.Job))
def get_job(session: Db, project: Project, job_id: int) -> Response:
    """Where a job stands."""
    return as_json(job_json(jobs.get_job(session, project, job_id)))


@router.post("/api/v1/jobs/{job_id}/cancel", responses=description.gives(description.Job))
def post_cancel(session: Db, project: Project, now: Now, job_id: int) -> Response:
    """Ask a job to stop."""
    job = jobs.cancel(session, project, job_id, now=now)
    releases.bury(session, project)
    return as_json(job_json(job))


@router.get("/healthz", responses=description.gives(description.Standing))
def get_health() -> Response:
    """The process answers."""
    return as_json({"status": "ok"})


@router.get("/readyz", responses=description.gives(description.Standing, 200, 503))
def get_ready(db: AppDb, config: Config, now: Now) -> Response:
    """The database answers and has this program's tables, there is room; says also when jobs wait for a worker."""
    trouble = is_reachable(db)
    if trouble is None and migrations.current(db) != migrations.HEAD:
        trouble = "The database's schema is not this program's."
    # Whoever asks needs no login: where the database is and as whom it is asked stands in the log alone.
    if trouble is not None:
        log.error("not ready: %s", trouble)
        return as_json({"status": "unavailable", "message": "The database is not ready; the log says why."}, 503)
    if full := is_out_of_room(config):
        log.error("not ready: %s", full)
        message = "No space left: pages can be read, and nothing can be stored."
        return as_json({"status": "unavailable", "message": message}, 503)
    with db.read() as session:
        return as_json({"status": "ok", "message": jobs.find_stranded(session, now=now)})
