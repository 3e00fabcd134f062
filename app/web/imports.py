"""What came in: uploads, samples, reports, and the quarantine with its retries."""

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from fastapi import APIRouter, Request
from sqlmodel import Session
from starlette.responses import FileResponse, Response

from app import ingest, jobs, sources
from app.errors import AppError, BadInputError, NotFoundError
from app.ingest import Upload
from app.models import JobRow, JobState, QuarantineRow, RepeatRow, SourceRow
from app.review import whole_number
from app.settings import Settings
from app.sources import Report
from app.web.deps import AppDb, Config, Db, Now, Project, Uploads
from app.web.forms import Form
from app.web.queue import ingest_command
from app.web.render import is_partial, page, see_other, url

router = APIRouter()

MOST_LISTED = 100
SHOWN_BYTES = 64 * 1024


@dataclass(frozen=True)
class Taken:
    """What came of one uploaded file: a report, a job, or a refusal with its sentence."""

    name: str
    report: Report | None = None
    job: int | None = None
    refusal: str = ""
    where: str | None = None
    status: int = 200


@dataclass(frozen=True)
class ImportsView:
    """What `imports.html` may read."""

    n_quarantined: int
    taken: list[Taken]
    running: list[JobRow]
    sources: list[SourceRow]
    most_bytes: int
    command: str


@dataclass(frozen=True)
class ReportView:
    """What `report.html` may read."""

    n_quarantined: int
    report: Report
    source: SourceRow
    repeats: list[tuple[RepeatRow, int]]
    quarantined: list[tuple[QuarantineRow, str]]
    most: int
    checking: JobRow | None


@dataclass(frozen=True)
class QuarantineView:
    """What `quarantine.html` may read."""

    n_quarantined: int
    rows: list[tuple[QuarantineRow, str]]
    next_url: str | None


@dataclass(frozen=True)
class HeldView:
    """What `quarantined.html` may read."""

    n_quarantined: int
    held: QuarantineRow
    source: SourceRow
    raw: str
    n_hidden: int
    typed: str
    notice: str


# ------------------------------------------------------------------------------------------------ uploads


@router.get("/imports")
def imports(request: Request, session: Db, project: Project, config: Config) -> Response:
    """The drop zone and everything that came in."""
    return page(request, "imports.html", _imports_view(session, project, config, []))


@router.post("/ingest")
def upload(request: Request, db: AppDb, config: Config, project: Project, files: Uploads) -> Response:
    """Take in every file that can be read; the others are named with the reason."""
    taken = [_take(db, config, project, file) for file in files]
    if len(taken) == 1 and not taken[0].refusal:
        one = taken[0]
        return see_other(f"/jobs/{one.job}" if one.job else f"/imports/{one.report.source if one.report else ''}")
    refused = [one.status for one in taken if one.refusal]
    status = refused[0] if refused and len(refused) == len(taken) else 200
    with db.read() as session:
        return page(request, "imports.html", _imports_view(session, project, config, taken), status=status)


@router.post("/samples")
def samples(db: AppDb, config: Config, project: Project) -> Response:
    """Bring in the twelve patches that ship with the product."""
    ingest.load_samples(db, config, project, now=_now)
    return see_other("/queue")


def _now() -> datetime:
    return datetime.now(UTC)


def _take(db: AppDb, config: Config, project: int, file: Upload) -> Taken:
    name = ingest.shown_name(file.name)
    try:
        report = ingest.receive(db, config, project, file, now=_now)
    except AppError as error:
        return Taken(name, refusal=error.message, where=error.where, status=error.status)
    return Taken(name, job=report.job) if report.job else Taken(name, report)


def _imports_view(session: Session, project: int, settings: Settings, taken: list[Taken]) -> ImportsView:
    return ImportsView(
        n_quarantined=sources.count_quarantine(session, project),
        taken=taken,
        running=[
            job
            for job in jobs.list_jobs(session, project, "ingest")
            if job.state in {JobState.QUEUED, JobState.RUNNING}
        ],
        sources=sources.list_sources(session, project),
        most_bytes=settings.max_upload_bytes,
        command=ingest_command(settings),
    )


# ------------------------------------------------------------------------------------------------ reports


