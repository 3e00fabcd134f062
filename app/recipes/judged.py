"""What a recipe is given: a candidate together with the decision on it, and what stands beside it."""

from dataclasses import dataclass
from functools import cached_property

from app.candidates import Candidate, Finding


@dataclass(frozen=True)
class Rival:
    """A rejected candidate of the same issue: `Rival(candidate, 9, "5c…", ("wrong_fix",), findings)`.

    Attributes:
        candidate: what the log says of it.
        candidate_id: its number.
        digest: SHA-256 hex of its content.
        reasons: why it was rejected.
        findings: what the checks noticed of it.
    """

    candidate: Candidate
    candidate_id: int
    digest: str
    reasons: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Stranger:
    """A decided candidate that changes the same file for another issue, and is no near-duplicate: a hard negative."""

    candidate: Candidate
    candidate_id: int
    digest: str


@dataclass(frozen=True)
class Judged:
    r"""A candidate and the standing decision on it.

    `Judged(candidate, 7, "5c…", "edit", revision=("script", "import libcst\n"))`

    Attributes:
        candidate: what the log says; the texts are the log's own, not the reviewer's.
        candidate_id: the candidate's number.
        digest: SHA-256 hex of the candidate's content; ids of examples are made of it.
        verdict: `accept`, `edit` or `reject`.
        reasons: why it was rejected.
        rating: 1 to 5 as the reviewer gave it with the decision, else the log's, or None.
        revision: (field, text) as the reviewer left it; None where nothing was edited.
        findings: of the candidate as it would leave: after an edit, of the edited text.
        rivals: rejected candidates of the same issue, in the order of their numbers.
        strangers: hard negatives, in the order of their numbers.
    """

    candidate: Candidate
    candidate_id: int
    digest: str
    verdict: str
    reasons: tuple[str, ...] = ()
    rating: int | None = None
    revision: tuple[str, str] | None = None
    findings: tuple[Finding, ...] = ()
    rivals: tuple[Rival, ...] = ()
    strangers: tuple[Stranger, ...] = ()

    @cached_property
    def stands(self) -> Candidate:
        """The candidate with the edit that counts."""
        return self.candidate if self.revision is None else self.candidate.with_text(*self.revision)

    def is_edited(self, name: str) -> bool:
        """Whether the reviewer edited this text: `judged.is_edited("script")`."""
        return self.revision is not None and self.revision[0] == name
