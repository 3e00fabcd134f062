r"""A unified diff as data, read without ever dropping or inventing a character.

`text_of(parse(text)) == text` holds for every text. Lines end at `\n` and nowhere else: a form feed, U+2028 or a lone
carriage return inside a line is part of that line, so that no code can hide behind it.

Sources: GNU diffutils manual ("Detailed Description of Unified Format"), git's `Documentation/diff-generate-patch`
(extended headers, quoted paths), CPython's `difflib.unified_diff` (which glues lines, see `_unglue`).
"""

import os.path
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import compress
from typing import NamedTuple

from rapidfuzz.distance import Postfix, Prefix

CONTEXT = " "
REMOVED = "-"
ADDED = "+"
MARKER = "\\"
BARE = "~"
CUT_MARK = "..."
SNIPPET_LENGTH = 1000

Op = tuple[str, int, int]

# More digits than this are no line number; the bound also keeps int() from refusing them.
_NUMBER = "([0-9]{1,30})"
_HUNK = re.compile(rf"@@ -{_NUMBER}(?:,{_NUMBER})? \+{_NUMBER}(?:,{_NUMBER})? @@(.*)", re.DOTALL)
_EXTENDED = (
    "index ", "old mode ", "new mode ", "new file mode ", "deleted file mode ", "similarity index ",
    "dissimilarity index ", "rename from ", "rename to ", "copy from ", "copy to ", "Binary files ",
)  # fmt: skip
_KEYS = (*_EXTENDED, "diff --git ")
_BINARY_START = "GIT binary patch"
# Where str.splitlines() ends a line besides \n: each piece got its own sign from difflib.
_SPLITLINES_ENDS = re.compile("(?<=[\x0b\x0c\x1c-\x1e\x85\u2028\u2029])|(?<=\r)(?!$)")
# As far as nothing but signs begins the lines: a marker, a bare line and the like are not as plain.
_PLAIN = re.compile(r"[ +-]*(?![ +~\\-])")
_NOT_JOINED: frozenset[int] = frozenset()
_OCTAL_PATH = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
_LANGUAGES = {
    ".py": "python", ".pyi": "python", ".pyw": "python", ".json": "json", ".jsonl": "json", ".toml": "toml",
    ".cfg": "ini", ".ini": "ini", ".yaml": "yaml", ".yml": "yaml", ".md": "markdown", ".sh": "bash",
    ".js": "javascript", ".html": "html", ".css": "css", ".rst": "rst",
}  # fmt: skip


class Status(StrEnum):
    """What happened to a file, in git's letters."""

    ADDED = "A"
    MODIFIED = "M"
    DELETED = "D"
    RENAMED = "R"
    COPIED = "C"
    TYPE_CHANGED = "T"


@dataclass(frozen=True, slots=True)
class Hunk:
    r"""One `@@` part of a file's diff.

    `"@@ -1,2 +1,2 @@ def f():\n a\n-b\n+c\n"` has `old_lines=("a", "b")`, `new_lines=("a", "c")` and
    `ops=((" ", 0, 0), ("-", 1, -1), ("+", -1, 1))`.

    Attributes:
        header: the `@@` line as written.
        old_start: first line on the old side as claimed; None when the header has no numbers. `new_start` likewise.
        old_len: number of old lines as claimed; None when the header has no numbers. `new_len` likewise.
        section: what stands after the second `@@`.
        ops: kind and indices into `old_lines` and `new_lines`, -1 where a side has no line. Kinds are `CONTEXT`,
            `REMOVED`, `ADDED`, `BARE` (a context line that lost its leading space) and `MARKER` (a `\ No newline`
            line: the indices say whose).
        old_lines: the old side without line ends. `new_lines` likewise.
        markers: the text of each `MARKER` op, in order.
        joined: positions in `ops` after which no `\n` came, though the next op is a line of its own.
        before: lines between the part before and `header` that belong to nothing.
        truncated: the diff was cut inside this hunk.
        lacking_old: old lines that the header claims and the cut took. `lacking_new` likewise.
        counts_wrong: the header claims other counts than the hunk has.
        glued: difflib had stuck lines together; they were parted (`joined` says where).
    """

    header: str
    old_start: int | None
    old_len: int | None
    new_start: int | None
    new_len: int | None
    section: str
    ops: tuple[Op, ...]
    old_lines: tuple[str, ...]
    new_lines: tuple[str, ...]
    markers: tuple[str, ...] = ()
    joined: frozenset[int] = frozenset()
    before: tuple[str, ...] = ()
    truncated: bool = False
    lacking_old: int = 0
    lacking_new: int = 0
    counts_wrong: bool = False
    glued: bool = False

    @property
    def n_added(self) -> int:
        """Lines that only the new side has."""
        return sum(op[0] == ADDED for op in self.ops)

    @property
    def n_removed(self) -> int:
        """Lines that only the old side has."""
        return sum(op[0] == REMOVED for op in self.ops)


