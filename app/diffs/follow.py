r"""Where a line of a text is after the text has changed: the same, moved, changed in place, or gone.

Lines that neither side changed are matched as the diff of the two texts matches them (`app.diffs.edit`); a line that
was taken out here and put in there has moved; what was written in its place is it still where the two are alike
(`app.diffs.pairing`). Of lines that are equal the one whose neighbours fit best is meant, then the nearest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from posixpath import basename
from typing import NamedTuple

from rapidfuzz.distance import Indel

from app.diffs.edit import opcodes
from app.diffs.pairing import align
from app.diffs.parse import ADDED, MARKER, REMOVED, DiffDoc, FileDiff, Hunk, parts_of

AROUND = 3
"""How many lines before and after a line are kept with it."""

# As `app.diffs.pairing`: two lines are the same line, changed, from half their characters on.
_ALIKE = 0.5
# Shorter lines, such as a bracket or `else:`, stand everywhere: alone they say nothing of where they came from.
_TELLING = 6


class How(StrEnum):
    """What became of a line."""

    SAME = "same"
    MOVED = "moved"
    CHANGED = "changed"
    OUTDATED = "outdated"


@dataclass(frozen=True, slots=True)
class Kept:
    """A line as it was: its text, and what stood around it.

    Attributes:
        at: its index in the text, from 0.
        text: without line end.
        before: up to three lines above it.
        after: up to three lines below it.
    """

    at: int
    text: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


class Followed(NamedTuple):
    """Where it is now, an index from 0 or None, and how it came there."""

    at: int | None
    how: How


def keep(lines: Sequence[str], at: int) -> Kept:
    """A line with its surroundings: `keep(["a", "b", "c"], 1)` → `Kept(1, "b", ("a",), ("c",))`."""
    return Kept(at, lines[at], tuple(lines[max(0, at - AROUND) : at]), tuple(lines[at + 1 : at + 1 + AROUND]))


def follow(kept: Kept, old: Sequence[str] | None, new: Sequence[str]) -> Followed:
    """Where a line is in a later text.

    `follow(keep(["a", "b"], 1), ["a", "b"], ["a", "x", "b"])` → `Followed(2, How.MOVED)`

    Args:
        kept: the line.
        old: the text that it was kept from; None where that is not known any more.
        new: the text now.
    """
    if old is None or kept.at >= len(old):
        return _seek(kept, new, range(len(new)))
    # A very long line is kept cut.
    kept = keep(old, kept.at)
    codes = opcodes(old, new)
    inside = next(code for code in codes if code[1] <= kept.at < code[2])
    is_same, start, stop, first, last = inside
    if is_same:
        at = first + kept.at - start
        return Followed(at, How.SAME if at == kept.at else How.MOVED)
    put_in = [at for same, _, _, c, d in codes if not same for at in range(c, d)]
    moved = _seek(kept, new, put_in)
    if moved.at is not None:
        return moved
    for i, j in align(old[start:stop], new[first:last]):
        if i == kept.at - start and _is_alike(kept.text, new[first + j]):
            return Followed(first + j, How.CHANGED)
    return Followed(None, How.OUTDATED)


def _seek(kept: Kept, new: Sequence[str], places: Sequence[int]) -> Followed:
    """The same text in one of these places; indented otherwise it is the same, too."""
    wanted = kept.text.strip()
    found = [at for at in places if new[at] == kept.text] or [at for at in places if new[at].strip() == wanted]
    if not found:
        return Followed(None, How.OUTDATED)
    scores = {at: _n_around(kept, new, at) for at in found}
    best = max(found, key=lambda at: (scores[at], -abs(at - kept.at)))
    if len(wanted) < _TELLING and not scores[best]:
        return Followed(None, How.OUTDATED)
    return Followed(best, How.SAME if best == kept.at and new[best] == kept.text else How.MOVED)


def _n_around(kept: Kept, new: Sequence[str], at: int) -> int:
    """How many of the lines around it stand around this place, too; blank ones do not count."""
    above, below = new[max(0, at - len(kept.before)) : at], new[at + 1 : at + 1 + len(kept.after)]
    pairs = [
        *zip(reversed(kept.before), reversed(above), strict=False),
        *zip(kept.after, below, strict=False),
    ]
    return sum(one == other and bool(one.strip()) for one, other in pairs)


def _is_alike(one: str, other: str) -> bool:
    return Indel.normalized_similarity(one.strip(), other.strip()) >= _ALIKE


# ------------------------------------------------------------------------------------------------ in a diff


class Spot(NamedTuple):
    """A line of one side of a diff: `Spot(1, 2, True, 57, "x = 1", 41)`.

    Attributes:
        file: number of the file, from 1.
        hunk: number of the hunk within it, from 1.
        is_new: of the side after the change.
        number: of the line in the file, or None where the diff does not say.
        text: the line, without its sign.
        at: the line of the diff, from 1.
    """

    file: int
    hunk: int
    is_new: bool
    number: int | None
    text: str
    at: int


def spots(doc: DiffDoc) -> list[Spot]:
    """Every line of a diff's hunks, in its order; an unchanged line once for each side, the new one first."""
    found: list[Spot] = []
    file = hunk = 0
    for start, part in parts_of(doc):
        if isinstance(part, FileDiff):
            file, hunk = file + 1, 0
            continue
        hunk += 1
        found += _spots_of(part, file, hunk, start + 1)
    return found


def _spots_of(part: Hunk, file: int, hunk: int, line: int) -> list[Spot]:
    found = []
    for position, (kind, old, new) in enumerate(part.ops):
        if kind not in {MARKER, REMOVED}:
            number = None if part.new_start is None else part.new_start + new
            found.append(Spot(file, hunk, True, number, part.new_lines[new], line))
        if kind not in {MARKER, ADDED}:
            number = None if part.old_start is None else part.old_start + old
            found.append(Spot(file, hunk, False, number, part.old_lines[old], line))
        line += position not in part.joined
    return found


def side_of(doc: DiffDoc, path: str, *, is_new: bool) -> list[Spot]:
    """One side of a file of a diff; of the file that it is called now, was called, or is alone in being called so.

    Empty where the diff has no such file.
    """
    number = _find_file(doc, path)
    return [] if number is None else [one for one in spots(doc) if one.file == number and one.is_new is is_new]


def _find_file(doc: DiffDoc, path: str) -> int | None:
    for fits in (
        lambda file: file.path == path,
        lambda file: path in {file.old_path, file.new_path},
        lambda file: basename(file.path) == basename(path),
    ):
        named = [number for number, file in enumerate(doc.files, 1) if fits(file)]
        if len(named) == 1:
            return named[0]
    return 1 if len(doc.files) == 1 else None


def follow_in_diff(
    kept: Kept, old: DiffDoc | None, new: DiffDoc, path: str, *, is_new: bool
) -> tuple[Spot | None, How]:
    """As `follow`, for a line of one side of a file of a diff; `kept.at` counts the lines of that side."""
    side = side_of(new, path, is_new=is_new)
    before = None if old is None else [one.text for one in side_of(old, path, is_new=is_new)]
    at, how = follow(kept, before, [one.text for one in side])
    return (None if at is None else side[at]), how
