"""What leaves: judged patches as examples, written as a folder that a trainer loads, each row with its way back.

One read snapshot, in the order of candidates, in memory that does not grow with the rows. The same state of the
database gives the same bytes: nothing in a folder depends on the time or the machine that made it.
"""

import json
import os
import re
import shutil
import zipfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any, NamedTuple

import pydantic_core
from sqlalchemy import ColumnElement, select
from sqlmodel import Session, col

from app import __version__, checks, evidence, jobs
from app.candidates import Candidate, Finding, Kind, Severity
from app.db import Database
from app.decisions import count_by_status
from app.errors import BadInputError, NotFoundError
from app.examples import Example, HeldBack, Split
from app.exports import FORMATS, card, get_format
from app.exports.folder import Folder, Written, refuse_target
from app.exports.jsonl import encode
from app.formats import SUCCESS, success_memory
from app.models import CandidateRow, DecisionRow, JobRow, ProjectRow, SourceRow, Status, Verdict
from app.recipes import RECIPES, Judged, llm
from app.recipes.judged import Told
from app.recipes.split import RULE
from app.review import Filter, conditions
from app.settings import Settings

MANIFEST_SCHEMA = 1
JOB_KIND = "export"
_EXPORTED = (Status.ACCEPTED, Status.EDITED)
_BATCH = 250
_STREAMED = {"yield_per": 50}
_PREVIEWED = 2_000
_LARGEST_SEED = 2**63 - 1
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)

Progress = Callable[[int, int], None]


# ------------------------------------------------------------------------------------------------ what is asked for


@dataclass(frozen=True, slots=True)
class Order:
    """What to export, and how.

    `Order("llm", "scaffold", "sft", "prompt-completion", Filter(source="Unknown"), seed=7)`

    Attributes:
        role: the model that the examples are for.
        task: what it learns.
        objective: how it is trained.
        format: a format's name or alias.
        filter: which candidates; its status may be empty, `accepted` or `edited`.
        seed: deals the groups to the splits.
    """

    role: str = "llm"
    task: str = "scaffold"
    objective: str = "sft"
    format: str = "prompt-completion"
    filter: Filter = field(default_factory=Filter)
    seed: int = 0

    @classmethod
    def parse(cls, query: Mapping[str, object]) -> "Order":
        """The order that a form, a query string or a job's arguments say; what is absent has its default.

        Raises:
            BadInputError: no such recipe or format, a filter or seed that cannot be; `where` names the field.

        """
        wanted = query.get("filter")
        texts = {key: str(value) for key, value in (wanted if isinstance(wanted, Mapping) else query).items()}
        named = {name: str(query[name]) for name in ("role", "task", "objective", "format") if query.get(name)}
        made = cls(**named, filter=Filter.parse(texts), seed=_seed(query.get("seed", 0)))
        made.check()
        return made

    def check(self) -> None:
        """Refuse what cannot be exported.

        Raises:
            BadInputError: no such recipe or format, or a status that is never exported.

        """
        if (self.role, self.task, self.objective) not in RECIPES:
            known = "; ".join(" ".join(one) for one in RECIPES)
            asked = f"{self.role} {self.task} {self.objective}"[:80]
            raise BadInputError(f"Nothing is exported as {asked!r}; there is {known}.", where="field role")
        if get_format(self.format).objective != self.objective:
            raise BadInputError(f"{self.format} cannot hold {self.objective} examples.", where="field format")
        if self.filter.status not in {"", *_EXPORTED}:
            raise BadInputError(
                f"Only accepted and edited patches are exported, and the filter asks for {self.filter.status} ones. "
                "Clear the status.",
                where="field status",
            )

    @property
    def config(self) -> str:
        """The name that a loader asks for: `scaffold_sft_pc`."""
        return f"{self.task}_{get_format(self.format).name}"

    def as_json(self) -> dict[str, object]:
        """What `parse` reads back."""
        return {
            "role": self.role,
            "task": self.task,
            "objective": self.objective,
            "format": self.format,
            "filter": self.filter.query(),
            "seed": self.seed,
        }