@dataclass(frozen=True, slots=True)
class FileDiff:
    """What happens to one file.

    Attributes:
        old_path: without `a/` and without quotes; None for a new file or where no header names one.
        new_path: without `b/`; None for a deleted file or where no header names one.
        status: what happened.
        old_mode: `"100644"`, or None where the diff does not say. `new_mode` likewise.
        binary: there are no lines to show.
        language: `"python"`, `"json"`, ... by the path's ending; empty when unknown.
        hunks: the parts, in order.
        header: the header lines as written.
        prose: lines before the header that belong to nothing.
    """

    old_path: str | None
    new_path: str | None
    status: Status
    old_mode: str | None
    new_mode: str | None
    binary: bool
    language: str
    hunks: tuple[Hunk, ...]
    header: tuple[str, ...]
    prose: tuple[str, ...]

    @property
    def path(self) -> str:
        """The path to call the file by: the new one, else the old one, else `""`."""
        return self.new_path or self.old_path or ""

    @property
    def n_added(self) -> int:
        """Lines added in all hunks."""
        return sum(hunk.n_added for hunk in self.hunks)

    @property
    def n_removed(self) -> int:
        """Lines removed in all hunks."""
        return sum(hunk.n_removed for hunk in self.hunks)


@dataclass(frozen=True, slots=True)
class DiffDoc:
    """A whole text, read as a diff.

    Attributes:
        files: one entry a file; empty when the text is not a diff.
        warnings: sentences for the reviewer: what is odd, and where.
        truncated: the text was cut.
        cut_mark: what the log put after the cut (`"..."`), or `""`. It is not part of the diff.
        tail: lines after the last hunk that belong to nothing; the whole text when it is not a diff.
        final_newline: the text (without `cut_mark`) ends with a line end.
    """

    files: tuple[FileDiff, ...]
    warnings: tuple[str, ...]
    truncated: bool
    cut_mark: str
    tail: tuple[str, ...]
    final_newline: bool

    @property
    def hunks(self) -> tuple[Hunk, ...]:
        """Every hunk of every file, in the order of the text."""
        return tuple(hunk for file in self.files for hunk in file.hunks)


def parse(text: str, snippet: bool = False) -> DiffDoc:
    r"""Read a text as a unified diff; whatever it holds, nothing is dropped and no error is raised.

    `"--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n"` gives one `FileDiff` with one `Hunk`; `"No textual changes
    detected for x.py"` gives no file, one warning, and the sentence in `tail`.

    Args:
        text: the diff, decoded.
        snippet: the writer cuts diffs at 1,000 characters and puts `...` after the cut.
    """
    body, cut_mark = _without_cut_mark(text, snippet)
    lines = body.split("\n")
    final_newline = lines[-1] == "" and len(lines) > 1
    if final_newline or not body:
        lines.pop()
    was_cut = bool(cut_mark) or (snippet and len(text) == SNIPPET_LENGTH)
    files, tail = _files(lines, open_end=was_cut or not final_newline, cut_in_line=was_cut and not final_newline)
    truncated = was_cut or any(hunk.truncated for file in files for hunk in file.hunks)
    warnings = tuple(_warnings(files, tail, truncated, was_cut))
    return DiffDoc(files, warnings, truncated, cut_mark, tail, final_newline)


def parts_of(doc: DiffDoc) -> Iterator[tuple[int, FileDiff | Hunk]]:
    """Files and hunks with the line of the diff that each begins on, from 1; their prose stands above it."""
    line = 1
    for file in doc.files:
        line += len(file.prose)
        yield line, file
        line += len(file.header)
        for hunk in file.hunks:
            line += len(hunk.before)
            yield line, hunk
            line += 1 + len(hunk.ops) - len(hunk.joined)


