"""What a reader of agent logs says, and what a check and a recipe see: the first noun of the pure ring."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What a reviewer judges."""

    PATCH = "patch"
    SPEC = "spec"
    STYLE_REFINE = "style_refine"
    STYLE_UNIFY = "style_unify"


class Severity(StrEnum):
    """How much a finding matters: `HOLD` keeps an example out of an export until a curator lets it pass."""

    NOTE = "note"
    WARNING = "warning"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a check noticed.

    `Finding("diff_cut", Severity.HOLD, "diff:41", "The log cut this diff after 1,000 characters.")`

    Attributes:
        code: lower case with underscores, as in filters and URLs (`finding=diff_cut`).
        severity: what it means for an export.
        place: field, and line counted from 1 where one is known: `diff`, `diff:41`, `script:7`, `issue`.
        message: a sentence for the reviewer.
    """

    code: str
    severity: Severity
    place: str
    message: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One change as the log tells it; every text exactly as it was decoded from the entry.

    Attributes:
        kind: what is judged.
        generation: which writer's keys the entry carries: `G1` ... `G6`, `guide`, or `other`.
        external_id: the log's own id for the entry, if it has one.
        issue_id: the tracker's id, nearly always None.
        issue: the issue text, many lines; empty when the log has none.
        target_files: paths that the spec names.
        operations: the spec's operations: open dicts (G3 and later) or bare names (G1, G2).
        diff: a unified diff, a diff cut by the log, a sentence instead of a diff, or None.
        diff_is_snippet: True where the writer cuts diffs at 1,000 characters (G1).
        script: the whole LibCST script, or None.
        script_hash: the agent's salted hash (matches nothing), or None.
        patch_source: `LLMCore_polish_iteration_1`, `Unknown`, or anything.
        predicted_core: what the agent's predictor said, or None.
        rating: 1 to 5 from the agent's own web form, or None.
        logged_at: aware UTC, or None where the log's timestamp cannot be read.
        extra: keys that no generation has, kept as they are.
    """

    kind: Kind
    generation: str
    external_id: str | None = None
    issue_id: str | None = None
    issue: str = ""
    target_files: tuple[str, ...] = ()
    operations: tuple[object, ...] = ()
    diff: str | None = None
    diff_is_snippet: bool = False
    script: str | None = None
    script_hash: str | None = None
    patch_source: str = "Unknown"
    predicted_core: str | None = None
    rating: int | None = None
    logged_at: datetime | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
