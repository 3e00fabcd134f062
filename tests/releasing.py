"""An installation that makes releases, and what a release folder says."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from app import deliveries, ingest, queue, releases, review, rulings, worker, yields
from app.db import Database
from app.gates import GATES
from app.ingest import Upload
from app.models import CandidateRow, JobRow, ReleaseRow, ReleaseState, ReviewerRow, Status, Verdict
from app.queue import Filter
from app.releases import Spec
from app.review import Act
from app.settings import Settings
from tests.conftest import NOON, noon

EVIDENCE = Path(__file__).parent / "data" / "evidence"
Row = dict[str, Any]
_names = count()


@contextmanager
def installed(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator["Desk"]:
    """A desk in an empty folder, on the database that is named, for as long as the block lasts."""
    url = name = ""
    if kind == "postgres":
        name = f"releasing_{next(_names)}"
        url = request.getfixturevalue("postgres").create_database(name, template="template_patchsift")
    else:
        shutil.copy(request.getfixturevalue("sqlite_template"), folder / "patchsift.db")
    settings = Settings(data_dir=folder, database_url=url, allowed_hosts="testserver")
    db = Database(settings)
    yield Desk(db, settings, folder)
    db.close()
    if url:
        request.getfixturevalue("postgres").drop_database(name)


class Desk:
    """An installation with two reviewers, everything of which happens at noon."""

    def __init__(self, db: Database, settings: Settings, folder: Path) -> None:
        self.db, self.settings, self.folder = db, settings, folder
        self._numbers = count()
        with db.write() as session:
            self.project = review.ensure_project(session, "default", now=NOON).id or 0
            self.ann = review.ensure_local_reviewer(session, now=NOON).id or 0
            other = ReviewerRow(name="ben", created_at=NOON)
            session.add(other)
            session.flush()
            self.ben = other.id or 0

    # ------------------------------------------------------------------------------------------ in

    def take(self, path: Path = EVIDENCE) -> None:
        """Read a folder of logs as a command does."""
        deliveries.read_path(self.db, self.settings, self.project, Upload(path, path.name), now=noon)
        ingest.finish(self.db, self.project, now=noon)

    def read(self, *lines: bytes, name: str = "", licence: str | None = None) -> list[int]:
        """Read lines as one log; gives the candidates that stand for themselves and came with it, in order."""
        before = {row.id for row in self.candidates()}
        name = name or f"log{next(self._numbers)}.jsonl"
        path = self.folder / "spooled"
        path.write_bytes(b"\n".join(lines) + b"\n")
        ingest.read_file(self.db, self.settings, self.project, Upload(path, name, licence=licence), now=noon)
        ingest.finish(self.db, self.project, now=noon)
        return [row.id or 0 for row in self.candidates() if row.id not in before]

    def candidates(self) -> list[CandidateRow]:
        """Those that stand for themselves, in order."""
        with self.db.read() as session:
            return queue.list_candidates(session, self.project, Filter(), limit=1000).candidates

    def titled(self, title: str, kind: str = "patch") -> int:
        """The candidate whose title begins so."""
        [found] = [row.id or 0 for row in self.candidates() if row.title.startswith(title) and row.kind == kind]
        return found

    # ------------------------------------------------------------------------------------------ judged

    def decide(
        self,
        number: int,
        verdict: Verdict = Verdict.ACCEPT,
        *,
        edited: tuple[str, str] | None = None,
        reasons: tuple[str, ...] = (),
        rating: int | None = None,
        by: int | None = None,
    ) -> int:
        """One reviewer's verdict; gives the decision's id."""
        with self.db.write() as session:
            version = session.get_one(CandidateRow, number).version
            key = f"key-{next(self._numbers)}"
            act = Act(verdict, version, key, edited=edited, reasons=reasons, rating=rating)
            outcome = review.decide(session, self.project, by or self.ann, number, act, now=NOON)
            assert outcome.decision is not None
            return outcome.decision.id or 0

    def accept_all(self) -> None:
        """Accept whatever waits."""
        for row in self.candidates():
            if row.status == Status.PENDING:
                self.decide(row.id or 0)

    def undo(self, by: int | None = None) -> None:
        """Take back a reviewer's last decision."""
        with self.db.write() as session:
            review.undo(session, self.project, by or self.ann, key=f"key-{next(self._numbers)}", now=NOON)

    def rule(self, example: str, gate: str, reason: str = "", *, in_force: bool = True) -> int:
        """A word on an example that some candidate yields as it stands; gives its number."""
        with self.db.write() as session:
            candidate, made = self._find(session, example)
            row = rulings.add(
                session, self.project, self.ann, candidate, example, gate,
                in_force=in_force, digest=made.digest, reason=reason, now=NOON,
            )  # fmt: skip
            return row.id or 0

    def _find(self, session: Any, example: str) -> tuple[int, yields.Made]:
        asked = releases.asked_for(session, self.project, Spec())
        terms = yields.Terms(asked.prompts, asked.settings, {})
        for row in self.candidates():
            case = yields.find_case(session, self.project, row.id or 0)
            for made in yields.make(case, terms) if case else ():
                if isinstance(made, yields.Made) and made.example.id == example:
                    return row.id or 0, made
        raise AssertionError(example)

    # ------------------------------------------------------------------------------------------ out

    def create(self, **spec: object) -> int:
        """Put a release in line; gives its number."""
        with self.db.write() as session:
            return releases.create(session, self.project, self.ann, Spec.parse(spec), now=NOON).number

    def work(self) -> None:
        """Do everything that is in line."""
        worker.run(self.db, self.settings, stop=lambda: False, until_idle=True)

    def row(self, number: int) -> ReleaseRow:
        with self.db.read() as session:
            return releases.get_release(session, self.project, number)

    def job(self, number: int) -> JobRow:
        """The job of a release."""
        with self.db.read() as session:
            return session.get_one(JobRow, self.row(number).job_id)

    def release(self, **spec: object) -> "Release":
        """Make a release, whole, in which the verifier finds nothing."""
        number = self.create(**spec)
        self.work()
        made = self.open(number)
        found = releases.verify_release(self.settings, self.row(number))
        assert found.is_whole, found.faults
        return made

    def open(self, number: int) -> "Release":
        """A release that is frozen."""
        row = self.row(number)
        assert row.state in {ReleaseState.FROZEN, ReleaseState.WITHDRAWN}, (row.state, row.message)
        return Release(releases.get_folder(self.settings, row), number)

    def preview(self, **spec: object) -> releases.Preview:
        with self.db.read() as session:
            return releases.preview(session, self.settings, self.project, Spec.parse(spec))

    def rebuild(self, number: int) -> releases.Rebuilt:
        place = self.folder / f"again-{next(self._numbers)}"
        return releases.rebuild(self.db, self.settings, self.project, number, place)


