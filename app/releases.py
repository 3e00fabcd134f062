"""Releases: numbered, immutable sets of examples. Previewed, frozen as a job, verified, compared, withdrawn.

A release is a row and a folder that is written once. Its row is `frozen` only when its folder is whole and in place and
the ledger of splits knows it: whatever dies before leaves nothing that anyone can see.
"""

import contextlib
import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from sqlalchemy import delete, func, insert, select, update
from sqlmodel import Session, col

from app import freeze, groups, jobs, prepare, projects, prompting, rulings, verifier
from app.db import Database, lock_ingest, lock_project
from app.differences import NAMED, Difference, Rows
from app.errors import BadInputError, ConflictError, NotFoundError
from app.examples import Dataset, Split
from app.exports.folder import CHECKSUMS, Folder
from app.freeze import Asked, Facts, Progress
from app.models import (
    CandidateRow,
    IssueGroupRow,
    JobRow,
    JobState,
    LedgerRow,
    ReleasedRow,
    ReleaseRow,
    ReleaseState,
    ReviewerRow,
)
from app.opinions import Opinions
from app.projects import ProjectSettings
from app.queue import EarlierFilter, Filter, conditions, expand
from app.settings import Settings

JOB_KIND = "release"
PREVIEW_KIND = "preview"
MOST_PREVIEWED = 500
SHOWN = (ReleaseState.FROZEN, ReleaseState.WITHDRAWN)
"""States of a release that has a folder."""
_UNFINISHED = (ReleaseState.QUEUED, ReleaseState.FREEZING)
_SAMPLES = 5
_HELD_SHOWN = 200
_LONGEST_NAME = _LONGEST_KEY = 200
# How a stored search is read: the first ones knew words alone, and say no number.
_SYNTAX = 2
_BATCH = 500
_WAIT_SECONDS = 0.5
_IN_ADDRESS = re.compile(r"\??[A-Za-z_]*=")


# ------------------------------------------------------------------------------------------------ what is asked for


@dataclass(frozen=True, slots=True)
class Spec:
    """What a release is to hold: `Spec("nightly", Filter(source="LLMCore"), {"split": {"seed": 7}})`.

    Attributes:
        name: for people; may be empty.
        filter: which candidates, the same filter that a page and a queue have.
        changes: settings of the project that differ for this release alone.
    """

    name: str = ""
    filter: Filter = field(default_factory=Filter)
    changes: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def parse(cls, given: Mapping[str, object]) -> "Spec":
        """From a form, the API or a stored row; `seed` and `by` may stand beside `split` for short.

        `Spec.parse({"name": "nightly", "filter": {"source": "LLMCore"}, "seed": 7})`

        Raises:
            BadInputError: a value that cannot be; `where` names the field.

        """
        known = {"name", "filter", "syntax", "seed", "split", "budgets", "licence_required", "overlap"}
        unknown = sorted(set(given) - known)
        if unknown:
            raise BadInputError(
                f"A release has no {str(unknown[0])[:40]!r}; it has {', '.join(sorted(known - {'syntax'}))}.",
                where=f"field {str(unknown[0])[:40]}",
            )
        name = given.get("name") or ""
        if not isinstance(name, str) or len(name) > _LONGEST_NAME or not (name.isprintable() or not name):
            raise BadInputError(f"A name is one line of {_LONGEST_NAME} characters at most.", where="field name")
        changes = {key: given[key] for key in known - {"name", "filter", "syntax", "seed"} if key in given}
        if given.get("seed") not in (None, ""):
            split = changes.get("split", {})
            changes["split"] = {**(split if isinstance(split, Mapping) else {}), "seed": given["seed"]}
        return cls(name.strip(), parse_filter(given.get("filter") or {}), changes)

    @classmethod
    def of_row(cls, stored: Mapping[str, Any]) -> "Spec":
        """From a release's row: a search that was stored before searches had fields means what it meant then."""
        asked = stored.get("filter") or {}
        if "syntax" in stored or not asked.get("q"):
            return cls.parse(stored)
        rest = {name: value for name, value in asked.items() if name != "q"}
        made = cls.parse({**stored, "filter": rest})
        return replace(made, filter=EarlierFilter(**made.filter.query(), q=asked["q"]))

    def as_json(self) -> dict[str, object]:
        """What `parse` reads back."""
        searched = {"syntax": _SYNTAX} if self.filter.q else {}
        return {"name": self.name, "filter": self.filter.query(), **searched, **self.changes}

    def settings(self, of_project: ProjectSettings) -> ProjectSettings:
        """The project's settings with what differs for this release.

        Raises:
            BadInputError: a value that cannot be.

        """
        # Who judged says each decision for itself.
        return replace(of_project.changed(self.changes), opinions=Opinions())


def parse_filter(given: object) -> Filter:
    """A release's filter from an object, from the text in the address of a queue, or as it is typed into the search.

    `parse_filter("source=LLMCore&rating=5")` is `parse_filter({"source": "LLMCore", "rating": 5})`, and so is
    `parse_filter("source:LLMCore rating:5")`.

    Raises:
        BadInputError: a field that is not known, is named twice, or has a value that cannot be; or one that means
            another list for everybody.

    """
    found = _parse_filter(given)
    if named := next((term.field for term in found.terms() if term.field in {"turn", "mine"}), None):
        raise BadInputError(
            f"{named}: says what waits for whom today, which no release can keep. Take it out.", where="field filter"
        )
    return found


