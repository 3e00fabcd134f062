"""What a project says: who judges, how groups are split, what its models take, which files it gives."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import bindparam, func, select
from sqlmodel import Session, col

from app import tokens
from app.contamination import Benchmark, BlockList, Overlap, benchmark_texts
from app.db import lock_project
from app.errors import BadInputError, NotFoundError, TooLargeError
from app.models import ProjectFileRow, ProjectRow, metadata
from app.opinions import Opinions
from app.splits import Plan
from app.tokens import DEFAULT_BUDGETS, Budget, Count, parse_budget

MOST_BYTES = 64 << 20

# Every decision asks for it.
_project = metadata.tables["project"]
_OPINIONS = "opinions"
_STORED = select(_project.c.settings).where(_project.c.id == bindparam("project"))


class FileKind(StrEnum):
    """What a file is for: exact token counts, names that must stay out, texts that must stay out."""

    TOKENIZER = "tokenizer"
    BLOCK_LIST = "block_list"
    BENCHMARK = "benchmark"


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """What a project says of its releases.

    Attributes:
        plan: how groups are dealt to the splits.
        budgets: what its models take, in tokens.
        licence_required: whether an example is held back whose source names no licence.
        overlap: when an example says too much of a benchmark.
        opinions: how many people judge a candidate.
    """

    plan: Plan = field(default_factory=Plan)
    budgets: tuple[Budget, ...] = DEFAULT_BUDGETS
    licence_required: bool = False
    overlap: Overlap = field(default_factory=Overlap)
    opinions: Opinions = field(default_factory=Opinions)

    @classmethod
    def parse(cls, given: Mapping[str, object]) -> "ProjectSettings":
        """Settings as `as_json` writes them, or a person did; what is left out has its default.

        Raises:
            BadInputError: a value that cannot be; `where` names the field.

        """
        known = {"split", "budgets", "licence_required", "overlap", "opinions"}
        unknown = sorted(set(given) - known)
        if unknown:
            raise BadInputError(
                f"A project has no setting {str(unknown[0])[:40]!r}; it has {', '.join(sorted(known))}.",
                where=f"field {str(unknown[0])[:40]}",
            )
        made = cls()
        if "split" in given:
            made = replace(made, plan=Plan.parse(_object(given["split"], "split")))
        if "overlap" in given:
            made = replace(made, overlap=Overlap.parse(_object(given["overlap"], "overlap")))
        if "opinions" in given:
            made = replace(made, opinions=Opinions.parse(_object(given["opinions"], "opinions")))
        if "licence_required" in given:
            made = replace(made, licence_required=_flag(given["licence_required"], "licence_required"))
        if "budgets" in given:
            budgets = given["budgets"]
            if not isinstance(budgets, list):
                raise BadInputError("budgets is a list of budgets.", where="field budgets")
            made = replace(made, budgets=tuple(parse_budget(one) for one in budgets))
        return made

    def changed(self, changes: Mapping[str, object]) -> "ProjectSettings":
        """These settings with some of them changed; of an object in them only the keys that are named.

        `settings.changed({"split": {"seed": 7}, "licence_required": True})`

        Raises:
            BadInputError: a value that cannot be; `where` names the field.

        """
        stored = self.as_json()
        for key, value in changes.items():
            before = stored.get(key)
            both = isinstance(before, Mapping) and isinstance(value, Mapping)
            stored[key] = {**before, **value} if both else value  # type: ignore[dict-item]
        return ProjectSettings.parse(stored)

    def as_json(self) -> dict[str, object]:
        """`{"split": {"by": "issue", "seed": 0, …}, "budgets": […], "licence_required": false, "overlap": {…}}`.

        `opinions` only where several are asked for or gold is given: a release is made again to the byte.
        """
        several = {} if self.opinions == Opinions() else {"opinions": self.opinions.as_json()}
        return {
            "split": self.plan.as_json(),
            "budgets": [one.as_json() for one in self.budgets],
            "licence_required": self.licence_required,
            "overlap": self.overlap.as_json(),
            **several,
        }


def _object(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise BadInputError(f"{name} is an object.", where=f"field {name}")
    return value


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise BadInputError(f"{name} is true or false; it is {str(value)[:40]!r}.", where=f"field {name}")
    return value


def get_settings(session: Session, project_id: int) -> ProjectSettings:
    """The project's settings; those of a project that said nothing are the defaults."""
    return ProjectSettings.parse(session.get_one(ProjectRow, project_id).settings or {})


