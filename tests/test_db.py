"""The two kinds of session: nothing is lost among writers, readers cannot write, a full disk says so."""

import resource
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import decisions, leases, migrations, queue, review, worker
from app.db import Database, insert_rows, is_fixed, is_reachable, refuse_unsafe, sqlite_module
from app.errors import AppError, NotStoredError
from app.models import JobRow, ProjectRow, TallyRow
from app.settings import Settings
from tests.conftest import NOON
from tests.logs import read_issues
from tests.people import hire
from tests.servers import Postgres

N_THREADS, N_TURNS = 8, 25


def together(n: int, work: Callable[[int], None]) -> None:
    """Run `work(number)` in n threads at once; a fault in one of them is the test's."""
    faults: list[BaseException] = []

    def one(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001  (shown by the assertion)
            faults.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_no_update_is_lost_among_writers(db: Database, project_id: int) -> None:
    def count(_: int) -> None:
        for _ in range(N_TURNS):
            with db.write() as session:
                tally = session.get_one(TallyRow, (project_id, "pending"), with_for_update=True)
                n = tally.n
                tally.n = n + 1
                session.add(tally)

    together(N_THREADS, count)

    with db.read() as session:
        assert session.get_one(TallyRow, (project_id, "pending")).n == N_THREADS * N_TURNS


def test_two_programs_on_one_database_lose_none_either(db: Database, settings: Settings, project_id: int) -> None:
    databases = [db, Database(settings)]

    def count(number: int) -> None:
        for _ in range(N_TURNS):
            with databases[number].write() as session:
                tally = session.get_one(TallyRow, (project_id, "pending"), with_for_update=True)
                tally.n += 1
                session.add(tally)

    together(2, count)
    databases[1].close()

    with db.read() as session:
        assert session.get_one(TallyRow, (project_id, "pending")).n == 2 * N_TURNS


def test_eight_reviewers_decide_each_candidate_once(
    db: Database, settings: Settings, project_id: int, reviewer_id: int, tmp_path: Path
) -> None:
    from app.errors import ConflictError
    from app.models import Verdict

    ids = read_issues(db, settings, project_id, tmp_path, *(f"Issue {n}" for n in range(10)))
    conflicts: list[int] = []

    def decide(number: int) -> None:
        for candidate_id in ids:
            act = review.Act(Verdict.ACCEPT, 1, f"{number}-{candidate_id}")
            try:
                with db.write() as session:
                    review.decide(session, project_id, reviewer_id, candidate_id, act, now=NOON)
            except ConflictError:
                conflicts.append(candidate_id)

    together(N_THREADS, decide)

    assert len(conflicts) == (N_THREADS - 1) * len(ids)
    with db.read() as session:
        assert [len(decisions.list_history(session, candidate_id)) for candidate_id in ids] == [1] * len(ids)
        assert decisions.verify_chain(session, project_id) is None


def test_no_two_reviewers_get_one_lease(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> None:
    ids = read_issues(db, settings, project_id, tmp_path, *(f"Issue {n}" for n in range(16)))
    people = hire(db, *(f"reviewer {n}" for n in range(16)))
    leased: list[int] = []
    wanted = queue.Filter(status="pending")

    def lease(number: int) -> None:
        for turn in range(2):
            with db.write() as session:
                found = leases.take_next(session, project_id, people[number * 2 + turn], wanted, now=NOON)
                assert found is not None
                leased.append(found.candidate_id)

    together(N_THREADS, lease)

    assert sorted(leased) == ids


def test_a_reading_session_cannot_write(db: Database, project_id: int) -> None:
    with db.read() as session:
        session.add(ProjectRow(name="other", created_at=NOON))
        with pytest.raises(DBAPIError, match=r"(?i)read.?only"):
            session.flush()

    with db.read() as session:
        assert session.get(ProjectRow, project_id + 1) is None


def test_a_reading_session_sees_one_moment(db: Database, project_id: int) -> None:
    with db.read() as reading:
        before = reading.connection().execute(text("SELECT count(*) FROM job")).scalar()
        with db.write() as session:
            session.add(JobRow(project_id=project_id, kind="x", created_at=NOON))
        after = reading.connection().execute(text("SELECT count(*) FROM job")).scalar()

    assert before == after == 0


def test_what_raises_is_rolled_back(db: Database, project_id: int) -> None:
    def write() -> None:
        with db.write() as session:
            session.add(JobRow(project_id=project_id, kind="x", created_at=NOON))
            session.flush()
            raise KeyError

    with pytest.raises(KeyError):
        write()

    with db.read() as session:
        assert session.get(JobRow, 1) is None


def test_a_writer_that_raised_does_not_stop_the_line(db: Database) -> None:
    for _ in range(3):
        with pytest.raises(KeyError), db.write():
            raise KeyError

    with db.write() as session:
        assert session.connection().execute(text("SELECT 1")).scalar() == 1


def test_a_bulk_insert_of_nothing_is_nothing(db: Database) -> None:
    with db.write() as session:
        insert_rows(session, "repeat", ("source_id", "line"), [])
        assert session.connection().exec_driver_sql("SELECT count(*) FROM repeat").scalar() == 0


# ------------------------------------------------------------------------------------------------ SQLite


@pytest.fixture
def file(tmp_path: Path) -> Database:
    db = Database(Settings(data_dir=tmp_path / "file"))
    migrations.upgrade(db)
    return db


def set_pragma(db: Database, pragma: str) -> None:
    with db.write() as session:
        session.connection().exec_driver_sql(f"PRAGMA {pragma}")


def test_a_full_disk_stores_nothing_and_works_again_once_there_is_room(file: Database) -> None:
    with file.write() as session:
        n_pages = session.connection().exec_driver_sql("PRAGMA page_count").scalar()
    set_pragma(file, f"max_page_count={n_pages}")

    with (
        pytest.raises(NotStoredError, match=r"Nothing was stored: .*full.*Free some space") as caught,
        file.write() as session,
    ):
        session.add(ProjectRow(name="x" * 1_000_000, created_at=NOON))

    assert caught.value.status == 507
    with file.read() as reading:
        assert reading.connection().execute(text("SELECT count(*) FROM project")).scalar() == 0
    set_pragma(file, "max_page_count=1073741823")
    with file.write() as session:
        session.add(ProjectRow(name="x" * 1_000_000, created_at=NOON))
    with file.read() as reading:
        assert reading.connection().execute(text("SELECT count(*) FROM project")).scalar() == 1
    file.close()


def test_a_full_disk_is_told_to_the_client_that_decided(tmp_path: Path) -> None:
    from fastapi.testclient import TestClient

    from app.main import create_app
    from tests.logs import line

    settings = Settings(data_dir=tmp_path, allowed_hosts="testserver")
    db = Database(settings)
    with TestClient(create_app(settings, db)) as client:
        client.post("/api/v1/ingest", content=line())
        with db.write() as session:
            n_pages = session.connection().exec_driver_sql("PRAGMA page_count").scalar()
        set_pragma(db, f"max_page_count={n_pages}")
        body = {"verdict": "reject", "version": 1, "comment": "x" * 10_000}
        answers = [
            client.post("/api/v1/candidates/1/decisions", json=body | {"key": f"k{n}", "version": 1 + n})
            for n in range(9)
        ]
        refused = [answer for answer in answers if answer.status_code != 200]

        assert refused
        assert {answer.status_code for answer in refused} <= {507, 409}
        assert answers[[answer.status_code for answer in answers].index(507)].json()["error"]["code"] == "not_stored"
        assert client.get("/api/v1/candidates/1").status_code == 200
        stored = len(client.get("/api/v1/candidates/1").json()["history"])
        assert stored == sum(answer.status_code == 200 for answer in answers)
        set_pragma(db, "max_page_count=1073741823")
        assert client.post("/api/v1/undo").status_code == (200 if stored else 409)


def test_on_a_full_disk_people_read_on_and_all_else_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from fastapi.testclient import TestClient

    from app import backups
    from app.main import create_app
    from app.web import render
    from tests.logs import line

    settings = Settings(data_dir=tmp_path / "desk", allowed_hosts="testserver")
    db = Database(settings)
    # As in a process that has shown no page yet.
    render._made.cache_clear()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with TestClient(create_app(settings, db)) as client:
        client.post("/api/v1/ingest", content=line())
        # No compiled template can be kept, and no file grows beyond that.
        shutil.rmtree(settings.data_dir / "cache")
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
        try:
            read = [client.get(address).status_code for address in ("/queue", "/candidates/1", "/imports", "/releases")]
            refused = client.post("/api/v1/ingest", content=line("x" * 200_000))
            with pytest.raises(NotStoredError, match="kept was not written, and nothing of it is left"):
                backups.back_up(db, settings, tmp_path / "kept", now=NOON)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read == [200] * 4
    assert (refused.status_code, refused.json()["error"]["code"]) == (507, "not_stored")
    assert [path.name for path in tmp_path.iterdir()] == ["desk"]
    assert list((settings.data_dir / "uploads").iterdir()) == []
    [told] = [one.getMessage() for one in caplog.records if "data folder" in one.getMessage()]
    assert told.startswith(f"POST /api/v1/ingest, data folder {settings.data_dir}: Nothing was stored: File too large.")


def test_every_connection_is_set_up_to_lose_nothing(file: Database) -> None:
    for session_of in (file.read, file.write):
        with session_of() as session:
            pragma = {
                name: session.connection().exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "busy_timeout")
            }
        assert pragma == {
            "journal_mode": "wal",
            "synchronous": 2,
            "foreign_keys": 1,
            "trusted_schema": 0,
            "busy_timeout": 10000,
        }
    file.close()


@pytest.mark.parametrize(
    ("version", "fixed"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 3), False),
        ((3, 46, 1), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 0), False),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), True),
        ((3, 53, 4), True),
        ((4, 0, 0), True),
    ],
)
def test_a_sqlite_that_can_corrupt_a_file_is_told_by_its_version(version: tuple[int, ...], fixed: bool) -> None:
    assert is_fixed(version) == fixed