def _parse_filter(given: object) -> Filter:
    if isinstance(given, str) and not _IN_ADDRESS.match(given):
        return Filter.parse({"q": given}) if given.strip() else Filter()
    if isinstance(given, str):
        pairs = parse_qsl(given.removeprefix("?"), keep_blank_values=True)
        if len(dict(pairs)) != len(pairs):
            raise BadInputError("The filter names a field twice; it has one value a field.", where="field filter")
        return _parse_filter(dict(pairs))
    if not isinstance(given, Mapping):
        raise BadInputError("filter is an object of fields, or text as in a queue's address.", where="field filter")
    for key, value in given.items():
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise BadInputError(f"filter.{str(key)[:40]} must be text.", where=f"field filter.{str(key)[:40]}")
    texts = {str(key): str(value) for key, value in given.items()}
    if any(sign == "\x00" or "\ud800" <= sign <= "\udfff" for text in texts.values() for sign in text):
        raise BadInputError("The filter holds a character that no text here can hold. Remove it.", where="field filter")
    return Filter.parse(texts, also=())


def asked_for(session: Session, project_id: int, spec: Spec, number: int | None = None) -> Asked:
    """Everything that decides what a release holds, read in one snapshot; without a number, of the next one."""
    head = freeze.newest_decision(session, project_id)
    return Asked(
        number=next_number(session, project_id) if number is None else number,
        name=spec.name,
        filter=expand(session, project_id, spec.filter),
        settings=spec.settings(projects.get_settings(session, project_id)),
        prompts=prompting.get_prompts(session, project_id),
        decisions_to=(head.id or 0) if head else 0,
        rulings_to=rulings.newest(session, project_id),
    )


def next_number(session: Session, project_id: int) -> int:
    """The number that the next release will have."""
    found = session.execute(
        select(func.max(ReleaseRow.number)).where(col(ReleaseRow.project_id) == project_id)
    ).scalar()
    return int(found or 0) + 1


# ------------------------------------------------------------------------------------------------ preview


@dataclass(slots=True)
class Preview:
    """What a release would hold.

    Attributes:
        facts: counts, as the release's manifest would have them.
        samples: up to five rows of each dataset, with the split they go to.
        held: held-back rows, as `held_back.jsonl` would have them; at most 200.
        n_seen: candidates looked at.
        whole: False where only the first of them were looked at.
        difference: from the last release, where the preview is whole and there is one.
    """

    facts: Facts
    samples: dict[Dataset, list[tuple[Split, dict[str, object]]]] = field(default_factory=dict)
    held: list[dict[str, object]] = field(default_factory=list)
    n_seen: int = 0
    whole: bool = True
    difference: "Difference | None" = None

    def as_json(self) -> dict[str, object]:
        """The shape of `release preview --json` and of the job's result."""
        return {
            "candidates": dict(self.facts.candidates),
            "whole": self.whole,
            "datasets": [
                counts.as_json(dataset)
                | {"samples": [{"split": split.value, "row": row} for split, row in self.samples.get(dataset, [])]}
                for dataset, counts in self.facts.listed()
            ],
            "held": self.held,
            "held_by_gate": dict(sorted(self.facts.held_by_gate.items())),
            "leaks": self.facts.leaks.counts,
            "difference": None if self.difference is None else self.difference.as_json(),
        }


def preview(
    session: Session,
    settings: Settings,
    project_id: int,
    spec: Spec,
    *,
    most: int | None = MOST_PREVIEWED,
    gate: str = "",
    dataset: str = "",
    progress: Progress | None = None,
) -> Preview:
    """What a release would hold now, found by making it.

    Args:
        session: one snapshot.
        settings: where the last release lies.
        project_id: whose.
        spec: what is asked for.
        most: look at so many candidates only; None for all.
        gate: list only rows that this gate holds back.
        dataset: list only held-back rows of this dataset.
        progress: called with (done, total).

    Raises:
        BadInputError: the spec cannot be carried out.

    """
    asked = asked_for(session, project_id, spec)
    guard = projects.read_guard(session, project_id, asked.settings)
    counters = projects.counters(session, project_id, asked.settings)
    n_candidates = len(freeze.list_ids(session, project_id, asked.filter, None if most is None else most + 1))
    made = Preview(Facts(), whole=most is None or n_candidates <= most)
    rows = Rows()
    told: Counter[str] = Counter()
    for one in freeze.settle(session, project_id, asked, guard, counters, made.facts, most=most, progress=progress):
        if one.split is None:
            held = freeze.held_json(one)
            if _is_wanted(held, gate, dataset) and (len(made.held) < _HELD_SHOWN or _is_rare(one, told)):
                told.update(hold.gate for hold in one.holds)
                made.held.append(held)
            continue
        assert one.made is not None  # noqa: S101
        samples = made.samples.setdefault(one.dataset, [])
        if len(samples) < _SAMPLES:
            samples.append((one.split, json.loads(one.made.line)))
        rows.add("after", one.dataset.name, one.made.example.id, one.made.digest.hex(), one.split)
    made.n_seen = min(n_candidates, most or n_candidates)
    last = find_latest(session, project_id)
    if made.whole and last is not None:
        rows.read("before", folder_of(settings, last))
        made.difference = rows.compare(f"release {last.number}", "this one")
    return made


