"""What changed inside a pair of lines, by words: marks by characters shred a third of all words."""

import re
from collections.abc import Sequence

from rapidfuzz.distance import Indel

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
    left, right = _TOKENS.findall(old), _TOKENS.findall(new)
    head = _common(left, right)
    back = _common(left[: head - 1 if head else None : -1], right[: head - 1 if head else None : -1])
    a, b = left[head : len(left) - back], right[head : len(right) - back]
    changes = _joined([(op.src_start, op.src_end, op.dest_start, op.dest_end)
                       for op in Indel.opcodes(a, b) if op.tag != "equal"], a)  # fmt: skip
    old_spans = _spans(left, head, [change[:2] for change in changes])
    new_spans = _spans(right, head, [change[2:] for change in changes])
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


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    return next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


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
    offsets = [0]
    for token in tokens:
        offsets.append(offsets[-1] + len(token))
    return [(offsets[head + first], offsets[head + last]) for first, last in changed if first < last]


def _share(line: str, spans: Sequence[Span]) -> float:
    return sum(end - start for start, end in spans) / max(len(line.strip()), 1)
