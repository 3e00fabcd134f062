"""What was added, removed, changed and moved from one set of examples to another."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.examples import Split

NAMED = 20
_COMPARISONS = (
    ("added", 'FROM "after" LEFT JOIN "before" b USING (dataset, id) WHERE b.digest IS NULL'),
    ("removed", 'FROM "before" LEFT JOIN "after" a USING (dataset, id) WHERE a.digest IS NULL'),
    ("changed", 'FROM "after" a JOIN "before" b USING (dataset, id) WHERE a.digest <> b.digest'),
    ("moved", 'FROM "after" a JOIN "before" b USING (dataset, id) WHERE a.split <> b.split'),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from one set of examples to another.

    Attributes:
        before: what they are called.
        after: what they are called.
        counts: dataset → (added, removed, changed, moved to another split).
        examples: the first of each, as (dataset, id, what).
    """

    before: str
    after: str
    counts: Mapping[str, tuple[int, int, int, int]]
    examples: Sequence[tuple[str, str, str]]

    @property
    def totals(self) -> tuple[int, int, int, int]:
        """Added, removed, changed, moved; over all datasets."""
        added, removed, changed, moved = (sum(one[n] for one in self.counts.values()) for n in range(4))
        return added, removed, changed, moved

    def as_json(self) -> dict[str, object]:
        """`{"before": "release 2", "after": "release 3", "added": 12, …, "datasets": {…}, "examples": […]}`."""
        names = ("added", "removed", "changed", "moved")
        return {
            "before": self.before,
            "after": self.after,
            **dict(zip(names, self.totals, strict=True)),
            "datasets": {dataset: dict(zip(names, one, strict=True)) for dataset, one in self.counts.items()},
            "examples": [{"dataset": dataset, "id": name, "what": what} for dataset, name, what in self.examples],
        }


class Rows:
    """Two sets of examples by id, compared in a temporary file, so that memory does not grow with them."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA cache_size=-8000")
        self._db.execute("PRAGMA journal_mode=OFF")
        for side in ("before", "after"):
            self._db.execute(
                f'CREATE TABLE "{side}" (dataset TEXT, id TEXT, digest TEXT, split TEXT, PRIMARY KEY (dataset, id)) '
                "WITHOUT ROWID"
            )
        self._db.execute("BEGIN")

    def add(self, side: str, dataset: str, name: str, digest: str, split: Split) -> None:
        """Take in one row of the side `before` or `after`; `digest` tells whether its text changed."""
        self._db.execute(f'INSERT INTO "{side}" VALUES (?, ?, ?, ?)', (dataset, name, digest, split.value))

    def read(self, side: str, folder: Path) -> None:
        """Take in a release's lineage."""
        for path in sorted((folder / "lineage").rglob("*.jsonl")):
            dataset = "/".join(path.relative_to(folder / "lineage").parts[:-1])
            with path.open("rb") as lines:
                for line in lines:
                    row = json.loads(line)
                    self.add(side, dataset, row["id"], row["sha256"], Split(path.stem))

    def compare(self, before: str, after: str, most: int = NAMED) -> Difference:
        """What the second has that the first has not, and the other way round.

        Args:
            before: what the first is called.
            after: what the second is called.
            most: name so many of each kind; all are counted.

        """
        found: dict[str, list[int]] = {}
        examples: list[tuple[str, str, str]] = []
        for n, (what, statement) in enumerate(_COMPARISONS):
            for dataset, number in self._db.execute(f"SELECT dataset, count(*) {statement} GROUP BY dataset"):
                found.setdefault(dataset, [0, 0, 0, 0])[n] = number
            wanted = self._db.execute(f"SELECT dataset, id {statement} ORDER BY dataset, id LIMIT ?", (most,))
            examples += [(dataset, name, what) for dataset, name in wanted]
        counts = {dataset: (n[0], n[1], n[2], n[3]) for dataset, n in sorted(found.items())}
        return Difference(before, after, counts, examples)
