"""What judged candidates yield: the decision that counts, what stands beside it, its examples, and what each gate says.

The review page asks this of one candidate, a preview of some, a release of all: the same function answers each, so the
text that a person is shown is the text that leaves.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

import pydantic_core
from sqlalchemy import ColumnElement, TextClause, bindparam, exists, select, text
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app import checks, decisions, evidence, gates, groups, recipes, rulings
from app.candidates import Candidate, Finding, Kind, Severity
from app.db import LARGEST_ID, is_id
from app.errors import NotFoundError
from app.evidence import Told
from app.examples import Dataset, Example, HeldBack, Hold, Origin
from app.formats import SUCCESS
from app.models import (
    MOVED,
    Agreement,
    CandidateRow,
    DecisionRow,
    EntryRow,
    FindingRow,
    FingerprintRow,
    RevisionRow,
    SourceRow,
    Status,
    Verdict,
)
from app.projects import ProjectSettings
from app.recipes import Judged, Rival, Stranger
from app.recipes.prompt import Prompts
from app.rulings import LEFT_OUT, Ruling
from app.splits import repository_of
from app.tokens import Count

BATCH = 250
_MOST_RIVALS = 8
_MOST_STRANGERS = 4
_STRANGERS_SEEN = 6
_POSITIVE = frozenset({Verdict.ACCEPT, Verdict.EDIT})
_JUDGING = frozenset({Verdict.ACCEPT, Verdict.EDIT, Verdict.REJECT})


def _moved() -> tuple[ColumnElement[bool] | TextClause, ...]:
    """Patches that were ever decided and are no part of another; the literal lets the partial indexes serve."""
    return (
        text(f"candidate.{MOVED}"),
        col(CandidateRow.kind) == Kind.PATCH,
        col(CandidateRow.status) != Status.JOINED,
    )


# Asked for every patch, so built once.
_BESIDE = (
    select(CandidateRow.id, CandidateRow.group_digest)  # type: ignore[call-overload]
    .where(
        col(CandidateRow.project_id) == bindparam("project"),
        col(CandidateRow.target) == bindparam("target"),
        *_moved(),
        # Of the few that are looked at none may be one that nobody had decided on yet: a release is made again.
        exists().where(col(DecisionRow.candidate_id) == col(CandidateRow.id), col(DecisionRow.id) <= bindparam("upto")),
    )
    .order_by(col(CandidateRow.id))
    .limit(_STRANGERS_SEEN)
)
_AFTER = _BESIDE.where(col(CandidateRow.id) > bindparam("number"))
_BEFORE = _BESIDE.where(col(CandidateRow.id) < bindparam("number"))


@dataclass(frozen=True, slots=True)
class Case:
    """A judged candidate with everything that decides what leaves and where to.

    Attributes:
        judged: what a recipe is given.
        decision_id: the decision that counts; 0 where none does, and the verdict is supposed.
        issue: key of its issue, 32 bytes.
        group: key of its group, the smallest issue key in it.
        cluster: number of its cluster of near-duplicates, or None.
        shape: what candidates share whose fingerprints are equal, or None where it has none yet.
        origins: the entries that it was put together from, its own first.
        licence: what its source says, or empty.
        repository: the name of the repository it comes from, as far as the source tells.
        at: when it was logged, aware UTC, or None.
        disagree: a sentence where reviewers disagree, else empty.
        n_opinions: how many people judged it, where several were asked; else 0.
        rulings: words of people on its examples, by example and gate.
    """

    judged: Judged
    decision_id: int
    issue: bytes
    group: bytes
    cluster: int | None
    shape: int | None
    origins: tuple[Origin, ...]
    licence: str
    repository: str
    at: datetime | None
    disagree: str
    n_opinions: int
    rulings: Mapping[tuple[str, str], Ruling]


class Passed(NamedTuple):
    """A gate that would hold an example back, and who let it pass: `Passed("secret", "A fixture.", "ann")`."""

    gate: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class Made:
    """An example as a release would hold it, what holds it back, and what was let pass.

    Attributes:
        example: the example.
        line: the line that it is in a release, without its line end.
        digest: SHA-256 of that line.
        holds: what holds it back; empty where it leaves.
        passed: what would, had nobody let it pass.
    """

    example: Example
    line: bytes
    digest: bytes
    holds: tuple[Hold, ...]
    passed: tuple[Passed, ...]

    @property
    def n_characters(self) -> int:
        """Of all its texts together."""
        return sum(len(text) for text in self.example.values.values() if isinstance(text, str))


@dataclass(frozen=True, slots=True)
class Terms:
    """What the project says of examples: templates, budgets, licences; and which datasets are wanted."""

    prompts: Prompts
    settings: ProjectSettings
    counters: Mapping[str, Count]
    datasets: frozenset[Dataset] = frozenset(recipes.DATASETS)


# ------------------------------------------------------------------------------------------------ examples of a case


def make(case: Case, terms: Terms) -> Iterator[Made | HeldBack]:
    """What a case yields, each with the word of every gate that looks at one example by itself."""
    settings = terms.settings
    given = gates.Given(
        licence=case.licence or None,
        licence_required=settings.licence_required,
        disagree=case.disagree,
        budgets=settings.budgets,
        counters=terms.counters,
        diff=case.judged.stands.diff or "",
        alike=checks.alike(case.judged.stands),
    )
    for one in recipes.make(case.judged, terms.prompts):
        if one.dataset not in terms.datasets:
            continue
        yield one if isinstance(one, HeldBack) else _gated(case, one, given)


def _gated(case: Case, example: Example, given: gates.Given) -> Made:
    line = _line(example)
    made = Made(example, line, hashlib.sha256(line).digest(), (), ())
    word = case.rulings.get((example.id, LEFT_OUT))
    left_out = [] if word is None else [gates.left_out_by(word.by, word.reason)]
    return hold(case, made, [*left_out, *gates.check(example, case.judged.findings, given=given)])


def hold(case: Case, made: Made, holds: Iterable[Hold]) -> Made:
    """The example with more gates heard: each holds it back, unless a person let it pass by name for these texts."""
    heard = list(holds)
    if not heard:
        return made
    holding, passed = list(made.holds), list(made.passed)
    for one in heard:
        word = case.rulings.get((made.example.id, one.gate))
        if word is not None and word.digest == made.digest and gates.GATES[one.gate].can_pass:
            passed.append(Passed(one.gate, word.reason, word.by))
        else:
            holding.append(one)
    return replace(made, holds=tuple(holding), passed=tuple(passed))


def _line(example: Example) -> bytes:
    r"""The example as a release holds it: `b'{"id":"scaffold-sft-9f…","prompt":"…","completion":"…"}'`."""
    row = {"id": example.id, **example.values}
    try:
        return pydantic_core.to_json(row)
    except ValueError:  # half a character, which a gate holds back
        return json.dumps(row, separators=(",", ":"), default=list).encode()


# ------------------------------------------------------------------------------------------------ judged candidates


def find_case(session: Session, project_id: int, candidate_id: int, *, upto: int | None = None) -> Case | None:
    """The case of one candidate as it stands; one that nobody decided on is supposed to be accepted.

    Args:
        session: to read from.
        project_id: its project.
        candidate_id: which.
        upto: as it stood after this decision, 0 before any; None for now.

    Returns:
        None for a candidate that is a part of another.

    Raises:
        NotFoundError: no such candidate in this project.

    """
    row = session.get(CandidateRow, candidate_id) if is_id(candidate_id) else None
    if row is None or row.project_id != project_id:
        raise NotFoundError(f"There is no candidate {candidate_id} here.")
    if row.status == Status.JOINED:
        return None
    return next(iter(_Batch(session, project_id, [candidate_id], upto, None, suppose=True).cases()), None)


def read_cases(
    session: Session,
    project_id: int,
    ids: Sequence[int],
    *,
    upto: int | None = None,
    rulings_upto: int | None = None,
    beside: bool = True,
) -> Iterator[Case]:
    """The cases of some candidates in the order given; those that nobody accepted, edited or rejected are passed over.

    Args:
        session: one snapshot.
        project_id: theirs.
        ids: candidates; memory grows with a few hundred of them at a time.
        upto: only decisions up to this one count, as an earlier release saw them.
        rulings_upto: the same of words on examples.
        beside: whether hard negatives are to be looked up, which costs most.

    """
    for start in range(0, len(ids), BATCH):
        batch = _Batch(session, project_id, ids[start : start + BATCH], upto, rulings_upto, beside=beside)
        yield from batch.cases()


def find_repositories(session: Session, project_id: int, ids: Iterable[int]) -> dict[int, str]:
    """The repository that each of some candidates comes from, as its case would name it; empty where nothing says."""
    rows = session.execute(
        select(CandidateRow).where(col(CandidateRow.project_id) == project_id, col(CandidateRow.id).in_(list(ids)))
    ).scalars()
    told = {row.id or 0: evidence.read_candidate(session, row) for row in rows}
    return {number: repository_of(one.source_name, one.said.extra) for number, one in told.items()}


class _Standing(NamedTuple):
    """The decision that counts, whether reviewers disagree, and how many of those who were asked judged."""

    decision: DecisionRow
    revision: tuple[str, str] | None
    disagree: str
    n_opinions: int
    is_open: bool

    def says(self, *verdicts: str) -> bool:
        """Whether it is one of these, and not one that people who were asked disagree about."""
        return not self.is_open and self.decision.verdict in verdicts


_Found = tuple[CandidateRow, EntryRow, str, str | None]


class _Batch:
    """Some candidates, read with a handful of statements together."""

    def __init__(
        self,
        session: Session,
        project_id: int,
        ids: Sequence[int],
        upto: int | None,
        rulings_upto: int | None,
        *,
        beside: bool = True,
        suppose: bool = False,
    ) -> None:
        self._session = session
        self._project = project_id
        self._upto = upto
        self._suppose = suppose
        self._ids = ids
        self._found = self._read(ids)
        self._standing = self._stand(ids)
        self._groups = groups.find_groups(session, project_id, (self._issue(n) for n in self._found))
        self._clusters = groups.find_clusters(session, list(self._found))
        self._shapes = _shapes(session, list(self._found))
        self._holds = _holds(session, ids)
        self._rulings = rulings.list_in_force(session, ids, upto=rulings_upto)
        self._rivals = self._find_rivals()
        self._strangers = self._find_strangers() if beside else {}

    def cases(self) -> Iterator[Case]:
        for number in self._ids:
            found, standing = self._found.get(number), self._standing.get(number)
            if found is None or found[0].status == Status.JOINED:
                continue
            if standing is None or standing.decision.verdict not in _JUDGING:
                if not self._suppose:
                    continue
                standing = None
            yield self._case(found, standing)

    def _case(self, found: _Found, standing: _Standing | None) -> Case:
        row, entry, source_name, licence = found
        number = row.id or 0
        told = self._tell(found)
        verdict = Verdict(standing.decision.verdict) if standing else Verdict.ACCEPT
        revision = standing.revision if standing else None
        rating = standing.decision.rating if standing and standing.decision.rating is not None else row.rating
        judged = Judged(
            told.said,
            number,
            bytes(row.digest).hex(),
            verdict.value,
            tuple(standing.decision.reasons) if standing else (),
            rating,
            revision,
            self._findings(row, told.said, revision),
            self._rivals.get(bytes(row.group_digest), {}).get(number, ()) if verdict in _POSITIVE else (),
            self._strangers.get(number, ()) if verdict in _POSITIVE else (),
        )
        issue = bytes(row.group_digest)
        return Case(
            judged,
            (standing.decision.id or 0) if standing else 0,
            issue,
            self._groups.get(issue, issue),
            self._clusters.get(number),
            self._shapes.get(number),
            _origins(told, entry, source_name),
            licence or "",
            repository_of(source_name, told.said.extra),
            row.logged_at,
            standing.disagree if standing else "",
            standing.n_opinions if standing else 0,
            self._rulings,
        )

    # -------------------------------------------------------------------------------------------- what is read

    def _read(self, ids: Iterable[int]) -> dict[int, _Found]:
        """Each candidate with its first entry, its source's name and licence."""
        wanted = (
            select(CandidateRow, EntryRow, SourceRow.name, SourceRow.licence)  # type: ignore[call-overload]
            .join(EntryRow, col(EntryRow.candidate_id) == col(CandidateRow.id))
            .join(SourceRow, col(SourceRow.id) == col(EntryRow.source_id))
            .where(col(CandidateRow.id).in_(list(ids)), col(CandidateRow.project_id) == self._project)
            .order_by(col(EntryRow.id).desc())
        )
        return {row.id: (row, entry, name, licence) for row, entry, name, licence in self._session.execute(wanted)}

    def _issue(self, number: int) -> bytes:
        return bytes(self._found[number][0].group_digest)

    def _tell(self, found: _Found) -> Told:
        row, entry, source_name, _ = found
        if row.n_parts or entry.format != SUCCESS:
            return evidence.read_candidate(self._session, row)
        said = replace(evidence.read_success(bytes(entry.raw)), rating=row.rating, logged_at=row.logged_at)
        return Told(said, entry, source_name, ())

    def _stand(self, ids: Sequence[int]) -> dict[int, _Standing]:
        """The newest verdict of each candidate that stands: on today's texts, and not taken back."""
        undo = aliased(DecisionRow)
        taken_back = exists().where(col(undo.undoes_id) == col(DecisionRow.id))
        wanted = (
            select(DecisionRow, RevisionRow.field, RevisionRow.text)  # type: ignore[call-overload]
            .join(CandidateRow, col(CandidateRow.id) == col(DecisionRow.candidate_id))
            .outerjoin(RevisionRow, col(RevisionRow.id) == col(DecisionRow.revision_id))
            .where(
                col(DecisionRow.candidate_id).in_(list(ids)),
                col(DecisionRow.verdict).not_in([Verdict.UNDO, Verdict.JOIN, Verdict.SPLIT]),
                col(DecisionRow.candidate_version) >= col(CandidateRow.judged_from),
            )
            .order_by(col(DecisionRow.id))
        )
        if self._upto is not None:
            taken_back = taken_back.where(col(undo.id) <= self._upto)
            wanted = wanted.where(col(DecisionRow.id) <= self._upto)
        by_candidate: dict[int, list[tuple[DecisionRow, str | None, str | None]]] = defaultdict(list)
        for decision, field, edited in self._session.execute(wanted.where(~taken_back)):
            by_candidate[decision.candidate_id].append((decision, field, edited))
        found = ((number, _standing(said)) for number, said in by_candidate.items())
        return {number: one for number, one in found if one is not None}

    def _findings(self, row: CandidateRow, said: Candidate, revision: tuple[str, str] | None) -> tuple[Finding, ...]:
        current = row.checks_version == checks.CHECKS_VERSION
        stored = self._holds.get(row.id or 0, ()) if current else checks.run(said)
        if revision is None:
            return tuple(stored)
        name, text = revision
        # Of the text before the edit only what harms a reader counts: it leaves as the worse side of a pair.
        before = [
            replace(one, place=f"logged_{one.place}")
            for one in stored
            if one.code in checks.TEXT_CODES and one.place.partition(":")[0] == name
        ]
        return (*checks.run(said.with_text(name, text)), *before)

    def _find_rivals(self) -> dict[bytes, dict[int, tuple[Rival, ...]]]:
        """Of each issue in the batch the patches that were rejected, for each candidate the others'."""
        issues = {self._issue(number) for number in self._found}
        rejected = exists().where(
            col(DecisionRow.candidate_id) == col(CandidateRow.id),
            col(DecisionRow.verdict) == Verdict.REJECT,
            col(DecisionRow.id) <= (LARGEST_ID if self._upto is None else self._upto),
        )
        wanted = (
            select(CandidateRow.id)  # type: ignore[call-overload]
            .where(
                col(CandidateRow.project_id) == self._project,
                col(CandidateRow.group_digest).in_(issues),
                *_moved(),
                rejected,
            )
            .order_by(col(CandidateRow.id))
            .limit(BATCH * _MOST_RIVALS)
        )
        ids = list(self._session.execute(wanted).scalars())
        if not ids:
            return {}
        standing = self._stand(ids)
        ids = [n for n in ids if n in standing and standing[n].says(Verdict.REJECT)]
        found = self._read(ids)
        holds = _holds(self._session, ids)
        by_issue: dict[bytes, list[Rival]] = defaultdict(list)
        for number in ids:
            row = found[number][0]
            reasons = tuple(standing[number].decision.reasons)
            said = self._tell(found[number]).said
            rival = Rival(said, number, bytes(row.digest).hex(), reasons, holds.get(number, ()))
            by_issue[bytes(row.group_digest)].append(rival)
        return {
            issue: {
                number: tuple(one for one in rivals if one.candidate_id != number)[:_MOST_RIVALS]
                for number in self._found
                if self._issue(number) == issue
            }
            for issue, rivals in by_issue.items()
        }

    def _find_strangers(self) -> dict[int, tuple[Stranger, ...]]:
        """Accepted patches of the same file and another group: the next ones by number, and then the first."""
        near = {
            number: self._near(number, row.target)
            for number, (row, *_) in self._found.items()
            if row.kind == Kind.PATCH and row.target
        }
        ids = sorted({other for others in near.values() for other, _ in others})
        if not ids:
            return {}
        standing = self._stand(ids)
        accepted = {n for n in ids if n in standing and standing[n].says(*_POSITIVE)}
        of = groups.find_groups(
            self._session, self._project, {issue for others in near.values() for _, issue in others}
        )
        chosen = {
            number: [
                other
                for other, issue in others
                if other in accepted
                and of.get(issue, issue) != self._groups.get(self._issue(number), self._issue(number))
            ][:_MOST_STRANGERS]
            for number, others in near.items()
        }
        found = self._read({other for others in chosen.values() for other in others})
        for number, findings in _holds(self._session, list(found)).items():
            if any(one.severity is Severity.HOLD and one.place.partition(":")[0] == "diff" for one in findings):
                del found[number]
        told = {n: Stranger(self._tell(one).said, n, bytes(one[0].digest).hex()) for n, one in found.items()}
        return {number: tuple(told[n] for n in others if n in told) for number, others in chosen.items()}

    def _near(self, number: int, target: str) -> list[tuple[int, bytes]]:
        """Candidates of the same file, those that follow first."""
        run = self._session.connection().execute
        upto = LARGEST_ID if self._upto is None else self._upto
        named = {"project": self._project, "target": target, "number": number, "upto": upto}
        rows = run(_AFTER, named).all()
        if len(rows) < _STRANGERS_SEEN:
            rows = [*rows, *run(_BEFORE, named).all()]
        return [(other, bytes(issue)) for other, issue in rows]


