"""The scorer's recipe: which scores count, which way, and what a rating says."""

from typing import Any

import pytest
from hypothesis import given

from app.candidates import Direction, Kind, Run
from app.examples import Example
from app.recipes import scorer
from app.recipes.judged import Judged
from tests.recipes.judgements import (
    DIFF,
    INVALID,
    PENDING,
    SCRIPT,
    VALID,
    attempt,
    check_sound,
    examples,
    held,
    hostile,
    judge,
    patch,
    run,
)

LADDER = run(attempt("a\n", 0.25, INVALID), attempt("b\n", 0.5), attempt("c\n", 0.9))


def scored(ran: Run, **more: Any) -> list[Example]:
    return examples(scorer.make, judge(patch(run=ran), **more))


def styles(ran: Run) -> list[tuple[object, object]]:
    return [(one.values["text"], one.values["score"]) for one in scored(ran) if one.dataset is scorer.STYLE]


def pairs(ran: Run) -> list[Example]:
    return [one for one in scored(ran) if one.dataset is scorer.PAIRS]


def rows(made: list[Example]) -> list[dict[str, object]]:
    return [dict(one.values) for one in made]


# ------------------------------------------------------------------------------------------------ scores


def test_each_attempt_teaches_its_own_score_whether_it_passed_or_not() -> None:
    assert styles(LADDER) == [("a\n", 0.25), ("b\n", 0.5), ("c\n", 0.9)]


def test_a_penalty_is_turned_round_and_leaves_the_same_digits_everywhere() -> None:
    ran = run(attempt("a", 0.9), attempt("b", 0.1), attempt("c", 0), direction=Direction.LOWER)
    assert styles(ran) == [("a", 0.1), ("b", 0.9), ("c", 1.0)]


def test_a_row_says_which_attempt_it_is_and_where_its_findings_stand() -> None:
    first, *_ = scored(LADDER)
    assert first.id == f"style-regression-{'5c' * 10}-1"
    assert (first.answer, set(first.places)) == ("attempt 1", {"attempt1"})
    assert (first.recipe, first.templates, first.code) == ("scorer/1", (), ())
    assert first.evidence == "Style 0.25 at attempt 1."


def test_what_is_found_in_the_patch_s_script_counts_for_the_attempt_that_it_is() -> None:
    ran = run(attempt("a", 0.5), attempt(SCRIPT.rstrip("\n"), 0.9))
    assert [one.places for one in scored(ran)][:2] == [{"attempt1"}, {"attempt2", "script"}]
    edited = scored(ran, verdict="edit", revision=("script", "import re\n"))
    assert [one.places for one in edited][:2] == [{"attempt1"}, {"attempt2"}]


@pytest.mark.parametrize("direction", [Direction.HIGHER, Direction.LOWER])
def test_the_best_stands_over_each_lower_one(direction: Direction) -> None:
    scores = (0.25, 0.5, 0.9, 0.5) if direction is Direction.HIGHER else (0.75, 0.5, 0.1, 0.5)
    ran = run(*(attempt(text, score) for text, score in zip("abcd", scores, strict=True)), direction=direction)
    assert rows(pairs(ran)) == [
        {"prompt": "", "chosen": "c", "rejected": "a", "margin": 0.65},
        {"prompt": "", "chosen": "c", "rejected": "b", "margin": 0.4},
        {"prompt": "", "chosen": "c", "rejected": "d", "margin": 0.4},
    ]


def test_a_pair_names_its_attempts_and_its_scores() -> None:
    first, second = pairs(LADDER)
    assert first.id == f"style-reward-{'5c' * 10}-1-3"
    assert first.evidence == "Same run: style 0.9 at attempt 3, 0.25 at attempt 1."
    assert (set(second.places), second.answer, second.code) == ({"attempt2", "attempt3"}, "attempt 3", ())
    [turned] = pairs(run(attempt("a", 0.5), attempt("b", 0.2), direction=Direction.LOWER))
    assert turned.evidence == ("Same run: style 0.8 at attempt 2, 0.5 at attempt 1 (1 less the logged penalty).")


def test_scores_that_look_alike_in_short_are_written_out() -> None:
    [pair] = pairs(run(attempt("a", 0.84001), attempt("b", 0.84002)))
    assert pair.evidence == "Same run: style 0.84002 at attempt 2, 0.84001 at attempt 1."
    assert pair.values["margin"] == 0.00001


def test_equal_scores_make_no_pair_and_of_two_best_the_valid_one_is_chosen() -> None:
    assert pairs(run(attempt("a", 0.5), attempt("b", 0.5))) == []
    ran = run(attempt("a", 0.9, INVALID), attempt("b", 0.9), attempt("c", 0.5))
    assert [one.values["chosen"] for one in pairs(ran)] == ["b"]


def test_the_same_text_counts_once_whatever_its_last_line_ends() -> None:
    ran = run(attempt("a\n", 0.25, INVALID), attempt("a", 0.5), attempt("b", 0.5))
    assert styles(ran) == [("a\n", 0.25), ("b", 0.5)]
    assert rows(pairs(ran)) == [{"prompt": "", "chosen": "b", "rejected": "a\n", "margin": 0.25}]


def test_what_was_copied_or_forced_or_not_checked_is_no_score() -> None:
    ran = run(
        attempt("a", 0.25, INVALID),
        attempt("b", 0.25, INVALID, "copied"),
        attempt("c", 0.3, PENDING),
        attempt("d", 0.0, INVALID, "forced"),
        attempt("e", None),
        attempt("f", float("nan")),
        attempt(None, 0.9),
        attempt(" \n", 0.9),
        attempt("g", 0.75),
    )
    assert styles(ran) == [("a", 0.25), ("g", 0.75)]
    assert len(pairs(ran)) == 1


