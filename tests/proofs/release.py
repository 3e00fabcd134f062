"""A release to prove the exports of, and each of its datasets in each format, made through the command line.

The command line's own application is called in this process; only the decisions, for which there is no command, go
through the functions that the pages call.
"""

import io
import json
import shutil
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlmodel import Session

from app import cli, queue, review
from app.db import Database
from app.errors import AppError
from app.exports import get_format
from app.models import CandidateRow, Status, Verdict
from app.queue import Filter
from app.review import Act
from app.settings import Settings
from tests.proofs.cells import NOT_RUN, SCRIPT, SCRIPTED, Cell, Export

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = (ROOT / "tests" / "data" / "evidence", ROOT / "app" / "samples" / "success_memory.jsonl")
FAILED_POLISH = "run_20250623T045814_8ecae2.json"
# So that a handful of logs has issues in every split: a search benchmark is made of those that are not trained on.
SHARES = "0.6,0.2,0.2"
MANY_ROWS = frozenset({"ret_triplet", "ret_score", "ir"})
"""Formats of which an example makes more rows than one."""

_NEEDS_GPU = "unsloth needs a graphics card; its script compiles, and the rows that it reads are proved above."
_MANY = 1_000_000


class Desk:
    """An installation in a folder of its own, as a person at a terminal has it."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder = folder
        self.settings = Settings(data_dir=folder / "desk", database_url="")

    def command(self, *words: str) -> Any:
        """Run a command with `--json` and give what it printed.

        Raises:
            AppError: the command failed; its sentence.

        """
        printed = io.StringIO()
        with redirect_stdout(printed):
            status = cli.app([*words, "--json", "--data-dir", str(self.settings.data_dir)], standalone_mode=False)
        # A log that was refused or held back in part was named; the rest of what was read is as good as ever.
        if status and words[0] != "ingest":
            raise AppError(f"patchsift {' '.join(words)} ended with status {status}.")
        return json.loads(printed.getvalue() or "null")

    def judge(self) -> dict[str, int]:
        """Accept everything, but edit some and reject every fifth; gives verdict → candidates."""
        db, told = Database(self.settings), Counter[str]()
        with db.write() as session:
            project = review.ensure_project(session, self.settings.project, now=datetime.now(UTC)).id or 0
            reviewer = review.ensure_local_reviewer(session, now=datetime.now(UTC)).id or 0
        with db.read() as session:
            rows = queue.list_candidates(session, project, Filter(), limit=_MANY).candidates
        for place, row in enumerate(row for row in rows if row.status == Status.PENDING):
            with db.write() as session:
                act = _act(session, project, row, place)
                review.decide(session, project, reviewer, row.id or 0, act, now=datetime.now(UTC))
            told[act.verdict] += 1
        db.close()
        return dict(told)

    def export_all(self) -> Path:
        """The folder with every dataset of the release in every format, as Parquet and as JSONL."""
        out = self.folder / "dataset"
        words = ("--all", "--every-format", "--parquet", "--release", "latest", "--out", str(out))
        self.command("export", *words)
        return out

    def export(self, dataset: str, form: str) -> Path:
        """One dataset of the release in one format, as it is downloaded alone."""
        role, task, objective = dataset.split("/")
        out = self.folder / "exports" / f"{role}-{task}-{objective}-{form}"
        asked = ("--role", role, "--task", task, "--objective", objective, "--format", form)
        self.command("export", "--release", "latest", *asked, "--out", str(out))
        return out


def lay_out(folder: Path) -> tuple[Path, ...]:
    """A copy of the samples in which one more thing happened: a polish failed before it succeeded.

    Nothing else in them says what a bad polish is, and a trainer that takes labels needs both.
    """
    evidence = folder / SAMPLES[0].name
    shutil.copytree(SAMPLES[0], evidence)
    [run] = evidence.rglob(FAILED_POLISH)
    before, after = json.loads(run.read_bytes())
    failed = [f"{before[0]}\nguard()\n", False, before[2] / 2, "NameError: name 'guard' is not defined"]
    run.write_text(json.dumps([before, failed, after]))
    return evidence, SAMPLES[1]


def _act(session: Session, project: int, row: CandidateRow, place: int) -> Act:
    key, rating = f"prove-{row.id}", place % 5 + 1
    script = review.open_candidate(session, project, row.id or 0).said.script
    if place % 5 == 2:
        return Act(Verdict.REJECT, row.version, key, rating=rating)
    if script and place % 5 == 4:
        edited = ("script", f"{script.rstrip()}\n\nKEPT = True\n")
        return Act(Verdict.EDIT, row.version, key, rating=rating, edited=edited)
    return Act(Verdict.ACCEPT, row.version, key, rating=rating)


def _name(config: dict[str, Any]) -> tuple[str, str]:
    """The dataset and the format of a config: `("llm/scaffold/sft", "sft_pc")`."""
    return "/".join(config[name] for name in ("role", "task", "objective")), get_format(config["format"]).name


class Folder:
    """A dataset folder and what its manifest says of each config."""

    def __init__(self, path: Path) -> None:
        self.path = path
        manifest = json.loads((path / "manifest.json").read_bytes())
        self.told: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for config in manifest["configs"]:
            self.told.setdefault(_name(config), []).append(config)
        self.speechless = {_name(config): " ".join(config["why"]) for config in manifest["without_rows"]}

    def find(self, dataset: str, form: str, n_examples: int) -> Export:
        """What of the folder is one dataset in one format; every example must have become a row, or say why not."""
        told = self.told.get((dataset, form), [])
        if not told:
            why = self.speechless.get((dataset, form), "The folder has no config of it.")
            return Export(dataset, form, why=why, failed=True)
        rows = {one["config"]: one["splits"] for one in told}
        if form not in MANY_ROWS and n_examples != (n_told := told[0]["rows"] + sum(told[0]["left_out"].values())):
            why = f"The release has {n_examples} examples, and the manifest tells of {n_told}."
            return Export(dataset, form, why=why, failed=True)
        return Export(dataset, form, str(self.path), rows)


def compare(whole: Path, alone: Path) -> None:
    """Check that a config downloaded alone has the bytes that it has in the whole folder.

    Raises:
        AssertionError: it has others.

    """
    files = [path.relative_to(alone) for path in (alone / "jsonl").rglob("*.jsonl")]
    assert files, f"There is no JSONL in {alone.name}."
    for file in files:
        assert (alone / file).read_bytes() == (whole / file).read_bytes(), f"{file} differs when it is exported alone."


def make(folder: Path, logs: Path | None, wanted: frozenset[str] = frozenset()) -> list[Export]:
    """Read the logs, judge them, freeze a release, and export all of it.

    Args:
        folder: where everything of it goes; what lies there is removed.
        logs: a folder or file of logs; without one, the samples of this repository.
        wanted: names of formats; without any, all.

    """
    desk = Desk(folder)
    if logs:
        desk.command("ingest", str(logs))
    else:
        desk.command("ingest", *map(str, lay_out(folder / "samples")), "--scores", "higher")
    desk.judge()
    desk.command("project", "set", "--shares", SHARES)
    desk.command("release", "create", "--name", "proof")
    whole = Folder(desk.export_all())
    exports = []
    for listed in desk.command("export", "--list", "--release", "latest")["exports"]:
        dataset = "/".join(str(listed[name]) for name in ("role", "task", "objective"))
        forms = [get_format(alias).name for alias in listed["formats"]]
        if not forms:
            exports.append(Export(dataset, "-", why="There is no format for it.", failed=True))
        for form in forms:
            if wanted and form not in wanted:
                continue
            if not listed["n_rows"]:
                # The samples hold something for every dataset; another's logs need not.
                exports.append(Export(dataset, form, why="The release has no row of it.", failed=logs is None))
                continue
            found = _export(desk, whole, dataset, form, int(listed["n_rows"]))
            exports.append(replace(found, failed=found.failed and not (logs and (dataset, form) in whole.speechless)))
    return exports


def list_scripts(exports: list[Export]) -> list[tuple[str, Cell]]:
    """The scripts of the folder that train from these exports: the file's name, and the cell of its run."""
    found = []
    for number, export in enumerate(exports):
        scripts = Path(export.folder or ROOT) / "snippets"
        # Those of a search benchmark have one, by the name of the format.
        for config in dict.fromkeys((*export.configs, export.format)):
            for path in sorted((*scripts.glob(f"{config}.py"), *scripts.glob(f"{config}_unsloth.py"))):
                needs_gpu = path.stem.endswith("_unsloth")
                why = (
                    "unsloth needs a graphics card; the file it reads is proved by the other lines."
                    if needs_gpu
                    else ""
                )
                rows = sum(sum(splits.values()) for splits in export.configs.values())
                cell = Cell(
                    SCRIPTED, SCRIPT, export.dataset, export.format, number, NOT_RUN if why else "", rows, why=why
                )
                found.append((path.name, cell))
    return found


def _export(desk: Desk, whole: Folder, dataset: str, form: str, n_examples: int) -> Export:
    found = whole.find(dataset, form, n_examples)
    try:
        if not found.why:
            compare(whole.path, desk.export(dataset, form))
    except Exception as error:  # noqa: BLE001  (one export that fails must not hide the others)
        said = error.message if isinstance(error, AppError) else f"{type(error).__name__}: {error}"
        return Export(dataset, form, why=" ".join(said.split()), failed=True)
    return found
