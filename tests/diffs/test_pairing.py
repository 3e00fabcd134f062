from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.diffs.intraline import intraline, whitespace_change
from app.diffs.pairing import align, side_by_side
from app.diffs.parse import parse
from tests.diffs.texts import ODD_TEXTS, with_header

_LINES = st.lists(st.text(alphabet="ab =(", max_size=8), min_size=1, max_size=8)


def test_lines_pair_by_likeness_not_by_position() -> None:
    old = ["first = load(path)", "second = parse(first)"]
    new = ["import json", "first = load(name)", "", "second = parse(first, strict=True)"]
    assert align(old, new) == [(0, 1), (1, 3)]


def test_unlike_lines_do_not_pair() -> None:
    assert align(["import os", "return None"], ["class Spam:", "@property"]) == []


def test_one_line_against_one_is_always_a_pair() -> None:
    assert align(["a"], ["zzzz"]) == [(0, 0)]


def test_a_large_block_pairs_by_likeness_too() -> None:
    old = [f"value_{n} = load({n})" for n in range(300)]
    assert align(old, [line.replace("load", "read") for line in old]) == [(i, i) for i in range(300)]
    assert align(old, ["return"] * 200) == []


@given(_LINES, _LINES)
@settings(max_examples=200, deadline=None)
def test_pairs_never_cross(old: list[str], new: list[str]) -> None:
    pairs = align(old, new)
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(pairs))
    assert all(0 <= i < len(old) and 0 <= j < len(new) for i, j in pairs)


@given(ODD_TEXTS)
@settings(max_examples=200, deadline=None)
def test_every_step_of_a_hunk_stands_in_one_row_a_side_in_order(text: str) -> None:
    for hunk in parse(text).hunks:
        rows = side_by_side(hunk)
        left = [row.left for row in rows if row.left >= 0]
        right = [row.right for row in rows if row.right >= 0]
        assert left == sorted(set(left))
        assert right == sorted(set(right))
        assert set(left) | set(right) == set(range(len(hunk.ops)))


def test_a_side_by_side_row_holds_a_line_and_what_became_of_it() -> None:
    hunk = parse(with_header("@@ -1,3 +1,4 @@\n a\n-value = one\n-gone\n+new = 1\n+value = two\n+c\n")).hunks[0]
    assert side_by_side(hunk) == [(0, 0, False), (-1, 3, False), (1, 4, True), (2, 5, False)]


@pytest.mark.parametrize(
    ("old", "new", "old_words", "new_words"),
    [
        ("x = foo(1)", "x = bar(1)", ["foo"], ["bar"]),
        ("return getattr(a, b)", "return getattr(a, b, None)", [], [", None"]),
        ("call(a, b)", "call(b)", ["a, "], []),
        ("for i in range(10): use(i)", "for j in range(12): use(j)", ["i", "10", "i"], ["j", "12", "j"]),
        ("a = 1", "completely different", [], []),
        ("same", "same", [], []),
        ("x = '" + "y" * 1200 + "'", "x = '" + "z" * 1200 + "'", [], []),
    ],
)
def test_whole_words_are_marked(old: str, new: str, old_words: list[str], new_words: list[str]) -> None:
    left, right = intraline(old, new)
    assert [old[start:end] for start, end in left] == old_words
    assert [new[start:end] for start, end in right] == new_words


@given(st.text(alphabet="ab1 =(,\r\t", max_size=30), st.text(alphabet="ab1 =(,\r\t", max_size=30))
@settings(max_examples=300, deadline=None)
def test_what_is_not_marked_is_equal(old: str, new: str) -> None:
    left, right = intraline(old, new)
    if left or right:
        assert _without(old, left) == _without(new, right)


def _without(line: str, spans: list[tuple[int, int]]) -> str:
    return "".join(char for i, char in enumerate(line) if not any(start <= i < end for start, end in spans))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  a", "      a", "indented by 4"),
        ("      a", "  a", "dedented by 4"),
        ("\ta", "        a", "tabs and spaces exchanged"),
        ("a", "a  ", "white space at the end"),
        ("a\r", "a", "line end changed"),
        ("a b", "a  b", "white space changed"),
        ("a", "b", ""),
    ],
)
def test_a_change_of_white_space_alone_is_named(old: str, new: str, said: str) -> None:
    assert whitespace_change(old, new) == said
