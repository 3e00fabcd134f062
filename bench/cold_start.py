"""Cold start: CPU of the process tree from the command to the first 200 of the queue page, against Datasette.

    python -m bench.cold_start [--log FILE.jsonl] [--entries 1000] [--rounds 9]

Both serve the same entries, from a database that exists; the peer's page is its table, cut to as many rows as the
queue shows. The peer has one process, ours a worker beside it: its CPU counts. Modules are compiled before the first
round, as they are from an installed program's second start on.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import logs
from bench.measure import run, spread, tool
from bench.servers import free_port, start

_ROWS = 50
_SETTLED_S = 2.0


def _start(command: Sequence[str | Path], port: int, path: str, cache: Path) -> tuple[float, float, float]:
    """CPU seconds until the first answer, wall seconds until then, and CPU seconds once it has settled."""
    began = time.perf_counter()
    with start(command, port, path, cache) as server:
        first, wall = server.cpu_s(), time.perf_counter() - began
        time.sleep(_SETTLED_S)
        return first, wall, server.cpu_s()


def _ours(folder: Path, cache: Path) -> tuple[float, float, float]:
    port = free_port()
    command: list[str | Path] = [tool("patchsift"), "serve", "--no-open", "--port", str(port), "--data-dir", folder]
    return _start(command, port, "/queue", cache)


def _theirs(db: Path, cache: Path) -> tuple[float, float, float]:
    port = free_port()
    return _start([tool("datasette"), "serve", db, "--port", str(port)], port, f"/peer/entry?_size={_ROWS}", cache)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, help="a success_memory.jsonl; without it one is made of the samples")
    parser.add_argument("--entries", type=int, default=1000, help="how many lines to make")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache, peer = folder / "cache", folder / "peer.db"
        log = given.log or logs.write(given.entries, folder / "made.jsonl")
        n = logs.install(log, folder / "ours", cache, prepare=None)
        run([tool("sqlite-utils"), "insert", peer, "entry", log, "--nl", "--alter", "--silent"])
        print(f"{n:,} candidates")
        _ours(folder / "ours", cache), _theirs(peer, cache)
        pairs = [(_ours(folder / "ours", cache), _theirs(peer, cache)) for _ in range(given.rounds)]
    for label, which in (("patchsift", 0), ("datasette", 1)):
        print(
            f"{label}: CPU seconds to the first page {spread([pair[which][0] for pair in pairs])}, "
            f"wall {spread([pair[which][1] for pair in pairs])}, "
            f"CPU {_SETTLED_S:.0f} s later {spread([pair[which][2] for pair in pairs])}"
        )
    print(f"ratio by CPU: {spread([ours[0] / theirs[0] for ours, theirs in pairs])} (wanted: 1.8 or less)")
    print(f"ratio once settled: {spread([ours[2] / theirs[2] for ours, theirs in pairs])}")
    print(f"ratio by wall: {spread([ours[1] / theirs[1] for ours, theirs in pairs])}")


if __name__ == "__main__":
    main()
