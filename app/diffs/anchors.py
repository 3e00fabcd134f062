"""Where a line of a diff's text stands in the drawn diff, so that a link can lead to it.

Only the lines that something is said of get an anchor: most diffs need none, or one.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from app.diffs.parse import DiffDoc, FileDiff, parts_of

HEADER = -1
"""Stands for the header of a hunk among positions in its `ops`."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """Lines of a diff, by what they are drawn with.

    Attributes:
        hunks: by index in `doc.hunks`: lines with their positions in `ops`, or `HEADER`.
        files: by number of a file, from 1: lines of its header and of what stands above it; 0 has what ends the diff.
    """

    hunks: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    files: Mapping[int, Collection[int]] = field(default_factory=dict)


NO_ANCHORS = Anchors()


def anchors(doc: DiffDoc, lines: Collection[int]) -> Anchors:
    r"""Where these lines are drawn; `anchor_html` and `anchored` say how.

    Of `"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"` and `[1, 3, 5]` it gives `hunks={0: {3: HEADER, 5: 1}}` and
    `files={1: [1]}`.
    """
    if not lines:
        return NO_ANCHORS
    hunks: dict[int, dict[int, int]] = {}
    files: dict[int, list[int]] = {}
    left = sorted(set(lines), reverse=True)
    number, at = 0, -1
    for start, part in parts_of(doc):
        if isinstance(part, FileDiff):
            number += 1
            end = start + len(part.header)
            files[number] = _taken(left, end)
            continue
        at += 1
        found = dict.fromkeys(_taken(left, start + 1), HEADER)
        line = start + 1
        for position in range(len(part.ops)) if left else ():
            found |= dict.fromkeys(_taken(left, line + (position not in part.joined)), position)
            line += position not in part.joined
        if found:
            hunks[at] = found
    files[0] = left[::-1]
    return Anchors(hunks, files)


def _taken(left: list[int], end: int) -> list[int]:
    """Take the lines below `end` off what is left."""
    found = []
    while left and left[-1] < end:
        found.append(left.pop())
    return found


def anchor_html(line: int) -> str:
    """An anchor that stands by itself, before what it leads to."""
    return f'<span id="d{line}"></span>'


def anchored(row: str, line: int) -> str:
    """A table row with the anchor of a line; side by side, a row may have two."""
    tag = "<td" if row.startswith("<tr id") else "<tr"
    return row.replace(tag, f'{tag} id="d{line}"', 1)


class Stretch(NamedTuple):
    """Drawn HTML up to the end of a row, the anchors of that row (none at the end of all), how many columns it has."""

    html: str
    ids: list[str]
    n_columns: int


_COLUMNS = {"un": 3, "sp": 4, "sc": 2}


def parted(html: str, ids: Iterable[str]) -> list[Stretch]:
    """Drawn rows, parted behind those with these anchors, so that something can be put there.

    `parted('<table class="sc"><tr id="L1"><td>1<td>a<tr id="L2">…', ["L1"])` gives two stretches, of which the first
    ends before the second row. What is not in the HTML parts nothing.
    """
    ends: dict[int, list[str]] = {}
    for name in ids:
        at = html.find(f'id="{name}"')
        if at >= 0:
            following = [place for sign in ("<tr", "</table>") if (place := html.find(sign, at)) >= 0]
            ends.setdefault(min(following, default=len(html)), []).append(name)
    made: list[Stretch] = []
    begin = 0
    for end in sorted(ends):
        kind = html[html.rfind('<table class="', 0, end) + len('<table class="') :][:2]
        made.append(Stretch(html[begin:end], ends[end], _COLUMNS.get(kind, 1)))
        begin = end
    return [*made, Stretch(html[begin:], [], 0)]