def get_opinions(session: Session, project_id: int) -> Opinions:
    """What the project says of several opinions; read once in a session, for a decision asks for it several times."""
    known: dict[int, Opinions] = session.info.setdefault(_OPINIONS, {})
    if project_id not in known:
        said = (session.connection().execute(_STORED, {"project": project_id}).scalar() or {}).get("opinions")
        known[project_id] = Opinions.parse(said) if said else Opinions()
    return known[project_id]


def describe(session: Session, project_id: int) -> dict[str, object]:
    """`{"project": "default", "settings": {…}, "files": [{"kind", "name", "sha256", "bytes"}, …]}`."""
    said = get_settings(session, project_id)
    return {
        "project": get_name(session, project_id),
        "settings": said.as_json() | {"opinions": said.opinions.as_json()},
        "files": [one.as_json() for one in list_files(session, project_id)],
    }


def get_name(session: Session, project_id: int) -> str:
    """The project's name."""
    return session.get_one(ProjectRow, project_id).name


def change_settings(session: Session, project_id: int, changes: Mapping[str, object]) -> ProjectSettings:
    """Change some of a project's settings, as `ProjectSettings.changed` says; releases that were made keep theirs.

    Raises:
        BadInputError: a value that cannot be, or a tokenizer that the project has no file of; `where` names the field.

    """
    # Of two who change something at one instant, neither takes back what the other said.
    lock_project(session, project_id)
    row = session.get_one(ProjectRow, project_id, populate_existing=True)
    made = ProjectSettings.parse(row.settings or {}).changed(changes)
    for budget in made.budgets:
        if budget.tokenizer:
            get_file(session, project_id, FileKind.TOKENIZER, budget.tokenizer)
    row.settings = made.as_json()
    session.add(row)
    session.info.pop(_OPINIONS, None)
    return made


# ------------------------------------------------------------------------------------------------ files


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """A file that the project gives: `ProjectFile("tokenizer", "qwen.json", "9f…", 7_031_645)`."""

    kind: FileKind
    name: str
    digest: str
    n_bytes: int

    def as_json(self) -> dict[str, object]:
        """`{"kind": "block_list", "name": "swe-bench.txt", "sha256": "9f…", "bytes": 4096}`."""
        return {"kind": self.kind.value, "name": self.name, "sha256": self.digest, "bytes": self.n_bytes}


def add_file(
    session: Session,
    project_id: int,
    reviewer_id: int,
    kind: FileKind,
    name: str,
    content: bytes,
    *,
    now: datetime,
) -> ProjectFile:
    """Keep a file for the project's releases; the same bytes once more change nothing.

    Raises:
        BadInputError: it is not what it is given as; the message names the line.
        TooLargeError: it is larger than 64 MiB.
        UnsupportedError: a tokenizer, and the extra `tokenizers` is not installed.

    """
    if len(content) > MOST_BYTES:
        raise TooLargeError(f"{name[:200]} has {len(content):,} bytes; {MOST_BYTES:,} is the most that is kept.")
    _check(kind, name, content)
    lock_project(session, project_id)
    digest = hashlib.sha256(content).digest()
    row = session.get(ProjectFileRow, (project_id, digest))
    if row is None:
        row = ProjectFileRow(
            project_id=project_id,
            digest=digest,
            kind=kind,
            name=name[:200],
            content=content,
            reviewer_id=reviewer_id,
            created_at=now,
        )
        session.add(row)
        session.flush()
    elif row.kind != kind:
        raise BadInputError(f"{name[:200]} is kept already, as {row.kind} {row.name}.", where="field kind")
    return ProjectFile(FileKind(row.kind), row.name, digest.hex(), len(content))


def _check(kind: FileKind, name: str, content: bytes) -> None:
    if kind is FileKind.TOKENIZER:
        tokens.counter_of(content)
    elif kind is FileKind.BLOCK_LIST:
        BlockList.parse(_text(name, content), name)
    else:
        next(benchmark_texts(_text(name, content), name), None)


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BadInputError(f"{name[:200]} is no UTF-8 text: byte {error.start:,} cannot be read.") from error


