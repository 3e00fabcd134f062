"""Ingest, the full job with text search, against sqlite-utils insert + enable-fts on the same file.

    python -m bench.ingest_rate [--log FILE.jsonl] [--lines 100000] [--rounds 5] [--skip-peer]

Without --log, a log is made of the sample patches. The peer indexes issue, diff and script, checks nothing and keeps no
raw bytes; ours parses strictly, takes digests, joins repeats and indexes issue, paths and changed lines. Prints lines
per CPU second, their ratio, and peak memory over a process that has only opened the database.
"""

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

from bench.logs import write
from bench.measure import Cost, alternate, run, spread, tool

_COLUMNS = ("spec_issue_description", "successful_diff_summary", "successful_script")


def _ours(file: Path, folder: Path) -> Cost:
    shutil.rmtree(folder, ignore_errors=True)
    return run([tool("patchsift"), "ingest", file, "--json", "--data-dir", folder])


def _theirs(file: Path, folder: Path) -> Cost:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    db = folder / "peer.db"
    insert = run([tool("sqlite-utils"), "insert", db, "entry", file, "--nl", "--alter", "--silent"])
    index = run([tool("sqlite-utils"), "enable-fts", db, "entry", *_COLUMNS])
    return Cost(insert.cpu_s + index.cpu_s, insert.wall_s + index.wall_s, max(insert.peak_mb, index.peak_mb))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--lines", type=int, default=100_000, help="of the log that is made where none is given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--skip-peer", action="store_true", help="only our own rate and memory")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = given.log or write(given.lines, folder / "log.jsonl")
        with log.open("rb") as lines:
            n = sum(1 for _ in lines)
        empty = folder / "empty.jsonl"
        empty.write_bytes(b"")
        idle = _ours(empty, folder / "idle").peak_mb
        print(f"{n:,} lines, {log.stat().st_size / 1e6:,.0f} MB")
        if given.skip_peer:
            ours = [_ours(log, folder / "ours") for _ in range(given.rounds)]
        else:
            ours, theirs = alternate(
                given.rounds, lambda: _ours(log, folder / "ours"), lambda: _theirs(log, folder / "peer")
            )
            print(f"sqlite-utils insert + enable-fts: {spread([n / one.cpu_s for one in theirs])} lines per CPU second")
            ratios = [peer.cpu_s / one.cpu_s for one, peer in zip(ours, theirs, strict=True)]
            walls = [peer.wall_s / one.wall_s for one, peer in zip(ours, theirs, strict=True)]
        print(f"patchsift ingest:                 {spread([n / one.cpu_s for one in ours])} lines per CPU second")
        if not given.skip_peer:
            print(f"ratio by CPU: {spread(ratios)} (wanted: 1.8 or more); by wall: {spread(walls)}")
        peak = statistics.median(one.peak_mb for one in ours)
        print(f"memory over an empty ingest: {peak - idle:,.0f} MB (wanted: 150 or less)")


if __name__ == "__main__":
    main()
