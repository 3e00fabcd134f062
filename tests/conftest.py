"""The fixtures that every test may ask for: a real database of each kind, and the application on it."""

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from app import migrations, review
from app.db import Database
from app.settings import Settings
from tests.servers import Postgres, start_postgres

# How fast the machine is says nothing about a property.
hypothesis_settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("any-machine")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_numbers = count()

MEMORY = Path("/dev/shm")
MOST_WRITTEN = 6_000_000_000
OURS = "patchsift-tests-"


def pytest_configure(config: pytest.Config) -> None:
    """Let what tests write lie in memory where there is room for it: each makes databases, which wait for the disk.

    Workers inherit the folder. `TMPDIR=/var/tmp make test` has everything on a disk.
    """
    if "TMPDIR" in os.environ or not _takes_tests(MEMORY):
        return
    for left in MEMORY.glob(f"{OURS}*"):
        # A run that was killed.
        if not Path("/proc", left.name.removeprefix(OURS)).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = MEMORY / f"{OURS}{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o755)
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_collection_finish() -> None:
    """Keep the collector of garbage from walking through eleven thousand tests again and again."""
    gc.collect()
    gc.freeze()


def _takes_tests(folder: Path) -> bool:
    """Whether a folder has the room, and programs may be started from it, which a container's default forbids."""
    if not hasattr(os, "ST_NOEXEC") or not os.access(folder, os.W_OK):
        return False
    there = os.statvfs(folder)
    return there.f_bavail * there.f_frsize >= MOST_WRITTEN and not there.f_flag & os.ST_NOEXEC


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a case of bytes after its argument, not after its bytes.

    `gzip` writes the second into its header: workers that collect in two different seconds would see two names for one
    test, and pytest-xdist refuses to run either.
    """
    return argname if isinstance(val, bytes) and not val.isalnum() else None


def noon() -> datetime:
    """The instant at which everything happens that needs one."""
    return NOON


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file; each test gets a copy, which is quicker than migrating anew."""
    folder = tmp_path_factory.mktemp("template")
    db = Database(Settings(data_dir=folder))
    migrations.upgrade(db)
    with db.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.exec_driver_sql("BEGIN")
    db.close()
    return folder / "patchsift.db"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server with a migrated database called `template_patchsift`."""
    # Not below pytest's own folder: another run that starts meanwhile closes that to everybody else, the server's
    # account included.
    folder = Path(tempfile.mkdtemp(prefix="patchsift-postgres-"))
    server = start_postgres(folder)
    url = server.create_database("template_patchsift")
    db = Database(Settings(data_dir=tmp_path_factory.mktemp("unused"), database_url=url))
    migrations.upgrade(db)
    db.close()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a fresh installation, once on SQLite and once on PostgreSQL."""
    folder = tmp_path / "installation"
    folder.mkdir()
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), folder / "patchsift.db")
        yield Settings(data_dir=folder, allowed_hosts="testserver")
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = f"test_{next(_numbers)}"
    url = server.create_database(name, template="template_patchsift")
    yield Settings(data_dir=folder, database_url=url, allowed_hosts="testserver")
    server.drop_database(name)


@pytest.fixture
def db(settings: Settings) -> Iterator[Database]:
    """The database of that installation."""
    database = Database(settings)
    yield database
    database.close()


@pytest.fixture
def project_id(db: Database) -> int:
    """Its one project."""
    with db.write() as session:
        return review.ensure_project(session, "default", now=NOON).id or 0


@pytest.fixture
def reviewer_id(db: Database) -> int:
    """Its one local reviewer."""
    with db.write() as session:
        return review.ensure_local_reviewer(session, now=NOON).id or 0


@pytest.fixture
def client(settings: Settings, db: Database) -> Iterator[TestClient]:
    """The application over ASGI, as a browser on the same machine sees it."""
    from app.main import create_app

    with TestClient(create_app(settings, db), headers={"Sec-Fetch-Site": "same-origin"}) as made:
        yield made
