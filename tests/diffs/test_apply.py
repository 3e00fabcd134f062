"""The text before a change: exactly what was there, or a sentence that says why it cannot be had."""

import difflib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.diffs.apply import Image, forward, reverse
from app.diffs.edit import diff_texts
from app.diffs.parse import parse
from tests.diffs.texts import ODD_TEXTS

LINES = st.sampled_from(["a\n", "b\n", "c\n", "\n", "a+b\n", "-- d\n", "x = 1\r\n", "y\r\n", "end", "a+b+c"])
TEXTS = st.lists(LINES, max_size=25).map("".join) | st.text(alphabet="ab\n+- @\\", max_size=30)
SEPARATED = TEXTS | st.text(alphabet="ab\n\r\f\u2028+- ", max_size=30)


def as_difflib(old: str, new: str, *, n: int = 3) -> str:
    """As the agent makes its diffs: base names, lines by `splitlines`, no marker for a missing line end."""
    lines = (old.splitlines(keepends=True), new.splitlines(keepends=True))
    return "".join(difflib.unified_diff(*lines, "a/x.py", "b/x.py", n=n))


@given(TEXTS, TEXTS)
@settings(max_examples=500, deadline=None)
def test_a_diff_of_difflib_leads_back_to_the_text_before(old: str, new: str) -> None:
    if old != new:
        assert reverse(as_difflib(old, new), new) == Image(old)
        assert forward(as_difflib(old, new), old) == Image(new)


@given(TEXTS, TEXTS)
@settings(max_examples=300, deadline=None)
def test_a_diff_with_markers_leads_back_to_the_text_before(old: str, new: str) -> None:
    if old != new:
        assert reverse(diff_texts(old, new, "x.py"), new) == Image(old)
        assert forward(diff_texts(old, new, "x.py"), old) == Image(new)


@given(SEPARATED, SEPARATED, st.integers(1, 4))
@settings(max_examples=300, deadline=None)
def test_other_line_ends_of_difflib_never_lead_to_another_text(old: str, new: str, n: int) -> None:
    if old != new:
        assert reverse(as_difflib(old, new, n=n), new).text in {old, None}
        assert forward(as_difflib(old, new, n=n), old).text in {new, None}


@given(SEPARATED, SEPARATED, SEPARATED)
@settings(max_examples=300, deadline=None)
def test_a_text_that_has_gone_on_gives_a_reason_or_what_leads_to_it(old: str, new: str, later: str) -> None:
    if old == new:
        return
    diff = as_difflib(old, new)

    before = reverse(diff, later)

    if before.text is None:
        assert before.why.endswith(".")
    elif not before.why:
        assert forward(diff, before.text).text in {later, None}


@given(ODD_TEXTS, ODD_TEXTS)
@settings(max_examples=300, deadline=None)
def test_whatever_comes_in_gives_a_text_or_a_reason(diff: str, text: str) -> None:
    found = reverse(diff, text)

    assert found.text is not None or found.why


OLD = "".join(f"line {n}\n" for n in range(1, 31))
NEW = OLD.replace("line 5\n", "line five\n").replace("line 25\n", "line 25\nand more\n")
DIFF = as_difflib(OLD, NEW)


def test_a_parsed_diff_will_do() -> None:
    assert reverse(parse(DIFF), NEW) == Image(OLD)


def test_a_hunk_that_was_moved_by_changes_elsewhere_is_found_and_said() -> None:
    found = reverse(DIFF, NEW.replace("line 15\n", "line 15\n\n\n"))

    assert found.text == OLD.replace("line 15\n", "line 15\n\n\n")
    assert found.why == "Hunk 2 was found 2 lines below its place in the diff: the file was changed elsewhere, too."
    assert found.hunk == 2


def test_a_hunk_may_also_have_moved_up() -> None:
    found = reverse(DIFF, NEW.removeprefix("line 1\n"))

    assert (found.text, found.hunk) == (OLD.removeprefix("line 1\n"), 1)
    assert "1 line above" in found.why


