"""Long work as rows: who comes first, what a stop, a cancel, a fault and a death make of it."""

import ctypes
import resource
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlmodel import select

from app import checks, jobs, review, worker
from app.db import Database
from app.errors import AppError, ConflictError, NotFoundError
from app.models import FindingRow, JobRow, JobState, RenderingRow
from app.settings import Settings
from tests.conftest import NOON, noon
from tests.logs import line, read, read_issues

Kind = Callable[[Database, Settings, JobRow, jobs.Reporter], worker.Result]


@dataclass(frozen=True)
class Line:
    """The jobs of one project."""

    db: Database
    project_id: int

    def add(self, kind: str = "ingest", **args: object) -> int:
        with self.db.write() as session:
            return jobs.enqueue(session, self.project_id, kind, args, now=NOON).id or 0

    def claim(self, after: timedelta = timedelta()) -> int | None:
        with self.db.write() as session:
            job = jobs.claim(session, "here:1", now=NOON + after)
            return None if job is None else job.id

    def get(self, job_id: int) -> JobRow:
        with self.db.read() as session:
            return jobs.get_job(session, self.project_id, job_id)

    def cancel(self, job_id: int) -> str:
        with self.db.write() as session:
            return jobs.cancel(session, self.project_id, job_id, now=NOON).state


@pytest.fixture
def waiting(db: Database, project_id: int) -> Line:
    return Line(db, project_id)


