"""A database of every earlier schema comes to today's with every decision, digest and text, also when killed half way.

A campaign, with a kill -9 in the middle of every migration: PATCHSIFT_CRASH_CYCLES=1000 python -m pytest this file
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import event, select
from sqlmodel import col

from app import decisions, migrations, sources
from app.db import Database
from app.migrations.alembic import config
from app.models import ProjectRow
from app.settings import Settings
from tests.commands import FORKED, ROOT
from tests.crash.servers import cycles
from tests.schemas import FOLDER, load, read, revisions, shape, stored
from tests.servers import Postgres

KILLS = cycles(1)
# What a migration may change of rows that are there: what is found out anew, and leases.
MADE_ANEW = {"checks_version", "lease_by", "lease_until", "lease_number", "lease_since"}
# Of these nobody ever takes anything back.
LASTING = ("candidate", "decision", "entry", "quarantine", "repeat", "revision", "release", "source")

DIES = """
import os, signal, sys
from sqlalchemy import event
from app import migrations
from app.db import Database
from app.settings import Settings
db = Database(Settings())
left = int(sys.argv[1])
@event.listens_for(db.engine, "before_cursor_execute")
def count(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
migrations.upgrade(db)
"""


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """A database without tables."""
    if request.param == "sqlite":
        yield Settings(data_dir=tmp_path)
        return
    server: Postgres = request.getfixturevalue("postgres")
    yield Settings(data_dir=tmp_path, database_url=server.create_database("stored"))
    server.drop_database("stored")


def test_a_database_of_every_revision_is_kept() -> None:
    """`python -m tests.schemas` makes what is missing; commit it with the migration.

    A migration that nobody has met yet may be changed or numbered anew: remove its file first.
    """
    assert [path.stem for path in sorted(FOLDER.glob("*.json"))] == revisions()
    assert all(all(stored(one).values()) for one in revisions()), "a table without a row proves nothing"


@pytest.mark.parametrize("revision", revisions())
def test_every_decision_and_text_comes_along(empty: Settings, revision: str) -> None:
    db = Database(empty)
    load(db, revision)
    with db.engine.connect() as connection:
        before = read(connection)
    assert before == stored(revision)
    if revision != migrations.HEAD:
        db.close()
        kill_midway(empty, revision)
        with db.engine.connect() as connection:
            assert read(connection) == before
        assert migrations.current(db) == revision

    assert migrations.upgrade(db) == (revision != migrations.HEAD)

    with db.engine.connect() as connection:
        after = read(connection)
        assert set(after) == set(stored(migrations.HEAD))
    for table in set(LASTING) & set(before):
        kept = set(before[table][0]) & set(after[table][0]) - MADE_ANEW
        assert [only(row, kept) for row in after[table]] == [only(row, kept) for row in before[table]], table
    with db.read() as session:
        for number in session.execute(select(col(ProjectRow.id))).scalars():
            assert decisions.verify_chain(session, number or 0) is None
            assert sources.verify_entries(session, number or 0) == len(before["entry"])
    db.close()


def kill_midway(settings: Settings, revision: str) -> None:
    """Let a process upgrade, and kill it when it is half way from this revision to today's."""
    later = revisions()[revisions().index(revision) + 1 :]
    process = FORKED.Process(
        target=upgrade_until, args=(settings.data_dir, settings.database_url, later[len(later) // 2])
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def upgrade_until(folder: Path, url: str, revision: str) -> None:
    """Upgrade, and die when all of a migration is done but to note that it is."""
    db = Database(Settings(data_dir=folder, database_url=url))

    def die(_: object, __: object, statement: str, *___: object) -> None:
        if f"SET version_num='{revision}'" in statement:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(db.engine, "before_cursor_execute", die)
    migrations.upgrade(db)


def only(row: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}


@pytest.mark.parametrize("revision", revisions())
def test_no_migration_was_changed_after_it_was_written(revision: str, tmp_path: Path) -> None:
    db = Database(Settings(data_dir=tmp_path))
    with db.engine.begin() as connection:
        command.upgrade(config(connection), revision)
        assert shape(connection) == json.loads((FOLDER / f"{revision}.json").read_text())["shape"]
    db.close()


def count_statements(db: Database) -> list[int]:
    """Upgrade; gives, for each migration, how many statements had been run when it was in its middle."""
    ends, n = [0], 0

    def count(_: object, __: object, statement: str, *___: object) -> None:
        nonlocal n
        n += 1
        if "alembic_version" in statement and statement.startswith(("UPDATE", "INSERT")):
            ends.append(n)

    event.listen(db.engine, "before_cursor_execute", count)
    migrations.upgrade(db)
    event.remove(db.engine, "before_cursor_execute", count)
    return [(first + last) // 2 for first, last in pairwise(ends)]


class Copy:
    """A way back to how a database was."""

    def __init__(self, db: Database, folder: Path) -> None:
        self._db, self._kept = db, folder / "kept.db"
        if db.is_sqlite:
            db.close()
            shutil.copy(db.path, self._kept)

    def bring_back(self) -> None:
        self._db.close()
        if self._db.is_sqlite:
            for path in self._db.path.parent.glob(f"{self._db.path.name}-*"):
                path.unlink()
            shutil.copy(self._kept, self._db.path)
            return
        with self._db.engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
        load(self._db, revisions()[0])


def test_an_upgrade_that_is_killed_changes_nothing_and_ends_the_same_later(empty: Settings, tmp_path: Path) -> None:
    db = Database(empty)
    load(db, revisions()[0])
    copy = Copy(db, tmp_path)
    middles = count_statements(db)
    with db.engine.connect() as connection:
        clean = read(connection)
    copy.bring_back()

    # From the last one on, which has the most behind it.
    for middle in middles[::-1][:KILLS]:
        with db.engine.connect() as connection:
            before = read(connection)
        db.close()
        killed = subprocess.run(
            [sys.executable, "-c", DIES, str(middle)],
            cwd=ROOT,
            env={**os.environ, "PATCHSIFT_DATA_DIR": str(empty.data_dir), "PATCHSIFT_DATABASE_URL": empty.database_url},
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL
        with db.engine.connect() as connection:
            assert read(connection) == before
        assert migrations.current(db) == revisions()[0]

    migrations.upgrade(db)
    with db.engine.connect() as connection:
        assert read(connection) == clean
    db.close()
