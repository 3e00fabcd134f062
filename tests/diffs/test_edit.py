import re
from collections.abc import Sequence
from itertools import compress

import pytest
import unidiff.patch
from hypothesis import given, settings
from hypothesis import strategies as st

from app.diffs.apply import Image, forward, reverse
from app.diffs.edit import diff_texts, find_sides, new_sides, normalise_edit, rebuild, replace_files, side_text
from app.diffs.parse import body_of, parse, text_of
from app.errors import BadInputError
from tests.diffs.texts import ODD_TEXTS, SAMPLES, SMALL_TEXTS, with_header

_ANY = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=40)
_TWO_HUNKS = with_header("@@ -1,2 +1,2 @@\n a\n-b\n+c\n@@ -9,2 +9,2 @@ tail\n x\n-y\n+z\n")


def _through_a_form(text: str) -> str:
    """What a browser sends back of a text that it was given in a textarea and that nobody touched."""
    shown = re.sub("[\x00\ud800-\udfff]", "\ufffd", re.sub("\r\n|\r", "\n", text))
    return shown.removeprefix("\n").replace("\n", "\r\n")


@given(_ANY | SMALL_TEXTS)
@settings(max_examples=300, deadline=None)
def test_a_form_that_nobody_touched_changes_no_byte(text: str) -> None:
    assert normalise_edit(text, _through_a_form(text)) == text
    assert normalise_edit(text, text) == text


@pytest.mark.parametrize(
    ("original", "submitted", "edited"),
    [
        ("a\nb\n", "a\r\nB\r\n", "a\nB\n"),
        ("a\r\nb\r\n", "a\nB\n", "a\r\nB\r\n"),
        ("a\r\nb\r\n", "a\r\nB\r\n", "a\r\nB\r\n"),
        ("a\r\nb\nc\n", "a\r\nb\r\nC\r\n", "a\r\nb\nC\n"),
        ("a\r\nb\r\nc\n", "a\nx\nb\nc\n", "a\r\nx\r\nb\r\nc\n"),
        ("a\rb\n", "a\r\nb\r\nc\r\n", "a\rb\nc\n"),
        ("a\nb", "a\r\nb\r\n", "a\nb\n"),
        ("a", "b\r\nc", "b\nc"),
        ("a\n", "a\fb\n", "a\fb\n"),
        ("a\nb\n", "", ""),
    ],
)
def test_an_edit_keeps_the_line_ends_of_the_original(original: str, submitted: str, edited: str) -> None:
    assert normalise_edit(original, submitted) == edited


@pytest.mark.parametrize("typed", ["\0", "\ud800"])
def test_what_no_file_can_hold_is_refused_with_its_place(typed: str) -> None:
    with pytest.raises(BadInputError) as error:
        normalise_edit("a\nb\n", f"a\nbc{typed}\n")
    assert error.value.where == "line 2, column 3"
    doc = parse(_TWO_HUNKS)
    with pytest.raises(BadInputError, match="Line 1, column 1"):
        rebuild(doc, [f"{typed}\n", "x\nz\n"])


def test_an_untouched_line_may_keep_what_nobody_could_type() -> None:
    assert normalise_edit("a\0\nb\n", "a\0\nc\n") == "a\0\nc\n"


@given(ODD_TEXTS, st.booleans())
@settings(max_examples=300, deadline=None)
def test_untouched_sides_give_the_same_text(text: str, snippet: bool) -> None:
    doc = parse(text, snippet)
    assert rebuild(doc, [hunk.text for hunk in new_sides(doc)]) == text


@pytest.mark.parametrize("name", SAMPLES)
def test_an_edited_sample_is_a_sound_diff_that_leaves_the_other_hunks_alone(name: str) -> None:
    doc = parse(SAMPLES[name], snippet="-cut" in name)
    sides = [hunk.text for hunk in new_sides(doc)]
    edited = ["# edited\n# twice\n" + sides[0], *sides[1:]]
    again = parse(rebuild(doc, edited))
    assert not any(hunk.counts_wrong for hunk in again.hunks)
    assert side_text(again.hunks[0], new=True) == edited[0]
    assert side_text(again.hunks[0], new=False) == side_text(doc.hunks[0], new=False)
    for before, after in zip(doc.hunks[1:], again.hunks[1:], strict=True):
        assert after.new_start == (before.new_start or 0) + 2
        assert after.old_start == before.old_start
        assert after.ops == before.ops


def test_an_edit_that_adds_lines_moves_the_hunks_after_it() -> None:
    text = rebuild(parse(_TWO_HUNKS), ["a\nc\nd\n", "x\nz\n"])
    assert text == with_header("@@ -1,2 +1,3 @@\n a\n-b\n+c\n+d\n@@ -9,2 +10,2 @@ tail\n x\n-y\n+z\n")
    assert unidiff.patch.PatchSet(text)[0].added == 3


