"""Makes a release, exports all of it, trains two steps from each file with each consumer, and prints a table.

    python -m tests.proofs --environment trl [--logs FOLDER] [--format NAME]... [--keep] [--json]

`scripts/prove` makes the environments first. Ends with 1 when a cell failed.
"""

import argparse
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

from tests.proofs import release
from tests.proofs.cells import ENVIRONMENTS, FAILED, NOT_RUN, OK, SCRIPT, SCRIPTED, Cell, Export, plan

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".prove"
_WIDTHS = (12, 36, 35, 15)


def main(words: Sequence[str] | None = None) -> int:
    """Prove; gives the exit status."""
    asked = _parse(words)
    WORK.mkdir(exist_ok=True)
    if not _alone():
        _say(f"Another proof is at work in {WORK}. Wait for it: both would write there.")
        return 2
    began = time.perf_counter()
    exports = _exports(asked)
    scripts = release.list_scripts(exports) if SCRIPTED in asked.environment else []
    cells = plan(exports, asked.environment)
    (WORK / "plan.json").write_text(
        json.dumps({"exports": [asdict(one) for one in exports], "cells": [asdict(one) for one in cells]})
    )
    cells += [cell for _, cell in scripts]
    _say(_line("environment", "consumer", "dataset", "format", "result", "rows", "seconds"))
    done = [cell for cell in cells if cell.result]
    for cell in done:
        _tell(cell)
    # What `datasets` keeps of a folder it would take for the folder's next contents.
    shutil.rmtree(WORK / "cache", ignore_errors=True)
    versions = {}
    for environment in asked.environment:
        versions[environment] = _versions(environment)
        waiting = [cell for cell in cells if cell.environment == environment and not cell.result]
        by_script = [cell for cell in waiting if cell.proof == SCRIPT]
        waiting = [cell for cell in waiting if cell.proof != SCRIPT]
        names = [name for name, cell in scripts if not cell.result]
        places = [str(WORK / "release" / "dataset"), str(WORK / "tiny" / environment)]
        for cell in chain(
            _prove(environment, waiting, ENVIRONMENTS[environment].module, str(WORK)),
            _prove(environment, by_script, "tests.proofs.snippets", *places, *names),
        ):
            _tell(cell)
            done.append(cell)
    told = Counter(cell.result for cell in done)
    _say("")
    for environment, named in versions.items():
        _say(f"{environment}: {', '.join(f'{name} {version}' for name, version in named.items())}")
    _say(f"{told[OK]} ok, {told[FAILED]} failed, {told[NOT_RUN]} not run, {time.perf_counter() - began:.0f} s")
    if asked.json:
        print(json.dumps({"versions": versions, "counts": told, "cells": [cell.as_json() for cell in done]}, indent=2))
    return 1 if told[FAILED] or not told[OK] else 0


def _alone() -> bool:
    """Whether no other proof works in the same folder; none can from now on until this process ends."""
    lock = os.open(WORK / "lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.proofs", description=__doc__)
    parser.add_argument("--environment", action="append", choices=ENVIRONMENTS, required=True)
    parser.add_argument("--logs", type=Path, help="logs of your own; without it, the samples of this repository")
    parser.add_argument("--format", action="append", default=[], help="only this format; may be said again")
    parser.add_argument("--keep", action="store_true", help="prove the exports of the last run again")
    parser.add_argument("--json", action="store_true", help="print the cells as one JSON object on standard output")
    return parser.parse_args(words)


def _exports(asked: argparse.Namespace) -> list[Export]:
    kept = WORK / "exports.json"
    if asked.keep:
        exports = [Export(**one) for one in json.loads(kept.read_bytes())]
        return [one for one in exports if not asked.format or one.format in asked.format]
    kept.unlink(missing_ok=True)
    exports = release.make(WORK / "release", asked.logs, frozenset(asked.format))
    kept.write_text(json.dumps([asdict(one) for one in exports]))
    return exports


def _python(environment: str) -> str:
    return str(ROOT / f".venv-prove-{environment}" / "bin" / "python")


def _surroundings(environment: str) -> dict[str, str]:
    """Nothing is fetched and nothing is reported; what is cached goes with the rest."""
    cache = WORK / "cache" / environment
    return os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(cache),
        "HF_DATASETS_CACHE": str(cache / "datasets"),
        "TOKENIZERS_PARALLELISM": "false",
        "WANDB_DISABLED": "true",
        "AXOLOTL_DO_NOT_TRACK": "1",
        "AXOLOTL_DATASET_NUM_PROC": "0",
        "DISABLE_VERSION_CHECK": "1",
        "USE_MODELSCOPE_HUB": "0",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONWARNINGS": "ignore",
        "OMP_WAIT_POLICY": "PASSIVE",  # others may need the cores that a thread waits on
    }


def _versions(environment: str) -> dict[str, str]:
    ask = "import sys; from importlib.metadata import version as v; print(*map(v, sys.argv[1:]))"
    packages = ENVIRONMENTS[environment].packages
    found = subprocess.run([_python(environment), "-c", ask, *packages], capture_output=True, text=True, check=True)
    return dict(zip(packages, found.stdout.split(), strict=True))


def _prove(environment: str, waiting: list[Cell], module: str, *words: str) -> Iterator[Cell]:
    """The cells of one module, in one environment, as they are done.

    It prints a line of JSON a cell, in their order; those that its process did not live to see have failed.
    """
    if not waiting:
        return
    log = WORK / f"{environment}-{module.rpartition('.')[2]}.log"
    left = list(waiting)
    with log.open("w") as errors:
        common: dict[str, Any] = {"cwd": ROOT, "env": _surroundings(environment), "stderr": errors}
        tiny = [_python(environment), "-m", "tests.proofs.tiny", str(WORK / "tiny" / environment)]
        subprocess.run(tiny, check=True, stdout=errors, **common)
        command = [_python(environment), "-m", module, *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **common) as process:
            assert process.stdout is not None
            for line in process.stdout:
                yield replace(left.pop(0), **json.loads(line))
    for cell in left:
        why = f"The process ended with {process.returncode} before; {log.relative_to(ROOT)} says why."
        yield replace(cell, result=FAILED, why=why)


def _tell(cell: Cell) -> None:
    rows, seconds = (f"{cell.rows:,}", f"{cell.seconds:.1f}") if cell.result == OK else ("", "")
    _say(_line(cell.environment, cell.proof, cell.dataset, cell.format, cell.result, rows, seconds))
    if cell.why:
        _say(f"    {cell.why}")


def _line(*words: str) -> str:
    names = " ".join(word.ljust(width) for word, width in zip(words, _WIDTHS, strict=False))
    result, rows, seconds = words[len(_WIDTHS) :]
    return f"{names} {result:7} {rows:>7} {seconds:>7}".rstrip()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
