"""What attempts tell together: where one run ends and the next begins, which step made each, what a score means."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

from app.candidates import Attempt, Direction, Run, Stage, Validity
from app.formats.traces import AFTER_POLISH, DUPLICATE, read_trace
from app.python_tree import parse_python

_CLASS = re.compile(r"^class (\w+)\b([^\n]*)", re.MULTILINE)
_WORD = re.compile(r"\w{4,}")
# In the sample's 152 runs an attempt has more than half of its words in common with one shortly before, and the class's
# name; scripts of two runs have that many in common in one case of two hundred, and never the name.
_ALIKE = 0.5
_N_BACK = 4
# What the agent proposes by itself after a duplicate: a script that calls the function that exists, unlike all before.
_CANNED = re.compile(r"existing\W?helper|duplicate", re.IGNORECASE)

_NAMED_STAGES = {
    "polish": Stage.POLISH,
    "heuristic": Stage.HEURISTIC,
    "repair": Stage.REPAIR,
    "expan": Stage.EXPAND,
    "scaffold": Stage.SCAFFOLD,
}
_UNFILLED = "FAILED_TO_FILL_HOLE"
_BLOCK_HEAD = re.compile(r"^( {4,})\S[^\n]*:\n( +)(?=\S)", re.MULTILINE)

_LONGEST_PARSED = 1_000_000
_LOOP_ERROR = re.compile(
    r"\w*(?:Error|Exception|Interrupt|Exit)\b.*|(?:crash|kill|interrupt|running|time.?out).*", re.IGNORECASE | re.DOTALL
)
_EXPLAINED = re.compile(r"best_of_history|.*(?:fail|abort|roll|reject|exhaust|gave)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Logged:
    """One attempt as the log has it, before its neighbours are looked at.

    Attributes:
        script: as in `Attempt`, like validity, score, label and n_recorded.
        validity: what the checks said.
        score: finite, or None.
        error: the error text, or None.
        label: what the log calls the step.
        is_pending: the log calls it a heuristic fix that waits for its check.
        extra: elements and keys of no known meaning.
        n_recorded: how often it stands in a row; does not count where two are compared.
    """

    script: str | None
    validity: Validity
    score: float | None = None
    error: str | None = None
    label: str = ""
    is_pending: bool = False
    extra: Mapping[str, object] = field(default_factory=dict)
    n_recorded: int = field(default=1, compare=False)

    @cached_property
    def words(self) -> frozenset[str]:
        """The script's longer words: what a formatter leaves."""
        return frozenset(_WORD.findall(self.script or ""))

    @cached_property
    def codemod(self) -> str | None:
        """The name of the codemod class that the script defines, or None where it defines no class."""
        classes = _CLASS.findall(self.script or "")
        # Code that the script puts in may hold classes too; they mostly come first, and seldom have such bases.
        named = [name for name, bases in classes if "Codemod" in bases or "Command" in bases]
        names: list[str] = named or [name for name, _ in classes]
        return names[-1] if names else None

    @property
    def is_after_polish(self) -> bool:
        """Whether the error text says that it was a polished script that could not be applied."""
        return (self.error or "").startswith(AFTER_POLISH)


def once_each(attempts: Iterable[Logged]) -> list[Logged]:
    """The attempts with neighbours made one that are alike in all that was logged.

    Until 3de665e the agent recorded each attempt twice in a row. `[a, a, b]` → `[a, b]` with `a.n_recorded` 2.
    """
    kept: list[Logged] = []
    for one in attempts:
        if kept and kept[-1] == one:
            kept[-1] = replace(kept[-1], n_recorded=kept[-1].n_recorded + one.n_recorded)
        else:
            kept.append(one)
    return kept


def cut_apart(attempts: Sequence[Logged]) -> list[list[Logged]]:
    """The runs that a list of attempts holds one after the other, nothing marking where one ends.

    A run is over once its polished script is valid too. Any other end shows only in a script of another codemod class
    that has little in common with those before; so two runs about one change may stay one, which harms less than a
    ladder cut through.
    """
    runs: list[list[Logged]] = []
    names: set[str | None] = set()
    for one in attempts:
        if not runs or _starts_anew(one, runs[-1], names):
            runs.append([])
            names = set()
        runs[-1].append(one)
        names.add(one.codemod)
    return runs


