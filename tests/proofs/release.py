"""A release to prove the exports of, and each of its datasets in each format, made through the command line.

The command line's own application is called in this process; only the decisions, for which there is no command, go
through the functions that the pages call.
"""

import io
import json
import shutil
from collections import Counter
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlmodel import Session

from app import cli, review
from app.db import Database
from app.errors import AppError
from app.exports import get_format
from app.models import CandidateRow, Status, Verdict
from app.review import Act, Filter
from app.settings import Settings
from tests.proofs.cells import Export

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = (ROOT / "tests" / "data" / "evidence", ROOT / "app" / "samples" / "success_memory.jsonl")
FAILED_POLISH = "run_20250623T060150_f23ae9.json"
# So that a handful of logs has issues in every split: a search benchmark is made of those that are not trained on.
SHARES = "0.6,0.2,0.2"
_QUARANTINED = 3
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
        if status not in {None, 0, _QUARANTINED}:
            raise AppError(f"patchsift {' '.join(words)} ended with status {status}.")
        return json.loads(printed.getvalue() or "null")

    def judge(self) -> dict[str, int]:
        """Accept everything, but edit some and reject every fifth; gives verdict → candidates."""
        db, told = Database(self.settings), Counter[str]()
        with db.write() as session:
            project = review.ensure_project(session, self.settings.project, now=datetime.now(UTC)).id or 0
            reviewer = review.ensure_local_reviewer(session, now=datetime.now(UTC)).id or 0
        with db.read() as session:
            rows = review.list_candidates(session, project, Filter(), limit=_MANY).candidates
        for place, row in enumerate(row for row in rows if row.status == Status.PENDING):
            with db.write() as session:
                act = _act(session, project, row, place)
                review.decide(session, project, reviewer, row.id or 0, act, now=datetime.now(UTC))
            told[act.verdict] += 1
        db.close()
        return dict(told)

    def export(self, listed: dict[str, Any], form: str) -> Export:
        """One dataset of the release in one format."""
        role, task, objective = (str(listed[name]) for name in ("role", "task", "objective"))
        dataset = f"{role}/{task}/{objective}"
        out = self.folder / "exports" / f"{role}-{task}-{objective}-{form}"
        asked = ("--role", role, "--task", task, "--objective", objective, "--format", form)
        try:
            self.command("export", "--release", "latest", *asked, "--out", str(out))
        except Exception as error:  # noqa: BLE001  (one export that fails must not hide the others)
            said = error.message if isinstance(error, AppError) else f"{type(error).__name__}: {error}"
            return Export(dataset, form, why=" ".join(said.split()), failed=True)
        return Export(dataset, form, str(out), count_rows(out))


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


def count_rows(folder: Path) -> dict[str, dict[str, int]]:
    """Config → split → rows, as an export's manifest says: `{"scaffold_sft_pc": {"train": 14, "test": 3}}`."""
    counted: dict[str, dict[str, int]] = {}
    for one in json.loads((folder / "manifest.json").read_bytes())["files"]:
        top, *rest = one["path"].split("/")
        if top == "jsonl":
            config, split = rest[0], rest[-1].split(".")[0].split("-")[0]
            counts = counted.setdefault(config, {})
            counts[split] = counts.get(split, 0) + int(one["rows"])
    return counted


def make(folder: Path, logs: Path | None, wanted: frozenset[str] = frozenset()) -> list[Export]:
    """Read the logs, judge them, freeze a release, and export all of it.

    Args:
        folder: where everything of it goes; what lies there is removed.
        logs: a folder or file of logs; without one, the samples of this repository.
        wanted: names of formats; without any, all.

    """
    desk = Desk(folder)
    for path in (logs,) if logs else lay_out(folder / "samples"):
        desk.command("ingest", str(path))
    desk.judge()
    desk.command("project", "set", "--shares", SHARES)
    desk.command("release", "create", "--name", "proof")
    exports = []
    for listed in desk.command("export", "--list", "--release", "latest")["exports"]:
        dataset = "/".join(str(listed[name]) for name in ("role", "task", "objective"))
        if not listed["formats"]:
            exports.append(Export(dataset, "-", why="There is no format for it.", failed=True))
        for form in (get_format(alias).name for alias in listed["formats"]):
            if wanted and form not in wanted:
                continue
            if listed["n_rows"]:
                exports.append(desk.export(listed, form))
            else:
                # The samples hold something for every dataset; another's logs need not.
                exports.append(Export(dataset, form, why="The release has no row of it.", failed=logs is None))
    return exports