def _is_rare(one: freeze.Settled, told: Mapping[str, int]) -> bool:
    """Whether a gate that holds this row was named seldom so far: a list of the commonest hides the others."""
    return any(told.get(hold.gate, 0) < _SAMPLES for hold in one.holds)


def _is_wanted(held: Mapping[str, Any], gate: str, dataset: str) -> bool:
    return (not dataset or held["dataset"] == dataset) and (
        not gate or any(one["gate"] == gate for one in held["gates"])
    )


def start_preview(session: Session, project_id: int, spec: Spec, *, now: datetime) -> JobRow:
    """Put a preview of all candidates in line for the worker.

    Raises:
        BadInputError: the spec cannot be carried out.

    """
    _check(session, project_id, spec)
    return jobs.enqueue(session, project_id, PREVIEW_KIND, spec.as_json(), now=now)


def _check(session: Session, project_id: int, spec: Spec) -> None:
    spec.settings(projects.get_settings(session, project_id))
    Asked(0, "", spec.filter, ProjectSettings(), {}, 0, 0).check()


def run_preview(db: Database, settings: Settings, job: JobRow, reporter: Progress) -> dict[str, object]:
    """Preview all candidates, as a job; the result is `Preview.as_json`."""
    with db.scan() as session:
        return preview(session, settings, job.project_id, Spec.parse(job.args), most=None, progress=reporter).as_json()


# ------------------------------------------------------------------------------------------------ rows


def create(
    session: Session, project_id: int, reviewer_id: int, spec: Spec, *, now: datetime, key: str = ""
) -> ReleaseRow:
    """Give a release its number and put it in line for the worker.

    Args:
        session: to write to.
        project_id: whose.
        reviewer_id: who asks.
        spec: what it is to hold.
        now: the instant.
        key: the client's idempotency key, where it has one: a repeat gets the release that the first one made.

    Raises:
        BadInputError: the spec cannot be carried out, or the key is too long.
        ConflictError: the key stands for another release.

    """
    lock_ingest(session)
    bury(session, project_id)
    # A saved view may change or go: what it stands for now is what the release has asked for.
    spec = replace(spec, filter=expand(session, project_id, spec.filter))
    _check(session, project_id, spec)
    if key and (made := _find_by_key(session, project_id, reviewer_id, spec, key)) is not None:
        return made
    row = ReleaseRow(
        project_id=project_id,
        number=next_number(session, project_id),
        name=spec.name,
        spec=spec.as_json(),
        reviewer_id=reviewer_id,
        created_at=now,
    )
    session.add(row)
    session.flush()
    args: dict[str, object] = {"release": row.number} | ({"key": key} if key else {})
    row.job_id = jobs.enqueue(session, project_id, JOB_KIND, args, now=now).id
    return row


def _find_by_key(session: Session, project_id: int, reviewer_id: int, spec: Spec, key: str) -> ReleaseRow | None:
    """The release that this key made, or None; a button that was pressed twice, or a client's retry, makes one."""
    if len(key) > _LONGEST_KEY:
        raise BadInputError(f"The key of a release has at most {_LONGEST_KEY} characters.", where="field key")
    made = (
        select(ReleaseRow)
        .join(JobRow, col(JobRow.id) == col(ReleaseRow.job_id))
        .where(
            col(ReleaseRow.project_id) == project_id,
            col(JobRow.kind) == JOB_KIND,
            JobRow.args["key"].as_string() == key,  # type: ignore[attr-defined]
        )
    )
    row = session.execute(made.limit(1)).scalar()
    if row is not None and (row.reviewer_id != reviewer_id or row.spec != spec.as_json()):
        raise ConflictError(
            f"This key made release {row.number}, which asked for something else; every release needs a key of its own."
        )
    return row


def as_json(row: ReleaseRow) -> dict[str, object]:
    """A release as outsiders see it: `{"number": 3, "name": "nightly", "state": "frozen", "counts": {…}, "job": 9, …}`.

    `asked` is what `Spec.parse` reads.
    """
    return {
        "number": row.number,
        "name": row.name,
        "state": row.state,
        "counts": row.counts,
        "job": row.job_id,
        "message": row.message,
        "asked": row.spec,
        "bytes": row.n_bytes,
        "manifest_sha256": None if row.manifest_digest is None else bytes(row.manifest_digest).hex(),
        "created_at": row.created_at,
        "frozen_at": row.frozen_at,
        "withdrawn_at": row.withdrawn_at,
        "withdrawn_why": row.withdrawn_why,
    }


