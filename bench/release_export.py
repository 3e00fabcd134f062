"""Exporting a dataset of a release, as JSONL and as Parquet, beside the least that can be done: CPU and memory.

    python -m bench.release_export [--rows 1000000] [--rounds 3] [--folder DIR]

The release is written here as a freeze would leave it (examples, lineage, manifest, checksums), so that nothing need be
ingested: prompts and completions as long as real ones, no two the same. Each measurement is a process of its own; what
the same process costs before its first row is taken off, from CPU and from memory.

- **JSONL** is `downloads.build`, prompt-completion. The bare loop parses each example and its line of lineage, encodes
  both, by the same library, and writes them to two files: no columns are checked, nothing is counted, hashed, synced or
  described. `sqlite-utils rows --nl` prints the same examples from a table.
- **Parquet** is what `dataset_folder.write` costs with Parquet more than without (two configs: text, chat). The bare
  Arrow writer makes the same two tables of the parsed rows, 5,000 rows a batch, zstd; its parsing is taken off.
"""

import argparse
import json
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count, islice
from pathlib import Path
from typing import Any

import pydantic_core

from bench.measure import Cost, run, spread, tool

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_PLACE = ("llm", "scaffold", "sft")
_BATCH = 5_000
_CHUNK = 1 << 16
_WORDS = (
    "return",
    "value",
    "self",
    "node",
    "if",
    "not",
    "None:",
    "def",
    "update",
    "(original_node,",
    "updated_node)",
    "=",
)


# ------------------------------------------------------------------------------------------------ a release


def _example(number: int) -> dict[str, str]:
    """About 4 kB, of which a quarter is the prompt; every text differs."""
    seed = sha256(b"%d" % number).digest()
    lines = [f"    {_WORDS[byte % 12]} {_WORDS[byte // 12 % 12]} name_{number}_{byte}  # 'é' \"x\"" for byte in seed]
    prompt = f"Write a LibCST codemod.\n\n### Issue\nMend {seed.hex()}\n\n" + "\n".join(lines[:16]) + "\n### Answer\n"
    completion = "import libcst as cst\n\n\nclass Change:\n" + "\n".join(lines * 2) + "\n"
    return {"id": f"scaffold-sft-{seed.hex()[:20]}", "prompt": prompt, "completion": completion}


def _way(number: int, line: bytes, example: dict[str, str]) -> dict[str, Any]:
    issue = sha256(b"issue %d" % number).hexdigest()
    origin = {"source": "success_memory.jsonl", "line": number + 1, "offset": number * 4000, "sha256": issue}
    return {
        "id": example["id"], "sha256": sha256(line.rstrip(b"\n")).hexdigest(), "candidate": number + 1,
        "decision": number + 1, "verdict": "accept", "recipe": "llm/2", "templates": ["scaffold/2"], "answer": "script",
        "issue": issue, "group": issue, "cluster": None, "dealt": "digest", "origins": [origin], "licence": "MIT",
    }  # fmt: skip


