"""What changed inside a pair of lines, by words: marks by characters shred a third of all words."""

import re
from collections.abc import Sequence
from itertools import accumulate

from rapidfuzz.distance import Indel, Postfix, Prefix

Span = tuple[int, int]
# Old start and end, new start and end, in tokens.
_Change = tuple[int, int, int, int]

MAX_LENGTH = 1000
# With more than this share changed, marks only hide the line.
_MOST = 0.7
_ISLAND = 3
_TOKENS = re.compile(r"\w+|[^\S\r]+|.", re.DOTALL)


def intraline(old: str, new: str) -> tuple[list[Span], list[Span]]:
    """Changed spans of the old and of the new line, as (start, end) in characters.

    `intraline("x = foo(1)", "x = bar(1)")` gives `([(4, 7)], [(4, 7)])`. Both lists are empty when the lines are
    equal, too different, or longer than `MAX_LENGTH`.
    """
    if old == new or max(len(old), len(new)) > MAX_LENGTH:
        return [], []
    # Most of a pair is equal: only what lies between the common ends is parted into words.
    head = Prefix.similarity(old, new)
    while head and (_is_inside(old, head) or _is_inside(new, head)):
        head -= 1
    back = Postfix.similarity(old[head:], new[head:])
    while back and (_is_inside(old, len(old) - back) or _is_inside(new, len(new) - back)):
        back -= 1
    a, b = _TOKENS.findall(old, head, len(old) - back), _TOKENS.findall(new, head, len(new) - back)
    # All of one side, where the other has nothing, or one word for one: there is nothing to compare.
    if not a or not b or len(a) == len(b) == 1:
        changes = [(0, len(a), 0, len(b))]
    else:
        changes = _joined([(op.src_start, op.src_end, op.dest_start, op.dest_end)
                           for op in Indel.opcodes(a, b) if op.tag != "equal"], a)  # fmt: skip
    old_spans = _spans(a, head, [change[:2] for change in changes])
    new_spans = _spans(b, head, [change[2:] for change in changes])
    if _share(old, old_spans) > _MOST or _share(new, new_spans) > _MOST:
        return [], []
    return old_spans, new_spans


def whitespace_change(old: str, new: str) -> str:
    """What a change of nothing but white space does: `"indented by 4"`, `"white space at the end"`; else `""`."""
    if old == new or "".join(old.split()) != "".join(new.split()):
        return ""
    if old.rstrip("\r") == new.rstrip("\r"):
        return "line end changed"
    if old.strip() != new.strip():
        return "white space changed"
    if old.rstrip() == new.rstrip():
        return "white space at the end"
    before, after = (len(line) - len(line.lstrip()) for line in (old.expandtabs(8), new.expandtabs(8)))
    if before == after:
        return "tabs and spaces exchanged"
    return f"indented by {after - before}" if after > before else f"dedented by {before - after}"


def _is_inside(line: str, at: int) -> bool:
    """Whether a place in a line is inside of a word or of a run of white space."""
    if not 0 < at < len(line):
        return False
    before, after = line[at - 1], line[at]
    if before.isalnum() or before == "_":
        return after.isalnum() or after == "_"
    return before.isspace() and after.isspace() and before != "\r" and after != "\r"


def _joined(changes: Sequence[_Change], tokens: Sequence[str]) -> list[_Change]:
    """Changes with islands between them that are too short to read made part of them, on both sides."""
    joined: list[_Change] = []
    for change in changes:
        if joined and sum(map(len, tokens[joined[-1][1] : change[0]])) < _ISLAND:
            joined[-1] = (joined[-1][0], change[1], joined[-1][2], change[3])
        else:
            joined.append(change)
    return joined


def _spans(tokens: Sequence[str], head: int, changed: Sequence[Span]) -> list[Span]:
    offsets = list(accumulate(map(len, tokens), initial=head))
    return [(offsets[first], offsets[last]) for first, last in changed if first < last]


def _share(line: str, spans: Sequence[Span]) -> float:
    return sum(end - start for start, end in spans) / max(len(line.strip()), 1)
