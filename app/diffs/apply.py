r"""The file before a change, out of the file after it and the diff; and the other way round.

Exact or not at all: context and changed lines must stand in the text byte for byte, where the diff says or at exactly
one other place. A text that was reformatted after the diff was made gives a reason instead of a guess.

The agent's diffs come from difflib: base names only, and no `\ No newline at end of file`. Where a file's last line
has no line end, the diff's next line runs into it; the text at hand says where it was joined.

Source: GNU diffutils manual, "Detailed Description of Unified Format" and "Incomplete Lines"; CPython's
`difflib.unified_diff`, which counts lines as `str.splitlines` does.
"""

import posixpath
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple

from app.diffs.edit import side_text
from app.diffs.parse import ADDED, MARKER, REMOVED, DiffDoc, FileDiff, Hunk, parse

_MAX_JOINTS = 200


@dataclass(frozen=True, slots=True)
class Image:
    r"""A file's text as it was before or after a change.

    `Image("a\n")`; `Image(None, "Hunk 2 does not fit: …", 2)`

    Attributes:
        text: the whole text; empty for a file that did not exist; None where it cannot be had exactly.
        why: a sentence: why there is no text, or what is odd about it; empty where nothing is.
        hunk: which hunk of the file `why` speaks of, from 1; None where it is none of them.
    """

    text: str | None
    why: str = ""
    hunk: int | None = None


class _Sides(NamedTuple):
    """One reading of a hunk: the text to be found, and what to put in its place."""

    there: str
    instead: str


def reverse(diff: DiffDoc | str, post_image: str, path: str = "") -> Image:
    r"""The text before the change.

    `reverse("--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n", "b\n")` → `Image("a\n")`

    Args:
        diff: a unified diff, or what `parse` made of it.
        post_image: the text after the change.
        path: which file it is; its base name suffices. Empty where the diff speaks of one file only.
    """
    return _applied(diff, post_image, path, backwards=True)


def forward(diff: DiffDoc | str, pre_image: str, path: str = "") -> Image:
    r"""The text after the change: `forward("--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n", "a\n")` → `Image("b\n")`.

    Args:
        diff: a unified diff, or what `parse` made of it.
        pre_image: the text before the change.
        path: as in `reverse`.
    """
    return _applied(diff, pre_image, path, backwards=False)


def _applied(diff: DiffDoc | str, text: str, path: str, *, backwards: bool) -> Image:
    doc = parse(diff) if isinstance(diff, str) else diff
    found = _file_of(doc, path)
    if not isinstance(found, FileDiff):
        return found
    if doc.truncated:
        return Image(None, "The diff was cut, so changes are missing.")
    if found.binary:
        return Image(None, "The diff says only that a binary file changed.")
    pieces: list[str] = []
    at, note = 0, Image("")
    target, last = _Target(text), doc.hunks[-1:]
    for number, hunk in enumerate(found.hunks, 1):
        if hunk.counts_wrong:
            return Image(None, f"Hunk {number} has other lines than its header claims; some may be missing.", number)
        ends_open = hunk is last[0] and not doc.tail and not doc.final_newline
        readings = _readings(hunk, ends_open=ends_open, backwards=backwards)
        place = target.place(hunk, readings, at, backwards=backwards)
        if isinstance(place, str):
            return Image(None, f"Hunk {number} {place}", number)
        start, sides = place
        moved = target.lines_off(hunk, start, backwards=backwards)
        if moved and not note.why:
            note = Image("", _moved(number, moved), number)
        pieces += (text[at:start], sides.instead)
        at = start + len(sides.there)
    return replace(note, text="".join([*pieces, text[at:]]))


def _moved(number: int, n_lines: int) -> str:
    where = f"{abs(n_lines):,} {'line' if abs(n_lines) == 1 else 'lines'} {'below' if n_lines > 0 else 'above'}"
    return f"Hunk {number} was found {where} its place in the diff: the file was changed elsewhere, too."


def _file_of(doc: DiffDoc, path: str) -> FileDiff | Image:
    """The one file that is meant, or why it cannot be told."""
    if not doc.files:
        return Image(None, "This is not a diff.")
    name = posixpath.basename(path)
    exact = [file for file in doc.files if path and path in {file.new_path, file.old_path}]
    named = exact or [file for file in doc.files if not path or not file.path or posixpath.basename(file.path) == name]
    if len(named) == 1:
        return named[0]
    what = f"no file {name}" if not named else f"{len(named)} files" + (f" {name}" if name else "")
    return Image(None, f"The diff speaks of {what}.")


# ------------------------------------------------------------------------------------------------ sides


