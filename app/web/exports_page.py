"""Datasets: what can be exported, what an order would give, and what was made before."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from sqlmodel import Session
from starlette.responses import Response

from app import downloads, jobs, parcels, recipes, releases, review, sources
from app.downloads import Order, Preview
from app.errors import AppError, BadInputError, ConflictError, NotFoundError
from app.examples import Split
from app.exports import FORMATS, formats_of
from app.models import JobRow, ReleaseRow, ReleaseState
from app.parcels import Parcel
from app.web.deps import Config, Db, Now, Project
from app.web.files import send_file
from app.web.forms import Fields, Form
from app.web.jobs_page import Download, find_download
from app.web.queue import FINDINGS
from app.web.render import is_partial, page, see_other, url

router = APIRouter()

_OF_NOW = ("source", "file", "since", "until", "rating", "seed")
_FIELDS = ("dataset", "format", "release", *_OF_NOW)
_LISTED = 20
_OFFERED = [one for one in recipes.DATASETS if formats_of(one)]


@dataclass(frozen=True)
class Held:
    """Candidates that an export leaves out for one reason, and where to see them."""

    reason: str
    n: int
    url: str | None


@dataclass(frozen=True)
class Earlier:
    """An export made before."""

    job: JobRow
    what: str
    rows: int
    download: Download | None


@dataclass(frozen=True)
class ExportsView:
    """What `exports.html` may read."""

    n_quarantined: int
    datasets: list[tuple[str, str]]
    formats: list[str]
    releases: list[ReleaseRow]
    patch_sources: list[str]
    typed: dict[str, str]
    fault: str
    preview: Preview | None
    splits: list[tuple[str, int]]
    held: list[Held]
    earlier: list[Earlier]


@router.get("/exports")
def exports(request: Request, session: Db, project: Project) -> Response:
    """What an order would give, counted by making it."""
    typed = {name: request.query_params.get(name, "") for name in _FIELDS}
    return _exports_page(request, session, project, typed)


@router.post("/exports")
def start(request: Request, fields: Form, session: Db, project: Project, now: Now) -> Response:
    """Put the export in line for the worker and show its progress."""
    typed = _typed(fields)
    try:
        job = parcels.start(session, project, Parcel(_order(typed)), now=now)
    except (BadInputError, NotFoundError, ConflictError) as error:
        return _exports_page(request, session, project, typed, error)
    return see_other(f"/jobs/{job.id}?new=1")


@router.get("/exports/{job_id}/download")
def download(request: Request, session: Db, project: Project, config: Config, job_id: int) -> Response:
    """The file of a finished export; a broken download can be resumed."""
    return send_file(request, *parcels.find_download(session, config, project, job_id))


def _typed(fields: Fields) -> dict[str, str]:
    sent = fields.allow(_FIELDS)
    return {name: sent.one(name) for name in _FIELDS}


def _order(typed: Mapping[str, str]) -> Order:
    """The order that the form says: `{"dataset": "llm/scaffold/sft", "format": "messages", "seed": "7", …}`.

    A release has its filter and its seed, so those of the form do not count beside one.
    """
    unheard = ("dataset", *_OF_NOW) if typed["release"] else ("dataset",)
    named = {name: value for name, value in typed.items() if value and name not in unheard}
    if typed["dataset"]:
        parts = [*typed["dataset"].split("/"), "", ""][:3]
        named |= dict(zip(("role", "task", "objective"), parts, strict=True))
    return Order.parse(named)


def _exports_page(
    request: Request, session: Session, project: int, typed: dict[str, str], error: AppError | None = None
) -> Response:
    preview: Preview | None = None
    if error is None:
        try:
            preview = downloads.preview(session, request.app.state.settings, project, _order(typed))
        except (BadInputError, NotFoundError, ConflictError) as refusal:
            error = refusal
    partial = is_partial(request)
    view = ExportsView(
        n_quarantined=0 if partial else sources.count_quarantine(session, project),
        datasets=[(one.name, " · ".join(one)) for one in _OFFERED],
        formats=[one.alias for one in FORMATS],
        releases=_releases(session, project, typed["release"]),
        patch_sources=review.list_patch_sources(session, project),
        typed=typed,
        fault="" if error is None else error.message,
        preview=preview,
        splits=[] if preview is None else [(str(split), preview.rows.get(split, 0)) for split in Split],
        held=[] if preview is None else _held(preview, typed),
        earlier=[] if partial else _earlier(session, project),
    )
    headers = {"HX-Push-Url": url("/exports", **typed)}
    if error is not None:
        headers |= {"HX-Retarget": "#preview", "HX-Reswap": "outerHTML"}  # or the script leaves the sentence out
    return page(
        request, "exports.html", view, fragment="preview", status=error.status if error else 200, headers=headers
    )


def _releases(session: Session, project: int, named: str) -> list[ReleaseRow]:
    """What can be exported from: whatever is frozen, and of the withdrawn the one that is asked for."""
    listed = releases.list_releases(session, project)
    return [
        row
        for row in listed
        if row.state == ReleaseState.FROZEN or (row.state == ReleaseState.WITHDRAWN and str(row.number) == named)
    ]


def _held(preview: Preview, typed: Mapping[str, str]) -> list[Held]:
    """Reasons, the commonest first; those that are findings link to the accepted candidates that carry them."""
    same = {name: typed[name] for name in ("source", "file", "since", "until", "rating")}

    def link(reason: str) -> str | None:
        if typed["release"]:
            return url(f"/releases/{typed['release']}", gate=reason, dataset=typed["dataset"]) + "#held"
        return url("/queue", status="accepted", finding=reason, **same) if reason in FINDINGS else None

    return [Held(reason, n, link(reason)) for reason, n in sorted(preview.held.items(), key=lambda one: -one[1])]


def _earlier(session: Session, project: int) -> list[Earlier]:
    found = []
    for row in jobs.list_jobs(session, project, parcels.JOB_KIND, _LISTED):
        what = " · ".join(str(row.args[name]) for name in ("role", "task", "format"))
        if named := row.args.get("release"):
            what += f" · release {named}"
        rows = (row.result or {}).get("rows", 0)
        found.append(Earlier(row, what, rows if isinstance(rows, int) else 0, find_download(row)))
    return found