def describe(session: Session, settings: Settings, row: ReleaseRow) -> dict[str, object]:
    """The same with who made it and its manifest without the list of files; null where it has no folder."""
    said: dict[str, Any] | None = None
    with contextlib.suppress(ConflictError, NotFoundError):
        said = read_manifest(get_folder(settings, row))
        del said["files"]
    return as_json(row) | {"by": get_author(session, row), "manifest": said}


def bury(session: Session, project_id: int | None = None) -> None:
    """Mark as failed what will never be frozen: its job was cancelled before it began, or given up.

    Of one project, or of all.
    """
    ended = (
        select(ReleaseRow, JobRow.message)  # type: ignore[call-overload]
        .join(JobRow, col(JobRow.id) == col(ReleaseRow.job_id))
        .where(
            col(ReleaseRow.project_id) == (col(ReleaseRow.project_id) if project_id is None else project_id),
            col(ReleaseRow.state).in_(_UNFINISHED),
            col(JobRow.state).in_([JobState.FAILED, JobState.CANCELLED]),
        )
    )
    for row, message in session.execute(ended).all():
        row.state, row.message = ReleaseState.FAILED, message
        session.add(row)
        _unremember(session, row)


def list_releases(session: Session, project_id: int, limit: int = 50, before: int | None = None) -> list[ReleaseRow]:
    """Releases, the newest first."""
    wanted = select(ReleaseRow).where(col(ReleaseRow.project_id) == project_id)
    if before is not None:
        wanted = wanted.where(col(ReleaseRow.number) < before)
    return list(session.execute(wanted.order_by(col(ReleaseRow.number).desc()).limit(limit)).scalars())


def get_release(session: Session, project_id: int, number: int | str) -> ReleaseRow:
    """A release by its number, or `"latest"`: the newest that is frozen and was not withdrawn.

    Raises:
        NotFoundError: there is none.

    """
    if str(number) == "latest":
        found = find_latest(session, project_id)
        if found is None:
            raise NotFoundError("There is no release yet. Make one: patchsift release create.")
        return found
    text = str(number)
    row: ReleaseRow | None = None
    if text.isascii() and text.isdigit() and len(text) < 10:  # noqa: PLR2004
        row = session.execute(
            select(ReleaseRow).where(col(ReleaseRow.project_id) == project_id, col(ReleaseRow.number) == int(text))
        ).scalar()
    if row is None:
        raise NotFoundError(f"There is no release {text[:20]} here.")
    return row


def find_latest(session: Session, project_id: int) -> ReleaseRow | None:
    """The newest release that is frozen and was not withdrawn, or None."""
    found: ReleaseRow | None = session.execute(
        select(ReleaseRow)
        .where(col(ReleaseRow.project_id) == project_id, col(ReleaseRow.state) == ReleaseState.FROZEN)
        .order_by(col(ReleaseRow.number).desc())
        .limit(1)
    ).scalar()
    return found


def get_trainable(session: Session, project_id: int, number: int | str) -> ReleaseRow:
    """A release that may be trained on.

    Raises:
        NotFoundError: there is none.
        ConflictError: it was withdrawn.

    """
    row = get_release(session, project_id, number)
    if row.state == ReleaseState.WITHDRAWN:
        raise ConflictError(
            f"Release {row.number} was withdrawn, so nobody should train on it: {row.withdrawn_why} Export another; "
            "its files stay where they are, so that what was trained can be explained."
        )
    return row


def folder_of(settings: Settings, row: ReleaseRow) -> Path:
    """Where a release lies: `…/releases/1/3`."""
    return settings.data_dir / "releases" / str(row.project_id) / str(row.number)


def get_folder(settings: Settings, row: ReleaseRow) -> Path:
    """The folder of a frozen or withdrawn release.

    Raises:
        ConflictError: it is not frozen yet, or never will be.
        NotFoundError: its folder is not there.

    """
    if row.state not in SHOWN:
        raise ConflictError(f"Release {row.number} is {row.state}, so it has no files yet.")
    folder = folder_of(settings, row)
    if not (folder / "manifest.json").is_file():
        raise NotFoundError(f"The folder of release {row.number} is gone: {folder}. Bring it back from a backup.")
    return folder


def withdraw(session: Session, project_id: int, number: int, why: str, *, now: datetime) -> ReleaseRow:
    """Say that a release must not be trained on; its files stay, so that what was trained can be explained.

    Raises:
        NotFoundError: no such release.
        BadInputError: no reason is given.
        ConflictError: it is not frozen.

    """
    # Who withdraws it first says why.
    lock_project(session, project_id)
    row = get_release(session, project_id, number)
    why = why.strip()
    if not why:
        raise BadInputError("Say why it is withdrawn: whoever trained on it will ask.", where="field why")
    if row.state != ReleaseState.FROZEN:
        raise ConflictError(f"Release {number} is {row.state}; only a frozen one can be withdrawn.")
    row.state, row.withdrawn_at, row.withdrawn_why = ReleaseState.WITHDRAWN, now, why[:2_000]
    session.add(row)
    return row


