"""The worker: claims jobs one at a time and runs them, beside the web server, until it is told to stop."""

import ctypes
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select
from sqlmodel import Session, col

from app import (
    audit,
    bulk,
    deliveries,
    groups,
    ingest,
    jobs,
    joining,
    migrations,
    prepare,
    retention,
    review,
    sources,
    webhooks,
)
from app.db import AWAY, Database, reason_of, refuse_unsafe
from app.errors import AppError, NotStoredError
from app.installations import refuse_moved
from app.metrics import Meters
from app.models import CandidateRow, JobRow, JobState
from app.settings import Settings

log = logging.getLogger("patchsift.worker")

Result = tuple[str, dict[str, object]]
_IDLE_SECONDS = 0.4
_POST_SECONDS = 1.0
_BEAT_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 5.0
_SWEEP_SECONDS = 3600.0


def now() -> datetime:
    """The instant, aware."""
    return datetime.now(UTC)


def _ingest(db: Database, settings: Settings, job: JobRow, report: jobs.Reporter) -> Result:
    path = Path(str(job.args["path"]))
    forced = job.args.get("format")
    upload = ingest.Upload(
        path, str(job.args["name"]), origin=str(job.args["origin"]), format=str(forced) if forced else None
    )
    read = ingest.read_file(db, settings, job.project_id, upload, now=now, progress=report)
    path.unlink(missing_ok=True)
    ingest.finish(db, job.project_id, now=now)
    read = sources.get_report(db, read.source)
    return f"{read.entries:,} lines: {read.new:,} new, {read.quarantined:,} quarantined", {"report": read.as_json()}


def _deliver(db: Database, settings: Settings, job: JobRow, report: jobs.Reporter) -> Result:
    read = deliveries.run_job(db, settings, job, report, now=now)
    counts = read.counts
    message = f"{read.n_files:,} files: {counts['new']:,} new, {counts['quarantined']:,} quarantined"
    return message, {"report": read.as_json()}


def _prepare(db: Database, _: Settings, job: JobRow, report: jobs.Reporter) -> Result:

    def step(done: int, total: int) -> None:
        report(done, total)
        with db.read() as session:
            if jobs.is_any_waiting(session, now=now(), but=jobs.IN_BACKGROUND):
                raise jobs.StoppedError

    joining.run(db, job.project_id)
    done = prepare.run(db, progress=step)
    groups.keep_up_all(db, progress=step)
    with db.write() as session:
        _renew_groups(session)
    return f"{done:,} candidates checked", {"checked": done}


def _groups(db: Database, settings: Settings, job: JobRow, report: jobs.Reporter) -> Result:
    finder = groups.make_finder(settings.data_dir / "bulk", job.args)
    done = groups.rebuild(db, job.project_id, finder=finder, progress=report)
    with db.read() as session:
        counts = groups.count(session, job.project_id)
    return f"{done:,} candidates: {counts.in_words()}", dict(groups.as_json(counts))


def _export(db: Database, settings: Settings, job: JobRow, report: jobs.Reporter) -> Result:
    from app import parcels  # noqa: PLC0415  (the writers are slow to import and rarely needed)

    result = parcels.run_job(db, settings, job, report)
    warnings = result["warnings"]
    return ". ".join((f"{result['rows']:,} rows", *(warnings if isinstance(warnings, list) else ()))), result


def _release(db: Database, settings: Settings, job: JobRow, report: jobs.Reporter) -> Result:
    from app import releases  # noqa: PLC0415

    result = releases.run_job(db, settings, job, report, now=now)
    return f"Release {result['release']}: {result.get('rows', 0):,} rows", result


def _bulk(db: Database, _: Settings, job: JobRow, report: jobs.Reporter) -> Result:
    return bulk.RUN[job.kind](db, job, report)


def _preview(db: Database, settings: Settings, job: JobRow, report: jobs.Reporter) -> Result:
    from app import releases  # noqa: PLC0415

    result = releases.run_preview(db, settings, job, report)
    return "Counted", result