def _readings(hunk: Hunk, *, ends_open: bool, backwards: bool) -> Sequence[_Sides]:
    """What the hunk may say: more than one thing only where difflib ran lines together.

    Args:
        hunk: of the diff.
        ends_open: the diff ends with it, without a line end: so does the file, on the sides that the line stands on.
        backwards: the new side is what is there.
    """
    readings = []
    for one in _parted(hunk):
        old, new = side_text(one, new=False), side_text(one, new=True)
        kind = one.ops[-1][0] if one.ops else MARKER
        if ends_open and kind != MARKER:
            old = old if kind == ADDED else old.removesuffix("\n")
            new = new if kind == REMOVED else new.removesuffix("\n")
        if bool(old) != bool(hunk.old_lines) or bool(new) != bool(hunk.new_lines):
            continue  # A last line without a line end has at least one character.
        readings.append(_Sides(new, old) if backwards else _Sides(old, new))
    return readings


def _parted(hunk: Hunk) -> Iterator[Hunk]:
    """The hunk, or every way to part the lines that ran together: `-a+b+c` may be `a` and `b+c`, or `a+b` and `c`."""
    joint = max((i for i in hunk.joined if hunk.ops[i][0] == REMOVED and _next_is_added(hunk, i)), default=None)
    if joint is None:
        yield hunk
        return
    old_at, new_at = hunk.ops[joint][1], hunk.ops[joint + 1][2]
    whole = f"{hunk.old_lines[old_at]}+{hunk.new_lines[new_at]}"
    places = [i for i, sign in enumerate(whole) if sign == "+" and i > 0]
    for i in places[:_MAX_JOINTS]:
        old_lines, new_lines = list(hunk.old_lines), list(hunk.new_lines)
        old_lines[old_at], new_lines[new_at] = whole[:i], whole[i + 1 :]
        yield replace(hunk, old_lines=tuple(old_lines), new_lines=tuple(new_lines))


def _next_is_added(hunk: Hunk, i: int) -> bool:
    return i + 1 < len(hunk.ops) and hunk.ops[i + 1][0] == ADDED


# ------------------------------------------------------------------------------------------------ places


class _Target:
    """The text in which hunks are looked for, and where its lines begin by either way of counting them."""

    def __init__(self, text: str) -> None:
        self._text = text
        by_feed = [len(line) + 1 for line in text.split("\n")]
        by_difflib = [len(line) for line in text.splitlines(keepends=True)]
        self._starts = [list(accumulate(by_feed[:-1], initial=0)), list(accumulate(by_difflib, initial=0))]

    def place(self, hunk: Hunk, readings: Sequence[_Sides], at: int, *, backwards: bool) -> tuple[int, _Sides] | str:
        """Where a hunk fits, and which reading of it; or the end of a sentence that says why not."""
        for start in self._stated(hunk, backwards=backwards):
            for sides in readings:
                if start >= at and self._fits(sides, start):
                    return start, sides
        found = [(start, sides) for sides in readings for start in self._elsewhere(sides, at)]
        if len(found) == 1:
            return found[0]
        if found:
            return "does not fit at its place in the diff, but at several others."
        return "does not fit: the file was changed after the diff was made, as a formatter does."

    def lines_off(self, hunk: Hunk, start: int, *, backwards: bool) -> int:
        """How many lines below its stated place a hunk was found; 0 where the diff states none."""
        stated = list(self._stated(hunk, backwards=backwards))
        if not stated or start in stated:
            return 0
        return bisect_right(self._starts[0], start) - bisect_right(self._starts[0], stated[0])

    def _stated(self, hunk: Hunk, *, backwards: bool) -> Iterator[int]:
        first, n = (hunk.new_start, hunk.new_len) if backwards else (hunk.old_start, hunk.old_len)
        if first is None:
            return
        # An empty side is named by the line before it.
        index = first if n == 0 else first - 1
        for starts in self._starts:
            if 0 <= index < len(starts):
                yield starts[index]

    def _fits(self, sides: _Sides, start: int) -> bool:
        text, end = self._text, start + len(sides.there)
        if not text.startswith(sides.there, start):
            return False
        # A side without a line end ends the file; one without lines is all of it.
        return end == len(text) or sides.there[-1:] in _ENDS

    def _elsewhere(self, sides: _Sides, at: int) -> Iterator[int]:
        """Up to two other places, at beginnings of lines."""
        n, start = 0, at - 1
        while sides.there and n < 2 and (start := self._text.find(sides.there, start + 1)) >= 0:  # noqa: PLR2004
            if (start == 0 or self._text[start - 1] == "\n") and self._fits(sides, start):
                n += 1
                yield start


_ENDS = frozenset("\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