def list_holding(session: Session, candidate_id: int) -> list[int]:
    """The numbers of the releases that hold examples of a candidate: what a changed decision is to be told to."""
    wanted = (
        select(ReleaseRow.number)  # type: ignore[call-overload]
        .join(ReleasedRow, col(ReleasedRow.release_id) == col(ReleaseRow.id))
        .where(col(ReleasedRow.candidate_id) == candidate_id, col(ReleaseRow.state).in_(SHOWN))
        .order_by(col(ReleaseRow.number))
    )
    return list(session.execute(wanted).scalars())


def read_manifest(folder: Path) -> dict[str, Any]:
    """A release's manifest."""
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
    return found


class ReleaseFile(NamedTuple):
    """A file of a release: `ReleaseFile("README.md", "9f…", 1834, None)`; rows only of JSONL."""

    path: str
    digest: str
    n_bytes: int
    n_rows: int | None

    def as_json(self) -> dict[str, object]:
        """`{"path": "README.md", "sha256": "9f…", "bytes": 1834}`, with rows where it has any."""
        told: dict[str, object] = {"path": self.path, "sha256": self.digest, "bytes": self.n_bytes}
        return told if self.n_rows is None else told | {"rows": self.n_rows}


def list_files(folder: Path) -> list[ReleaseFile]:
    """Every file of a release, by path: those that its manifest names, the manifest and the checksums."""
    listed = [
        ReleaseFile(one["path"], one["sha256"], one["bytes"], one.get("rows")) for one in read_manifest(folder)["files"]
    ]
    for name in ("manifest.json", CHECKSUMS):
        with (folder / name).open("rb") as file:
            listed.append(ReleaseFile(name, file_digest(file, "sha256").hexdigest(), file.tell(), None))
    return sorted(listed)


def get_file(folder: Path, path: str) -> ReleaseFile:
    """A file of a release by its path in it.

    Raises:
        NotFoundError: the release has no such file.

    """
    found = next((one for one in list_files(folder) if one.path == path), None)
    # A manifest that was tampered with must not lead out of the release.
    inside = found is not None and (folder / path).resolve().is_relative_to(folder.resolve())
    if found is None or not inside or not (folder / path).is_file():
        raise NotFoundError(f"The release has no file {path[:200]!r}. Its manifest names those that it has.")
    return found


def list_held(
    folder: Path, *, gate: str = "", dataset: str = "", after: int = 0, limit: int = 50
) -> tuple[list[dict[str, Any]], int | None]:
    """Held-back rows of a release, a page at a time.

    Args:
        folder: the release's.
        gate: only rows that this gate holds back.
        dataset: only rows of this dataset.
        after: go on after so many lines of the file.
        limit: so many rows.

    Returns:
        The rows, and where the next page goes on, or None at the end.

    """
    found: list[dict[str, Any]] = []
    with (folder / "held_back.jsonl").open("rb") as lines:
        for number, line in enumerate(islice(lines, after, None), after + 1):
            row = json.loads(line)
            if _is_wanted(row, gate, dataset):
                found.append(row)
                if len(found) == limit:
                    return found, number if next(lines, None) is not None else None
    return found, None


def list_samples(folder: Path, dataset: Dataset, n: int = _SAMPLES) -> list[tuple[Split, dict[str, Any]]]:
    """The first rows of a dataset, split by split."""
    found: list[tuple[Split, dict[str, Any]]] = []
    for split in Split:
        path = folder.joinpath("examples", *dataset, f"{split}.jsonl")
        if len(found) < n and path.is_file():
            with path.open("rb") as lines:
                found += [(split, json.loads(line)) for line in islice(lines, n - len(found))]
    return found


# ------------------------------------------------------------------------------------------------ freezing


def run_job(
    db: Database, settings: Settings, job: JobRow, reporter: Progress, *, now: Callable[[], datetime]
) -> dict[str, object]:
    """Freeze the release that a job names; what an earlier attempt left is thrown away first.

    Returns:
        `{"release": 3, "rows": 1834, "held": 21}`

    """
    number = job.args.get("release")
    try:
        row = _begin(db, job.project_id, int(str(number)), reporter, now)
        if row.state != ReleaseState.FREEZING:
            return {"release": row.number}
        return _freeze(db, settings, row, job, reporter, now)
    except jobs.StoppedError:
        raise  # the program ends; the job is taken up again
    except BaseException as error:
        with db.write() as session:
            if not jobs.is_held(session, job):
                raise jobs.TakenError from error  # what failed is what the other one has swept away
        why = "Cancelled." if isinstance(error, jobs.CancelledError) else str(error) or type(error).__name__
        _fail(db, settings, job.project_id, int(str(number)), why)
        raise


def _begin(db: Database, project_id: int, number: int, reporter: Progress, now: Callable[[], datetime]) -> ReleaseRow:
    """Wait until no other release of the project is being frozen: they would deal the same groups.

    One that nobody is at is waited for by nobody: whoever would may be the only worker that is left to take it.
    """
    earlier = (
        col(ReleaseRow.project_id) == project_id,
        col(ReleaseRow.state).in_(_UNFINISHED),
        col(ReleaseRow.number) < number,
    )
    while True:
        with db.write() as session:
            bury(session, project_id)
            session.flush()
            row = get_release(session, project_id, number)
            others = session.execute(select(func.count()).select_from(ReleaseRow).where(*earlier)).scalar_one()
            left = select(col(JobRow.id)).join(ReleaseRow, col(JobRow.id) == col(ReleaseRow.job_id)).where(*earlier)
            if others and session.execute(left.where(jobs.is_claimable(now())).limit(1)).first() is not None:
                raise jobs.StoppedError
            if row.state == ReleaseState.QUEUED and not others:
                row.state = ReleaseState.FREEZING
                session.add(row)
            if not others:
                session.flush()
                session.expunge(row)
                return row
        reporter(0, 0)
        time.sleep(_WAIT_SECONDS)


