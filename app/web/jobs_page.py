"""Long work: its progress, its end, and the way to stop it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from app import bulk, decisions, jobs, releases, review, sources
from app.models import JobRow, JobState
from app.web.deps import Db, Now, Project
from app.web.forms import Form
from app.web.render import is_partial, page, see_other

router = APIRouter()

_TITLES = {
    "ingest": "Reading",
    "deliver": "Reading",
    "prepare": "Checking new candidates",
    "export": "Building the dataset",
    "release": "Freezing a release",
    "preview": "Counting what a release would hold",
    bulk.KIND: "Deciding many as one",
    review.UNDO_KIND: "Taking back what was decided as one",
}
_BACK = {
    "ingest": ("/imports", "Imports"),
    "deliver": ("/imports", "Imports"),
    "export": ("/exports", "Exports"),
    "release": ("/releases", "Releases"),
    "preview": ("/releases", "Releases"),
}


@dataclass(frozen=True)
class Download:
    """A file that a job made."""

    url: str
    name: str
    n_bytes: int
    sha256: str


@dataclass(frozen=True)
class JobView:
    """What `job.html` may read."""

    n_quarantined: int
    job: JobRow
    stranded: str | None
    title: str
    back: str
    back_label: str
    running: bool
    percent: int
    done: str
    total: str
    report_url: str | None
    download: Download | None
    command: str
    fresh: bool
    rows: int | None
    splits: Mapping[str, int]
    held: Mapping[str, int]


@router.get("/jobs/{job_id}")
def job(request: Request, session: Db, project: Project, now: Now, job_id: int, new: str = "") -> Response:
    """Where the work stands; htmx asks again each second while it runs."""
    row = jobs.get_job(session, project, job_id)
    result = row.result or {}
    back, label = _BACK.get(row.kind, ("/queue", "Queue"))
    title = _TITLES.get(row.kind, row.kind)
    reads = row.kind in {"ingest", "deliver"}
    measure = _megabytes if reads else _number
    made = find_download(row)
    view = JobView(
        n_quarantined=0 if is_partial(request) else sources.count_quarantine(session, project),
        job=row,
        stranded=jobs.find_stranded(session, now=now) if row.finished_at is None else None,
        title=f"{title} {row.args['name']}" if reads else title,
        back=back,
        back_label=label,
        running=row.state in {JobState.QUEUED, JobState.RUNNING},
        percent=min(100, 100 * row.done // row.total) if row.total else 0,
        done=measure(row.done),
        total=measure(row.total),
        report_url=_report_url(row),
        download=made,
        command=_command(request, made),
        # Only the page that was sent here by the order starts the download; opening an old job does not.
        fresh=is_partial(request) or bool(new),
        rows=_rows(result),
        splits=_counts(result, "splits"),
        held=_counts(result, "held"),
    )
    return page(request, "job.html", view, fragment="job")


@router.post("/jobs/{job_id}/cancel")
def cancel(fields: Form, session: Db, project: Project, now: Now, job_id: int) -> Response:
    """Ask the work to stop at its next step."""
    fields.allow(())
    jobs.cancel(session, project, job_id, now=now)
    releases.bury(session, project)
    return see_other(f"/jobs/{job_id}")


def find_download(row: JobRow) -> Download | None:
    """The file that an export made, or None."""
    made = row.result or {}
    name, n_bytes, digest = made.get("name"), made.get("bytes"), made.get("sha256")
    if row.state != JobState.DONE or not made.get("file") or not isinstance(n_bytes, int):
        return None
    return Download(f"/exports/{row.id}/download", str(name), n_bytes, str(digest))


def _command(request: Request, made: Download | None) -> str:
    """What fetches the file in a terminal."""
    if made is None:
        return ""
    return curl_command(f"{str(request.base_url).rstrip('/')}{made.url}", made.name, made.sha256)


def curl_command(address: str, name: str, digest: str) -> str:
    """What fetches a file in a terminal, goes on where an earlier try ended, and checks it where its digest is known.

    `curl -fL --retry 99 -C - -o patchsift-….zip 'http://…'`, then `echo '9f…  patchsift-….zip' | sha256sum -c`
    """
    fetch = f"curl -fL --retry 99 -C - -o {shlex.quote(name)} {shlex.quote(address)}"
    return f"{fetch}\necho {shlex.quote(f'{digest}  {name}')} | sha256sum -c" if digest else fetch


def _report_url(row: JobRow) -> str | None:
    """Where to read what came of it."""
    if row.kind == "release":
        return f"/releases/{row.args['release']}"
    if row.kind == bulk.KIND:
        return f"/bulk/{row.id}"
    if row.kind == review.UNDO_KIND:
        return f"/bulk/{decisions.job_of(str(row.args['bulk']))}"
    report = (row.result or {}).get("report")
    if not isinstance(report, Mapping):
        return None
    return f"/imports/{report['source']}" if "source" in report else f"/imports/deliveries/{report['delivery']}"


def _rows(result: Mapping[str, object]) -> int | None:
    rows = result.get("rows")
    return rows if isinstance(rows, int) else None


def _counts(result: Mapping[str, object], name: str) -> Mapping[str, int]:
    counts = result.get(name)
    return counts if isinstance(counts, Mapping) else {}


def _number(n: int) -> str:
    return f"{n:,}"


def _megabytes(n: int) -> str:
    return f"{n / 1e6:,.1f} MB"
