"""From judged candidates to a folder of examples: what a preview counts and a release writes.

One snapshot, in the order of candidates, in memory that does not grow with them. The same state of the database gives
the same bytes: nothing in a folder depends on the time or the machine that made it.
"""

import hashlib
import json
import sqlite3
from array import array
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.resources import files

from sqlalchemy import exists, select, text
from sqlmodel import Session, col

from app import __version__, checks, gates, recipes, yields
from app.errors import BadInputError
from app.examples import Dataset, Example, HeldBack, Hold, Split
from app.exports.card import Lengths
from app.exports.folder import Folder, Written
from app.exports.jsonl import encode
from app.models import CandidateRow, DecisionRow, IssueGroupRow, LedgerRow, Status, Verdict
from app.projects import Guard, ProjectSettings
from app.queue import Filter, conditions
from app.recipes.prompt import Template
from app.splits import By, LeakReport, Leaks, Member, Placed, Plan, place
from app.tokens import Count
from app.yields import Case, Made, Terms

SCHEMA = 2
_EXPORTED = frozenset({"", Status.ACCEPTED, Status.EDITED, Status.REJECTED})
_GROUPS_KEPT = 4_096
_AFTER_ALL = 2**31 - 1  # as the number of a release that all others come before, and of a decision
_STATUS_OF = {Verdict.ACCEPT: Status.ACCEPTED, Verdict.EDIT: Status.EDITED, Verdict.REJECT: Status.REJECTED}

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What goes into a release, settled before the first candidate is read.

    Attributes:
        number: the release's; what the ledger learned from it and later ones does not count.
        name: its name.
        filter: which candidates; its status may be empty, `accepted`, `edited` or `rejected`.
        settings: of the project, as they were.
        prompts: the templates, as they were.
        decisions_to: the last decision that counts.
        rulings_to: the last word on an example that counts.
        datasets: what is made; a release has all.
    """

    number: int
    name: str
    filter: Filter
    settings: ProjectSettings
    prompts: Mapping[str, Template]
    decisions_to: int
    rulings_to: int
    datasets: frozenset[Dataset] = frozenset(recipes.DATASETS)

    def check(self) -> None:
        """Refuse what cannot be released.

        Raises:
            BadInputError: the filter asks for candidates that nobody judged.

        """
        if self.filter.status not in _EXPORTED:
            raise BadInputError(
                f"Only accepted, edited and rejected candidates are released, and the filter asks for "
                f"{self.filter.status} ones. Clear the status.",
                where="field status",
            )
        if sum(term.field == "status" for term in self.filter.terms()) > bool(self.filter.status):
            raise BadInputError(
                "A release takes the verdict as it was, so its filter says one status or none: status:accepted.",
                where="field q",
            )


@dataclass(slots=True)
class Counts:
    """What one dataset of a release holds, and what was held back from it.

    `held` counts rows, `held_by_gate` every gate that spoke: a row may have several.
    """

    splits: Counter[Split] = field(default_factory=Counter)
    held: int = 0
    held_by_gate: Counter[str] = field(default_factory=Counter)
    passed_by_gate: Counter[str] = field(default_factory=Counter)
    lengths: Lengths = field(default_factory=Lengths)

    @property
    def rows(self) -> int:
        """Rows in all splits."""
        return self.splits.total()

    def as_json(self, dataset: Dataset) -> dict[str, object]:
        """`{"role": "llm", …, "rows": 305, "splits": {"train": 244, …}, "held": 3, "held_by_gate": {…}, …}`."""
        return {
            "role": dataset.role,
            "task": dataset.task,
            "objective": dataset.objective,
            "columns": ["id", *dataset.columns],
            "rows": self.rows,
            "splits": {str(split): self.splits[split] for split in Split if self.splits[split]},
            "held": self.held,
            "held_by_gate": dict(sorted(self.held_by_gate.items())),
            "passed_by_gate": dict(sorted(self.passed_by_gate.items())),
            "tokens_estimated": self.lengths.as_json(),
        }


@dataclass(slots=True)
class Facts:
    """What was seen and made: candidates by verdict, counts by dataset, licences."""

    candidates: Counter[str] = field(default_factory=Counter)
    datasets: dict[Dataset, Counts] = field(default_factory=dict)
    licences: Counter[str] = field(default_factory=Counter)
    leaks: LeakReport = field(default_factory=lambda: LeakReport(()))

    def of(self, dataset: Dataset) -> Counts:
        """The counts of one dataset, made when they are asked for first."""
        return self.datasets.setdefault(dataset, Counts())

    @property
    def rows(self) -> int:
        """Rows of all datasets."""
        return sum(one.rows for one in self.datasets.values())

    @property
    def held_by_gate(self) -> Counter[str]:
        """Held-back rows by gate, over all datasets."""
        return sum((one.held_by_gate for one in self.datasets.values()), Counter())

    def listed(self) -> list[tuple[Dataset, Counts]]:
        """Every dataset with rows or held-back rows, in the order of the recipes."""
        return [(one, self.datasets[one]) for one in recipes.DATASETS if one in self.datasets]


@dataclass(frozen=True, slots=True)
class Settled:
    """One example with its place, or what holds it back.

    `made` is None where a recipe could make none; `split` is None for whatever is held back.
    """

    case: Case
    dataset: Dataset
    made: Made | None
    holds: tuple[Hold, ...]
    placed: Placed | None

    @property
    def split(self) -> Split | None:
        """Where it goes, or None where it is held back."""
        return None if self.holds or self.placed is None else self.placed.split


# ------------------------------------------------------------------------------------------------ reading


def newest_decision(session: Session, project_id: int, upto: int | None = None) -> DecisionRow | None:
    """The head of the audit chain, or of the chain as it was up to a decision: its digest covers all before it."""
    wanted = select(DecisionRow).where(col(DecisionRow.project_id) == project_id)
    if upto is not None:
        wanted = wanted.where(col(DecisionRow.id) <= upto)
    return session.execute(wanted.order_by(col(DecisionRow.id).desc()).limit(1)).scalar()


def list_ids(session: Session, project_id: int, wanted: Filter, most: int | None = None) -> "array[int]":
    """The candidates that a filter finds and anyone ever decided on, in order; eight bytes each."""
    number = col(CandidateRow.id)
    where = conditions(session, project_id, replace(wanted, status="", order=""))
    statement = select(number).where(*where, text("candidate.version > 1")).order_by(number).limit(most)
    found = session.connection().execute(statement, execution_options={"yield_per": 10_000})
    return array("q", (row[0] or 0 for row in found))


def settle(
    session: Session,
    project_id: int,
    asked: Asked,
    guard: Guard,
    counters: Mapping[str, Count],
    facts: Facts,
    *,
    most: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Settled]:
    """Everything that the asked for candidates yield, placed or held back, in the order of candidates.

    Args:
        session: one snapshot.
        project_id: whose.
        asked: what is made.
        guard: what must stay out.
        counters: exact token counters.
        facts: counted into, as the examples come.
        most: look at so many candidates only.
        progress: called with (done, total); it may raise to stop.

    """
    asked.check()
    ids = list_ids(session, project_id, asked.filter, most)
    terms = Terms(asked.prompts, asked.settings, counters, asked.datasets)
    if guard.benchmark is not None:
        for case in _cases(session, project_id, asked, ids, beside=False):
            guard.benchmark.count(*_texts(case), issue=case.issue)
    sieve = _Sieve(_Placer(session, project_id, asked.settings.plan, asked.number, asked.decisions_to), guard, facts)
    wants_strangers = any(one.role == "retriever" for one in asked.datasets)
    done = 0
    for start in range(0, len(ids), yields.BATCH):
        numbers = ids[start : start + yields.BATCH]
        cases = list(_cases(session, project_id, asked, numbers, beside=wants_strangers))
        placed = sieve.place(cases)
        for case in cases:
            facts.candidates[_STATUS_OF[Verdict(case.judged.verdict)]] += 1
            for one in yields.make(case, terms):
                yield sieve.settle(case, one, placed[case.issue])
        done += len(numbers)
        session.expunge_all()
        if progress is not None:
            progress(done, len(ids))
    facts.leaks = sieve.leaks.report()
    sieve.close()


def settle_one(
    session: Session, project_id: int, case: Case, terms: Terms, guard: Guard
) -> tuple[Placed, list[Settled]]:
    """Everything that one case yields, placed or held back as if it were alone in the next release, and its place.

    What only the other candidates of a release decide is not known here: duplicates of theirs, and a benchmark's words.

    Args:
        session: one snapshot.
        project_id: whose.
        case: from `yields.find_case`; one that is supposed is placed as if it were judged.
        terms: the project's.
        guard: its block lists; a benchmark here would count nothing.

    """
    sieve = _Sieve(_Placer(session, project_id, terms.settings.plan, _AFTER_ALL, _AFTER_ALL), guard, Facts())
    placed = sieve.place([case])[case.issue]
    return placed, [sieve.settle(case, one, placed) for one in yields.make(case, terms)]


def _cases(session: Session, project_id: int, asked: Asked, ids: Sequence[int], *, beside: bool) -> Iterator[Case]:
    found = yields.read_cases(
        session, project_id, ids, upto=asked.decisions_to, rulings_upto=asked.rulings_to, beside=beside
    )
    wanted = asked.filter.status
    return (one for one in found if not wanted or _STATUS_OF[Verdict(one.judged.verdict)] == wanted)


def _texts(case: Case) -> tuple[str, ...]:
    stands = case.judged.stands
    return (stands.issue, *stands.texts.values())


class _Scratch:
    """What must be remembered of every row, in a temporary file: memory stays flat."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        for statement in (
            "PRAGMA cache_size=-4096",
            "PRAGMA journal_mode=OFF",
            "PRAGMA synchronous=OFF",
            "CREATE TABLE seen (key BLOB PRIMARY KEY, name TEXT) WITHOUT ROWID",
            "CREATE TABLE stands (kind TEXT, key BLOB, split TEXT, PRIMARY KEY (kind, key, split)) WITHOUT ROWID",
            "BEGIN",
        ):
            self._db.execute(statement)

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    def find(self, key: bytes) -> str | None:
        """What was seen under this key, or None."""
        found = self._db.execute("SELECT name FROM seen WHERE key = ?", (key,)).fetchone()
        return None if found is None else str(found[0])

    def see(self, key: bytes, name: str) -> None:
        """Remember what stands under a key; the first one stays."""
        self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, name))

    def add(self, kind: str, key: bytes, split: Split) -> None:
        """Note that a key stands in a split; once more changes nothing."""
        self._db.execute("INSERT OR IGNORE INTO stands VALUES (?, ?, ?)", (kind, key, split.value))

    def crossing(self, kind: str) -> Iterator[tuple[bytes, tuple[Split, ...]]]:
        """The keys that stand in more than one split, by key."""
        wanted = (
            "SELECT key, group_concat(split) FROM stands WHERE kind = ? GROUP BY key HAVING count(*) > 1 ORDER BY key"
        )
        for key, splits in self._db.execute(wanted, (kind,)):
            yield bytes(key), tuple(Split(one) for one in sorted(splits.split(",")))


