r"""Two edits of one text brought together: what does not touch is taken from both, the rest is marked.

Source: diff3 (GNU diffutils manual, "Merging From a Common Ancestor"), as merge3 1.0 does it, on lines that end at `\n`
and nowhere else.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from merge3 import Merge3
from patiencediff import PatienceSequenceMatcher

from app.diffs.edit import lines_of

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
    texts = (lines_of(base), lines_of(theirs), lines_of(mine))
    one = Merge3(*texts, sequence_matcher=PatienceSequenceMatcher)  # type: ignore[arg-type]
    pieces: list[str] = []
    n_conflicts = 0
    for kind, *lines in one.merge_groups():
        if kind == "conflict":
            n_conflicts += 1
            pieces += (THEIRS + "\n", _closed(lines[1]), BETWEEN + "\n", _closed(lines[2]), MINE + "\n")
        else:
            pieces += lines[0]
    return Merged("".join(pieces), n_conflicts)


def find_mark(text: str, original: str = "") -> int | None:
    """The line of the first mark of a conflict that was left in a text, or None; marks of the original are none."""
    if MINE in original or THEIRS in original:
        return None
    found = _LEFT.search(text) if THEIRS in text or MINE in text else None
    return None if found is None else text.count("\n", 0, found.start()) + 1


def _closed(lines: Sequence[str]) -> str:
    text = "".join(lines)
    return text if not text or text.endswith("\n") else text + "\n"
