"""Starting and stopping: the port, the worker beside the server, the browser on a desktop."""

import gc
import logging
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from datetime import UTC, datetime
from typing import BinaryIO

import uvicorn

from app import __version__, accounts, installations, keeper, logs, worker
from app.audit import Actor
from app.db import Database, lock_ingest, refuse_unsafe
from app.errors import AppError
from app.main import create_app
from app.metrics import Meters
from app.settings import EVERYWHERE, LOOPBACK, Settings

Say = Callable[[str], None]
log = logging.getLogger("patchsift")

_TRIES = 50
_GRACE_SECONDS = 20
_NICE = 5
_BACKLOG = 2048


def serve(settings: Settings, *, fixed_port: bool, open_browser: bool, worker_too: bool, say: Say) -> None:
    """Serve until interrupted; prints one fact a line.

    Args:
        settings: where to listen, what to serve.
        fixed_port: the port was asked for, so no other will do.
        open_browser: open one where there is a desktop.
        worker_too: run jobs in a child process.
        say: takes each fact.

    Raises:
        AppError: the address is taken, or another server has the data folder.

    """
    logs.set_up(settings.log_format)
    say = logs.teller(settings.log_format, say)
    listening = _listen(settings.host, settings.port, 1 if fixed_port else _TRIES)
    port = listening.getsockname()[1]
    claimed = claim_folder(settings)
    _bring_up_to_date(settings, say)
    end_worker = _keep_worker(settings, listening) if worker_too else None
    # The web server takes over while it runs, and sends the same signal once more when it has ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        db = Database(settings, hurried=True)
        meters = _listen_for_prometheus(settings, db, say)
        app = create_app(settings, db, meters)
        say(f"data      {settings.data_dir}")
        say(f"database  {db.url.render_as_string(hide_password=True)}")
        say("worker    " + ("beside this server" if worker_too else "none here; start it with: patchsift worker"))
        near = settings.host in LOOPBACK | EVERYWHERE
        address = f"http://{'localhost' if near else settings.host}:{port}"
        say(f"open      {settings.public_url.rstrip('/') or address}")
        for line in advice(settings):
            say(line)
        if link := setup_link(settings, db, address):
            say(f"set up    {link}")
            say("          (works once, for a day: it makes the first administrator; nobody else comes in before)")
        if open_browser and _is_desktop():
            threading.Timer(0.5, webbrowser.open, [address]).start()
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=True,
            forwarded_allow_ips=settings.trusted_proxies,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            limit_concurrency=512,
            lifespan="on",
            ws="none",
        )
        _collect_again()
        log.info("server started: Patchsift %s, process %s", __version__, os.getpid())
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        log.info("server stopped")
        if end_worker is not None:
            end_worker()
        claimed.close()


def _listen_for_prometheus(settings: Settings, db: Database, say: Say) -> Meters | None:
    if not settings.metrics:
        return None
    meters = Meters(db)
    port = meters.listen(settings.metrics)
    say(f"metrics   http://{settings.metrics.rpartition(':')[0]}:{port}/metrics")
    return meters


def advice(settings: Settings) -> list[str]:
    """What to say at the start of a server that other machines reach: under which names, and whether others can listen.

    Nothing on loopback without a proxy; behind `public_url="https://…"` only the names.
    """
    if settings.host in LOOPBACK and settings.is_private:
        return []
    names = sorted(settings.hosts - LOOPBACK)
    lines = [f"hosts     {', '.join(names) or 'localhost alone'}; name others: PATCHSIFT_ALLOWED_HOSTS=NAME,NAME"]
    if not settings.public_url:
        lines.append("          (say what people open, for links: PATCHSIFT_PUBLIC_URL=https://NAME)")
    if not settings.public_url.startswith("https://"):
        lines.append(
            "warning   passwords and logins cross the network in the clear: put TLS before this server, "
            "see docs/operation.md"
        )
    return lines


def setup_link(settings: Settings, db: Database, address: str) -> str:
    """A one-time link where others can reach the server and nobody has a password yet; else nothing."""
    with db.read() as session:
        if settings.is_private or accounts.has_accounts(session):
            return ""
    with db.write() as session:
        secret = accounts.make_ticket(session, None, now=datetime.now(UTC))
    return f"{settings.public_url.rstrip('/') or address}/come-in/{secret}"


def _bring_up_to_date(settings: Settings, say: Say) -> None:
    """Migrate before there is a second process; every connection is closed again, for the worker is forked next."""
    db = installations.open_database(settings, makes=True)
    refuse_unsafe(db)
    with db.write() as session:
        # Several servers may start on an empty database at once, and one of them makes what all want.
        lock_ingest(session)
        _, told = installations.take_project(session, settings, Actor(None, "server", "start"), now=datetime.now(UTC))
    if told:
        say(f"project   {told}")
    db.close()


