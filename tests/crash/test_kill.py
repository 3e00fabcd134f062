"""kill -9 of the real server in the midst of its work: nothing acknowledged is lost, nothing is doubled.

A few cycles stand in every test run; of decisions, test_decide_kill.py has thirty.
A campaign: PATCHSIFT_CRASH_CYCLES=1000 python -m pytest tests/crash
"""

import contextlib
import gzip
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from app import migrations
from app.db import Database
from app.settings import Settings
from tests.crash.installations import Installation
from tests.crash.servers import ROOT, GoneError, Server, children, cycles, is_alive, serve_command, serving
from tests.logs import line

pytestmark = pytest.mark.crash

CYCLES = cycles(4)
N_LINES = 4000
N_BLANK = 300_000
N_BULK = 1_600
BULK_CYCLES = cycles(2)


def rows(folder: Path, statement: str) -> list[tuple[Any, ...]]:
    """What stands in a SQLite database, read by the driver alone."""
    return Installation(folder).rows(statement)


def assert_sound(folder: Path) -> None:
    Installation(folder).assert_sound()


def fill(folder: Path, content: bytes) -> None:
    """A data folder with these lines in it."""
    Installation(folder).fill(content)


# ------------------------------------------------------------------------------------------------ decisions


@dataclass
class Memory:
    """What one client knows to be stored, and what it was never told about."""

    acknowledged: dict[str, int] = field(default_factory=dict)
    unanswered: list[tuple[int, dict[str, object]]] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)


def decide_until_gone(server: Server, memory: Memory, seed: int, ids: list[int]) -> None:
    """Decide one candidate after the other; whoever has an even number first repeats what was not answered."""
    chance = random.Random(seed)
    again, memory.unanswered = (memory.unanswered, []) if seed % 2 == 0 else ([], memory.unanswered)
    queue = [*again, *((number, {}) for number in ids)]
    for number, sent in queue:
        body = sent or {
            "verdict": chance.choice(["accept", "reject", "flag"]),
            "version": 1,
            "key": f"{seed}-{number}-{chance.random()}",
        }
        try:
            answer = server.ask(f"/api/v1/candidates/{number}/decisions", body)
        except GoneError:
            memory.unanswered.append((number, body))
            return
        except HTTPError as error:
            memory.refused.append(error.code)
            continue
        memory.acknowledged[str(body["key"])] = answer["decision"]["id"]


