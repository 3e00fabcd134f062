"""What a recipe yields and what an export writes: the second noun of the pure ring."""

from dataclasses import dataclass
from enum import StrEnum


class Split(StrEnum):
    """Where an example goes; decided by its group's digest, so it never moves."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Provenance:
    """The way back from an exported row: to its log line, its decision and its recipe.

    `Provenance(7, "success_memory.jsonl", 12, 34567, "9f…", 31, "accept", "llm/1", "scaffold/1", "5c…", "script")`

    Attributes:
        candidate_id: the candidate judged.
        source_name: the file's name as it was given.
        line: line of the entry, from 1.
        offset_bytes: byte offset of that line in the (unpacked) file.
        entry_digest: SHA-256 hex of the raw line.
        decision_id: the decision that let the row in.
        verdict: `accept` or `edit`.
        recipe: name and version of the recipe.
        template: name and version of the prompt template.
        group: digest of the group that decides the split.
        answer: which text the completion is: `script`, `edited_script` or `edited_diff`.
        answer_from: the part of the evidence that the script was found in, where the entry has none; else empty.
    """

    candidate_id: int
    source_name: str
    line: int
    offset_bytes: int
    entry_digest: str
    decision_id: int
    verdict: str
    recipe: str
    template: str
    group: str
    answer: str
    answer_from: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    r"""One curated record of one role, task and objective.

    `Example("scaffold-9f…", "llm", "scaffold", "sft", "Issue: …", "import libcst as cst\n…", Split.TRAIN, provenance)`
    """

    id: str
    role: str
    task: str
    objective: str
    prompt: str
    completion: str
    split: Split
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A judged candidate that yields no example, and why.

    `HeldBack(7, "hash_only", "The log holds only a salted hash of the script.")`
    """

    candidate_id: int
    reason: str
    message: str
