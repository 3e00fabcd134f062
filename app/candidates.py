"""What a reader of agent logs says, and what a check and a recipe see: the first noun of the pure ring."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

LOW = ", joined with low confidence"
"""How the name of a part ends in `Candidate.found_in` that little speaks for."""


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


FINDING_CODES = (
    "diff_cut", "no_diff", "not_a_diff", "diff_malformed", "files_outside_spec", "hash_only", "no_script",
    "never_validated", "run_cut_short", "no_run", "script_unsure", "post_image_differs",
    "script_unparsable", "script_too_large", "no_codemod", "several_codemods", "bidi", "hidden", "control", "nul",
    "lone_surrogate", "injection", "secret",
    "test_removed", "test_skipped", "test_weakened", "bare_except", "exception_swallowed", "check_silenced",
    "debug_left", "runs_code", "opens_network", "placeholder", "special_case", "format_only", "docs_only",
    "spec_not_yaml", "spec_cut", "spec_not_plain", "spec_field", "spec_operation", "spec_files_missing",
    "spec_duplicate_key", "refined_not_pairs", "refined_cut", "refined_field", "unified_not_json",
    "unified_cut", "unified_field", "unified_disagrees",
)  # fmt: skip
"""What the checks of this version may notice; a store may hold others, of earlier ones."""


class Validity(StrEnum):
    """What the agent's checks said of an attempt. Three states: what is pending is neither valid nor invalid."""

    VALID = "valid"
    INVALID = "invalid"
    PENDING = "pending"


class Stage(StrEnum):
    """Which step of the agent made an attempt."""

    SCAFFOLD = "scaffold"
    EXPAND = "expand"
    HEURISTIC = "heuristic"
    REPAIR = "repair"
    POLISH = "polish"
    UNKNOWN = "unknown"


