"""Colours for code: where each kind of token stands in a line. The text itself always comes from our own strings.

A lexer runs here only if it was measured to be linear on hostile input (see `_LEXERS`), and never on a long line or a
large file. Half a file is coloured only when it is clear whether it starts inside a string: no colour beats wrong ones.
"""

import functools
import keyword
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from app.diffs.lines import Colour, all_crlf, blocks, line_html, text_html
from app.diffs.parse import ADDED, MARKER, REMOVED, FileDiff, Hunk, Status

if TYPE_CHECKING:
    from pygments.lexer import RegexLexer
    from pygments.token import _TokenType

Colours = list[list[Colour]]

MAX_FILE_LENGTH = 100_000
MAX_LINE_LENGTH = 1000

# Language to lexer class; each stays linear on 100 kB of any one repeated opening. All others are shown plain: the INI
# lexer takes 50 s for 100 kB of "=".
_LEXERS = {
    "python": ("pygments.lexers.python", "PythonLexer"),
    "json": ("pygments.lexers.data", "JsonLexer"),
    "toml": ("pygments.lexers.configs", "TOMLLexer"),
    "bash": ("pygments.lexers.shell", "BashLexer"),
}
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
_WORDS_OF_CODE = frozenset(keyword.kwlist) | {"match", "case", "type"}


def colours(language: str, lines: Sequence[str], opening: str = "") -> Colours | None:
    """Where each kind of token stands in each line, or None where nothing should be coloured.

    `colours("python", ["x = 1  # one"])` gives `[[(4, 5, "m"), (7, 12, "c")]]`. Classes: k keyword, s string, i part
    of a string, c comment, m number, f defined name, d decorator, b builtin, t key.

    Args:
        language: as in `FileDiff.language`.
        lines: without line ends.
        opening: the quotes of a string that the first line stands in, or empty.
    """
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


def highlight_script(
    text: str,
    *,
    language: str = "python",
    anchor: str = "L",
    notes: Mapping[int, str] | None = None,
    soft: Container[int] = (),
) -> Markup:
    """Draw a whole script as numbered, coloured lines, each `id="L12"`; long and odd ones as in a diff.

    Args:
        text: the script.
        language: as in `FileDiff.language`, or `yaml`.
        anchor: stands before the number in each line's id, where a page shows more than one script.
        notes: by number of a line, what is said of it: `{12: "NameError: name 're' is not defined"}`; it stands below.
        soft: lines whose note is a warning and no error.
    """
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    found = _script_colours(language, lines) or [[]] * len(lines)
    quiet = all_crlf(lines)
    noted = notes or {}
    rows: list[str] = []
    for n, (line, of_line) in enumerate(zip(lines, found, strict=True), 1):
        hit, note = (' class="hit soft"', '"note soft"') if n in soft else (" class=hit", "note")
        rows.append(f'<tr id="{anchor}{n}"{hit if n in noted else ""}><td>{n}<td>{line_html(line, of_line, [], quiet)}')
        if n in noted:
            rows.append(f"<tr class={note}><td><td>{text_html(noted[n])}")
    parts = ['<div class="diff script">', *blocks(rows, "sc"), "</div>"]
    return Markup("".join(parts))  # noqa: S704  every piece comes from app.diffs.lines or this module


def _script_colours(language: str, lines: Sequence[str]) -> Colours | None:
    if language != "yaml":
        return colours(language, lines)
    from app.diffs.yaml_colours import yaml_colours  # noqa: PLC0415  (only where a spec is shown)

    return yaml_colours(lines)


def _lexable(line: str) -> str:
    # Lines of nothing but spaces, one after the other, cost the Python lexer quadratic time.
    return "" if len(line) > MAX_LINE_LENGTH or line.isspace() else line.translate(_LINE_BREAKERS)


def hunk_colours(file: FileDiff, hunk: Hunk) -> tuple[Colours | None, Colours | None]:
    """Colours of the hunk's old and new lines; None for a side that should be shown plain."""
    if file.language not in _LEXERS:
        return None, None
    openings: tuple[str | None, str | None] = ("", "")
    if file.language == "python" and not _starts_file(file, hunk):
        openings = _openings(hunk)
    old, new = openings
    kinds = {op[0] for op in hunk.ops}
    # A side without lines of its own is all context, which is drawn with the other side's colours.
    old_colours = colours(file.language, hunk.old_lines, old) if REMOVED in kinds and old is not None else None
    shows_new = ADDED in kinds or REMOVED not in kinds or old is None
    new_colours = colours(file.language, hunk.new_lines, new) if shows_new and new is not None else None
    return old_colours, new_colours


def _starts_file(file: FileDiff, hunk: Hunk) -> bool:
    start = hunk.new_start if file.status is Status.ADDED else hunk.old_start
    return start is not None and start <= 1


def _openings(hunk: Hunk) -> tuple[str | None, str | None]:
    first = next((op[0] for op in hunk.ops if op[0] != MARKER), "")
    if first in {ADDED, REMOVED}:
        return opening_of([hunk.old_lines]), opening_of([hunk.new_lines])
    shared = opening_of([hunk.old_lines, hunk.new_lines])
    return shared, shared


def opening_of(sides: Iterable[Sequence[str]]) -> str | None:
    """Does a piece of Python start in code (`""`) or inside a string (its quotes)? None when that is not clear.

    Sides that start at the same place are judged together. In code two plain words never stand side by side, in prose
    they always do; and a string seldom looks like statements, line after line.
    """
    texts = ["\n".join(side) for side in sides]
    costs = {opening: sum(_cost(text, opening) for text in texts) for opening in ("", '"""', "'''")}
    string = '"""' if costs['"""'] <= costs["'''"] else "'''"
    if costs[""] < costs[string]:
        return ""
    return string if costs[""] - costs[string] > 1 else None


def _cost(text: str, opening: str) -> int:
    """How unlikely the text is, if it starts so."""
    code, strings = _parted(text, opening)
    prose = sum(_is_prose(words) for words in _TWO_WORDS.finditer(code)) + code.count("`")
    return 2 * prose + len(_CODE_LINE.findall(strings))


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
        code.append(text[at : quote.start()])
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