def _starts_anew(one: Logged, run: Sequence[Logged], names: set[str | None]) -> bool:
    before = run[-1]
    if one.script == before.script or one.is_pending or one.is_after_polish:
        return False
    if len(run) > 1 and before.validity is run[-2].validity is Validity.VALID:
        return not _polishes_again(one, run, names)
    if one.codemod is None or one.codemod in names or names == {None}:
        return False
    return not _is_canned(one, before) and not _is_like(one, run)


def _is_canned(one: Logged, before: Logged) -> bool:
    """Whether the script is the agent's own answer to a duplicate; a log without error texts does not say of what."""
    may_be_duplicate = before.validity is Validity.INVALID and (before.error or DUPLICATE).startswith(DUPLICATE)
    return may_be_duplicate and _CANNED.search(one.script or "") is not None


def _polishes_again(one: Logged, run: Sequence[Logged], names: set[str | None]) -> bool:
    """Whether an attempt is one more polish of a run that is over for the agent: a fork may polish more than once."""
    if one.validity is not Validity.VALID or any(one.script == earlier.script for earlier in run[-_N_BACK:]):
        return False
    return one.codemod in names


def _is_like(one: Logged, run: Sequence[Logged]) -> bool:
    """Whether the script has half of its words, or more, in common with one of the last few."""
    return any(len(one.words & old.words) >= _ALIKE * len(one.words | old.words) for old in run[-_N_BACK:])


def run_of(logged: Sequence[Logged], form: str, run_id: str | None = None, outcome: str | None = None) -> Run:
    """The ladder of one run: stages, placeholders and error texts recognised, the direction of its scores guessed.

    Args:
        logged: its attempts in order, at least one.
        form: as in `Run`.
        run_id: the log's own.
        outcome: as logged.

    """
    attempts = tuple(_attempts(logged))
    direction, why = guess_direction(attempts)
    return Run(
        form,
        attempts,
        run_id,
        outcome,
        direction=direction,
        direction_why=why,
        cut_short=is_cut_short(outcome, attempts[-1]),
    )


def is_cut_short(outcome: str | None, last: Attempt) -> bool:
    """Whether a run stopped midway: it ends without a valid attempt and no outcome says why, or with a loop's error.

    `PhaseFailure` and `best_of_history` explain the end; `ValueError` and `KeyboardInterrupt` are errors of the loop.
    """
    said = (outcome or "").strip()
    if _LOOP_ERROR.fullmatch(said):
        return True
    return last.validity is not Validity.VALID and not _EXPLAINED.match(said)


def _attempts(logged: Sequence[Logged]) -> Iterator[Attempt]:
    # A fork may hang the source of the whole run on each attempt; that names no step.
    tells = len(logged) == 1 or len({one.label for one in logged}) > 1
    before, stage = None, None
    for one in logged:
        stage = _stage(one, one.label.lower() if tells else "", before, stage)
        yield Attempt(
            one.script,
            stage,
            one.validity,
            one.score,
            _placeholder(one, before, stage),
            None if one.error is None else read_trace(one.error, one.script),
            one.n_recorded,
            one.label,
        )
        before = one


def stage_of(label: str) -> Stage:
    """The step that a label or a patch source names: `"LLMCore_polish_iteration_1"` → `Stage.POLISH`."""
    small = label.lower()
    return next((stage for name, stage in _NAMED_STAGES.items() if name in small), Stage.UNKNOWN)


def _stage(one: Logged, label: str, before: Logged | None, stage_before: Stage | None) -> Stage:
    if _is_heuristic(one, before, stage_before):
        return Stage.HEURISTIC
    if (named := stage_of(label)) is not Stage.UNKNOWN:
        return named
    if one.is_after_polish or (before is not None and before.validity is Validity.VALID):
        return Stage.POLISH
    if before is not None:
        return Stage.REPAIR
    return Stage.EXPAND if _was_filled(one.script or "") else Stage.SCAFFOLD