def make_release(n: int, folder: Path) -> None:
    """An installation with one frozen release of `n` rows."""
    from app import migrations, review
    from app.db import Database
    from app.exports.folder import Folder
    from app.exports.jsonl import encode
    from app.models import ReleaseRow, ReleaseState
    from app.settings import Settings

    db = Database(Settings(data_dir=folder))
    migrations.upgrade(db)
    splits = {"train": n - n // 10, "test": n // 10}
    with Folder(folder / "releases" / "1" / "1") as release:
        number = 0
        for split, n_rows in splits.items():
            for _ in range(n_rows):
                example = _example(number)
                line = encode(example)
                release.file(f"examples/{'/'.join(_PLACE)}/{split}.jsonl").add(line)
                release.file(f"lineage/{'/'.join(_PLACE)}/{split}.jsonl").add(encode(_way(number, line, example)))
                number += 1
        for name in ("held_back.jsonl", "leaks.json"):
            release.file(name)
        template = "Write a LibCST codemod: {issue}\n"
        release.add_text("templates/scaffold.v2.txt", template)
        files = [
            {"path": one.path, "sha256": one.digest, "bytes": one.n_bytes, "rows": one.n_rows}
            for one in release.close_files()
        ]
        said = _manifest(n, splits, sha256(template.encode()).hexdigest()) | {"files": files}
        release.add_text("manifest.json", json.dumps(said, indent=2))
    digest = sha256((folder / "releases" / "1" / "1" / "manifest.json").read_bytes()).digest()
    with db.write() as session:
        project = review.ensure_project(session, "default", now=_AT).id or 0
        reviewer = review.ensure_local_reviewer(session, now=_AT).id or 0
        session.add(
            ReleaseRow(
                project_id=project, number=1, name="bench", state=ReleaseState.FROZEN, manifest_digest=digest,
                reviewer_id=reviewer, created_at=_AT, frozen_at=_AT,
            )
        )  # fmt: skip
    db.close()


def _manifest(n: int, splits: dict[str, int], template: str) -> dict[str, Any]:
    from app import recipes
    from app.examples import Dataset

    role, task, objective = _PLACE
    counts = {
        "role": role, "task": task, "objective": objective, "columns": ["id", *Dataset(*_PLACE).columns], "rows": n,
        "splits": splits, "held": 0, "held_by_gate": {}, "passed_by_gate": {},
    }  # fmt: skip
    scaffold = {"name": "scaffold", "version": 2, "origin": "shipped", "label": "scaffold/2", "sha256": template}
    return {
        "schema": 2, "program": "patchsift bench", "release": {"number": 1, "name": "bench"},
        "order": {"filter": {}, "by": "issue", "seed": 0, "rule": "By issue."},
        "decisions": {"last": n, "sha256": "0" * 64, "as_of": _AT.isoformat()}, "rulings": {"last": 0}, "checks": 4,
        "recipes": {one.role: 2 for one in recipes.DATASETS},
        "templates": [scaffold | {"path": "templates/scaffold.v2.txt"}],
        "candidates": {"accepted": n, "edited": 0, "rejected": 0}, "datasets": [counts], "held_by_gate": {},
        "licences": {"MIT": n}, "leaks": {},
    }  # fmt: skip


def make_table(folder: Path, target: Path) -> None:
    """The same examples as a table for sqlite-utils."""
    with sqlite3.connect(target) as db:
        db.execute("CREATE TABLE example (id TEXT PRIMARY KEY, prompt TEXT, completion TEXT)")
        rows = ((row["id"], row["prompt"], row["completion"]) for row, _ in _parsed(folder))
        db.executemany("INSERT INTO example VALUES (?, ?, ?)", rows)
    db.close()


# ------------------------------------------------------------------------------------------------ what is measured


def ours(folder: Path, target: Path, *, rows: bool) -> None:
    from app import downloads, releases
    from app.db import Database
    from app.settings import Settings

    settings = Settings(data_dir=folder)
    db = Database(settings)
    with db.read() as session:
        releases.read_manifest(releases.get_folder(settings, releases.get_release(session, 1, 1)))
    if rows:
        downloads.build(db, settings, 1, downloads.Order(release="1"), target)
    db.close()


def whole(folder: Path, target: Path, *, parquet: bool, rows: bool = True) -> None:
    from app import dataset_folder, downloads, releases  # noqa: F401
    from app.exports.parquet import require

    require()  # also where none is written: what it costs to import counts as idle
    release = folder / "releases" / "1" / "1"
    said = releases.read_manifest(release)
    if rows:
        dataset_folder.write(release, said, target, dataset_folder.Layout(parquet=parquet), number=1)


def bare(folder: Path, target: Path, *, rows: bool) -> None:
    target.mkdir()
    if not rows:
        return
    with (target / "rows.jsonl").open("wb", _CHUNK) as made, (target / "ways.jsonl").open("wb", _CHUNK) as beside:
        for row, way in _parsed(folder):
            made.write(pydantic_core.to_json(row) + b"\n")
            beside.write(pydantic_core.to_json(way) + b"\n")


def bare_parquet(folder: Path, target: Path, *, parquet: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    turn = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    texts = pa.schema([("id", pa.string()), ("prompt", pa.string()), ("completion", pa.string())])
    turns = pa.schema([("id", pa.string()), ("messages", turn)])
    target.mkdir()
    with (
        pq.ParquetWriter(target / "texts.parquet", texts, compression="zstd") as first,
        pq.ParquetWriter(target / "turns.parquet", turns, compression="zstd") as second,
    ):
        parsed = ((row, _turns(row)) for row, _ in _parsed(folder))
        while batch := list(islice(parsed, _BATCH)):
            if parquet:
                first.write_batch(pa.RecordBatch.from_pylist([one for one, _ in batch], schema=texts))
                second.write_batch(pa.RecordBatch.from_pylist([one for _, one in batch], schema=turns))


def _turns(row: dict[str, Any]) -> dict[str, Any]:
    asked, answered = {"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}
    return {"id": row["id"], "messages": [asked, answered]}


def _parsed(folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    release = folder / "releases" / "1" / "1"
    for split in ("train", "test"):
        place = "/".join((*_PLACE, f"{split}.jsonl"))
        with (release / "examples" / place).open("rb") as rows, (release / "lineage" / place).open("rb") as ways:
            for row, way in zip(rows, ways, strict=True):
                yield pydantic_core.from_json(row), pydantic_core.from_json(way)


# ------------------------------------------------------------------------------------------------ measuring


class Bench:
    """One release, and how to run each thing on it in a process of its own."""

    def __init__(self, n: int, folder: Path) -> None:
        self.n, self.folder, self._numbers = n, folder, count()

    def cost(self, name: str, **options: bool) -> Cost:
        target = self.folder / f"out-{next(self._numbers)}"
        said = ", ".join(f"{key}={value}" for key, value in options.items())
        code = "import sys; from pathlib import Path; import bench.release_export as b; "
        code += f"b.{name}(Path(sys.argv[1]), Path(sys.argv[2]), {said})"
        try:
            return run([sys.executable, "-c", code, self.folder / "desk", target])
        finally:
            shutil.rmtree(target, ignore_errors=True)

    def table(self, *, rows: bool) -> Cost:
        return run(
            [
                tool("sqlite-utils"),
                *(
                    ("rows", self.folder / "peer.db", "example", "--nl")
                    if rows
                    else ["tables", self.folder / "peer.db"]
                ),
            ]
        )

    def rates(self, rounds: int, *pairs: tuple[Callable[[], Cost], Callable[[], Cost]]) -> list[list[float]]:
        """Rows a CPU second of each pair's first, less its second's cost; all take turns."""
        found: list[list[float]] = [[] for _ in pairs]
        for _ in range(rounds):
            for rates, (work, before) in zip(found, pairs, strict=True):
                rates.append(self.n / max(work().cpu_s - before().cpu_s, 1e-6))
        return found

    def jsonl(self, rounds: int) -> None:
        ours, loop, table = self.rates(
            rounds,
            (lambda: self.cost("ours", rows=True), lambda: self.cost("ours", rows=False)),
            (lambda: self.cost("bare", rows=True), lambda: self.cost("bare", rows=False)),
            (lambda: self.table(rows=True), lambda: self.table(rows=False)),
        )
        print(f"JSONL: {spread(ours)} rows a CPU second")
        print(f"  bare loop: {spread(loop)}; ratio {_ratio(ours, loop)} (wanted: 0.7 or more)")
        print(f"  sqlite-utils rows: {spread(table)}; ratio {_ratio(ours, table)} (wanted: 2 or more)")
        peak, idle = self.cost("ours", rows=True).peak_mb, self.cost("ours", rows=False).peak_mb
        print(f"  peak {peak:.0f} MB, {peak - idle:+.0f} MB above idle (wanted: 40 at most)")

    def parquet(self, rounds: int) -> None:
        ours, writer = self.rates(
            rounds,
            (lambda: self.cost("whole", parquet=True), lambda: self.cost("whole", parquet=False)),
            (lambda: self.cost("bare_parquet", parquet=True), lambda: self.cost("bare_parquet", parquet=False)),
        )
        print(f"Parquet, text and chat: {spread(ours)} rows a CPU second")
        print(f"  bare Arrow writer: {spread(writer)}; ratio {_ratio(ours, writer)} (wanted: 0.85 or more)")
        peak = self.cost("whole", parquet=True).peak_mb
        idle = self.cost("whole", parquet=True, rows=False).peak_mb
        print(f"  peak {peak:.0f} MB (wanted: 220 at most), {peak - idle:+.0f} MB above idle")


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    return f"{spread([mine / other for mine, other in zip(ours, theirs, strict=True)])}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work, instead of the folder for temporary files")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        (folder / "desk").mkdir()
        # In processes of their own: what this one holds would count as its children's peak.
        code = "import sys; from pathlib import Path; import bench.release_export as b; "
        run([sys.executable, "-c", f"{code}b.make_release({given.rows}, Path(sys.argv[1]))", folder / "desk"])
        run(
            [sys.executable, "-c", f"{code}b.make_table(*map(Path, sys.argv[1:]))", folder / "desk", folder / "peer.db"]
        )
        bench = Bench(given.rows, folder)
        print(f"{given.rows:,} rows")
        bench.jsonl(given.rounds)
        bench.parquet(given.rounds)


if __name__ == "__main__":
    main()
