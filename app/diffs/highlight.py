"""Colours for code: where each kind of token stands in a line. The text itself always comes from our own strings.

A lexer may take minutes on a text that was made for it. So what is to be coloured is first only written down (`plan`,
`plan_script`), and `app.lexing` has it coloured by `colours_of` in a process that it can kill; never a long line or a
large file. Half a file is coloured only when it is clear whether it starts inside a string: none beats wrong ones.
"""

import functools
import keyword
import re
from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from app.diffs.lines import Colour, all_crlf, blocks, line_html, text_html
from app.diffs.parse import ADDED, MARKER, REMOVED, DiffDoc, FileDiff, Hunk, Status

if TYPE_CHECKING:
    from pygments.lexer import RegexLexer
    from pygments.token import _TokenType

Colours = list[list[Colour]]
Sides = tuple[Colours | None, Colours | None]
Openings = tuple[str | None, str | None]

MAX_FILE_LENGTH = 100_000
MAX_LINE_LENGTH = 1000
# Colours for so many characters of a diff, files in order: a lexer is the dear part, and a page must not wait for it.
MAX_COLOURED = 400_000

# Language to lexer class; others are shown plain. Those of which a piece cannot be read without what stands before it,
# Python aside, are not here.
_LEXERS = {
    "python": ("pygments.lexers.python", "PythonLexer"),
    "json": ("pygments.lexers.data", "JsonLexer"),
    "toml": ("pygments.lexers.configs", "TOMLLexer"),
    "bash": ("pygments.lexers.shell", "BashLexer"),
    "ini": ("pygments.lexers.configs", "IniLexer"),
    "yaml": ("pygments.lexers.data", "YamlLexer"),
}
_SPEC = "spec"
# Token type, most specific first, to class; the letters are all the style sheet knows.
_CLASSES = {
    "Keyword": "k", "Operator.Word": "k", "Comment": "c", "Literal.String.Interpol": "i", "Literal.String.Escape": "i",
    "Literal.String": "s", "Literal.Number": "m", "Name.Function": "f", "Name.Class": "f", "Name.Decorator": "d",
    "Name.Builtin": "b", "Name.Exception": "b", "Name.Tag": "t", "Name.Attribute": "t",
}  # fmt: skip
# A lexer must see one line where we do.
_LINE_BREAKERS = str.maketrans(dict.fromkeys("\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029", " "))

_QUOTES = re.compile(
    r"""(?P<open>\"{3}|'{3})|#[^\n]*|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?""",
)
_ENDS = {quote: re.compile(rf"(?:\\.|[^\\])*?{quote}", re.DOTALL) for quote in ('"""', "'''")}
_TWO_WORDS = re.compile(r"(?<![\w.'\"])([A-Za-z]{2,}) ([a-z]{2,})(?![\w(=\[])")
_CODE_LINE = re.compile(
    r"^\s*(?:(?:def|class|return|import|from|if|elif|for|while|with|raise|assert|async|await|yield)\b.*[:\w)\]]"
    r"|@\w|(?:try|else|finally):|[\w.\[\]\"']+(?:, [\w.]+)* (?:[-+*/|&]?=) \S|[\w.]+\(.*[\w)\],({]\s*$|[)\]}]+[,:]?\s*$"
    r"|#:? \w|[bfru]?(?:\"[^\"\n]+\"|'[^'\n]+')(?:,|: .*,)?\s*$)",
    re.MULTILINE,
)
_MARKUP = re.compile(r"^\s*(?:\.\. \S|>>> |:\w+(?: \w+)*: )|[^\s(\[{]::$|:\w+:`", re.MULTILINE)
# Settings without a value, sections of an INI file, words with a sign before each.
_NO_CODE = re.compile(r"^\s*(?:[\w.]+ ?=|\[\w+\]|[@.$&%]\w+ \W?\w.*)\s*$", re.MULTILINE)
_TRIPLE = re.compile("\"{3}|'{3}")
_BEFORE_STRING = re.compile(
    r"(?:[=(\[{,:+%]|\b(?:return|in|not|and|or|else|yield|await))\s*[A-Za-z]{0,2}$|^[A-Za-z]{1,2}$"
)
_AFTER_STRING = frozenset({"", ")", ",", "),", "]", "}", "))"})
_CLOSERS = frozenset(")],}.%#+")
_HEAD_LINE = re.compile(r"(?:(?:async )?def|class)\b|\)")
_WORDS_OF_CODE = frozenset(keyword.kwlist) | {"match", "case", "type"}


