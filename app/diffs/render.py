"""A diff as HTML, unified or side by side, from one structure.

Rows are strings put together with `%` and `join`; each line's HTML is made once. Every character of the diff is in the
page: what cannot be seen stands in a box that names it, what is too long is folded, not dropped. This is the only
module that makes `Markup`, and `_text` the only way for a character of a log to get into it.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from app.diffs import highlight
from app.diffs.intraline import Span, intraline, whitespace_change
from app.diffs.pairing import side_by_side
from app.diffs.parse import ADDED, MARKER, REMOVED, DiffDoc, FileDiff, Hunk, Status
from app.diffs.unicode import MARKED, hidden_characters, label_of, name_of

View = Literal["unified", "split"]

RENDER_VERSION = 1
ROWS_PER_BLOCK = 64
LONG_LINE = 2000
_SHOWN_OF_LONG = 500
# Colours for so many characters of a diff, files in order: a lexer is the dear part, and a page must not wait for it.
_MAX_COLOURED = 400_000

_STATUS = {
    Status.ADDED: "new file", Status.DELETED: "deleted", Status.RENAMED: "renamed", Status.COPIED: "copied",
    Status.TYPE_CHANGED: "type changed", Status.MODIFIED: "",
}  # fmt: skip
_NAMED = 3
_NO_BREAK_SPACES = "\xa0\u202f"
_CR = '<b class="u" title="U+000D CARRIAGE RETURN">CR</b>'
_QUIET_CR = '<b class="r" title="U+000D CARRIAGE RETURN"></b>'


@dataclass(frozen=True, slots=True)
class _Cells:
    """The lines of one hunk, drawn once for both views."""

    old: list[str]
    new: list[str]
    markers: list[str]
    rows: list[tuple[int, int]]


def render(doc: DiffDoc, view: View = "unified", *, prefix: str = "") -> Markup:
    """Draw a diff.

    Hunk n of file m has the anchor `id="f1h2"`, and `data-hunk` for stepping from change to change. Classes are styled
    by `static/diff.css`; no theme, wrap or tab width is in the HTML, so it can be kept under the diff's digest, `view`
    and `RENDER_VERSION`.

    Args:
        doc: from `parse`.
        view: `"unified"` or `"split"` (side by side; new and deleted files are unified in both).
        prefix: put before every anchor, where a page shows more than one diff.
    """
    parts = [f'<div class="diff {view}">']
    parts += _ribbons(doc)
    left = _MAX_COLOURED
    for number, file in enumerate(doc.files, 1):
        size = sum(len(line) for hunk in file.hunks for line in hunk.old_lines + hunk.new_lines)
        left -= size
        coloured = left >= 0 and size <= 2 * highlight.MAX_FILE_LENGTH
        parts += _file(file, view, f"{prefix}f{number}", coloured=coloured)
    parts += _prose(doc.tail)
    if doc.cut_mark:
        parts.append(f'<div class="cm" title="put here by the log, not part of the diff">{_text(doc.cut_mark)}</div>')
    parts.append("</div>")
    return Markup("".join(parts))  # noqa: S704  every piece comes from _text or from this module


def highlight_script(text: str) -> Markup:
    """Draw a whole Python script as numbered, coloured lines, each `id="L12"`; long and odd ones as in a diff."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    spans = highlight.colours("python", lines) or [[]] * len(lines)
    quiet = _all_crlf(lines)
    rows = (
        f'<tr id="L{n}"><td>{n}<td>{_code(line, line_spans, [], quiet)}'
        for n, (line, line_spans) in enumerate(zip(lines, spans, strict=True), 1)
    )
    parts = ['<div class="diff script">', *_blocks(list(rows), "sc"), "</div>"]
    return Markup("".join(parts))  # noqa: S704  every piece comes from _text or from this module


def _ribbons(doc: DiffDoc) -> Iterator[str]:
    for warning in doc.warnings:
        yield _ribbon(warning)