class Direction(StrEnum):
    """Which way a style score counts. `HIGHER`: more is better; `LOWER`: it is a penalty; `UNKNOWN`: nobody said."""

    HIGHER = "higher"
    LOWER = "lower"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a traceback: `Frame("/srv/agent/tool.py", 12, "leave_Name", "return re.sub(...)", None)`.

    Attributes:
        file: as the traceback names it; `<string>` for the script itself.
        line: from 1, in that file.
        function: the name after `in`, or empty.
        code: the source line that the traceback quotes, or empty.
        script_line: the line of the attempt's script that it speaks of, or None.
    """

    file: str
    line: int
    function: str = ""
    code: str = ""
    script_line: int | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """An attempt's error text, recognised.

    Attributes:
        text: exactly as logged.
        kind: lower case with underscores: `syntax`, `no_codemod`, `execution`, `transformation`, `ruff`, `pyright`,
            `black`, `pytest`, `duplicate`, `pending`, `other`, ...
        label: the same in words, for people: `The script does not parse`.
        exception: the exception's class where the text names one: `NameError`.
        frames: outermost first; empty where the text holds none.
        script_lines: lines of the script that the text speaks of, frames included, from 1, ascending.
    """

    text: str
    kind: str
    label: str
    exception: str | None = None
    frames: tuple[Frame, ...] = ()
    script_lines: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One rung of a patch candidate's ladder.

    Attributes:
        script: the whole script that was tried, or None where the agent recorded none.
        stage: which step made it, as far as the history tells.
        validity: what the checks said.
        score: style score as logged, or None where none was given or it is no finite number.
        placeholder: why the score is none of its own, or empty for a real one: `copied` (a heuristic fix carries its
            predecessor's), `forced` (0.0 set by the agent for a duplicate or an unapplied polish).
        trace: the error text, or None.
        n_recorded: how often it stands in a row: 2 for the writers that recorded each attempt twice.
        label: what the log calls the step, where it names one.
    """

    script: str | None
    stage: Stage
    validity: Validity
    score: float | None = None
    placeholder: str = ""
    trace: Trace | None = None
    n_recorded: int = 1
    label: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One run's history of attempts.

    Attributes:
        form: `tuples`, `objects`, `wrapped` or `capture`.
        attempts: in order; doubled ones once.
        run_id: the log's own, or None.
        outcome: as logged (`success`, `PhaseFailure`, ...), or None.
        phase: the phase's open dict, empty where not logged.
        direction: which way the scores count: guessed from the run itself.
        direction_why: the sentence that says what the guess rests on.
        cut_short: True where the history ends without a valid attempt and without an outcome that explains it, or
            with an error of the loop itself.
        prompts: prompt texts by stage, where a capture recorded them.
        error: what ended the run from outside, an exception's whole text, or empty.
    """

    form: str
    attempts: tuple[Attempt, ...]
    run_id: str | None = None
    outcome: str | None = None
    phase: Mapping[str, object] = field(default_factory=dict)
    direction: Direction = Direction.UNKNOWN
    direction_why: str = ""
    cut_short: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    error: str = ""

    @property
    def final(self) -> Attempt | None:
        """The last valid attempt that has a script, or None."""
        return next((one for one in reversed(self.attempts) if one.script and one.validity is Validity.VALID), None)


@dataclass(frozen=True, slots=True)
class PostImage:
    """One patched file of a patch set: path below the project, and its text or None where it is no UTF-8."""

    path: str
    text: str | None


@dataclass(frozen=True, slots=True)
class PatchSet:
    """One folder below `.autopatches`.

    Attributes:
        name: the branch name that the agent gave it.
        generation: `CBa`, `CBb`, `CBc` or `other`.
        title: the commit title, or empty.
        validator_summary: what the agent kept of its checks, or empty.
        files: the patched files, sorted by path.
        changelog: `CHANGELOG_PATCH.md`, or None where it is missing.
        diff: the changelog's diff where it is reliable (CBa, CBb), else None.
        loose_diff: the changelog's diff as it stands, also where the writer damaged its white space: only to compare.
        spec: the original spec's open dict.
    """

    name: str
    generation: str
    title: str = ""
    validator_summary: str = ""
    files: tuple[PostImage, ...] = ()
    changelog: str | None = None
    diff: str | None = None
    loose_diff: str | None = None
    spec: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpecPair:
    """Issue and symbols on one side, the YAML spec on the other.

    Attributes:
        yaml: the spec as the model or the planner wrote it.
        symbols: the symbols text that stood in the prompt, or empty.
        symbols_form: `context` (FQN, type, place, snippet), `bag` (names joined by bars), or empty.
        accepted: whether the agent's parser took it, or None where the log does not say.
        error: the parser's error, or None.
        origin: `log`, `patch_set` or `capture`.
    """

    yaml: str
    symbols: str = ""
    symbols_form: str = ""
    accepted: bool | None = None
    error: str | None = None
    origin: str = "log"


@dataclass(frozen=True, slots=True)
class StyleRefine:
    """A code sample with its draft fingerprint and the refined one.

    Attributes:
        snippet: the code.
        draft: the draft fingerprint's open dict.
        refined: the refiner's output, a string of `"key": value` pairs.
        polished: the JSON text made of it, or None.
        item: what the snippet is: `test_x (function)`.
        place: `tests/test_x.py:18-25`, or empty.
        stats: the stats block, or empty.
        status: the agent's `validation_status`, or empty.
        error: the log's error, or None.
    """

    snippet: str
    draft: Mapping[str, object]
    refined: str
    polished: str | None = None
    item: str = ""
    place: str = ""
    stats: str = ""
    status: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class StyleUnify:
    """Fingerprints of many samples and the one profile made of them.

    Attributes:
        samples: open dicts of `fingerprint`, `file_path`, `weight`, in the log's order.
        unified: the profile as JSON text with an indent of 2, keys in the log's order.
        error: the log's error, or None.
    """

    samples: tuple[Mapping[str, object], ...]
    unified: str
    error: str | None = None


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
        acceptance: the spec's acceptance tests.
        run: the run's attempts, where one is known.
        patch_set: the patch set, where one is known.
        spec: of a `spec` candidate.
        refine: of a `style_refine` candidate.
        unify: of a `style_unify` candidate.
        found_in: which part of the evidence a text was taken from that the lead's own entry lacks:
            `{"script": "run run_20250610.json"}`.
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
    acceptance: tuple[str, ...] = ()
    run: Run | None = None
    patch_set: PatchSet | None = None
    spec: SpecPair | None = None
    refine: StyleRefine | None = None
    unify: StyleUnify | None = None
    found_in: Mapping[str, str] = field(default_factory=dict)

    @property
    def texts(self) -> Mapping[str, str]:
        """The texts that a reviewer may edit, by field; what the log lacks is not among them."""
        found = {
            "script": self.script,
            "diff": self.diff,
            "spec": None if self.spec is None else self.spec.yaml,
            "refined": None if self.refine is None else self.refine.refined,
            "unified": None if self.unify is None else self.unify.unified,
        }
        return {name: text for name, text in found.items() if text is not None}

    def with_text(self, name: str, text: str) -> "Candidate":
        """The candidate with one of its `texts` replaced.

        `candidate.with_text("script", "import libcst")` → the same, with that script; an edited diff is whole.
        """
        if name == "spec" and self.spec is not None:
            return replace(self, spec=replace(self.spec, yaml=text))
        if name == "refined" and self.refine is not None:
            return replace(self, refine=replace(self.refine, refined=text))
        if name == "unified" and self.unify is not None:
            return replace(self, unify=replace(self.unify, unified=text))
        if name == "script":
            return replace(self, script=text)
        return replace(self, diff=text, diff_is_snippet=False)
