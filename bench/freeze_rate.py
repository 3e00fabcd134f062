"""Freezing a release: CPU a candidate, and memory above an idle process, as the number of candidates grows.

    python -m bench.freeze_rate [--sizes 10000 100000] [--clusters]

Each size is a database of its own, made by `patchsift ingest`; decisions are written in bulk (see bench.export_rate),
and the checks are marked as done, as the worker leaves them for sound entries. The freeze makes every dataset, as a
release does: recipes, gates, splits, duplicates, leaks, lineage, checksums. The generated entries differ in names and
numbers alone, so near-duplicates are found among them; with `--clusters` these are left as the ingest found them, else
they are forgotten first, so that every row is written.
"""

import argparse
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import delete

from app import releases, review
from app.db import Database
from app.models import ClusterRow, IssueGroupRow, JobRow
from app.settings import Settings
from bench import logs
from bench.measure import Cost, run

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_ACCEPT = "import sys, pathlib, bench.export_rate as b; print(b.accept_all(pathlib.Path(sys.argv[1])))"
_FREEZE = "import sys, pathlib, bench.freeze_rate as b; b.{what}(pathlib.Path(sys.argv[1]))"


def idle(folder: Path) -> None:
    """What a freeze has in memory before its first candidate."""
    db = Database(Settings(data_dir=folder))
    with db.read() as session:
        releases.asked_for(session, 1, releases.Spec())
    db.close()


def freeze(folder: Path) -> None:
    settings = Settings(data_dir=folder)
    db = Database(settings)
    with db.write() as session:
        reviewer = review.ensure_local_reviewer(session, now=_AT).id or 0
        job_id = releases.create(session, 1, reviewer, releases.Spec("bench"), now=_AT).job_id
    with db.read() as session:
        job = session.get_one(JobRow, job_id)
        session.expunge(job)
    done = releases.run_job(db, settings, job, lambda _done, _total: None, now=lambda: _AT)
    print(f"{done['rows']} rows, {done['held']} held back", file=sys.stderr)
    db.close()


def _forget_clusters(folder: Path) -> None:
    db = Database(Settings(data_dir=folder))
    with db.write() as session:
        session.execute(delete(ClusterRow))
        session.execute(delete(IssueGroupRow))
    db.close()


def _measure(n: int, folder: Path, *, clusters: bool) -> tuple[int, Cost, Cost]:
    log, installed = logs.write(n, folder / f"{n}.jsonl"), folder / f"ours-{n}"
    logs.install(log, installed, folder / "cache", prepare=0)
    log.unlink()
    accept = [sys.executable, "-c", _ACCEPT, str(installed)]
    accepted = int(subprocess.run(accept, capture_output=True, text=True, check=True).stdout)
    if not clusters:
        _forget_clusters(installed)
    costs = [run([sys.executable, "-c", _FREEZE.format(what=what), installed]) for what in ("idle", "freeze")]
    return accepted, costs[0], costs[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--clusters", action="store_true", help="keep the near-duplicates that the ingest found")
    given = parser.parse_args()
    for n in given.sizes:
        with tempfile.TemporaryDirectory() as name:
            accepted, before, cost = _measure(n, Path(name), clusters=given.clusters)
        print(
            f"{accepted:,} candidates: {(cost.cpu_s - before.cpu_s) / accepted * 1e6:,.0f} us of CPU each, "
            f"{cost.wall_s:,.0f} s in all; peak {cost.peak_mb:.0f} MB, {cost.peak_mb - before.peak_mb:+.0f} MB above "
            "idle (wanted: 60 at most)"
        )


if __name__ == "__main__":
    main()
