"""Long work as rows: progress, cancel, and again after a crash. The worker claims them; pages show them.

Why a claim on the row itself and not a task library: docs/decisions/0008.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlmodel import Session, col

from app.db import Database, is_id
from app.errors import ConflictError, NotFoundError
from app.models import JobRow, JobState, WorkerRow

STALE = timedelta(seconds=30)
_FORGOTTEN = timedelta(days=1)
IN_BACKGROUND = "prepare"
_HEARTBEAT_SECONDS = 1.0
_MOST_ATTEMPTS = 3


class CancelledError(Exception):
    """The job was asked to stop."""


class StoppedError(Exception):
    """The worker must end; the job goes back in line."""


class TakenError(StoppedError):
    """Another worker has the job: this one fell silent for so long that it was taken for dead."""


def enqueue(
    session: Session, project_id: int, kind: str, args: dict[str, object], *, now: datetime, once: bool = False
) -> JobRow:
    """Put work in line; with `once`, a job of this kind that waits already is given back instead."""
    if once:
        waiting: JobRow | None = session.execute(
            select(JobRow).where(
                col(JobRow.project_id) == project_id, col(JobRow.kind) == kind, col(JobRow.state) == JobState.QUEUED
            )
        ).scalar()
        if waiting is not None:
            return waiting
    job = JobRow(project_id=project_id, kind=kind, args=args, created_at=now)
    session.add(job)
    session.flush()
    return job


def get_job(session: Session, project_id: int, job_id: int) -> JobRow:
    """The job.

    Raises:
        NotFoundError: no such job in this project.

    """
    job = session.get(JobRow, job_id) if is_id(job_id) else None
    if job is None or job.project_id != project_id:
        raise NotFoundError(f"There is no job {job_id}.")
    return job


def list_jobs(session: Session, project_id: int, kind: str | None = None, limit: int = 50) -> list[JobRow]:
    """The newest jobs first."""
    wanted = select(JobRow).where(col(JobRow.project_id) == project_id).order_by(col(JobRow.id).desc()).limit(limit)
    if kind is not None:
        wanted = wanted.where(col(JobRow.kind) == kind)
    return list(session.execute(wanted).scalars())


def find_unfinished(session: Session, project_id: int, kind: str) -> JobRow | None:
    """A job of this kind that waits or runs, or None."""
    return next(iter(list_unfinished(session, project_id, kind)), None)


def list_unfinished(session: Session, project_id: int, kind: str) -> list[JobRow]:
    """The jobs of this kind that wait or run, the oldest first."""
    unfinished = (JobState.QUEUED, JobState.RUNNING)
    wanted = (
        select(JobRow)
        .where(col(JobRow.state).in_(unfinished), col(JobRow.project_id) == project_id, col(JobRow.kind) == kind)
        .order_by(col(JobRow.id))
    )
    return list(session.execute(wanted).scalars())


def cancel(session: Session, project_id: int, job_id: int, *, now: datetime) -> JobRow:
    """Ask a job to stop: one that waits ends at once, one that runs ends at its next step.

    Raises:
        NotFoundError: no such job.
        ConflictError: it has ended already.

    """
    # A worker that takes it at this instant comes before, or finds it ended.
    if is_id(job_id):
        session.get(JobRow, job_id, with_for_update=True)
    job = get_job(session, project_id, job_id)
    if job.state not in {JobState.QUEUED, JobState.RUNNING}:
        raise ConflictError(f"Job {job_id} is {job.state} already; there is nothing to cancel.")
    job.cancel_requested = True
    if job.state == JobState.QUEUED:
        job.state, job.finished_at, job.message = JobState.CANCELLED, now, "Cancelled before it began."
    session.add(job)
    return job


def is_claimable(now: datetime) -> ColumnElement[bool]:
    """In SQL: a job that waits for a worker, or whose worker fell silent."""
    silent = (col(JobRow.state) == JobState.RUNNING) & (col(JobRow.heartbeat_at) < now - STALE)
    return (col(JobRow.state) == JobState.QUEUED) | silent


def is_any_waiting(session: Session, *, now: datetime, but: str = "") -> bool:
    """Whether `claim` would find something, of another kind than `but`."""
    wanted = select(col(JobRow.id)).where(is_claimable(now), col(JobRow.kind) != but).limit(1)
    return session.execute(wanted).scalar() is not None


def claim(
    session: Session,
    worker: str,
    *,
    now: datetime,
    kind: str = "",
    project_id: int | None = None,
    only: int | None = None,
) -> JobRow | None:
    """Take the oldest job that waits, or whose worker fell silent; None when nothing waits.

    What nobody waits for (`IN_BACKGROUND`) comes last.

    Args:
        session: holds the write lock.
        worker: who takes it.
        now: the instant.
        kind: only work of this kind.
        project_id: only this project's.
        only: this one and no other.

    """
    wanted = select(JobRow).where(is_claimable(now))
    if only is not None:
        wanted = wanted.where(col(JobRow.id) == only)
    if kind:
        wanted = wanted.where(col(JobRow.kind) == kind)
    if project_id is not None:
        wanted = wanted.where(col(JobRow.project_id) == project_id)
    order = (col(JobRow.kind) == IN_BACKGROUND, col(JobRow.id))
    job: JobRow | None = session.execute(wanted.order_by(*order).limit(1).with_for_update(skip_locked=True)).scalar()
    if job is None:
        return None
    session.add(job)
    if job.attempts >= _MOST_ATTEMPTS:
        job.state, job.finished_at = JobState.FAILED, now
        job.message = f"Given up after {job.attempts} attempts: the worker or the database died each time."
        return None
    job.state, job.worker, job.heartbeat_at, job.attempts = JobState.RUNNING, worker, now, job.attempts + 1
    session.flush()
    return job


def is_held(session: Session, job: JobRow) -> bool:
    """Whether a job is still this worker's, as it was claimed; it stays so until the transaction ends."""
    mine = select(col(JobRow.id)).where(*_is_held(job.id or 0, job.worker))
    return session.execute(mine.with_for_update()).first() is not None


