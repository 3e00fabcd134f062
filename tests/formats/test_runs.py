"""What attempts tell together: stages, placeholders, the direction of scores, and where another run begins."""

import json
from dataclasses import dataclass
from itertools import accumulate, permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.candidates import Attempt, Direction, Run, Stage, Validity
from app.formats.given import Given
from app.formats.patch_history import read
from app.formats.runs import Logged, cut_apart, run_of

VALID, INVALID, PENDING = Validity.VALID, Validity.INVALID, Validity.PENDING
SYNTAX = (
    "PatchApplicationError: Failed to apply LibCST script: Syntax error in LibCST script string: no (<unknown>, line 1)"
)
UNPOLISHED = "PatchApplicationError after polish: Error during codemod transformation by 'A' (Desc: b): no"
SYNTAX_POLISHED = "PatchApplicationError after polish: Syntax error in LibCST script string: no"
UNFORESEEN = "Unexpected error applying polished script: no"
DUPLICATE = "DUPLICATE_DETECTED: REUSE_EXISTING_HELPER"
HEURISTIC = "Heuristic fix applied, pending re-validation"
BROKEN = "def f(:\n"


@dataclass(frozen=True)
class Sample:
    history: list[object]
    form: str
    outcome: str
    score_polarity: str
    n_attempts: int


def _samples() -> list[Sample]:
    lines = (Path(__file__).parent / "runs.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [
        Sample(
            row["history"]["patch_history"] if row["form"] == "wrapped" else row["history"],
            row["form"],
            row["outcome"],
            row["score_polarity"],
            row["n_attempts"],
        )
        for row in rows
    ]


SAMPLES = _samples()


def runs(history: list[object]) -> list[Run]:
    return [one.run for one in read(history, Given()) if one.run]


def sizes(history: list[object]) -> list[int]:
    return [sum(one.n_recorded for one in run.attempts) for run in runs(history)]


def script(name: str, words: str = "") -> str:
    own = " ".join(f"{name}{number}" for number in range(20))
    return f"import libcst\nclass {name}(VisitorBasedCodemodCommand):\n    DESCRIPTION = '{own} {words}'\n"


def ok(script: str | None, score: float | None = None, label: str = "") -> Logged:
    return Logged(script, VALID, score, None, label)


def bad(script: str | None, score: float | None = None, error: str | None = None, label: str = "") -> Logged:
    return Logged(script, INVALID, score, error, label)


def waits(script: str | None, score: float | None = None) -> Logged:
    return Logged(script, PENDING, score, HEURISTIC, is_pending=True)


def stages(*logged: Logged) -> list[str]:
    return [one.stage.value for one in run_of(logged, "tuples").attempts]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: f"{one.outcome}-{one.n_attempts}")
def test_a_real_run_stays_one_and_its_direction_is_never_misjudged(sample: Sample) -> None:
    (run,) = runs(sample.history)
    truth = Direction(sample.score_polarity.partition("_")[0])

    assert sum(one.n_recorded for one in run.attempts) == sample.n_attempts
    assert run.direction in {truth, Direction.UNKNOWN}
    assert run.direction_why.endswith(".")
    # What ends well ends with an unpolished and a polished script.
    if sample.outcome == "success":
        assert [one.stage for one in run.attempts[-1:]] == [Stage.POLISH]
        assert run.direction is truth
        assert not run.cut_short
    else:
        assert run.cut_short


@given(st.lists(st.sampled_from(SAMPLES), min_size=1, max_size=6))
def test_real_runs_in_one_list_are_cut_only_where_one_begins(chosen: list[Sample]) -> None:
    whole = [attempt for sample in chosen for attempt in sample.history]
    begins = list(accumulate((len(sample.history) for sample in chosen), initial=0))
    cuts = set(accumulate(sizes(whole), initial=0))

    assert cuts <= set(begins)
    # After a success every beginning is seen, whatever follows.
    assert {at for at, sample in zip(begins[1:], chosen, strict=True) if sample.outcome == "success"} <= cuts


def test_nearly_all_pairs_of_real_runs_are_cut_apart() -> None:
    pairs = list(permutations(SAMPLES, 2))
    found = [sizes(one.history + two.history) == [one.n_attempts, two.n_attempts] for one, two in pairs]

    assert sum(found) >= 0.98 * len(pairs)


