"""The retriever's recipe: an issue, the code that it meant, and code that it did not mean."""

import pytest
from hypothesis import given

from app.candidates import Kind
from app.recipes import retriever
from app.recipes.judged import Judged
from tests.recipes.judgements import DIFF, check_sound, examples, held, hostile, judge, patch, stranger

TWO = (
    "--- a/x.py\n+++ b/x.py\n@@ -1,3 +1,2 @@\n a\n-\n-b\n+c\n@@ -9,0 +9,1 @@\n+only new\n@@ -20 +20 @@\n-  d\n+  e\n"
    "--- a/y.py\n+++ b/y.py\n@@ -1 +1 @@\n-f\n+g\n"
)
NEW_FILE = "--- /dev/null\n+++ b/x.py\n@@ -0,0 +1,2 @@\n+a\n+b\n"
SENTENCE = "No textual changes detected for 'x.py' after patch application."


def other(number: int, old: str) -> str:
    return f"--- a/x.py\n+++ b/x.py\n@@ -{number} +{number} @@\n-{old}\n+new\n"


def test_the_issue_finds_the_code_as_it_was() -> None:
    [made] = examples(retriever.make, judge(patch()))
    assert made.dataset is retriever.SEARCH
    assert made.id == f"search-contrastive-{'5c' * 10}"
    assert made.values == {"anchor": "Return b", "positive": "def f():\n    return a", "negatives": ()}
    assert (made.recipe, made.templates, made.answer) == ("retriever/1", (), "diff")
    assert made.places == {"issue", "diff"}
    assert made.evidence == "The accepted diff changes this code."


def test_hunks_stand_a_blank_line_apart_and_new_code_is_left_out() -> None:
    [made] = examples(retriever.make, judge(patch(diff=TWO)))
    assert made.values["positive"] == "a\n\nb\n\n  d\n\nf"


def test_an_edited_diff_is_the_one_that_counts() -> None:
    judged = judge(patch(), "edit", revision=("diff", other(1, "was here")))
    [made] = examples(retriever.make, judged)
    assert (made.values["positive"], made.answer) == ("was here", "edited_diff")


def test_an_edited_script_leaves_the_code_that_the_issue_meant() -> None:
    [made] = examples(retriever.make, judge(patch(), "edit", revision=("script", "import re\n")))
    assert (made.values["positive"], made.answer) == ("def f():\n    return a", "diff")


def test_code_of_strangers_is_what_the_issue_did_not_mean() -> None:
    strangers = tuple(stranger(n, other(n, f"line {n}")) for n in range(1, 7))
    [made] = examples(retriever.make, judge(patch(), strangers=strangers))
    assert made.values["negatives"] == ("line 1", "line 2", "line 3", "line 4")
    assert made.evidence == (
        "The accepted diff changes this code; 4 negatives are code of the same file that other issues' patches change."
    )


def test_a_stranger_that_shows_nothing_else_is_passed_over() -> None:
    long = other(1, "x" * 2000)
    strangers = (
        stranger(1, DIFF),
        stranger(2, NEW_FILE),
        stranger(3, None),
        stranger(4, SENTENCE),
        stranger(5, long[:1000] + "...", is_cut=True),
        stranger(6, other(6, "line 6")),
        stranger(7, other(7, "line 6")),
    )
    [made] = examples(retriever.make, judge(patch(), strangers=strangers))
    assert made.values["negatives"] == ("line 6",)
    assert "1 negative is code" in made.evidence


def test_a_diff_that_the_log_cut_shows_what_is_left_of_it() -> None:
    cut = (other(1, "whole line") + "@@ -5 +5 @@\n-" + "x" * 2000)[:1000] + "..."
    [made] = examples(retriever.make, judge(patch(diff=cut, diff_is_snippet=True)))
    assert made.text("positive").startswith("whole line\n\nxxx")
    assert not made.text("positive").endswith(".")


@pytest.mark.parametrize(
    ("judged", "gate"),
    [
        (judge(patch(issue="")), "empty"),
        (judge(patch(issue="N/A")), "empty"),
        (judge(patch(diff=None)), "no_diff"),
        (judge(patch(diff=" \n")), "no_diff"),
        (judge(patch(diff=SENTENCE)), "not_a_diff"),
        (judge(patch(diff=NEW_FILE)), "no_old_code"),
        (judge(patch(diff="diff --git a/x b/y\nrename from x\nrename to y\n")), "no_old_code"),
        (judge(patch(diff=other(1, "  "))), "no_old_code"),
        (judge(patch(), "edit", revision=("diff", NEW_FILE)), "no_old_code"),
        (judge(patch(), "edit", revision=("diff", SENTENCE)), "not_a_diff"),
    ],
)
def test_a_patch_that_shows_no_old_code_is_held_back(judged: Judged, gate: str) -> None:
    assert held(retriever.make, judged)[:2] == (retriever.SEARCH, gate)


def test_nothing_comes_of_a_rejected_patch() -> None:
    assert list(retriever.make(judge(patch(), "reject"), {})) == []


@given(hostile(Kind.PATCH))
def test_whatever_a_log_says_the_rows_are_sound(judged: Judged) -> None:
    check_sound(retriever.make, judged)
    for one in retriever.make(judged, {}):
        if not isinstance(one, tuple):
            negatives = one.values["negatives"]
            assert isinstance(negatives, tuple)
            assert len({*negatives, one.text("positive")}) == len(negatives) + 1 <= 5
            assert all(text.strip() for text in negatives)
