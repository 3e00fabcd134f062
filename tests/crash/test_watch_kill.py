"""kill -9 of the watcher, again and again, while a log grows, is rotated and is rewritten."""

import random
import subprocess
import time
from pathlib import Path

import pytest

from tests.crash.servers import ROOT, cycles
from tests.crash.test_kill import assert_sound, fill, fill_nothing, rows
from tests.logs import line
from tests.watchers import watch_command

pytestmark = pytest.mark.crash

CYCLES = cycles(5)
N_FIRST = 2500


def lines(first: int, n: int, **more: object) -> bytes:
    return b"".join(line(f"Issue {number}", **more) + b"\n" for number in range(first, first + n))


def wait_for_more(desk: Path, n: int, running: "subprocess.Popen[bytes]") -> None:
    """Wait until so many entries more are in, or the watcher has been idle for a while."""
    wanted = rows(desk, "SELECT count(*) FROM entry")[0][0] + n
    until = time.monotonic() + 3
    while running.poll() is None and time.monotonic() < until:
        if rows(desk, "SELECT count(*) FROM entry")[0][0] >= wanted:
            return
        time.sleep(0.002)


def test_a_watcher_that_is_killed_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    desk, folder = tmp_path / "desk", tmp_path / "project"
    folder.mkdir()
    log, old = folder / "success_memory.jsonl", folder / "success_memory.jsonl.1"
    log.write_bytes(lines(0, N_FIRST))
    fill_nothing(desk)
    chance, n = random.Random(5), N_FIRST
    for cycle in range(CYCLES):
        with subprocess.Popen(
            watch_command(desk, folder, "--poll", "0.05"),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as running:
            wait_for_more(desk, chance.randint(1, N_FIRST // CYCLES), running)
            with log.open("ab") as opened:
                opened.write(lines(n, 40))
            n += 40
            if cycle == 1:
                log.rename(old)
                log.write_bytes(lines(n, 40))
                n += 40
            elif cycle == 2:
                log.write_bytes(log.read_bytes().replace(b'"user_rating": null', b'"user_rating": 4'))
            wait_for_more(desk, chance.randint(0, 60), running)
            running.kill()
        assert rows(desk, "PRAGMA integrity_check") == [("ok",)]
    last = subprocess.run(watch_command(desk, folder, "--once"), cwd=ROOT, capture_output=True, check=False)
    assert last.returncode == 0, last.stderr

    fill(tmp_path / "clean", (old.read_bytes() if old.exists() else b"") + log.read_bytes())
    candidates = "SELECT hex(digest), rating FROM candidate ORDER BY 1"
    assert rows(desk, candidates) == rows(tmp_path / "clean", candidates)
    assert len(rows(desk, candidates)) == n
    assert rows(desk, "SELECT candidate_id, digest FROM entry GROUP BY 1, 2 HAVING count(*) > 1") == []
    assert rows(desk, "SELECT count(*) FROM quarantine") == [(0,)]
    assert rows(desk, "SELECT DISTINCT state FROM source WHERE state = 'reading'") == []
    assert_sound(desk)
