import difflib

import pytest
import unidiff.patch
from hypothesis import given, settings
from hypothesis import strategies as st

from app.diffs.edit import side_text
from app.diffs.parse import ADDED, BARE, CONTEXT, MARKER, REMOVED, Status, parse, text_of
from tests.diffs.texts import ODD_TEXTS, SAMPLES, SMALL_TEXTS, with_header


@given(ODD_TEXTS, st.booleans())
@settings(max_examples=400, deadline=None)
def test_no_character_of_any_text_is_dropped_or_invented(text: str, snippet: bool) -> None:
    assert text_of(parse(text, snippet)) == text


@pytest.mark.parametrize("name", SAMPLES)
def test_a_logged_diff_comes_back_whole(name: str) -> None:
    text = SAMPLES[name]
    doc = parse(text, snippet="-cut" in name)
    assert text_of(doc) == text
    assert [file.path for file in doc.files] == [text.split("\n", 1)[0].removeprefix("--- a/")]


@pytest.mark.parametrize("name", [name for name in SAMPLES if "-cut" not in name and "-glued" not in name])
def test_a_second_parser_counts_the_same_lines(name: str) -> None:
    ours, theirs = parse(SAMPLES[name]).files[0], unidiff.patch.PatchSet(SAMPLES[name])[0]
    assert (ours.n_added, ours.n_removed, len(ours.hunks)) == (theirs.added, theirs.removed, len(theirs))
    assert [(h.old_start, h.old_len, h.new_start, h.new_len) for h in ours.hunks] == [
        (h.source_start, h.source_length, h.target_start, h.target_length) for h in theirs
    ]


def test_a_hunk_is_two_sides_and_the_steps_between_them() -> None:
    hunk = parse(with_header("@@ -3,2 +3,2 @@ def f():\n a\n-b\n+c\n")).hunks[0]
    assert (hunk.old_start, hunk.old_len, hunk.new_start, hunk.new_len, hunk.section) == (3, 2, 3, 2, "def f():")
    assert (hunk.old_lines, hunk.new_lines) == (("a", "b"), ("a", "c"))
    assert hunk.ops == ((CONTEXT, 0, 0), (REMOVED, 1, -1), (ADDED, -1, 1))


@pytest.mark.parametrize("inside", ["\f", "\x1c", "\x85", "\u2028", "\r", "\0", "\ud800"])
def test_only_a_line_feed_ends_a_line(inside: str) -> None:
    hunk = parse(with_header(f"@@ -1 +1 @@\n-a{inside}b\n+c{inside}d\n")).hunks[0]
    assert (hunk.old_lines, hunk.new_lines) == ((f"a{inside}b",), (f"c{inside}d",))
    assert not hunk.glued


def test_carriage_returns_stay_on_their_lines() -> None:
    hunk = parse(with_header("@@ -1,2 +1,2 @@\r\n a\r\n-b\r\n+c\n")).hunks[0]
    assert (hunk.old_lines, hunk.new_lines) == (("a\r", "b\r"), ("a\r", "c"))
    assert not hunk.counts_wrong


def test_a_missing_final_newline_is_told_of_the_side_that_lacks_it() -> None:
    hunk = parse(with_header("@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n")).hunks[0]
    assert hunk.ops == ((REMOVED, 0, -1), (MARKER, 0, -1), (ADDED, -1, 0))
    assert (side_text(hunk, new=False), side_text(hunk, new=True)) == ("a", "b\n")


def test_a_context_line_that_lost_its_space_is_still_context() -> None:
    hunk = parse(with_header("@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n")).hunks[0]
    assert [op[0] for op in hunk.ops] == [CONTEXT, BARE, REMOVED, ADDED]
    assert hunk.old_lines == ("a", "", "b")
    assert not hunk.counts_wrong


