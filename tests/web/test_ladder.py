"""The ladder of attempts: which one is looked at, against what, and what the page says of it."""

import html
from dataclasses import replace
from typing import Any

import pytest
from jinja2 import meta

from app.candidates import (
    Attempt,
    Candidate,
    Direction,
    Frame,
    Kind,
    Run,
    Stage,
    Trace,
    Validity,
)
from app.errors import AppError
from app.web import ladder
from app.web.render import environment
from tests.logs import SCRIPT
from tests.web.pages import live_parts, text

DRAFT = SCRIPT.replace("import libcst as cst\n", "")
FIXED = SCRIPT
POLISHED = SCRIPT.replace("class Change", "class Rename")
NAME_ERROR = Trace(
    'Traceback (most recent call last):\n  File "/srv/agent/tool.py", line 88, in apply\n    run(command)\n'
    '  File "<string>", line 6, in leave_Name\n    return helper(node)\n'
    "  File \"<string>\", line 4, in helper\n    return cst.x\nNameError: name 'cst' is not defined",
    "transformation",
    "The codemod fails on the file",
    "NameError",
    (
        Frame("/srv/agent/tool.py", 88, "apply", "run(command)"),
        Frame("<string>", 6, "leave_Name", "return helper(node)", 6),
        Frame("<string>", 4, "helper", "return cst.x", 4),
    ),
    (4, 6),
)
PENDING = Trace("Heuristic fix applied, pending re-validation", "pending", "A heuristic fix, not checked yet")
RUN = Run(
    "wrapped",
    (
        Attempt(DRAFT, Stage.SCAFFOLD, Validity.INVALID, 0.5, trace=NAME_ERROR, n_recorded=2),
        Attempt(DRAFT, Stage.HEURISTIC, Validity.PENDING, 0.5, "copied", PENDING),
        Attempt(FIXED, Stage.REPAIR, Validity.VALID, 0.84),
        Attempt(POLISHED, Stage.POLISH, Validity.VALID, 0.9123, label="polish 1"),
        Attempt(None, Stage.POLISH, Validity.INVALID),
    ),
    run_id="20250613T143635_4230f8",
    outcome="success",
    phase={"operation_name": "rename_variable", "parameters": {"old": "a"}},
    direction=Direction.HIGHER,
    direction_why="The script that does not parse scores 0.",
    prompts={"repair": "Repair this <script>."},
)
PATCH = Candidate(Kind.PATCH, "G6", script=POLISHED, run=RUN)


def built(candidate: Candidate = PATCH, **asked: str) -> ladder.Ladder:
    found = ladder.build(7, candidate, {"status": "all"}, asked)
    assert found is not None
    return found


def drawn(candidate: Candidate = PATCH, **asked: str) -> str:
    """The block as htmx gets it."""
    block = environment().get_template("review.html")
    return "".join(block.blocks["ladder"](block.new_context({"ladder": built(candidate, **asked)})))


def with_attempts(*attempts: Attempt, **more: Any) -> Candidate:
    return replace(PATCH, run=Run("tuples", attempts, **more))


# ------------------------------------------------------------------------------------------------ which one


def test_the_last_valid_attempt_is_looked_at_first() -> None:
    assert built().current.rung.number == 4
    assert [rung.number for rung in built().rungs if rung.is_final] == [4]


def test_where_none_is_valid_the_last_one_is_looked_at_first() -> None:
    failed = with_attempts(*RUN.attempts[:2])

    assert built(failed).current.rung.number == 2
    assert not any(rung.is_final for rung in built(failed).rungs)


def test_a_valid_attempt_without_a_script_is_not_the_final_one() -> None:
    odd = with_attempts(RUN.attempts[2], Attempt(None, Stage.POLISH, Validity.VALID))

    assert built(odd).current.rung.number == 1


def test_a_candidate_without_a_run_has_no_ladder() -> None:
    assert ladder.build(7, replace(PATCH, run=None), {}, {"attempt": "3"}) is None
    assert ladder.build(7, with_attempts(), {}, {}) is None


@pytest.mark.parametrize("asked", [{"attempt": "0"}, {"attempt": "6"}, {"attempt": "two"}, {"base": "none"}])
def test_an_attempt_or_a_base_that_is_not_there_is_refused_with_its_field(asked: dict[str, str]) -> None:
    with pytest.raises(AppError) as caught:
        ladder.build(7, PATCH, {}, asked)

    assert caught.value.status == 422
    assert caught.value.where == f"field {next(iter(asked))}"


# ------------------------------------------------------------------------------------------------ against what


