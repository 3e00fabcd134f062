"""A diff as HTML, unified or side by side, from one structure.

Rows are strings put together with `%` and `join`; each line's HTML is made once. Every character of the diff is in the
page: `app.diffs.lines` is the only way for it to get there. What is folded is in the page, too, one click away; of a
long diff the first rows are, and the others come as they are scrolled to (`app.diffs.paging`).
"""

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Literal

from markupsafe import Markup

from app.diffs.anchors import HEADER, Anchors, anchor_html, anchored, anchors
from app.diffs.highlight import Colours, Sides
from app.diffs.lines import ROWS_PER_BLOCK, all_crlf, blocks, line_html, size_class, text_html
from app.diffs.paging import Pages
from app.diffs.pairing import Row
from app.diffs.parse import ADDED, MARKER, REMOVED, DiffDoc, FileDiff, Hunk, Status
from app.diffs.repeats import Edit, Fold, Matched, Repeats, find_repeats, groups, match
from app.diffs.unicode import hidden_characters

View = Literal["unified", "split"]

RENDER_VERSION = 3
"""Of the HTML: what an older version drew is drawn anew."""

_STATUS = {
    Status.ADDED: "new file", Status.DELETED: "deleted", Status.RENAMED: "renamed", Status.COPIED: "copied",
    Status.TYPE_CHANGED: "type changed", Status.MODIFIED: "",
}  # fmt: skip
_NAMED = 3
_FOLDED_CHANGES, _FOLDED_DELETION = 1000, 50
_GENERATED = re.compile(
    r"(?:^|/)(?:package-lock\.json|yarn\.lock|pnpm-lock\.yaml|poetry\.lock|pdm\.lock|uv\.lock|Pipfile\.lock|Cargo\.lock|"
    r"go\.sum|composer\.lock|Gemfile\.lock)$|\.(?:po|pot|snap|svg|map|min\.js|min\.css)$|_pb2(?:_grpc)?\.pyi?$"
)
_LONGEST_RUN = 60
_MODES = {"100755": "executable", "120000": "symbolic link", "160000": "submodule"}
STEP = 20
"""How many lines of context are asked for at once."""

_PLAIN: Sides = (None, None)
_NOT_TOLD: Mapping[int, int] = {}


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a diff besides its text.

    Attributes:
        colours: of each hunk, in the order of `doc.hunks`; empty for none.
        badges: by number of a file, from 1, what its header says: `{1: ("format only",)}`.
        n_lines: by number of a file, how many lines it has after the change, where all of it is known.
        remark: a sentence above the diff.
        told: lines of the diff, from 1, of which something is said elsewhere: each gets an anchor, `id="d41"`.
    """

    colours: Sequence[Sides] = ()
    badges: Mapping[int, Sequence[str]] = field(default_factory=dict)
    n_lines: Mapping[int, int] = field(default_factory=dict)
    remark: str = ""
    told: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class _Cells:
    """The lines of one hunk, drawn once for both views."""

    old: list[str]
    new: list[str]
    markers: list[str]


@dataclass(frozen=True, slots=True)
class _Drawn:
    """One hunk with all that is known of it."""

    hunk: Hunk
    matched: Matched
    repeats: Repeats
    colours: Sides
    told: Mapping[int, int]


NOTHING_KNOWN = Known()


def render(doc: DiffDoc, view: View = "unified", known: Known = NOTHING_KNOWN, *, prefix: str = "") -> Markup:
    """Draw a diff in one piece, however long it is. See `draw`."""
    return Markup(draw(doc, view, known, prefix=prefix)[0])  # noqa: S704  every piece comes from app.diffs.lines


def draw(
    doc: DiffDoc, view: View = "unified", known: Known = NOTHING_KNOWN, *, prefix: str = "", address: str | None = None
) -> list[str]:
    """Draw a diff: the page, and the pieces that it asks for as they come into view.

    Hunk n of file m has the anchor `id="f1h2"`, and `data-hunk` for stepping from change to change; `data-hunks` says
    how many there are in all. Classes are styled by `static/diff.css`; no theme, wrap or tab width is in the HTML, so
    it can be kept under the diff's digest, `view` and `RENDER_VERSION`.

    Args:
        doc: from `parse`.
        view: `"unified"` or `"split"` (side by side; new and deleted files are unified in both).
        known: colours and the like, made by who may take the time.
        prefix: put before every anchor, where a page shows more than one diff.
        address: where pieces and further context are asked for: `/candidates/5`; None to draw all in one piece.
    """
    pages = Pages(None if address is None else f"{address}/diff?view={view}&amp;piece=")
    if known.remark:
        pages.put(f'<p class="mt">{text_html(known.remark)}</p>')
    pages.put(*(_ribbon(warning) for warning in doc.warnings))
    matched = [match(hunk) for hunk in doc.hunks]
    told = anchors(doc, known.told)
    hunks = iter(map(_Drawn, doc.hunks, matched, find_repeats(doc.hunks, matched),
                     known.colours or itertools.repeat(_PLAIN), _told_of(told)))  # fmt: skip
    for number, file in enumerate(doc.files, 1):
        pages.put(*map(anchor_html, told.files.get(number, ())))
        sheet = _Sheet(pages, file, view, f"{prefix}f{number}", number, address, known)
        sheet.draw(list(itertools.islice(hunks, len(file.hunks))), alone=len(doc.files) == 1)
    pages.put(*map(anchor_html, told.files.get(0, ())))
    _prose(pages, doc.tail)
    if doc.cut_mark:
        pages.put(f'<div class="cm" title="put here by the log, not part of the diff">{text_html(doc.cut_mark)}</div>')
    first, *others = pages.pieces()
    return [f'<div class="diff {view}" data-hunks="{len(doc.hunks)}">{first}</div>', *others]


def _told_of(told: Anchors) -> Iterator[Mapping[int, int]]:
    return (told.hunks.get(at, _NOT_TOLD) for at in itertools.count())


def render_text(text: str) -> Markup:
    """Draw a text that is no diff, such as an error: every line as it is, with what cannot be seen in a box."""
    pages = Pages(None)
    _prose(pages, text.removesuffix("\n").split("\n"))
    return Markup(f'<div class="diff text">{pages.pieces()[0]}</div>')  # noqa: S704  every piece comes from app.diffs.lines


def render_line(text: str) -> Markup:
    """Draw a few words of a log, such as a function's name, with what cannot be seen in a box."""
    return Markup(text_html(text))  # noqa: S704  it escapes


