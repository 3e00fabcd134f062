"""Runs the scripts of a dataset folder as they lie there, two steps each, in the environment of TRL.

    python -m tests.proofs.snippets FOLDER TINY

FOLDER is what `patchsift export --all` wrote, TINY holds the tiny models. Nothing in a script is changed: only the
arguments that a GPU and hours would need are added on the way. Prints a line a script; exit 1 when one fails.
"""
# mypy: disable-error-code="import-not-found,import-untyped"

import contextlib
import importlib
import os
import runpy
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
NEEDS_A_GPU = "_unsloth"


def main(folder: Path, tiny: Path) -> int:
    """Run every script; gives how many failed."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    # All of them first: some inherit from what is changed here.
    modules = {name: importlib.import_module(name) for name in ARGUMENTS}
    for module, names in ARGUMENTS.items():
        found = modules[module]
        for name in names:
            setattr(found, name, _shortened(getattr(found, name)))
    scripts = [path for path in sorted(folder.glob("snippets/*.py")) if not path.stem.endswith(NEEDS_A_GPU)]
    failed = [path.stem for path in scripts if not _runs(path, tiny)]
    return len(failed) if scripts else 1


def _shortened(made: Callable[..., Any]) -> Callable[..., Any]:
    """The same arguments for two steps. A tiny vocabulary makes more tokens than the card estimates: twice as many."""

    def make(**given: Any) -> Any:
        longer = {"max_length": 2 * given["max_length"]} if "max_length" in given else {}
        return made(**given | FEW | longer)

    return make


def _runs(path: Path, tiny: Path) -> bool:
    with tempfile.TemporaryDirectory() as out:
        sys.argv = [str(path), *_words(path.read_text(encoding="utf-8"), tiny, Path(out) / "trained")]
        try:
            with contextlib.redirect_stdout(sys.stderr):
                runpy.run_path(str(path), run_name="__main__")
        except Exception as error:  # noqa: BLE001  (one script that fails must not hide the others)
            sys.stdout.write(f"failed  {path.stem}: {type(error).__name__}: {str(error)[:300]}\n")
            return False
    sys.stdout.write(f"ok      {path.stem}\n")
    return True


def _words(script: str, tiny: Path, out: Path) -> list[str]:
    """What a person would put behind the script's name, as its first line says."""
    model = "lm" if "from trl" in script else "t5" if "Seq2Seq" in script else "bert"
    asked = script.partition("\n")[0].partition(".py ")[2].split()
    named = {"MODEL": str(tiny / model), "OUT": str(out), "OUT.joblib": f"{out}.joblib"}
    return [named[word] for word in asked]


if __name__ == "__main__":
    sys.exit(1 if main(*map(Path, sys.argv[1:3])) else 0)
