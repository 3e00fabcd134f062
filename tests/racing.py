"""Several at one instant, on purpose: everybody reads, everybody stops before the first write, then all go on."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from sqlmodel import Session

from app.db import Database

Act = Callable[[Session], Any]

_WAITING = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock' AND state = 'active'"
)


def at_one_instant(db: Database, table: str, *acts: Act) -> list[Any]:
    """Do several things at one instant, each in a transaction of its own; gives what each gave, or raised.

    On PostgreSQL all of them have read whatever they read before the first of them writes to `table`; on SQLite, which
    has one writer, they stand in line.
    """
    with Race(db) as race, race.halted(f"LOCK TABLE {table} IN SHARE MODE"):
        for act in acts:
            race.start(act)
    return race.results()


class Race:
    """Transactions side by side, each begun when the one before it cannot go on."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._pool = ThreadPoolExecutor(16)
        self._begun: list[Future[Any]] = []
        self._is_halted = False

    def __enter__(self) -> "Race":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    @contextmanager
    def halted(self, statement: str) -> Iterator[None]:
        """Hold a lock that everybody who is started meanwhile comes to stand before; nothing on SQLite."""
        if self._db.is_sqlite:
            yield
            return
        with self._db.engine.begin() as connection:
            connection.exec_driver_sql(statement)
            self._is_halted = True
            yield

    def start(self, act: Act) -> None:
        """Begin a transaction; comes back when it stands before a lock, or at once where nothing is held."""
        before = self._count()
        done = self._pool.submit(self._do, act)
        self._begun.append(done)
        while self._is_halted and not done.done() and self._count() <= before:
            pass

    def results(self) -> list[Any]:
        """What each of them gave, or raised."""
        return [one.result() for one in self._begun]

    def _do(self, act: Act) -> object:
        try:
            with self._db.write() as session:
                return act(session)
        except Exception as error:  # noqa: BLE001  (whatever it is, the test looks at it)
            return error

    def _count(self) -> int:
        if not self._is_halted:
            return 0
        with self._db.engine.connect() as connection:
            return int(connection.exec_driver_sql(_WAITING).scalar_one())


def named(results: Sequence[Any]) -> list[str]:
    """The kinds of what came back, sorted: `["ConflictError", "ReviewerRow"]`."""
    return sorted(type(one).__name__ for one in results)
