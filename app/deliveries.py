"""Files that come in together, a folder, an archive or a drop: each is a source of its own, all make one report.

What is sent is first laid into a folder below the data folder, so a job that was interrupted goes on where it stopped:
files that are in already are not read twice.
"""

import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from sqlalchemy import func, select
from sqlmodel import Session, col

from app import archives, ingest, intake, jobs, sources
from app.db import Database, is_id
from app.errors import AppError, BadInputError, NotFoundError, NotStoredError, UnsupportedError
from app.formats import READERS
from app.ingest import Progress, Upload, shown_name
from app.intake import EXPECTED, Found, Intake, Passed
from app.models import DeliveryRow, JobRow, SourceRow, SourceState
from app.settings import Settings
from app.sources import Report

KIND = "deliver"
COUNTS = ("entries", "new", "repeated", "updated", "quarantined", "blank", "candidates", "flagged")

_MOST_LISTED = 1000
_MOST_SET_FILES = 500
_DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What became of files that came in together.

    Attributes:
        delivery: its id, 0 while it waits for the worker.
        name: of the folder or the archive, or how many files.
        state: `reading`, `done`, or `queued`.
        files: the report of each file that was read, in the order of their names.
        n_files: how many there are to read.
        passed: files that are no logs: `{"name", "why", "n_files"}`.
        broken: evidence that cannot be used: `{"name", "why"}`.
        refused: files that cannot be read at all: `{"name", "why", "code"}`.
        message: why it ended early, or None.
        job: the job that reads them, or None.
        at: when they came.
    """

    delivery: int
    name: str
    state: str
    files: Sequence[Report] = ()
    n_files: int = 0
    passed: Sequence[Mapping[str, object]] = ()
    broken: Sequence[Mapping[str, object]] = ()
    refused: Sequence[Mapping[str, object]] = ()
    message: str | None = None
    job: int | None = None
    at: datetime | None = None

    @property
    def counts(self) -> dict[str, int]:
        """The sums over its files, see `sum_up`."""
        return sum_up(self.files)

    @property
    def formats(self) -> dict[str, int]:
        """Its entries by format, see `by_format`."""
        return by_format(self.files)

    def as_json(self) -> dict[str, object]:
        """The shape of the API's `report`; of very many files the first thousand are listed."""
        return {
            "delivery": self.delivery,
            "name": self.name,
            "state": self.state,
            "message": self.message,
            **self.counts,
            "formats": self.formats,
            "job": self.job,
            "n_files": self.n_files,
            "files": [report.as_json() for report in self.files[:_MOST_LISTED]],
            "passed": list(self.passed),
            "broken": list(self.broken),
            "refused": list(self.refused),
        }


@dataclass(frozen=True, slots=True)
class Arrived:
    """One line of the list of what came in: a source that came alone, or a delivery with the sums of its sources."""

    name: str
    source: int | None
    delivery: int | None
    n_files: int
    new: int
    repeated: int
    quarantined: int
    n_bytes: int | None
    state: str
    at: datetime


@dataclass(slots=True)
class _Taken:
    """Everything that there is to read, and what is not read."""

    found: list[Found] = field(default_factory=list)
    passed: list[dict[str, object]] = field(default_factory=list)
    broken: list[dict[str, object]] = field(default_factory=list)
    refused: list[dict[str, object]] = field(default_factory=list)

    def add(self, more: Intake) -> None:
        self.found += more.found
        self.passed += [{"name": one.name, "why": one.why, "n_files": one.n_files} for one in more.passed]
        self.broken += [{"name": one.name, "why": one.why} for one in more.broken]

    def refuse(self, name: str, error: AppError) -> None:
        self.refused.append({"name": name, "why": error.message, "code": error.code})

    def check(self, name: str) -> None:
        """See that there is something.

        Raises:
            UnsupportedError: there is no log; the message says what was expected and what there is.

        """
        if self.found or self.broken or self.refused:
            return
        there = "; ".join(f"{one['name']}: {str(one['why']).removesuffix(f' {EXPECTED}.')}" for one in self.passed[:3])
        raise UnsupportedError(f"{name} holds no log. {EXPECTED}." + (f" There is: {there}" if there else ""))

    def sizes(self) -> list[int]:
        """How many bytes there are to read, file by file."""
        return [one.path.stat().st_size if one.path.is_file() else 0 for one in self.found]


