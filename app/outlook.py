"""What one candidate would put into the next release: its examples, their split, what holds them back, what was said.

The same functions make these as make a release, so the text that a person looks at is the text that leaves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy import select
from sqlmodel import Session, col

from app import decisions, freeze, gold, groups, projects, prompting, queue, releases, rulings, tokens, yields
from app.errors import BadInputError, ConflictError, NotFoundError
from app.examples import Dataset, Hold
from app.gates import GATES
from app.models import CandidateRow, ReleasedRow, ReleaseRow
from app.projects import FileKind
from app.rulings import LEFT_OUT, Ruling
from app.splits import Placed
from app.tokens import Measured
from app.yields import Case, Made, Terms

_FIRST_DECIDED = 2
# What only a release can hear, and a person may let pass beforehand.
_HEARD_LATER = frozenset({"near_duplicate", "exact_duplicate", "contaminated"})


@dataclass(frozen=True, slots=True)
class Yielded:
    """One example as it would leave, or not.

    Attributes:
        made: the example, its line in a release, what holds it back.
        measured: against each of the project's models of its role.
        words: what people said of it and is in force, by gate; also of other texts than today's.
    """

    made: Made
    measured: list[Measured]
    words: Mapping[str, Ruling]

    @property
    def left_out(self) -> Ruling | None:
        """Who left it out, or None."""
        return self.words.get(LEFT_OUT)

    @property
    def passed(self) -> list[Ruling]:
        """The gates that somebody let these very texts pass."""
        return [one for one in self.words.values() if one.gate != LEFT_OUT and one.digest == self.made.digest]

    @property
    def outdated(self) -> list[Ruling]:
        """Words that were said of other texts, and do not count any more."""
        return [one for one in self.words.values() if one.gate != LEFT_OUT and one.digest != self.made.digest]

    @property
    def leaves(self) -> bool:
        """Whether nothing holds it back."""
        return not self.made.holds


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a candidate would put into the next release.

    Attributes:
        case: the candidate with its verdict; supposed to be accepted where nobody decided.
        placed: the split of all its examples, and why.
        examples: its examples in the order of the recipes.
        missing: what it cannot give, and why.
        near: candidates that are nearly the same change, itself left out.
        has_benchmarks: whether a release would also compare it with benchmarks.
        releases: the numbers of those that hold examples of it.
    """

    case: Case
    placed: Placed
    examples: list[Yielded]
    missing: list[tuple[Dataset, Hold]]
    near: list[int]
    has_benchmarks: bool
    releases: list[int]

    @property
    def is_supposed(self) -> bool:
        """Whether nobody accepted, edited or rejected it, so that this is what it would yield if it were accepted."""
        return not self.case.decision_id

    def find(self, example_id: str) -> Yielded | None:
        """The example of this id, or None."""
        return next((one for one in self.examples if one.made.example.id == example_id), None)


def look(session: Session, project_id: int, candidate_id: int) -> Outlook | None:
    """What a candidate would put into the next release, were it frozen now; None for a part of another candidate.

    Raises:
        NotFoundError: no such candidate, or the file of a tokenizer is gone.
        UnsupportedError: a budget counts with a tokenizer, and the extra `tokenizers` is not installed.

    """
    # Of gold that is to be judged unknowingly, what it would yield if it were accepted, as of all that waits.
    is_hidden = candidate_id in gold.list_hidden(session, project_id, queue.who_asks(session))
    case = yields.find_case(session, project_id, candidate_id, upto=0 if is_hidden else None)
    if case is None:
        return None
    settings = projects.get_settings(session, project_id)
    exact = projects.counters(session, project_id, settings)
    # The examples of a candidate share their texts, and the gates have counted them already.
    counters = {name: lru_cache(256)(count) for name, count in exact.items()}
    guard = projects.read_guard(session, project_id, settings, benchmarks=False)
    terms = Terms(prompting.get_prompts(session, project_id), settings, counters)
    placed, settled = freeze.settle_one(session, project_id, case, terms, guard)
    return Outlook(
        case,
        placed,
        [
            Yielded(one.made, tokens.measure(one.made.example, settings.budgets, counters), _words(case, one.made))
            for one in settled
            if one.made is not None
        ],
        [(one.dataset, hold) for one in settled if one.made is None for hold in one.holds],
        [one for one in groups.list_cluster(session, candidate_id) if one != candidate_id],
        any(file.kind is FileKind.BENCHMARK for file in guard.files),
        [] if is_hidden else releases.list_holding(session, candidate_id),
    )


