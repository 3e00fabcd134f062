"""A real S3-compatible server, SeaweedFS, which runs from a package: on loopback, in a folder of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

_PORTS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc", "s3.port",
    "s3.port.grpc",
)  # fmt: skip
_START_SECONDS = 60.0


@dataclass(frozen=True)
class S3:
    """A running server; alice may do everything, bob only read and list."""

    endpoint: str
    filer: str
    child: "subprocess.Popen[bytes]"

    def make_bucket(self, name: str) -> None:
        with urlopen(Request(f"{self.filer}/buckets/{name}/", method="POST"), timeout=10):
            pass

    def stop(self) -> None:
        """Kill it and all that it started: asked to end, it waits half a minute for connections that nobody has."""
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()


def keys(name: str = "alice", secret: str | None = None) -> dict[str, str]:
    """The environment of somebody who works with the server."""
    return {
        "AWS_ACCESS_KEY_ID": name,
        "AWS_SECRET_ACCESS_KEY": f"{name}-secret" if secret is None else secret,
        "AWS_REGION": "us-east-1",
    }


def start_s3(folder: Path) -> S3:
    """Start a server with no bucket; it is up when this returns."""
    rights = {"alice": ["Admin", "Read", "Write", "List"], "bob": ["Read", "List"]}
    identities = [
        {"name": name, "credentials": [{"accessKey": name, "secretKey": f"{name}-secret"}], "actions": actions}
        for name, actions in rights.items()
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    (folder / "kept").mkdir()
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    weed = Path(sys.executable).with_name("weed")
    command = [
        str(weed), "server", f"-dir={folder / 'kept'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3",
        f"-s3.config={folder / 's3.json'}", "-s3.autoCreateBucket=false", "-master.telemetry=false", "-volume.max=20",
        "-master.volumeSizeLimitMB=64", *(f"-{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)
    made = S3(f"http://127.0.0.1:{ports['s3.port']}", f"http://127.0.0.1:{ports['filer.port']}", child)
    until = time.monotonic() + _START_SECONDS
    while not (_answers(made.endpoint) and _answers(made.filer)):
        if child.poll() is not None or time.monotonic() > until:
            made.stop()
            raise RuntimeError((folder / "log").read_text(errors="replace")[-2000:])
        time.sleep(0.1)
    return made


def _free_ports(n: int) -> list[int]:
    taken = [socket.socket() for _ in range(n)]
    try:
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]
    finally:
        for one in taken:
            one.close()


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=2):
            return True
    except HTTPError:
        return True
    except (URLError, OSError):
        return False
