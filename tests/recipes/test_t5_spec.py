"""The spec recipe: what is asked, and the YAML as it stands."""

from dataclasses import replace

import pytest
from hypothesis import given

from app.candidates import Candidate, Kind, SpecPair
from app.recipes import t5_spec
from app.recipes.judged import Judged
from app.recipes.prompt import ABSENT, parse, shipped
from tests.recipes.judgements import check_sound, examples, held, hostile, judge

YAML = "issue_description: Fix x\r\ntarget_files: []  # as logged\n\n"
SPEC = Candidate(Kind.SPEC, "t5", issue="Fix x\n", spec=SpecPair(YAML, "x.f|x.g", "bag"))


def test_the_spec_is_the_target_character_by_character() -> None:
    [made] = examples(t5_spec.make, judge(SPEC))
    assert made.dataset is t5_spec.SPEC
    assert made.id == f"spec-seq2seq-{'5c' * 10}"
    assert made.values["target"] == YAML
    assert (made.recipe, made.templates, made.answer) == ("t5_spec/1", ("t5_spec/1",), "spec")
    assert made.places == {"issue", "symbols", "spec"}
    assert (made.code, made.evidence) == ((), "")


def test_issue_and_symbols_fill_the_template_and_nothing_else_does() -> None:
    [made] = examples(t5_spec.make, judge(SPEC))
    [(title, name, values)] = t5_spec.gaps(judge(SPEC))
    assert (title, name, values) == ("Spec", "t5_spec", {"issue": "Fix x\n", "symbols": "x.f|x.g"})
    assert made.values["source"] == shipped()["t5_spec"].fill(values)
    assert "issue_description" not in made.text("source")


def test_a_project_s_own_template_is_filled_and_named() -> None:
    own = {"t5_spec": parse("t5_spec", "{issue} with {symbols}", version=3)}
    [made] = t5_spec.make(judge(SPEC), own)
    assert made.values["source"] == "Fix x\n with x.f|x.g\n"  # type: ignore[union-attr]
    assert made.templates == ("t5_spec/p3",)  # type: ignore[union-attr]


def test_a_patch_set_s_spec_has_no_symbols_and_says_so() -> None:
    [made] = examples(t5_spec.make, judge(replace(SPEC, spec=SpecPair(YAML, origin="patch_set"))))
    assert ABSENT in made.text("source")


def test_an_edited_spec_is_the_target() -> None:
    [made] = examples(t5_spec.make, judge(SPEC, "edit", revision=("spec", "task: y\n")))
    assert (made.values["target"], made.answer) == ("task: y\n", "edited_spec")


def test_an_issue_that_the_spec_repeats_does_not_tell_the_answer() -> None:
    [made] = examples(t5_spec.make, judge(SPEC))
    assert made.told == ()
    assert not made.may_repeat


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        (judge(replace(SPEC, spec=SpecPair(" \n"))), "The spec is empty"),
        (judge(SPEC, "edit", revision=("spec", "")), "The spec is empty"),
        (judge(replace(SPEC, issue="")), "The log holds no issue"),
        (judge(replace(SPEC, issue=" N/A ")), "The log holds no issue"),
    ],
)
def test_an_empty_side_is_held_back(judged: Judged, said: str) -> None:
    held_back = held(t5_spec.make, judged)
    assert (held_back.dataset, held_back.gate) == (t5_spec.SPEC, "empty")
    assert held_back.message.startswith(said)


def test_a_model_that_answered_nothing_and_a_reviewer_who_did_make_an_example() -> None:
    empty = replace(SPEC, spec=SpecPair(""))
    [made] = examples(t5_spec.make, judge(empty, "edit", revision=("spec", YAML)))
    assert made.values["target"] == YAML


@pytest.mark.parametrize("judged", [judge(SPEC, "reject"), judge(Candidate(Kind.PATCH, "G6", issue="Fix x"))])
def test_nothing_comes_of_it(judged: Judged) -> None:
    assert list(t5_spec.make(judged, shipped())) == []


def test_a_patch_asks_nothing() -> None:
    assert t5_spec.gaps(judge(Candidate(Kind.PATCH, "G6"))) == []


@given(hostile(Kind.SPEC))
def test_whatever_a_log_says_the_rows_are_sound(judged: Judged) -> None:
    check_sound(t5_spec.make, judged)