def test_removed_and_added_lines_that_look_like_a_header_are_read_by_the_counts() -> None:
    doc = parse(with_header("@@ -1,2 +1,2 @@\n a\n--- old sql comment\n+++ new sql comment\n@@ -9 +9 @@\n-x\n+y\n"))
    assert len(doc.files) == 1
    assert [hunk.old_lines for hunk in doc.hunks] == [("a", "-- old sql comment"), ("x",)]


def test_a_claimed_count_never_swallows_the_next_file() -> None:
    doc = parse(with_header("@@ -1,999999999 +1,1 @@\n-a\n+b\n") + "--- a/y.py\n+++ b/y.py\n@@ -1 +1 @@\n-c\n+d\n")
    assert [file.path for file in doc.files] == ["x.py", "y.py"]
    assert [hunk.counts_wrong for hunk in doc.hunks] == [True, False]


def test_lines_beyond_the_claimed_counts_still_belong_to_their_hunk() -> None:
    hunk = parse(with_header("@@ -1 +1 @@\n-a\n+b\n+c\n")).hunks[0]
    assert hunk.new_lines == ("b", "c")
    assert hunk.counts_wrong


def test_numbers_of_any_size_are_only_numbers() -> None:
    hunk = parse(with_header("@@ -1000000000000000000,1 +1,1 @@\n-a\n+b\n")).hunks[0]
    assert (hunk.old_start, hunk.counts_wrong) == (10**18, False)
    assert parse(with_header(f"@@ -{'9' * 5000} +1 @@\n-a\n+b\n")).hunks[0].old_start is None


def test_a_hunk_header_without_numbers_starts_a_hunk_without_numbers() -> None:
    hunk = parse(with_header("@@ ... @@\n a\n-b\n+c\n")).hunks[0]
    assert (hunk.old_start, hunk.new_len, hunk.new_lines) == (None, None, ("a", "c"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a\nreturn 1", "a\nreturn 2\n"),
        ("return 1", "return 1\nmore\n"),
        ("x + 1", "x + 2"),
        ("a", "a\n"),
        ("a", "b\nc"),
    ],
)
def test_lines_that_difflib_stuck_together_are_parted(old: str, new: str) -> None:
    lines = difflib.unified_diff(old.splitlines(keepends=True), new.splitlines(keepends=True), "a/x.py", "b/x.py")
    doc = parse("".join(lines))
    hunk = doc.hunks[0]
    assert hunk.glued
    assert not hunk.counts_wrong
    assert side_text(hunk, new=False) == old
    assert side_text(hunk, new=True).removesuffix("\n") == new.removesuffix("\n")


def test_pieces_of_a_line_that_difflib_cut_at_a_form_feed_are_parted() -> None:
    old, new = "a\n\fb\nc\n", "a\n\fb\nd\u2028e\n"
    lines = difflib.unified_diff(old.splitlines(keepends=True), new.splitlines(keepends=True), "a/x.py", "b/x.py")
    hunk = parse("".join(lines)).hunks[0]
    assert hunk.glued
    assert (side_text(hunk, new=False), side_text(hunk, new=True)) == (old, new)


@given(SMALL_TEXTS, SMALL_TEXTS)
@settings(max_examples=300, deadline=None)
def test_what_difflib_wrote_keeps_every_character(old: str, new: str) -> None:
    lines = difflib.unified_diff(old.splitlines(keepends=True), new.splitlines(keepends=True), "a/x.py", "b/x.py")
    text = "".join(lines)
    assert text_of(parse(text)) == text


def test_a_cut_diff_says_where_it_was_cut() -> None:
    doc = parse(SAMPLES["flask-cut.diff"], snippet=True)
    *whole, last = doc.hunks
    assert (doc.truncated, doc.cut_mark) == (True, "...")
    assert not any(hunk.truncated for hunk in whole)
    assert (last.truncated, last.lacking_old, last.lacking_new) == (True, 1, 1)
    assert last.new_lines[-1] == "        val = self.get_si"


