"""Decide and get the next candidate, one request, as the browser sends it; beside the bare limit of the same stack.

    python -m bench.decide_next [--log FILE.jsonl] [--candidates 100000] [--rounds 9] [--block 200] [--keep FOLDER]

The database is made by the product itself: `patchsift ingest` of the log, and as many rendered diffs as will be looked
at. A real server, a keep-alive connection, blocks of ours and of bench/limit_app.py in turn. CPU is the server's
tree's, user and system, over a block. At the end every acknowledged decision is looked for in the database.
"""

import argparse
import gzip
import html
import http.client
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from app import decisions
from app.db import Database
from app.settings import Settings
from bench import limit_app, logs
from bench.measure import spread, tool
from bench.servers import Server, free_port, start

_WARM = 3
_HEADERS = {
    "Accept": "text/html",
    "Accept-Encoding": "gzip",
    "Content-Type": "application/x-www-form-urlencoded",
    "HX-Request": "true",
    "HX-Request-Type": "partial",
    "HX-Target": "article#candidate",
    "Sec-Fetch-Site": "same-origin",
}
_VERDICTS = ("accept", "reject", "accept", "skip", "accept", "flag")
_FORM = re.compile(r'hx-post="(/candidates/(\d+)/decisions[^"]*)"')
_HIDDEN = re.compile(r'name="(version|key)" value="([^"]*)"')


@dataclass
class Reviewer:
    """One browser on one connection: decides what it sees, as often as it is told."""

    server: Server
    connection: http.client.HTTPConnection
    text: str
    n_decided: int = 0
    wall_s: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    @classmethod
    def open(cls, server: Server, path: str) -> "Reviewer":
        connection = server.connect()
        text, _ = _ask(connection, "GET", path)
        return cls(server, connection, text)

    def decide(self) -> None:
        found = _FORM.search(self.text)
        if found is None:
            sys.exit(f"no candidate is left, or the page is another: {self.text[:300]}")
        verdict = _VERDICTS[self.n_decided % len(_VERDICTS)]
        hidden = dict(_HIDDEN.findall(self.text))
        fields = {**hidden, "comment": "", "rating": "", "verdict": verdict}
        began = time.perf_counter()
        self.text, size = _ask(self.connection, "POST", html.unescape(found[1]), urlencode(fields))
        self.wall_s.append(time.perf_counter() - began)
        self.sizes.append(size)
        self.n_decided += 1

    def block(self, n: int) -> float:
        """CPU milliseconds of the server for one decision, over `n` of them after a few to warm up."""
        # The other server's block may have outlasted the server's patience with an idle connection.
        self.connection.close()
        for _ in range(_WARM):
            self.decide()
        before = self.server.cpu_s()
        for _ in range(n):
            self.decide()
        return (self.server.cpu_s() - before) / n * 1000


def _ask(connection: http.client.HTTPConnection, method: str, path: str, body: str | None = None) -> tuple[str, int]:
    connection.request(method, path, body, _HEADERS)
    answer = connection.getresponse()
    raw = answer.read()
    text = (gzip.decompress(raw) if answer.getheader("Content-Encoding") == "gzip" else raw).decode()
    if answer.status != 200:
        sys.exit(f"{method} {path} was answered with {answer.status}: {text[:500]}")
    return text, len(raw)


def _stored(folder: Path) -> int:
    db = Database(Settings(data_dir=folder))
    with db.read() as session:
        n: int = session.connection().exec_driver_sql("SELECT count(*) FROM decision").scalar_one()
    db.close()
    return n


def _tally(folder: Path, acknowledged: int) -> Iterator[str]:
    """What the database holds after the run, beside what was acknowledged."""
    db = Database(Settings(data_dir=folder))
    with db.read() as session:
        ask = session.connection().exec_driver_sql
        rows = ask("SELECT count(*), count(DISTINCT key) FROM decision").one()
        counted: dict[str, int] = dict(ask("SELECT status, count(*) FROM candidate GROUP BY status").all())
        kept = {status: n for status, n in decisions.count_by_status(session, 1).items() if n}
        broken = decisions.verify_chain(session, 1)
    db.close()
    yield f"decisions acknowledged: {acknowledged:,}; rows: {rows[0]:,} with {rows[1]:,} keys; " + (
        "all are there" if rows[0] == rows[1] == acknowledged else "THEY DIFFER"
    )
    yield f"statuses counted: {counted}; tally: {kept}; " + ("they agree" if counted == kept else "THEY DIFFER")
    yield "the chain of digests holds" if broken is None else f"THE CHAIN IS BROKEN at decision {broken}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, help="a success_memory.jsonl; without it one is made of the samples")
    parser.add_argument("--candidates", type=int, default=100_000, help="how many lines to make")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--block", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="build in this folder, or go on with what an earlier run built there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = given.keep or Path(name)
        folder.mkdir(exist_ok=True)
        _build(given.log, given.candidates, folder, prepare=max(3000, given.rounds * (given.block + _WARM) + 100))
        _measure(folder, given.rounds, given.block)


def _build(log: Path | None, n: int, folder: Path, *, prepare: int) -> None:
    data, limit = folder / "ours", folder / "limit.db"
    if data.exists():
        return
    log = log or logs.write(n, folder / "made.jsonl")
    print(f"{logs.install(log, data, folder / 'cache', prepare=prepare):,} candidates", flush=True)
    db = Database(Settings(data_dir=data))
    limit_app.copy(db, limit)
    db.close()


def _measure(folder: Path, rounds: int, block: int) -> None:
    ours_port, limit_port = free_port(), free_port()
    earlier = _stored(folder / "ours")
    serve: list[str | Path] = [tool("patchsift"), "serve", "--no-open", "--no-worker"]
    serve += ["--port", str(ours_port), "--data-dir", folder / "ours"]
    bare: list[str | Path] = [tool("python"), Path(limit_app.__file__), folder / "limit.db", str(limit_port)]
    with (
        start(serve, ours_port, "/queue", folder / "cache") as ours,
        start(bare, limit_port, "/candidates/1", folder / "cache") as limit,
    ):
        us, bar = Reviewer.open(ours, "/candidates/1"), Reviewer.open(limit, "/candidates/1")
        pairs = [(us.block(block), bar.block(block)) for _ in range(rounds)]
    for label, which, one in (("patchsift", 0, us), ("limit", 1, bar)):
        wall = statistics.quantiles([1000 * second for second in one.wall_s], n=20)
        print(
            f"{label}: CPU {spread([pair[which] for pair in pairs], ' ms')}, wall p50 {wall[9]:.1f} ms, "
            f"p95 {wall[18]:.1f} ms, gzip p50 {statistics.median(one.sizes):,.0f} bytes"
        )
    print("(wanted: 3 ms CPU or less)")
    print(f"ratio by CPU: {spread([mine / least for mine, least in pairs])} (wanted: 4 or less)")
    print("\n".join(_tally(folder / "ours", earlier + us.n_decided)))


if __name__ == "__main__":
    main()
