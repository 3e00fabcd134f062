"""What joining costs an entry, as there are more of them: it stays linear, whatever the number.

    python -m bench.joining [--sizes 10000 100000] [--share 0.3] [--shuffle]

For each size a log is made of the sample patches, and a log of runs that led to a share of its entries. Both are
ingested, then everything is joined at once, in a process of its own that takes the CPU time of each. With `--shuffle`
the lines of the runs come in any order, and first. A million entries (`--sizes 10000 1000000`) need 15 GB of disk and
about ten minutes.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from app import decisions, ingest, joining, migrations, review
from app.db import Database
from app.settings import Settings
from bench.logs import write, write_runs


def _now() -> datetime:
    return datetime.now(UTC)


def _cpu_s() -> float:
    """CPU seconds of this process and of its children that ended."""
    return sum(os.times()[:4])


def measure(folder: Path, n: int, share: float, *, shuffle: bool) -> dict[str, float]:
    """Ingest `n` entries with their runs into a new database and join them; what both cost."""
    logs = [write(n, folder / "success_memory.jsonl"), write_runs(n, share, folder / "runs.jsonl")]
    if shuffle:
        lines = logs[1].read_bytes().splitlines(keepends=True)
        random.Random(1).shuffle(lines)
        logs[1].write_bytes(b"".join(lines))
        logs.reverse()
    settings = Settings(data_dir=folder / "data")
    db = Database(settings)
    migrations.upgrade(db)
    with db.write() as session:
        project_id = review.ensure_project(session, "default", now=_now()).id or 0
    began = _cpu_s()
    reports = [ingest.read_file(db, settings, project_id, ingest.Upload(log, log.name), now=_now) for log in logs]
    stored = _cpu_s()
    joining.run(db, project_id)
    joined = _cpu_s()
    with db.read() as session:
        n_candidates = sum(decisions.count_by_status(session, project_id).values())
    n_entries = sum(report.new for report in reports)
    db.close()
    return {
        "entries": n_entries,
        "joined": n_entries - n_candidates,
        "ingest_us": (stored - began) / n_entries * 1e6,
        "join_us": (joined - stored) / n_entries * 1e6,
        "database_mb": (folder / "data" / "patchsift.db").stat().st_size / 1e6,
    }


def _measure_apart(n: int, share: float, *, shuffle: bool, parent: str | None) -> dict[str, float]:
    """In a process of its own, so that no run profits from the one before."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        command = [sys.executable, "-m", "bench.joining", "--one", folder, "--sizes", str(n), "--share", str(share)]
        told = subprocess.run([*command, *(["--shuffle"] if shuffle else [])], check=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(told.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000], help="how many success entries")
    parser.add_argument("--share", type=float, default=0.3, help="of the entries that have a run")
    parser.add_argument("--shuffle", action="store_true", help="the runs come first, in any order")
    parser.add_argument("--folder", help="where the databases are made and removed; the system's own otherwise")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, given.sizes[0], given.share, shuffle=given.shuffle)))
        return
    found = [_measure_apart(n, given.share, shuffle=given.shuffle, parent=given.folder) for n in given.sizes]
    for one in found:
        print(
            f"{one['entries']:>9,.0f} entries, {one['joined']:>7,.0f} joined: ingest {one['ingest_us']:.0f} us of CPU "
            f"an entry, joining {one['join_us']:.0f}, together {one['ingest_us'] + one['join_us']:.0f}; "
            f"{one['database_mb']:,.0f} MB"
        )
    for what in ("ingest_us", "join_us"):
        print(f"{what[:-3]}: {found[-1][what] / found[0][what]:.2f} times as much an entry (wanted: less than 1.3)")
    whole = [one["ingest_us"] + one["join_us"] for one in found]
    print(f"together: {whole[-1] / whole[0]:.2f}")


if __name__ == "__main__":
    main()