def _standing(said: Sequence[tuple[DecisionRow, str | None, str | None]]) -> _Standing | None:
    """The decision that counts, of those that stand; None while opinions are waited for.

    Where people who were asked disagree, it is the last of their verdicts, and the sentence says that they do.
    """
    derived = decisions.derive((one for one, _, _ in said), 0)
    counted, disagree = derived.standing, ""
    if derived.agreement is Agreement.NO:
        judging = [one for one in derived.opinions if one.verdict in _JUDGING]
        counted, disagree = (judging or derived.opinions)[-1], _told_apart(derived.opinions)
    elif derived.agreement is Agreement.NONE:
        last: dict[int, str] = {one.reviewer_id: one.verdict for one, _, _ in said}
        votes = {verdict in _POSITIVE for verdict in last.values() if verdict in _JUDGING}
        disagree = "" if len(votes) < 2 else "Reviewers disagree: some accept it, some reject it."  # noqa: PLR2004
    if counted is None:
        return None
    field, text = next((field, text) for one, field, text in said if one is counted)
    revision = None if field is None or text is None else (field, text)
    return _Standing(counted, revision, disagree, len(derived.opinions), derived.agreement is Agreement.NO)


def _told_apart(opinions: Sequence[DecisionRow]) -> str:
    said = Counter(one.verdict for one in opinions)
    if len(said) == 1:
        return "Reviewers disagree: each edited it otherwise, and nobody had the last word."
    listed = ", ".join(f"{n} say {verdict}" if n > 1 else f"one says {verdict}" for verdict, n in said.most_common())
    return f"Reviewers disagree: {listed}, and nobody had the last word."


