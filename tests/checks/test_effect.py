"""Diffs that change no code. Those that name a project are from its history (BSD-3-Clause)."""

import pytest

from app import checks
from app.candidates import Severity
from tests.checks.examples import patch
from tests.checks.test_added import hunk


def found(*lines: str) -> list[tuple[str, str]]:
    candidate = patch(diff=hunk(*lines, before=20), target_files=("src/core.py",))
    return [(one.code, one.place) for one in checks.run(candidate)]


LAYOUT = [
    # encode/starlette, starlette/applications.py
    ["     super().__init__(", "-        handler, debug=debug,", "+        handler, debug=debug", "     )"],
    ["     x = 1", "-    return Response(", "-        codes.SEE_OTHER, headers=headers", "-    )",
     "+    return Response(codes.SEE_OTHER, headers=headers)"],
    [" x = 1", "-a = 'b'", '+a = "b"'],
    [" def f():", "-    a = 1 ", "+    a = 1"],
    ["-def f():", "-  a = 1", "+def f():", "+    a = 1"],
]  # fmt: skip
TEXT = [
    ["-    # file (or text)", "+    # file (or bytes)", "     FileContent = Union[str, bytes]"],
    ["-    x = f()  # type: ignore", "+    x = f()", "     return x"],
    # pallets/click, click/types.py: the hunk stands in a docstring whose quotes are not in it.
    ["     to the command line, and it will be opened for the caller.", "     ",
     "-    Starting with Click 2.0 files can also be opened atomically in which",
     "+    Starting with click 2.0 files can also be opened atomically in which",
     "     case all writes go into a separate file in the same folder and upon",
     "     completion the file will be moved over to the original location."],
    [" def get(self):", '-    """A plain object."""', '+    """A plain object. Used as a namespace.', "+", '+    """',
     "     return self"],
]  # fmt: skip
CODE = [
    [" def f():", "-    a = 1", "+a = 1"],
    [" def f():", "     if a:", "         b()", "-        c()", "+    c()"],
    [" x = 1", "-a = (b,)", "+a = (b)"],
    [" x = 1", "-a = b'c'", "+a = 'c'"],
    [" x = 1", "-    # a()", "+    a()"],
    [" x = 1", '-TEXT = """a"""', '+TEXT = """b"""'],
    [" x = 1", '-say("a")', '+say("b")'],
]


@pytest.mark.parametrize("lines", LAYOUT)
def test_a_diff_that_only_lays_out_anew_says_so(lines: list[str]) -> None:
    assert [code for code, _ in found(*lines)] == ["format_only"]


@pytest.mark.parametrize("lines", TEXT)
def test_a_diff_of_comments_and_docstrings_says_so(lines: list[str]) -> None:
    assert [code for code, _ in found(*lines)] == ["docs_only"]


@pytest.mark.parametrize("lines", CODE)
def test_a_diff_that_changes_code_says_neither(lines: list[str]) -> None:
    assert found(*lines) == []


def test_the_claim_is_a_note_at_the_first_line_that_changes() -> None:
    (one,) = checks.run(patch(diff=hunk(*TEXT[2], before=20), target_files=("src/core.py",)))

    assert (one.severity, one.place) == (Severity.NOTE, "diff:6")


def test_a_diff_that_was_cut_or_holds_more_than_python_says_neither() -> None:
    diff = hunk(*LAYOUT[2])
    cut, mixed = diff[:-4], diff + hunk(" a", "-b", "+c", name="a.txt")

    for text in (cut, mixed):
        codes = {one.code for one in checks.run(patch(diff=text, target_files=()))}
        assert not codes & {"format_only", "docs_only"}