def _ribbon(sentence: str) -> str:
    return f'<p class="rb">{_text(sentence)}</p>'


def _file(file: FileDiff, view: View, anchor: str, *, coloured: bool) -> Iterator[str]:
    yield from _prose(file.prose)
    yield f'<section class="df" id="{anchor}">'
    yield _file_header(file)
    if file.header:
        yield '<details class="rw"><summary>Header as logged</summary>'
        yield from _prose(file.header)
        yield "</details>"
    yield from (f'<p class="mt">{note}</p>' for note in _meta(file))
    yield from (_ribbon(banner) for banner in _banners(file))
    quiet = _same_line_ends(file)
    view = "unified" if file.status in {Status.ADDED, Status.DELETED} else view
    for number, hunk in enumerate(file.hunks, 1):
        yield from _hunk(file, hunk, view, f"{anchor}h{number}", quiet=quiet, coloured=coloured)
    yield "</section>"


def _file_header(file: FileDiff) -> str:
    name = _text(file.path) or "(no file name)"
    if file.old_path and file.new_path and file.old_path != file.new_path:
        name = f'<span class="op">{_text(file.old_path)}</span> <span class="ar">→</span> {_text(file.new_path)}'
    status = f' <span class="st">{_STATUS[file.status]}</span>' if _STATUS[file.status] else ""
    return (
        f'<h3 class="fh"><span class="fp">{name}</span>{status} <span class="ct"><span class="na">+{file.n_added}'
        f'</span> <span class="nd">−{file.n_removed}</span></span></h3>'  # noqa: RUF001  a minus sign
    )


def _meta(file: FileDiff) -> Iterator[str]:
    if file.old_mode and file.new_mode and file.old_mode != file.new_mode:
        gained = file.new_mode.endswith("755") and not file.old_mode.endswith("755")
        yield f"Mode {_text(file.old_mode)} → {_text(file.new_mode)}" + (": now executable" if gained else "")
    if file.binary:
        yield "Binary file: there are no lines to show."
    elif not file.hunks and file.status in {Status.RENAMED, Status.COPIED}:
        yield "No change of content."
    elif not file.hunks and file.status is Status.ADDED:
        yield "New empty file."


def _banners(file: FileDiff) -> Iterator[str]:
    found = Counter(
        hidden.name
        for line in itertools.chain(file.header, *(hunk.old_lines + hunk.new_lines for hunk in file.hunks))
        for hidden in hidden_characters(line)
    )
    if found:
        names = ", ".join(name for name, _ in found.most_common(_NAMED))
        names += f" and {len(found) - _NAMED} more kinds" * (len(found) > _NAMED)
        yield f"This file's diff contains characters that hide or mislead: {names}. Each is shown in a box."
    n_changed = _n_line_ends_changed(file)
    if n_changed:
        yield f"Line endings changed on {n_changed:,} line{'s' * (n_changed > 1)}."


def _n_line_ends_changed(file: FileDiff) -> int:
    removed = Counter(line for hunk in file.hunks for line in _side_lines(hunk, REMOVED))
    added = [line for hunk in file.hunks for line in _side_lines(hunk, ADDED)]
    return sum(removed[line[:-1] if line.endswith("\r") else line + "\r"] > 0 for line in added)


def _side_lines(hunk: Hunk, kind: str) -> Iterator[str]:
    return (hunk.old_lines[op[1]] if kind == REMOVED else hunk.new_lines[op[2]] for op in hunk.ops if op[0] == kind)


def _same_line_ends(file: FileDiff) -> bool:
    """Every line of both sides ends in CR LF: then no single one of them is worth a box."""
    return all(_all_crlf(hunk.old_lines) and _all_crlf(hunk.new_lines) for hunk in file.hunks)


def _all_crlf(lines: Sequence[str]) -> bool:
    return all(line.endswith("\r") for line in lines)


