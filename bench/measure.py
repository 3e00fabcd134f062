"""Whole processes, measured by the operating system: CPU seconds (user + system) of the tree, and peak memory."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What one process cost, its children included."""

    cpu_s: float
    wall_s: float
    peak_mb: float


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end; it must succeed."""
    before, began = os.times(), time.perf_counter()
    child = subprocess.Popen(
        [str(part) for part in command], env=dict(os.environ) | dict(environment or {}), stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    if child.returncode not in {0, 3}:
        sys.exit(f"{command[0]} ended with {child.returncode}")
    after = os.times()
    children = (after.children_user + after.children_system) - (before.children_user + before.children_system)
    return Cost(max(children, usage.ru_utime + usage.ru_stime), wall, usage.ru_maxrss / 1024)


def alternate(rounds: int, ours: Callable[[], Cost], theirs: Callable[[], Cost]) -> tuple[list[Cost], list[Cost]]:
    """A B A B …, so that a machine that gets slower does so for both."""
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def spread(values: Sequence[float], unit: str = "") -> str:
    """`1.93 (1.81 to 2.10)`: median, least and most."""
    return f"{statistics.median(values):,.2f}{unit} ({min(values):,.2f} to {max(values):,.2f})"


def tool(name: str) -> Path:
    """A command of this environment.

    Exits with a sentence when it is not installed.
    """
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        sys.exit(f"{name} is not installed here; the peers come with: pip install --group bench (or: make bench-env)")
    return path
