"""Two edits of one text: what does not touch is taken from both, nothing is lost of what does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.diffs.merge import MINE, THEIRS, Merged, find_mark, merge

TEXTS = st.lists(st.sampled_from(["a\n", "b\n", "c\r\n", "\n", "d", "=======\n", "e\f\n"]), max_size=12).map("".join)


@pytest.mark.parametrize(
    ("base", "theirs", "mine", "merged"),
    [
        ("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", Merged("A\nb\nC\n")),
        ("a\nb\nc\n", "a\nb\nc\n", "a\nB\nc\n", Merged("a\nB\nc\n")),
        ("a\nb\nc\n", "a\nB\nc\n", "a\nB\nc\n", Merged("a\nB\nc\n")),
        ("a\nb", "a\nB", "a\nß", Merged("a\n<<<<<<< theirs\nB\n=======\nß\n>>>>>>> yours\n", 1)),
        ("a\nb\nc\n", "a\nc\n", "a\nß\nc\n", Merged("a\n<<<<<<< theirs\n=======\nß\n>>>>>>> yours\nc\n", 1)),
    ],
)
def test_two_edits_are_brought_together(base: str, theirs: str, mine: str, merged: Merged) -> None:
    assert merge(base, theirs, mine) == merged


@given(TEXTS, TEXTS, TEXTS)
@settings(max_examples=300, deadline=None)
def test_no_new_line_of_either_edit_is_lost(base: str, theirs: str, mine: str) -> None:
    merged = merge(base, theirs, mine)

    lines = [line.rstrip("\n") for line in merged.text.split("\n")]
    for text in (theirs, mine):
        for line in set(text.split("\n")) - set(base.split("\n")):
            assert line in lines
    assert (find_mark(merged.text) is not None) is (merged.n_conflicts > 0)
    assert merge(base, base, mine) == Merged(mine)
    assert merge(base, theirs, base) == Merged(theirs)


def test_a_mark_that_was_left_is_found_and_one_of_the_original_is_none() -> None:
    assert find_mark(f"a\n{THEIRS}\r\nb\n") == 2
    assert find_mark("=======\n") is None
    assert find_mark(f"{MINE}\n", f"{MINE}\n") is None