def _prose(lines: Sequence[str]) -> Iterator[str]:
    if not lines:
        return
    rows = [f'<div class="pl">{_code(line, [], [], quiet_cr=False)}</div>' for line in lines]
    for start in range(0, len(rows), ROWS_PER_BLOCK):
        yield f'<div class="pr{_size(len(rows) - start)}">'
        yield from rows[start : start + ROWS_PER_BLOCK]
        yield "</div>"


def _hunk(file: FileDiff, hunk: Hunk, view: View, anchor: str, *, quiet: bool, coloured: bool) -> Iterator[str]:
    yield from _prose(hunk.before)
    yield f'<div class="h" id="{anchor}" data-hunk="{anchor}" tabindex="-1">{_code(hunk.header, [], [], quiet)}</div>'
    if hunk.counts_wrong:
        old, new = len(hunk.old_lines), len(hunk.new_lines)
        yield _ribbon(f"Hunk header wrong: it says {hunk.old_len} old and {hunk.new_len} new lines, here are {old} "
                      f"and {new}.")  # fmt: skip
    if hunk.glued:
        yield _ribbon("Repaired: a line end was missing between lines of this hunk.")
    cells = _cells(file, hunk, quiet=quiet, coloured=coloured)
    rows = list(_unified(hunk, cells) if view == "unified" else _split(hunk, cells))
    yield from _blocks(rows, ("un" if view == "unified" else "sp") + (" gw" if hunk.counts_wrong else ""))
    if hunk.truncated:
        yield _ribbon(_lacking(hunk))


def _lacking(hunk: Hunk) -> str:
    if hunk.lacking_old or hunk.lacking_new:
        return f"The diff is cut here: this hunk lacks {hunk.lacking_old:,} old and {hunk.lacking_new:,} new lines."
    return "The diff is cut here: the end of the last line is missing."


def _blocks(rows: list[str], kind: str) -> Iterator[str]:
    for start in range(0, len(rows), ROWS_PER_BLOCK):
        yield f'<div class="cv{_size(len(rows) - start)}"><table class="{kind}">'
        yield from rows[start : start + ROWS_PER_BLOCK]
        yield "</table></div>"


def _size(n_rows: int) -> str:
    """A class for blocks that are far smaller than a full one, so that the scroll bar does not jump."""
    return "" if n_rows >= ROWS_PER_BLOCK else " half" if n_rows > ROWS_PER_BLOCK // 4 else " few"


def _cells(file: FileDiff, hunk: Hunk, *, quiet: bool, coloured: bool) -> _Cells:
    rows = side_by_side(hunk)
    old_spans, new_spans = highlight.hunk_colours(file, hunk) if coloured else (None, None)
    old_marks: dict[int, list[Span]] = {}
    new_marks: dict[int, list[Span]] = {}
    notes: dict[int, str] = {}
    for left, right in rows:
        if left >= 0 and right >= 0 and hunk.ops[left][0] == REMOVED and hunk.ops[right][0] == ADDED:
            old, new = hunk.ops[left][1], hunk.ops[right][2]
            old_marks[old], new_marks[new] = intraline(hunk.old_lines[old], hunk.new_lines[new])
            if note := whitespace_change(hunk.old_lines[old], hunk.new_lines[new]):
                notes[new] = f'<s class="w" data-w="{note}"></s>'
    olds = [""] * len(hunk.old_lines)
    news = [""] * len(hunk.new_lines)
    for kind, old, new in hunk.ops:
        if kind == MARKER:
            continue
        if new >= 0:
            spans = new_spans[new] if new_spans else old_spans[old] if old_spans and old >= 0 else []
            news[new] = _code(hunk.new_lines[new], spans, new_marks.get(new, []), quiet) + notes.get(new, "")
        if old >= 0:
            spans = old_spans[old] if old_spans else []
            olds[old] = news[new] if new >= 0 else _code(hunk.old_lines[old], spans, old_marks.get(old, []), quiet)
    return _Cells(olds, news, [_text(marker) for marker in hunk.markers], rows)