class _Sieve:
    """The gates that must know the other examples: splits, duplicates, what must stay out."""

    def __init__(self, placer: "_Placer", guard: Guard, facts: Facts) -> None:
        self._scratch = _Scratch()
        self.leaks = Leaks(self._scratch)
        self._placer = placer
        self._guard = guard
        self._facts = facts

    def close(self) -> None:
        self._scratch.close()

    def place(self, cases: Sequence[Case]) -> dict[bytes, Placed]:
        return self._placer.place(cases)

    def settle(self, case: Case, one: Made | HeldBack, placed: Placed) -> Settled:
        if isinstance(one, HeldBack):
            settled = Settled(case, one.dataset, None, (Hold(one.gate, one.message),), None)
        else:
            made = yields.hold(case, one, self._beyond(case, one, placed))
            settled = Settled(case, made.example.dataset, made, made.holds, placed)
        self._count(settled)
        return settled

    def _beyond(self, case: Case, made: Made, placed: Placed) -> Iterator[Hold]:
        if placed.split is None:
            yield Hold("split_conflict", placed.why)
        if (why := self._contaminated(case)) is not None:
            yield Hold("contaminated", why)
        if made.holds or placed.split is None:
            return  # whatever is held back anyhow does not keep others out
        example, number = made.example, str(case.judged.candidate_id)
        name = example.dataset.name.encode()
        same = _key(name, made.line.partition(b",")[2])
        label = str(example.values.get("label")).encode()
        near = None if case.cluster is None else _key(name, label, b"%d" % case.cluster)
        if (both := self._labelled_otherwise(example)) is not None:
            yield both
            return
        twin, alike = self._scratch.find(same), None if near is None else self._scratch.find(near)
        if twin is not None and example.dataset.objective != "classification":  # an observation may be made twice
            yield gates.duplicate_of(twin)
        elif alike is not None and alike != number:
            yield gates.near_duplicate_of(int(alike))
        else:
            self._scratch.see(same, example.id)
            if near is not None:
                self._scratch.see(near, number)

    def _labelled_otherwise(self, example: Example) -> Hold | None:
        """Another example says of the same answer to the same prompt what this one denies.

        White space apart: a label that hangs on it alone teaches no more than a pair that does.
        """
        label = example.values.get("label")
        if not isinstance(label, bool):
            return None
        said = (example.dataset.name, example.text("prompt"), " ".join(example.text("completion").split()))
        key = _key(*(text.encode(errors="surrogatepass") for text in said))
        self._scratch.see(key, f"{label} {example.id}")
        first, _, name = (self._scratch.find(key) or "").partition(" ")
        if first == str(label):
            return None
        why = f"The same completion, white space apart, stands with the other label under the same prompt: {name}."
        return Hold("label_both", why)

    def _contaminated(self, case: Case) -> str | None:
        if not self._guard.is_set:
            return None
        told = case.judged.candidate
        for listed in self._guard.block_lists:
            if why := listed.blocks(case.repository, told.issue_id, told.issue, told.extra):
                return why
        return None if self._guard.benchmark is None else self._guard.benchmark.flags(*_texts(case))

    def _count(self, one: Settled) -> None:
        counts = self._facts.of(one.dataset)
        for passed in one.made.passed if one.made else ():
            if not one.holds:
                counts.passed_by_gate[passed.gate] += 1
        if one.split is None:
            counts.held += 1
            counts.held_by_gate.update({hold.gate for hold in one.holds})
            return
        assert one.made is not None  # noqa: S101  (a split is a made example's)
        counts.splits[one.split] += 1
        counts.lengths.add(one.made.n_characters)
        self._facts.licences[one.case.licence or "not stated"] += 1
        files = one.case.judged.candidate.target_files
        shape = None if one.case.shape is None else one.case.shape.to_bytes(8, signed=True)
        self.leaks.add(one.split, one.case.issue, one.case.group, one.case.cluster, shape, files)


