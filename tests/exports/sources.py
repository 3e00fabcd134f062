"""A few rows of a release for every objective, and how a format writes them."""

from collections.abc import Iterable
from typing import Any

from app.examples import COLUMNS, Dataset, Split
from app.exports import Format, Run, look
from app.exports.jsonl import encode
from app.exports.order import by_digest
from app.exports.shape import RowOrder
from app.recipes import DATASETS
from app.recipes.core_predictor import FEATURES

Row = dict[str, Any]
Sources = list[tuple[Row, Split]]

TRAIN, TEST = Split.TRAIN, Split.TEST
ODD = "Line ends of others: \u2028 \u2029 \x85 \x0b \x0c \x1c\n"
GOOD = "import libcst as cst\r\n\nprint('\"\\n\"')\n"
ALSO_GOOD = "\u00e9 \U0001f600 </script> \x1b[0m \x7f"
BAD = "import libcst\n\n\tpass  # e\u0301 { }\n"
YAML = "task: guard_none\ntarget:\n  module: 'a  b'\n  - {max: 3, re: \"^<\\\\w+>~`\"}\n   odd:\t1\r\n"


def _row(objective: str, number: int, *values: object) -> Row:
    name = f"a-{objective}-{number}" if number else "scaffold-9f"
    return {"id": name, **dict(zip(COLUMNS[objective], values, strict=True))}


def _features(**counts: int) -> dict[str, int]:
    return {feature.name: counts.get(feature.name, 0) for feature in FEATURES}


SOURCES: dict[str, Sources] = {
    "sft": [
        (_row("sft", 0, "Fix {it}:\n\tnow\n", GOOD), TRAIN),
        (_row("sft", 0, ODD, ALSO_GOOD), TEST),
    ],
    "preference": [
        (_row("preference", 1, "Fix {it}:\n\tnow\n", GOOD, BAD), TRAIN),
        (_row("preference", 2, ODD, ALSO_GOOD, "  " + ALSO_GOOD), TEST),
    ],
    "unpaired": [
        (_row("unpaired", 1, "Fix {it}:\n\tnow\n", GOOD, True), TRAIN),
        (_row("unpaired", 2, ODD, BAD, False), TRAIN),
        (_row("unpaired", 3, ODD, ALSO_GOOD, True), TRAIN),
    ],
    "reward": [
        (_row("reward", 1, "Fix {it}:\n\tnow\n", GOOD, BAD, 0.23), TRAIN),
        (_row("reward", 2, ODD, ALSO_GOOD, BAD, None), TRAIN),
        (_row("reward", 3, ODD, ALSO_GOOD, GOOD, 1), TEST),
    ],
    "seq2seq": [
        (_row("seq2seq", 1, "normalise the spec\nissue: Fix x\n", YAML), TRAIN),
        (_row("seq2seq", 2, ODD, '{"indent": 4, "quotes": "double"}'), TEST),
    ],
    "regression": [
        (_row("regression", 1, GOOD, 0.84), TRAIN),
        (_row("regression", 2, ALSO_GOOD, 1), TEST),
    ],
    "contrastive": [
        (_row("contrastive", 1, "Fix x\n", "def f():\n    a", ["def g():\n    b", "def h(): ...", "x"]), TRAIN),
        (_row("contrastive", 2, "Fix y", "def g():\n    b", []), TRAIN),
        (_row("contrastive", 3, "Fix z", "z = 1", ["def f():\n    a", "y = 2"]), TEST),
        (_row("contrastive", 4, "Fix z", "y = 3", ["x = 2", "y = 2"]), TEST),
    ],
    "classification": [
        (_row("classification", 1, _features(op_add_import=2, n_operations=2, n_issue_lines=7), "LLMCore"), TRAIN),
        (_row("classification", 2, _features(n_target_files=40), "DiffusionCore"), TEST),
    ],
}


def dataset_of(form: Format) -> Dataset:
    """The first dataset that a format can write."""
    return next(one for one in DATASETS if form.serves(one))


def sources_of(form: Format) -> Sources:
    """Its rows of a release; a scorer's pairs have no prompt."""
    rows = SOURCES[form.objective]
    if dataset_of(form).role == "scorer" and form.objective == "reward":
        return [({**row, "prompt": ""}, split) for row, split in rows]
    return rows


def run_of(form: Format, sources: Iterable[tuple[Row, Split]]) -> Run:
    """A run of a format that has had its first look."""
    return Run(form, dataset_of(form), look(form, sources))


def files_of(form: Format, sources: Sources) -> tuple[dict[str, bytes], Run]:
    """The bytes of each config, all splits in one."""
    run = run_of(form, sources)
    written = dict.fromkeys(run.configs, b"")
    if form.order is RowOrder.DIGEST:
        places = by_digest((row["id"], number, 0) for number, (row, _) in enumerate(sources))
        sources = [sources[number] for number, _ in places]
    for row, split in sources:
        for made in run.rows(row, split):
            written[form.config(run.dataset, made.table)] += encode(made.row)
    return written, run


__all__ = ["SOURCES", "dataset_of", "files_of", "run_of", "sources_of"]