def _unified(hunk: Hunk, cells: _Cells) -> Iterator[str]:
    markers = iter(cells.markers)
    old_number, new_number = _numbers(hunk)
    for kind, old, new in hunk.ops:
        if kind == MARKER:
            yield f"<tr><td><td><td class=nn>{next(markers)}"
        elif kind == REMOVED:
            yield f"<tr><td>{old_number[old]}<td><td class=d>{cells.old[old]}"
        elif kind == ADDED:
            yield f"<tr><td><td>{new_number[new]}<td class=a>{cells.new[new]}"
        else:
            yield f"<tr><td>{old_number[old]}<td>{new_number[new]}<td>{cells.new[new]}"


def _split(hunk: Hunk, cells: _Cells) -> Iterator[str]:
    old_number, new_number = _numbers(hunk)
    positions = [position for position, op in enumerate(hunk.ops) if op[0] == MARKER]
    markers = dict(zip(positions, cells.markers, strict=True))

    def half(position: int, side: int) -> str:
        if position < 0:
            return "<td><td class=e>"
        if position in markers:
            return f"<td><td class=nn>{markers[position]}"
        kind, *indices = hunk.ops[position]
        index = indices[side]
        number, cell = (old_number, cells.old) if side == 0 else (new_number, cells.new)
        css = {REMOVED: " class=d", ADDED: " class=a"}.get(kind, "")
        return f"<td>{number[index]}<td{css}>{cell[index]}"

    for left, right in cells.rows:
        yield f"<tr>{half(left, 0)}{half(right, 1)}"


def _numbers(hunk: Hunk) -> tuple[Sequence[object], Sequence[object]]:
    if hunk.old_start is None or hunk.new_start is None:
        return [""] * len(hunk.old_lines), [""] * len(hunk.new_lines)
    return (
        [hunk.old_start + i for i in range(len(hunk.old_lines))],
        [hunk.new_start + i for i in range(len(hunk.new_lines))],
    )


def _code(line: str, spans: Sequence[highlight.Span], marks: Sequence[Span], quiet_cr: bool) -> str:
    """One line: colours inside marks, the final CR as a box or, where all lines have one, as a quiet element."""
    if len(line) > LONG_LINE:
        return _long(line)
    if quiet_cr and line.endswith("\r"):
        return _code(line[:-1], spans, [(s, min(e, len(line) - 1)) for s, e in marks], quiet_cr=False) + _QUIET_CR
    if not marks:
        return _coloured(line, 0, len(line), spans)
    parts: list[str] = []
    at = 0
    for start, end in marks:
        parts += (_coloured(line, at, start, spans), "<mark>", _coloured(line, start, end, spans), "</mark>")
        at = end
    parts.append(_coloured(line, at, len(line), spans))
    return "".join(parts)


def _coloured(line: str, at: int, stop: int, spans: Sequence[highlight.Span]) -> str:
    if not spans:
        return _text(line[at:stop])
    parts: list[str] = []
    for start, end, name in spans:
        if end <= at:
            continue
        if start >= stop:
            break
        first, last = max(start, at), min(end, stop)
        parts.append(f"{_text(line[at:first])}<i class={name}>{_text(line[first:last])}</i>")
        at = last
    parts.append(_text(line[at:stop]))
    return "".join(parts)


def _long(line: str) -> str:
    head, middle, tail = line[:_SHOWN_OF_LONG], line[_SHOWN_OF_LONG:-_SHOWN_OF_LONG], line[-_SHOWN_OF_LONG:]
    return (
        f'{_text(head)}<details class="lg"><summary>{len(middle):,} more characters</summary>{_text(middle)}</details>'
        f"{_text(tail)}"
    )


def _text(text: str) -> str:
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