def text_of(doc: DiffDoc) -> str:
    """The exact text that `parse` read to get `doc`."""
    pieces: list[str] = []
    for file in doc.files:
        pieces += (line + "\n" for line in (*file.prose, *file.header))
        for hunk in file.hunks:
            pieces += (line + "\n" for line in (*hunk.before, hunk.header))
            pieces += body_of(hunk)
    pieces += (line + "\n" for line in doc.tail)
    text = "".join(pieces)
    return (text if doc.final_newline else text[:-1]) + doc.cut_mark


def body_of(hunk: Hunk) -> Iterator[str]:
    r"""The hunk's lines as they stand in the diff, each with its sign and its line end: `" a\n"`, `"-b\n"`."""
    markers = iter(hunk.markers)
    for position, (kind, old, new) in enumerate(hunk.ops):
        end = "" if position in hunk.joined else "\n"
        if kind == MARKER:
            yield next(markers) + end
        else:
            line = hunk.old_lines[old] if old >= 0 else hunk.new_lines[new]
            yield ("" if kind == BARE else kind) + line + end


def _without_cut_mark(text: str, snippet: bool) -> tuple[str, str]:
    if snippet and len(text) == SNIPPET_LENGTH + len(CUT_MARK) and text.endswith(CUT_MARK):
        return text[:SNIPPET_LENGTH], CUT_MARK
    return text, ""


def _warnings(files: Sequence[FileDiff], tail: Sequence[str], truncated: bool, was_cut: bool) -> Iterator[str]:
    if not files:
        yield "This is not a diff." if any(tail) else "The diff is empty."
    if truncated:
        cut = f"The log cut this diff after {SNIPPET_LENGTH:,} characters." if was_cut else "This diff ends early."
        yield f"{cut} Whatever came after the cut is not here."
    if any(hunk.counts_wrong for file in files for hunk in file.hunks):
        yield "A hunk header claims other counts than the hunk has: line numbers may be wrong."
    if any(hunk.glued for file in files for hunk in file.hunks):
        yield "Lines that were stuck together in the log are shown apart."


def _files(lines: list[str], *, open_end: bool, cut_in_line: bool) -> tuple[tuple[FileDiff, ...], tuple[str, ...]]:
    found: list[tuple[list[str], list[str], list[Hunk]]] = []  # prose, header, hunks
    signs, at = _signs(lines), 0
    while True:
        start, is_hunk = _next_start(lines, at, bool(found))
        stray = lines[at:start]
        if start == len(lines):
            break
        if is_hunk:
            if not found:
                found.append(([], [], []))
            hunk, at = _hunk(lines, signs, start, open_end=open_end, cut_in_line=cut_in_line)
            found[-1][2].append(replace(hunk, before=tuple(stray)) if stray else hunk)
        else:
            at = _header_end(lines, start)
            found.append((stray, lines[start:at], []))
    return tuple(_file(prose, header, hunks) for prose, header, hunks in found), tuple(stray)


def _next_start(lines: list[str], at: int, in_file: bool) -> tuple[int, bool]:
    """Where the next part begins, and whether it is a hunk."""
    for i in range(at, len(lines)):
        if lines[i][:2] in {"@@", "--", "di"}:
            if _is_hunk_header(lines, i, in_file=in_file):
                return i, True
            if _is_file(lines, i):
                return i, False
    return len(lines), False


def _is_file(lines: list[str], i: int) -> bool:
    return lines[i].startswith("diff --git ") or _is_path_pair(lines, i)


def _is_path_pair(lines: list[str], i: int) -> bool:
    return lines[i].startswith("--- ") and i + 1 < len(lines) and lines[i + 1].startswith("+++ ")


def _is_hunk_header(lines: list[str], i: int, *, in_file: bool) -> bool:
    line = lines[i]
    if not line.startswith("@@") or line.startswith("@@@"):
        return False
    if _HUNK.fullmatch(line):
        return True
    # No numbers, or a header that the cut went through. In prose it must at least head lines with signs.
    return line[2:3] in {"", " ", "\r"} and (in_file or (i + 1 < len(lines) and lines[i + 1][:1] in {" ", "+", "-"}))


