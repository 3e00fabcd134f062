"""What came in: uploads, samples, reports, and the quarantine with its retries."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from fastapi import APIRouter, Request
from sqlmodel import Session
from starlette.responses import FileResponse, Response

from app import deliveries, evidence, ingest, jobs, sources
from app.deliveries import Arrived, DeliveryReport
from app.errors import AppError, BadInputError, NotFoundError
from app.formats import READERS
from app.models import JobRow, JobState, QuarantineRow, RepeatRow, SourceRow
from app.queue import whole_number
from app.settings import Settings
from app.sources import Report
from app.web.deps import AppDb, Config, Db, Now, Project, Sent, Uploads
from app.web.forms import Form
from app.web.queue import ingest_command
from app.web.render import is_partial, page, see_other, url
from app.web.rights import about

router = APIRouter()

MOST_LISTED = 100
MOST_FILES_LISTED = 1000
SHOWN_BYTES = 64 * 1024


@dataclass(frozen=True)
class Refusal:
    """Why nothing of what was sent was read."""

    name: str
    message: str
    where: str | None


@dataclass(frozen=True)
class ImportsView:
    """What `imports.html` may read."""

    n_quarantined: int
    refusal: Refusal | None
    running: list[JobRow]
    arrived: list[Arrived]
    formats: dict[str, str]
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
    scores: str | None


@dataclass(frozen=True)
class DeliveryView:
    """What `delivery.html` may read."""

    n_quarantined: int
    report: DeliveryReport
    counts: dict[str, int]
    files: list[Report]
    unread: list[Mapping[str, object]]
    passed: list[tuple[str, list[str]]]
    most: int
    checking: JobRow | None
    scores: str | None


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
    return page(request, "imports.html", _imports_view(session, project, config))


@router.post("/ingest")
def upload(request: Request, db: AppDb, config: Config, project: Project, files: Uploads) -> Response:
    """Take in a log, an archive, many files or a folder; what cannot be read is named with the reason."""
    try:
        about(request, files=_shown(files))
        report = deliveries.receive(db, config, project, files.uploads, n_left=files.n_left, now=_now)
    except AppError as error:
        refusal = Refusal(_shown(files), error.message, error.where)
        with db.read() as session:
            view = _imports_view(session, project, config, refusal)
        return page(request, "imports.html", view, status=error.status)
    if report.job:
        return see_other(f"/jobs/{report.job}")
    if isinstance(report, DeliveryReport):
        return see_other(f"/imports/deliveries/{report.delivery}")
    return see_other(f"/imports/{report.source}")


def _shown(files: Sent) -> str:
    first = ingest.shown_name(files.uploads[0].name)
    return first if len(files.uploads) == 1 else f"{first} and {len(files.uploads) - 1:,} more"


@router.post("/samples")
def samples(db: AppDb, config: Config, project: Project) -> Response:
    """Bring in the twelve patches that ship with the product."""
    ingest.load_samples(db, config, project, now=_now)
    return see_other("/queue")


def _now() -> datetime:
    return datetime.now(UTC)


def _imports_view(session: Session, project: int, settings: Settings, refusal: Refusal | None = None) -> ImportsView:
    return ImportsView(
        n_quarantined=sources.count_quarantine(session, project),
        refusal=refusal,
        running=[
            job
            for kind in ("ingest", deliveries.KIND)
            for job in jobs.list_jobs(session, project, kind)
            if job.state in {JobState.QUEUED, JobState.RUNNING}
        ],
        arrived=deliveries.list_arrived(session, project),
        formats={name: reader.label for name, reader in READERS.items()},
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
        scores=evidence.find_direction(session, [source_id]),
    )
    return page(request, "report.html", view, fragment="report")


@router.post("/imports/{source_id}/scores")
def scores(fields: Form, session: Db, project: Project, now: Now, source_id: int) -> Response:
    """Say which way the style scores of one file count."""
    source = sources.get_source(session, source_id)
    if source.project_id != project:
        raise NotFoundError(f"There is no source {source_id}.")
    _set_scores(session, project, [source_id], fields.allow({"scores"}).one("scores"), now)
    return see_other(f"/imports/{source_id}")


@router.post("/imports/deliveries/{delivery_id}/scores")
def scores_of_delivery(fields: Form, session: Db, project: Project, now: Now, delivery_id: int) -> Response:
    """Say which way the style scores of files that came in together count."""
    found = deliveries.get_report(session, project, delivery_id)
    _set_scores(session, project, deliveries.sources_of([found]), fields.allow({"scores"}).one("scores"), now)
    return see_other(f"/imports/deliveries/{delivery_id}")


def _set_scores(session: Session, project: int, ids: list[int], said: str, now: datetime) -> None:
    evidence.set_direction(session, ids, evidence.parse_direction(said))
    jobs.enqueue(session, project, jobs.IN_BACKGROUND, {}, now=now, once=True)


@router.get("/imports/deliveries/{delivery_id}")
def delivery(request: Request, session: Db, project: Project, delivery_id: int) -> Response:
    """What became of files that came in together."""
    found = deliveries.get_report(session, project, delivery_id)
    passed: dict[str, list[str]] = {}
    for one in found.passed:
        passed.setdefault(str(one["why"]), []).append(str(one["name"]))
    view = DeliveryView(
        n_quarantined=0 if is_partial(request) else sources.count_quarantine(session, project),
        report=found,
        counts=found.counts,
        files=list(found.files[:MOST_FILES_LISTED]),
        unread=[*found.refused, *found.broken],
        passed=list(passed.items()),
        most=MOST_FILES_LISTED,
        checking=jobs.find_unfinished(session, project, jobs.IN_BACKGROUND),
        scores=evidence.find_direction(session, deliveries.sources_of([found])),
    )
    return page(request, "delivery.html", view, fragment="report")


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