def _key(*parts: bytes) -> bytes:
    return hashlib.blake2b(b"\n".join(parts), digest_size=16).digest()


class _Placer:
    """Which split each issue goes to, a batch at a time; groups that several issues share are looked up whole."""

    def __init__(self, session: Session, project_id: int, plan: Plan, number: int, decisions_to: int) -> None:
        self._session = session
        self._project = project_id
        self._plan = plan
        self._number = number
        self._decisions_to = decisions_to
        self._known: OrderedDict[bytes, dict[bytes, Placed]] = OrderedDict()

    def place(self, cases: Sequence[Case]) -> dict[bytes, Placed]:
        """Issue key → where it goes, for every issue of the batch."""
        missing = {case.group for case in cases} - self._known.keys()
        for group, members in self._members(cases, missing).items():
            self._known[group] = place(members, self._plan)
        placed = {case.issue: self._known[case.group][case.issue] for case in cases}
        for group in {case.group for case in cases}:
            self._known.move_to_end(group)
        while len(self._known) > _GROUPS_KEPT:
            self._known.popitem(last=False)
        return placed

    def _members(self, cases: Sequence[Case], wanted: set[bytes]) -> dict[bytes, list[Member]]:
        merged = select(IssueGroupRow.issue, IssueGroupRow.group_key).where(  # type: ignore[call-overload]
            col(IssueGroupRow.project_id) == self._project, col(IssueGroupRow.group_key).in_(list(wanted))
        )
        group_of = {bytes(issue): bytes(group) for issue, group in self._session.execute(merged)}
        group_of |= {case.issue: case.group for case in cases if case.group in wanted}
        kept = self._kept(group_of)
        places = self._places(group_of, cases) if self._plan.by is not By.ISSUE else {}
        members: dict[bytes, list[Member]] = {}
        for issue in sorted(group_of):
            group = group_of[issue]
            for repository, at in sorted(places.get(issue, {("", None)}), key=str):
                members.setdefault(group, []).append(Member(issue, group, kept.get(issue), repository, at))
        return members

    def _kept(self, issues: Mapping[bytes, bytes]) -> dict[bytes, Split]:
        wanted = select(LedgerRow.issue, LedgerRow.split).where(  # type: ignore[call-overload]
            col(LedgerRow.project_id) == self._project,
            col(LedgerRow.since) <= self._number,
            col(LedgerRow.issue).in_(list(issues)),
        )
        return {bytes(issue): Split(split) for issue, split in self._session.execute(wanted)}

    def _places(
        self, issues: Mapping[bytes, bytes], cases: Sequence[Case]
    ) -> dict[bytes, set[tuple[str, datetime | None]]]:
        """By repository and by time it matters what all candidates of an issue say, not only those of this batch.

        Only those count that were decided by then, or a release could not be made again.
        """
        found: dict[bytes, set[tuple[str, datetime | None]]] = {}
        for case in cases:
            found.setdefault(case.issue, set()).add((case.repository, case.at))
        decided = exists().where(
            col(DecisionRow.candidate_id) == col(CandidateRow.id), col(DecisionRow.id) <= self._decisions_to
        )
        wanted = select(CandidateRow.id, CandidateRow.group_digest, CandidateRow.logged_at).where(  # type: ignore[call-overload]
            col(CandidateRow.project_id) == self._project,
            col(CandidateRow.group_digest).in_(list(issues)),
            text("candidate.version > 1"),
            decided,
            col(CandidateRow.status) != Status.JOINED,
            col(CandidateRow.id).not_in([case.judged.candidate_id for case in cases]),
        )
        others = [(number, bytes(issue), at) for number, issue, at in self._session.execute(wanted)]
        by_name = self._plan.by is By.REPOSITORY
        named = yields.find_repositories(self._session, self._project, (one[0] for one in others)) if by_name else {}
        for number, issue, at in others:
            found.setdefault(issue, set()).add((named.get(number, ""), at))
        return found


