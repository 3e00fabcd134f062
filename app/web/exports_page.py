"""Datasets: what can be exported, what an order would give, and what was made before."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fastapi import APIRouter, Request
from sqlmodel import Session
from starlette.responses import Response

from app import downloads, jobs, parcels, projects, queue, recipes, releases, sources
from app.candidates import FINDING_CODES
from app.downloads import Preview
from app.errors import AppError, BadInputError, ConflictError, NotFoundError, UnsupportedError
from app.examples import Split
from app.exports import formats_of, get_format
from app.models import JobRow, ReleaseRow, ReleaseState
from app.parcels import Packed, Parcel
from app.settings import Settings
from app.web.deps import AppDb, Config, Db, Now, Project
from app.web.files import send_file
from app.web.forms import Fields, Form
from app.web.jobs_page import Download, curl_command, find_download
from app.web.queue import command_line
from app.web.render import is_partial, page, see_other, url

router = APIRouter()

_OF_NOW = ("source", "file", "since", "until", "rating", "seed")
_FIELDS = ("dataset", "format", "pack", "parquet", "release", *_OF_NOW)
_LISTED = 20
EVERYTHING = "all"
"""What the field `dataset` says for all of them in one folder."""
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
class Commands:
    """The same from a terminal; `curl` is empty where nothing is to be fetched by it."""

    curl: str
    export: str


@dataclass(frozen=True)
class ExportsView:
    """What `exports.html` may read.

    Attributes:
        datasets: what can be chosen, as (value, label).
        formats: those that can hold the chosen dataset; none for everything.
        packs: as which kinds of file it can be had, as (value, label).
        said: what was chosen instead of a format that cannot hold the dataset.
        ready: the file, where it was made before.
        warnings: what makes training from that file worth little.
        starts: whether its download is to begin by itself.
    """

    n_quarantined: int
    datasets: list[tuple[str, str]]
    formats: list[str]
    packs: list[tuple[str, str]]
    said: str
    ready: Download | None
    warnings: Sequence[str]
    starts: bool
    commands: Commands | None
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
    typed, said = _fitting(typed)
    return _exports_page(request, session, project, typed, said=said)


@router.post("/exports")
def start(request: Request, fields: Form, db: AppDb, config: Config, project: Project, now: Now) -> Response:
    """Make the file, or put it in line for the worker and show its progress."""
    typed = _typed(fields)
    try:
        parcel = _parcel(typed)
        if parcel.order.release:
            found = parcels.obtain(db, config, project, parcel, now=now)
            if isinstance(found, Packed):
                with db.write() as session:
                    parcels.note(session, config, project, parcel, found, now=now)
        else:
            with db.write() as session:
                found = parcels.start(session, project, parcel, now=now)
    except (BadInputError, NotFoundError, ConflictError, UnsupportedError) as error:
        with db.read() as session:
            return _exports_page(request, session, project, typed, error)
    if isinstance(found, Packed):
        return see_other(url("/exports", **typed, ready=1))
    return see_other(f"/jobs/{found.id}?new=1")


@router.head("/exports/{job_id}/download", include_in_schema=False)
@router.get("/exports/{job_id}/download")
def download(request: Request, session: Db, project: Project, config: Config, job_id: int) -> Response:
    """The file of a finished export; a broken download can be resumed."""
    return send_file(request, *parcels.find_download(session, config, project, job_id))


def _typed(fields: Fields) -> dict[str, str]:
    """What the form says; a release's page sends dataset and format in one field: `llm/scaffold/sft messages`."""
    sent = fields.allow((*_FIELDS, "what"))
    typed = {name: sent.one(name) for name in _FIELDS}
    if what := sent.one("what"):
        typed["dataset"], _, typed["format"] = what.partition(" ")
    return typed


def _fitting(typed: dict[str, str]) -> tuple[dict[str, str], str]:
    """The same where another dataset was chosen than the format and the file fit, with what was put in their place."""
    if typed["dataset"] == EVERYTHING:
        return typed | {"format": "", "pack": typed["pack"] if typed["pack"] in parcels.ARCHIVES else ""}, ""
    forms = _formats(typed)
    try:
        form = get_format(typed["format"]) if typed["format"] else None
    except BadInputError:
        return typed, ""  # no format at all: a sentence says so
    if form is None or not forms or form.alias in forms:
        return typed, ""
    said = f"{form.alias} cannot hold these examples, so {forms[0]} is chosen."
    return typed | {"format": forms[0], "pack": typed["pack"] if typed["pack"] in parcels.ARCHIVES else ""}, said


def _formats(typed: Mapping[str, str]) -> list[str]:
    """Which formats hold the dataset that is chosen."""
    if typed["dataset"] == EVERYTHING:
        return []
    chosen = next((one for one in _OFFERED if one.name == typed["dataset"]), _OFFERED[0])
    return [one.alias for one in formats_of(chosen)]