def _seed(value: object) -> int:
    try:
        seed = int(str(value or 0))
    except ValueError as error:
        raise BadInputError(f"A seed is a whole number; it is {str(value)[:40]!r}.", where="field seed") from error
    if not -_LARGEST_SEED <= seed <= _LARGEST_SEED:
        raise BadInputError("A seed fits 64 bits.", where="field seed")
    return seed


# ------------------------------------------------------------------------------------------------ judged candidates


def _wanted(session: Session, project_id: int, order: Order) -> list[ColumnElement[bool]]:
    statuses = [order.filter.status] if order.filter.status else list(_EXPORTED)
    return [
        *conditions(session, project_id, replace(order.filter, status="", order="")),
        col(CandidateRow.status).in_(statuses),
        col(CandidateRow.kind) == Kind.PATCH,
    ]


def _ids(session: Session, project_id: int, order: Order, most: int | None = None) -> "array[int]":
    """The candidates to export, in order; eight bytes each, which is all that grows with an export."""
    number = col(CandidateRow.id)
    wanted = select(number).where(*_wanted(session, project_id, order)).order_by(number).limit(most)
    found = session.connection().execute(wanted, execution_options={"yield_per": 10_000})
    return array("q", (row[0] or 0 for row in found))


# Plain SQL, read as tuples: an export is measured in microseconds a row. The entry that counts is a candidate's first.
_ENTRIES = """
SELECT c.id, c.status, c.group_digest, c.checks_version, c.n_parts, e.format,
    e.digest, e.raw, e.line, e.offset_bytes, e.source_id
FROM candidate c JOIN entry e ON e.candidate_id = c.id
WHERE c.id IN ({ids}) ORDER BY c.id, e.id
"""
# A decision stands when it is a verdict on the texts of today and was not taken back; the newest that stands counts.
_DECISIONS = """
SELECT d.candidate_id, d.id, d.verdict, r.field, r.text
FROM decision d JOIN candidate c ON c.id = d.candidate_id LEFT JOIN revision r ON r.id = d.revision_id
WHERE d.candidate_id IN ({ids}) AND d.verdict NOT IN ('undo', 'join', 'split') AND d.candidate_version >= c.judged_from
    AND NOT EXISTS (SELECT 1 FROM decision u WHERE u.undoes_id = d.id)
ORDER BY d.candidate_id, d.id
"""
_HOLDS = """
SELECT candidate_id, code, place, message FROM finding
WHERE candidate_id IN ({ids}) AND severity = 'hold' ORDER BY candidate_id, id
"""
_VERDICTS = frozenset({Verdict.ACCEPT, Verdict.EDIT})


@dataclass(frozen=True, slots=True)
class _Source:
    name: str
    licence: str


def _sources(session: Session, project_id: int) -> dict[int, _Source]:
    wanted = select(SourceRow.id, SourceRow.name, SourceRow.licence).where(  # type: ignore[call-overload]
        col(SourceRow.project_id) == project_id
    )
    return {number: _Source(name, licence or "not stated") for number, name, licence in session.execute(wanted)}