def _ribbon(sentence: str) -> str:
    return f'<p class="rb">{text_html(sentence)}</p>'


# ------------------------------------------------------------------------------------------------ a file


@dataclass(frozen=True, slots=True)
class _Sheet:
    """One file being drawn."""

    pages: Pages
    file: FileDiff
    view: View
    anchor: str
    number: int
    address: str | None
    known: Known

    def draw(self, hunks: Sequence[_Drawn], *, alone: bool) -> None:
        """Header, what is to be said of the file, and its hunks; folded where few would read them all."""
        file, pages = self.file, self.pages
        _prose(pages, file.prose)
        name = text_html(file.path) or "(no file name)"
        again = (
            f'<section class="df"><h3 class="fh"><span class="fp">{name}</span> <span class="st">goes on</span></h3>'
        )
        with pages.inside(f'<section class="df" id="{self.anchor}">', again, "</section>"):
            pages.put(_file_header(file, self.known.badges.get(self.number, ())))
            if file.header:
                with self._in_fold("rw", "Header as logged", len(file.header)):
                    _prose(pages, file.header)
            pages.put(*(f'<p class="mt">{note}</p>' for note in _meta(file)))
            pages.put(*(_ribbon(banner) for banner in _banners(file)))
            why = "" if alone else _why_folded(file)
            if not why:
                self._hunks(hunks)
                return
            n_rows = sum(len(hunk.ops) + len(hunk.before) + 1 for hunk in file.hunks)
            with self._in_fold("fo", f"{why} Show {n_rows:,} rows", n_rows):
                self._hunks(hunks)

    @contextmanager
    def _in_fold(self, kind: str, summary: str, n_rows: int) -> Iterator[None]:
        """Rows behind a summary; those that have no room here come when it is opened."""
        self.pages.put(f'<details class="{kind}"><summary>{summary}</summary>')
        with nullcontext() if self.pages.fits(n_rows) else self.pages.aside():
            yield
        self.pages.put("</details>")

    def _hunks(self, hunks: Sequence[_Drawn]) -> None:
        quiet = _same_line_ends(self.file)
        end = 0  # the last line, after the change, that was drawn
        for start, stop in groups([one.repeats for one in hunks], [len(one.hunk.ops) + 1 for one in hunks]):
            drawn: list[str] = []
            for at in range(start, stop):
                gap = self._gap(end, _first_line(hunks[at].hunk))
                end = _last_line(hunks[at].hunk)
                if start + 1 < stop or hunks[at].repeats.is_whole:
                    drawn += [gap, *self._folded_hunk(hunks[at], at + 1, quiet=quiet)]
                else:
                    self.pages.put(gap)
                    self._hunk(hunks[at], at + 1, quiet=quiet)
            if drawn:
                summary = _summary([edit for one in hunks[start:stop] for edit in one.repeats.edits], stop - start)
                html = f'<details class="rp">{summary}{"".join(drawn)}</details>'
                self.pages.whole(html, sum(len(one.hunk.ops) + 1 for one in hunks[start:stop]))
        n_lines = self.known.n_lines.get(self.number)
        self.pages.put(self._gap(end, None if n_lines is None else n_lines + 1))

    def _gap(self, end: int, start: int | None) -> str:
        if self.address is None or self.number not in self.known.n_lines or start is None:
            return ""
        return gap_html(self.address, self.view, self.number, end + 1, start - 1)

    def _hunk(self, one: _Drawn, number: int, *, quiet: bool) -> None:
        _prose(self.pages, one.hunk.before)
        self.pages.whole("".join(self._head(one, number, quiet=quiet)))
        if one.repeats.folds:
            for rows, fold in self._stretches(one, quiet=quiet):
                if fold is None:
                    self.pages.rows(rows, self._kind(one.hunk))
                else:
                    self.pages.whole(_folded(rows, self._kind(one.hunk), _summary(fold.edits, 0)), len(rows))
        else:
            self.pages.rows(self._rows(one, quiet=quiet), self._kind(one.hunk))
        if one.hunk.truncated:
            self.pages.put(_ribbon(_lacking(one.hunk)))

    def _folded_hunk(self, one: _Drawn, number: int, *, quiet: bool) -> Iterator[str]:
        yield from self._head(one, number, quiet=quiet)
        yield from blocks(self._rows(one, quiet=quiet), self._kind(one.hunk))

    def _head(self, one: _Drawn, number: int, *, quiet: bool) -> Iterator[str]:
        hunk, anchor = one.hunk, f"{self.anchor}h{number}"
        header = line_html(hunk.header, [], [], quiet)
        yield from (anchor_html(line) for line, position in one.told.items() if position == HEADER)
        said = "".join(f'<s class="x" data-x="same edit × {n:,}"></s>' for _, n in one.repeats.shown)  # noqa: RUF001
        yield f'<div class="h" id="{anchor}" data-hunk="{anchor}" tabindex="-1">{header}{said}</div>'
        if hunk.counts_wrong:
            old, new = len(hunk.old_lines), len(hunk.new_lines)
            yield _ribbon(f"Hunk header wrong: it says {hunk.old_len} old and {hunk.new_len} new lines, here are {old} "
                          f"and {new}.")  # fmt: skip
        if hunk.glued:
            yield _ribbon("Repaired: a line end was missing between lines of this hunk.")

    @property
    def _is_unified(self) -> bool:
        return self.view == "unified" or self.file.status in {Status.ADDED, Status.DELETED}

    def _kind(self, hunk: Hunk) -> str:
        return ("un" if self._is_unified else "sp") + (" gw" if hunk.counts_wrong else "")

    def _rows(self, one: _Drawn, *, quiet: bool) -> list[str]:
        cells = _cells(one, quiet=quiet)
        rows = list(_unified(one.hunk, cells) if self._is_unified else _split(one, cells))
        for line, position in one.told.items():
            if position != HEADER:
                at = position if self._is_unified else _row_of(one.matched, position)
                rows[at] = anchored(rows[at], line)
        return rows

    def _stretches(self, one: _Drawn, *, quiet: bool) -> Iterator[tuple[list[str], Fold | None]]:
        """The rows of a hunk, those that are folded apart."""
        rows = self._rows(one, quiet=quiet)
        # Where a row begins, in positions of the hunk: unified, every position is one.
        places = [max(row.left, row.right) for row in one.matched.rows]
        at = 0
        for fold in one.repeats.folds:
            if self._is_unified:
                start, stop = fold.start, fold.stop
            else:
                start = next(i for i, place in enumerate(places) if place >= fold.start)
                stop = next((i for i, row in enumerate(one.matched.rows) if _first(row) >= fold.stop), len(rows))
            if at < start:
                yield rows[at:start], None
            yield rows[start:stop], fold
            at = stop
        if at < len(rows):
            yield rows[at:], None