def _header_end(lines: list[str], i: int) -> int:
    if lines[i].startswith("diff --git "):
        i += 1
        while i < len(lines) and lines[i].startswith(_EXTENDED):
            i += 1
        if i < len(lines) and lines[i].startswith(_BINARY_START):
            return _binary_end(lines, i)
    return i + 2 if i < len(lines) and _is_path_pair(lines, i) else i


def _binary_end(lines: list[str], i: int) -> int:
    while i < len(lines) and not lines[i].startswith("diff --git "):
        i += 1
    return i


def _hunk(  # noqa: PLR0911  each kind of hunk has its own end
    lines: list[str], signs: "_Signs", start: int, *, open_end: bool, cut_in_line: bool
) -> tuple[Hunk, int]:
    header = _HUNK.fullmatch(lines[start])
    if header is None:
        end = _unnumbered_end(lines, start + 1)
        body = _body(lines[start + 1 : end])
        cut = cut_in_line and end == len(lines)
        return Hunk(lines[start], None, None, None, None, "", *body, truncated=cut), end
    old_start, old_len, new_start, new_len = (1 if n is None else int(n) for n in header.group(1, 2, 3, 4))
    plain = _plain_body(lines, signs, start + 1, old_len, new_len)
    if plain is not None:
        end, body = plain
        hunk = Hunk(lines[start], old_start, old_len, new_start, new_len, header[5].strip(), *body)
        # Only a cut within its last line can be missing from a hunk whose counts are right.
        return (replace(hunk, truncated=True) if end == len(lines) and cut_in_line else hunk), end
    end = _numbered_end(lines, start + 1, old_len, new_len)
    raw = lines[start + 1 : end]
    body = _body(raw)
    lacking_old, lacking_new = old_len - len(body[1]), new_len - len(body[2])
    hunk = Hunk(lines[start], old_start, old_len, new_start, new_len, header[5].strip(), *body)
    if end == len(lines) and cut_in_line:
        return replace(hunk, truncated=True, lacking_old=max(lacking_old, 0), lacking_new=max(lacking_new, 0)), end
    if not lacking_old and not lacking_new:
        return hunk, end
    if repaired := _unglue(raw, old_len, new_len):
        ops, old_lines, new_lines, markers, joined = repaired
        return replace(hunk, ops=ops, old_lines=old_lines, new_lines=new_lines, markers=markers, joined=joined,
                       glued=True), end  # fmt: skip
    if end == len(lines) and open_end and lacking_old >= 0 and lacking_new >= 0:
        return replace(hunk, truncated=True, lacking_old=lacking_old, lacking_new=lacking_new), end
    return replace(hunk, counts_wrong=True), end


class _Signs(NamedTuple):
    """What begins each line of the text, and which lines only look as if they were removed: `--- a/x`, `-- `."""

    text: str
    dashes: list[int]


def _signs(lines: list[str]) -> _Signs:
    text = "".join([line[:1] or "~" for line in lines])
    removed = [match.start() for match in re.finditer(REMOVED, text)]
    return _Signs(text, [i for i in removed if lines[i].startswith(("-- ", "--- "))])


def _plain_body(lines: list[str], all_signs: _Signs, i: int, old_len: int, new_len: int) -> "tuple[int, _Body] | None":
    """The lines of a hunk that is just as its header says, as nearly all are, and where they end; else None."""
    found = _PLAIN.match(all_signs.text, i)
    signs = found[0] if found else ""
    end, n_same = i + len(signs), signs.count(CONTEXT)
    if n_same + signs.count(REMOVED) != old_len or n_same + signs.count(ADDED) != new_len:
        return None
    if bisect_left(all_signs.dashes, i) != bisect_left(all_signs.dashes, end):
        return None
    texts = [line[1:] for line in lines[i:end]]
    ops: list[Op] = []
    at_old = at_new = 0
    for sign in signs:
        if sign == CONTEXT:
            ops.append((sign, at_old, at_new))
            at_old += 1
            at_new += 1
        elif sign == ADDED:
            ops.append((sign, -1, at_new))
            at_new += 1
        else:
            ops.append((sign, at_old, -1))
            at_old += 1
    old, new = tuple(compress(texts, map(ADDED.__ne__, signs))), tuple(compress(texts, map(REMOVED.__ne__, signs)))
    return end, (tuple(ops), old, new, (), _NOT_JOINED)


def _unnumbered_end(lines: list[str], i: int) -> int:
    while i < len(lines) and lines[i][:1] in {" ", "+", "-", "\\"} and not _is_path_pair(lines, i):
        i += 1
    return i