@dataclass(slots=True)
class _Part:
    """The progress of one file, as progress of the whole."""

    whole: Progress
    total: int
    before: int = 0

    def __call__(self, done: int, _: int) -> None:
        """Note how far this file is."""
        self.whole(min(self.before + done, self.total), self.total)


# ------------------------------------------------------------------------------------------------ reports


def sum_up(reports: Iterable[Report]) -> dict[str, int]:
    """One count over several reports: `{"entries": 120, "new": 118, …}`."""
    listed = list(reports)
    return {name: sum(getattr(report, name) for report in listed) for name in COUNTS}


def by_format(reports: Iterable[Report]) -> dict[str, int]:
    """How many entries there were of each format, by its label: `{"success log": 391, "run history": 152}`."""
    found: Counter[str] = Counter()
    for report in reports:
        if report.format in READERS:
            found[READERS[report.format].label] += report.entries
    return dict(found.most_common())


def sources_of(reports: Iterable[Report | DeliveryReport]) -> list[int]:
    """The ids of the sources that reports speak of."""
    return [
        one.source for report in reports for one in (report.files if isinstance(report, DeliveryReport) else [report])
    ]


def add_up(
    session: Session,
    project_id: int,
    reports: Iterable[Report | DeliveryReport],
    refused: Iterable[Mapping[str, object]] = (),
) -> dict[str, Any]:
    """One report over all that was given, as it stands now, in the shape of the API's.

    Args:
        session: to look again: joining may have changed how many candidates there are.
        project_id: theirs.
        reports: of single logs and of deliveries; the files of the latter are listed like the former.
        refused: what could not be read at all besides, `{"name", "why", "code"}`.

    """
    made: dict[str, Any] = {"files": [], "passed": [], "broken": [], "refused": list(refused)}
    for report in reports:
        if isinstance(report, Report):
            made["files"].append(sources.report_of(session, sources.get_source(session, report.source)))
            continue
        found = get_report(session, project_id, report.delivery)
        for name in made:
            made[name] += getattr(found, name)
    listed = [report.as_json() for report in made["files"]]
    sums = {**sum_up(made["files"]), "formats": by_format(made["files"])}
    return {**sums, "job": None, **made, "n_files": len(listed), "files": listed}


def get_report(session: Session, project_id: int, delivery_id: int) -> DeliveryReport:
    """What became of a delivery's files, as it stands now.

    Raises:
        NotFoundError: no such delivery in this project.

    """
    row = session.get(DeliveryRow, delivery_id) if is_id(delivery_id) else None
    if row is None or row.project_id != project_id:
        raise NotFoundError(f"There is no delivery {delivery_id}.")
    return DeliveryReport(
        delivery=delivery_id,
        name=row.name,
        state="reading" if row.finished_at is None else "done",
        files=sources.reports_of_delivery(session, delivery_id),
        n_files=row.n_files,
        passed=row.passed,
        broken=row.broken,
        refused=row.refused,
        message=row.message,
        at=row.created_at,
    )


