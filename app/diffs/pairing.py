"""Which removed line became which added line.

Pairing by position is wrong more often than right in blocks larger than one to one; a monotone alignment by similarity
costs about a microsecond a line.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rapidfuzz.distance import Indel

from app.diffs.parse import ADDED, MARKER, REMOVED, Hunk

MAX_CELLS = 3600
_WINDOW = 48
# Two lines are the same line, changed, from half their characters on; the score is what lies above this.
_ALIKE = 0.5
_WORTH = 0.45
_COMPARED = 400


class Row(NamedTuple):
    """One row of a side by side view: `Row(6, 7, True)`.

    Attributes:
        left: position in `hunk.ops` of the left cell, -1 for an empty one.
        right: of the right cell, likewise.
        paired: the two cells are one line, before and after; others only stand beside each other.
    """

    left: int
    right: int
    paired: bool = False


def align(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of indices (old, new), both rising: which of the new lines each old line became.

    `align(["a = 1", "b = 2"], ["x()", "b = 3"])` gives `[(1, 1)]`. One line against one line is always a pair. A block
    of more than `MAX_CELLS` comparisons is cut into windows along its diagonal, each aligned by itself.
    """
    if len(old) == len(new) == 1:
        return [(0, 0)]
    before, after = [_core(line) for line in old], [_core(line) for line in new]
    if len(old) * len(new) <= MAX_CELLS:
        return _best_path(_scores(before, after))
    return [
        (top + i, left + j)
        for top, bottom, left, right in _windows(len(old), len(new))
        for i, j in _best_path(_scores(before[top:bottom], after[left:right]))
    ]


def _windows(n_old: int, n_new: int) -> Iterator[tuple[int, int, int, int]]:
    n = -(-max(n_old, n_new) // _WINDOW)
    for k in range(n):
        top, bottom, left, right = (side * at // n for side in (n_old, n_new) for at in (k, k + 1))
        if top < bottom and left < right:
            yield top, bottom, left, right


def side_by_side(hunk: Hunk) -> list[Row]:
    """The rows of a side by side view.

    A context line gives `Row(5, 5)`; `-a`, `+b` at positions 6 and 7 give `Row(6, 7, True)`; `+c` at 8 `Row(-1, 8)`.
    """
    rows: list[Row] = []
    removed: list[int] = []
    added: list[int] = []
    adding = False
    for position, op in enumerate((*hunk.ops, (" ", -1, -1))):
        if op[0] == REMOVED and not adding:
            removed.append(position)
        elif op[0] == ADDED:
            added.append(position)
            adding = True
        elif op[0] == MARKER and (op[1] < 0 or op[2] < 0):
            (removed if op[1] >= 0 else added).append(position)
        else:
            rows += _block(hunk, removed, added)
            removed, added, adding = ([position] if op[0] == REMOVED else []), [], False
            if op[0] != REMOVED and position < len(hunk.ops):
                rows.append(Row(position, position))
    return rows


def _block(hunk: Hunk, removed: list[int], added: list[int]) -> list[Row]:
    if not removed or not added:
        return [Row(position, -1) for position in removed] + [Row(-1, position) for position in added]
    left = [_line(hunk, position) for position in removed]
    right = [_line(hunk, position) for position in added]
    rows: list[Row] = []
    at_left = at_right = 0
    for i, j in (*align(left, right), (len(removed), len(added))):
        # What lies between two pairs stands side by side, so that the columns stay short.
        for k in range(max(i - at_left, j - at_right)):
            l, r = at_left + k, at_right + k  # noqa: E741  left and right
            rows.append(Row(removed[l] if l < i else -1, added[r] if r < j else -1))
        if i < len(removed):
            rows.append(Row(removed[i], added[j], paired=True))
        at_left, at_right = i + 1, j + 1
    return rows


def _line(hunk: Hunk, position: int) -> str:
    kind, old, new = hunk.ops[position]
    if kind == MARKER:
        return ""
    return hunk.old_lines[old] if old >= 0 else hunk.new_lines[new]


def _core(line: str) -> str:
    return line.strip()[:_COMPARED]


def _scores(old: Sequence[str], new: Sequence[str]) -> list[list[float]]:
    similarity = Indel.normalized_similarity
    return [[similarity(a, b, score_cutoff=_ALIKE) if a and b else float(a == b) for b in new] for a in old]


def _best_path(scores: list[list[float]]) -> list[tuple[int, int]]:
    n, m = len(scores), len(scores[0])
    best = [[0.0] * (m + 1) for _ in range(n + 1)]
    for i in range(n - 1, -1, -1):
        row, below, score = best[i], best[i + 1], scores[i]
        for j in range(m - 1, -1, -1):
            row[j] = max(below[j], row[j + 1], below[j + 1] + score[j] - _WORTH if score[j] else 0.0)
    pairs: list[tuple[int, int]] = []
    i = j = 0
    while i < n and j < m:
        if scores[i][j] and best[i][j] == best[i + 1][j + 1] + scores[i][j] - _WORTH:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs
