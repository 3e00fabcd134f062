"""Which edits of a diff are one edit made many times, as codemods do: the reader looks at the first, and at a count.

What is folded is said exactly, in tokens taken out and put in, and only what is wholly such a repeat is folded: a hunk,
or the blocks of changes that follow each other in one. White space is never folded, because in Python it is meaning.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.diffs.intraline import Span, intraline, whitespace_change
from app.diffs.pairing import Row, side_by_side
from app.diffs.parse import ADDED, MARKER, REMOVED, Hunk
from app.diffs.unicode import hidden_characters

MANY = 3
# A fold is drawn in one piece, so it may not be larger than what a page takes at once.
_MOST_ROWS = 512

Edit = tuple[tuple[str, ...], tuple[str, ...]]


class Block(NamedTuple):
    """Changes without context between them: positions in `hunk.ops`, and the edits; None where one must be seen."""

    start: int
    stop: int
    edits: tuple[Edit, ...] | None


@dataclass(frozen=True, slots=True)
class Matched:
    """A hunk with its lines put together.

    Attributes:
        rows: of a side by side view.
        old_marks: by index of an old line, its changed words. `new_marks` likewise.
        notes: by index of a new line, what a change of white space alone does.
        blocks: its changes.
    """

    rows: list[Row]
    old_marks: Mapping[int, list[Span]]
    new_marks: Mapping[int, list[Span]]
    notes: Mapping[int, str]
    blocks: tuple[Block, ...]


class Fold(NamedTuple):
    """Rows to be folded: positions in `hunk.ops`, and the edits that they repeat."""

    start: int
    stop: int
    edits: tuple[Edit, ...]


class Repeats(NamedTuple):
    """What of one hunk is said elsewhere in the diff.

    Attributes:
        is_whole: nothing else is in it, so it may be folded with its neighbours.
        edits: all its edits, where it is.
        folds: parts of it, where it is not.
        shown: edits that stand here for all others, and how many there are of each in the diff.
    """

    is_whole: bool
    edits: tuple[Edit, ...]
    folds: tuple[Fold, ...]
    shown: tuple[tuple[Edit, int], ...]


def match(hunk: Hunk) -> Matched:
    """Put the lines of a hunk together: pairs, changed words, and what each block of changes does."""
    rows = side_by_side(hunk)
    old_marks: dict[int, list[Span]] = {}
    new_marks: dict[int, list[Span]] = {}
    notes: dict[int, str] = {}
    edits: dict[int, Edit | None] = {}  # by position of the op
    for left, right, paired in rows:
        if not paired:
            for position in {left, right} - {-1}:
                edits[position] = _single(hunk, position)
            continue
        at_old, at_new = hunk.ops[left][1], hunk.ops[right][2]
        old, new = hunk.old_lines[at_old], hunk.new_lines[at_new]
        old_marks[at_old], new_marks[at_new] = intraline(old, new)
        if note := whitespace_change(old, new):
            notes[at_new] = note
            edits[left] = None
        else:
            edits[left] = _pair(old, old_marks[at_old], new, new_marks[at_new])
    return Matched(rows, old_marks, new_marks, notes, tuple(_blocks(hunk, edits)))


def _single(hunk: Hunk, position: int) -> Edit | None:
    kind, old, new = hunk.ops[position]
    if kind == REMOVED and hunk.old_lines[old].strip():
        return (hunk.old_lines[old].strip(),), ()
    if kind == ADDED and hunk.new_lines[new].strip():
        return (), (hunk.new_lines[new].strip(),)
    return None


def _pair(old: str, old_marks: Sequence[Span], new: str, new_marks: Sequence[Span]) -> Edit:
    if not old_marks and not new_marks:
        return (old.strip(),), (new.strip(),)
    return tuple(old[start:end] for start, end in old_marks), tuple(new[start:end] for start, end in new_marks)


def _blocks(hunk: Hunk, edits: Mapping[int, Edit | None]) -> Iterator[Block]:
    start = 0
    for position, op in enumerate((*hunk.ops, (" ", -1, -1))):
        if op[0] in {REMOVED, ADDED} or (op[0] == MARKER and start < position):
            continue
        if start < position:
            yield Block(start, position, _edits(hunk, range(start, position), edits))
        start = position + 1


def _edits(hunk: Hunk, positions: Iterable[int], edits: Mapping[int, Edit | None]) -> tuple[Edit, ...] | None:
    found: list[Edit] = []
    for position in positions:
        kind, old, new = hunk.ops[position]
        line = "" if kind == MARKER else hunk.old_lines[old] if old >= 0 else hunk.new_lines[new]
        if kind == MARKER or next(hidden_characters(line), None) or (position in edits and edits[position] is None):
            return None
        if (edit := edits.get(position)) is not None:
            found.append(edit)
    return tuple(found)


def find_repeats(hunks: Sequence[Hunk], matched: Sequence[Matched]) -> list[Repeats]:
    """For each hunk, what of it repeats an edit that stands before it, of edits that the diff makes `MANY` times."""
    counts = Counter(edit for one in matched for block in one.blocks for edit in block.edits or ())
    many = {edit: n for edit, n in counts.items() if n >= MANY}
    if not many:
        return [Repeats(False, (), (), ())] * len(hunks)
    seen: set[Edit] = set()
    found: list[Repeats] = []
    for hunk, one in zip(hunks, matched, strict=True):
        first = list(dict.fromkeys(e for block in one.blocks for e in block.edits or () if e in many and e not in seen))
        # Against what stood before this hunk: a fold must not hold the first.
        is_said = [block.edits is not None and all(e in seen for e in block.edits) for block in one.blocks]
        is_odd = hunk.truncated or hunk.counts_wrong or hunk.glued or hunk.before
        if is_odd or not one.blocks:
            found.append(Repeats(False, (), (), ()))
        elif all(is_said) and len(hunk.ops) < _MOST_ROWS:
            found.append(Repeats(True, tuple(e for block in one.blocks for e in block.edits or ()), (), ()))
        else:
            shown = tuple((edit, many[edit]) for edit in first)
            found.append(Repeats(False, (), tuple(_folds(one.blocks, seen, set(many))), shown))
        seen.update(first)
    return found


def _folds(blocks: Sequence[Block], seen: set[Edit], many: set[Edit]) -> Iterator[Fold]:
    """Blocks one after the other that only repeat what stands before them, in this hunk or an earlier one."""
    known = set(seen)
    run: list[Block] = []
    for block in (*blocks, Block(0, 0, None)):
        repeats = block.edits is not None and all(edit in known for edit in block.edits)
        if repeats and (not run or block.stop - run[0].start <= _MOST_ROWS):
            run.append(block)
            continue
        edits = tuple(edit for one in run for edit in one.edits or ())
        if len(edits) >= MANY:
            yield Fold(run[0].start, run[-1].stop, edits)
        run = [block] if repeats else []
        known.update(edit for edit in block.edits or () if edit in many)


def groups(repeats: Sequence[Repeats], sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Hunks that are drawn together: `(start, stop)`; more than one only where each is a repeat as a whole.

    Args:
        repeats: of the hunks of one file.
        sizes: how many rows each has.
    """
    start, n_rows = 0, 0
    for at in range(1, len(repeats) + 1):
        n_rows += sizes[at - 1]
        goes_on = at < len(repeats) and repeats[at].is_whole and repeats[at - 1].is_whole
        if not goes_on or n_rows + sizes[at] > _MOST_ROWS:
            yield start, at
            start, n_rows = at, 0
