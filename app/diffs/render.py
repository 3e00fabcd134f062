"""A diff as HTML, unified or side by side, from one structure.

Rows are strings put together with `%` and `join`; each line's HTML is made once. Every character of the diff is in the
page: `app.diffs.lines` is the only way for it to get there.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from app.diffs import highlight
from app.diffs.intraline import Span, intraline, whitespace_change
from app.diffs.lines import ROWS_PER_BLOCK, all_crlf, blocks, line_html, size_class, text_html
from app.diffs.pairing import side_by_side
from app.diffs.parse import ADDED, MARKER, REMOVED, DiffDoc, FileDiff, Hunk, Status
from app.diffs.unicode import hidden_characters

View = Literal["unified", "split"]

RENDER_VERSION = 1
# Colours for so many characters of a diff, files in order: a lexer is the dear part, and a page must not wait for it.
_MAX_COLOURED = 400_000

_STATUS = {
    Status.ADDED: "new file", Status.DELETED: "deleted", Status.RENAMED: "renamed", Status.COPIED: "copied",
    Status.TYPE_CHANGED: "type changed", Status.MODIFIED: "",
}  # fmt: skip
_NAMED = 3


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
        parts.append(
            f'<div class="cm" title="put here by the log, not part of the diff">{text_html(doc.cut_mark)}</div>'
        )
    parts.append("</div>")
    return Markup("".join(parts))  # noqa: S704  every piece comes from app.diffs.lines or this module


def render_text(text: str) -> Markup:
    """Draw a text that is no diff, such as an error: every line as it is, with what cannot be seen in a box."""
    rows = "".join(_prose(text.removesuffix("\n").split("\n")))
    return Markup(f'<div class="diff text">{rows}</div>')  # noqa: S704  every piece comes from app.diffs.lines


def render_line(text: str) -> Markup:
    """Draw a few words of a log, such as a function's name, with what cannot be seen in a box."""
    return Markup(text_html(text))  # noqa: S704  it escapes


def _ribbons(doc: DiffDoc) -> Iterator[str]:
    for warning in doc.warnings:
        yield _ribbon(warning)


def _ribbon(sentence: str) -> str:
    return f'<p class="rb">{text_html(sentence)}</p>'


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
    name = text_html(file.path) or "(no file name)"
    if file.old_path and file.new_path and file.old_path != file.new_path:
        name = (
            f'<span class="op">{text_html(file.old_path)}</span> <span class="ar">→</span> {text_html(file.new_path)}'
        )
    status = f' <span class="st">{_STATUS[file.status]}</span>' if _STATUS[file.status] else ""
    return (
        f'<h3 class="fh"><span class="fp">{name}</span>{status} <span class="ct"><span class="na">+{file.n_added}'
        f'</span> <span class="nd">−{file.n_removed}</span></span></h3>'  # noqa: RUF001  a minus sign
    )


def _meta(file: FileDiff) -> Iterator[str]:
    if file.old_mode and file.new_mode and file.old_mode != file.new_mode:
        gained = file.new_mode.endswith("755") and not file.old_mode.endswith("755")
        yield f"Mode {text_html(file.old_mode)} → {text_html(file.new_mode)}" + (": now executable" if gained else "")
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
    return all(all_crlf(hunk.old_lines) and all_crlf(hunk.new_lines) for hunk in file.hunks)


def _prose(lines: Sequence[str]) -> Iterator[str]:
    if not lines:
        return
    rows = [f'<div class="pl">{line_html(line, [], [], quiet_cr=False)}</div>' for line in lines]
    for start in range(0, len(rows), ROWS_PER_BLOCK):
        yield f'<div class="pr{size_class(len(rows) - start)}">'
        yield from rows[start : start + ROWS_PER_BLOCK]
        yield "</div>"


def _hunk(file: FileDiff, hunk: Hunk, view: View, anchor: str, *, quiet: bool, coloured: bool) -> Iterator[str]:
    yield from _prose(hunk.before)
    header = line_html(hunk.header, [], [], quiet)
    yield f'<div class="h" id="{anchor}" data-hunk="{anchor}" tabindex="-1">{header}</div>'
    if hunk.counts_wrong:
        old, new = len(hunk.old_lines), len(hunk.new_lines)
        yield _ribbon(f"Hunk header wrong: it says {hunk.old_len} old and {hunk.new_len} new lines, here are {old} "
                      f"and {new}.")  # fmt: skip
    if hunk.glued:
        yield _ribbon("Repaired: a line end was missing between lines of this hunk.")
    cells = _cells(file, hunk, quiet=quiet, coloured=coloured)
    rows = list(_unified(hunk, cells) if view == "unified" else _split(hunk, cells))
    yield from blocks(rows, ("un" if view == "unified" else "sp") + (" gw" if hunk.counts_wrong else ""))
    if hunk.truncated:
        yield _ribbon(_lacking(hunk))


def _lacking(hunk: Hunk) -> str:
    if hunk.lacking_old or hunk.lacking_new:
        return f"The diff is cut here: this hunk lacks {hunk.lacking_old:,} old and {hunk.lacking_new:,} new lines."
    return "The diff is cut here: the end of the last line is missing."


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
            news[new] = line_html(hunk.new_lines[new], spans, new_marks.get(new, []), quiet) + notes.get(new, "")
        if old >= 0:
            spans = old_spans[old] if old_spans else []
            olds[old] = news[new] if new >= 0 else line_html(hunk.old_lines[old], spans, old_marks.get(old, []), quiet)
    return _Cells(olds, news, [text_html(marker) for marker in hunk.markers], rows)


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
