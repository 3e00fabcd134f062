"""The core predictor's recipe: what is counted before the run, and whose patch was accepted."""

import pytest
from hypothesis import given

from app.candidates import Kind
from app.recipes import core_predictor
from app.recipes.judged import Judged
from tests.recipes.judgements import attempt, check_sound, examples, held, hostile, judge, patch, run


def features(**more: object) -> dict[str, int]:
    [made] = examples(core_predictor.make, judge(patch(**more)))
    found = made.values["features"]
    assert isinstance(found, dict)
    return found


def test_an_accepted_patch_says_which_core_made_it() -> None:
    [made] = examples(core_predictor.make, judge(patch()))
    assert made.dataset is core_predictor.CORE
    assert made.id == f"core-classification-{'5c' * 10}"
    assert made.values["core"] == "LLMCore"
    assert (made.recipe, made.templates, made.answer) == ("core_predictor/1", (), "patch_source")
    assert made.evidence == "The patch source is 'LLMCore_polish_iteration_1'."


def test_no_text_goes_in_so_no_finding_holds_it_back() -> None:
    [made] = examples(core_predictor.make, judge(patch()))
    assert made.places == frozenset()


def test_features_stand_in_the_order_of_the_list_and_each_is_explained() -> None:
    assert list(features()) == [one.name for one in core_predictor.FEATURES]
    assert len(core_predictor.FEATURES) == 23
    assert all(one.meaning.endswith(".") for one in core_predictor.FEATURES)


def test_operations_are_counted_by_name_up_to_five() -> None:
    many = [{"name": "add_import"}] * 7 + [
        "add_function",
        "add_function",
        {"name": "no_such"},
        {"target": "x"},
        3,
        None,
    ]
    found = features(operations=tuple(many))
    assert (found["op_add_import"], found["op_add_function"], found["n_operations"]) == (5, 2, 13)
    assert sum(value for name, value in found.items() if name.startswith("op_")) == 7


@pytest.mark.parametrize("name", [None, 3, ["add_import"], {"name": "add_import"}, True])
def test_a_name_that_is_no_text_counts_as_an_operation_only(name: object) -> None:
    found = features(operations=({"name": name},))
    assert found["n_operations"] == 1
    assert not any(value for key, value in found.items() if key.startswith("op_"))


@pytest.mark.parametrize(
    ("issue", "characters", "lines"), [("Fix é", 5, 1), ("a\nb\n", 4, 2), ("", 0, 0), ("N/A", 0, 0), ("a\u2028b", 3, 1)]
)
def test_the_size_of_the_issue_is_known_before_the_run(issue: str, characters: int, lines: int) -> None:
    found = features(issue=issue, target_files=("a", "b"))
    assert (found["n_issue_characters"], found["n_issue_lines"], found["n_target_files"]) == (characters, lines, 2)


def test_nothing_that_only_the_run_shows_is_a_feature() -> None:
    longer = {"diff": None, "script": "x" * 100, "rating": 5, "run": run(attempt("a", 0.5), attempt("b", 0.9))}
    assert features(**longer) == features()


@pytest.mark.parametrize(
    ("source", "core"),
    [
        ("LLMCore", "LLMCore"),
        ("LLMCore_polish_iteration_2", "LLMCore"),
        ("LLMCore-polish", "LLMCore"),
        ("DiffusionCore_expansion_v1", "DiffusionCore"),
    ],
)
def test_the_patch_source_begins_with_the_core(source: str, core: str) -> None:
    [made] = examples(core_predictor.make, judge(patch(patch_source=source)))
    assert made.values["core"] == core


@pytest.mark.parametrize("source", ["Unknown", "", "0", "my LLMCore", "llmcore_polish", "LLMCore2", "\ud800" * 99])
def test_a_source_that_names_no_core_is_held_back(source: str) -> None:
    held_back = held(core_predictor.make, judge(patch(patch_source=source)))
    assert held_back[:2] == (core_predictor.CORE, "core_unknown")
    held_back.message.encode()


def test_a_patch_of_which_nothing_was_known_is_held_back() -> None:
    bare = patch(issue="", operations=(), target_files=())
    assert held(core_predictor.make, judge(bare)).gate == "empty"


def test_an_edited_patch_counts_and_a_rejected_one_does_not() -> None:
    assert examples(core_predictor.make, judge(patch(), "edit", revision=("script", "import re\n")))
    assert list(core_predictor.make(judge(patch(), "reject"), {})) == []


@given(hostile(Kind.PATCH))
def test_whatever_a_log_says_the_rows_are_sound(judged: Judged) -> None:
    check_sound(core_predictor.make, judged)