class Piece(NamedTuple):
    """What is to be coloured, as plain values that another process can be sent.

    `Piece("python", ("a = 1",), ("a = 2",), (True, True), None, True)`

    Attributes:
        language: as in `FileDiff.language`, or `spec` for a whole YAML file.
        old: the lines of the old side. `new` likewise.
        shown: which of the sides has lines that are drawn with its colours; context has the new side's.
        openings: the quotes of the string that each side begins in, empty in code, None where that is not clear; or
            None where it is to be guessed.
        shared: both sides begin at one place, so one guess is made for both.
    """

    language: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    shown: tuple[bool, bool]
    openings: Openings | None
    shared: bool


def plan(doc: DiffDoc, known: Mapping[int, Sequence[Openings]] | None = None) -> list[Piece | None]:
    """What there is to colour of a diff: one piece a hunk, in the order of `doc.hunks`; None for one to be shown plain.

    Args:
        doc: from `parse`.
        known: by number of a file, from 1, where each of its hunks begins, if the whole file is known.
    """
    pieces: list[Piece | None] = []
    left = MAX_COLOURED
    for number, file in enumerate(doc.files, 1):
        size = sum(len(line) for hunk in file.hunks for line in hunk.old_lines + hunk.new_lines)
        left -= size
        coloured = file.language in _LEXERS and left >= 0 and size <= 2 * MAX_FILE_LENGTH
        begins = (known or {}).get(number, [None] * len(file.hunks))
        pieces += [_piece(file, hunk, at) if coloured else None for hunk, at in zip(file.hunks, begins, strict=True)]
    return pieces


def plan_script(text: str, language: str = "python") -> Piece:
    """A whole script, or a spec (`yaml`), as what is to be coloured."""
    named = _SPEC if language == "yaml" else language
    return Piece(named, (), tuple(_lines(text)), (False, True), ("", ""), shared=True)


def _piece(file: FileDiff, hunk: Hunk, openings: Openings | None) -> Piece:
    if openings is None and (file.language != "python" or _starts_file(file, hunk)):
        openings = ("", "")
    first = next((op[0] for op in hunk.ops if op[0] != MARKER), "")
    kinds = {op[0] for op in hunk.ops}
    # A side without lines of its own is all context, which is drawn with the other side's colours.
    shown = (REMOVED in kinds, ADDED in kinds or REMOVED not in kinds)
    return Piece(file.language, hunk.old_lines, hunk.new_lines, shown, openings, first not in {ADDED, REMOVED})


def colours_of(piece: Piece) -> Sides:
    """Colours of the old and the new lines of a piece; None for a side that is to be shown plain, or not drawn."""
    shows_old, shows_new = piece.shown
    old, new = piece.openings or _guessed(piece.old, piece.new, shared=piece.shared)
    return (
        colours(piece.language, piece.old, old) if shows_old and old is not None else None,
        colours(piece.language, piece.new, new) if (shows_new or old is None) and new is not None else None,
    )


def openings_of(file: FileDiff, hunk: Hunk) -> Openings:
    """The quotes that each side of a hunk begins in, as far as the diff alone tells: empty in code, None if unclear."""
    piece = _piece(file, hunk, None)
    return piece.openings or _guessed(hunk.old_lines, hunk.new_lines, shared=piece.shared)


