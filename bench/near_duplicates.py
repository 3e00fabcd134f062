"""What finding near-duplicates among many patches costs, and how many of the true ones it finds.

    python -m bench.near_duplicates [N]

N patches (100,000): pieces of Python's own library, put together to hunks with added and removed lines. A fifth are
copies of an earlier one with other names and up to four tokens changed, from not at all to beyond what counts as alike.
Fingerprints, keys, pairs and exact verification are made in a process of its own, whose CPU seconds and peak memory are
measured. Recall is measured against brute force: of a sample, each patch is compared exactly with
every other that could be alike.
"""

import json
import random
import re
import sys
import sysconfig
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from bench.measure import run

_NAME = re.compile(r"\b[a-z_]{3,}(?=[(.=\[])")
_TOKEN = re.compile(r"\w+|[^\w\s]")
_COPIES = 0.2
_SAMPLE = 20_000
_GOAL_CPU, _GOAL_RECALL = 30.0, 0.98


def patches(n: int, seed: int = 1) -> Iterator[str]:
    """`n` unified diffs; the same in every run on the same Python."""
    chance = random.Random(seed)
    sources = _sources()
    made: list[str] = []
    for number in range(n):
        hunk = _copy(chance, chance.choice(made)) if made and chance.random() < _COPIES else _new(chance, sources)
        if len(made) < 20_000:
            made.append(hunk)
        else:
            made[chance.randrange(len(made))] = hunk
        yield f"--- a/module_{number}.py\n+++ b/module_{number}.py\n@@ -{number},9 +{number},9 @@\n{hunk}"


def _sources() -> list[list[str]]:
    folder = Path(sysconfig.get_paths()["stdlib"])
    paths = sorted(path for path in folder.rglob("*.py") if "site-packages" not in path.parts)
    texts = [path.read_text("utf-8", errors="replace").splitlines() for path in paths]
    return [lines for lines in texts if len(lines) > 50]


def _new(chance: random.Random, sources: list[list[str]]) -> str:
    lines: list[str] = []
    for _ in range(chance.randint(1, 3)):
        source = chance.choice(sources)
        at = chance.randrange(len(source) - 20)
        piece = [line for line in source[at : at + chance.randint(3, 12)] if line.strip()]
        n_removed = chance.randint(0, len(piece) // 2)
        lines += [f"-{line}" for line in piece[:n_removed]] + [f"+{line}" for line in piece[n_removed:]]
    return "\n".join(lines)


def _copy(chance: random.Random, hunk: str) -> str:
    """Other names, and up to four tokens changed."""
    names = {name: f"{name}_{chance.randrange(99)}" for name in set(_NAME.findall(hunk)) if chance.random() < 0.3}
    lines = _NAME.sub(lambda found: names.get(found.group(), found.group()), hunk).split("\n")
    for _ in range(chance.randrange(5)):
        at = chance.randrange(len(lines))
        tokens = list(_TOKEN.finditer(lines[at], 1))
        if tokens:
            start, end = chance.choice(tokens).span()
            lines[at] = f"{lines[at][:start]} while {lines[at][end:]}"
    return "\n".join(lines)


def find(source: Path, target: Path) -> None:
    """What is measured: fingerprints, keys, pairs, verification."""
    from app.candidates import Candidate, Kind
    from app.nearness.engine import InProcess
    from app.nearness.fingerprint import fingerprint, name

    began = time.process_time()
    shapes: dict[int, bytes] = {}
    shape_of = []
    with source.open(encoding="utf-8") as lines:
        for line in lines:
            shingles = fingerprint(Candidate(kind=Kind.PATCH, generation="G6", diff=json.loads(line)))
            shape_of.append(name(shingles))
            shapes[shape_of[-1]] = shingles
    printed = time.process_time()
    found = list(InProcess().find_pairs(sorted(shapes.items())))
    ended = time.process_time()
    seconds = {"fingerprints": printed - began, "pairs": ended - printed}
    target.write_text(json.dumps({"shape_of": shape_of, "pairs": found, "seconds": seconds}))


def recall(diffs: list[str], found: dict[str, object]) -> tuple[int, int, int, int]:
    """Of a sample against all: true pairs, those in one cluster, those that share a key; and clusters."""
    from app.candidates import Candidate, Kind
    from app.nearness import lsh
    from app.nearness.fingerprint import fingerprint, unpack

    sets: dict[int, bytes] = {}
    shape_of: list[int] = found["shape_of"]  # type: ignore[assignment]
    for number, diff in zip(shape_of, diffs, strict=True):
        if number not in sets:
            sets[number] = fingerprint(Candidate(kind=Kind.PATCH, generation="G6", diff=diff))
    joined: lsh.Sets[int] = lsh.Sets()
    for one, other in found["pairs"]:  # type: ignore[attr-defined]
        joined.join(one, other)
    holders: dict[int, list[int]] = defaultdict(list)
    for number, shingles in sets.items():
        for shingle in unpack(shingles):
            holders[shingle].append(number)
    sample = random.Random(2).sample(sorted(sets), min(_SAMPLE, len(sets)))
    keys = {number: set(one) for number, one in zip(sets, lsh.keys(list(sets.values())), strict=True)}
    n_true = n_together = n_met = 0
    for one in sample:
        mine = frozenset(unpack(sets[one]))
        # Whoever has 0.8 in common with it has at least one of its rarest fifth: nobody else need be looked at.
        rarest = sorted(mine, key=lambda shingle: len(holders[shingle]))[: len(mine) // 5 + 1]
        for other in {number for shingle in rarest for number in holders[shingle]} - {one}:
            its = frozenset(unpack(sets[other]))
            if len(mine & its) >= lsh.THRESHOLD * len(mine | its):
                n_true += 1
                n_together += joined.find(one) == joined.find(other)
                n_met += not keys[one].isdisjoint(keys[other])
    return n_true, n_together, n_met, len(joined.all())


def main() -> None:
    if sys.argv[1:2] == ["make"]:
        with Path(sys.argv[3]).open("w", encoding="utf-8") as made:
            made.writelines(json.dumps(diff) + "\n" for diff in patches(int(sys.argv[2])))
    elif sys.argv[1:2] == ["find"]:
        find(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)


def measure(n: int) -> None:
    """Each step is a process of its own, started from a small one: else its peak is that of who started it."""
    own = [sys.executable, "-m", "bench.near_duplicates"]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "patches.jsonl", Path(folder) / "found.json"
        idle = run([sys.executable, "-c", "import app.candidates, app.nearness.engine"])
        run([*own, "make", str(n), source])
        cost = run([*own, "find", source, target])
        diffs = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
        found = json.loads(target.read_text())
    n_true, n_together, n_met, n_clusters = recall(diffs, found)
    seconds = found["seconds"]
    n_shapes, n_characters = len(set(found["shape_of"])), sum(map(len, diffs)) / n
    print(f"{n:,} patches of {n_characters:,.0f} characters, {n_shapes:,} shapes, {n_clusters:,} clusters")
    print(
        f"CPU seconds {cost.cpu_s:.1f} (fingerprints {seconds['fingerprints']:.1f}, pairs {seconds['pairs']:.1f}; "
        f"goal {_GOAL_CPU:.0f}), peak {cost.peak_mb:,.0f} MB (idle {idle.peak_mb:,.0f} MB)"
    )
    print(
        f"of {n_true:,} pairs with J >= 0.8 by brute force: {n_met / n_true:.4f} share a key, "
        f"{n_together / n_true:.4f} are in one cluster (goal {_GOAL_RECALL})"
    )


if __name__ == "__main__":
    main()