def list_arrived(session: Session, project_id: int, limit: int = 50) -> list[Arrived]:
    """What came in, the newest first: files that came together are one line."""
    found = [
        Arrived(
            one.name, one.id, None, 1, one.n_new, one.n_repeated, one.n_quarantined, one.n_bytes, one.state,
            one.created_at,
        )
        for one in sources.list_sources(session, project_id, limit)
    ]  # fmt: skip
    of = SourceRow
    wanted = (
        select(DeliveryRow, *(func.sum(column) for column in (of.n_new, of.n_repeated, of.n_quarantined, of.n_bytes)))
        .outerjoin(of, col(of.delivery_id) == col(DeliveryRow.id))
        .where(col(DeliveryRow.project_id) == project_id)
        .group_by(col(DeliveryRow.id))
        .order_by(col(DeliveryRow.id).desc())
        .limit(limit)
    )
    for row, *sums in session.execute(wanted):
        new, repeated, quarantined, n_bytes = (int(one or 0) for one in sums)
        state = "reading" if row.finished_at is None else "done"
        found.append(
            Arrived(
                row.name, None, row.id, row.n_files, new, repeated, quarantined, n_bytes, state, row.created_at
            )
        )  # fmt: skip
    return sorted(found, key=lambda one: one.at, reverse=True)[:limit]


def check_format(name: str | None) -> str | None:
    """The format that a person forces, or None where it is to be recognised.

    Raises:
        BadInputError: there is no such format; the message lists them.

    """
    if name and name not in READERS:
        raise BadInputError(f"There is no format {name[:40]!r}; there are {', '.join(READERS)}.", where="field format")
    return name or None


# ------------------------------------------------------------------------------------------------ from the web


def receive(
    db: Database,
    settings: Settings,
    project_id: int,
    uploads: Sequence[Upload],
    *,
    n_left: int = 0,
    now: Callable[[], datetime],
) -> Report | DeliveryReport:
    """Take in what was sent: one log, one archive, many files, a folder's; what is small at once, the rest as a job.

    Args:
        db: the database.
        settings: limits and folders.
        project_id: where the candidates go.
        uploads: the files, one or more; the names of a folder's files hold slashes. The bytes are moved away.
        n_left: how many further files the browser left where they were, because no log is called so.
        now: gives an aware UTC instant.

    Returns:
        The report of the one log, or of all files together.

    Raises:
        UnsupportedError: nothing in it is a log; nothing was stored.
        AppError: the one log, or the one archive, is refused.

    """
    first = uploads[0]
    if len(uploads) == 1 and not archives.is_archive(first.path):
        return ingest.receive(db, settings, project_id, first, now=now)
    like = replace(first, name=_name_of(uploads))
    is_small = sum(one.path.stat().st_size for one in uploads) <= settings.inline_bytes
    folder = settings.data_dir / "uploads" / secrets.token_hex(16)
    packed = _lay_down(folder, uploads)
    try:
        if is_small:
            taken = _gather(folder, packed, n_left, settings)
            taken.check(like.name)
            is_small = sum(taken.sizes()) <= settings.inline_bytes
        elif len(packed) == len(uploads) == 1:
            archives.check(folder / "archive-0", settings)
        if is_small:
            return _read_now(db, settings, project_id, folder, taken, like, now)
    except AppError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    args: dict[str, object] = {
        "folder": str(folder), "archives": packed, "n_left": n_left, "name": like.name, "origin": like.origin,
        "format": like.format, "delivery": _open(db, project_id, like, now()),
    }  # fmt: skip
    with db.write() as session:
        job = jobs.enqueue(session, project_id, KIND, args, now=now())
        return DeliveryReport(int(str(args["delivery"])), like.name, job.state, job=job.id)


def _read_now(
    db: Database,
    settings: Settings,
    project_id: int,
    folder: Path,
    taken: _Taken,
    like: Upload,
    now: Callable[[], datetime],
) -> DeliveryReport:
    delivery_id = _open(db, project_id, like, now())
    _read_all(db, settings, project_id, taken, replace(like, delivery=delivery_id), now=now)
    ingest.finish(db, project_id, now=now)
    shutil.rmtree(folder, ignore_errors=True)
    with db.read() as session:
        return get_report(session, project_id, delivery_id)


def _name_of(uploads: Sequence[Upload]) -> str:
    """What a delivery goes by: the one archive, the one folder, or how many files."""
    if len(uploads) == 1:
        return shown_name(uploads[0].name)
    folders = {one.name.partition("/")[0] if "/" in one.name else "" for one in uploads}
    return shown_name(folders.pop()) if len(folders) == 1 and "" not in folders else f"{len(uploads):,} files"