def _make_ready(db: Database, project_id: int, reporter: Progress) -> None:
    """Look at what was decided and not looked at yet: what is not known to be a near-duplicate would not be held.

    What nobody decided on is in no release, and there may be hours of it.
    """
    prepare.run(db, decided=True, progress=lambda _done, _total: reporter(0, 0))
    with db.read() as session:
        is_outdated = groups.is_outdated(session, project_id)
    (groups.rebuild if is_outdated else groups.keep_up)(db, project_id, progress=lambda _done, _total: reporter(0, 0))


def _freeze(
    db: Database, settings: Settings, row: ReleaseRow, job: JobRow, reporter: Progress, now: Callable[[], datetime]
) -> dict[str, object]:
    _forget(db, settings, row)
    _sweep(db, settings, row)
    target = folder_of(settings, row)
    spec = Spec.of_row(row.spec)
    _make_ready(db, row.project_id, reporter)
    with db.scan() as session:
        asked = asked_for(session, row.project_id, spec, row.number)
        guard = projects.read_guard(session, row.project_id, asked.settings)
        counters = projects.counters(session, row.project_id, asked.settings)
        with Folder(target) as folder:
            facts = freeze.build(session, row.project_id, asked, guard, counters, folder, progress=reporter)
            if not facts.rows:
                raise BadInputError(nothing(facts), code="nothing_to_export")
    _remember(db, row, target, reporter)
    with (target / "manifest.json").open("rb") as manifest:
        digest = file_digest(manifest, "sha256").digest()
    values = {
        "state": ReleaseState.FROZEN,
        "counts": _counts(facts),
        "decisions_to": asked.decisions_to,
        "rulings_to": asked.rulings_to,
        "manifest_digest": digest,
        "n_bytes": sum(path.stat().st_size for path in target.rglob("*") if path.is_file()),
        "message": "",
        "frozen_at": now(),
    }
    with db.write() as session:
        if not jobs.is_held(session, job):
            raise jobs.TakenError
        session.execute(update(ReleaseRow).where(col(ReleaseRow.id) == row.id).values(**values))
    return {"release": row.number, "rows": facts.rows, "held": sum(one.held for one in facts.datasets.values())}


def _counts(facts: Facts) -> dict[str, object]:
    """What lists show of a release: `{"rows": 1834, "held": 21, "candidates": {…}, "datasets": {"llm/…": {…}}}`."""
    splits: Counter[str] = Counter()
    for one in facts.datasets.values():
        splits.update({split.value: n for split, n in one.splits.items()})
    return {
        "rows": facts.rows,
        "held": sum(one.held for one in facts.datasets.values()),
        "splits": dict(splits),
        "candidates": dict(facts.candidates),
        "held_by_gate": dict(sorted(facts.held_by_gate.items())),
        "datasets": {dataset.name: {"rows": counts.rows, "held": counts.held} for dataset, counts in facts.listed()},
    }


def nothing(facts: Facts) -> str:
    """Why no row is left."""
    if not facts.candidates.total():
        return "Nothing is accepted or edited yet under this filter, so there is nothing to export. Review some first."
    told = ", ".join(f"{n:,} {status}" for status, n in facts.candidates.items())
    reasons = ", ".join(f"{gate} {n:,}" for gate, n in facts.held_by_gate.most_common())
    return f"{told}, all held back: {reasons or 'they yield nothing'}. No row is left to export."


def _remember(db: Database, row: ReleaseRow, target: Path, reporter: Progress) -> None:
    """Tell the database which candidates the release holds and which issue stands in which split."""
    for lines in _chunks(_lineage(target), _BATCH):
        reporter(0, 0)
        held = {line["candidate"]: line["decision"] for _, line in lines}
        split_of = {bytes.fromhex(line["issue"]): split for split, line in lines}
        with db.write() as session:
            known = select(ReleasedRow.candidate_id).where(  # type: ignore[call-overload]
                col(ReleasedRow.release_id) == row.id, col(ReleasedRow.candidate_id).in_(list(held))
            )
            for candidate_id in session.execute(known).scalars():
                del held[candidate_id]
            dealt = select(LedgerRow.issue).where(  # type: ignore[call-overload]
                col(LedgerRow.project_id) == row.project_id, col(LedgerRow.issue).in_(list(split_of))
            )
            for issue in session.execute(dealt).scalars():
                del split_of[bytes(issue)]
            if held:
                session.execute(
                    insert(ReleasedRow),
                    [{"candidate_id": n, "release_id": row.id, "decision_id": d} for n, d in held.items()],
                )
            if split_of:
                session.execute(
                    insert(LedgerRow),
                    [
                        {
                            "project_id": row.project_id,
                            "issue": issue,
                            "split": split.value,
                            "since": row.number + 1,
                            "release_id": row.id,
                        }
                        for issue, split in sorted(split_of.items())
                    ],
                )


