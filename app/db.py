"""The database: engines, the two kinds of session, and the line that writers stand in.

SQLite by default, PostgreSQL by URL; the domain code is the same. Why WAL with FULL, `BEGIN IMMEDIATE` and a
bundled SQLite: docs/decisions/0005.
"""

import contextlib
import logging
import shutil
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolEmptyError
from sqlalchemy.orm.exc import StaleDataError
from sqlmodel import Session

from app.errors import AppError, ConflictError, NotStoredError
from app.settings import Settings

log = logging.getLogger("patchsift.db")

# Releases in which the WAL-reset bug (two connections that write at the same instant can corrupt the file) is fixed.
FIXED_SQLITE = ((3, 51, 3),)
FIXED_BACKPORTS = {(3, 50): 7, (3, 44): 6}

# In KiB, as SQLite takes it.
_MANY_PAGES, _FEW_PAGES = -32768, -4096
_PRAGMAS = (
    # First, for each of the others may meet a lock.
    "busy_timeout=10000",
    # Takes effect in a new file only. A log line is about 3 kB: of 4 kB pages it would fill one each, half empty.
    "page_size=16384",
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "trusted_schema=OFF",
    "cell_size_check=ON",
    "mmap_size=0",
    "journal_size_limit=67108864",
    "temp_store=MEMORY",
    f"cache_size={_MANY_PAGES}",
)
# No id is larger: an integer column of PostgreSQL ends here, and comparing it with more is an error.
LARGEST_ID = 2**31 - 1
AWAY = (OperationalError, InterfaceError, PoolEmptyError)
"""What is raised when the database is away, restarts, or is too busy: the same may work in a few seconds."""

# PostgreSQL's unique_violation and foreign_key_violation; SQLite has one writer, who sees what is there.
_BESIDE = frozenset({"23505", "23503"})
_DRIVERS = frozenset({"sqlite", "postgresql+psycopg"})
_FULL = ("database or disk is full", "readonly database", "disk I/O error", "No space left", "could not extend file")


def is_id(number: int) -> bool:
    """Whether a row may have this id: `is_id(0)` → False. PostgreSQL refuses to compare one beyond its integers."""
    return 0 < number <= LARGEST_ID


def is_fixed(version: tuple[int, ...]) -> bool:
    """Whether this SQLite holds the fix for the WAL-reset bug: `(3, 50, 6)` → False, `(3, 53, 4)` → True.

    Source: sqlite.org/wal.html#walresetbug (fixed in 3.51.3, 3.50.7 and 3.44.6).
    """
    backport = FIXED_BACKPORTS.get((version[0], version[1]))
    return version >= FIXED_SQLITE[0] or (backport is not None and version[2] >= backport)


def sqlite_module() -> ModuleType:
    """The SQLite driver to use: the one that is bundled, else Python's own where it is new enough.

    Raises:
        AppError: no SQLite with the fix is there.

    """
    try:
        import pysqlite3  # noqa: PLC0415  (the wheel does not exist for every platform)
    except ImportError:
        module: ModuleType = sqlite3
    else:
        module = pysqlite3.dbapi2
    if not is_fixed(module.sqlite_version_info):
        raise AppError(
            f"SQLite {module.sqlite_version} can corrupt a database that two programs write to. Install the package "
            "pysqlite3 (0.6.1 or newer) or a SQLite of 3.51.3 or newer, or set PATCHSIFT_DATABASE_URL to PostgreSQL.",
            code="sqlite_too_old",
        )
    return module