class Release:
    """A release folder, read with the standard library."""

    def __init__(self, folder: Path, number: int = 0) -> None:
        self.folder, self.number = folder, number
        self.manifest: Row = json.loads((folder / "manifest.json").read_bytes())

    @property
    def sums(self) -> str:
        return (self.folder / "SHA256SUMS").read_text()

    def lines(self, name: str) -> list[Row]:
        path = self.folder / name
        return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []

    def rows(self, dataset: str = "", part: str = "examples") -> dict[str, Row]:
        """Examples, or lineage, by dataset and id, each with its split; of one dataset by id."""
        found: dict[str, Row] = {}
        for path in sorted((self.folder / part).rglob("*.jsonl")):
            of = "/".join(path.relative_to(self.folder / part).parts[:-1])
            if dataset in {"", of}:
                for line in path.read_bytes().splitlines():
                    row = json.loads(line) | {"split": path.stem}
                    found[row["id"] if dataset else f"{of} {row['id']}"] = row
        return found

    def lineage(self, dataset: str = "") -> dict[str, Row]:
        return self.rows(dataset, "lineage")

    def splits(self) -> dict[int, str]:
        """Candidate → its split; it may have only one."""
        found: dict[int, set[str]] = {}
        for way in self.lineage().values():
            found.setdefault(way["candidate"], set()).add(way["split"])
        assert all(len(splits) == 1 for splits in found.values())
        return {number: splits.pop() for number, splits in found.items()}

    @property
    def held(self) -> list[Row]:
        return self.lines("held_back.jsonl")

    def held_by(self, number: int, dataset: str = "llm/scaffold/sft") -> dict[str, str]:
        """Gate → message of what holds back a candidate's rows of a dataset."""
        return {
            gate["gate"]: gate["message"]
            for row in self.held
            if (row["candidate"], row["dataset"]) == (number, dataset)
            for gate in row["gates"]
        }

    def counts(self, dataset: str) -> Row:
        [found] = [
            one for one in self.manifest["datasets"] if f"{one['role']}/{one['task']}/{one['objective']}" == dataset
        ] or [{"rows": 0, "held": 0, "splits": {}, "held_by_gate": {}}]
        return dict(found)

    def assert_sound(self) -> None:
        """The manifest's counts are those of the files, and every gate that spoke is a known one."""
        rows = Counter(name.partition(" ")[0] for name in self.rows())
        held = Counter(row["dataset"] for row in self.held)
        told = {f"{one['role']}/{one['task']}/{one['objective']}": one for one in self.manifest["datasets"]}
        assert {name: one["rows"] for name, one in told.items() if one["rows"]} == rows
        assert {name: one["held"] for name, one in told.items() if one["held"]} == held
        assert {gate["gate"] for row in self.held for gate in row["gates"]} <= GATES.keys()