def colours(language: str, lines: Sequence[str], opening: str = "") -> Colours | None:
    """Where each kind of token stands in each line, or None where nothing should be coloured.

    `colours("python", ["x = 1  # one"])` gives `[[(4, 5, "m"), (7, 12, "c")]]`. Classes: k keyword, s string, i part
    of a string, c comment, m number, f defined name, d decorator, b builtin, t key.

    Args:
        language: as in `Piece`.
        lines: without line ends.
        opening: the quotes of a string that the first line stands in, or empty.
    """
    if language == _SPEC:
        from app.diffs.yaml_colours import yaml_colours  # noqa: PLC0415  (only where a spec is shown)

        return yaml_colours(lines)
    if language not in _LEXERS or sum(map(len, lines)) + len(lines) > MAX_FILE_LENGTH:
        return None
    lexed = [_lexable(line) for line in lines]
    text = "\n".join([opening, *lexed] if opening else lexed) + "\n"
    per_line: Colours = [[] for _ in text.split("\n")]
    row = column = 0
    for _, token, value in _lexer(language).get_tokens_unprocessed(text):
        name = _class_of(token)
        for i, part in enumerate(value.split("\n")):
            if i:
                row, column = row + 1, 0
            if name and part:
                _put(per_line[row], column, column + len(part), name)
            column += len(part)
    return per_line[1 : len(lines) + 1] if opening else per_line[: len(lines)]


def draw_script(
    text: str,
    colours: Colours | None = None,
    *,
    anchor: str = "L",
    notes: Mapping[int, str] | None = None,
    soft: Container[int] = (),
    remark: str = "",
) -> Markup:
    """Draw a whole script as numbered lines, each `id="L12"`; long and odd ones as in a diff.

    Args:
        text: the script.
        colours: of its lines; None for none.
        anchor: stands before the number in each line's id, where a page shows more than one script.
        notes: by number of a line, what is said of it: `{12: "NameError: name 're' is not defined"}`; it stands below.
        soft: lines whose note is a warning and no error.
        remark: a sentence above it.
    """
    lines = _lines(text)
    found = colours or [[]] * len(lines)
    quiet = all_crlf(lines)
    noted = notes or {}
    rows: list[str] = []
    for n, (line, of_line) in enumerate(zip(lines, found, strict=True), 1):
        hit, note = (' class="hit soft"', '"note soft"') if n in soft else (" class=hit", "note")
        rows.append(f'<tr id="{anchor}{n}"{hit if n in noted else ""}><td>{n}<td>{line_html(line, of_line, [], quiet)}')
        if n in noted:
            rows.append(f"<tr class={note}><td><td>{text_html(noted[n])}")
    said = f'<p class="mt">{text_html(remark)}</p>' if remark else ""
    parts = ['<div class="diff script">', said, *blocks(rows, "sc"), "</div>"]
    return Markup("".join(parts))  # noqa: S704  every piece comes from app.diffs.lines or this module


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _lexable(line: str) -> str:
    # Lines of nothing but spaces, one after the other, cost the Python lexer quadratic time.
    return "" if len(line) > MAX_LINE_LENGTH or line.isspace() else line.translate(_LINE_BREAKERS)


def _starts_file(file: FileDiff, hunk: Hunk) -> bool:
    start = hunk.new_start if file.status is Status.ADDED else hunk.old_start
    return start is not None and start <= 1


def _guessed(old: Sequence[str], new: Sequence[str], *, shared: bool) -> Openings:
    if not shared:
        return opening_of([old]), opening_of([new])
    both = opening_of([old, new])
    return both, both


def openings_in(text: str) -> Callable[[int], str]:
    """Of a whole Python file: by number of a line, from 1, the quotes of the string that it begins in, or empty."""
    starts: list[int] = []
    quotes: list[str] = []
    at, opening = 0, ""
    while (found := (_ENDS[opening].match if opening else _QUOTES.search)(text, at)) is not None:
        at = found.end()
        opened = "" if opening else found["open"] or ""
        if opening or opened:
            opening = opened
            starts.append(at)
            quotes.append(opening)
    lines = [0, *(match.end() for match in re.finditer("\n", text))]

    def opening_at(line: int) -> str:
        place = bisect_right(starts, lines[min(line, len(lines)) - 1]) - 1
        return quotes[place] if place >= 0 else ""

    return opening_at


