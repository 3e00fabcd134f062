"""How long a decision takes while a dataset is exported, beside how long it takes when nothing else happens.

    python -m bench.decide_during_export [--candidates 3000] [--rows 100000] [--rounds 3] [--block 100]

A real server with its worker, one browser on a keep-alive connection: a block of decisions while nothing happens, then
one while downloads of a release are asked for, one after the other, each in another format. Of many rows (`--rows
100000`) the worker makes them, of few (`--rows 3000`) the server itself, while the decisions go on. Only decisions that
began while an export was being made count as "during".
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from bench import logs, release_export
from bench.decide_next import Reviewer
from bench.measure import tool
from bench.servers import Server, free_port, start

_FORMATS = ("prompt-completion", "messages", "alpaca", "conversations", "agent")
_PACKS = ("zip", "tar.gz")
_ASK_AGAIN_S = 0.2


class Exporter(threading.Thread):
    """Asks for one download after the other until it is told to stop; `is_busy` while one is being made."""

    def __init__(self, server: Server, wanted: Iterator[tuple[str, str]]) -> None:
        super().__init__(daemon=True)
        self._server, self._wanted = server, wanted
        self._ended = threading.Event()
        self.is_busy = threading.Event()
        self.n_made = 0

    def run(self) -> None:
        for form, pack in self._wanted:
            self.is_busy.set()
            self._fetch(f"/api/v1/releases/1/download?format={form}&pack={pack}")
            self.is_busy.clear()
            if self._ended.is_set():
                return

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def _fetch(self, path: str) -> None:
        connection = self._server.connect()
        while not self._ended.is_set():
            # The head is enough: what it costs to make a file is asked here, not what it costs to send one.
            connection.request("HEAD", path)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                self.n_made += 1
                break
            if answer.status != 503:
                raise RuntimeError(f"{path} was answered with {answer.status}")
            time.sleep(_ASK_AGAIN_S)
        connection.close()


def _block(reviewer: Reviewer, n: int) -> list[float]:
    """Milliseconds of `n` decisions, after one to warm up."""
    reviewer.connection.close()
    reviewer.decide()
    began = len(reviewer.wall_s)
    for _ in range(n):
        reviewer.decide()
    return [1000 * second for second in reviewer.wall_s[began:]]


def _during(reviewer: Reviewer, exporter: Exporter, n: int) -> list[float]:
    """Milliseconds of decisions that began while an export was being made: `n`, or fewer where it was over sooner."""
    reviewer.connection.close()
    reviewer.decide()
    found: list[float] = []
    while len(found) < n and exporter.is_alive():
        was_busy = exporter.is_busy.is_set()
        reviewer.decide()
        if was_busy:
            found.append(1000 * reviewer.wall_s[-1])
    return found


def _quantiles(times: list[float]) -> tuple[float, float]:
    found = statistics.quantiles(times, n=20)
    return found[9], found[18]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=3_000)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--block", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = logs.write(given.candidates, folder / "made.jsonl")
        logs.install(log, folder / "desk", folder / "cache", prepare=given.candidates)
        release_export.make_release(given.rows, folder / "desk")
        print(f"{given.candidates:,} candidates, a release of {given.rows:,} rows", flush=True)
        port = free_port()
        serve: list[str | Path] = [
            tool("patchsift"),
            "serve",
            "--no-open",
            "--port",
            str(port),
            "--data-dir",
            folder / "desk",
        ]
        with start(serve, port, "/queue", folder / "cache") as server:
            _measure(server, given.rounds, given.block)


def _measure(server: Server, rounds: int, block: int) -> None:
    reviewer, ratios = Reviewer.open(server, "/candidates/1"), []
    wanted = iter([*product(_FORMATS, _PACKS)])
    for number in range(rounds):
        idle = _quantiles(_block(reviewer, block))
        exporter = Exporter(server, wanted)
        exporter.start()
        times = _during(reviewer, exporter, block)
        exporter.stop()
        if len(times) < block:
            print(f"round {number}: the exports were over after {len(times)} decisions; take more --rows")
            if len(times) < 20:
                break
        busy = _quantiles(times)
        ratios.append(busy[1] / idle[1])
        told = zip(("idle p50", "idle p95", "during p50", "during p95"), (*idle, *busy), strict=True)
        said = ", ".join(f"{name} {value:.1f} ms" for name, value in told)
        print(f"{said}; {exporter.n_made} exports made", flush=True)
    if ratios:
        print(f"p95 of a decision during an export over idle: {statistics.median(ratios):.2f} (wanted: 4 or less)")


if __name__ == "__main__":
    main()
