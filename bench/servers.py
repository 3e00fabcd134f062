"""A server as a child process: started, asked, and its tree's CPU time read while it lives."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_PATIENCE_S = 120


@dataclass(frozen=True)
class Server:
    """A child that answers on a port of this machine."""

    pid: int
    port: int

    def connect(self) -> http.client.HTTPConnection:
        """A keep-alive connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_S)

    def cpu_s(self) -> float:
        """CPU seconds so far, user and system, of the child and all that it started."""
        return sum(_cpu_s(pid) for pid in _tree(self.pid))


def _cpu_s(pid: int) -> float:
    """One process, by its nanosecond clock, and those of its children that have ended, by their ticks."""
    try:
        ended = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[13:15]
        # How Linux numbers the CPU clock of another process: clock_getcpuclockid(3).
        return time.clock_gettime((~pid << 3) | 2) + sum(map(int, ended)) / os.sysconf("SC_CLK_TCK")
    except (FileNotFoundError, ProcessLookupError, OSError):
        return 0.0


def _tree(root: int) -> list[int]:
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            stat = (folder / "stat").read_text(encoding="utf-8")
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
    return port


def environment(cache: Path) -> dict[str, str]:
    """This environment, with compiled modules kept in `cache`: an installed program has them."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(cache)}


@contextlib.contextmanager
def start(command: Sequence[str | Path], port: int, path: str, cache: Path) -> Iterator[Server]:
    """Start a server and wait until `path` is answered with 200; it is stopped when the block ends."""
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [str(part) for part in command], env=environment(cache), cwd="/", stdout=subprocess.DEVNULL, stderr=said
        )
        try:
            _wait(child, port, path, said)
            yield Server(child.pid, port)
        finally:
            child.terminate()
            child.wait(30)


def _wait(child: subprocess.Popen[bytes], port: int, path: str, said: IO[bytes]) -> None:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        if child.poll() is not None:
            said.seek(0)
            sys.exit(f"{said.read().decode()}{_command_of(child)} ended with {child.returncode}")
        with contextlib.suppress(ConnectionRefusedError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            connection.close()
            if answer.status == 200:
                return
            sys.exit(f"{path} was answered with {answer.status}")
        time.sleep(0.005)
    sys.exit(f"{_command_of(child)} did not answer in {_PATIENCE_S} s")


def _command_of(child: subprocess.Popen[bytes]) -> str:
    return " ".join(map(str, child.args if isinstance(child.args, list) else [child.args]))