def test_a_bulk_act_that_is_killed_decides_each_candidate_once(installation: Installation) -> None:
    installation.fill(b"".join(line(f"Issue {n}") + b"\n" for n in range(N_BULK)))
    order = {"filter": {}, "verdict": "accept", "count": N_BULK, "key": "all-at-once"}
    answered: list[int] = []
    chance = random.Random(11)

    for cycle in range(BULK_CYCLES + 1):
        with serving(installation.folder, *installation.options) as server:
            asking = threading.Thread(target=order_bulk, args=(server, order, answered))
            asking.start()
            if cycle == BULK_CYCLES:
                asking.join()
                while server.ask(f"/api/v1/bulk/{answered[0]}")["state"] in {"queued", "running"}:
                    time.sleep(0.05)
            else:
                wait_for_decisions(installation, chance.randint(0, N_BULK * (cycle + 1) // BULK_CYCLES), asking)
            server.kill()
            asking.join()

    # However often it was asked for, it is one act.
    assert len(set(answered)) == 1
    assert installation.rows("SELECT count(*), count(DISTINCT candidate_id) FROM decision") == [(N_BULK, N_BULK)]
    assert installation.rows("SELECT count(DISTINCT bulk) FROM decision") == [(1,)]
    installation.assert_sound()


def order_bulk(server: Server, order: dict[str, object], answered: list[int]) -> None:
    with contextlib.suppress(GoneError):
        answered.append(server.ask("/api/v1/bulk", order)["job"])


def wait_for_decisions(installation: Installation, n: int, asking: threading.Thread) -> None:
    """Until so many are decided, or it goes no further: the worker was killed, and is not believed dead so soon."""
    until = time.monotonic() + 3
    while installation.rows("SELECT count(*) FROM decision")[0][0] < n:
        if not asking.is_alive() and time.monotonic() > until:
            return
        time.sleep(0.005)


# ------------------------------------------------------------------------------------------------ ingest

LOG = b"".join(
    b"broken %d\n" % n if n % 97 == 0 else line(f"Issue {n % (N_LINES - 50)}") + b"\n" for n in range(N_LINES)
)


def contents(folder: Path) -> tuple[Any, ...]:
    """What a finished import left, whatever numbers it gave."""
    digests = hashlib.sha256()
    for (digest,) in rows(folder, "SELECT hex(digest) FROM entry ORDER BY 1"):
        digests.update(digest.encode())
    [source] = rows(
        folder, "SELECT state, offset_bytes, n_lines, n_new, n_repeated, n_quarantined, hex(digest) FROM source"
    )
    held = rows(folder, "SELECT line, offset_bytes, code FROM quarantine ORDER BY line")
    repeated = rows(folder, "SELECT line FROM repeat ORDER BY line")
    n_candidates = rows(folder, "SELECT count(*) FROM candidate")
    return digests.hexdigest(), source, tuple(held), tuple(repeated), tuple(n_candidates)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """What one undisturbed import leaves."""
    folder = tmp_path_factory.mktemp("clean")
    fill(folder, LOG)
    return contents(folder)


# Blank lines that make a file so large that a process of its own reads it ahead.
BULK = (b" " * (11 << 20) + b"\n") * 3


@pytest.mark.parametrize("content", [LOG, gzip.compress(LOG, 1), LOG + BULK], ids=["plain", "packed", "ahead"])
def test_an_import_by_command_ends_as_if_it_had_never_been_killed(
    tmp_path: Path, clean: tuple[Any, ...], content: bytes
) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(content)
    fill_nothing(tmp_path / "desk")
    command = [sys.executable, "-m", "app.cli", "ingest", "--data-dir", str(tmp_path / "desk"), str(log)]
    chance = random.Random(len(content))
    for cycle in range(CYCLES):
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as running:
            wait_for_offset(tmp_path / "desk", chance.randint(0, len(LOG) * (cycle + 1) // (CYCLES + 2)), running)
            started = children(running.pid)
            running.kill()
        assert all(ends(one) for one in started)
        assert rows(tmp_path / "desk", "PRAGMA integrity_check") == [("ok",)]
        if rows(tmp_path / "desk", "SELECT state FROM source") == [("done",)]:
            break
    else:
        last = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        assert last.returncode == 3, last.stderr

    digest, source, *others = contents(tmp_path / "desk")
    assert (digest, *others) == (clean[0], *clean[2:])
    assert source[0] == "done"
    assert source[3:6] == clean[1][3:6]
    assert_sound(tmp_path / "desk")


def fill_nothing(folder: Path) -> None:
    db = Database(Settings(data_dir=folder))
    migrations.upgrade(db)
    db.close()


def wait_for_offset(folder: Path, offset: int, running: "subprocess.Popen[bytes]") -> None:
    """Wait until the import has committed so many bytes, or has ended."""
    while running.poll() is None:
        found = rows(folder, "SELECT offset_bytes FROM source WHERE state = 'reading'")
        if found and found[0][0] >= offset:
            return
        time.sleep(0.002)


def test_an_upload_survives_the_death_of_server_and_worker(tmp_path: Path, clean: tuple[Any, ...]) -> None:
    job = 0
    for cycle in range(CYCLES):
        with serving(tmp_path) as server:
            if not cycle:
                job = server.ask("/api/v1/ingest?name=log.jsonl", raw=LOG + b"\n" * N_BLANK)["job"]
            wait_for_progress(server, job)

    with serving(tmp_path) as server:
        while (state := server.ask(f"/api/v1/jobs/{job}"))["state"] in {"queued", "running"}:
            time.sleep(0.05)

    assert state["state"] == "done", state
    digest, source, *others = contents(tmp_path)
    assert (digest, *others) == (clean[0], *clean[2:])
    assert source[2] == N_LINES + N_BLANK
    assert list((tmp_path / "uploads").iterdir()) == []
    assert_sound(tmp_path)


def wait_for_progress(server: Server, job: int) -> None:
    """Wait until the job has moved on since this server came up, or has ended."""
    before = server.ask(f"/api/v1/jobs/{job}")["done"]
    until = time.monotonic() + 2
    while time.monotonic() < until:
        now = server.ask(f"/api/v1/jobs/{job}")
        if now["done"] > before or now["state"] not in {"queued", "running"}:
            return
        time.sleep(0.01)


# ------------------------------------------------------------------------------------------------ processes


def worker_of(server: Server) -> int:
    """Its process: the child of the one that keeps it."""
    [keeper] = children(server.running.pid)
    until = time.monotonic() + 30
    while not (found := children(keeper)):
        assert time.monotonic() < until
        time.sleep(0.01)
    return found[0]


def test_the_worker_dies_with_its_server(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        worker = worker_of(server)
        os.kill(server.running.pid, signal.SIGKILL)
        server.running.wait()

        assert ends(worker)


def test_a_worker_that_is_killed_is_started_again_and_ends_its_job(tmp_path: Path, clean: tuple[Any, ...]) -> None:
    with serving(tmp_path) as server:
        first = worker_of(server)
        job = server.ask("/api/v1/ingest?name=log.jsonl", raw=LOG + b"\n" * N_BLANK)["job"]
        wait_for_progress(server, job)
        os.kill(first, signal.SIGKILL)
        while (state := server.ask(f"/api/v1/jobs/{job}"))["state"] in {"queued", "running"}:
            time.sleep(0.05)
        second = worker_of(server)

    assert state["state"] == "done", state
    assert second != first
    digest, _, *others = contents(tmp_path)
    assert (digest, *others) == (clean[0], *clean[2:])
    assert any("the worker died (exit status -9); starting another in 1 s" in one for one in server.said)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_stop_takes_its_worker_along(tmp_path: Path, number: int) -> None:
    with serving(tmp_path) as server:
        worker = worker_of(server)
        server.running.send_signal(number)

        assert server.running.wait(timeout=30) in {0, 130}
        assert ends(worker)
    assert rows(tmp_path, "PRAGMA integrity_check") == [("ok",)]


def test_whoever_asks_while_the_server_stops_is_answered_or_nothing_is_stored(tmp_path: Path) -> None:
    fill(tmp_path, b"".join(line(f"Issue {n}") + b"\n" for n in range(400)))
    memories = [Memory() for _ in range(4)]
    with serving(tmp_path) as server:
        threads = [
            threading.Thread(target=decide_until_gone, args=(server, memory, seed, list(range(seed + 1, 401, 4))))
            for seed, memory in enumerate(memories)
        ]
        for thread in threads:
            thread.start()
        while sum(len(memory.acknowledged) for memory in memories) < 20:
            time.sleep(0.001)
        server.running.send_signal(signal.SIGTERM)
        assert server.running.wait(timeout=60) == 0
        for thread in threads:
            thread.join()

    acknowledged = {key: number for memory in memories for key, number in memory.acknowledged.items()}
    assert dict(rows(tmp_path, "SELECT key, id FROM decision")) == acknowledged
    assert_sound(tmp_path)


def test_a_second_server_on_the_same_folder_says_so(tmp_path: Path) -> None:
    with serving(tmp_path):
        second = subprocess.run(serve_command(tmp_path), cwd=ROOT, capture_output=True, text=True, check=False)

    assert second.returncode == 1
    assert "Another Patchsift serves" in second.stderr


def ends(process_id: int) -> bool:
    until = time.monotonic() + 10
    while is_alive(process_id):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