def test_a_hunk_whose_change_is_taken_back_is_dropped() -> None:
    doc = parse(_TWO_HUNKS)
    assert rebuild(doc, ["a\nb\n", "x\nz\n"]) == with_header("@@ -9,2 +9,2 @@ tail\n x\n-y\n+z\n")
    assert rebuild(doc, ["a\nb\n", "x\ny\n"]) == ""


def test_a_final_line_end_that_was_there_is_put_back() -> None:
    assert rebuild(parse(_TWO_HUNKS), ["a\nd", "x\nz\n"]).startswith(with_header("@@ -1,2 +1,2 @@\n a\n-b\n+d\n@@"))


def test_a_file_without_final_newline_stays_marked() -> None:
    doc = parse(with_header("@@ -1,2 +1,2 @@\n a\n-b\n+c\n\\ No newline at end of file\n"))
    assert new_sides(doc)[0].text == "a\nc"
    text = rebuild(doc, ["a\nd"])
    assert text == with_header("@@ -1,2 +1,2 @@\n a\n-b\n+d\n\\ No newline at end of file\n")


def test_an_edit_of_a_new_file_counts_from_line_one() -> None:
    doc = parse("--- /dev/null\n+++ b/x.py\n@@ -0,0 +1 @@\n+a\n")
    assert rebuild(doc, ["a\nb\n"]) == "--- /dev/null\n+++ b/x.py\n@@ -0,0 +1,2 @@\n+a\n+b\n"


def test_an_edited_cut_hunk_still_says_that_it_is_cut() -> None:
    doc = parse(SAMPLES["flask-cut.diff"], snippet=True)
    sides = [hunk.text for hunk in new_sides(doc)]
    text = rebuild(doc, [*sides[:-1], "# edited\n" + sides[-1]])
    again = parse(text)
    assert again.truncated
    assert (again.hunks[-1].lacking_old, again.hunks[-1].lacking_new) == (1, 1)


def test_a_form_with_too_few_hunks_is_refused() -> None:
    with pytest.raises(BadInputError, match="2 hunks, but 1 texts"):
        rebuild(parse(_TWO_HUNKS), ["a\n"])


def test_the_difference_of_two_texts_is_written_as_git_does() -> None:
    assert diff_texts("a\n", "b\n", "x.py") == with_header("@@ -1 +1 @@\n-a\n+b\n")
    assert diff_texts("", "b", "x.py") == with_header("@@ -0,0 +1 @@\n+b\n\\ No newline at end of file\n")
    assert diff_texts("a", "a", "x.py") == ""


def test_far_apart_changes_stand_in_hunks_of_their_own() -> None:
    lines = [f"{n}\n" for n in range(30)]
    doc = parse(diff_texts("".join(lines), "".join(["x\n", *lines[1:-1], "y\n"]), "x.py"))
    assert [(h.old_start, h.old_len, h.new_start, h.new_len) for h in doc.hunks] == [(1, 4, 1, 4), (27, 4, 27, 4)]


@given(SMALL_TEXTS, SMALL_TEXTS)
@settings(max_examples=300, deadline=None)
def test_a_written_diff_reads_back_and_leads_from_the_old_text_to_the_new(old: str, new: str) -> None:
    text = diff_texts(old, new, "x.py")
    doc = parse(text)
    assert text_of(doc) == text
    assert doc.warnings == (() if text else ("The diff is empty.",))
    assert _applied(old, text) == new


