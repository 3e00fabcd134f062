"""Export as JSONL, against `sqlite-utils rows --nl`: items per CPU second of whole processes, and memory.

    python -m bench.export_rate [--entries 20000] [--times 5] [--rounds 5]

Ours is `patchsift export`: it finds the standing decision of each candidate, makes the prompt, checks it for leaks and
holds, deals the splits, validates each row and writes rows, lineage and digests. The peer prints a table as it is:
`entry` of the same database, and the table that `sqlite-utils insert` makes of the same log. A second, larger database
gives the cost of one more row without the start of the program, and shows that memory does not grow.

The databases are made by `patchsift ingest`. Decisions, which cost a transaction each when people make them, are
written in bulk, in the same chain; the checks are marked as done, as the worker leaves them for sound entries.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from sqlalchemy import insert, select, update
from sqlmodel import col

from app import checks, decisions, review
from app.db import Database
from app.models import CandidateRow, DecisionRow, Status, Verdict
from app.settings import Settings
from bench import logs
from bench.measure import Cost, alternate, run, spread, tool
from bench.servers import environment

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_CHUNK = 10_000


def accept_all(folder: Path) -> int:
    """Accept every candidate of a data folder that has a script; gives their number."""
    db = Database(Settings(data_dir=folder))
    has_script = col(CandidateRow.has_script)
    with db.write() as session:
        reviewer = review.ensure_local_reviewer(session, now=_AT).id or 0
        numbers = list(session.execute(select(col(CandidateRow.id)).where(has_script).order_by(col(CandidateRow.id))))
        previous = bytes(32)
        for start in range(0, len(numbers), _CHUNK):
            rows = []
            for (number,) in numbers[start : start + _CHUNK]:
                row = _accepted(number, reviewer, previous)
                previous = row.digest = decisions.chain_digest(row, None)
                rows.append(row.model_dump(exclude={"id"}))
            session.execute(insert(DecisionRow), rows)
        session.execute(update(CandidateRow).values(checks_version=checks.CHECKS_VERSION))
        session.execute(update(CandidateRow).where(has_script).values(status=Status.ACCEPTED, version=2))
        decisions.add_to_tally(session, 1, {Status.PENDING: -len(numbers), Status.ACCEPTED: len(numbers)})
    db.close()
    return len(numbers)


def _accepted(number: int, reviewer: int, previous: bytes) -> DecisionRow:
    return DecisionRow(
        project_id=1,
        candidate_id=number,
        candidate_version=1,
        reviewer_id=reviewer,
        verdict=Verdict.ACCEPT,
        key=f"bench-{number}",
        decided_at=_AT,
        previous_digest=previous,
    )


@dataclass(frozen=True)
class _Case:
    """One size: our data folder and the peer's database, with the items that each of them writes."""

    n_rows: int
    n_entries: int
    installed: Path
    peer: Path


def _made(n: int, folder: Path, cache: Path) -> _Case:
    log = logs.write(n, folder / f"{n}.jsonl")
    installed, peer = folder / f"ours-{n}", folder / f"peer-{n}.db"
    logs.install(log, installed, cache, prepare=0)
    run([tool("sqlite-utils"), "insert", peer, "entry", log, "--nl", "--alter", "--silent"])
    log.unlink()
    # In a process of its own: what this one holds would count as its children's peak.
    accept = "import sys, pathlib, bench.export_rate as b; print(b.accept_all(pathlib.Path(sys.argv[1])))"
    accepted = subprocess.run(
        [sys.executable, "-c", accept, str(installed)], capture_output=True, text=True, check=True
    ).stdout
    return _Case(int(accepted), n, installed, peer)


def _against(case: _Case, peer: Path, rounds: int, cache: Path, numbers: "count[int]") -> tuple[list[Cost], list[Cost]]:
    def ours() -> Cost:
        target = case.installed.with_name(f"out-{next(numbers)}")
        cost = run([tool("patchsift"), "export", "--json", "--out", target, "--data-dir", case.installed], kept)
        shutil.rmtree(target)
        return cost

    kept = environment(cache) | {"PYTHONDONTWRITEBYTECODE": ""}
    return alternate(rounds, ours, lambda: run([tool("sqlite-utils"), "rows", peer, "entry", "--nl"], kept))


def _measure(case: _Case, rounds: int, cache: Path) -> dict[str, list[Cost]]:
    numbers = count()
    ours, own = _against(case, case.peer, rounds, cache, numbers)
    again, table = _against(case, case.installed / "patchsift.db", rounds, cache, numbers)
    print(f"{case.n_entries:,} entries, of which {case.n_rows:,} are exported")
    print(f"  patchsift export: {spread([case.n_rows / one.cpu_s for one in ours + again])} items per CPU second")
    for name, mine, peer in (("its own table", ours, own), ("our entries", again, table)):
        rates = [case.n_entries / one.cpu_s for one in peer]
        ratios = [case.n_rows / one.cpu_s / rate for one, rate in zip(mine, rates, strict=True)]
        print(f"  sqlite-utils rows, {name}: {spread(rates)}; ratio {spread(ratios)} (wanted: 2 or more)")
    return {"ours": ours + again, "its own table": own, "our entries": table}


def _one_more(key: str, sizes: Sequence[int], costs: Sequence[Mapping[str, list[Cost]]]) -> float:
    """Microseconds of CPU for one more item, the start of the program left out."""
    few, many = (statistics.median(one.cpu_s for one in cost[key]) for cost in costs)
    return (many - few) / (sizes[1] - sizes[0]) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--times", type=int, default=5, help="how much larger the second database is")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name), Path(name) / "cache"
        cases = [_made(n, folder, cache) for n in (given.entries, given.entries * given.times)]
        costs = [_measure(case, given.rounds, cache) for case in cases]
    ours = _one_more("ours", [case.n_rows for case in cases], costs)
    print(f"one more item, without the start of the programs: patchsift {ours:.1f} us")
    for key in ("its own table", "our entries"):
        peer = _one_more(key, [case.n_entries for case in cases], costs)
        print(f"  sqlite-utils rows, {key}: {peer:.1f} us; ratio {peer / ours:.2f}")
    peaks = [statistics.median(one.peak_mb for one in cost["ours"]) for cost in costs]
    print(f"peak memory of patchsift export: {peaks[0]:.0f} MB, then {peaks[1]:.0f} MB")


if __name__ == "__main__":
    main()
