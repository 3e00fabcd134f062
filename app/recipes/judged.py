"""What a recipe is given: a candidate together with the decision on it."""

from dataclasses import dataclass

from app.candidates import Candidate, Finding


@dataclass(frozen=True, slots=True)
class Judged:
    r"""A candidate and the standing decision on it.

    `Judged(candidate, 7, "edit", ("script", "import libcst\n"), 31, (), "5c…", "9f…", "log.jsonl", 12, 34567)`

    Attributes:
        candidate: what the log says; the texts are the log's own, not the reviewer's.
        candidate_id: the candidate's number.
        verdict: `accept` or `edit`.
        revision: (field, text) as the reviewer left it, field `script` or `diff`; None where nothing was edited.
        decision_id: the decision that counts.
        findings: of the candidate as it would leave: after an edit, of the edited text.
        group: SHA-256 hex of what keeps candidates in one split.
        entry_digest: SHA-256 hex of the log line.
        source_name: the file's name as it was given.
        line: line of the entry, from 1.
        offset_bytes: byte offset of that line.
    """

    candidate: Candidate
    candidate_id: int
    verdict: str
    revision: tuple[str, str] | None
    decision_id: int
    findings: tuple[Finding, ...]
    group: str
    entry_digest: str
    source_name: str
    line: int
    offset_bytes: int