@pytest.mark.parametrize(
    ("attempt", "base", "heading", "sentence"),
    [
        ("1", "previous", "", "first attempt"),
        ("2", "previous", "From attempt 1 to attempt 2", "The same script as attempt 1, to the letter."),
        ("3", "previous", "From attempt 2 to attempt 3", ""),
        ("5", "previous", "From attempt 4 to attempt 5", "recorded no script for attempt 5"),
        ("1", "final", "From attempt 1 to attempt 4", ""),
        ("4", "final", "", "This is the final attempt itself."),
        ("5", "final", "From attempt 4 to attempt 5", "recorded no script for attempt 5"),
        ("1", "scaffold", "", "This is the scaffold itself"),
        ("4", "scaffold", "From attempt 1 to attempt 4", ""),
    ],
)
def test_an_attempt_is_compared_with_its_base(attempt: str, base: str, heading: str, sentence: str) -> None:
    compared = built(attempt=attempt, base=base).current.compared

    assert compared.heading == heading
    assert sentence in compared.sentence
    assert bool(compared.diff) is not bool(compared.sentence)


def test_a_change_is_shown_from_the_earlier_to_the_later_attempt_whichever_is_looked_at() -> None:
    forward, back = (built(attempt="1", base="final"), built(attempt="4", base="scaffold"))

    assert forward.current.compared.diff == back.current.compared.diff
    assert "added" not in str(forward.current.compared.diff)  # signs are the style sheet's
    assert text(str(forward.current.compared.diff)).count("class Rename") == 1


def test_a_run_without_a_valid_attempt_has_no_final_one_to_compare_with() -> None:
    compared = built(with_attempts(*RUN.attempts[:2]), base="final").current.compared

    assert compared.sentence == "No attempt of this run is valid, so there is no final one to compare with."


def test_where_no_scaffold_is_recognised_the_first_attempt_stands_for_it() -> None:
    unknown = with_attempts(*(replace(one, stage=Stage.UNKNOWN) for one in RUN.attempts))

    assert built(unknown, attempt="3", base="scaffold").current.compared.heading == "From attempt 1 to attempt 3"


def test_the_key_goes_through_the_bases_and_comes_back() -> None:
    seen, base = [], "previous"
    for _ in range(3):
        base = next(choice.base for choice in built(base=base).bases if choice.is_next)
        seen.append(base)

    assert seen == ["final", "scaffold", "previous"]


# ------------------------------------------------------------------------------------------------ what the page says


def test_stage_validity_score_and_error_of_each_attempt_are_words() -> None:
    page = text(drawn())

    assert "1 scaffold invalid 0.50 The codemod fails on the file recorded twice" in page
    assert "2 heuristic pending no own score (copied) A heuristic fix, not checked yet" in page
    assert "4 polish final valid 0.91" in page
    assert "5 polish invalid no score" in page


def test_the_score_of_the_attempt_says_which_way_is_better_and_that_this_was_guessed() -> None:
    assert "polish ( polish 1 ), score 0.91, higher is better (guessed)" in text(drawn(attempt="4"))
    assert "no own score (copied), higher" not in text(drawn(attempt="2"))
    penalty = replace(PATCH, run=replace(RUN, direction=Direction.LOWER))
    assert "score 0.91, lower is better (guessed)" in text(drawn(penalty, attempt="4"))
    told = replace(PATCH, run=replace(RUN, direction_why="A person set it for this source."))
    assert "score 0.91, higher is better (guessed)" not in text(drawn(told, attempt="4"))
    unknown = replace(PATCH, run=replace(RUN, direction=Direction.UNKNOWN))
    assert "score 0.91, which way is better is not known" in text(drawn(unknown, attempt="4"))


@pytest.mark.parametrize(("score", "shown"), [(1e300, "1e+300"), (-0.5, "-0.50"), (0.0, "0.00"), (12.5, "12.50")])
def test_a_score_of_any_size_is_short(score: float, shown: str) -> None:
    (rung,) = built(with_attempts(replace(RUN.attempts[2], score=score))).rungs

    assert rung.score == shown


def test_the_run_says_its_id_outcome_phase_and_what_the_direction_rests_on() -> None:
    page = text(drawn(replace(PATCH, run=replace(RUN, cut_short=True))))

    assert "Run 20250613T143635_4230f8 outcome success cut short scores: higher is better (guessed)" in page
    assert "Recorded as wrapped" in page
    assert "higher is better (guessed): The script that does not parse scores 0." in page
    assert "operation_name rename_variable parameters {'old': 'a'}" in page


