"""kill -9 of the worker while it freezes a release, again and again: whoever looks sees whole releases only.

A few cycles stand in every test run. A campaign: PATCHSIFT_CRASH_CYCLES=1000 python -m pytest tests/crash
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from app import releases, review
from app.db import Database
from app.models import Verdict
from app.releases import Spec
from app.review import Act
from app.settings import Settings
from app.verifier import verify
from tests.conftest import NOON
from tests.crash.servers import ROOT, cycles
from tests.crash.test_kill import assert_sound, fill, rows
from tests.logs import line
from tests.releasing import Release

pytestmark = pytest.mark.crash

CYCLES = cycles(3)
N = 160
_LONGEST = 120.0
_verified: dict[Path, bytes] = {}


@contextlib.contextmanager
def working(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker, with whatever it starts, killed at the end."""
    command = [sys.executable, "-m", "app.cli", "worker", "--data-dir", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True) as running:
        try:
            yield running
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)


def states(folder: Path) -> dict[int, str]:
    return dict(rows(folder, "SELECT number, state FROM release ORDER BY number"))


def wait_for(folder: Path, number: int, *wanted: str) -> str:
    """Wait until a release is in one of these states."""
    until = time.monotonic() + _LONGEST
    while (state := states(folder)[number]) not in wanted:
        assert time.monotonic() < until, (state, rows(folder, "SELECT kind, state, message FROM job"))
        time.sleep(0.005)
    return state


def wait_until_deep_in(folder: Path, number: int, cycle: int, chance: random.Random, n_bytes: int) -> None:
    """Wait until a freeze has written so much, has published its folder, or has begun to tell the database of it."""
    wanted = chance.randrange(n_bytes)
    place = folder / "releases" / "1"
    count = f"SELECT count(*) FROM released JOIN release r ON r.id = release_id AND number = {number}"

    def is_reached() -> bool:
        if cycle % 3 == 0:
            return size_of(place.glob(f".tmp-{number}-*")) >= wanted
        return (place / str(number)).exists() if cycle % 3 == 1 else rows(folder, count) != [(0,)]

    while is_being_made(folder, number) and not is_reached():
        time.sleep(0.001)
    time.sleep(chance.choice([0, 0.002, 0.02]))


def is_being_made(folder: Path, number: int) -> bool:
    """Whether a worker may still be at it: after three deaths its job is given up, which the next release notes."""
    given_up = f"SELECT job.state FROM job JOIN release r ON r.job_id = job.id AND number = {number}"
    return states(folder)[number] == "freezing" and rows(folder, given_up) != [("failed",)]


def size_of(folders: Iterable[Path]) -> int:
    """Bytes in all files that are there now; they may go while they are counted."""
    total = 0
    for folder in folders:
        for path in folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size
    return total


def lay(folder: Path) -> None:
    """An installation in which all is judged and nothing released."""
    diff = "--- a/x{n}.py\n+++ b/x{n}.py\n@@ -1 +1 @@\n-a{n}\n+b{n}\n"
    more = ({"successful_diff_summary": diff.format(n=n), "spec_target_files": [f"x{n % 40}.py"]} for n in range(N))
    fill(folder, b"".join(line(f"Issue {n}", **one) + b"\n" for n, one in enumerate(more)))
    db = Database(Settings(data_dir=folder))
    with db.write() as session:
        reviewer = review.ensure_local_reviewer(session, now=NOON).id or 0
        for number in range(1, N + 1):
            verdict = Verdict.REJECT if number % 10 == 0 else Verdict.ACCEPT
            review.decide(session, 1, reviewer, number, Act(verdict, 1, f"key-{number}"), now=NOON)
    db.close()


def create(folder: Path) -> int:
    db = Database(Settings(data_dir=folder))
    with db.write() as session:
        name = f"after {releases.next_number(session, 1)}"  # the same once more would be taken for a repetition
        number = releases.create(session, 1, 1, Spec(name), now=NOON).number
    db.close()
    return number


def seen(folder: Path) -> dict[int, Path]:
    """Every folder of a release that anyone can see."""
    place = folder / "releases" / "1"
    return {int(path.name): path for path in place.glob("*") if not path.name.startswith(".")}


def assert_whole(folder: Path) -> None:
    """What can be seen is whole, and what is called frozen can be seen."""
    frozen = {number for number, state in states(folder).items() if state == "frozen"}
    assert frozen <= seen(folder).keys()
    for path in seen(folder).values():
        # Of one that was looked at before only the checksums are compared: it may not change.
        sums = (path / "SHA256SUMS").read_bytes()
        if _verified.get(path) != sums:
            found = verify(path)
            assert found.is_whole, found.faults
            _verified[path] = sums


def test_a_freeze_that_is_killed_leaves_whole_releases_only(tmp_path: Path) -> None:
    lay(tmp_path)
    number = create(tmp_path)
    with working(tmp_path):
        assert wait_for(tmp_path, number, "frozen", "failed") == "frozen"

    chance, n_killed, n_bytes = random.Random(11), 0, size_of([seen(tmp_path)[number]])
    number = create(tmp_path)
    for cycle in range(CYCLES):
        with working(tmp_path):
            wait_for(tmp_path, number, "freezing", "frozen", "failed")
            wait_until_deep_in(tmp_path, number, cycle, chance, n_bytes)
        n_killed += states(tmp_path)[number] == "freezing"
        assert_whole(tmp_path)
        if not is_being_made(tmp_path, number):
            number = create(tmp_path)
    assert n_killed

    # One whose worker died three times before it got anywhere is given up; the next one then has everything.
    last = create(tmp_path)
    with working(tmp_path):
        assert wait_for(tmp_path, last, "frozen", "failed") == "frozen"
    assert_whole(tmp_path)
    assert_agreed(tmp_path)
    assert_sound(tmp_path)


def assert_agreed(folder: Path) -> None:
    """Of every release the database and the folder say the same, and nothing else is left."""
    found = states(folder)
    assert set(found.values()) <= {"frozen", "failed"}
    frozen = [number for number, state in found.items() if state == "frozen"]
    assert {path.name for path in (folder / "releases" / "1").iterdir()} == {str(number) for number in frozen}

    first = Release(seen(folder)[1], 1)
    ledger = dict(rows(folder, "SELECT lower(hex(issue)), split FROM ledger"))
    assert ledger == {way["issue"]: way["split"] for way in first.lineage().values()}
    assert rows(folder, "SELECT DISTINCT since, release_id FROM ledger") == [(2, 1)]
    for number in frozen:
        release = Release(seen(folder)[number], number)
        released = rows(
            folder,
            "SELECT candidate_id, decision_id FROM released JOIN release ON release.id = release_id "
            f"WHERE number = {number}",
        )
        assert set(released) == {(way["candidate"], way["decision"]) for way in release.lineage().values()}
        assert release.rows() == first.rows()
    assert rows(folder, "SELECT count(*) FROM released WHERE release_id NOT IN (SELECT id FROM release)") == [(0,)]