# ------------------------------------------------------------------------------------------------ writing


def build(
    session: Session,
    project_id: int,
    asked: Asked,
    guard: Guard,
    counters: Mapping[str, Count],
    folder: Folder,
    *,
    progress: Progress | None = None,
) -> Facts:
    """Write a release into a folder in the making: examples, lineage, what was held back, manifest, verifier.

    Args:
        session: one snapshot.
        project_id: whose.
        asked: what is made.
        guard: what must stay out.
        counters: exact token counters.
        folder: where to.
        progress: called with (done, total); it may raise to stop.

    """
    facts = Facts()
    held = folder.file("held_back.jsonl")
    for one in settle(session, project_id, asked, guard, counters, facts, progress=progress):
        if one.split is None:
            held.add(encode(held_json(one)))
            continue
        assert one.made is not None  # noqa: S101
        place_in = "/".join(one.dataset)
        folder.file(f"examples/{place_in}/{one.split}.jsonl").add(one.made.line + b"\n")
        folder.file(f"lineage/{place_in}/{one.split}.jsonl").add(encode(_lineage(one)))
    folder.add_text("leaks.json", _pretty(facts.leaks.as_json()))
    for template in _templates(asked):
        folder.add_text(_template_path(template), template.text)
    folder.add_text("verify.py", _verifier())
    folder.add_text("README.md", _readme(asked, facts))
    head = newest_decision(session, project_id, asked.decisions_to)
    folder.add_text("manifest.json", _pretty(manifest(asked, guard, facts, head, folder.close_files())))
    return facts