@pytest.mark.parametrize(
    ("text", "hunk", "why"),
    [
        (
            NEW.replace("line five", "line  five"),
            1,
            "Hunk 1 does not fit: the file was changed after the diff was made",
        ),
        (NEW.replace("line 26", "line 26 "), 2, "Hunk 2 does not fit: the file was changed"),
        (NEW.replace("\n", "\r\n"), 1, "Hunk 1 does not fit"),
        (OLD, 1, "Hunk 1 does not fit"),
        ("", 1, "Hunk 1 does not fit"),
        ("\n" + NEW[:130] * 2, 1, "at several others"),
    ],
)
def test_a_text_that_a_formatter_changed_has_no_text_before(text: str, hunk: int, why: str) -> None:
    found = reverse(DIFF, text)

    assert (found.text, found.hunk) == (None, hunk)
    assert why in found.why


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return 1", "return 2\n"),
        ("return 1", "return 2"),
        ("return 1 + 1", "return 1 + 2\nx"),
        ("a\nb", "a\n"),
        ("a\n", "a\nb"),
        ("a\nb", "c\nb"),
        ("", "a"),
        ("a", ""),
        ("a\r\nb\r\n", "a\r\nc\r\n"),
        ("a\r\nb", "a\nb"),
        ("a\n\fb\nc\n", "a\n\fb\nd\n"),
        ("a\u2028b\n" * 9 + "c\n", "a\u2028b\n" * 9 + "d\n"),
    ],
)
def test_missing_and_odd_line_ends_come_back(old: str, new: str) -> None:
    assert reverse(as_difflib(old, new), new) == Image(old)


def test_a_missing_line_end_that_has_come_since_is_a_change() -> None:
    assert reverse(as_difflib("a\nb", "c\nb"), "c\nb\n").text is None


TWO = "--- a/pkg/x.py\n+++ b/pkg/x.py\n@@ -1 +1 @@\n-a\n+b\n--- a/y.py\n+++ b/y.py\n@@ -1 +1 @@\n-c\n+d\n"


@pytest.mark.parametrize(
    ("diff", "path", "text", "expected"),
    [
        (TWO, "pkg/x.py", "b\n", Image("a\n")),
        (TWO, "src/pkg/x.py", "b\n", Image("a\n")),
        (TWO, "src/y.py", "d\n", Image("c\n")),
        (TWO, "z.py", "d\n", Image(None, "The diff speaks of no file z.py.")),
        (TWO, "", "d\n", Image(None, "The diff speaks of 2 files.")),
        (TWO + TWO, "src/x.py", "d\n", Image(None, "The diff speaks of 2 files x.py.")),
        ("@@ -1 +1 @@\n-a\n+b\n", "x.py", "b\n", Image("a\n")),
        ("--- a/x.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n", "x.py", "", Image("a\n")),
        ("--- /dev/null\n+++ b/x.py\n@@ -0,0 +1 @@\n+a\n", "x.py", "a\n", Image("")),
        ("diff --git a/x.py b/y.py\nrename from x.py\nrename to y.py\n", "y.py", "b\n", Image("b\n")),
        ("--- a/x.py\n+++ b/x.py\n@@ ... @@\n-a\n+b\n", "x.py", "z\nb\n", Image("z\na\n")),
    ],
)
def test_the_file_is_found_by_its_base_name(diff: str, path: str, text: str, expected: Image) -> None:
    assert reverse(diff, text, path) == expected


@pytest.mark.parametrize(
    ("diff", "why"),
    [
        ("", "This is not a diff."),
        ("No textual changes detected for 'x.py' after patch application.", "This is not a diff."),
        (DIFF[:-40], "The diff was cut, so changes are missing."),
        (DIFF + "\n", ""),
        ("--- a/x.py\n+++ b/x.py\n@@ -1,3 +1,3 @@\n-a\n+b\n", "Hunk 1 has other lines than its header claims"),
        ("diff --git a/x b/x\nBinary files a/x and b/x differ\n", "a binary file changed"),
    ],
)
def test_a_diff_that_lacks_something_says_so(diff: str, why: str) -> None:
    found = reverse(diff, NEW)

    assert why in found.why
    assert (found.text is None) == bool(why)
