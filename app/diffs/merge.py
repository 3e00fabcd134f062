r"""Two edits of one text brought together: what does not touch is taken from both, the rest is marked.

Source: Khanna, Kunal, Pierce: "A Formal Investigation of Diff3" (2007): where the base, and each edit of it, agree on
lines, these part the texts; of what lies between two such runs, one side alone has changed, or both have. On lines that
end at `\n` and nowhere else.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.diffs.edit import Opcode, lines_of, opcodes

THEIRS, BETWEEN, MINE = "<<<<<<< theirs", "=======", ">>>>>>> yours"
_LEFT = re.compile(f"^(?:{THEIRS}|{MINE})\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Merged:
    """The text of both edits, and how many places of it are marked because both changed them, each in its own way."""

    text: str
    n_conflicts: int = 0


def merge(base: str, theirs: str, mine: str) -> Merged:
    r"""Bring two edits of a text together.

    `merge("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n")` → `Merged("A\nb\nC\n")`; where both changed `b`,
    `Merged("a\n<<<<<<< theirs\nB\n=======\nß\n>>>>>>> yours\nc\n", 1)`.
    """
    if mine in {base, theirs}:
        return Merged(theirs)
    if theirs == base:
        return Merged(mine)
    pieces: list[str] = []
    n_conflicts = 0
    for was, one, other in _parted(lines_of(base), lines_of(theirs), lines_of(mine)):
        if other in (one, was):
            pieces += one
        elif was == one:
            pieces += other
        else:
            n_conflicts += 1
            pieces += (THEIRS + "\n", _closed(one), BETWEEN + "\n", _closed(other), MINE + "\n")
    return Merged("".join(pieces), n_conflicts)


def _parted(
    base: Sequence[str], theirs: Sequence[str], mine: Sequence[str]
) -> Iterator[tuple[Sequence[str], Sequence[str], Sequence[str]]]:
    """The three texts in pieces that belong together: what all agree on, and what lies between."""
    at, in_theirs, in_mine = 0, 0, 0
    for start, stop, one, other in _agreed(opcodes(base, theirs), opcodes(base, mine)):
        yield base[at:start], theirs[in_theirs:one], mine[in_mine:other]
        yield (base[start:stop],) * 3
        at, in_theirs, in_mine = stop, one + stop - start, other + stop - start
    yield base[at:], theirs[in_theirs:], mine[in_mine:]


def _agreed(ones: Sequence[Opcode], others: Sequence[Opcode]) -> Iterator[tuple[int, int, int, int]]:
    """Runs of the base that stand in both edits: (start, stop, start in the one, start in the other)."""
    left, right = [one for one in ones if one[0]], [one for one in others if one[0]]
    i = j = 0
    while i < len(left) and j < len(right):
        _, a_start, a_stop, one, _ = left[i]
        _, b_start, b_stop, other, _ = right[j]
        start, stop = max(a_start, b_start), min(a_stop, b_stop)
        if start < stop:
            yield start, stop, one + start - a_start, other + start - b_start
        if a_stop < b_stop:
            i += 1
        else:
            j += 1


def find_mark(text: str, original: str = "") -> int | None:
    """The line of the first mark of a conflict that was left in a text, or None; marks of the original are none."""
    if MINE in original or THEIRS in original:
        return None
    found = _LEFT.search(text) if THEIRS in text or MINE in text else None
    return None if found is None else text.count("\n", 0, found.start()) + 1


def _closed(lines: Sequence[str]) -> str:
    text = "".join(lines)
    return text if not text or text.endswith("\n") else text + "\n"