def _lineage(folder: Path) -> Iterator[tuple[Split, dict[str, Any]]]:
    for path in sorted((folder / "lineage").rglob("*.jsonl")):
        with path.open("rb") as lines:
            for line in lines:
                yield Split(path.stem), json.loads(line)


def _chunks(lines: Iterator[Any], n: int) -> Iterator[list[Any]]:
    while chunk := list(islice(lines, n)):
        yield chunk


def _forget(db: Database, settings: Settings, row: ReleaseRow) -> None:
    """Throw away what an attempt that died left of a release that nobody has seen."""
    target = folder_of(settings, row)
    for left in [*target.parent.glob(f".tmp-{row.number}-*"), target]:
        shutil.rmtree(left, ignore_errors=True)
    with db.write() as session:
        _unremember(session, row)


def _unremember(session: Session, row: ReleaseRow) -> None:
    session.execute(delete(ReleasedRow).where(col(ReleasedRow.release_id) == row.id))
    session.execute(delete(LedgerRow).where(col(LedgerRow.release_id) == row.id))


def _sweep(db: Database, settings: Settings, row: ReleaseRow) -> None:
    """Throw away what releases left that were given up; whoever's turn it is is the only one that freezes."""
    place = folder_of(settings, row).parent
    given_up = select(ReleaseRow.number).where(  # type: ignore[call-overload]
        col(ReleaseRow.project_id) == row.project_id, col(ReleaseRow.state) == ReleaseState.FAILED
    )
    with db.read() as session:
        left = [place / str(number) for number in session.execute(given_up).scalars()]
    for folder in [*left, *place.glob(".tmp-*")]:
        shutil.rmtree(folder, ignore_errors=True)


def _fail(db: Database, settings: Settings, project_id: int, number: int, why: str) -> None:
    with db.read() as session:
        row = get_release(session, project_id, number)
    if row.state in SHOWN:
        return
    _forget(db, settings, row)
    with db.write() as session:
        found = get_release(session, project_id, number)
        found.state, found.message = ReleaseState.FAILED, why[:2_000]
        session.add(found)


# ------------------------------------------------------------------------------------------------ comparing


def compare(settings: Settings, first: ReleaseRow, second: ReleaseRow, most: int = NAMED) -> Difference:
    """What was added, removed and changed from one release to another; `most` of each kind are named.

    Raises:
        ConflictError: one of them has no files.

    """
    rows = Rows()
    rows.read("before", get_folder(settings, first))
    rows.read("after", get_folder(settings, second))
    return rows.compare(f"release {first.number}", f"release {second.number}", most)


# ------------------------------------------------------------------------------------------------ verify, make again


def verify(folder: Path, logs: Sequence[Path] = ()) -> verifier.Report:
    """What the independent verifier says of a release folder; `faults` is empty where it is whole.

    Args:
        folder: the release's.
        logs: files or folders with the logs themselves, to hold the rows against.

    """
    return verifier.verify(folder, logs=list(logs))


def verify_release(settings: Settings, row: ReleaseRow, logs: Sequence[Path] = ()) -> verifier.Report:
    """The same of a release here, and that its manifest is the one that was frozen.

    Raises:
        ConflictError: it has no files.
        NotFoundError: its folder is gone.

    """
    folder = get_folder(settings, row)
    report = verify(folder, logs)
    with (folder / "manifest.json").open("rb") as manifest:
        digest = file_digest(manifest, "sha256").digest()
    if row.manifest_digest is not None and digest != bytes(row.manifest_digest):
        frozen = bytes(row.manifest_digest).hex()
        report.add("replaced", "manifest.json", f"Its digest is {digest.hex()}; when it was frozen, it was {frozen}.")
    return report


class Rebuilt(NamedTuple):
    """How a release looks when it is made again from today's database: `differing` is empty where byte for byte."""

    n_files: int
    differing: list[str]


def rebuild(
    db: Database, settings: Settings, project_id: int, number: int, place: Path, *, progress: Progress | None = None
) -> Rebuilt:
    """Make a release again as of its last decision, in another place, and compare it byte for byte.

    Args:
        db: the database.
        settings: where the release lies.
        project_id: whose.
        number: the release's.
        place: a folder that is not there yet.
        progress: called with (done, total).

    Raises:
        ConflictError: it has no files.
        NotFoundError: no such release, or a template or file that it used is gone.

    """
    with db.scan() as session:
        row = get_release(session, project_id, number)
        folder = get_folder(settings, row)
        said = read_manifest(folder)
        asked = replace(
            asked_for(session, project_id, Spec.of_row(row.spec), number),
            settings=_settings_of(said),
            prompts={
                one["name"]: prompting.get_by_label(session, project_id, one["label"]) for one in said["templates"]
            },
            decisions_to=row.decisions_to,
            rulings_to=row.rulings_to,
        )
        kept_out = [str(one["sha256"]) for one in (said["order"]["decontamination"] or {}).get("files", ())]
        guard = projects.read_guard(session, project_id, asked.settings, only=kept_out)
        counters = projects.counters(session, project_id, asked.settings)
        with Folder(place) as made:
            freeze.build(session, project_id, asked, guard, counters, made, progress=progress)
    return Rebuilt(*_differing(folder, place))


