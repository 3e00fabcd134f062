"""Figures for Prometheus, on an address of their own, so that no login and no reviewer's page is touched by it.

Each web server and each worker counts for itself and is asked for itself; what stands in the database (jobs,
candidates, workers alive) every one of them says alike.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlmodel import Session, col

from app import jobs
from app.db import AWAY, Database
from app.errors import AppError, UnsupportedError
from app.models import JobRow, JobState, TallyRow

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_JOB_SECONDS = (0.1, 1.0, 10.0, 60.0, 600.0, 3600.0)


class Meters:
    """The counters of this process; `listen` lets Prometheus read them.

    Args:
        db: asked at each reading.

    Raises:
        UnsupportedError: prometheus-client is not installed.

    """

    def __init__(self, db: Database) -> None:
        library = _library()
        self.registry: CollectorRegistry = library.CollectorRegistry()
        library.ProcessCollector(registry=self.registry)
        self.registry.register(_Stored(db, library))
        self._requests = library.Histogram(
            "patchsift_request_seconds",
            "Requests by method, route pattern and status.",
            ("method", "route", "status"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._jobs = library.Histogram(
            "patchsift_job_seconds",
            "Jobs that this worker ended, by kind and state.",
            ("kind", "state"),
            buckets=_JOB_SECONDS,
            registry=self.registry,
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def job(self, kind: str, state: str, seconds: float) -> None:
        """Count a job that has ended."""
        self._jobs.labels(kind, state).observe(seconds)

    def listen(self, address: str) -> int:
        """Answer Prometheus on `HOST:PORT` from a thread; gives the port.

        Raises:
            AppError: the address is none, or cannot be had.

        """
        host, _, port = address.rpartition(":")
        if not host or not port.isascii() or not port.isdigit():
            raise AppError(f"PATCHSIFT_METRICS={address!r} is no address. Write HOST:PORT, such as 127.0.0.1:9464.")
        try:
            server, _thread = _library().start_http_server(int(port), host.strip("[]"), self.registry)
        except (OSError, OverflowError) as error:
            raise AppError(f"PATCHSIFT_METRICS={address!r} cannot be had: {error}. Choose another port.") from error
        return int(server.server_port)


def _library() -> Any:  # noqa: ANN401  the library is optional
    try:
        import prometheus_client  # noqa: PLC0415
    except ImportError as error:
        raise UnsupportedError("Metrics need prometheus-client: pip install 'patchsift[metrics]'.") from error
    return prometheus_client


class _Stored:
    """What stands in the database, read when Prometheus asks; `patchsift_database_up 0` when it does not answer."""

    def __init__(self, db: Database, library: Any) -> None:  # noqa: ANN401
        self._db = db
        self._gauge = library.metrics_core.GaugeMetricFamily

    def describe(self) -> list[object]:
        """Nothing beforehand: to be registered must not ask the database."""
        return []

    def collect(self) -> Iterator[object]:
        up = self._gauge("patchsift_database_up", "1 when the database answers.")
        try:
            with self._db.read() as session:
                found = list(self._read(session))
        except AWAY:
            found = []
        up.add_metric([], 1 if found else 0)
        yield up
        yield from found

    def _read(self, session: Session) -> Iterator[object]:
        now = datetime.now(UTC)
        candidates = self._gauge("patchsift_candidates", "Candidates by status.", labels=["status"])
        tally = select(col(TallyRow.status), func.sum(col(TallyRow.n))).group_by(col(TallyRow.status))
        for status, n in session.execute(tally):
            candidates.add_metric([status], n)
        yield candidates
        waiting = self._gauge("patchsift_jobs", "Jobs that wait or run.", labels=["state"])
        open_states = (JobState.QUEUED, JobState.RUNNING)
        counted = select(col(JobRow.state), func.count()).where(col(JobRow.state).in_(open_states))
        by_state = {row[0]: row[1] for row in session.execute(counted.group_by(col(JobRow.state)))}
        for state in open_states:
            waiting.add_metric([state], by_state.get(state, 0))
        yield waiting
        yield self._gauge(
            "patchsift_workers", "Workers seen within half a minute.", value=jobs.count_alive(session, now=now)
        )
        oldest = session.execute(select(func.min(col(JobRow.created_at))).where(col(JobRow.state) == JobState.QUEUED))
        since = oldest.scalar()
        age = 0.0 if since is None else (now - since).total_seconds()
        yield self._gauge("patchsift_oldest_job_seconds", "How long the oldest job in line has waited.", value=age)