def _row_of(matched: Matched, position: int) -> int:
    """Which row, side by side, holds a position of the hunk."""
    return next(at for at, row in enumerate(matched.rows) if position in row[:2])


def _first(row: Row) -> int:
    return min(place for place in row[:2] if place >= 0)


def _first_line(hunk: Hunk) -> int | None:
    """The first line of the file after the change that a hunk shows, or stands before."""
    return hunk.new_start if hunk.new_lines or hunk.new_start is None else hunk.new_start + 1


def _last_line(hunk: Hunk) -> int:
    """The last line of the file after the change that a hunk shows, or stands behind."""
    start = hunk.new_start or 0
    return start + len(hunk.new_lines) - 1 if hunk.new_lines else start


def _why_folded(file: FileDiff) -> str:
    n_changed = file.n_added + file.n_removed
    if _GENERATED.search(file.path):
        return f"A generated file, {n_changed:,} lines changed."
    if n_changed > _FOLDED_CHANGES:
        return f"{n_changed:,} lines changed."
    if file.status is Status.DELETED and file.n_removed > _FOLDED_DELETION:
        return f"All {file.n_removed:,} lines are gone."
    return ""


def gap_html(address: str, view: View, file: int, first: int, last: int) -> str:
    """What stands for lines that the diff leaves out, `first` to `last` after the change; empty where none are."""
    n_lines = last - first + 1
    if n_lines <= 0:
        return ""
    takes = (("top", f"↓ {STEP} lines"), ("bottom", f"↑ {STEP} lines")) if n_lines > STEP else ()
    links = [
        f'<a href="{at}" hx-get="{at}" hx-target="closest .cx" hx-swap="outerHTML" data-aside>{label}</a>'
        for take, label in (*takes, ("all", f"All {n_lines:,} lines" if n_lines > 1 else "1 line"))
        for at in (f"{address}/context?view={view}&amp;file={file}&amp;first={first}&amp;last={last}&amp;take={take}",)
    ]
    return f'<div class="cx"><span>Unchanged</span> {" ".join(links)}</div>'