@router.get("/imports/{source_id}")
def report(request: Request, session: Db, project: Project, source_id: int) -> Response:
    """What became of every line of a file."""
    source = sources.get_source(session, source_id)
    if source.project_id != project:
        raise NotFoundError(f"There is no source {source_id}.")
    view = ReportView(
        n_quarantined=0 if is_partial(request) else sources.count_quarantine(session, project),
        report=sources.report_of(session, source),
        source=source,
        repeats=sources.list_repeats(session, source_id, MOST_LISTED),
        quarantined=sources.list_quarantine(session, project, source_id=source_id, limit=MOST_LISTED),
        most=MOST_LISTED,
        checking=jobs.find_unfinished(session, project, jobs.IN_BACKGROUND),
    )
    return page(request, "report.html", view, fragment="report")


# ------------------------------------------------------------------------------------------------ quarantine


@router.get("/quarantine")
def quarantine(request: Request, session: Db, project: Project, source: str = "", after: str = "") -> Response:
    """Every line that could not be read."""
    source_id = whole_number("source", source) if source else None
    start = whole_number("after", after) if after else 0
    rows = sources.list_quarantine(session, project, source_id=source_id, after=start, limit=MOST_LISTED + 1)
    more = len(rows) > MOST_LISTED
    view = QuarantineView(
        n_quarantined=sources.count_quarantine(session, project),
        rows=rows[:MOST_LISTED],
        next_url=url("/quarantine", source=source, after=rows[MOST_LISTED - 1][0].id) if more else None,
    )
    return page(request, "quarantine.html", view)


@router.get("/quarantine/{quarantine_id}")
def held(request: Request, session: Db, project: Project, quarantine_id: int) -> Response:
    """One line with its bytes and its reason."""
    return page(request, "quarantined.html", _held_view(session, project, quarantine_id))


@router.post("/quarantine/{quarantine_id}/retry")
def retry(
    request: Request, fields: Form, session: Db, project: Project, config: Config, now: Now, quarantine_id: int
) -> Response:
    """Read the line again, corrected or as it was; what was typed stays when it still cannot be read."""
    sent = fields.allow({"how", "corrected"})
    typed = sent.one("corrected").replace("\r\n", "\n")
    corrected = None if sent.one("how") == "as_it_was" else typed.encode(errors="replace")
    try:
        candidate_id = ingest.retry(session, config, project, quarantine_id, corrected=corrected, now=now)
    except BadInputError as error:
        view = _held_view(session, project, quarantine_id, typed=typed, notice=f"Still not read: {error.message}")
        return page(request, "quarantined.html", view, status=error.status)
    return see_other(url(f"/candidates/{candidate_id}", status="all"))


@router.get("/quarantine/{quarantine_id}/raw")
def raw(session: Db, project: Project, config: Config, quarantine_id: int) -> Response:
    """The bytes as they came."""
    row, source = sources.get_quarantined(session, project, quarantine_id)
    name = f"{source.name.rsplit('/', 1)[-1][:80]}.line-{row.line}"
    headers = {"Content-Disposition": f"attachment; filename*=utf-8''{quote(name, safe='')}"}
    if row.overflow:
        path = config.data_dir / "overlong" / row.overflow
        return FileResponse(path, media_type="application/octet-stream", headers=headers)
    return Response(row.raw, media_type="application/octet-stream", headers=headers)


def _held_view(
    session: Session, project: int, quarantine_id: int, *, typed: str | None = None, notice: str = ""
) -> HeldView:
    row, source = sources.get_quarantined(session, project, quarantine_id)
    return HeldView(
        n_quarantined=sources.count_quarantine(session, project),
        held=row,
        source=source,
        raw=visible(row.raw[:SHOWN_BYTES]),
        n_hidden=max(0, row.n_bytes - SHOWN_BYTES),
        typed=_editable(row) if typed is None else typed,
        notice=notice,
    )


def _editable(row: QuarantineRow) -> str:
    """The line as text to correct, where it is text and not too long for a box."""
    if row.overflow or len(row.raw) > SHOWN_BYTES:
        return ""
    try:
        return row.raw.decode()
    except UnicodeDecodeError:
        return row.raw.decode(errors="backslashreplace")


def visible(raw: bytes) -> str:
    r"""Bytes as text in which nothing hides: `b"a\xff\x00\xe2\x80\xaeb"` → `a\xff\x00\u202eb`."""
    text = raw.decode(errors="backslashreplace")
    return "".join(sign if sign.isprintable() or sign in "\n\t" else _escaped(sign) for sign in text)


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode()
