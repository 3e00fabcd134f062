"""The refiner's recipe: a sample and its draft, and the fingerprint as it stands."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given

from app.candidates import Candidate, Kind, StyleRefine
from app.recipes import divot5_refiner
from app.recipes.judged import Judged
from app.recipes.prompt import ABSENT, shipped
from tests.recipes.judgements import check_sound, examples, held, hostile, judge

DRAFT = {"indent": 4, "quotes": "double", "linelen": None, "snake_pct": 0.92, "docstyle": "plain?", "error": "cut"}
REFINED = '"indent": 4, "quotes": "double"'
SAMPLE = StyleRefine('def f():\n    return "é"\n', DRAFT, REFINED)


def style(**changed: object) -> Candidate:
    return Candidate(Kind.STYLE_REFINE, "divot5", refine=replace(SAMPLE, **changed))  # type: ignore[arg-type]


def drawn(draft: Mapping[str, object]) -> str:
    [(_, _, values)] = divot5_refiner.gaps(judge(style(draft=draft)))
    return values["draft"]


def test_the_fingerprint_is_the_target_character_by_character() -> None:
    [made] = examples(divot5_refiner.make, judge(style()))
    assert made.dataset is divot5_refiner.REFINED
    assert made.id == f"style-seq2seq-{'5c' * 10}"
    assert made.values["target"] == REFINED
    assert (made.recipe, made.templates, made.answer) == ("divot5_refiner/1", ("divot5_refiner/1",), "refined")
    assert made.places == {"snippet", "draft", "refined"}


def test_the_sample_and_its_draft_are_asked_without_errors_and_nulls() -> None:
    [(title, name, values)] = divot5_refiner.gaps(judge(style()))
    assert (title, name) == ("Refined fingerprint", "divot5_refiner")
    assert values["draft"] == '"indent": 4, "quotes": "double", "snake_pct": 0.92, "docstyle": "plain?"'
    assert values["snippet"] == SAMPLE.snippet
    [made] = examples(divot5_refiner.make, judge(style()))
    assert made.values["source"] == shipped()["divot5_refiner"].fill(values)


def test_pairs_stand_in_the_order_of_the_log_with_letters_and_numbers_as_they_are() -> None:
    assert drawn({"é": "ü", "a": [1, {"b": None}], "n": 10**30, "x": 1e-07, "t": True}) == (
        f'"é": "ü", "a": [1, {{"b": null}}], "n": {10**30}, "x": 1e-07, "t": true'
    )


def test_a_draft_that_failed_is_visibly_absent() -> None:
    [made] = examples(divot5_refiner.make, judge(style(draft={"indent": None, "error": "no JSON"})))
    assert ABSENT in made.text("source")


def test_an_edited_fingerprint_is_the_target() -> None:
    [made] = examples(divot5_refiner.make, judge(style(), "edit", revision=("refined", '"indent": 2')))
    assert (made.values["target"], made.answer) == ('"indent": 2', "edited_refined")


def test_a_draft_that_needed_no_change_may_stand_in_the_question() -> None:
    [made] = examples(divot5_refiner.make, judge(style(draft={"indent": 4, "quotes": "double"})))
    assert made.text("target") in made.text("source")
    assert made.may_repeat


@pytest.mark.parametrize(
    "judged",
    [
        judge(style(refined=" \n")),
        judge(style(), "edit", revision=("refined", "")),
        judge(style(snippet="\n")),
    ],
)
def test_an_empty_side_is_held_back(judged: Judged) -> None:
    assert held(divot5_refiner.make, judged)[:2] == (divot5_refiner.REFINED, "empty")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {("a",): 1}, 10**5000, {1, 2}], ids=range(5))
def test_a_draft_that_json_cannot_say_is_held_back(value: object) -> None:
    assert held(divot5_refiner.make, judge(style(draft={"indent": value}))).gate == "draft_unreadable"


def test_a_draft_without_a_bottom_is_held_back() -> None:
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert held(divot5_refiner.make, judge(style(draft=deep))).gate == "draft_unreadable"


@pytest.mark.parametrize("judged", [judge(style(), "reject"), judge(Candidate(Kind.SPEC, "t5"))])
def test_nothing_comes_of_it(judged: Judged) -> None:
    assert list(divot5_refiner.make(judged, shipped())) == []


def test_a_patch_asks_nothing() -> None:
    assert divot5_refiner.gaps(judge(Candidate(Kind.PATCH, "G6"))) == []


@given(hostile(Kind.STYLE_REFINE))
def test_whatever_a_log_says_the_rows_are_sound(judged: Judged) -> None:
    check_sound(divot5_refiner.make, judged)
