"""Runs the cells of one environment, inside it, and tells of each as soon as it is done.

    python -m tests.proofs.with_trl WORK     # reads WORK/plan.json; results go to standard output, one JSON line each

Whatever a trainer prints goes to standard error: standard output belongs to the results.
"""
# mypy: disable-error-code="import-not-found,import-untyped"

import contextlib
import json
import math
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.proofs.cells import FAILED, LOAD, OK, Export, columns_of

BATCH, STEPS = 2, 2
SHORT_TOKENS, SHORT_CHARACTERS = 8_000, 24_000
_LONGEST_WHY = 300


class Case:
    """What a proof is given: an export, and where to work.

    Attributes:
        export: the export.
        tiny: the folder of the tiny models.
        scratch: an empty folder that is thrown away.
    """

    def __init__(self, export: Export, tiny: Path, scratch: Path) -> None:
        self.export, self.tiny, self.scratch = export, tiny, scratch
        self.folder = Path(export.folder)

    @property
    def config(self) -> str:
        """The name of the only config."""
        [name] = self.export.configs
        return name

    def count(self, config: str = "") -> int:
        """Rows in all splits, as the export's manifest says."""
        return sum(self.export.configs[config or self.config].values())

    def rows(self, config: str = "") -> Any:
        """All splits of a config in one, loaded as the card says: what a trainer must take is every row."""
        from datasets import concatenate_datasets, load_dataset

        splits = load_dataset(str(self.folder), config or self.config)
        made = concatenate_datasets([splits[name] for name in splits])
        expect("rows loaded", len(made), self.count(config))
        return made

    def jsonl(self, config: str = "") -> list[Path]:
        """The JSONL files of a config: one a split, or a folder of shards."""
        return sorted((self.folder / "jsonl" / (config or self.config)).rglob("*.jsonl"))

    def parquet(self) -> list[Path]:
        """The Parquet files of the only config."""
        found = sorted((self.folder / "data" / self.config).rglob("*.parquet"))
        if not found:
            raise AssertionError(f"There is no Parquet of {self.config} in the export.")
        return found


def expect(what: str, found: object, wanted: object) -> None:
    """Say where two values part, if they do.

    Raises:
        AssertionError: they differ.

    """
    if found == wanted:
        return
    if isinstance(found, str) and isinstance(wanted, str):
        at = next((i for i, (one, other) in enumerate(zip(found, wanted, strict=False)) if one != other), None)
        at = min(len(found), len(wanted)) if at is None else at
        near = slice(max(at - 20, 0), at + 20)
        raise AssertionError(f"{what}: at character {at} {found[near]!r}, expected {wanted[near]!r}")  # noqa: TRY004
    raise AssertionError(f"{what}: {found!r}, expected {wanted!r}")


def expect_texts(what: str, found: Iterable[str], wanted: Iterable[str]) -> None:
    """Compare text by text.

    Raises:
        AssertionError: one differs, or there are more of one than of the other.

    """
    said, meant = list(found), list(wanted)
    expect(f"number of {what}", len(said), len(meant))
    for number, (one, other) in enumerate(zip(said, meant, strict=True)):
        expect(f"{what} of row {number}", one, other)


def expect_finite(losses: Iterable[float]) -> None:
    """Check that there were as many steps as asked for, each with a loss that is a number.

    Raises:
        AssertionError: there were not.

    """
    found = list(losses)
    if len(found) != STEPS or not all(math.isfinite(one) for one in found):
        raise AssertionError(f"The losses of {STEPS} steps are {found}.")


def short_enough(sizes: Iterable[int], most: int) -> list[int]:
    """Which rows the two steps are taken with: those of at most this size, or the two shortest.

    Every row is looked at; but a step with a row of a million characters takes more memory than there is.
    """
    told = list(sizes)
    kept = [place for place, size in enumerate(told) if size <= most]
    return kept or sorted(range(len(told)), key=lambda place: told[place])[:BATCH]


def size_of(row: Mapping[str, Any]) -> int:
    """About how many tokens a row is, of texts or of tokens."""
    texts = sum(len(value) for value in row.values() if isinstance(value, str))
    return texts // 3 + sum(len(value) for value in row.values() if isinstance(value, list))


def power_of_two(n_tokens: int) -> int:
    """The next power of two, at least 64: `power_of_two(1500)` is 2048."""
    return 1 << max(6, (max(n_tokens, 1) - 1).bit_length())


def load(case: Case) -> int:
    """Every file of every config, read by `datasets` of this environment, row by row as it stands in the JSONL."""
    from datasets import get_dataset_config_names, load_dataset

    told = set(get_dataset_config_names(str(case.folder)))
    expect("configs that the card leaves out", set(case.export.configs) - told, set())
    n_rows = 0
    for config, splits in case.export.configs.items():
        loaded = load_dataset(str(case.folder), config)
        expect("splits", {name: len(rows) for name, rows in loaded.items()}, dict(splits))
        for split in splits:
            files = [path for path in case.jsonl(config) if path.name.startswith(split)]
            lines = [json.loads(line) for path in files for line in path.read_bytes().split(b"\n")[:-1]]
            names = list(lines[0])
            expect(f"columns of {config}", names, columns_of(case.export.format, config, names))
            again = load_dataset("json", data_files=[str(path) for path in files], split="train")
            for what, rows in (("as the card says", loaded[split]), ("from JSONL", again)):
                expect(f"columns of {config} {what}", rows.column_names, names)
                expect(f"rows of {config}/{split} {what}", list(rows) == lines, True)
            n_rows += len(lines)
    return n_rows


def run(proofs: Mapping[tuple[str, str], Callable[[Case], int]], environment: str) -> None:
    """Run this environment's cells of the plan.

    Args:
        proofs: format and proof → what is done; it gives the rows that were proved, and raises when one was not.
        environment: whose cells.

    """
    work = Path(sys.argv[1])
    plan = json.loads((work / "plan.json").read_bytes())
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    exports = [Export(**one) for one in plan["exports"]]
    for cell in plan["cells"]:
        if cell["environment"] != environment or cell["result"]:
            continue
        sys.stderr.write(f"\n=== {cell['proof']} {cell['dataset']} {cell['format']}\n")
        proof = load if cell["proof"] == LOAD else proofs.get((cell["format"], cell["proof"]))
        told = _try(proof, exports[cell["export"]], work / "tiny" / environment)
        results.write(json.dumps(told) + "\n")
        results.flush()


def _try(proof: Callable[[Case], int] | None, export: Export, tiny: Path) -> dict[str, object]:
    began = time.perf_counter()
    try:
        if proof is None:
            raise AssertionError("This environment has no such proof.")  # noqa: TRY301
        with tempfile.TemporaryDirectory() as scratch:
            n_rows = proof(Case(export, tiny, Path(scratch)))
    except (Exception, SystemExit) as error:  # noqa: BLE001  (a cell that fails must not hide the others)
        traceback.print_exc()
        why = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_WHY]
        return {"result": FAILED, "why": why, "seconds": time.perf_counter() - began}
    return {"result": OK, "rows": n_rows, "seconds": time.perf_counter() - began}


def be_quiet() -> None:
    """Turn the bars of `datasets` and `transformers` off, and use what cores there are."""
    import datasets
    import torch
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.set_verbosity_error()
    with contextlib.suppress(AttributeError):
        transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    torch.set_num_threads(max(1, min(4, os.cpu_count() or 1)))
