"""Which removed line became which added line.

Pairing by position is wrong more often than right in blocks larger than one to one; a monotone alignment by similarity
costs about a microsecond a line.
"""

from collections.abc import Sequence

from rapidfuzz.distance import Indel

from app.diffs.parse import ADDED, MARKER, REMOVED, Hunk

MAX_CELLS = 3600
# Two lines are the same line, changed, from half their characters on; the score is what lies above this.
_ALIKE = 0.5
_WORTH = 0.45
_COMPARED = 400


def align(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of indices (old, new), both rising: which of the new lines each old line became.

    `align(["a = 1", "b = 2"], ["x()", "b = 3"])` gives `[(1, 1)]`. One line against one line is always a pair. Above
    `MAX_CELLS` comparisons lines are paired by position.
    """
    if len(old) == len(new) == 1:
        return [(0, 0)]
    if len(old) * len(new) > MAX_CELLS:
        return [(i, i) for i in range(min(len(old), len(new)))]
    return _best_path(_scores([_core(line) for line in old], [_core(line) for line in new]))


def side_by_side(hunk: Hunk) -> list[tuple[int, int]]:
    """The rows of a side by side view: positions in `hunk.ops` for the left and the right cell, -1 for an empty one.

    A context line gives `(5, 5)`; `-a`, `+b` at positions 6 and 7 give `(6, 7)`; `+c` at 8 gives `(-1, 8)`.
    """
    rows: list[tuple[int, int]] = []
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
                rows.append((position, position))
    return rows


def _block(hunk: Hunk, removed: list[int], added: list[int]) -> list[tuple[int, int]]:
    if not removed or not added:
        return [(position, -1) for position in removed] + [(-1, position) for position in added]
    left = [_line(hunk, position) for position in removed]
    right = [_line(hunk, position) for position in added]
    rows: list[tuple[int, int]] = []
    at_left = at_right = 0
    for i, j in (*align(left, right), (len(removed), len(added))):
        # What lies between two pairs stands side by side, so that the columns stay short.
        for k in range(max(i - at_left, j - at_right)):
            l, r = at_left + k, at_right + k  # noqa: E741  left and right
            rows.append((removed[l] if l < i else -1, added[r] if r < j else -1))
        if i < len(removed):
            rows.append((removed[i], added[j]))
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
