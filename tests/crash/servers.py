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
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

ROOT = Path(__file__).parent.parent.parent
_ADDRESS = re.compile(r"https?://\S+:\d+")
_LONGEST_START = 30.0


class GoneError(Exception):
    """The server went away before it answered."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running `patchsift serve` with its worker, in a process group of its own."""

    running: "subprocess.Popen[str]"
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


def _address(running: "subprocess.Popen[str]") -> str:
    assert running.stderr is not None
    said = []
    for line in running.stderr:
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