def opening_of(sides: Iterable[Sequence[str]]) -> str | None:
    """Does a piece of Python start in code (`""`) or inside a string (its quotes)? None when that is not clear.

    Sides that start at the same place are judged together. In code two plain words never stand side by side, in prose
    they always do; and a string seldom looks like statements, line after line.
    """
    texts = ["\n".join(side) for side in sides]
    turns = [_first_turn(text) for text in texts]
    costs = {
        opening: sum(_cost(text, opening) + _misfit(opening, turn) for text, turn in zip(texts, turns, strict=True))
        for opening in ("", '"""', "'''")
    }
    string = '"""' if costs['"""'] <= costs["'''"] else "'''"
    if costs[""] < costs[string]:
        return ""
    return string if costs[""] - costs[string] > 1 else None


def _cost(text: str, opening: str) -> int:
    """How unlikely the text is, if it starts so."""
    code, strings = _parted(text, opening)
    prose = sum(_is_prose(words) for words in _TWO_WORDS.finditer(code)) + code.count("`") + len(_NO_CODE.findall(code))
    n_code_lines = len(_CODE_LINE.findall(strings))
    # Documentation shows code, too, and says so.
    return (
        2 * prose + 4 * len(_MARKUP.findall(code)) + (min(n_code_lines, 1) if _MARKUP.search(strings) else n_code_lines)
    )


class _Turn(NamedTuple):
    """The first triple quotes of a piece: which, and whether what is around them says that they open a string."""

    quotes: str
    opens: bool | None


def _first_turn(text: str) -> _Turn | None:
    found = _TRIPLE.search(text)
    if found is None:
        return None
    before, after = text[: found.start()], text[found.end() :]
    line, said = before.rpartition("\n")[2].strip(), after.partition("\n")[0].strip()
    above = before.rpartition("\n")[0].rstrip().rpartition("\n")[2].strip()
    opens: bool | None = None
    if line:
        # An assignment, a bracket or a prefix comes before a string, prose before its end.
        opens = True if _BEFORE_STRING.search(line) else False if said in _AFTER_STRING or said[:1] == "#" else None
    elif (said and said[0] not in _CLOSERS) or (above.endswith(":") and _HEAD_LINE.match(above)):
        opens = True
    elif above and not above.endswith(("(", "[", "{", ",", "=")):
        opens = False
    return _Turn(found[0], opens)


def _misfit(opening: str, turn: _Turn | None) -> int:
    """How badly the first triple quotes fit, if the text starts so."""
    if turn is None:
        return opening == "'''"
    if not opening:
        return 5 * (turn.opens is False)
    return 5 * (turn.opens is True) if opening == turn.quotes else 6


def _is_prose(words: re.Match[str]) -> bool:
    return words[1] not in _WORDS_OF_CODE and words[2] not in _WORDS_OF_CODE


def _parted(text: str, opening: str) -> tuple[str, str]:
    code: list[str] = []
    strings: list[str] = []
    at = 0
    while at < len(text):
        if opening:
            end = _ENDS[opening].match(text, at)
            stop = end.end() if end else len(text)
            strings.append(text[at:stop])
            at, opening = stop, ""
            continue
        quote = _QUOTES.search(text, at)
        if quote is None:
            code.append(text[at:])
            break
        # In place of a string stands an empty one: what is before and after it are no neighbours.
        code += (text[at : quote.start()], "" if quote[0][0] == "#" else '""')
        at, opening = quote.end(), quote["open"] or ""
    return "".join(code), "\n".join(strings)


def _put(spans: list[Colour], start: int, end: int, name: str) -> None:
    if spans and spans[-1][1] == start and spans[-1][2] == name:
        start = spans.pop()[0]
    spans.append((start, end, name))


@functools.cache
def _lexer(language: str) -> "RegexLexer":
    import importlib  # noqa: PLC0415  and Pygments itself: neither is paid for before the first coloured page

    module, name = _LEXERS[language]
    lexer: RegexLexer = getattr(importlib.import_module(module), name)(stripnl=False, ensurenl=False)
    return lexer


@functools.cache
def _class_of(token: "_TokenType") -> str:
    path = str(token).removeprefix("Token.").split(".")
    return next((_CLASSES[name] for n in range(len(path), 0, -1) if (name := ".".join(path[:n])) in _CLASSES), "")
