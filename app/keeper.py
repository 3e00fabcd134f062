"""Keeps the worker beside the server alive: one that died is started again, until it is hopeless."""

import logging
import time
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger("patchsift.keeper")

FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_LOOK_SECONDS = 0.25
# Whoever ran for so long did not die of what it met at once.
_STEADY_SECONDS = 600.0
MOST_DEATHS = 10


class Child(Protocol):
    """A started process, as `subprocess.Popen` is one."""

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""

    def terminate(self) -> None:
        """Tell it to stop."""


def keep(start: Callable[[], Child], stopping: Callable[[], bool], *, first_pause: float = FIRST_PAUSE_SECONDS) -> None:
    """Keep one child running until `stopping()` says so, or until it has died `MOST_DEATHS` times in short order.

    Args:
        start: starts the child.
        stopping: asked four times a second; the child is told to stop then, and waited for.
        first_pause: seconds before the first new start; each further pause is twice as long, up to a minute.

    """
    deaths = 0
    while not stopping():
        began = time.monotonic()
        child = start()
        while (status := child.poll()) is None and not stopping():
            time.sleep(_LOOK_SECONDS)
        if status is None:
            child.terminate()
            while child.poll() is None:
                time.sleep(_LOOK_SECONDS / 10)
            return
        deaths = deaths + 1 if time.monotonic() - began < _STEADY_SECONDS else 1
        if deaths >= MOST_DEATHS:
            log.error("the worker died %d times in a row and is not started again; jobs wait", deaths)
            return
        pause = min(first_pause * 2 ** (deaths - 1), _LONGEST_PAUSE_SECONDS)
        log.error("the worker died (exit status %s); starting another in %.0f s", status, pause)
        _wait(pause, stopping)


def _wait(seconds: float, stopping: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not stopping():
        time.sleep(min(left, _LOOK_SECONDS))