def _parcel(typed: Mapping[str, str]) -> Parcel:
    """What the form says: `{"dataset": "llm/scaffold/sft", "format": "messages", "pack": "zip", "seed": "7", …}`.

    A release has its filter and its seed, so those of the form do not count beside one.
    """
    unheard = ("dataset", *_OF_NOW) if typed["release"] else ("dataset",)
    named = {name: value for name, value in typed.items() if value and name not in unheard}
    if typed["dataset"] == EVERYTHING:
        return Parcel.parse({**named, "all": "true"})
    if typed["dataset"]:
        parts = [*typed["dataset"].split("/"), "", ""][:3]
        named |= dict(zip(("role", "task", "objective"), parts, strict=True))
    if "format" not in named and (forms := _formats(typed)):
        named["format"] = forms[0]
    return Parcel.parse(named)


def _exports_page(
    request: Request,
    session: Session,
    project: int,
    typed: dict[str, str],
    error: AppError | None = None,
    said: str = "",
) -> Response:
    config: Settings = request.app.state.settings
    preview: Preview | None = None
    ready: Packed | None = None
    commands: Commands | None = None
    if error is None:
        try:
            parcel = _parcel(typed)
            preview = downloads.preview(session, config, project, parcel.order, everything=parcel.everything)
            ready, commands = _ready(request, session, project, parcel)
        except (BadInputError, NotFoundError, ConflictError, UnsupportedError) as refusal:
            error = refusal
    partial = is_partial(request)
    view = ExportsView(
        n_quarantined=0 if partial else sources.count_quarantine(session, project),
        datasets=[*((one.name, " · ".join(one)) for one in _OFFERED), (EVERYTHING, "everything")],
        formats=_formats(typed),
        packs=_packs(typed, preview),
        said=said,
        ready=None if ready is None else Download(_address(typed), ready.name, ready.n_bytes, ready.digest),
        warnings=() if ready is None else ready.warnings,
        starts=ready is not None and not partial and "ready" in request.query_params,
        commands=commands,
        releases=_releases(session, project, typed["release"]),
        patch_sources=queue.list_patch_sources(session, project),
        typed=typed,
        fault="" if error is None else error.message,
        preview=preview,
        splits=[] if preview is None else [(str(split), preview.rows.get(split, 0)) for split in Split],
        held=[] if preview is None else _held(preview, typed),
        earlier=[] if partial else _earlier(session, project),
    )
    headers = {"HX-Push-Url": url("/exports", **typed)}
    if error is not None:
        headers |= {"HX-Retarget": "#preview", "HX-Reswap": "outerMorph"}  # or the script leaves the sentence out
    return page(
        request, "exports.html", view, fragment="preview", status=error.status if error else 200, headers=headers
    )


def _packs(typed: Mapping[str, str], preview: Preview | None) -> list[tuple[str, str]]:
    """As what it can be had; one split alone only where that is one file."""
    packs = [("zip", "folder, zip"), ("tar.gz", "folder, tar.gz")]
    kind = "Parquet" if typed["parquet"] else "JSONL"
    try:
        alone = preview is not None and not (parcel := _parcel(typed)).everything and len(parcel.order.configs) == 1
    except BadInputError:
        alone = False
    if preview is None or not alone:
        return packs
    return packs + [(str(split), f"{split} alone, {kind}") for split in Split if preview.rows.get(split)]


def _ready(request: Request, session: Session, project: int, parcel: Parcel) -> tuple[Packed | None, Commands]:
    """The file of a release, where it was made before, and what gives the same in a terminal."""
    config: Settings = request.app.state.settings
    words = [shlex.quote(word) for word in parcel.words()]
    export = command_line(config, "export", *words, "--out", "FOLDER")
    if not parcel.order.release:
        return None, Commands("", export)
    row = releases.get_trainable(session, project, parcel.order.release)
    numbered = replace(parcel, order=replace(parcel.order, release=str(row.number)))
    found = parcels.find(config, row, projects.get_name(session, project), numbered)
    name = found.name if found else parcels.name_of(row, projects.get_name(session, project), numbered)
    address = f"{str(request.base_url).rstrip('/')}{_file_address(numbered)}"
    return found, Commands(curl_command(address, name, found.digest if found else ""), export)


def _address(typed: Mapping[str, str]) -> str:
    return _file_address(_parcel(typed))


def _file_address(parcel: Parcel) -> str:
    return url(f"/api/v1/releases/{parcel.order.release}/download", **parcel.query())


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
        return url("/queue", status="accepted", finding=reason, **same) if reason in FINDING_CODES else None

    return [Held(reason, n, link(reason)) for reason, n in sorted(preview.held.items(), key=lambda one: -one[1])]


def _earlier(session: Session, project: int) -> list[Earlier]:
    found = []
    for row in jobs.list_jobs(session, project, parcels.JOB_KIND, _LISTED):
        what = " · ".join(str(row.args[name]) for name in ("role", "task", "format"))
        if row.args.get("all"):
            what = "everything"
        if named := row.args.get("release"):
            what += f" · release {named}"
        rows = (row.result or {}).get("rows", 0)
        found.append(Earlier(row, what, rows if isinstance(rows, int) else 0, find_download(row)))
    return found
