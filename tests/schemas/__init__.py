"""Databases of every earlier schema, as rows that fit both SQLite and PostgreSQL: `0004.json` is one of revision 0004.

The older ones were filled by the programs of their time. `python -m tests.schemas` makes what is missing: it takes the
one before, runs the migration, and puts a row into every table that is empty.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Boolean, Connection, DateTime, Float, Integer, LargeBinary, MetaData, Table, inspect
from sqlalchemy.types import TypeEngine

from app.db import Database
from app.migrations.alembic import config

FOLDER = Path(__file__).parent
Rows = dict[str, list[dict[str, Any]]]

_ONE_OF = re.compile(r"(\w+) IN \('([^']*)'")
_DIGEST = {"hex": hashlib.sha256(b"x").hexdigest()}
_NOON = "2026-03-01 12:00:00.000000"


def revisions() -> list[str]:
    """Every revision that there is a migration to, the oldest first."""
    return sorted(one.revision for one in ScriptDirectory.from_config(config()).walk_revisions())


def stored(revision: str) -> Rows:
    """The rows of the database that was kept."""
    rows: Rows = json.loads((FOLDER / f"{revision}.json").read_text(encoding="utf-8"))["rows"]
    return rows


def shape(connection: Connection) -> dict[str, list[str]]:
    """Table → its columns with their types, so that a migration that was changed later is seen."""
    return {
        table.name: sorted(f"{column.name} {column.type}{'' if column.nullable else ' NOT NULL'}" for column in table.c)
        for table in _tables(connection)
    }


def read(connection: Connection) -> Rows:
    """Every row of every table but the word index, as JSON can hold it."""
    found: Rows = {}
    for table in _tables(connection):
        names = ", ".join(f'"{column.name}"' for column in table.c)
        keys = ", ".join(f'"{column.name}"' for column in table.primary_key or table.c)
        rows = connection.exec_driver_sql(f'SELECT {names} FROM "{table.name}" ORDER BY {keys}').mappings()
        found[table.name] = [{name: _kept(value, table.c[name].type) for name, value in row.items()} for row in rows]
    return found


def load(db: Database, revision: str) -> None:
    """Make an empty database one of this revision, with the rows that were kept."""
    with db.engine.begin() as connection:
        command.upgrade(config(connection), revision)
    rows = stored(revision)
    with _Unchecked(db) as connection:
        tables = {table.name: table for table in _tables(connection)}
        for table in tables.values():
            connection.exec_driver_sql(f'DELETE FROM "{table.name}"')
        for name, kept in rows.items():
            for row in kept:
                insert(connection, tables[name], row)


class _Unchecked:
    """A transaction in which rows may come before what they refer to."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def __enter__(self) -> Connection:
        self._connection = self._db.engine.connect()
        driver: Any = self._connection.connection.driver_connection
        if self._db.is_sqlite:
            driver.execute("PRAGMA foreign_keys=OFF")
        self._transaction = self._connection.begin()
        if not self._db.is_sqlite:
            self._connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        return self._connection

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._transaction.commit()
        else:
            self._transaction.rollback()
        driver: Any = self._connection.connection.driver_connection
        if self._db.is_sqlite:
            driver.execute("PRAGMA foreign_keys=ON")
        self._connection.close()


def insert(connection: Connection, table: Table, row: dict[str, Any]) -> None:
    """Put one row in as the driver takes it; what a model would do to it is not today's model's to say."""
    is_sqlite = connection.dialect.name == "sqlite"
    names = ", ".join(f'"{name}"' for name in row)
    signs = ", ".join(["?" if is_sqlite else "%s"] * len(row))
    values = tuple(_given(value, table.c[name].type, is_sqlite=is_sqlite) for name, value in row.items())
    connection.exec_driver_sql(f'INSERT INTO "{table.name}" ({names}) VALUES ({signs})', values)


def make(db: Database, before: str | None, revision: str) -> None:
    """Store a database of this revision, made from the one before it."""
    if before is not None:
        load(db, before)
    with _Unchecked(db) as connection:
        command.upgrade(config(connection), revision)
        fill(connection)
        keep(connection, revision)


def fill(connection: Connection) -> None:
    """Put a row into every table that is empty."""
    ids: dict[str, Any] = {}
    for table in _tables(connection):
        one = f'SELECT * FROM "{table.name}" LIMIT 1'
        if connection.exec_driver_sql(one).first() is None:
            insert(connection, table, dict(_invented(connection, table, ids)))
        first = connection.exec_driver_sql(one).mappings().one()
        ids |= {f"{table.name}.{column.name}": first[column.name] for column in table.primary_key}


def keep(connection: Connection, revision: str) -> None:
    """Write what stands in a database to the file of its revision."""
    kept = {"shape": shape(connection), "rows": read(connection)}
    text = json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=True)
    (FOLDER / f"{revision}.json").write_text(text + "\n", encoding="utf-8")


def _tables(connection: Connection) -> list[Table]:
    """Without the word index, which each database has of its own kind, in an order in which rows may be inserted."""
    names = [name for name in inspect(connection).get_table_names() if not name.startswith("candidate_words")]
    reflected = MetaData()
    reflected.reflect(connection, only=[name for name in names if name != "alembic_version"])
    return list(reflected.sorted_tables)


def _invented(connection: Connection, table: Table, ids: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """A value for each column that must have one, as its type, its reference or its check allows."""
    said = " ".join(str(check["sqltext"]) for check in inspect(connection).get_check_constraints(table.name))
    allowed = dict(_ONE_OF.findall(said))
    for column in table.c:
        if column.nullable or column.server_default is not None:
            continue
        reference = next((key.target_fullname for key in column.foreign_keys), "")
        if reference:
            yield column.name, ids.get(reference, 1)
        else:
            yield column.name, allowed.get(column.name, _DIGEST if column.name == "digest" else _any_of(column.type))


def _any_of(kind: TypeEngine[Any]) -> Any:
    samples = ((Boolean, True), (Integer, 1), (Float, 0.5), (DateTime, _NOON), (LargeBinary, {"hex": b"x".hex()}))
    samples += ((JSON, "{}"),)  # type: ignore[assignment]
    return next((value for known, value in samples if isinstance(kind, known)), "x")


def _kept(value: Any, kind: TypeEngine[Any]) -> Any:
    if isinstance(value, bytes | memoryview):
        return {"hex": bytes(value).hex()}
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    if isinstance(kind, Boolean) and value is not None:
        return bool(value)
    if isinstance(kind, JSON):
        # The driver of PostgreSQL reads JSON, the one of SQLite leaves it as text.
        return json.dumps(json.loads(value) if isinstance(value, str) else value, sort_keys=True)
    return value


def _given(value: Any, kind: TypeEngine[Any], *, is_sqlite: bool) -> Any:
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    if isinstance(kind, DateTime) and isinstance(value, str) and not is_sqlite:
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return value
