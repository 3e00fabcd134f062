"""An installation on either database, for servers that are killed: what stands in it is read by the driver alone."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from app import decisions, ingest, migrations, review
from app.db import Database, sqlite_module
from app.settings import Settings
from tests.conftest import noon


@dataclass(frozen=True, slots=True)
class Installation:
    """A data folder and, for PostgreSQL, the database's address."""

    folder: Path
    url: str = ""

    @property
    def settings(self) -> Settings:
        return Settings(data_dir=self.folder, database_url=self.url)

    @property
    def options(self) -> tuple[str, ...]:
        """What `patchsift serve` is told besides the folder."""
        return ("--database-url", self.url) if self.url else ()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        if self.url:
            with psycopg.connect(self.url.replace("+psycopg", "")) as server:
                return server.execute(statement.encode()).fetchall()
        driver: type[sqlite3.Connection] = sqlite_module().connect
        connection = driver(f"file:{self.folder / 'patchsift.db'}?mode=ro", uri=True)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def fill(self, content: bytes) -> None:
        """Make the tables, and read these lines."""
        settings = self.settings
        db = Database(settings)
        migrations.upgrade(db)
        with db.write() as session:
            project_id = review.ensure_project(session, "default", now=noon()).id or 0
        path = self.folder / "log.jsonl"
        path.write_bytes(content)
        ingest.read_file(db, settings, project_id, ingest.Upload(path, "log.jsonl"), now=noon)
        db.close()

    def assert_sound(self) -> None:
        """The file is whole, its counts are those of its rows, and every decision fits the one before it."""
        if not self.url:
            assert self.rows("PRAGMA integrity_check") == [("ok",)]
            assert self.rows("PRAGMA foreign_key_check") == []
        counted = dict(self.rows("SELECT status, count(*) FROM candidate GROUP BY status"))
        tally = {status: n for status, n in self.rows("SELECT status, n FROM tally") if n}
        assert tally == counted
        db = Database(self.settings)
        with db.read() as session:
            assert decisions.verify_chain(session, 1) is None
            assert decisions.find_false_state(session, 1) == ""
        db.close()
