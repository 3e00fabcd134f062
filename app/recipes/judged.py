"""What a recipe is given: a candidate together with the decision on it."""

from typing import NamedTuple, Protocol

from app.candidates import Finding


class Told(Protocol):
    """What a recipe reads of a candidate; `Candidate` is one, and so is whatever holds no more than this."""

    @property
    def issue(self) -> str:
        """The issue text; empty when the log has none."""

    @property
    def target_files(self) -> tuple[str, ...]:
        """Paths that the spec names."""

    @property
    def operations(self) -> tuple[object, ...]:
        """Open dicts, or bare names."""

    @property
    def script(self) -> str | None:
        """The whole script, or None."""

    @property
    def script_hash(self) -> str | None:
        """The agent's salted hash, or None."""


class Judged(NamedTuple):
    r"""A candidate and the standing decision on it. A tuple, because millions are made in one export.

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
        answer_from: the entry that the script was found in, where the candidate's own has none:
            `run patch_history/run_1.json, joined with low confidence`.
    """

    candidate: Told
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
    answer_from: str = ""