def _is_held(job_id: int, worker: str | None) -> tuple[ColumnElement[bool], ...]:
    return col(JobRow.id) == job_id, col(JobRow.worker) == worker, col(JobRow.state) == JobState.RUNNING


def put_back(session: Session, job_id: int) -> None:
    """Give a job back that a worker could not end because it was told to stop; this is no failed attempt."""
    job = session.get_one(JobRow, job_id)
    job.state, job.attempts = JobState.QUEUED, job.attempts - 1
    session.add(job)


def lay_down(session: Session, job_id: int) -> None:
    """Give a job back that was broken off because the database went away; this counts as an attempt."""
    job = session.get_one(JobRow, job_id)
    if job.state == JobState.RUNNING:
        job.state = JobState.QUEUED
        session.add(job)


def release_orphans(session: Session, worker_prefix: str) -> None:
    """Put back what this machine's former worker was at when it died, without waiting for its heartbeat to age."""
    session.execute(
        update(JobRow)
        .where(col(JobRow.state) == JobState.RUNNING, col(JobRow.worker).startswith(worker_prefix, autoescape=True))
        .values(state=JobState.QUEUED)
    )


def beat(session: Session, worker: str, *, now: datetime) -> None:
    """Note that this worker is alive, and at its job, however long a step takes; who was not seen for a day is gone."""
    mine = (col(JobRow.worker) == worker, col(JobRow.state) == JobState.RUNNING)
    session.execute(update(JobRow).where(*mine).values(heartbeat_at=now))
    row = session.get(WorkerRow, worker) or WorkerRow(name=worker, started_at=now, seen_at=now)
    row.seen_at = now
    session.add(row)
    session.execute(delete(WorkerRow).where(col(WorkerRow.seen_at) < now - _FORGOTTEN))


def leave(session: Session, worker: str) -> None:
    """Note that this worker has ended as it was told to."""
    session.execute(delete(WorkerRow).where(col(WorkerRow.name) == worker))


def count_alive(session: Session, *, now: datetime) -> int:
    """Workers that were seen within `STALE`."""
    alive = select(func.count()).select_from(WorkerRow).where(col(WorkerRow.seen_at) >= now - STALE)
    return int(session.execute(alive).scalar_one())


def is_seen(session: Session, worker_prefix: str, *, now: datetime) -> bool:
    """Whether a worker whose name begins so was seen within `STALE`."""
    seen = select(col(WorkerRow.name)).where(
        col(WorkerRow.seen_at) >= now - STALE, col(WorkerRow.name).startswith(worker_prefix, autoescape=True)
    )
    return session.execute(seen.limit(1)).scalar() is not None


def find_stranded(session: Session, *, now: datetime) -> str | None:
    """A sentence when jobs have waited for longer than `STALE` and no worker is alive, else None."""
    waiting = select(func.count()).select_from(JobRow).where(is_claimable(now), col(JobRow.created_at) < now - STALE)
    n = session.execute(waiting).scalar_one()
    if not n or count_alive(session, now=now):
        return None
    jobs = "1 job waits" if n == 1 else f"{n:,} jobs wait"
    return f"{jobs}, and no worker is alive. The server's log says why it died; start one with: patchsift worker"


class Reporter:
    """Writes a running job's progress, at most once a second, and raises when the job was asked to stop."""

    def __init__(
        self,
        db: Database,
        job: JobRow,
        now: Callable[[], datetime],
        stop: Callable[[], bool],
        shown: Callable[[int, int], None] | None = None,
    ) -> None:
        self._db = db
        self._shown = shown
        self._job_id, self._worker = job.id or 0, job.worker
        self._done_before = job.done
        self._now = now
        self._stop = stop
        self._next = 0.0

    def __call__(self, done: int, total: int, message: str | None = None) -> None:
        """Note how far the work is.

        Raises:
            CancelledError: somebody asked the job to stop.
            TakenError: another worker has it.
            StoppedError: the worker is going down.

        """
        if self._stop():
            raise StoppedError
        if self._shown is not None:
            self._shown(done, total)
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _HEARTBEAT_SECONDS
        values: dict[str, object] = {"done": done, "total": total, "heartbeat_at": self._now()}
        if message is not None:
            values["message"] = message
        if done > self._done_before:
            # Only deaths without progress count: a machine that was switched off three times is no fault of the job.
            values["attempts"] = 0
        with self._db.write() as session:
            asked = session.execute(
                update(JobRow)
                .where(*_is_held(self._job_id, self._worker))
                .values(**values)
                .returning(col(JobRow.cancel_requested))
            ).scalar()
        if asked is None:
            raise TakenError
        if asked:
            raise CancelledError


def finish(
    session: Session,
    job_id: int,
    state: JobState,
    message: str,
    *,
    now: datetime,
    result: dict[str, object] | None = None,
) -> None:
    """End a job; what is done becomes what there was to do."""
    job = session.get_one(JobRow, job_id)
    job.state, job.message, job.finished_at, job.result = state, message, now, result
    if state == JobState.DONE:
        job.done = job.total = max(job.total, 1)
    session.add(job)
