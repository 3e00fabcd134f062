"""A worker that dies is started again, and a worker that cannot live is given up."""

import logging
import subprocess
import sys
import threading

import pytest

from app import keeper

DIES = [sys.executable, "-I", "-S", "-c", "raise SystemExit(3)"]
LIVES = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]


def test_one_that_dies_is_started_again_until_it_is_hopeless(caplog: pytest.LogCaptureFixture) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(DIES))
        return started[-1]

    with caplog.at_level(logging.ERROR):
        keeper.keep(start, lambda: False, first_pause=0.0)

    assert len(started) == keeper.MOST_DEATHS
    assert caplog.messages[0] == "the worker died (exit status 3); starting another in 0 s"
    assert caplog.messages[-1] == "the worker died 10 times in a row and is not started again; jobs wait"


def test_one_that_lives_is_left_alone_and_told_to_stop_at_the_end() -> None:
    started: list[subprocess.Popen[bytes]] = []
    stopping = threading.Event()

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(LIVES))
        stopping.set()
        return started[-1]

    keeper.keep(start, stopping.is_set)

    assert len(started) == 1
    assert started[0].returncode != 0