def _numbered_end(lines: list[str], i: int, old_left: int, new_left: int) -> int:
    """Where the hunk's lines end; lines with signs beyond the claimed counts still belong to it."""
    bare = 0
    while i < len(lines):
        line = lines[i]
        sign = line[:1]
        if sign == " ":
            old_left -= 1
            new_left -= 1
        elif sign == "+":
            new_left -= 1
        elif sign == "-":
            if _ends_before_removed(lines, i, old_left, new_left):
                break
            old_left -= 1
        elif line in {"", "\r"} and old_left > 0 and new_left > 0:
            old_left -= 1
            new_left -= 1
            bare += 1
            i += 1
            continue
        elif sign != "\\":
            break
        bare = 0
        i += 1
    # Blank lines at the end of a hunk that is short anyway are the gap before what follows.
    return i - bare if old_left > 0 or new_left > 0 else i


def _ends_before_removed(lines: list[str], i: int, old_left: int, new_left: int) -> bool:
    """A line with a minus may be the next file's header (`--- a/x`) or a mail's signature (`-- `)."""
    if _is_path_pair(lines, i):
        fills_exactly = old_left == 1 and new_left == 1
        return not fills_exactly and (i + 2 >= len(lines) or lines[i + 2].startswith("@@"))
    return old_left <= 0 and new_left <= 0 and lines[i] in {"-- ", "-- \r"}


_Body = tuple[tuple[Op, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...], frozenset[int]]


def _body(raw: Sequence[str], joined: frozenset[int] = frozenset()) -> _Body:
    ops: list[Op] = []
    old: list[str] = []
    new: list[str] = []
    markers: list[str] = []
    for line in raw:
        sign = line[:1]
        if sign == " ":
            ops.append((CONTEXT, len(old), len(new)))
            old.append(line[1:])
            new.append(old[-1])
        elif sign == "+":
            ops.append((ADDED, -1, len(new)))
            new.append(line[1:])
        elif sign == "-":
            ops.append((REMOVED, len(old), -1))
            old.append(line[1:])
        elif sign == "\\":
            _, of_old, of_new = ops[-1] if ops else (MARKER, -1, -1)
            ops.append((MARKER, of_old, of_new))
            markers.append(line)
        else:
            ops.append((BARE, len(old), len(new)))
            old.append(line)
            new.append(line)
    return tuple(ops), tuple(old), tuple(new), tuple(markers), joined


def _unglue(raw: Sequence[str], old_len: int, new_len: int) -> _Body | None:
    r"""Part lines that `"".join(difflib.unified_diff(a.splitlines(keepends=True), ...))` stuck together.

    difflib writes no line end of its own after a line that has none, so the old side's last line runs into the first
    added one (`-return 1+return 2`); and it takes `\f`, `\x1c`, U+2028 or a lone `\r` for a line end, so the pieces
    of such a line follow each other on one line of the diff (`-a\f-b`). Only a reading that gives exactly the claimed
    counts is taken.
    """
    pieces, joined = _parted_at_separators(raw)
    body = _body(pieces, joined)
    if (len(body[1]), len(body[2])) == (old_len, new_len):
        return body if joined else None
    if len(body[1]) != old_len or len(body[2]) != new_len - 1:
        return None
    at = max((i for i, piece in enumerate(pieces) if piece[:1] == "-"), default=-1)
    if at < 0 or "+" not in pieces[at][1:] or any(piece[:1] != "+" for piece in pieces[at + 1 :]):
        return None
    where = _glue_point(pieces[at])
    pieces[at : at + 1] = [pieces[at][:where], pieces[at][where:]]
    return _body(pieces, frozenset({j + (j >= at) for j in joined} | {at}))


def _parted_at_separators(raw: Sequence[str]) -> tuple[list[str], frozenset[int]]:
    pieces: list[str] = []
    joined: set[int] = set()
    for line in raw:
        parts = [part for part in _SPLITLINES_ENDS.split(line) if part]
        if not all(part[0] in " +-" for part in parts[1:]):
            return list(raw), frozenset()
        joined.update(range(len(pieces), len(pieces) + len(parts) - 1))
        pieces += parts or [line]
    return pieces, frozenset(joined)


