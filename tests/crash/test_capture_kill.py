"""kill -9 of programs that capture: each step that was logged is in the file, and no line spoils another.

A few cycles stand in every test run. A campaign: PATCHSIFT_CRASH_CYCLES=1000 python -m pytest tests/crash
"""

import json
import os
import random
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.formats import capture
from app.formats.given import Given
from app.formats.lines import HeldError, parse_line
from static import patchsift_capture
from tests.crash.servers import cycles

pytestmark = pytest.mark.crash

CYCLES = cycles(4)
N_WRITERS = 4
MODULE = Path(patchsift_capture.__file__)

# Says on its output which step is logged, as soon as the call is back; the texts grow until a line fills many pages.
AGENT = """
import itertools, os, sys
from patchsift_capture import Capture

log = Capture(sys.argv[1])
seed = int(sys.argv[2])
run = log.run(f"Fix {seed}")
os.write(1, f"{run.id} 0\\n".encode())
for n in itertools.count(1):
    run.attempt("x" * (seed * n * 97_777 % 6_000_000), n % 7 == 0, score=0.5, stage="repair")
    if log.n_lost:
        sys.exit("a line was lost")
    os.write(1, f"{run.id} {n}\\n".encode())
"""


def start(folder: Path, seed: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "agent.py", str(folder / "logs" / "capture.jsonl"), str(seed)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def kill_after(agent: "subprocess.Popen[bytes]", n_steps: int, delay: int) -> set[tuple[str, int]]:
    """The steps that the agent had said were logged when it was killed, `delay` reads of the clock after the last."""
    assert agent.stdout is not None
    told = [agent.stdout.readline() for _ in range(n_steps)]
    for _ in range(delay):
        os.times()
    agent.kill()
    told += agent.stdout.readlines()
    agent.wait()
    assert agent.stderr is not None
    assert agent.stderr.read() == b""
    whole = [line.split() for line in told if line.endswith(b"\n")]
    return {(run_id.decode(), int(seq)) for run_id, seq in whole}


def sound_lines(path: Path) -> tuple[set[tuple[str, int]], list[bytes]]:
    """The steps that stand in a log as lines that an import takes, and what stands there beside them."""
    sound, broken = set(), []
    for raw in path.read_bytes().split(b"\n"):
        try:
            line = parse_line(raw)
        except HeldError:
            broken.append(raw)
            continue
        if line is not None:
            assert capture.read(line, Given())
            sound.add((str(line["run"]), int(str(line["seq"]))))
    return sound, broken


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / MODULE.name).write_bytes(MODULE.read_bytes())
    (tmp_path / "agent.py").write_text(AGENT, encoding="utf-8")
    return tmp_path


def test_each_step_that_was_logged_is_there_and_at_most_the_last_line_is_cut(folder: Path) -> None:
    chance = random.Random(11)
    path = folder / "logs" / "capture.jsonl"
    for cycle in range(CYCLES):
        path.unlink(missing_ok=True)
        with start(folder, cycle + 1) as agent:
            logged = kill_after(agent, chance.randint(1, 60), chance.randint(0, 3000))

        *whole, last = path.read_bytes().split(b"\n")
        assert all(isinstance(json.loads(line), dict) for line in whole)
        sound, broken = sound_lines(path)
        assert logged <= sound
        assert broken in ([], [last])
        # At most one step is there that nobody was told of: the one that the agent died in.
        assert len(sound - logged) <= 1


def test_writers_that_are_killed_beside_each_other_take_no_line_along(folder: Path) -> None:
    """Some are killed while they write and others begin, so that lines come after halves of others."""
    chance = random.Random(12)
    path = folder / "logs" / "capture.jsonl"
    logged: set[tuple[str, int]] = set()
    n_killed = 0
    for cycle in range(max(2, CYCLES // 2)):
        with ExitStack() as running:
            agents = [running.enter_context(start(folder, cycle * N_WRITERS + n + 1)) for n in range(N_WRITERS)]
            for agent in agents:
                logged |= kill_after(agent, chance.randint(1, 20), chance.randint(0, 3000))
                n_killed += 1

    sound, broken = sound_lines(path)
    assert logged <= sound
    assert len(sound - logged) <= n_killed
    assert len(broken) <= 2 * n_killed
