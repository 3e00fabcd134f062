"""Runs the scripts of a dataset folder as they lie there, two steps each, in the environment of TRL.

    python -m tests.proofs.snippets FOLDER TINY SCRIPT...

FOLDER is what `patchsift export --all` wrote, TINY holds the tiny models, a SCRIPT is a file's name below `snippets/`.
Nothing in a script is changed: only the arguments that a GPU and hours would need are added on the way. What a script
prints goes to standard error; standard output has one JSON line a script: `{"result": "ok", "rows": 305, …}`.
"""
# mypy: disable-error-code="import-not-found,import-untyped"

import importlib
import json
import os
import runpy
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.proofs.cells import FAILED, OK
from tests.proofs.harness import be_quiet, short_enough, size_of

FEW: dict[str, Any] = {
    "max_steps": 2,
    "per_device_train_batch_size": 2,
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "report_to": "none",
    "save_strategy": "no",
    "disable_tqdm": True,
}
ARGUMENTS = {
    "trl": ("SFTConfig", "DPOConfig", "KTOConfig", "RewardConfig"),
    "transformers": ("TrainingArguments", "Seq2SeqTrainingArguments"),
    "sentence_transformers": ("SentenceTransformerTrainingArguments",),
}
ENCODER_TOKENS, SHORT_TOKENS = 512, 2_000
_LONGEST_WHY = 300


def main(folder: Path, tiny: Path, scripts: Sequence[str]) -> None:
    """Run these scripts, and say of each as it ends how it went."""
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    be_quiet()
    _shorten()
    for name in scripts:
        results.write(json.dumps(_run(folder / "snippets" / name, tiny)) + "\n")
        results.flush()


def _shorten() -> None:
    """Two steps, and those with rows that fit into memory: a folder of real logs has texts of a million characters."""
    # All of them first: some inherit from what is changed here.
    modules = {name: importlib.import_module(name) for name in ARGUMENTS}
    for module, names in ARGUMENTS.items():
        for name in names:
            setattr(modules[module], name, _few(getattr(modules[module], name)))
    trainer, encoder = modules["transformers"].Trainer, modules["sentence_transformers"].SentenceTransformer
    trainer.train = _of_short_rows(trainer.train)
    encoder.__init__ = _cut(encoder.__init__)


def _few(made: Callable[..., Any]) -> Callable[..., Any]:
    """The same arguments for two steps. A tiny vocabulary makes more tokens than the card estimates: twice as many."""

    def make(**given: Any) -> Any:
        longer = {"max_length": 2 * given["max_length"]} if "max_length" in given else {}
        return made(**given | FEW | longer)

    return make


def _of_short_rows(train: Callable[..., Any]) -> Callable[..., Any]:
    def of_short_rows(trainer: Any, *args: Any, **given: Any) -> Any:
        rows = trainer.train_dataset
        _trained.append(len(rows))
        short = short_enough(map(size_of, rows), SHORT_TOKENS)
        if len(short) < len(rows):
            trainer.train_dataset = rows.select(short)
        return train(trainer, *args, **given)

    return of_short_rows


_trained: list[int] = []
"""Rows that each trainer had before it began."""


def _cut(begin: Callable[..., None]) -> Callable[..., None]:
    """An encoder that reads as much of a text as real ones do; the tiny one would read all of it."""

    def cut(model: Any, *args: Any, **given: Any) -> None:
        begin(model, *args, **given)
        model.max_seq_length = ENCODER_TOKENS

    return cut


def _run(path: Path, tiny: Path) -> dict[str, object]:
    began, before = time.perf_counter(), len(_trained)
    sys.stderr.write(f"\n=== {path.name}\n")
    with tempfile.TemporaryDirectory() as out:
        try:
            sys.argv = [str(path), *_words(path.read_text(encoding="utf-8"), tiny, Path(out) / "trained")]
            runpy.run_path(str(path), run_name="__main__")
        except (Exception, SystemExit) as error:  # noqa: BLE001  (one script that fails must not hide the others)
            traceback.print_exc()
            why = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_WHY]
            return {"result": FAILED, "why": why, "seconds": time.perf_counter() - began}
    # Where nothing of a `Trainer` was used, the rows are those of the export.
    told = {"rows": sum(_trained[before:])} if _trained[before:] else {}
    return {"result": OK, **told, "seconds": time.perf_counter() - began}


def _words(script: str, tiny: Path, out: Path) -> list[str]:
    """What a person would put behind the script's name, as its first line says."""
    model = "lm" if "from trl" in script else "t5" if "Seq2Seq" in script else "bert"
    asked = script.partition("\n")[0].partition(".py ")[2].split()
    named = {"MODEL": str(tiny / model), "OUT": str(out), "OUT.joblib": f"{out}.joblib"}
    return [named[word] for word in asked]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