def _shapes(session: Session, ids: Sequence[int]) -> dict[int, int]:
    wanted = select(FingerprintRow.candidate_id, FingerprintRow.shape_id)  # type: ignore[call-overload]
    return {row[0]: row[1] for row in session.execute(wanted.where(col(FingerprintRow.candidate_id).in_(ids)))}


def _holds(session: Session, ids: Iterable[int]) -> dict[int, tuple[Finding, ...]]:
    """The findings that hold an example back or speak against a diff, as the worker stored them."""
    wanted = (
        select(FindingRow)
        .where(col(FindingRow.candidate_id).in_(list(ids)), col(FindingRow.severity) != Severity.NOTE)
        .order_by(col(FindingRow.candidate_id), col(FindingRow.id))
    )
    found: dict[int, list[Finding]] = defaultdict(list)
    for one in session.execute(wanted).scalars():
        found[one.candidate_id].append(Finding(one.code, Severity(one.severity), one.place, one.message))
    return {number: tuple(findings) for number, findings in found.items()}


def _origins(told: Told, entry: EntryRow, source_name: str) -> tuple[Origin, ...]:
    places = [(source_name, entry)] + [(part.name, part.entry) for part in told.parts]
    return tuple(Origin(name, one.line, one.offset_bytes, bytes(one.digest).hex()) for name, one in places)