def _judged(
    session: Session, ids: "array[int]", sources: Mapping[int, _Source]
) -> Iterator[tuple[str, _Source, Judged | HeldBack]]:
    """Each candidate with its standing decision, as (status, source, what a recipe takes); three statements a batch."""
    run = session.connection().exec_driver_sql
    for start in range(0, len(ids), _BATCH):
        listed = ",".join(map(str, ids[start : start + _BATCH]))
        decisions = {row[0]: row for row in run(_DECISIONS.format(ids=listed))}
        holds = _holds(run(_HOLDS.format(ids=listed)).all())
        last = 0
        for rows in run(_ENTRIES.format(ids=listed), execution_options=_STREAMED).partitions():
            for number, status, group, version, n_parts, format_, digest, raw, line, offset, source_id in rows:
                if number == last:
                    continue
                last = number
                source = sources[source_id]
                decision = decisions.get(number)
                if decision is None or decision[2] not in _VERDICTS:
                    yield status, source, HeldBack(number, "undecided", "No decision of a reviewer stands behind it.")
                    continue
                _, decision_id, verdict, changed, text = decision
                is_lone = not n_parts and format_ == SUCCESS
                if is_lone and changed is None and version == checks.CHECKS_VERSION:
                    revision, candidate, findings = None, _read(raw), holds.get(number, ())
                else:
                    said = evidence.read_success(raw) if is_lone else evidence.read_whole(session, number)
                    revision, candidate, findings = _check(said, changed, text)
                place = (group.hex(), digest.hex(), source.name, line, offset)
                found_in = "" if is_lone else said.found_in.get("script", "")
                yield (
                    status,
                    source,
                    Judged(candidate, number, verdict, revision, decision_id, findings, *place, found_in),
                )


def _holds(rows: Iterable[Sequence[Any]]) -> dict[int, tuple[Finding, ...]]:
    """The findings that hold an export back, as the worker stored them."""
    found: dict[int, tuple[Finding, ...]] = {}
    for number, code, place, message in rows:
        found[number] = (*found.get(number, ()), Finding(code, Severity.HOLD, place, message))
    return found


def _check(
    said: Candidate, changed: str | None, text: str | None
) -> tuple[tuple[str, str] | None, Candidate, tuple[Finding, ...]]:
    """The edit, what the log says, and what the checks say now of the patch as it would leave."""
    if changed is None or text is None:
        return None, said, checks.run(said)
    return (changed, text), said, checks.run(said.with_text(changed, text))


class _Lean(NamedTuple):
    """As much of a candidate as a recipe reads."""

    issue: str
    target_files: tuple[str, ...]
    operations: tuple[object, ...]
    script: str | None
    script_hash: str | None


_COMMON = (str, str, list, list)


def _read(raw: bytes) -> Told:
    """What a recipe reads of an entry: equal to `evidence.read_success` in that, and four times as fast.

    The keys of the agent's own writers are looked up here; everything else is left to the reader of the format.
    """
    try:
        entry = pydantic_core.from_json(raw)
    except ValueError:  # half a character in an escape, a byte order mark
        return evidence.read_success(raw)
    issue, script = entry.get("spec_issue_description"), entry.get("successful_script")
    files, operations = entry.get("spec_target_files"), entry.get("spec_operations_details")
    if operations is None:
        operations = entry.get("spec_operations_summary")
    if (issue.__class__, script.__class__, files.__class__, operations.__class__) != _COMMON or not issue or not script:
        return success_memory.read(entry)
    for path in files:
        if path.__class__ is not str:
            return success_memory.read(entry)
    return _Lean(issue, tuple(files), tuple(operations), script, None)


# ------------------------------------------------------------------------------------------------ counting


@dataclass(frozen=True, slots=True)
class Preview:
    """What an order would give: accepted + edited = rows + held.

    Attributes:
        accepted: accepted candidates looked at.
        edited: edited candidates looked at.
        rows: rows a split.
        held: reason → candidates.
        whole: False when only the first 2,000 candidates were looked at.
    """

    accepted: int
    edited: int
    rows: Mapping[Split, int]
    held: Mapping[str, int]
    whole: bool

    @property
    def n_rows(self) -> int:
        """Rows in all splits."""
        return sum(self.rows.values())


def preview(session: Session, project_id: int, order: Order, *, most: int = _PREVIEWED) -> Preview:
    """What an order would give, found by making it, from the first `most` candidates.

    Raises:
        BadInputError: the order cannot be carried out.

    """
    order.check()
    recipe = RECIPES[order.role, order.task, order.objective]
    ids = _ids(session, project_id, order, most + 1)
    statuses: Counter[str] = Counter()
    rows: Counter[Split] = Counter()
    held: Counter[str] = Counter()
    for status, _, judged in _judged(session, ids[:most], _sources(session, project_id)):
        statuses[status] += 1
        made = judged if isinstance(judged, HeldBack) else recipe(judged, order.seed)
        if isinstance(made, HeldBack):
            held[made.reason] += 1
        else:
            rows[made.split] += 1
    return Preview(statuses[Status.ACCEPTED], statuses[Status.EDITED], rows, held, whole=len(ids) <= most)


