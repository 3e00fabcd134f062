"""What a patch does not do: its whole diff changes nothing but the layout, or nothing but comments and docstrings."""

import re
from collections.abc import Iterator, Mapping, Sequence

from app.candidates import Finding, Severity
from app.checks.reading import Reading
from app.checks.sides import Change, Statement, Token

_LAYOUT = str.maketrans(dict.fromkeys(" \t\f\r\n\\,'\"()"))
_PREFIX = "rRbBuUfFtT"
_QUOTES = ("'''", '"""', "'", '"')
_LONG = ("'''", '"""')
_IS_CODE = re.compile(
    r"^[ \t]*(?:(?:async )?def \w+\(|class \w+[(:]|return\b|import \w+$|from \S+ import |try:$|else:$"
    r"|(?:if|elif|for|while|with) .*:$|raise \w|@\w|\w[\w.]* [-+*/|&]?= \S)",
    re.MULTILINE,
)
_NO_CALLS = frozenset(
    {"return", "in", "not", "and", "or", "if", "else", "yield", "await", "assert", "lambda", "is", "for"}
)


def effect(reading: Reading) -> Iterator[Finding]:
    """`format_only` and `docs_only`: what may be right, but teaches a model nothing about code.

    Claimed only of a whole diff of Python files in which every hunk can be told code from text.
    """
    doc = reading.diff
    changes = reading.changes
    if not changes or doc.truncated or len(changes) != len(doc.hunks) or any(not one.hunks for one in doc.files):
        return
    if any(change.hunk.counts_wrong or change.hunk.glued for change in changes):
        return
    if all(map(_is_layout, changes)):
        message = "Nothing but the layout changes: white space, line breaks, quotes or trailing commas."
        yield Finding("format_only", Severity.NOTE, f"diff:{_first(changes)}", message)
    elif all(map(_is_text, changes)):
        message = "Nothing but comments and docstrings changes: no code does anything else than before."
        yield Finding("docs_only", Severity.NOTE, f"diff:{_first(changes)}", message)


def _first(changes: Sequence[Change]) -> int:
    """The first line that changes."""
    return min(
        line for change in changes for line in (change.line, *change.added.values(), *change.removed.values())[1:]
    )


def _is_layout(change: Change) -> bool:
    if change.removed_text.translate(_LAYOUT) != change.added_text.translate(_LAYOUT) or not change.is_clear:
        return False
    return _shape(change.old, with_text=True) == _shape(change.new, with_text=True)


def _is_text(change: Change) -> bool:
    if not _may_be_text(change) or not change.is_clear:
        return False
    if "#" not in change.added_text and "#" not in change.removed_text and not _is_string(change.new, change.added):
        return False
    return _shape(change.old, with_text=False) == _shape(change.new, with_text=False)


def _is_string(statements: Sequence[Statement], rows: Mapping[int, int]) -> bool:
    """Whether only strings start on changed lines, which spares most hunks a look at the other side."""
    return all(one.row not in rows or all(part.kind == "string" for part in one.tokens) for one in statements)


def _may_be_text(change: Change) -> bool:
    """A quick look that spares most hunks a slow one: code without long strings in which more than comments changed."""
    hunk = change.hunk
    lines = (change.removed_text, change.added_text)
    if any(quote in side for quote in _LONG for side in lines):
        return True
    both = "\n".join((*hunk.old_lines, *hunk.new_lines))
    if any(quote in both for quote in _LONG) or not _IS_CODE.search(both):
        return True
    removed, added = (
        [said for line in side.split("\n") if (said := line.partition("#")[0].rstrip())] for side in lines
    )
    return removed == added


def _shape(statements: Sequence[Statement], *, with_text: bool) -> list[tuple[object, ...]]:
    """What two sides share that say the same: depth and tokens of each statement, however they are laid out."""
    shape: list[tuple[object, ...]] = []
    depths: list[int] = []
    for statement in statements:
        if not with_text and (not statement.tokens or all(one.kind == "string" for one in statement.tokens)):
            continue
        while depths and statement.indent < depths[-1]:
            depths.pop()
        if not depths or statement.indent > depths[-1]:
            depths.append(statement.indent)
        words = tuple(_without_trailing_commas(statement.tokens))
        shape.append((len(depths), words, tuple(one.text.rstrip() for one in statement.comments) if with_text else ()))
    return shape


def _without_trailing_commas(tokens: Sequence[Token]) -> Iterator[str]:
    """The words of a statement in one spelling; a comma before a bracket's end goes where it makes no tuple."""
    opened: list[tuple[str, bool]] = []  # the bracket and whether it holds a tuple if it holds a comma
    n_commas: list[int] = []
    for at, token in enumerate(tokens):
        word = token.text
        if word in {"(", "[", "{"} and token.kind == "op":
            before = tokens[at - 1] if at else None
            is_call = before is not None and (
                before.text in {")", "]"} or (before.kind == "name" and before.text not in _NO_CALLS)
            )
            opened.append((word, (word == "(" and not is_call) or (word == "[" and is_call)))
            n_commas.append(0)
        elif word in {")", "]", "}"} and opened:
            opened.pop()
            n_commas.pop()
        elif word == "," and opened:
            n_commas[-1] += 1
            is_last = at + 1 < len(tokens) and tokens[at + 1].text in {")", "]", "}"}
            if is_last and (not opened[-1][1] or n_commas[-1] > 1):
                continue
        yield _spelled(word) if token.kind == "string" else word


def _spelled(literal: str) -> str:
    """A string in one spelling: `'a'` and `"a"` give the same; one with a backslash or a quote in it stays as it is."""
    body = literal.lstrip(_PREFIX)
    quote = next((one for one in _QUOTES if body.startswith(one)), "")
    inner = body[len(quote) : -len(quote)] if quote else body
    if "\\" in inner or "'" in inner or '"' in inner or not quote or not body.endswith(quote) or len(quote) > 1:
        return literal
    return f"{literal[: -len(body)].lower()}'{inner}'"