def list_files(session: Session, project_id: int) -> list[ProjectFile]:
    """The project's files, by kind and name."""
    rows = session.execute(
        select(ProjectFileRow.kind, ProjectFileRow.name, ProjectFileRow.digest, func.length(ProjectFileRow.content))  # type: ignore[call-overload]
        .where(col(ProjectFileRow.project_id) == project_id)
        .order_by(col(ProjectFileRow.kind), col(ProjectFileRow.name), col(ProjectFileRow.digest))
    )
    return [ProjectFile(FileKind(kind), name, bytes(digest).hex(), n) for kind, name, digest, n in rows]


def get_file(session: Session, project_id: int, kind: FileKind, named: str) -> ProjectFile:
    """The file of a kind by its name or the start of its digest.

    Raises:
        NotFoundError: the project has none, or several, of this name.

    """
    of_kind = [one for one in list_files(session, project_id) if one.kind is kind]
    found = [one for one in of_kind if one.digest == named] or [one for one in of_kind if one.name == named]
    if len(found) != 1:
        several = "several files" if found else "no file"
        raise NotFoundError(f"The project has {several} for {kind.value} called {named[:80]!r}.", where="field file")
    return found[0]


def remove_file(session: Session, project_id: int, digest: str) -> None:
    """Give up a file; releases that used it name its digest and stay as they are.

    Raises:
        NotFoundError: the project has no such file.
        BadInputError: a budget counts with it.

    """
    lock_project(session, project_id)
    found = next((one for one in list_files(session, project_id) if one.digest == digest), None)
    if found is None:
        raise NotFoundError("The project has no such file.")
    for budget in get_settings(session, project_id).budgets:
        if budget.tokenizer in {found.digest, found.name}:
            raise BadInputError(f"The budget {budget.name} counts with {found.name}; change it first.")
    session.delete(session.get_one(ProjectFileRow, (project_id, bytes.fromhex(digest))))


def _content(session: Session, project_id: int, file: ProjectFile) -> bytes:
    return bytes(session.get_one(ProjectFileRow, (project_id, bytes.fromhex(file.digest))).content)


def counters(session: Session, project_id: int, settings: ProjectSettings) -> dict[str, Count]:
    """Exact counters for the budgets that name a tokenizer, by that name.

    Raises:
        NotFoundError: the file is not there any more.
        UnsupportedError: the extra `tokenizers` is not installed.

    """
    named = {one.tokenizer for one in settings.budgets if one.tokenizer}
    return {
        name: tokens.counter_of(_content(session, project_id, get_file(session, project_id, FileKind.TOKENIZER, name)))
        for name in sorted(named)
    }


@dataclass(frozen=True, slots=True)
class Guard:
    """What must stay out of a release: names and texts, and the files that say so."""

    block_lists: tuple[BlockList, ...]
    benchmark: Benchmark | None
    files: tuple[ProjectFile, ...]

    @property
    def is_set(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self.block_lists) or self.benchmark is not None


def read_guard(
    session: Session,
    project_id: int,
    settings: ProjectSettings,
    *,
    benchmarks: bool = True,
    only: Collection[str] | None = None,
) -> Guard:
    """The project's block lists and benchmarks, read.

    Args:
        session: to read from.
        project_id: whose.
        settings: when a text says too much of a benchmark.
        benchmarks: False to name benchmarks and not read them, for they are large.
        only: digests of those that an earlier release looked for; None for all that there are.

    Raises:
        BadInputError: a file cannot be read any more, or the benchmark is too large.
        NotFoundError: one of `only` was given up.

    """
    files = tuple(one for one in list_files(session, project_id) if one.kind is not FileKind.TOKENIZER)
    if only is not None:
        files = tuple(one for one in files if one.digest in only)
        if gone := sorted(set(only) - {one.digest for one in files}):
            raise NotFoundError(
                f"The release kept out what a file with the digest {gone[0]} names. Add that file again."
            )
    block_lists: list[BlockList] = []
    benchmark: Benchmark | None = None
    for one in files:
        if one.kind is FileKind.BENCHMARK and not benchmarks:
            continue
        text = _text(one.name, _content(session, project_id, one))
        if one.kind is FileKind.BLOCK_LIST:
            block_lists.append(BlockList.parse(text, one.name))
            continue
        benchmark = benchmark or Benchmark(settings.overlap)
        for said in benchmark_texts(text, one.name):
            benchmark.learn(said)
    return Guard(tuple(block_lists), benchmark, files)