def _words(case: Case, made: Made) -> dict[str, Ruling]:
    return {gate: word for (example, gate), word in case.rulings.items() if example == made.example.id}


# ------------------------------------------------------------------------------------------------ words of people


def rule(
    session: Session,
    project_id: int,
    reviewer_id: int,
    candidate_id: int,
    example_id: str,
    gate: str,
    *,
    in_force: bool,
    digest: str,
    reason: str,
    now: datetime,
) -> None:
    """Leave an example out, or let it pass a gate by name and reason; or take such a word back.

    Args:
        session: to write with.
        project_id: whose.
        reviewer_id: who says so.
        candidate_id: whose example.
        example_id: which.
        gate: what it may pass, or `left_out`.
        in_force: False takes the word back.
        digest: hex, of the texts that the person saw.
        reason: why; a gate is not passed without one.
        now: when.

    Raises:
        NotFoundError: no such candidate, or it yields no such example.
        ConflictError: the texts are others than the person saw, or the word is in force, or is not, already.
        BadInputError: there is no such gate, or nobody may let it pass, or there is no reason.

    """
    outlook = look(session, project_id, candidate_id)
    found = None if outlook is None else outlook.find(example_id)
    if found is None:
        raise NotFoundError(f"Candidate {candidate_id} yields no example {example_id[:80]!r}.")
    if found.made.digest.hex() != digest:
        raise ConflictError("The texts of this example have changed since you saw them. Nothing was stored.")
    said = found.words.get(gate)
    if in_force:
        _check_gate(found, gate)
    # A word of other texts is taken back as what it was said of.
    of = said.digest if said is not None and not in_force else found.made.digest
    rulings.add(
        session,
        project_id,
        reviewer_id,
        candidate_id,
        example_id,
        gate,
        in_force=in_force,
        digest=of,
        reason=reason,
        now=now,
    )


def _check_gate(found: Yielded, gate: str) -> None:
    if gate == LEFT_OUT:
        return
    if gate not in GATES:
        raise BadInputError(f"There is no gate {gate[:40]!r}.", where="field gate")
    if not GATES[gate].can_pass:
        raise BadInputError(f"Nobody can let this pass: {GATES[gate].title}.", where="field gate")
    heard = {one.gate for one in found.made.holds} | {one.gate for one in found.passed} | _HEARD_LATER
    if gate not in heard:
        raise ConflictError(f"This example is not held back by “{GATES[gate].title}” any more.")


# ------------------------------------------------------------------------------------------------ recall


def list_touched(session: Session, row: CandidateRow) -> list[int]:
    """The releases that hold a candidate whose decision was just changed or taken back; at once none after its first.

    The first decision makes the second version of a candidate, and no release held it before.
    """
    return releases.list_holding(session, row.id or 0) if row.version > _FIRST_DECIDED else []


def list_recalled(session: Session, row: CandidateRow) -> list[int]:
    """Of these the releases that hold it otherwise than it is decided now: who trains from them is to be told."""
    if not list_touched(session, row):
        return []
    history = [one for one, _, _ in decisions.list_history(session, row.id or 0)]
    standing = decisions.find_standing(history, row.judged_from)
    wanted = (
        select(ReleaseRow.number)  # type: ignore[call-overload]
        .join(ReleasedRow, col(ReleasedRow.release_id) == col(ReleaseRow.id))
        .where(
            col(ReleasedRow.candidate_id) == row.id,
            col(ReleasedRow.decision_id) != (0 if standing is None else standing.id),
            col(ReleaseRow.state).in_(releases.SHOWN),
        )
        .order_by(col(ReleaseRow.number))
    )
    return list(session.execute(wanted).scalars())