def test_dots_at_the_end_of_a_short_diff_are_part_of_it() -> None:
    doc = parse(with_header("@@ -1 +1 @@\n-a\n+b..."), snippet=True)
    assert (doc.truncated, doc.hunks[0].new_lines) == (False, ("b...",))


def test_a_short_last_hunk_without_a_line_end_was_cut() -> None:
    doc = parse(with_header("@@ -1,5 +1,6 @@\n a\n-b\n+c"))
    assert doc.truncated
    assert (doc.hunks[0].lacking_old, doc.hunks[0].lacking_new) == (3, 4)


@pytest.mark.parametrize(
    "text", ["No textual changes detected for x.py", "Error applying patch script:\nTraceback ...\n", "x" * 2000]
)
def test_a_sentence_is_not_a_diff(text: str) -> None:
    doc = parse(text)
    assert (doc.files, doc.truncated) == ((), False)
    assert doc.warnings == ("This is not a diff.",)


def test_an_empty_text_is_an_empty_diff() -> None:
    assert parse("").warnings == ("The diff is empty.",)


@pytest.mark.parametrize(
    ("header", "status", "old", "new"),
    [
        ("diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n", Status.RENAMED, "x", "y"),
        ("diff --git a/x b/y\ncopy from x\ncopy to y\n", Status.COPIED, "x", "y"),
        ("diff --git a/x b/x\nnew file mode 100644\n", Status.ADDED, None, "x"),
        ("diff --git a/x y b/x y\ndeleted file mode 100644\n", Status.DELETED, "x y", None),
        ("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", Status.MODIFIED, "x", "x"),
        ("diff --git a/x b/x\nold mode 100644\nnew mode 120000\n", Status.TYPE_CHANGED, "x", "x"),
        ('diff --git "a/\\303\\251.py" "b/\\303\\251.py"\nold mode 100644\n', Status.MODIFIED, "é.py", "é.py"),
        ('--- "a/t\\tb\\".py"\n+++ "b/t\\tb\\".py"\n@@ -1 +1 @@\n-a\n+b\n', Status.MODIFIED, 't\tb".py', 't\tb".py'),
        ("--- /dev/null\n+++ b/x.py\n@@ -0,0 +1 @@\n+b\n", Status.ADDED, None, "x.py"),
        ("--- a/x.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\n", Status.DELETED, "x.py", None),
        ("--- x.py\t2020-01-01 00:00:00\n+++ x.py\t2020-01-02\n@@ -1 +1 @@\n-a\n+b\n", Status.MODIFIED, "x.py", "x.py"),
        ("--- a/x.py\r\n+++ b/x.py\r\n@@ -1 +1 @@\r\n-a\r\n+b\r\n", Status.MODIFIED, "x.py", "x.py"),
    ],
)  # fmt: skip
def test_a_header_says_what_happened_to_which_file(
    header: str, status: Status, old: str | None, new: str | None
) -> None:
    file = parse(header).files[0]
    assert (file.status, file.old_path, file.new_path) == (status, old, new)


def test_a_binary_file_has_no_lines() -> None:
    doc = parse("diff --git a/i b/i\nGIT binary patch\nliteral 5\nMcmZQzWMT#Y01f~L\n\nliteral 0\nHcmV?d00001\n\n")
    assert (doc.files[0].binary, doc.hunks, doc.tail) == (True, (), ())


def test_prose_around_a_diff_stays_prose() -> None:
    text = "Here is the patch:\n```diff\n" + with_header("@@ -1 +1 @@\n-a\n+b\n") + "```\n-- \n2.39\n"
    doc = parse(text)
    assert doc.files[0].prose == ("Here is the patch:", "```diff")
    assert doc.tail == ("```", "-- ", "2.39")
    assert doc.warnings == ()


def test_a_mail_signature_is_no_removed_line() -> None:
    doc = parse(with_header("@@ -1 +1 @@\n-a\n+b\n-- \n2.39\n"))
    assert (doc.tail, doc.files[0].n_removed) == (("-- ", "2.39"), 1)