def list_exports(session: Session, project_id: int) -> list[dict[str, object]]:
    """Everything that can be exported: `[{"role": "llm", "task": "scaffold", …, "formats": […], "n_rows": 381}]`."""
    return [
        {
            "role": role,
            "task": task,
            "objective": objective,
            "formats": [one.alias for one in FORMATS if one.objective == objective],
            "n_rows": count_exportable(session, project_id, Order(role, task, objective)),
        }
        for role, task, objective in RECIPES
    ]


def count_exportable(session: Session, project_id: int, order: Order) -> int:
    """Rows that an order gives: exact up to 2,000 judged candidates; beyond, all of them at the share of the first."""
    seen = preview(session, project_id, order)
    if seen.whole:
        return seen.n_rows
    tally = count_by_status(session, project_id)
    return seen.n_rows * (tally[Status.ACCEPTED] + tally[Status.EDITED]) // (seen.accepted + seen.edited)


# ------------------------------------------------------------------------------------------------ building


@dataclass(frozen=True, slots=True)
class Summary:
    """What a build wrote: `Summary(Path("out"), 381, {"train": 305, …}, 300, 84, {"hash_only": 3})`."""

    folder: Path
    rows: int
    splits: Mapping[str, int]
    accepted: int
    edited: int
    held: Mapping[str, int]

    def as_json(self) -> dict[str, object]:
        """The shape of `patchsift export --json`."""
        return asdict(self) | {"folder": str(self.folder), "splits": dict(self.splits), "held": dict(self.held)}

    def sentence(self) -> str:
        """`"381 rows (305 train, 38 validation, 38 test) in out; 3 held back (3 hash_only)"`."""
        splits = ", ".join(f"{n:,} {split}" for split, n in self.splits.items())
        held = ", ".join(f"{n:,} {reason}" for reason, n in self.held.items())
        left_out = f"; {sum(self.held.values()):,} held back ({held})" if held else ""
        return f"{self.rows:,} rows ({splits}) in {self.folder}{left_out}"


