"""The unifier's recipe: fingerprints of samples, and one profile in one form."""

import json
from dataclasses import replace

import pytest
from hypothesis import given

from app.candidates import Candidate, Kind, StyleUnify
from app.recipes import divot5_unifier
from app.recipes.judged import Judged
from app.recipes.prompt import shipped
from tests.recipes.judgements import check_sound, examples, held, hostile, judge

SAMPLES = (
    {"weight": 0.2067, "file_path": "x.py", "fingerprint": {"indent": 4, "docstyle": None}, "mod_timestamp": 1.0},
    {"fingerprint": {}, "file_path": "é.py"},
)
PROFILE = '{\n  "indent_width": 4,\n  "error": null,\n  "directory_overrides": {"z/": {"b": 1}, "a/": {}}\n}'
ONE_LINE = '{"directory_overrides": {"a/": {}, "z/": {"b": 1}}, "error": null, "indent_width": 4}'


def style(**changed: object) -> Candidate:
    return Candidate(Kind.STYLE_UNIFY, "divot5", unify=replace(StyleUnify(SAMPLES, PROFILE), **changed))  # type: ignore[arg-type]


def test_the_profile_leaves_on_one_line_with_sorted_keys() -> None:
    [made] = examples(divot5_unifier.make, judge(style()))
    assert made.dataset is divot5_unifier.PROFILE
    assert made.id == f"style-seq2seq-{'5c' * 10}"
    assert made.values["target"] == ONE_LINE
    assert (made.recipe, made.templates, made.answer) == ("divot5_unifier/1", ("divot5_unifier/1",), "unified")
    assert made.places == {"samples", "unified"}
    assert not made.may_repeat


def test_an_edited_profile_takes_the_same_form() -> None:
    revision = ("unified", '{"quotes":"ü",\n"indent_width": 2.50}')
    [made] = examples(divot5_unifier.make, judge(style(), "edit", revision=revision))
    assert (made.values["target"], made.answer) == ('{"indent_width": 2.5, "quotes": "ü"}', "edited_unified")


def test_samples_are_asked_with_what_the_agent_tells_of_them() -> None:
    [(title, name, values)] = divot5_unifier.gaps(judge(style()))
    assert (title, name) == ("Unified profile", "divot5_unifier")
    assert values == {
        "samples": '[{"fingerprint": {"indent": 4, "docstyle": null}, "file_path": "x.py", "weight": 0.2067}, '
        '{"fingerprint": {}, "file_path": "é.py"}]'
    }
    [made] = examples(divot5_unifier.make, judge(style()))
    assert made.values["source"] == shipped()["divot5_unifier"].fill(values)


@pytest.mark.parametrize(
    "judged",
    [
        judge(style(unified="")),
        judge(style(unified=" {} ")),
        judge(style(samples=())),
        judge(style(), "edit", revision=("unified", "\n")),
    ],
)
def test_an_empty_side_is_held_back(judged: Judged) -> None:
    assert held(divot5_unifier.make, judged)[:2] == (divot5_unifier.PROFILE, "empty")


@pytest.mark.parametrize(
    "unified",
    [
        '{"indent_width": 4',
        "indent: 4",
        "[]",
        "null",
        '"{}"',
        '{"a": NaN}',
        '{"a": 1e999}',
        "[" * 200_000,
        f'{{"a": 1{"0" * 5000}}}',
    ],
    ids=range(9),
)
def test_what_is_no_json_object_is_held_back(unified: str) -> None:
    assert held(divot5_unifier.make, judge(style(unified=unified)))[:2] == (divot5_unifier.PROFILE, "unified_not_json")


def test_a_sample_that_json_cannot_say_is_held_back() -> None:
    odd = ({"fingerprint": {"indent": float("nan")}},)
    assert held(divot5_unifier.make, judge(style(samples=odd))).gate == "unified_not_json"


@pytest.mark.parametrize("judged", [judge(style(), "reject"), judge(Candidate(Kind.SPEC, "t5"))])
def test_nothing_comes_of_it(judged: Judged) -> None:
    assert list(divot5_unifier.make(judged, shipped())) == []


def test_a_patch_asks_nothing() -> None:
    assert divot5_unifier.gaps(judge(Candidate(Kind.PATCH, "G6"))) == []


@given(hostile(Kind.STYLE_UNIFY))
def test_whatever_a_log_says_the_rows_are_sound(judged: Judged) -> None:
    check_sound(divot5_unifier.make, judged)
    for one in divot5_unifier.make(judged, shipped()):
        if not isinstance(one, tuple):
            target = one.text("target")
            assert "\n" not in target
            assert json.dumps(json.loads(target), sort_keys=True, ensure_ascii=False) == target