def _settings_of(said: Mapping[str, Any]) -> ProjectSettings:
    order = said["order"]
    split = {key: order[key] for key in ("by", "seed", "shares", "validation_from", "test_from") if key in order}
    guarded = order["decontamination"] or {}
    overlap = {"overlap": guarded["overlap"]} if guarded else {}
    return ProjectSettings.parse(
        {"split": split, "budgets": order["budgets"], "licence_required": order["licence_required"], **overlap}
    )


def _differing(one: Path, other: Path) -> tuple[int, list[str]]:
    def sums(folder: Path) -> dict[str, str]:
        listed = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
        return {line[66:]: line[:64] for line in listed}

    first, second = sums(one), sums(other)
    return len(first), sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


# ------------------------------------------------------------------------------------------------ the benchmark


class Frozen(NamedTuple):
    """What became of a benchmark: issues set, issues that were in it, and those that were released otherwise."""

    n_set: int
    n_already: int
    refused: list[bytes]


def freeze_benchmark(session: Session, project_id: int, wanted: Filter) -> Frozen:
    """Put every issue of the candidates that a filter finds into the benchmark split, whole groups at a time, for ever.

    What was ever released for training, validation or test stays there: a benchmark that was trained on is none.

    Raises:
        BadInputError: the filter finds nothing.
        ConflictError: a release is being made, which may put them elsewhere.

    """
    lock_ingest(session)
    bury(session, project_id)
    in_line = select(func.min(ReleaseRow.number)).where(
        col(ReleaseRow.project_id) == project_id, col(ReleaseRow.state).in_(_UNFINISHED)
    )
    if (number := session.execute(in_line).scalar()) is not None:
        raise ConflictError(f"Release {number} is being made and may put these issues elsewhere. Wait until it is.")
    new, found = _benchmark_of(session, project_id, wanted)
    since = next_number(session, project_id)
    if new:
        rows = [
            {"project_id": project_id, "issue": issue, "split": Split.BENCHMARK.value, "since": since} for issue in new
        ]
        session.execute(insert(LedgerRow), rows)
    return found


def preview_benchmark(session: Session, project_id: int, wanted: Filter) -> Frozen:
    """What `freeze_benchmark` would do now; nothing is stored.

    Raises:
        BadInputError: the filter finds nothing.

    """
    return _benchmark_of(session, project_id, wanted)[1]


def _benchmark_of(session: Session, project_id: int, wanted: Filter) -> tuple[list[bytes], Frozen]:
    """The issues that a filter would put into the benchmark, and what becomes of all that it finds.

    A group goes in whole or not at all: a near-duplicate of what was trained on is no benchmark either.
    """
    where = conditions(session, project_id, replace(wanted, order=""))
    issues = {bytes(one) for one in session.execute(select(CandidateRow.group_digest).where(*where)).scalars()}  # type: ignore[call-overload]
    if not issues:
        raise BadInputError("The filter finds no candidate, so there is nothing to freeze.", where="field filter")
    group_of = {issue: issue for issue in issues} | groups.find_groups(session, project_id, issues)
    for some in _chunks(iter(sorted(set(group_of.values()))), _BATCH):
        tied = select(IssueGroupRow.issue, IssueGroupRow.group_key).where(  # type: ignore[call-overload]
            col(IssueGroupRow.project_id) == project_id, col(IssueGroupRow.group_key).in_(some)
        )
        group_of |= {bytes(issue): bytes(group) for issue, group in session.execute(tied)}
    split_of: dict[bytes, str] = {}
    for some in _chunks(iter(sorted(group_of)), _BATCH):
        known = select(LedgerRow.issue, LedgerRow.split).where(  # type: ignore[call-overload]
            col(LedgerRow.project_id) == project_id, col(LedgerRow.issue).in_(some)
        )
        split_of |= {bytes(issue): split for issue, split in session.execute(known)}
    taken = {group_of[issue] for issue, split in split_of.items() if split != Split.BENCHMARK}
    refused = sorted(issue for issue, group in group_of.items() if group in taken)
    new = sorted(group_of.keys() - split_of.keys() - set(refused))
    return new, Frozen(len(new), len(group_of) - len(new) - len(refused), refused)


def count_benchmark(session: Session, project_id: int) -> int:
    """How many issues are in the benchmark."""
    wanted = select(func.count()).select_from(LedgerRow)
    found = session.execute(
        wanted.where(col(LedgerRow.project_id) == project_id, col(LedgerRow.split) == Split.BENCHMARK)
    ).scalar_one()
    return int(found)


def get_author(session: Session, row: ReleaseRow) -> str:
    """Who made a release."""
    return session.get_one(ReviewerRow, row.reviewer_id).name