def _lay_down(folder: Path, uploads: Sequence[Upload]) -> list[str]:
    """Move everything into one folder; gives the names of the archives, which come to lie beside the other files."""
    packed = [one for one in uploads if "/" not in one.name and archives.is_archive(one.path)]
    others = [(one.name, one.path) for one in uploads if one not in packed]
    try:
        archives.make_folder(folder)
        for number, one in enumerate(packed):
            shutil.move(one.path, folder / f"archive-{number}")
        if others:
            intake.place_dropped(others, folder / _DROPPED)
    except OSError as error:
        _sweep(folder, uploads)
        raise NotStoredError(f"The files were not stored: {error.strerror}.") from error
    except AppError:
        _sweep(folder, uploads)
        raise
    return [shown_name(one.name) for one in packed]


def _sweep(folder: Path, uploads: Iterable[Upload]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for one in uploads:
        one.path.unlink(missing_ok=True)


def _gather(folder: Path, packed: Sequence[str], n_left: int, settings: Settings) -> _Taken:
    """Look through everything that was laid down; of several things, one that is refused costs the others nothing."""
    taken = _Taken()
    dropped = folder / _DROPPED
    if dropped.exists():
        taken.add(intake.placed(dropped))
    for number, name in enumerate(packed):
        into = folder / f"unpacked-{number}"
        try:
            taken.add(intake.unpack(folder / f"archive-{number}", into, settings, name=name))
        except AppError as error:
            if len(packed) == 1 and not dropped.exists():
                raise
            taken.refuse(name, error)
    if n_left:
        why = "They stayed where they are: no log is called as they are."
        taken.add(Intake((), (Passed(f"{n_left:,} further files", why, n_left),)))
    return taken


def run_job(
    db: Database, settings: Settings, job: JobRow, report: jobs.Reporter, *, now: Callable[[], datetime]
) -> DeliveryReport:
    """Read what `receive` laid down; begun anew, it goes on.

    Raises:
        AppError: the archive is refused, or nothing in it is a log.
        CancelledError: somebody asked the job to stop; what was read stays.
        StoppedError: the worker is going down.

    """
    said = {name: str(value) for name, value in job.args.items()}
    folder, delivery_id = Path(said["folder"]), int(said["delivery"])
    forced = said["format"] if job.args["format"] else None
    like = Upload(folder, said["name"], said["origin"], format=forced, delivery=delivery_id)
    packed = [str(name) for name in cast("list[object]", job.args["archives"])]
    taken = _Taken()
    try:
        taken = _gather(folder, packed, int(said["n_left"]), settings)
        taken.check(like.name)
        _read_all(db, settings, job.project_id, taken, like, now=now, progress=report)
    except (AppError, jobs.CancelledError) as error:
        message = error.message if isinstance(error, AppError) else "Cancelled. What was read before stays."
        _end(db, delivery_id, taken, now(), message)
        with db.write() as session:
            jobs.enqueue(session, job.project_id, jobs.IN_BACKGROUND, {}, now=now(), once=True)
        shutil.rmtree(folder, ignore_errors=True)
        raise
    ingest.finish(db, job.project_id, now=now)
    shutil.rmtree(folder, ignore_errors=True)
    with db.read() as session:
        return get_report(session, job.project_id, delivery_id)


# ------------------------------------------------------------------------------------------------ from a terminal


def read_path(
    db: Database,
    settings: Settings,
    project_id: int,
    given: Upload,
    *,
    now: Callable[[], datetime],
    progress: Progress | None = None,
) -> Report | DeliveryReport:
    """Read what a path names: a log, an archive, a folder. The caller joins what came in, with `ingest.finish`.

    Args:
        db: the database.
        settings: limits and folders.
        project_id: where the candidates go.
        given: the path, the name that its files' names begin with, their origin, the format that was forced.
        now: gives an aware UTC instant.
        progress: called now and then with (bytes read, bytes in all).

    Raises:
        UnsupportedError: nothing in it is a log.
        AppError: the one log, or the archive, is refused.

    """
    spool = settings.data_dir / "uploads"
    spool.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=spool) as folder:
        into = Path(folder) / "unpacked"
        found = intake.point_at(given.path, into, settings, name=given.name)
        if not given.path.is_dir() and not into.exists():
            (one,) = found.found
            upload = replace(given, name=one.name, format=given.format or one.format, files=one.files)
            return ingest.read_file(db, settings, project_id, upload, now=now, progress=progress)
        taken = _Taken()
        taken.add(found)
        called = replace(given, name=given.name or shown_name(given.path.resolve().name))
        taken.check(called.name)
        delivery_id = _open(db, project_id, called, now())
        _read_all(db, settings, project_id, taken, replace(given, delivery=delivery_id), now=now, progress=progress)
    with db.read() as session:
        return get_report(session, project_id, delivery_id)