def _glue_point(line: str) -> int:
    """Which `+` of `-return 1+return 2` starts the added line: the one whose two sides are most alike."""
    places = [match.start() for match in re.finditer(r"\+", line) if match.start() > 0][:200]

    def likeness(where: int) -> tuple[int, int]:
        old, new = line[1:where], line[where + 1 :]
        common = Prefix.similarity(old, new) + Postfix.similarity(old, new)
        return min(common, len(old), len(new)) * 2 - abs(len(old) - len(new)), -where

    return max(places, key=likeness)


def _file(prose: list[str], header: list[str], hunks: list[Hunk]) -> FileDiff:
    said = _said_by(header)
    old, new = _paths(header, said)
    old_mode = said.get("old mode ") or said.get("deleted file mode ")
    new_mode = said.get("new mode ") or said.get("new file mode ")
    binary = any(line.startswith(("Binary files ", _BINARY_START)) for line in header)
    status = _status(old, new, said)
    language = _LANGUAGES.get(os.path.splitext(new or old or "")[1].lower(), "")  # noqa: PTH122  not a path of ours
    return FileDiff(old, new, status, old_mode, new_mode, binary, language, tuple(hunks), tuple(header), tuple(prose))


def _said_by(header: Sequence[str]) -> dict[str, str]:
    said: dict[str, str] = {}
    for line in header:
        if (key := line[:4]) in {"--- ", "+++ "}:
            said[key] = line[4:].rstrip("\r")
        else:
            said |= {key: line[len(key) :].rstrip("\r") for key in _KEYS if line.startswith(key)}
    return said


def _paths(header: Sequence[str], said: dict[str, str]) -> tuple[str | None, str | None]:
    if "--- " in said and "+++ " in said:
        old, new = (_unquoted(said[key]) for key in ("--- ", "+++ "))
        prefixed = (old.startswith("a/") or old == "/dev/null") and (new.startswith("b/") or new == "/dev/null")
        return _path(old, prefixed), _path(new, prefixed)
    old_name = said.get("rename from ") or said.get("copy from ")
    new_name = said.get("rename to ") or said.get("copy to ")
    if old_name and new_name:
        return _unquoted(old_name), _unquoted(new_name)
    old, new = _git_pair(said.get("diff --git ", "")) if header else ("", "")
    return (None if "new file mode " in said else old or None), (None if "deleted file mode " in said else new or None)


def _path(name: str, prefixed: bool) -> str | None:
    if name == "/dev/null":
        return None
    return name[2:] if prefixed else name


def _git_pair(rest: str) -> tuple[str, str]:
    """The two names of a `diff --git` line; without quotes only two equal names can be told apart for sure."""
    if rest.startswith('"') or rest.endswith('"'):
        names = re.findall(r'"(?:[^"\\]|\\.)*"|\S+', rest)
        old, new = (names[0], names[-1]) if len(names) > 1 else (rest, rest)
    else:
        middle = len(rest) // 2
        even = rest[middle : middle + 1] == " " and rest[2:middle] == rest[middle + 3 :]
        old, _, new = (rest[:middle], " ", rest[middle + 1 :]) if even else rest.partition(" b/")
        new = new if even else f"b/{new}"
    old, new = _unquoted(old), _unquoted(new)
    return old.removeprefix("a/"), new.removeprefix("b/")


def _unquoted(name: str) -> str:
    if len(name) > 1 and name[0] == '"' and (close := name.rfind('"')) > 0:
        raw = name[1:close].encode("utf-8", "surrogatepass")
        return _OCTAL_PATH.sub(_unescaped, raw).decode("utf-8", "backslashreplace")
    return name.split("\t", 1)[0].rstrip("\r")


def _unescaped(match: re.Match[bytes]) -> bytes:
    code = match[1]
    return bytes([int(code, 8) & 0xFF]) if code[0] in b"01234567" else _ESCAPES.get(code, code)


def _status(old: str | None, new: str | None, said: dict[str, str]) -> Status:
    if "rename from " in said:
        return Status.RENAMED
    if "copy from " in said:
        return Status.COPIED
    if "new file mode " in said or (old is None and new is not None):
        return Status.ADDED
    if "deleted file mode " in said or (new is None and old is not None):
        return Status.DELETED
    modes = [said[key][:3] for key in ("old mode ", "new mode ") if key in said]
    if len(set(modes)) > 1:
        return Status.TYPE_CHANGED
    return Status.MODIFIED