@pytest.mark.parametrize(
    ("logged", "expected"),
    [
        ([ok("a")], ["scaffold"]),
        ([ok("a"), ok("b")], ["scaffold", "polish"]),
        ([bad("a"), bad("b"), ok("c"), ok("d")], ["scaffold", "repair", "repair", "polish"]),
        ([bad("a"), waits("b"), bad("b"), ok("c")], ["scaffold", "heuristic", "heuristic", "repair"]),
        ([bad("a"), waits("b"), bad("c")], ["scaffold", "heuristic", "repair"]),
        ([ok("a"), bad("b", 0.0, UNPOLISHED), ok("c"), ok("d")], ["scaffold", "polish", "repair", "polish"]),
        ([bad("a"), bad("b", 0.0, UNFORESEEN)], ["scaffold", "polish"]),
        ([bad("a  # FAILED_TO_FILL_HOLE_0 - Reason: no")], ["expand"]),
        ([bad("class A:\n    def f(self):\n                return 1\n")], ["expand"]),
        ([bad("class A:\n    def f(self):\n        return 1\n")], ["scaffold"]),
        ([Logged("a", PENDING), Logged("b", PENDING)], ["scaffold", "repair"]),
        # Until 5af083d a heuristic fix was checked at once and stored with its predecessor's score.
        ([bad("f(a,\n)", 0.4), bad("f(a)", 0.4)], ["scaffold", "heuristic"]),
        ([bad("f(a,\n)", 0.4), bad("f(a)", 0.5)], ["scaffold", "repair"]),
        ([bad("f(a,\n)", 0.4), bad("f(b)", 0.4)], ["scaffold", "repair"]),
        ([bad("f(a\n)", 0.4), bad("f(a)", 0.4)], ["scaffold", "repair"]),
        (
            [bad("a", label="DiffusionCore_expansion_v1"), bad("b", label="LLMCore_repair_attempt_1")],
            ["expand", "repair"],
        ),
        (
            [bad("a", label="LLMCore_scaffold"), ok("b", label="LLMCore_polish_after_repair_attempt_1")],
            ["scaffold", "polish"],
        ),
        (
            [bad("a", label="LLMCore_polish_iteration_1"), ok("b", label="LLMCore_polish_iteration_1")],
            ["scaffold", "repair"],
        ),
    ],
)
def test_the_order_tells_which_step_made_an_attempt(logged: list[Logged], expected: list[str]) -> None:
    assert stages(*logged) == expected


@pytest.mark.parametrize(
    ("logged", "placeholders"),
    [
        ([bad("a", 0.4), waits("b", 0.4), bad("b", 0.4)], ["", "copied", ""]),
        ([bad("a", 0.4), waits("b", 0.5)], ["", ""]),
        ([waits("a", 0.4)], ["copied"]),
        ([waits("a")], [""]),
        ([bad("f(a,\n)", 0.4), bad("f(a)", 0.4)], ["", "copied"]),
        ([bad("a", 0.0, DUPLICATE)], ["forced"]),
        ([bad("a", 0.3, DUPLICATE)], [""]),
        ([ok("a", 0.4), bad("b", 0.0, UNPOLISHED), waits("c", 0.0)], ["", "forced", "copied"]),
        ([ok("a", 0.4), bad("b", 0.0, UNFORESEEN)], ["", "forced"]),
        ([bad("a", 0.0, SYNTAX)], [""]),
        ([bad("a", 0.4), bad("b", 0.4)], ["", ""]),
    ],
)
def test_a_score_that_is_not_the_scripts_own_is_a_placeholder(logged: list[Logged], placeholders: list[str]) -> None:
    assert [one.placeholder for one in run_of(logged, "tuples").attempts] == placeholders


@pytest.mark.parametrize(
    ("logged", "direction", "why"),
    [
        ([bad("a", 0.0, SYNTAX)], Direction.HIGHER, "does not parse scores 0 "),
        ([bad("a", 1.0, SYNTAX)], Direction.LOWER, "is a penalty"),
        ([bad("a", 0.0, SYNTAX), bad("b", 1.0, SYNTAX)], Direction.UNKNOWN, "some score 0"),
        ([bad("a", 0.3, SYNTAX)], Direction.UNKNOWN, "no polish"),
        # Where there is no error text the script itself shows.
        ([bad(BROKEN, 0.0)], Direction.HIGHER, "does not parse"),
        ([bad(BROKEN, 1.0)], Direction.LOWER, "does not parse"),
        ([bad("a = '\\d'", 0.0)], Direction.UNKNOWN, "no polish"),
        ([bad("a\0", 0.0)], Direction.HIGHER, "does not parse"),
        ([bad("a = '\ud800'", 0.0)], Direction.HIGHER, "does not parse"),
        ([bad("(" * 10_000, 0.0)], Direction.HIGHER, "does not parse"),
        ([bad("-" * 200_000, 0.0)], Direction.UNKNOWN, "no polish"),
        ([Logged(BROKEN, PENDING, 0.0)], Direction.UNKNOWN, "no polish"),
        # Placeholders are no evidence.
        ([bad("a", 0.0, SYNTAX_POLISHED)], Direction.UNKNOWN, "no polish"),
        ([ok("a", 0.5), ok("b", 0.9)], Direction.HIGHER, "scores 0.9, the unpolished one 0.5"),
        ([ok("a", 0.5), ok("b", 0.1234)], Direction.LOWER, "scores 0.123, the unpolished one 0.5"),
        ([ok("a", 0.5), ok("b", 0.5)], Direction.UNKNOWN, "no polish"),
        ([ok("a", 0.5), bad("b", 0.9)], Direction.UNKNOWN, "no polish"),
        ([ok("a", 0.5), ok("b")], Direction.UNKNOWN, "no polish"),
        # A script that does not parse tells more than a polish.
        ([bad("a", 0.0, SYNTAX), ok("b", 0.5), ok("c", 0.4)], Direction.HIGHER, "parse"),
    ],
)
def test_the_direction_is_guessed_from_what_cannot_be_good(
    logged: list[Logged], direction: Direction, why: str
) -> None:
    run = run_of(logged, "tuples")

    assert run.direction is direction
    assert why in run.direction_why