def test_the_sqlite_in_use_is_fixed() -> None:
    assert is_fixed(sqlite_module().sqlite_version_info)


def test_a_data_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")

    with pytest.raises(NotStoredError, match=r"cannot be made: .+\. Choose another with --data-dir"):
        Database(Settings(data_dir=tmp_path / "taken" / "inner"))


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    db = Database(Settings(data_dir=tmp_path, database_url="postgresql://me:hunter2@127.0.0.1:1/none"))

    trouble = is_reachable(db)

    assert trouble is not None
    assert "127.0.0.1:1/none" in trouble
    assert "hunter2" not in trouble
    assert "\t" not in trouble
    assert trouble.endswith("failed: Connection refused.")


def test_a_postgresql_that_may_lose_decisions_is_refused(postgres: Postgres, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_url=postgres.create_database("unsafe"))
    db = Database(settings)
    refuse_unsafe(db)
    with db.write() as session:
        session.execute(text("ALTER DATABASE unsafe SET synchronous_commit = off"))
    db.close()
    migrations.upgrade(db)

    with pytest.raises(AppError, match=r"runs with synchronous_commit=off: .+ are lost .+ restart PostgreSQL"):
        worker.run(db, settings, stop=lambda: False)
    db.close()
    postgres.drop_database("unsafe")


def test_a_file_that_is_no_database_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "patchsift.db").write_bytes(b"not a database at all" * 999)

    db = Database(Settings(data_dir=tmp_path))

    with pytest.raises(AppError, match=r"does not answer: file is not a database\.$"):
        migrations.upgrade(db)
    db.close()