def build(
    db: Database,
    settings: Settings,
    project_id: int,
    order: Order,
    out_dir: Path,
    *,
    progress: Progress | None = None,
    now: Callable[[], datetime] | None = None,
) -> Summary:
    """Write a dataset folder: rows a split, lineage, what was held back, card, manifest, checksums.

    It appears whole or not at all.

    Args:
        db: the database; it is read in one snapshot.
        settings: not used yet; every build takes them.
        project_id: whose candidates.
        order: what to write.
        out_dir: the folder, which must be absent or empty.
        progress: called with (done, total); it may raise to stop.
        now: not used: nothing in a folder depends on when it is made.

    Raises:
        BadInputError: the order cannot be carried out, nothing is to be exported, or `out_dir` is not empty.
        NotStoredError: the disk is full or read-only.

    """
    del settings, now
    order.check()
    refuse_target(out_dir)
    with db.read() as session, Folder(out_dir) as folder:
        head = _newest_decision(session, project_id)
        facts = _write_rows(session, project_id, order, folder, progress)
        if not facts.rows.total():
            raise BadInputError(_nothing(facts), code="nothing_to_export")
        folder.add_text("README.md", card.write(facts, get_format(order.format)))
        manifest = _manifest(order, facts, head, folder.close_files())
        folder.add_text("manifest.json", json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    splits = {str(split): facts.rows[split] for split in Split if facts.rows[split]}
    return Summary(out_dir, facts.rows.total(), splits, facts.accepted, facts.edited, dict(sorted(facts.held.items())))


class _Split:
    """One split's two files and its count."""

    def __init__(self, folder: Folder, config: str, split: Split) -> None:
        self.rows = folder.file(f"jsonl/{config}/{split}.jsonl")
        self.lineage = folder.file(f"lineage/{split}.jsonl")


def _write_rows(
    session: Session, project_id: int, order: Order, folder: Folder, progress: Progress | None
) -> card.Facts:
    form, recipe, seed = get_format(order.format), RECIPES[order.role, order.task, order.objective], order.seed
    facts = card.Facts(config=order.config, seed=seed, split_rule=RULE, recipe=f"{llm.NAME}/{llm.VERSION}")
    ids = _ids(session, project_id, order)
    held_file = folder.file("held_back.jsonl")
    splits: dict[str, _Split] = {}
    for done, (status, source, judged) in enumerate(_judged(session, ids, _sources(session, project_id))):
        if progress is not None and done % _BATCH == 0:
            progress(done, len(ids))
        made = judged if isinstance(judged, HeldBack) else recipe(judged, seed)
        if status == Status.EDITED:
            facts.edited += 1
        else:
            facts.accepted += 1
        facts.count(source.licence, made)
        if isinstance(made, HeldBack):
            held_file.add(encode({"candidate": made.candidate_id, "reason": made.reason, "message": made.message}))
            continue
        split = splits.get(made.split.value)
        if split is None:
            split = splits[made.split.value] = _Split(folder, order.config, made.split)
        row = form.row(made)
        form.check(row)
        split.rows.add(encode(row))
        split.lineage.add(encode(_lineage(made)))
    return facts


def _lineage(example: Example) -> dict[str, object]:
    """One row's way back: `{"id": "scaffold-9f…", "candidate": 7, "entry": "9f…", "source": "log.jsonl:12:34567"}`."""
    way = example.provenance
    return {
        "id": example.id,
        "candidate": way.candidate_id,
        "entry": way.entry_digest,
        "source": f"{way.source_name}:{way.line}:{way.offset_bytes}",
        "decision": way.decision_id,
        "verdict": way.verdict,
        "recipe": way.recipe,
        "template": way.template,
        "group": way.group,
        "answer": way.answer,
    } | ({"answer_from": way.answer_from} if way.answer_from else {})


def _newest_decision(session: Session, project_id: int) -> DecisionRow | None:
    """The head of the audit chain: its digest covers every decision before it."""
    return session.execute(
        select(DecisionRow)
        .where(col(DecisionRow.project_id) == project_id)
        .order_by(col(DecisionRow.id).desc())
        .limit(1)
    ).scalar()


def _nothing(facts: card.Facts) -> str:
    judged = facts.accepted + facts.edited
    if not judged:
        return "Nothing is accepted or edited yet under this filter, so there is nothing to export. Review some first."
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in sorted(facts.held.items()))
    return (
        f"{facts.accepted:,} accepted and {facts.edited:,} edited, all held back: {reasons}. No row is left to export."
    )


def _manifest(order: Order, facts: card.Facts, head: DecisionRow | None, files: list[Written]) -> dict[str, object]:
    """What the folder holds and what it was made from; accepted + edited = rows + held."""
    return {
        "schema": MANIFEST_SCHEMA,
        "program": f"patchsift {__version__}",
        "config": order.config,
        "role": order.role,
        "task": order.task,
        "objective": order.objective,
        "format": get_format(order.format).alias,
        "filter": order.filter.query(),
        "seed": order.seed,
        "split_rule": RULE,
        "as_of": None if head is None else head.decided_at.astimezone(UTC).isoformat(),
        "audit_head": None if head is None else {"decision": head.id, "digest": bytes(head.digest).hex()},
        "recipe": facts.recipe,
        "templates": sorted(facts.templates),
        "checks": checks.CHECKS_VERSION,
        "counts": {
            "accepted": facts.accepted,
            "edited": facts.edited,
            "rows": facts.rows.total(),
            "splits": {str(split): facts.rows[split] for split in Split},
            "held": facts.held.total(),
            "held_by_reason": dict(sorted(facts.held.items())),
        },
        "tokens_estimated": card.statistics(facts),
        "files": [
            {"path": one.path, "sha256": one.digest, "bytes": one.n_bytes}
            | ({"rows": one.n_rows} if one.path.endswith(".jsonl") else {})
            for one in files
        ],
    }