@pytest.mark.parametrize(
    ("outcome", "last", "cut_short"),
    [
        (None, VALID, False),
        (None, INVALID, True),
        (None, PENDING, True),
        ("success", VALID, False),
        ("success", INVALID, True),
        ("PhaseFailure", INVALID, False),
        ("best_of_history", PENDING, False),
        ("failed: no more attempts", INVALID, False),
        ("aborted_and_rolled_back", INVALID, False),
        ("ValueError", INVALID, True),
        ("ValueError: too many values", VALID, True),
        ("KeyboardInterrupt", VALID, True),
        ("timeout", INVALID, True),
        ("", INVALID, True),
    ],
)
def test_a_run_is_cut_short_where_nothing_explains_its_end(outcome: str, last: Validity, cut_short: bool) -> None:
    assert run_of([bad("a"), Logged("b", last)], "wrapped", None, outcome).cut_short is cut_short


A, B = script("FirstCommand"), script("SecondCommand")
A2, A3 = script("FirstCommand", "again"), script("FirstCommand", "again and again")
CANNED = script("UseExistingHelperCommand")


@pytest.mark.parametrize(
    ("logged", "expected"),
    [
        # A polished script that is valid ends a run, also where the next is about the same change.
        ([ok(A), ok(A2), bad(A3)], [2, 1]),
        ([ok(A), ok(A2), ok(A), ok(A2)], [2, 2]),
        ([ok(A), ok(A2), ok(B)], [2, 1]),
        ([ok(A), ok(A2), bad(None), ok(A3)], [2, 2]),
        # But a fork may polish more than once.
        ([ok(A), ok(A2), ok(A3)], [3]),
        ([ok(A), ok(A2), bad(A3, 0.0, UNPOLISHED)], [3]),
        ([ok(A), ok(A2), bad(A2)], [3]),
        # Elsewhere only another codemod with other words begins anew.
        ([bad(A), bad(B)], [1, 1]),
        ([ok(A), ok(B)], [1, 1]),
        ([bad(A), bad(A2)], [2]),
        ([bad(A), bad(A.replace("class First", "class Renamed"))], [2]),
        ([bad(A), bad(B.replace("class Second", "class First"))], [2]),
        ([bad(A), waits(B)], [2]),
        ([bad(A), bad("# a mock"), ok(A2)], [3]),
        ([bad(A), bad(None), ok(A2)], [3]),
        ([bad(None), ok(A)], [2]),
        ([bad("def f("), ok(A)], [2]),
        # After a duplicate the agent proposes a script of its own.
        ([bad(A, 0.0, DUPLICATE), bad(CANNED), ok(A2)], [3]),
        ([bad(A, 0.0, DUPLICATE), bad(B)], [1, 1]),
        ([bad(A), bad(CANNED), ok(A2)], [3]),
        ([bad(A, 0.0, SYNTAX), bad(CANNED)], [1, 1]),
        ([ok(A), bad(CANNED)], [1, 1]),
    ],
)
def test_a_list_is_cut_where_another_run_begins(logged: list[Logged], expected: list[int]) -> None:
    assert [len(run) for run in cut_apart(logged)] == expected


def test_attempts_know_what_their_error_texts_say() -> None:
    (attempt,) = run_of([bad("a", 0.0, SYNTAX)], "objects", "r").attempts

    assert isinstance(attempt, Attempt)
    assert attempt.trace is not None
    assert (attempt.trace.kind, attempt.trace.script_lines) == ("syntax", (1,))