def test_a_pending_attempt_that_passes_after_all_adds_its_row_and_pair() -> None:
    before = scored(run(attempt("a", 0.25, INVALID), attempt("b", 0.5, PENDING), attempt("c", 0.9)))
    after = scored(run(attempt("a", 0.25, INVALID), attempt("b", 0.5, VALID), attempt("c", 0.9)))
    added = [one for one in after if one not in before]
    assert [one for one in before if one not in after] == []
    assert [one.id.removeprefix(f"style-{one.dataset.objective}-{'5c' * 10}") for one in added] == ["-2", "-2-3"]


def test_a_text_tried_again_gets_the_score_of_its_own() -> None:
    assert styles(run(attempt("a", 0.5, PENDING, "copied"), attempt("a", 0.75))) == [("a", 0.75)]


def test_a_run_without_a_score_of_its_own_is_held_back_once_and_says_why() -> None:
    ran = run(attempt("a", 0.5, INVALID, "copied"), attempt("b", 0.0, INVALID, "forced"), attempt("c", None))
    held_back = held(scorer.make, judge(patch(run=ran)))
    assert (held_back.dataset, held_back.gate) == (scorer.STYLE, "placeholder_score")
    assert held_back.message == (
        "No attempt of the run has a style score of its own (attempt 1: a copy of the score before it; "
        "attempt 2: set by the agent; attempt 3: none)."
    )
    many = run(*(attempt(str(n), None) for n in range(25)))
    assert "attempt 20: none, and 5 more)" in held(scorer.make, judge(patch(run=many))).message


def test_scores_of_an_unknown_direction_are_held_back_once() -> None:
    ran = run(attempt("a", 0.5), attempt("b", 0.6), direction=Direction.UNKNOWN)
    held_back = held(scorer.make, judge(patch(run=ran)))
    assert (held_back.dataset, held_back.gate) == (scorer.STYLE, "direction_unknown")


@pytest.mark.parametrize("score", [1.5, -0.1, 10, float("inf")])
@pytest.mark.parametrize("direction", [Direction.HIGHER, Direction.LOWER])
def test_one_score_beyond_zero_to_one_puts_the_whole_run_aside(score: float, direction: Direction) -> None:
    ran = run(attempt("a", 0.5), attempt("b", score), direction=direction)
    held_back = held(scorer.make, judge(patch(run=ran)))
    assert held_back.gate == "score_out_of_range"
    assert held_back.message.startswith("The score of attempt 2 is not from 0 to 1")


@pytest.mark.parametrize(
    "judged",
    [
        judge(patch()),
        judge(patch(run=run())),
        judge(patch(run=run(attempt(None, 0.5), attempt("", 0.4)))),
        judge(patch(run=LADDER), "reject"),
        judge(patch(run=LADDER, rating=4), "edit", revision=("diff", DIFF + "+"), rating=4),
    ],
    ids=["no run", "no attempt", "no script", "rejected", "edited diff"],
)
def test_nothing_comes_of_it(judged: Judged) -> None:
    assert list(scorer.make(judged, {})) == []


# ------------------------------------------------------------------------------------------------ ratings


@pytest.mark.parametrize(("rating", "score"), [(1, 0.0), (2, 0.25), (3, 0.5), (4, 0.75), (5, 1.0)])
@pytest.mark.parametrize("verdict", ["accept", "edit", "reject"])
def test_a_rating_is_a_score_whatever_the_verdict(rating: int, score: float, verdict: str) -> None:
    [made] = examples(scorer.make, judge(patch(), verdict, rating=rating))
    assert made.dataset is scorer.RATING
    assert made.id == f"rating-regression-{'5c' * 10}"
    assert made.values == {"text": SCRIPT, "score": score}
    assert (made.answer, set(made.places), made.evidence) == ("script", {"script"}, f"Rated {rating} of 5.")


@pytest.mark.parametrize("rating", [None, 0, 6, -1, True, 3.5, "4"])
def test_anything_else_is_no_rating(rating: object) -> None:
    assert list(scorer.make(judge(patch(), rating=rating), {})) == []


def test_a_reviewer_rates_the_edit_and_the_log_rated_what_it_logged() -> None:
    edit: dict[str, Any] = {"verdict": "edit", "revision": ("script", "import re\n")}
    [reviewer] = examples(scorer.make, judge(patch(rating=2), **edit, rating=5))
    assert (reviewer.values, reviewer.answer) == ({"text": "import re\n", "score": 1.0}, "edited_script")
    [log] = examples(scorer.make, judge(patch(rating=2), **edit, rating=2))
    assert (log.values, log.answer) == ({"text": SCRIPT, "score": 0.25}, "script")


@pytest.mark.parametrize(
    ("candidate", "gate"),
    [
        (patch(script=None, script_hash="-0x1f"), "hash_only"),
        (patch(script=None), "empty"),
        (patch(script=" \n", script_hash="-0x1f"), "empty"),
    ],
)
def test_a_rated_patch_without_a_script_is_held_back(candidate: object, gate: str) -> None:
    held_back = held(scorer.make, judge(candidate, rating=4))  # type: ignore[arg-type]
    assert (held_back.dataset, held_back.gate) == (scorer.RATING, gate)


@given(hostile(Kind.PATCH))
def test_whatever_a_log_says_the_rows_are_sound(judged: Judged) -> None:
    check_sound(scorer.make, judged)
    for one in scorer.make(judged, {}):
        if isinstance(one, Example) and one.dataset is not scorer.PAIRS:
            assert 0 <= one.values["score"] <= 1  # type: ignore[operator]
        elif isinstance(one, Example):
            assert 0 < one.values["margin"] <= 1  # type: ignore[operator]