# ------------------------------------------------------------------------------------------------ reading


def _open(db: Database, project_id: int, like: Upload, now: datetime) -> int:
    with db.write() as session:
        row = DeliveryRow(project_id=project_id, name=like.name, origin=like.origin, created_at=now)
        session.add(row)
        session.flush()
        return row.id or 0


def _read_all(
    db: Database,
    settings: Settings,
    project_id: int,
    taken: _Taken,
    like: Upload,
    *,
    now: Callable[[], datetime],
    progress: Progress | None = None,
) -> None:
    """Read what is not in yet; a file that is refused costs the others nothing."""
    delivery_id, sizes = like.delivery or 0, taken.sizes()
    with db.write() as session:
        row = session.get_one(DeliveryRow, delivery_id)
        row.n_files, row.passed, row.broken = len(taken.found), taken.passed, taken.broken
        session.add(row)
        done = (col(SourceRow.delivery_id) == delivery_id, col(SourceRow.state) == SourceState.DONE)
        names = set(session.execute(select(SourceRow.name).where(*done)).scalars())  # type: ignore[call-overload]
    part = _Part(progress, sum(sizes)) if progress is not None else None
    for found, n_bytes in zip(taken.found, sizes, strict=True):
        if shown_name(found.name) not in names:
            try:
                files = _kept(found, taken, settings)
                upload = replace(
                    like, path=found.path, name=found.name, format=found.format or like.format, files=files
                )
                ingest.read_file(db, settings, project_id, upload, now=now, progress=part)
            except AppError as error:
                taken.refuse(found.name, error)
            except OSError as error:
                taken.refuse(found.name, BadInputError(f"It cannot be read: {error.strerror}."))
        if part is not None:
            part.before += n_bytes
            part(0, 0)
    _end(db, delivery_id, taken, now())


def _kept(found: Found, taken: _Taken, settings: Settings) -> Mapping[str, Path]:
    """The files of a patch set that are taken in with it; they come into memory together, so not any number of them."""
    kept: dict[str, Path] = {}
    left = settings.max_line_bytes
    for name, path in sorted(found.files.items()):
        left -= path.stat().st_size
        if left < 0 or len(kept) == _MOST_SET_FILES:
            below = found.name.rpartition("/")[0]
            why = (
                f"Left out: its patch set holds more than {_MOST_SET_FILES} files or {settings.max_line_bytes:,} bytes."
            )
            taken.broken.append({"name": f"{below}/{name}", "why": why})
        else:
            kept[name] = path
    return kept


def _end(db: Database, delivery_id: int, taken: _Taken, now: datetime, message: str | None = None) -> None:
    """Note that no more comes, what was refused, and why it ended early if it did."""
    with db.write() as session:
        row = session.get_one(DeliveryRow, delivery_id)
        row.broken, row.refused, row.message, row.finished_at = taken.broken, taken.refused, message, now
        session.add(row)