def _is_heuristic(one: Logged, before: Logged | None, stage_before: Stage | None) -> bool:
    """Whether a rule made the script: the log says so, or it is tried again, or (until 5af083d) was checked at once."""
    if one.is_pending or before is None:
        return one.is_pending
    is_retry = stage_before is Stage.HEURISTIC and before.is_pending and one.script == before.script
    return is_retry or _is_unsaid_heuristic(one, before)


def _is_unsaid_heuristic(one: Logged, before: Logged) -> bool:
    """The rule that takes commas away before closing brackets; the result got its predecessor's score."""
    if before.validity is not Validity.INVALID or one.score is None or one.score != before.score:
        return False
    new, old = one.script or "", before.script or ""
    return new.count(",") < old.count(",") and _bare(new) == _bare(old)


def _bare(script: str) -> str:
    return "".join(script.replace(",", " ").split())


def _was_filled(script: str) -> bool:
    """Whether a scaffold's holes were filled: the filler says where it failed, and indents a first line twice."""
    return _UNFILLED in script or any(len(body) == 2 * (len(head) + 4) for head, body in _BLOCK_HEAD.findall(script))


def _placeholder(one: Logged, before: Logged | None, stage: Stage) -> str:
    """Why the score is not the script's own; empty where it is, or where there is none."""
    if one.score is None:
        return ""
    if stage is Stage.HEURISTIC:
        is_unscored = one.is_pending or (before is not None and _is_unsaid_heuristic(one, before))
        if is_unscored and (before is None or before.score == one.score):
            return "copied"
    is_forced = one.score == 0 and (one.error or "").startswith((DUPLICATE, *AFTER_POLISH))
    return "forced" if is_forced else ""


def guess_direction(attempts: Sequence[Attempt]) -> tuple[Direction, str]:
    """Which way the scores of a run count, and the sentence that says what the guess rests on."""
    scores = {one.score for one in attempts if one.score in {0.0, 1.0} and not one.placeholder and _is_broken(one)}
    if scores == {0.0}:
        return Direction.HIGHER, "A script that does not parse scores 0 here, so more is better."
    if scores == {1.0}:
        return Direction.LOWER, "A script that does not parse scores 1 here, so the score is a penalty: less is better."
    if scores:
        return Direction.UNKNOWN, "Of the scripts that do not parse, some score 0 and some 1."
    for before, one in reversed(list(pairwise(attempts))):
        guess = _direction_of_polish(before, one)
        if guess is not None:
            return guess
    return (
        Direction.UNKNOWN,
        "No script that does not parse is scored 0 or 1, and no polish of a valid script changed its score.",
    )


def _is_broken(one: Attempt) -> bool:
    """Whether the script is no Python: by the error text, and where there is none, by parsing it."""
    if one.trace is not None:
        return one.trace.kind == "syntax"
    return one.validity is Validity.INVALID and one.script is not None and not _parses(one.script)


def _parses(script: str) -> bool:
    """Whether a script is Python; one that is too long or too deep to say passes."""
    if len(script) > _LONGEST_PARSED:
        return True
    try:
        parse_python(script)
    except (SyntaxError, ValueError):
        return False
    except (RecursionError, MemoryError):
        return True
    return True


def _direction_of_polish(before: Attempt, one: Attempt) -> tuple[Direction, str] | None:
    if one.stage is not Stage.POLISH or not before.validity is one.validity is Validity.VALID:
        return None
    then, now = before.score, one.score
    if then is None or now is None or then == now or before.placeholder or one.placeholder:
        return None
    scores = f"The polished script scores {now:.3g}, the unpolished one {then:.3g}"
    if now > then:
        return Direction.HIGHER, f"{scores}, so more is probably better."
    return Direction.LOWER, f"{scores}, so the score is probably a penalty: less is better."