def work(settings: Settings, *, say: Say) -> None:
    """Run jobs in this process until it is told to stop."""
    logs.set_up(settings.log_format)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    say = logs.teller(settings.log_format, say)
    db = Database(settings)
    say(f"worker    on {db.url.render_as_string(hide_password=True)}")
    log.info("worker started: Patchsift %s, process %s", __version__, os.getpid())
    try:
        worker.run(db, settings, stop=stopping.is_set, meters=_listen_for_prometheus(settings, db, say))
    finally:
        log.info("worker stopped")
        db.close()


def _listen(host: str, port: int, tries: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in range(port, port + tries):
        # Named as TCP, or asyncio leaves Nagle's algorithm on, and every answer waits 40 ms for an acknowledgement.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host.strip("[]"), number))
        except OSError as error:
            listening.close()
            reason = error.strerror
            continue
        listening.listen(_BACKLOG)
        return listening
    taken = f"Port {port}" if tries == 1 else f"Every port from {port} to {port + tries - 1}"
    raise AppError(f"{taken} on {host} cannot be had: {reason}. Choose another with --port, or --port 0 for any.")


def claim_folder(settings: Settings) -> BinaryIO:
    """Hold a lock beside the SQLite file until what is given back is closed; a second server says so and stops.

    Raises:
        AppError: a server holds it.

    """
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    claimed = (settings.data_dir / "server.lock").open("ab")
    if not settings.url.startswith("sqlite"):
        return claimed
    try:
        import fcntl  # noqa: PLC0415  (absent on Windows)

        fcntl.flock(claimed, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return claimed
    except OSError as error:
        claimed.close()
        raise AppError(
            f"Another Patchsift serves {settings.data_dir} already. Stop it, or give this one another --data-dir."
        ) from error
    return claimed


def _keep_worker(settings: Settings, listening: socket.socket) -> Callable[[], None]:
    """Start the worker, and see to it that one is there; gives what ends it.

    Where that is sound (Linux, no connection open, no thread yet), a process is forked that does nothing but fork
    workers: each copy has all imports already. All end when the server ends, however that comes.
    """
    if sys.platform != "linux":
        return _keep_in_thread(settings)
    server = os.getpid()
    keeper_id = os.fork()
    if keeper_id:
        return lambda: _end(keeper_id)
    try:
        listening.close()
        stopping = _told_to_stop()
        keeper.keep(lambda: _Forked(settings), lambda: stopping.is_set() or os.getppid() != server)
    finally:
        os._exit(0)


def _keep_in_thread(settings: Settings) -> Callable[[], None]:
    import subprocess  # noqa: PLC0415

    stopping = threading.Event()
    environment = os.environ | {
        "PATCHSIFT_METRICS": "",
        "PATCHSIFT_DATA_DIR": str(settings.data_dir),
        "PATCHSIFT_DATABASE_URL": settings.database_url,
        "PATCHSIFT_PROJECT": settings.project,
    }
    command = [sys.executable, "-m", "app.cli", "worker"]

    def start() -> keeper.Child:
        return subprocess.Popen(command, env=environment)  # noqa: S603  (constant words)

    keeping = threading.Thread(target=keeper.keep, args=(start, stopping.is_set))
    keeping.start()

    def end() -> None:
        stopping.set()
        keeping.join()

    return end


class _Forked:
    """A worker in a copy of this process; it ends when this process ends."""

    def __init__(self, settings: Settings) -> None:
        keeper_id = os.getpid()
        self.number = os.fork()
        if self.number:
            return
        _collect_again()
        stopping = _told_to_stop()
        os.nice(_NICE)
        status = 1
        try:
            db = Database(settings)
            worker.run(db, settings, stop=lambda: stopping.is_set() or os.getppid() != keeper_id)
            db.close()
            status = 0
        finally:
            # What it raised would be told by nobody else: it must not come to what the server does at its own end.
            if status:
                log.error("the worker ends by a fault", exc_info=True)
            os._exit(status)

    def poll(self) -> int | None:
        ended, status = os.waitpid(self.number, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if ended else None

    def terminate(self) -> None:
        os.kill(self.number, signal.SIGTERM)


def _told_to_stop() -> threading.Event:
    """Set at SIGTERM. Ctrl-C reaches every process of a terminal; only the server obeys it."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return stopping


def _collect_again() -> None:
    """Collect garbage from here on, without looking at what has been imported; the start runs without collection."""
    gc.freeze()
    gc.enable()


def _end(child: int) -> None:
    try:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
    except (ProcessLookupError, ChildProcessError):
        return


def _is_desktop() -> bool:
    remote = "SSH_CONNECTION" in os.environ or not sys.stderr.isatty()
    screen = sys.platform in {"darwin", "win32"} or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    return screen and not remote
