"""Alembic's configuration, in code: no ini file, the same for SQLite and PostgreSQL."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from app.db import Database

_LOCK = 722_190_461


def config(connection: Connection | None = None) -> Config:
    """Where the revisions lie, and the connection they run on."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent))
    made.set_main_option("version_locations", str(Path(__file__).parent / "versions"))
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made


def run(db: Database) -> None:
    """Upgrade to the newest revision in one transaction, one program at a time.

    Foreign keys are off meanwhile on SQLite: a table that is rebuilt would else take its children with it.
    """
    with db.engine.connect() as connection:
        if db.is_sqlite:
            connection.connection.driver_connection.execute("PRAGMA foreign_keys=OFF")  # type: ignore[union-attr]
        with connection.begin():
            if not db.is_sqlite:
                # Whoever waits here waits for another program's upgrade, and a large table takes its time.
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
                # A table that others use is waited for so long, and they wait behind this.
                connection.exec_driver_sql("SET LOCAL lock_timeout = '4s'")
            command.upgrade(config(connection), "head")
            if db.is_sqlite:
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
                if broken:
                    message = f"The migration would break {len(broken)} references; nothing was changed."
                    raise RuntimeError(message)
        if db.is_sqlite:
            connection.connection.driver_connection.execute("PRAGMA foreign_keys=ON")  # type: ignore[union-attr]
