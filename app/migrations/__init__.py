"""The schema's history; the program brings a database up to date when it starts."""

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError, OperationalError

from app.db import Database, does_not_answer
from app.errors import AppError

# Written out so that a start on a current database need not import Alembic; a test compares it to the files.
HEAD = "0017"


def current(db: Database) -> str | None:
    """The database's revision, or None where it has no tables yet."""
    with db.engine.connect() as connection:
        return _stored(connection)


def _stored(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    return None if row is None else str(row[0])


def read_revision(db: Database) -> str | None:
    """As `current`.

    Raises:
        AppError: the database does not answer, or is none.

    """
    try:
        return current(db)
    except DBAPIError as error:
        raise AppError(does_not_answer(db, error), code="unavailable") from error


def upgrade(db: Database) -> bool:
    """Bring the database to `HEAD`; True when something was done.

    Raises:
        AppError: the database is newer than this program, does not answer, or is none.

    """
    found = read_revision(db)
    if found == HEAD:
        return False
    if found is not None and found > HEAD:
        raise AppError(
            f"The database is at schema {found}, newer than this program's {HEAD}. Install the newer Patchsift again."
        )
    from app.migrations.alembic import run  # noqa: PLC0415  (Alembic is slow to import and rarely needed)

    try:
        run(db)
    except OperationalError as error:
        raise AppError(
            f"{does_not_answer(db, error)} The schema stays at {found or 'none'}. Stop every other "
            "Patchsift process, then start again.",
            code="unavailable",
        ) from error
    return True