def context_html(lines: Sequence[str], colours: Colours | None, old: int, new: int, view: View) -> str:
    """Unchanged lines as rows; `old` and `new` are the numbers of the first."""
    found = colours or [[]] * len(lines)
    quiet = all_crlf(lines)
    cells = [line_html(line, spans, [], quiet) for line, spans in zip(lines, found, strict=True)]
    if view == "unified":
        rows = [f"<tr><td>{old + i}<td>{new + i}<td>{cell}" for i, cell in enumerate(cells)]
    else:
        rows = [f"<tr><td>{old + i}<td>{cell}<td>{new + i}<td>{cell}" for i, cell in enumerate(cells)]
    return "".join(blocks(rows, "un" if view == "unified" else "sp"))


def _folded(rows: Sequence[str], kind: str, summary: str) -> str:
    return f'<details class="rp">{summary}{"".join(blocks(rows, kind))}</details>'


def _summary(edits: Sequence[Edit], n_hunks: int) -> str:
    """What a fold repeats, how often and over how many hunks."""
    distinct = list(dict.fromkeys(edits))
    where = f", {n_hunks:,} hunks" if n_hunks > 1 else ""
    said = "; ".join(map(_edit_html, distinct[:_NAMED])) + "; …" * (len(distinct) > _NAMED)
    what = "Same edit" if len(distinct) == 1 else f"Same {len(distinct)} edits"
    return f"<summary>{what} × {len(edits):,}{where}: {said}</summary>"  # noqa: RUF001  a sign for times


def _edit_html(edit: Edit) -> str:
    old, new = (" … ".join(runs) for runs in edit)
    return (
        " → ".join(
            f"<{tag}>{text_html(text if len(text) <= _LONGEST_RUN else text[: _LONGEST_RUN - 1] + '…')}</{tag}>"
            for tag, text in (("del", old), ("ins", new))
            if text
        )
        or "nothing"
    )