KINDS: Mapping[str, Callable[[Database, Settings, JobRow, jobs.Reporter], Result]] = {
    "ingest": _ingest,
    deliveries.KIND: _deliver,
    "prepare": _prepare,
    groups.KIND: _groups,
    "export": _export,
    "release": _release,
    "preview": _preview,
    bulk.KIND: _bulk,
    review.UNDO_KIND: _bulk,
}


def run(
    db: Database,
    settings: Settings,
    *,
    stop: Callable[[], bool],
    until_idle: bool = False,
    meters: Meters | None = None,
) -> None:
    """Run jobs until `stop()` says so, or, with `until_idle`, until none is left.

    A PostgreSQL that is away is waited for.

    Args:
        db: the worker's own database; migrated by the server that started it, which is waited for.
        settings: folders and limits.
        stop: asked between jobs and at every step of one.
        until_idle: for tests and one-off runs.
        meters: count every job, where somebody reads the figures.

    Raises:
        AppError: the database may lose what it acknowledged.

    """
    pause = _IDLE_SECONDS
    while not stop():
        try:
            _run(db, settings, stop, meters, until_idle=until_idle)
        except AWAY as error:
            if db.is_sqlite:
                raise
            log.warning("the database is away; trying again in %.1f s: %s", pause, reason_of(error))
        else:
            return
        _wait(pause, stop)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _wait(seconds: float, stop: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stop():
        time.sleep(min(_IDLE_SECONDS, seconds))


def _run(
    db: Database, settings: Settings, stop: Callable[[], bool], meters: Meters | None, *, until_idle: bool
) -> None:
    name = f"{socket.gethostname()}:"
    while migrations.current(db) != migrations.HEAD:
        if stop():
            return
        time.sleep(_IDLE_SECONDS)
    refuse_unsafe(db)
    refuse_moved(db)
    _pick_up(db, name)
    name += str(os.getpid())
    if until_idle:
        _take_jobs(db, settings, name, stop, meters, until_idle=True)
        webhooks.send_due(db, settings, now=now)
        return
    with _seen(db, name), _posted(db, settings):
        _take_jobs(db, settings, name, stop, meters, until_idle=False)


@contextmanager
def _seen(db: Database, name: str) -> Iterator[None]:
    """Say every few seconds that this worker is alive, whatever its job is at."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(_BEAT_SECONDS):
            _tell_alive(db, name)

    _tell_alive(db, name)
    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield
    finally:
        ended.set()
        heart.join()
        with suppress(NotStoredError, *AWAY), db.write() as session:
            jobs.leave(session, name)


@contextmanager
def _posted(db: Database, settings: Settings) -> Iterator[None]:
    """Tell webhooks what happened, whatever job the worker is at; a slow endpoint delays nothing but webhooks."""
    ended = threading.Event()

    def post() -> None:
        while not ended.wait(_POST_SECONDS):
            try:
                webhooks.send_due(db, settings, now=now)
            except (NotStoredError, *AWAY) as error:
                log.warning("webhooks wait: %s", error)
            except Exception:
                log.exception("webhooks failed; they are tried again")

    thread = threading.Thread(target=post, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _tell_alive(db: Database, name: str) -> None:
    # A full disk or a database that is away is the job's to tell, or the loop's.
    with suppress(NotStoredError, *AWAY), db.write() as session:
        jobs.beat(session, name, now=now())


def _take_jobs(
    db: Database,
    settings: Settings,
    name: str,
    stop: Callable[[], bool],
    meters: Meters | None,
    *,
    until_idle: bool,
) -> None:
    next_sweep = 0.0
    while not stop():
        job = _claim(db, name)
        if job is not None:
            began = time.perf_counter()
            state = run_one(db, settings, job, stop)
            _tell_ended(job, state, time.perf_counter() - began, meters)
            _give_back_memory()
        elif until_idle:
            return
        else:
            if time.monotonic() >= next_sweep:
                next_sweep = time.monotonic() + _SWEEP_SECONDS
                retention.run(db, settings, audit.Actor(None, "worker", name), now=now())
            time.sleep(_IDLE_SECONDS)


def _give_back_memory() -> None:
    """Let the system have what the last job left: glibc keeps what lies between two texts that live longer.

    Otherwise a worker stays as large as its largest job was, though nothing is kept. Other systems do this by
    themselves, or know no such call.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def _pick_up(db: Database, name: str) -> None:
    """Go on where a worker that died, or an older version, left off."""
    prepare.forget_old_checks(db)
    with db.write() as session:
        if db.is_sqlite:
            jobs.release_orphans(session, name)
        unchecked = select(col(CandidateRow.project_id)).where(col(CandidateRow.checks_version) == 0).limit(1)
        project_id = session.execute(unchecked).scalar()
        if project_id is not None:
            jobs.enqueue(session, project_id, "prepare", {}, now=now(), once=True)
        _renew_groups(session)


def _renew_groups(session: Session) -> None:
    """See to it that groups are made anew that an older version made, or that nobody finished."""
    for project_id in groups.list_outdated(session):
        if jobs.find_unfinished(session, project_id, groups.KIND) is None:
            jobs.enqueue(session, project_id, groups.KIND, {}, now=now())


def _claim(db: Database, name: str) -> JobRow | None:
    # A look that needs no lock first: an idle worker must not stand in the writers' line twice a second.
    with db.read() as session:
        if not jobs.is_any_waiting(session, now=now()):
            return None
    from app import releases  # noqa: PLC0415

    with db.write() as session:
        job = jobs.claim(session, name, now=now())
        if job is None:  # given up, perhaps
            releases.bury(session)
        return job


def run_one(
    db: Database,
    settings: Settings,
    job: JobRow,
    stop: Callable[[], bool],
    shown: Callable[[int, int], None] | None = None,
) -> JobState:
    """Run one claimed job to its end; whatever it raises becomes its state and its sentence.

    Args:
        db: the worker's own database.
        settings: folders and limits.
        job: claimed by the caller.
        stop: asked at every step; the job goes back in line when it says so.
        shown: told (done, total) at every step; what it raises ends the job.

    Returns:
        What became of it; QUEUED when it went back in line, or another worker has it.

    """
    job_id = job.id or 0
    result: dict[str, object] | None = None
    try:
        message, result = KINDS[job.kind](db, settings, job, jobs.Reporter(db, job, now, stop, shown))
        state = JobState.DONE
    except jobs.CancelledError:
        state, message = JobState.CANCELLED, "Cancelled. What was finished before stays."
    except jobs.TakenError:
        return _left_to_another(job)
    except jobs.StoppedError:
        with db.write() as session:
            if jobs.is_held(session, job):
                jobs.put_back(session, job_id)
        return JobState.QUEUED
    except AppError as error:
        state, message = JobState.FAILED, error.message
    except Exception as error:
        if isinstance(error, AWAY) and not db.is_sqlite:
            log.warning("job %s (%s) goes back in line: %s", job_id, job.kind, reason_of(error))
            with db.write() as session:
                if jobs.is_held(session, job):
                    jobs.lay_down(session, job_id)
            return JobState.QUEUED
        log.exception("job %s (%s) failed", job_id, job.kind)
        state, message = JobState.FAILED, "A fault of the program stopped this job; the log says more."
    with db.write() as session:
        if not jobs.is_held(session, job):
            return _left_to_another(job)
        jobs.finish(session, job_id, state, message, now=now(), result=result)
    return state


def _left_to_another(job: JobRow) -> JobState:
    """What became of a job is said by whoever took it while this worker was silent."""
    log.warning("job %s (%s) was taken over by another worker, for this one was silent for too long", job.id, job.kind)
    return JobState.QUEUED


def _tell_ended(job: JobRow, state: JobState, seconds: float, meters: Meters | None) -> None:
    if meters is not None:
        meters.job(job.kind, state, seconds)
    said = {"job": job.id, "kind": job.kind, "state": state, "ms": round(seconds * 1000)}
    log.info("job %s (%s) %s", job.id, job.kind, state, extra={"said": said})