class _Line:
    """A fair line: whoever came first writes first, in this process and, by a lock file, among processes."""

    def __init__(self, lock_file: Path) -> None:
        self._waiting: deque[threading.Event] = deque()
        self._guard = threading.Lock()
        self._busy = False
        self._lock_file = lock_file

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        mine = threading.Event()
        with self._guard:
            if self._busy:
                self._waiting.append(mine)
            else:
                self._busy = True
                mine.set()
        mine.wait()
        try:
            with _locked(self._lock_file):
                yield
        finally:
            with self._guard:
                if self._waiting:
                    self._waiting.popleft().set()
                else:
                    self._busy = False


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        import fcntl  # noqa: PLC0415  (absent on Windows, where the busy timeout stands alone)
    except ImportError:
        yield
        return
    with path.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Database:
    """One database and its sessions.

    `with db.write() as session:` is the only place that commits; `with db.read() as session:` cannot write.

    Args:
        settings: where it lies.
        hurried: somebody waits for each answer, so that PostgreSQL gives up on a statement after seconds, not minutes.
    """

    def __init__(self, settings: Settings, *, hurried: bool = False) -> None:
        self.url = _parse_url(settings.url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._line: _Line | None = None
        if self.is_sqlite:
            path = Path(self.url.database or "")
            _make_folder(path.parent)
            self.path = path
            self._line = _Line(path.with_name(path.name + ".lock"))
            self._writer = _sqlite_engine(settings.url, readers=False)
            self._reader = _sqlite_engine(settings.url, readers=True)
        else:
            self._writer = self._reader = _postgres_engine(self.url, hurried=hurried)

    @property
    def engine(self) -> Engine:
        """The engine that may write; for migrations and bulk statements."""
        return self._writer

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one snapshot and cannot write."""
        with Session(self._reader, expire_on_commit=False) as session:
            if not self.is_sqlite:
                session.connection(
                    execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
                )
            yield session

    @contextlib.contextmanager
    def scan(self) -> Iterator[Session]:
        """As `read`, for what goes once through everything: it keeps few pages in memory, and gives them back."""
        with self.read() as session:
            run = session.connection().exec_driver_sql
            if self.is_sqlite:
                run(f"PRAGMA cache_size={_FEW_PAGES}")
            yield session
            if self.is_sqlite:
                run(f"PRAGMA cache_size={_MANY_PAGES}")
                run("PRAGMA shrink_memory")

    @contextlib.contextmanager
    def write(self) -> Iterator[Session]:
        """A session in one transaction, committed when the block ends and rolled back when it raises.

        Raises:
            NotStoredError: the disk is full or read-only; nothing was stored.
            ConflictError: what this rests on was made or removed by somebody else at this instant; nothing was stored.

        """
        try:
            with (
                contextlib.nullcontext() if self._line is None else self._line.turn(),
                Session(self._writer, expire_on_commit=False) as session,
            ):
                yield session
                session.commit()
        except OperationalError as error:
            if is_full(error):
                raise NotStoredError(
                    f"Nothing was stored: the database says '{error.orig}'. Free some space, then send it again."
                ) from error
            raise
        except (IntegrityError, StaleDataError) as error:
            # What is likely has a lock and a sentence of its own where it is done; what is left over ends here.
            if not _is_beside_another(error):
                raise
            log.warning("refused, for somebody else wrote the same: %s", error)
            raise ConflictError(
                "Somebody else made or removed the same at this very moment. Nothing of yours was stored; look at it "
                "again, then do it once more."
            ) from error

    def close(self) -> None:
        """Give every connection back."""
        self._writer.dispose()
        self._reader.dispose()


def _is_beside_another(error: IntegrityError | StaleDataError) -> bool:
    """Whether another writer may be the cause: two of what there is one of, or what it belongs to is gone."""
    return isinstance(error, StaleDataError) or getattr(error.orig, "sqlstate", None) in _BESIDE


def is_full(error: DBAPIError) -> bool:
    """Whether the database has no room left, or may not write."""
    return any(sign in str(error.orig) for sign in _FULL)


_LITTLE_ROOM = 1 << 20


def is_out_of_room(settings: Settings) -> str | None:
    """None where the data folder has room to write, else a sentence."""
    try:
        n_free = shutil.disk_usage(settings.data_dir).free
    except OSError as error:
        return f"The data folder {settings.data_dir} cannot be looked at: {error.strerror}."
    if n_free >= _LITTLE_ROOM:
        return None
    return f"No space left for {settings.data_dir}: {n_free:,} bytes are free. Nothing can be stored."


def _parse_url(address: str) -> URL:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        url = None
    # The address is not repeated: it may hold a password.
    if url is None or url.drivername not in _DRIVERS:
        raise AppError(
            "PATCHSIFT_DATABASE_URL (or --database-url) is no address of a database that is known here. Write "
            "postgresql://NAME@HOST/DATABASE with PATCHSIFT_DATABASE_PASSWORD_FILE, or leave it out for SQLite.",
            code="database_url",
        )
    return url


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise NotStoredError(
            f"The data folder {folder} cannot be made: {error.strerror}. Choose another with --data-dir, "
            f"or make it writable (chown {folder})."
        ) from error


def _sqlite_engine(url: str, *, readers: bool) -> Engine:
    engine = create_engine(
        url,
        module=sqlite_module(),
        hide_parameters=True,
        pool_size=8 if readers else 1,
        max_overflow=32 if readers else 0,
        pool_timeout=10,
        connect_args={"check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _: object) -> None:
        # The driver's own transaction control begins deferred transactions, which lose updates in silence.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (*_PRAGMAS, *(("query_only=ON",) if readers else ())):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    begin = "BEGIN" if readers else "BEGIN IMMEDIATE"

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


# A web server gives up soon and says so; the worker and a command may go through everything that there is.
_HURRIED = "-c lock_timeout=4s -c statement_timeout=15s -c idle_in_transaction_session_timeout=30s"
_PATIENT = "-c lock_timeout=60s -c statement_timeout=30min -c idle_in_transaction_session_timeout=30min"


def _postgres_engine(url: URL, *, hurried: bool) -> Engine:
    try:
        return create_engine(
            url,
            # What people type stands in no log, also not beside an error.
            hide_parameters=True,
            pool_size=10,
            # A page may read a second time while its own session is open, so the last place must not be the last.
            max_overflow=10,
            pool_timeout=5,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": 5,
                "options": _HURRIED if hurried else _PATIENT,
                "keepalives_idle": 30,
                "tcp_user_timeout": 15000,
            },
        )
    except ModuleNotFoundError as error:
        raise AppError(
            "PostgreSQL needs its driver: pip install 'patchsift[postgres]'.", code="missing_extra"
        ) from error


def is_reachable(db: Database) -> str | None:
    """None when the database answers, else a sentence without the password that says why not."""
    try:
        with db.read() as session:
            session.connection().exec_driver_sql("SELECT 1")
    except (DBAPIError, PoolEmptyError) as error:
        return does_not_answer(db, error)
    return None


_DURABLE = ("fsync", "full_page_writes", "synchronous_commit")


def list_unsafe(db: Database) -> list[str]:
    """The settings of a PostgreSQL that lose acknowledged decisions when its machine stops: `["fsync"]`, mostly none.

    SQLite's are set at each connection, so there are none.
    """
    if db.is_sqlite:
        return []
    with db.read() as session:
        run = session.connection().exec_driver_sql
        return [name for name in _DURABLE if run(f"SHOW {name}").scalar() == "off"]


def refuse_unsafe(db: Database) -> None:
    """Refuse a PostgreSQL that says that something is stored before it is.

    Raises:
        AppError: one of its settings is off; the sentence names it.

    """
    unsafe = list_unsafe(db)
    if unsafe:
        raise AppError(
            f"The PostgreSQL server runs with {' and '.join(f'{name}=off' for name in unsafe)}: decisions that were "
            "acknowledged are lost when its machine stops. Set it to on in postgresql.conf (or leave it out, on is the "
            "default), restart PostgreSQL, then start again.",
            code="database_unsafe",
        )


def does_not_answer(db: Database, error: DBAPIError | PoolEmptyError) -> str:
    """A sentence without the password that says which database does not answer, and why."""
    return f"The database {db.url.render_as_string(hide_password=True)} does not answer: {reason_of(error)}."


def reason_of(error: DBAPIError | PoolEmptyError) -> str:
    """What the driver says, without the statement: "connection refused"."""
    said = str(error.orig if isinstance(error, DBAPIError) else error)
    lines = [" ".join(line.split()) for line in said.splitlines()]
    # After a refused connection the driver asks back, in a line of its own.
    return "; ".join(line for line in lines if line and not line.startswith("Is the server running")).rstrip(".?! ")


def insert_rows(
    session: Session, table: str, columns: tuple[str, ...], rows: list[tuple[object, ...]], *, keep: bool = False
) -> None:
    """Insert many rows at the driver's own speed; for ingest, where the ORM costs six times as much.

    `insert_rows(session, "repeat", ("source_id", "line"), [(1, 3), (1, 9)])`. Values must already be what the driver
    takes: see `instants` for times. With `keep`, a row that is here already stays as it is.
    """
    if not rows:
        return
    sign = driver_sign(session)
    names = ", ".join(columns)
    signs = ", ".join([sign] * len(columns))
    conflict = " ON CONFLICT DO NOTHING" if keep else ""
    session.connection().exec_driver_sql(f"INSERT INTO {table} ({names}) VALUES ({signs}){conflict}", rows)


def driver_sign(session: Session) -> str:
    """What stands for a value in a statement that is given to the driver as it is."""
    return "?" if session.get_bind().dialect.name == "sqlite" else "%s"


def instants(session: Session) -> Callable[[datetime | None], object]:
    """What makes a time fit for `insert_rows`, so that the ORM reads it back: text on SQLite, itself on PostgreSQL."""
    if session.get_bind().dialect.name != "sqlite":
        return lambda at: at
    return lambda at: None if at is None else at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


# PostgreSQL's advisory locks: on SQLite the write lock says the same.
# Who takes several takes them in this order: ingest, chain, people, a project's row, audit.
_INGEST_LOCK, _CHAIN_LOCK, _AUDIT_LOCK, _PEOPLE_LOCK = 722_190_462, 722_190_463, 722_190_464, 722_190_465


def lock_ingest(session: Session) -> None:
    """One ingest batch at a time over all processes, until the transaction ends: ids are given out by hand."""
    _advisory(session, _INGEST_LOCK)


def lock_chain(session: Session) -> None:
    """One decision at a time, until the transaction ends: each digest covers the one before it.

    Whoever is turned away stands at the end of the line again, so a short wait makes a long line longer: it is waited
    for nearly as long as a statement may take.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.connection().exec_driver_sql(
            "SELECT set_config('lock_timeout', greatest(setting::integer, 14000)::text, true), "
            f"pg_advisory_xact_lock({_CHAIN_LOCK}) FROM pg_settings WHERE name = 'lock_timeout'"
        )


def lock_people(session: Session) -> None:
    """One change of who there is and what they may do, until the transaction ends: names and the last administrator."""
    _advisory(session, _PEOPLE_LOCK)


def lock_project(session: Session, project_id: int) -> None:
    """One change of what a project says of itself, until the transaction ends; who writes below it does not wait."""
    if session.get_bind().dialect.name == "postgresql":
        statement = "SELECT 1 FROM project WHERE id = %s FOR NO KEY UPDATE"
        session.connection().exec_driver_sql(statement, (project_id,))


def lock_audit(session: Session) -> None:
    """One row of the audit log at a time, until the transaction ends; taken last, so nobody waits in a circle."""
    _advisory(session, _AUDIT_LOCK)


def _advisory(session: Session, number: int) -> None:
    if session.get_bind().dialect.name == "postgresql":
        session.connection().exec_driver_sql(f"SELECT pg_advisory_xact_lock({number})")
