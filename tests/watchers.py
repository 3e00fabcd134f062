"""A real `patchsift watch`, and what it says."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def watch_command(desk: Path, folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "app.cli", "watch", "--json", "--data-dir", str(desk), str(folder), *more]


@dataclass(frozen=True, slots=True)
class Watch:
    """A running watcher."""

    running: "subprocess.Popen[str]"

    def next(self) -> Any:
        """The next change that it tells; waits for it."""
        assert self.running.stdout is not None
        said = self.running.stdout.readline()
        assert said, "the watcher ended"
        return json.loads(said)

    def wait(self) -> None:
        """Wait until it watches, and can be told to stop."""
        assert self.running.stderr is not None
        assert self.running.stderr.readline().startswith("Watching ")

    def stop(self, number: int) -> tuple[int, str]:
        """Send it a signal; gives its exit status and what it said on standard error."""
        self.running.send_signal(number)
        _, said = self.running.communicate(timeout=60)
        return self.running.returncode, said


@contextmanager
def watching(desk: Path, folder: Path, *more: str) -> Iterator[Watch]:
    """A watcher of a folder, killed at the end if it still runs."""
    command = watch_command(desk, folder, "--poll", "0.05", *more)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            yield Watch(running)
        finally:
            running.kill()