def held_json(one: Settled) -> dict[str, object]:
    """A held-back row as a release lists it: `{"dataset": "llm/…", "id": …, "candidate": 7, "gates": […]}`."""
    return {
        "dataset": one.dataset.name,
        "id": None if one.made is None else one.made.example.id,
        "candidate": one.case.judged.candidate_id,
        "gates": [{"gate": hold.gate, "message": hold.message} for hold in one.holds],
    }


def _lineage(one: Settled) -> dict[str, object]:
    """One row's way back to its log lines, its decision and its recipe."""
    assert one.made is not None  # noqa: S101
    assert one.placed is not None  # noqa: S101
    case, made, example = one.case, one.made, one.made.example
    told: dict[str, object] = {
        "id": example.id,
        "sha256": made.digest.hex(),
        "candidate": case.judged.candidate_id,
        "decision": case.decision_id,
        "verdict": case.judged.verdict,
        "recipe": example.recipe,
        "templates": list(example.templates),
        "answer": example.answer,
        "issue": case.issue.hex(),
        "group": case.group.hex(),
        "cluster": case.cluster,
        "dealt": one.placed.dealt,
        "origins": [
            {"source": way.source_name, "line": way.line, "offset": way.offset_bytes, "sha256": way.digest}
            for way in case.origins
        ],
        "licence": case.licence or "not stated",
    }
    if case.n_opinions > 1:
        told["opinions"] = case.n_opinions
    if example.evidence:
        told["evidence"] = example.evidence
    if made.passed:
        told["passed"] = [passed._asdict() for passed in made.passed]
    return told


