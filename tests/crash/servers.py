"""A real server that is killed, and what its clients remember."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tests.commands import FORKED

ROOT = Path(__file__).parent.parent.parent

_ADDRESS = re.compile(r"https?://\S+:\d+")
_LONGEST_START = 30.0


class GoneError(Exception):
    """The server went away before it answered."""


class Forked:
    """A command in a forked process, as far as `subprocess.Popen` is needed of it."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        self.pid = process.pid or 0

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        assert self._process.exitcode is not None
        return self._process.exitcode


@dataclass(frozen=True, slots=True)
class Server:
    """A running `patchsift serve` with its worker, in a process group of its own."""

    running: "subprocess.Popen[str] | Forked"
    address: str
    said: list[str] = field(default_factory=list)

    def ask(self, path: str, body: object = None, *, raw: bytes | None = None) -> Any:
        """The answer's JSON, None for 204.

        Raises:
            GoneError: the server died meanwhile.
            HTTPError: it refused.

        """
        sent = raw if raw is not None else None if body is None else json.dumps(body).encode()
        asked = Request(self.address + path, data=sent, headers={"Content-Type": "application/json"})
        try:
            with urlopen(asked, timeout=60) as answer:
                found = answer.read()
        except HTTPError:
            raise
        except (URLError, OSError, EOFError) as error:
            raise GoneError from error
        except Exception as error:
            # http.client's IncompleteRead and BadStatusLine: half an answer is none.
            raise GoneError from error
        return json.loads(found) if found else None

    def kill(self) -> None:
        """Kill server and worker at once, as a power cut would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.running.pid, signal.SIGKILL)
        self.running.wait()


def serve_command(folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "app.cli", "serve", "--no-open", "--port", "0", "--data-dir", str(folder), *more]


@contextlib.contextmanager
def serving(folder: Path, *more: str) -> Iterator[Server]:
    """A server on a data folder, with more options; killed at the end if it was not before."""
    command = serve_command(folder, *more)
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True) as running:
        server = Server(running, _address(running))
        # Read on, or a server that has much to say stops when the pipe is full.
        threading.Thread(target=server.said.extend, args=(running.stderr,), daemon=True).start()
        try:
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def serving_forked(folder: Path, *more: str) -> Iterator[Server]:
    """As `serving`, in a process that need not import anything, and without a worker."""
    heard, said = FORKED.Pipe(duplex=False)
    command = serve_command(folder, "--no-worker", *more)
    process = FORKED.Process(target=_run, args=(command[3:], said))
    process.start()
    said.close()
    with os.fdopen(os.dup(heard.fileno())) as told:
        heard.close()
        server = Server(Forked(process), _find_address(told))
        threading.Thread(target=_read_on, args=(told, server.said), daemon=True).start()
        try:
            yield server
        finally:
            server.kill()


def _run(words: list[str], said: Connection) -> None:
    """`patchsift` with these words, in a session of its own; what it says goes to `said`."""
    os.setsid()
    os.dup2(said.fileno(), sys.stderr.fileno())
    said.close()
    sys.argv = ["patchsift", *words]
    from app.cli import main

    main()


def _read_on(told: IO[str], said: list[str]) -> None:
    with contextlib.suppress(ValueError, OSError):
        said.extend(told)


def _address(running: "subprocess.Popen[str]") -> str:
    assert running.stderr is not None
    return _find_address(running.stderr)


def _find_address(told: IO[str]) -> str:
    said = []
    for line in told:
        said.append(line)
        if found := _ADDRESS.search(line):
            return _answering(found[0])
    raise AssertionError("".join(said))


def _answering(address: str) -> str:
    """The address is printed a moment before it answers."""
    until = time.monotonic() + _LONGEST_START
    while time.monotonic() < until:
        try:
            with urlopen(f"{address}/healthz", timeout=5):
                return address
        except URLError:
            time.sleep(0.02)
    raise AssertionError(address)


def cycles(default: int) -> int:
    """How often to kill: `PATCHSIFT_CRASH_CYCLES` for a campaign."""
    return int(os.environ.get("PATCHSIFT_CRASH_CYCLES", default))


def children(process_id: int) -> list[int]:
    """The processes that a process started, by Linux's own list."""
    try:
        listed = Path(f"/proc/{process_id}/task/{process_id}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(one) for one in listed.split()]


def is_alive(process_id: int) -> bool:
    """Whether a process still runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