def test_a_traceback_links_its_frames_to_the_lines_of_the_script() -> None:
    page = drawn(attempt="1")

    assert text(page).count("script, line 6 in leave_Name return helper(node)") == 1
    assert '<a href="#attempt-line-6">script, line 6</a>' in page
    assert '<a href="#attempt-line-4">line 4</a>' in page
    assert page.count('<tr id="attempt-line-4" class=hit>') == 1
    assert "/srv/agent/tool.py, line 88 in apply" in text(page)


def test_the_line_of_the_script_carries_the_error_and_the_line_before_it_the_call() -> None:
    page = text(drawn(attempt="1"))

    assert "NameError: name 'cst' is not defined 5 " in page
    assert "called from here, in leave_Name" in page


def test_a_line_that_the_script_does_not_have_is_no_link() -> None:
    beyond = Trace("Syntax error (<unknown>, line 104)", "syntax", "The script does not parse", script_lines=(104,))
    page = drawn(with_attempts(Attempt("x = (\n", Stage.REPAIR, Validity.INVALID, trace=beyond)))

    assert "#attempt-line" not in page
    assert "line 104" in text(page)


def test_of_a_very_long_traceback_the_last_frames_are_listed_and_the_rest_is_counted() -> None:
    frames = tuple(Frame("tool.py", n, f"step_{n}") for n in range(1, 1001))
    deep = Trace("RecursionError", "exception", "A Python exception", frames=frames)
    page = text(drawn(with_attempts(Attempt("x\n", Stage.REPAIR, Validity.INVALID, trace=deep))))

    assert "1,000 frames, outermost first The first 900 are in the text below only." in page
    assert "step_900" not in page
    assert "step_901" in page
    assert "step_1000" in page


def test_an_attempt_without_a_script_says_so() -> None:
    assert "The agent recorded no script for this attempt." in text(drawn(attempt="5"))


def test_the_script_that_stands_is_not_shown_twice() -> None:
    page = drawn(attempt="4")

    assert "The script of this attempt is the one that stands ." in text(page)
    assert "attempt-line-1" not in page
    assert "attempt-line-1" in drawn(attempt="3")


def test_what_the_model_was_asked_stands_with_the_attempts_of_its_stage() -> None:
    assert "Repair this <script>." in html.unescape(drawn(attempt="3"))
    assert "Repair this" not in drawn(attempt="4")


def test_links_keep_the_filter_the_attempt_and_the_base() -> None:
    page = html.unescape(drawn(attempt="3", base="final"))

    assert 'href="/candidates/7?attempt=2&base=final&status=all#rung-2"' in page
    assert 'hx-get="/candidates/7/ladder?attempt=4&base=final&status=all"' in page
    assert 'href="/candidates/7?attempt=3&base=scaffold&status=all#rung-3"' in page


def test_the_first_and_the_last_attempt_have_nowhere_to_go_on_one_side() -> None:
    assert 'data-key="h"' not in drawn(attempt="1")
    assert 'data-key="l"' not in drawn(attempt="5")
    assert drawn(attempt="3").count("data-key=") == 3


def test_a_hundred_attempts_are_listed_and_only_one_is_drawn() -> None:
    many = with_attempts(*(Attempt(f"x = {n}\n", Stage.REPAIR, Validity.INVALID) for n in range(100)))
    page = drawn(many, attempt="64")

    assert page.count('<a id="rung-') == 100
    assert text(page).count("x = ") == 3  # both sides of the change, and the script


HOSTILE = "<script>alert(1)</script>\"><img src=x onerror=alert(1)> ' hx-get='/undo' {{ 7*7 }} \u202egnp.exe"


def test_nothing_of_a_log_becomes_markup() -> None:
    trace = Trace(HOSTILE, "other", HOSTILE, HOSTILE, (Frame(HOSTILE, 1, HOSTILE, HOSTILE, 1),), (1,))
    attempt = Attempt(HOSTILE, Stage.REPAIR, Validity.INVALID, trace=trace, label=HOSTILE)
    run = Run(
        "tuples", (attempt, replace(attempt, script=HOSTILE + "\n2")), HOSTILE, HOSTILE, {HOSTILE: HOSTILE},
        direction_why=HOSTILE, prompts={"repair": HOSTILE},
    )  # fmt: skip
    page = drawn(replace(PATCH, run=run), attempt="2")

    assert live_parts(page) == []
    assert "49" not in text(page)
    assert "U+202E" in page


def test_the_block_reads_the_ladder_and_nothing_else() -> None:
    made = environment()
    assert made.loader is not None
    source = made.loader.get_source(made, "_ladder.html")[0]

    assert meta.find_undeclared_variables(made.parse(source)) <= {"ladder", "url", "ui"}
