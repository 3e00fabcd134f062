r"""The text after a person's edit: byte exact where nothing was meant to change, and a sound diff of what was.

An edit changes a script or the new side of a hunk, never a diff by hand; the diff is written anew here. Lines end at
`\n` and nowhere else.

Source of the written form: GNU diffutils manual, "Detailed Description of Unified Format" and "Incomplete Lines".
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Indel

from app.diffs.parse import ADDED, MARKER, REMOVED, DiffDoc, FileDiff, Hunk, Status, body_of, text_of
from app.errors import BadInputError

CONTEXT_LINES = 3
NO_NEWLINE = "\\ No newline at end of file"

# Above this many comparisons lines that stand once on each side part the texts: the matrix takes a bit a cell.
_MAX_CELLS = 64_000_000
_LINE_ENDS = re.compile("\r\n|\r|\n")
_LINES = re.compile("([^\r\n]*)(\r\n|\r|\n|$)")
_UNTYPABLE = re.compile("[\x00\ud800-\udfff]")

Opcode = tuple[bool, int, int, int, int]


@dataclass(frozen=True, slots=True)
class HunkText:
    r"""The new side of one hunk as text to edit: `HunkText(0, 1, "x.py", 7, "a = 1\n")`.

    Attributes:
        file: position in `DiffDoc.files`.
        hunk: position in that file's hunks.
        path: of the file.
        start: number of the first line; None where the diff does not say.
        text: every line with its line end; no final one where the diff says that the file has none.
    """

    file: int
    hunk: int
    path: str
    start: int | None
    text: str


def normalise_edit(original: str, submitted: str) -> str:
    r"""What a person meant by a submitted text.

    `normalise_edit("a\nb\n", "a\r\nb\r\n")` gives back `"a\nb\n"`: a browser form writes CR LF for every line end,
    drops a first empty line, and cannot carry NUL or half a character. Else the edit, with the original's line ends:
    `normalise_edit("a\r\nb\n", "a\r\nB\r\n")` gives `"a\r\nB\n"`. A text that already has the original's line ends is
    taken as it is.

    Raises:
        BadInputError: a changed line holds NUL or half a character (a lone surrogate); `where` is line and column.
    """
    if submitted == original or _as_form(submitted) in {_as_form(original), _as_form(original).removeprefix("\n")}:
        return original
    edited = submitted if _ends_as(original, submitted) else _with_ends_of(original, submitted)
    _refuse_untypable(original, edited)
    return edited


def new_sides(doc: DiffDoc) -> list[HunkText]:
    """The new side of every hunk, in order; hand `rebuild` one text for each."""
    return [
        HunkText(f, h, file.path, hunk.new_start, side_text(hunk, new=True))
        for f, file in enumerate(doc.files)
        for h, hunk in enumerate(file.hunks)
    ]


def side_text(hunk: Hunk, *, new: bool) -> str:
    r"""One side of a hunk as text: `" a\n-b\n+c\n"` has the new side `"a\nc\n"`."""
    lines, other = (hunk.new_lines, REMOVED) if new else (hunk.old_lines, ADDED)
    pieces: list[str] = []
    last_is_open = False
    for position, (kind, old, fresh) in enumerate(hunk.ops):
        index = fresh if new else old
        if kind == MARKER:
            last_is_open = last_is_open or index == len(lines) - 1
        elif kind != other:
            pieces.append(lines[index] + ("" if position in hunk.joined else "\n"))
    if pieces and last_is_open:
        pieces[-1] = pieces[-1].removesuffix("\n")
    return "".join(pieces)


def rebuild(doc: DiffDoc, new_sides: Sequence[str | None]) -> str:
    r"""The diff, with other new sides: a sound unified diff with true `@@` numbers.

    Untouched sides give the text that `doc` was read from. An untouched hunk keeps its lines; its header changes only
    if it was wrong, or if an edit before it moved it. A hunk without any change left is dropped, and so is a file that
    has none left. A cut hunk still claims the lines that the cut took; the log's `...` goes, since it now stands
    elsewhere than after 1,000 characters: parse the answer without `snippet`.

    Args:
        doc: from `parse`.
        new_sides: one text a hunk, as from `new_sides(doc)`; None drops the hunk. A final line end that a person took
            away from a hunk that had one is put back: only the end of a file can lack it.

    Raises:
        BadInputError: not one text a hunk, or a changed line holds NUL or half a character.
    """
    hunks = doc.hunks
    if len(new_sides) != len(hunks):
        raise BadInputError(f"The diff has {len(hunks)} hunks, but {len(new_sides)} texts came. Reload the page.")
    if all(side == side_text(hunk, new=True) for hunk, side in zip(hunks, new_sides, strict=True)):
        return text_of(doc)
    sides = iter(new_sides)
    pieces = [piece for file in doc.files for piece in _rebuilt_file(file, sides)]
    return _with_tail(doc, pieces)


def find_sides(doc: DiffDoc, edited: DiffDoc) -> list[str | None] | None:
    r"""The new side that each hunk of a diff has in an edit of it; None where the edit dropped the hunk.

    `find_sides(doc, parse(rebuild(doc, ["a\n", None])))` gives `["a\n", None]`. None alone where the edit holds hunks
    that are none of the diff's, as one made of whole files may.
    """
    found: list[str | None] = []
    n_found = 0
    for file in doc.files:
        named = [one for one in edited.files if (one.old_path, one.new_path) == (file.old_path, file.new_path)]
        left = list(named[0].hunks) if len(named) == 1 else []
        for hunk in file.hunks:
            there = left and (left[0].old_start, left[0].old_lines) == (hunk.old_start, hunk.old_lines)
            found.append(side_text(left.pop(0), new=True) if there else None)
            n_found += bool(there)
    return found if n_found == len(edited.hunks) else None


def replace_files(doc: DiffDoc, texts: Mapping[int, tuple[str, str]]) -> str:
    r"""The diff, with some files' changes written anew from their whole texts; the others keep every byte.

    `replace_files(doc, {0: ("a\n", "c\n")})` → `"--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+c\n"`. A file whose two
    texts are equal goes, unless it was renamed or got another mode.

    Args:
        doc: from `parse`.
        texts: position in `doc.files` → the text before the change, and the text after it.
    """
    pieces: list[str] = []
    for number, file in enumerate(doc.files):
        if number not in texts:
            pieces += _rebuilt_file(file, iter([side_text(hunk, new=True) for hunk in file.hunks]))
            continue
        hunks = list(_hunks_between(*texts[number]))
        pieces += (line + "\n" for line in (*file.prose, *_header_left(file, has_hunks=bool(hunks))))
        pieces += hunks
    return _with_tail(doc, pieces)


def diff_texts(old: str, new: str, path: str) -> str:
    r"""The unified diff of two texts; empty when they are equal.

    `diff_texts("a\n", "b\n", "x.py")` gives `"--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n"`.
    """
    if old == new:
        return ""
    return "".join([f"--- a/{path}\n+++ b/{path}\n", *_hunks_between(old, new)])


def lines_of(text: str) -> list[str]:
    r"""Lines with their `\n`; the last one without where the text ends without: `"a\rb\nc"` → `["a\rb\n", "c"]`."""
    lines = [line + "\n" for line in text.split("\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _hunks_between(old: str, new: str) -> Iterator[str]:
    old_lines, new_lines = lines_of(old), lines_of(new)
    if old_lines == new_lines:
        return
    for group in _grouped(opcodes(old_lines, new_lines), CONTEXT_LINES):
        first, last = group[0], group[-1]
        yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@\n"
        yield from _written(old_lines, new_lines, group)


def _with_tail(doc: DiffDoc, pieces: Sequence[str]) -> str:
    text = "".join([*pieces, *(line + "\n" for line in doc.tail)])
    return text if doc.final_newline and not doc.cut_mark else text.removesuffix("\n")


def _header_left(file: FileDiff, *, has_hunks: bool) -> Sequence[str]:
    """The header lines that still say something: without hunks, those of a rename, a copy or another mode."""
    if has_hunks or not file.hunks:
        return file.header
    moved = file.status in {Status.RENAMED, Status.COPIED, Status.TYPE_CHANGED}
    if not moved and (file.status is not Status.MODIFIED or file.old_mode == file.new_mode):
        return ()
    return [line for line in file.header if not line.startswith(("--- ", "+++ ", "index "))]


def _rebuilt_file(file: FileDiff, sides: Iterator[str | None]) -> Iterator[str]:
    parts: list[str] = []
    moved = n_kept = 0
    for hunk in file.hunks:
        side = next(sides)
        parts += (line + "\n" for line in hunk.before)
        if side == side_text(hunk, new=True):
            counts = _true_counts(hunk) if hunk.counts_wrong else (hunk.old_len, hunk.new_len)
            parts += (_header(hunk, moved, *counts) + "\n", *body_of(hunk))
            n_kept += 1
            continue
        body, n_old, n_new = ([], 0, 0) if side is None else _edited_body(hunk, side)
        if body:
            n_kept += 1
            parts.append(_header(hunk, moved, n_old + hunk.lacking_old, n_new + hunk.lacking_new) + "\n")
            parts += body
        moved += n_new - len(hunk.new_lines) if body else len(hunk.old_lines) - len(hunk.new_lines)
    yield from (line + "\n" for line in (*file.prose, *_header_left(file, has_hunks=n_kept > 0)))
    yield from parts


def _true_counts(hunk: Hunk) -> tuple[int, int]:
    return len(hunk.old_lines), len(hunk.new_lines)


def _edited_body(hunk: Hunk, side: str) -> tuple[list[str], int, int]:
    """The lines of an edited hunk with their counts; no lines when the edit takes every change back."""
    was = side_text(hunk, new=True)
    _refuse_untypable(was, side)
    if side and not side.endswith("\n") and (was.endswith("\n") or not was):
        side += "\n"
    old = side_text(hunk, new=False)
    if side == old:
        return [], 0, 0
    old_lines, new_lines = lines_of(old), lines_of(side)
    return list(_written(old_lines, new_lines, opcodes(old_lines, new_lines))), len(old_lines), len(new_lines)


def _header(hunk: Hunk, moved: int, n_old: int | None, n_new: int | None) -> str:
    """The `@@` line, as written where nothing about it changed."""
    if hunk.old_start is None or hunk.new_start is None or n_old is None or n_new is None:
        return hunk.header
    if not moved and (n_old, n_new) == (hunk.old_len, hunk.new_len):
        return hunk.header
    rest = hunk.header.split("@@", 2)[2]
    # An empty side is named by the line before it.
    start = hunk.new_start + moved + (hunk.new_len == 0 and n_new > 0) - ((hunk.new_len or 0) > 0 and n_new == 0)
    return f"@@ -{_counted(hunk.old_start, n_old)} +{_counted(start, n_new)} @@{rest}"


def _counted(start: int, n: int) -> str:
    return f"{start}" if n == 1 else f"{start},{n}"


def _range(start: int, stop: int) -> str:
    return _counted(start + (stop > start), stop - start)


def opcodes(old: Sequence[str], new: Sequence[str]) -> list[Opcode]:
    """Runs of lines as (equal, old start, old stop, new start, new stop).

    `["a", "b"]`, `["a"]` → `[(True, 0, 1, 0, 1), (False, 1, 2, 1, 1)]`
    """
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    back = 0
    while back < min(len(old), len(new)) - head and old[-1 - back] == new[-1 - back]:
        back += 1
    old_stop, new_stop = len(old) - back, len(new) - back
    middle = _differences(old[head:old_stop], new[head:new_stop])
    codes = [(True, 0, head, 0, head)] if head else []
    codes += [(same, a + head, b + head, c + head, d + head) for same, a, b, c, d in middle]
    return codes + ([(True, old_stop, len(old), new_stop, len(new))] if back else [])


def _differences(old: Sequence[str], new: Sequence[str]) -> list[Opcode]:
    if not old or not new:
        return [(False, 0, len(old), 0, len(new))] if old or new else []
    if len(old) * len(new) > _MAX_CELLS:
        return _by_anchors(old, new)
    # Numbers instead of lines: the comparison hashes, and two lines must never be taken for one.
    number_of = {line: number for number, line in enumerate(dict.fromkeys((*old, *new)))}
    codes: list[Opcode] = []
    for op in Indel.opcodes([number_of[line] for line in old], [number_of[line] for line in new]):
        same = op.tag == "equal"
        if codes and not same and not codes[-1][0]:
            codes[-1] = (False, codes[-1][1], op.src_end, codes[-1][3], op.dest_end)
        else:
            codes.append((same, op.src_start, op.src_end, op.dest_start, op.dest_end))
    return codes


def _grouped(codes: Sequence[Opcode], n: int) -> list[list[Opcode]]:
    """Changes with `n` lines around them; those with more than `2 * n` equal lines between them stand apart."""
    groups: list[list[Opcode]] = [[]]
    for position, (same, a, b, c, d) in enumerate(codes):
        if not same:
            groups[-1].append((False, a, b, c, d))
        elif position == 0:
            groups[-1].append((True, max(a, b - n), b, max(c, d - n), d))
        elif position == len(codes) - 1:
            groups[-1].append((True, a, min(b, a + n), c, min(d, c + n)))
        elif b - a > 2 * n:
            groups[-1].append((True, a, a + n, c, c + n))
            groups.append([(True, b - n, b, d - n, d)])
        else:
            groups[-1].append((True, a, b, c, d))
    return groups


def _written(old: Sequence[str], new: Sequence[str], codes: Sequence[Opcode]) -> Iterator[str]:
    for same, a, b, c, d in codes:
        signed = [" " + line for line in old[a:b]] if same else [
            *("-" + line for line in old[a:b]), *("+" + line for line in new[c:d])
        ]  # fmt: skip
        for line in signed:
            yield line if line.endswith("\n") else f"{line}\n{NO_NEWLINE}\n"


def _as_form(text: str) -> str:
    """What is left of a text after a browser form has carried it."""
    return _UNTYPABLE.sub("\ufffd", _LINE_ENDS.sub("\n", text))


def _ends_as(original: str, submitted: str) -> bool:
    had, has = set(_LINE_ENDS.findall(original)), set(_LINE_ENDS.findall(submitted))
    return has <= (had or {"\n"}) and not (len(had) > 1 and has in ({"\r\n"}, {"\n"}))


def _with_ends_of(original: str, submitted: str) -> str:
    """Untouched lines get their own line end back, others the one of the line before, the first the commonest."""
    before, after = _parted(original), _parted(submitted)
    commonest = Counter(end for _, end in before if end).most_common(1)
    end = commonest[0][0] if commonest else "\n"
    pieces: list[str] = []
    for same, a, b, c, d in opcodes([line for line, _ in before], [line for line, _ in after]):
        for k in range(c, d):
            own = before[a + k - c][1] if same or b - a == d - c else ""
            end = own or end
            pieces.append(after[k][0] + (end if after[k][1] else ""))
    return "".join(pieces)


def _parted(text: str) -> list[tuple[str, str]]:
    parts = _LINES.findall(text)
    return parts[:-1] if parts[-1] == ("", "") else parts


def _refuse_untypable(original: str, edited: str) -> None:
    if not _UNTYPABLE.search(edited):
        return
    known = set(original.split("\n"))
    for number, line in enumerate(edited.split("\n"), 1):
        found = _UNTYPABLE.search(line)
        if found and line not in known:
            what = "a NUL character" if found[0] == "\x00" else "half a character (a lone surrogate)"
            raise BadInputError(
                f"Line {number}, column {found.start() + 1} holds {what}, which no file of code can hold. Take it out.",
                where=f"line {number}, column {found.start() + 1}",
            )


def _by_anchors(old: Sequence[str], new: Sequence[str]) -> list[Opcode]:
    """As patience diff does it: lines that stand once on each side, in the same order, part what is compared."""
    codes: list[Opcode] = []
    at, beside = 0, 0
    anchors = _anchors(old, new)
    for left, right in [*anchors, (len(old), len(new))]:
        before, after = old[at:left], new[beside:right]
        # Without an anchor within it, a piece this large is other text.
        found = [(False, 0, len(before), 0, len(after))] if len(before) * len(after) > _MAX_CELLS else None
        for same, a, b, c, d in found if found is not None else _differences(before, after):
            codes.append((same, a + at, b + at, c + beside, d + beside))
        if left < len(old) and right < len(new):
            codes.append((True, left, left + 1, right, right + 1))
        at, beside = left + 1, right + 1
    return _joined(codes)


def _anchors(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Lines that stand once on each side, as many as come in the same order: (old, new)."""
    once_old, once_new = ({line for line, n in Counter(side).items() if n == 1} for side in (old, new))
    place = {line: n for n, line in enumerate(new) if line in once_new}
    pairs = [(n, place[line]) for n, line in enumerate(old) if line in once_old and line in place]
    # The longest run that rises on both sides, by the piles of patience sorting.
    tops: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for number, (_, right) in enumerate(pairs):
        pile = bisect_left(tops, right)
        before.append(ends[pile - 1] if pile else -1)
        tops[pile : pile + 1] = [right]
        ends[pile : pile + 1] = [number]
    chosen: list[tuple[int, int]] = []
    number = ends[-1] if ends else -1
    while number >= 0:
        chosen.append(pairs[number])
        number = before[number]
    return chosen[::-1]


def _joined(codes: Sequence[Opcode]) -> list[Opcode]:
    """Neighbours of one kind as one."""
    joined: list[Opcode] = []
    for same, a, b, c, d in codes:
        if joined and joined[-1][0] is same:
            joined[-1] = (same, joined[-1][1], b, joined[-1][3], d)
        else:
            joined.append((same, a, b, c, d))
    return joined