def run_as(kind: Kind, waiting: Line, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> JobRow:
    """Let a worker run one job of this kind."""
    monkeypatch.setattr(worker, "KINDS", {"test": kind})
    job_id = waiting.add("test")
    worker.run(waiting.db, settings, stop=lambda: False, until_idle=True)
    return waiting.get(job_id)


def test_the_oldest_comes_first_and_what_nobody_waits_for_last(waiting: Line) -> None:
    behind, first, second = waiting.add("prepare"), waiting.add("ingest"), waiting.add("export")

    assert [waiting.claim() for _ in range(4)] == [first, second, behind, None]


def test_a_claimed_job_says_by_whom_and_when(waiting: Line) -> None:
    waiting.add()
    job = waiting.get(waiting.claim() or 0)

    assert (job.state, job.worker, job.heartbeat_at, job.attempts) == (JobState.RUNNING, "here:1", NOON, 1)


def test_work_that_waits_once_is_not_put_in_line_twice(waiting: Line) -> None:
    with waiting.db.write() as session:
        first = jobs.enqueue(session, waiting.project_id, "prepare", {}, now=NOON, once=True).id
        again = jobs.enqueue(session, waiting.project_id, "prepare", {}, now=NOON, once=True).id
        other = jobs.enqueue(session, waiting.project_id, "ingest", {}, now=NOON, once=True).id

    assert first == again != other


def test_a_job_whose_worker_fell_silent_is_claimed_again(waiting: Line) -> None:
    job = waiting.add()
    waiting.claim()

    assert waiting.claim(jobs.STALE) is None
    assert waiting.claim(jobs.STALE + timedelta(seconds=1)) == job
    assert waiting.get(job).attempts == 2


def test_a_job_that_killed_its_worker_three_times_is_given_up(waiting: Line) -> None:
    job = waiting.add()
    for attempt in range(1, 4):
        assert waiting.claim(attempt * timedelta(minutes=1)) == job

    assert waiting.claim(timedelta(minutes=9)) is None

    assert waiting.get(job).state == JobState.FAILED
    assert waiting.get(job).message == "Given up after 3 attempts: the worker or the database died each time."


def test_jobs_that_wait_for_no_worker_are_told(waiting: Line) -> None:
    waiting.add()
    later = NOON + jobs.STALE + timedelta(seconds=1)
    with waiting.db.write() as session:
        assert jobs.find_stranded(session, now=NOON) is None
        assert (jobs.find_stranded(session, now=later) or "").startswith("1 job waits, and no worker is alive.")
        jobs.beat(session, "here:1", now=later)
        assert jobs.find_stranded(session, now=later + jobs.STALE) is None
        assert jobs.find_stranded(session, now=later + 2 * jobs.STALE) is not None
        jobs.beat(session, "here:2", now=later + timedelta(days=2))
        assert jobs.count_alive(session, now=later) == 1
        jobs.leave(session, "here:2")
        assert jobs.count_alive(session, now=later) == 0


def test_progress_between_two_deaths_counts_for_the_job(waiting: Line) -> None:
    job = waiting.add()
    for attempt in range(1, 6):
        assert waiting.claim(attempt * timedelta(minutes=1)) == job
        jobs.Reporter(waiting.db, waiting.get(job), noon, lambda: False)(attempt * 10, 100)

    assert waiting.get(job).done == 50


def test_the_same_progress_again_does_not(waiting: Line) -> None:
    job = waiting.add()
    for attempt in range(1, 4):
        assert waiting.claim(attempt * timedelta(minutes=1)) == job
        jobs.Reporter(waiting.db, waiting.get(job), noon, lambda: False)(10, 100)
    assert waiting.claim(timedelta(minutes=8)) == job

    assert waiting.claim(timedelta(minutes=9)) is None


def test_what_a_dead_worker_of_this_machine_was_at_is_put_back(waiting: Line) -> None:
    ours, others = waiting.add(), waiting.add()
    with waiting.db.write() as session:
        jobs.claim(session, "desk%_1:77", now=NOON)
        jobs.claim(session, "desk%_12:77", now=NOON)
        jobs.release_orphans(session, "desk%_1:")

    assert (waiting.get(ours).state, waiting.get(others).state) == (JobState.QUEUED, JobState.RUNNING)


def test_a_job_that_waits_is_cancelled_at_once(waiting: Line) -> None:
    job = waiting.add()

    assert waiting.cancel(job) == JobState.CANCELLED
    assert waiting.claim() is None
    with pytest.raises(ConflictError, match="is cancelled already"):
        waiting.cancel(job)


def test_a_job_that_runs_is_cancelled_at_its_next_step(
    waiting: Line, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(_: Database, __: Settings, job: JobRow, report: jobs.Reporter) -> worker.Result:
        assert waiting.cancel(job.id or 0) == JobState.RUNNING
        report(1, 2)
        raise AssertionError

    job = run_as(work, waiting, settings, monkeypatch)

    assert (job.state, job.message) == (JobState.CANCELLED, "Cancelled. What was finished before stays.")


def test_a_job_that_ends_has_its_result_and_is_whole(
    waiting: Line, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(_: Database, __: Settings, ___: JobRow, report: jobs.Reporter) -> worker.Result:
        report(3, 7, "at it")
        return "All done", {"rows": 7}

    job = run_as(work, waiting, settings, monkeypatch)

    assert (job.state, job.message, job.result) == (JobState.DONE, "All done", {"rows": 7})
    assert job.done == job.total == 7
    assert job.finished_at is not None


def test_a_job_that_cannot_be_done_says_why(waiting: Line, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*_: object) -> worker.Result:
        raise AppError("The folder is not there. Make it.")

    job = run_as(work, waiting, settings, monkeypatch)

    assert (job.state, job.message) == (JobState.FAILED, "The folder is not there. Make it.")


def test_a_fault_of_the_program_ends_the_job_and_not_the_worker(
    waiting: Line, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def work(*_: object) -> worker.Result:
        raise KeyError("inner")

    job = run_as(work, waiting, settings, monkeypatch)

    assert (job.state, "log says more" in job.message) == (JobState.FAILED, True)
    assert "inner" not in job.message
    assert "inner" in caplog.text
    assert run_as(lambda *_: ("Fine", {}), waiting, settings, monkeypatch).state == JobState.DONE


def test_a_worker_that_must_stop_gives_its_job_back(
    waiting: Line, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping: list[bool] = []

    def work(_: Database, __: Settings, ___: JobRow, report: jobs.Reporter) -> worker.Result:
        stopping.append(True)
        report(1, 2)
        raise AssertionError

    monkeypatch.setattr(worker, "KINDS", {"test": work})
    job_id = waiting.add("test")
    worker.run(waiting.db, settings, stop=lambda: bool(stopping))

    job = waiting.get(job_id)
    assert (job.state, job.attempts) == (JobState.QUEUED, 0)


def test_a_worker_whose_database_is_away_can_be_told_to_stop(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_url="postgresql://nobody@127.0.0.1:1/gone")
    db, answers = Database(settings), iter([False, False])
    stop = partial(next, answers, True)
    running = threading.Thread(target=partial(worker.run, db, settings, stop=stop), daemon=True)
    running.start()
    running.join(60)

    assert not running.is_alive()
    db.close()


def test_preparing_makes_room_for_work_that_somebody_waits_for(
    waiting: Line, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_issues(waiting.db, settings, waiting.project_id, tmp_path, *(f"Issue {n}" for n in range(70)))
    order: list[str] = []
    kinds = dict(worker.KINDS)

    def prepare_and_be_asked(db: Database, at: Settings, job: JobRow, report: jobs.Reporter) -> worker.Result:
        order.append("prepare")
        if len(order) == 1:
            waiting.add("urgent")
        return kinds["prepare"](db, at, job, report)

    def urgent(*_: object) -> worker.Result:
        order.append("urgent")
        return "Fine", {}

    monkeypatch.setattr(worker, "KINDS", {"prepare": prepare_and_be_asked, "urgent": urgent})
    waiting.add("prepare")
    worker.run(waiting.db, settings, stop=lambda: False, until_idle=True)

    assert order == ["prepare", "urgent", "prepare"]


def test_preparing_fills_findings_and_renderings(waiting: Line, settings: Settings, tmp_path: Path) -> None:
    content = line("Plain") + b"\n" + line("Marked", successful_diff_summary="a\x00b <b>") + b"\n"
    read(waiting.db, settings, waiting.project_id, tmp_path, content)

    worker.run(waiting.db, settings, stop=lambda: False, until_idle=True)

    with waiting.db.read() as session:
        first, second = (review.get_candidate(session, waiting.project_id, number) for number in (1, 2))
        codes = session.exec(select(FindingRow.code)).all()
        views = session.exec(select(RenderingRow.candidate_id, RenderingRow.view)).all()
    assert first.checks_version == second.checks_version == checks.CHECKS_VERSION
    assert (first.findings, "nul" in second.findings.split()) == ("", True)
    assert "nul" in codes
    assert set(views) >= {(number, view) for number in (1, 2) for view in ("unified", "split", "script")}


def resident() -> int:
    """The memory of this process in bytes, as far as it lies in the machine's."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_job_leaves_no_memory_behind(waiting: Line, settings: Settings) -> None:
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        return
    texts = [bytes([n % 256]) * 20_000 for n in range(5_000)]
    kept, before = texts[::200], resident()
    del texts
    waiting.add("prepare")
    worker.run(waiting.db, settings, stop=lambda: False, until_idle=True)

    assert len(kept) == 25
    assert resident() < before - 50_000_000


def test_what_an_older_version_checked_is_checked_again(waiting: Line, settings: Settings, tmp_path: Path) -> None:
    read_issues(waiting.db, settings, waiting.project_id, tmp_path, "One")
    with waiting.db.write() as session:
        review.get_candidate(session, waiting.project_id, 1).checks_version = checks.CHECKS_VERSION + 1

    worker.run(waiting.db, settings, stop=lambda: False, until_idle=True)

    with waiting.db.read() as session:
        assert review.get_candidate(session, waiting.project_id, 1).checks_version == checks.CHECKS_VERSION


def test_a_job_of_another_project_is_not_there(waiting: Line) -> None:
    job = waiting.add()

    with waiting.db.read() as session:
        for project_id, job_id in ((waiting.project_id + 1, job), (waiting.project_id, 99), (1, 10**20)):
            with pytest.raises(NotFoundError, match="There is no job"):
                jobs.get_job(session, project_id, job_id)


def test_an_upload_that_is_gone_fails_with_a_sentence(waiting: Line, settings: Settings) -> None:
    job = waiting.add("ingest", path=str(settings.data_dir / "uploads" / "gone"), name="a.jsonl", origin="push")

    worker.run(waiting.db, settings, stop=lambda: False, until_idle=True)

    assert waiting.get(job).state == JobState.FAILED
    assert "cannot be read" in waiting.get(job).message


def test_pages_say_that_no_worker_is_alive(client: TestClient, db: Database, project_id: int) -> None:
    assert client.get("/readyz").json()["message"] is None
    with db.write() as session:
        job = jobs.enqueue(session, project_id, "prepare", {}, now=NOON)

    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")
    assert ready.json()["message"].startswith("1 job waits, and no worker is alive.")
    assert ready.json()["message"] in client.get(f"/jobs/{job.id}").text.replace("&#39;", "'")