def _file_header(file: FileDiff, badges: Sequence[str]) -> str:
    name = text_html(file.path) or "(no file name)"
    if file.old_path and file.new_path and file.old_path != file.new_path:
        name = (
            f'<span class="op">{text_html(file.old_path)}</span> <span class="ar">→</span> {text_html(file.new_path)}'
        )
    status = f' <span class="st">{_STATUS[file.status]}</span>' if _STATUS[file.status] else ""
    status += "".join(f' <span class="bg">{text_html(badge)}</span>' for badge in (*_side_badges(file), *badges))
    return (
        f'<h3 class="fh"><span class="fp">{name}</span>{status} <span class="ct"><span class="na">+{file.n_added}'
        f'</span> <span class="nd">−{file.n_removed}</span></span></h3>'  # noqa: RUF001  a minus sign
    )


def _side_badges(file: FileDiff) -> Iterator[str]:
    """What changed beside the words, as far as characters alone prove it."""
    if file.old_mode and file.new_mode and file.old_mode != file.new_mode:
        gained = file.new_mode.endswith("755") and not file.old_mode.endswith("755")
        yield "now executable" if gained else "mode changed"
    elif file.status is Status.ADDED and file.new_mode in _MODES:
        yield _MODES[file.new_mode]
    removed = [line for hunk in file.hunks for line in _side_lines(hunk, REMOVED)]
    added = [line for hunk in file.hunks for line in _side_lines(hunk, ADDED)]
    if not removed or not added or any(hunk.truncated for hunk in file.hunks):
        return
    if [line.removesuffix("\r") for line in removed] == [line.removesuffix("\r") for line in added]:
        yield "line ends only" if removed != added else "end of file only"
    elif "".join("".join(removed).split()) == "".join("".join(added).split()):
        yield "white space only"


def _meta(file: FileDiff) -> Iterator[str]:
    if file.old_mode and file.new_mode and file.old_mode != file.new_mode:
        yield f"Mode {text_html(file.old_mode)} → {text_html(file.new_mode)}"
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


def _prose(pages: Pages, lines: Sequence[str]) -> None:
    rows = [f'<div class="pl">{line_html(line, [], [], quiet_cr=False)}</div>' for line in lines]
    for start in range(0, len(rows), ROWS_PER_BLOCK):
        part = rows[start : start + ROWS_PER_BLOCK]
        pages.whole(f'<div class="pr{size_class(len(rows) - start)}">{"".join(part)}</div>', len(part))


# ------------------------------------------------------------------------------------------------ rows


def _lacking(hunk: Hunk) -> str:
    if hunk.lacking_old or hunk.lacking_new:
        return f"The diff is cut here: this hunk lacks {hunk.lacking_old:,} old and {hunk.lacking_new:,} new lines."
    return "The diff is cut here: the end of the last line is missing."


def _cells(one: _Drawn, *, quiet: bool) -> _Cells:
    hunk, matched = one.hunk, one.matched
    old_spans, new_spans = one.colours
    olds = [""] * len(hunk.old_lines)
    news = [""] * len(hunk.new_lines)
    for kind, old, new in hunk.ops:
        if kind == MARKER:
            continue
        if new >= 0:
            spans = new_spans[new] if new_spans else old_spans[old] if old_spans and old >= 0 else []
            news[new] = line_html(hunk.new_lines[new], spans, matched.new_marks.get(new, []), quiet)
            if note := matched.notes.get(new):
                news[new] += f'<s class="w" data-w="{note}"></s>'
        if old >= 0:
            spans = old_spans[old] if old_spans else []
            olds[old] = (
                news[new] if new >= 0 else line_html(hunk.old_lines[old], spans, matched.old_marks.get(old, []), quiet)
            )
    return _Cells(olds, news, [text_html(marker) for marker in hunk.markers])


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


def _split(one: _Drawn, cells: _Cells) -> Iterator[str]:
    hunk = one.hunk
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

    for left, right, _ in one.matched.rows:
        yield f"<tr>{half(left, 0)}{half(right, 1)}"


def _numbers(hunk: Hunk) -> tuple[Sequence[object], Sequence[object]]:
    if hunk.old_start is None or hunk.new_start is None:
        return [""] * len(hunk.old_lines), [""] * len(hunk.new_lines)
    return (
        [hunk.old_start + i for i in range(len(hunk.old_lines))],
        [hunk.new_start + i for i in range(len(hunk.new_lines))],
    )