def manifest(
    asked: Asked, guard: Guard, facts: Facts, head: DecisionRow | None, written: Sequence[Written]
) -> dict[str, object]:
    """What a release holds and what it was made from."""
    settings = asked.settings.as_json()
    return {
        "schema": SCHEMA,
        "program": f"patchsift {__version__}",
        "release": {"number": asked.number, "name": asked.name},
        "order": {
            "filter": asked.filter.query(),
            **asked.settings.plan.as_json(),
            "budgets": settings["budgets"],
            "licence_required": asked.settings.licence_required,
            "decontamination": _decontamination(asked, guard),
        },
        "decisions": {
            "last": asked.decisions_to or None,
            "sha256": None if head is None else bytes(head.digest).hex(),
            "as_of": None if head is None else head.decided_at.astimezone(UTC).isoformat(),
        },
        "rulings": {"last": asked.rulings_to},
        "checks": checks.CHECKS_VERSION,
        "recipes": dict(recipes.VERSIONS),
        "templates": [
            {
                "name": one.name,
                "version": one.version,
                "origin": one.origin,
                "label": one.label,
                "sha256": one.digest,
                "path": _template_path(one),
            }
            for one in _templates(asked)
        ],
        "candidates": {str(status): facts.candidates[status] for status in _STATUS_OF.values()},
        "datasets": [counts.as_json(dataset) for dataset, counts in facts.listed()],
        "held_by_gate": dict(sorted(facts.held_by_gate.items())),
        "licences": dict(sorted(facts.licences.items())),
        "leaks": facts.leaks.counts,
        "files": [
            {"path": one.path, "sha256": one.digest, "bytes": one.n_bytes}
            | ({"rows": one.n_rows} if one.path.endswith(".jsonl") else {})
            for one in written
        ],
    }


def _decontamination(asked: Asked, guard: Guard) -> dict[str, object] | None:
    if not guard.is_set:
        return None
    files_given = [{"kind": one.kind.value, "name": one.name, "sha256": one.digest} for one in guard.files]
    return {"overlap": asked.settings.overlap.as_json(), "files": files_given}


def _templates(asked: Asked) -> list[Template]:
    return [asked.prompts[name] for name in sorted(asked.prompts)]


def _template_path(template: Template) -> str:
    mark = "p" if template.origin == "project" else "v"
    return f"templates/{template.name}.{mark}{template.version}.txt"


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _verifier() -> str:
    """The verifier's own source: one file that needs nothing but Python, so that a release can be checked for years."""
    return files("app").joinpath("verifier.py").read_text(encoding="utf-8")


def _readme(asked: Asked, facts: Facts) -> str:
    named = f"Release {asked.number}" + (f": {asked.name}" if asked.name else "")
    rows = [
        f"| {dataset.name} | {', '.join(f'{counts.splits[s]:,} {s}' for s in Split if counts.splits[s]) or '-'} "
        f"| {counts.rows:,} | {counts.held:,} |"
        for dataset, counts in facts.listed()
    ]
    held = [f"| {gates.title_of(gate)} (`{gate}`) | {n:,} |" for gate, n in facts.held_by_gate.most_common()]
    return "\n".join([
        f"# {named}",
        "",
        "Examples from reviewed work of a coding agent. Each row of `examples/` has one of `lineage/` in the same",
        "place, which leads back to its log lines, its decision, its recipe and its template. `held_back.jsonl` lists",
        "what was left out and why; `leaks.json` what was found across splits. `python verify.py` checks all of it",
        "with nothing but Python; `sha256sum -c SHA256SUMS` checks the bytes.",
        "",
        "| dataset | splits | rows | held back |",
        "|---|---|---|---|",
        *rows,
        "",
        str(asked.settings.plan.rule),
        "",
        *(["| held back because | rows |", "|---|---|", *held, ""] if held else []),
    ])  # fmt: skip