# ------------------------------------------------------------------------------------------------ as a job


def start(session: Session, project_id: int, order: Order, *, now: datetime) -> JobRow:
    """Put an export in line for the worker.

    Raises:
        BadInputError: the order cannot be carried out.

    """
    order.check()
    return jobs.enqueue(session, project_id, JOB_KIND, order.as_json(), now=now)


def run_job(
    db: Database, settings: Settings, job: JobRow, reporter: Progress, *, now: Callable[[], datetime]
) -> dict[str, object]:
    """Build what a job asks for, and pack it; an earlier attempt that died is thrown away first.

    Returns:
        `{"folder": "exports/7/patchsift-…", "zip": "exports/7/patchsift-….zip", "sha256": "9f…", "bytes": 83412,
        "rows": 381, "splits": {"train": 305, …}, "held": {"hash_only": 3}}`; paths are relative to the data folder.

    Raises:
        BadInputError: the order cannot be carried out, or no row is left.
        NotStoredError: the disk is full or read-only.

    """
    order = Order.parse(job.args)
    place = settings.data_dir / "exports" / str(job.id)
    shutil.rmtree(place, ignore_errors=True)
    name = f"patchsift-{_file_name(_project_name(db, job.project_id))}-{order.config}-{job.id}"
    try:
        summary = build(db, settings, job.project_id, order, place / name, progress=reporter, now=now)
        digest, n_bytes = _pack(place / name, place / f"{name}.zip")
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return {
        "folder": f"exports/{job.id}/{name}",
        "zip": f"exports/{job.id}/{name}.zip",
        "sha256": digest,
        "bytes": n_bytes,
        "rows": summary.rows,
        "splits": dict(summary.splits),
        "held": dict(summary.held),
    }


def _project_name(db: Database, project_id: int) -> str:
    with db.read() as session:
        return session.get_one(ProjectRow, project_id).name


def _file_name(name: str) -> str:
    """A name that is safe as part of a file's name anywhere: `"Über uns/../x"` → `"ber-uns-x"`."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()[:60] or "project"


def _pack(folder: Path, target: Path) -> tuple[str, int]:
    """Pack a folder without compression, which differs between zlib versions; the same folder gives the same bytes."""
    part = target.with_name(f".tmp-{target.name}")
    with zipfile.ZipFile(part, "x", zipfile.ZIP_STORED) as packed:
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            entry = zipfile.ZipInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}", _ZIP_EPOCH)
            entry.external_attr = 0o644 << 16
            entry.file_size = path.stat().st_size
            with path.open("rb") as source, packed.open(entry, "w") as packing:
                shutil.copyfileobj(source, packing, 1 << 20)
    with part.open("rb+") as written:
        digest = file_digest(written, "sha256").hexdigest()
        os.fsync(written.fileno())
    part.replace(target)
    return digest, target.stat().st_size


def find_download(session: Session, settings: Settings, project_id: int, job_id: int) -> Path:
    """The zip of a finished export.

    Raises:
        NotFoundError: no such export in this project, or it is not finished, or its file was removed.

    """
    job = jobs.get_job(session, project_id, job_id)
    packed = (job.result or {}).get("zip")
    if job.kind != JOB_KIND or not packed:
        raise NotFoundError(f"Job {job_id} has no file to download.")
    path = settings.data_dir / str(packed)
    if not path.is_file():
        raise NotFoundError(
            f"The file of export {job_id} was removed. Export again; the same state gives the same file."
        )
    return path