@st.composite
def _changes(draw: st.DrawFn) -> tuple[list[tuple[str, str, str]], list[list[bool]]]:
    """Files before and after changes that stand apart, and which of their hunks are kept."""
    files, kept = [], []
    for name in ("x.py", "y.txt")[: draw(st.integers(1, 2))]:
        lines = draw(st.lists(st.sampled_from(["a\n", "b\n", "c\r\n", "\n", "-- d\n", "+e\f\n"]), max_size=60))
        lines += draw(st.sampled_from([[], ["end"]]))
        new = list(lines)
        for at in sorted(draw(st.sets(st.integers(0, max(len(lines) // 9, 1)), min_size=1, max_size=6)), reverse=True):
            new[at * 9 : at * 9 + draw(st.integers(0, 2))] = draw(st.lists(st.sampled_from(["A\n", "b\n"]), max_size=3))
        old_text, new_text = "".join(lines), "".join(new)
        if old_text != new_text:
            files.append((name, old_text, new_text))
            n = len(parse(diff_texts(old_text, new_text, name)).hunks)
            kept.append(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    return files, kept


@given(_changes())
@settings(max_examples=300, deadline=None)
def test_the_kept_hunks_alone_make_a_sound_diff_that_gives_exactly_them(
    made: tuple[list[tuple[str, str, str]], list[list[bool]]],
) -> None:
    files, kept = made
    diffs = {name: diff_texts(old, new, name) for name, old, new in files}
    doc = parse("".join(diffs.values()))
    keeps = [one for file in kept for one in file]
    sides = [side.text if keep else None for side, keep in zip(new_sides(doc), keeps, strict=True)]

    text = rebuild(doc, sides)

    again = parse(text)
    assert again.warnings == (() if any(keeps) else ("The diff is empty.",))
    kept_hunks = [hunk for hunk, keep in zip(doc.hunks, keeps, strict=True) if keep]
    assert [list(body_of(hunk)) for hunk in again.hunks] == [list(body_of(hunk)) for hunk in kept_hunks]
    assert len(again.files) == sum(any(file) for file in kept)
    for (name, old, _), keep in zip(files, kept, strict=True):
        if any(keep):
            changed = _applied(old, diffs[name], keep)
            # Without a word of a hunk that was found elsewhere: both starts are true.
            assert forward(text, old, name) == Image(changed)
            assert reverse(text, changed, name) == Image(old)
    if any(keeps):
        assert find_sides(doc, again) is not None
        assert rebuild(doc, find_sides(doc, again) or []) == text


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_without_one_of_its_hunks_is_no_odder_than_before(name: str) -> None:
    doc = parse(SAMPLES[name], snippet="-cut" in name)
    sides = [hunk.text for hunk in new_sides(doc)]
    for dropped in range(len(sides)):
        again = parse(rebuild(doc, [*sides[:dropped], None, *sides[dropped + 1 :]]))
        assert [list(body_of(hunk)) for hunk in again.hunks] == [
            list(body_of(hunk)) for n, hunk in enumerate(doc.hunks) if n != dropped
        ]
        assert not any(hunk.counts_wrong for hunk in again.hunks)


def test_wrong_counts_are_set_right_once_a_hunk_is_dropped() -> None:
    doc = parse(with_header("@@ -1,9 +1,9 @@\n a\n-b\n+c\n@@ -19,2 +19,2 @@\n x\n-y\n+z\n"))
    assert doc.hunks[0].counts_wrong
    text = rebuild(doc, ["a\nc\n", None])
    assert text == with_header("@@ -1,2 +1,2 @@\n a\n-b\n+c\n")


@pytest.mark.parametrize(
    ("header", "left"),
    [
        ("--- /dev/null\n+++ b/x.py\n", ""),
        ("diff --git a/x.py b/x.py\nnew file mode 100644\n--- /dev/null\n+++ b/x.py\n", ""),
        ("--- x.py (before)\n+++ x.py (after)\n", ""),
        (
            "diff --git a/x.py b/y.py\nrename from x.py\nrename to y.py\n--- a/x.py\n+++ b/y.py\n",
            "diff --git a/x.py b/y.py\nrename from x.py\nrename to y.py\n",
        ),
    ],
)
def test_a_file_without_hunks_goes_unless_its_header_says_more(header: str, left: str) -> None:
    assert rebuild(parse(f"{header}@@ -0,0 +1 @@\n+a\n"), [None]) == left


@given(SMALL_TEXTS, SMALL_TEXTS, SMALL_TEXTS)
@settings(max_examples=300, deadline=None)
def test_a_file_written_anew_leads_to_the_edited_text(old: str, new: str, edited: str) -> None:
    kept = "--- a/y.py\n+++ b/y.py\n@@ -1 +1 @@\n-k\n+l\n"
    if old == new:
        return
    text = replace_files(parse(diff_texts(old, new, "x.py") + kept), {0: (old, edited)})
    assert text.endswith(kept)
    assert parse(text).warnings == ()
    if old == edited:
        assert text == kept
    else:
        assert forward(text, old, "x.py") == Image(edited)


def test_two_changes_far_apart_in_a_large_file_stay_two() -> None:
    lines = [f"line {n}\n" for n in range(9_000)]
    doc = parse(diff_texts("".join(lines), "".join(["x\n", *lines[1:-1], "y\n"]), "x.py"))
    assert [hunk.n_added for hunk in doc.hunks] == [1, 1]


def _applied(old: str, diff: str, kept: Sequence[bool] | None = None) -> str:
    """The new text, put together from the old one and the hunks, or those that are kept, by their numbers alone."""
    lines = old.split("\n")
    out: list[str] = []
    at = 0
    hunks = parse(diff).hunks
    for hunk in compress(hunks, kept or [True] * len(hunks)):
        start = (hunk.old_start or 0) - (1 if hunk.old_len else 0)
        out += [line + "\n" for line in lines[at:start]]
        out.append(side_text(hunk, new=True))
        at = start + (hunk.old_len or 0)
    rest = lines[at:]
    return "".join(out) + "\n".join(rest)
