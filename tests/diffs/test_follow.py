"""A comment's line through every way in which a text changes: enumerated, on texts and on diffs."""

import itertools

import pytest

from app.diffs.edit import diff_texts
from app.diffs.follow import Followed, How, Kept, follow, follow_in_diff, keep, side_of, spots
from app.diffs.parse import parse

OLD = ["import os", "", "def read(path):", "    file = open(path)", "    return file.read()", "", "done = True"]
LINE = 3
GONE = (None, How.OUTDATED)


@pytest.mark.parametrize(
    ("new", "at", "how"),
    [
        (OLD, 3, How.SAME),
        (["# a", *OLD], 4, How.MOVED),
        ([*OLD, "# a"], 3, How.SAME),
        ([*OLD[:4], "    # a", *OLD[4:]], 3, How.SAME),
        (OLD[1:], 2, How.MOVED),
        ([*OLD[:3], "    with open(path) as file:", *OLD[4:]], 3, How.CHANGED),
        ([*OLD[:3], "    # why", "    file = open(path, 'rb')", *OLD[4:]], 4, How.CHANGED),
        ([*OLD[:3], *OLD[4:]], *GONE),
        ([*OLD[:3], "    raise NotImplementedError", *OLD[4:]], *GONE),
        ([*OLD[:3], *OLD[4:], "def other():", OLD[3]], 7, How.MOVED),
        ([*OLD[:3], "    if path:", "        file = open(path)", *OLD[4:]], 4, How.MOVED),
        ([], *GONE),
    ],
)
def test_a_line_is_followed(new: list[str], at: int | None, how: How) -> None:
    assert follow(keep(OLD, LINE), OLD, new) == Followed(at, how)


def test_of_equal_lines_the_one_that_was_meant_is_followed() -> None:
    """Three equal lines in different surroundings, each followed through insertions, alone or together."""
    block = ["def {}():", "    check()", "    return {}", ""]
    old = [line.format(name, name) if "{}" in line else line for name in "abc" for line in block]
    marked = [1, 5, 9]
    for n_new in range(4):
        for cuts in itertools.combinations(range(0, len(old) + 1, 4), n_new):
            new = list(old)
            for cut in reversed(cuts):
                new[cut:cut] = ["def new():", "    check()", "    return new", ""]
            for at in marked:
                moved = at + 4 * sum(cut <= at for cut in cuts)
                assert follow(keep(old, at), old, new).at == moved, (cuts, at)
                # The surroundings alone say the same, where the text of then is not known any more.
                assert follow(keep(old, at), None, new).at == moved, (cuts, at)


def test_every_line_of_every_insertion_and_deletion_is_where_it_went() -> None:
    old = [f"line {n} of the text" for n in range(6)]
    for start in range(7):
        for n in range(3):
            new = [*old[:start], *(f"put in as {k}" for k in range(n)), *old[start:]]
            for at in range(6):
                assert follow(keep(old, at), old, new).at == at + n * (at >= start)
    for start, stop in itertools.combinations(range(7), 2):
        new = [*old[:start], *old[stop:]]
        for at in range(6):
            found = follow(keep(old, at), old, new).at
            assert found == (None if start <= at < stop else at - (stop - start) * (at >= stop))


def test_what_stands_everywhere_is_not_followed_on_its_looks() -> None:
    assert follow(Kept(1, ")", ("call(",), ("next",)), None, ["other(", ")", "more"]) == GONE
    assert follow(Kept(1, ")", ("call(",), ("next",)), None, ["x", "call(", ")", "more"]) == Followed(2, How.MOVED)
    assert follow(Kept(0, ""), None, ["", ""]) == GONE


BEFORE = "a = 1\nb = 2\nc = 3\nd = 4\ne = 5\n"
AFTER = "a = 1\nb = 20\nc = 3\nd = 4\ne = 50\n"


def test_every_line_of_a_diff_has_its_spot() -> None:
    doc = parse(diff_texts(BEFORE, AFTER, "x.py") + diff_texts("q\n", "r\n", "y.py"))
    text = diff_texts(BEFORE, AFTER, "x.py") + diff_texts("q\n", "r\n", "y.py")
    lines = text.split("\n")

    for one in spots(doc):
        assert lines[one.at - 1][1:] == one.text
        assert lines[one.at - 1][0] in (" +" if one.is_new else " -")
    assert [(one.number, one.text) for one in side_of(doc, "x.py", is_new=True)] == list(
        enumerate(AFTER.splitlines(), 1)
    )
    assert [one.text for one in side_of(doc, "y.py", is_new=False)] == ["q"]


@pytest.mark.parametrize(
    ("after", "is_new", "wanted", "said", "how"),
    [
        (AFTER, True, "b = 20", "b = 20", How.SAME),
        ("a = 1\n# why\nb = 20\nc = 3\nd = 4\ne = 50\n", True, "b = 20", "b = 20", How.MOVED),
        ("a = 1\nb = 21\nc = 3\nd = 4\ne = 50\n", True, "b = 20", "b = 21", How.CHANGED),
        ("a = 1\nb = 2\nc = 3\nd = 4\ne = 50\n", True, "e = 50", "e = 50", How.MOVED),
        ("a = 1\nb = 2\nc = 3\nd = 4\ne = 50\n", False, "b = 2", "b = 2", How.MOVED),
        ("a = 1\nb = 20\nc = 3\nd = 4\n", True, "e = 50", None, How.OUTDATED),
    ],
)
@pytest.mark.parametrize("renamed", ["x.py", "src/x.py", "z.py"])
def test_a_line_of_a_diff_is_followed_through_an_edit_and_a_rename(
    after: str, is_new: bool, wanted: str, said: str | None, how: How, renamed: str
) -> None:
    old, new = parse(diff_texts(BEFORE, AFTER, "x.py")), parse(diff_texts(BEFORE, after, renamed))
    texts = [one.text for one in side_of(old, "x.py", is_new=is_new)]

    spot, found = follow_in_diff(keep(texts, texts.index(wanted)), old, new, "x.py", is_new=is_new)
    assert (spot and spot.text, found) == (said, how)
