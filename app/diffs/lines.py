"""One line of a log as HTML: the only way for its characters to get into a page.

What cannot be seen stands in a box that names it; what is too long is folded, not dropped.
"""

import re
from collections.abc import Iterator, Sequence

from app.diffs.unicode import MARKED, label_of, name_of

# Where a colour or a mark stands in a line: (start, end, class) and (start, end), in characters.
Colour = tuple[int, int, str]
Mark = tuple[int, int]

ROWS_PER_BLOCK = 64
LONG_LINE = 2000

_SHOWN_OF_LONG = 500
_NO_BREAK_SPACES = "\xa0\u202f"
_QUIET_CR = '<b class="r" title="U+000D CARRIAGE RETURN"></b>'


def line_html(line: str, spans: Sequence[Colour], marks: Sequence[Mark], quiet_cr: bool) -> str:
    """One line: colours inside marks, the final CR as a box or, where all lines have one, as a quiet element."""
    if len(line) > LONG_LINE:
        return _long(line)
    if quiet_cr and line.endswith("\r"):
        return line_html(line[:-1], spans, [(s, min(e, len(line) - 1)) for s, e in marks], quiet_cr=False) + _QUIET_CR
    if not marks:
        return _coloured(line, 0, len(line), spans)
    parts: list[str] = []
    at = 0
    for start, end in marks:
        parts += (_coloured(line, at, start, spans), "<mark>", _coloured(line, start, end, spans), "</mark>")
        at = end
    parts.append(_coloured(line, at, len(line), spans))
    return "".join(parts)


def _coloured(line: str, at: int, stop: int, spans: Sequence[Colour]) -> str:
    if not spans:
        return text_html(line[at:stop])
    parts: list[str] = []
    for start, end, name in spans:
        if end <= at:
            continue
        if start >= stop:
            break
        first, last = max(start, at), min(end, stop)
        parts.append(f"{text_html(line[at:first])}<i class={name}>{text_html(line[first:last])}</i>")
        at = last
    parts.append(text_html(line[at:stop]))
    return "".join(parts)


def _long(line: str) -> str:
    middle = line[_SHOWN_OF_LONG:-_SHOWN_OF_LONG]
    folded = f'<details class="lg"><summary>{len(middle):,} more characters</summary>{text_html(middle)}</details>'
    return text_html(line[:_SHOWN_OF_LONG]) + folded + text_html(line[-_SHOWN_OF_LONG:])


def text_html(text: str) -> str:
    """Characters of a log as HTML text; the only place where they are escaped."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") if _needs_escape(text) else text
    return escaped if escaped.isprintable() and escaped.isascii() else MARKED.sub(_box, escaped)


def _needs_escape(text: str) -> bool:
    return "<" in text or "&" in text or ">" in text


def _box(match: re.Match[str]) -> str:
    character = match[0]
    if character in _NO_BREAK_SPACES:
        return f'<b class="nb" title="{name_of(character)}">{character}</b>'
    return f'<b class="u" title="{name_of(character)}">{label_of(character)}</b>'


def blocks(rows: Sequence[str], kind: str) -> Iterator[str]:
    """Table rows in tables of their own, which a browser can leave undrawn while they are off the screen."""
    for start in range(0, len(rows), ROWS_PER_BLOCK):
        yield f'<div class="cv{size_class(len(rows) - start)}"><table class="{kind}">'
        yield from rows[start : start + ROWS_PER_BLOCK]
        yield "</table></div>"


def size_class(n_rows: int) -> str:
    """A class for blocks that are far smaller than a full one, so that the scroll bar does not jump."""
    return "" if n_rows >= ROWS_PER_BLOCK else " half" if n_rows > ROWS_PER_BLOCK // 4 else " few"


def all_crlf(lines: Sequence[str]) -> bool:
    """Every line ends in CR LF: then no single one of them is worth a box."""
    return all(line.endswith("\r") for line in lines)
