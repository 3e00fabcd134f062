"""Whether a change of Python changes what the program does: layout, comments and docstrings do not.

Precise before complete: nothing is claimed of what cannot be read. Parsers may be slow, or fall, on a text made for it;
`app.lexing` asks these functions in a process of its own.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from app.diffs.highlight import opening_of
from app.diffs.parse import ADDED, REMOVED, FileDiff
from app.python_tree import parse_python, read_literal

_LONGEST = 300_000
_TOKEN = re.compile(
    r"""(?P<comment>#[^\n]*)|(?P<string>[A-Za-z]{0,3}(?P<quotes>\"{3}|'{3}))|[A-Za-z]{0,3}(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
    r"""|(?P<end>\n)|(?P<joint>\\\n)|(?P<space>[ \t\f]+)|\w+|.""",
    re.DOTALL,
)
_ENDS = {quote: re.compile(rf"(?:\\.|[^\\])*?{quote}", re.DOTALL) for quote in ('"""', "'''")}
_OPEN, _CLOSE, _COMMA = frozenset("([{"), frozenset(")]}"), ","


class Only(StrEnum):
    """What alone a change touches, as a badge says it."""

    NOTHING = ""
    LAYOUT = "format only"
    COMMENTS = "comments only"
    DOCSTRINGS = "docstring only"


class Texts(NamedTuple):
    """A file before and after, to be compared."""

    before: str
    after: str


class Pieces(NamedTuple):
    """The hunks of a file of which no more is known: old lines, new lines, and whether both begin together."""

    hunks: tuple[tuple[tuple[str, ...], tuple[str, ...], bool], ...]


def pieces_of(file: FileDiff) -> Pieces:
    """A file's hunks as what `compare_hunks` takes."""
    return Pieces(tuple((one.old_lines, one.new_lines, one.ops[0][0] not in {ADDED, REMOVED}) for one in file.hunks))


def compare(before: str, after: str) -> Only:
    r"""What alone differs between two whole files: `compare("f(a, b)\n", "f(a,\n  b)\n")` is `Only.LAYOUT`.

    `Only.NOTHING` where they do something else, are equal, or cannot be read.
    """
    if before == after or max(len(before), len(after)) > _LONGEST:
        return Only.NOTHING
    try:
        trees = parse_python(before), parse_python(after)
        if _same(*trees):
            return Only.LAYOUT if _comments(before) == _comments(after) else Only.COMMENTS
        for tree in trees:
            _drop_docstrings(tree)
        return Only.DOCSTRINGS if _same(*trees) else Only.NOTHING
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return Only.NOTHING


def compare_hunks(pieces: Pieces) -> Only:
    """The same of a file of which only hunks are known; each of them must prove it.

    A hunk proves it where it clearly begins in code, and both of its sides hold the same tokens.
    """
    found: set[Only] = set()
    for old, new, shared in pieces.hunks:
        only = _compare_pieces(old, new, shared=shared)
        if only is Only.NOTHING:
            return Only.NOTHING
        found.add(only)
    if Only.DOCSTRINGS in found:
        return Only.DOCSTRINGS
    return Only.COMMENTS if Only.COMMENTS in found else Only.LAYOUT if found else Only.NOTHING


def _same(one: ast.AST, other: ast.AST) -> bool:
    return ast.dump(one) == ast.dump(other)


def _comments(text: str) -> list[str]:
    return [
        token.string for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.COMMENT
    ]


def _drop_docstrings(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                # `pass` stands where a body was nothing but its docstring: with it or without, it does nothing.
                node.body = [*node.body[1:]] or [ast.Pass()]


# ------------------------------------------------------------------------------------------------ pieces of a file


class _Read(NamedTuple):
    """A piece of code as logical lines of tokens, each with its indentation first; and its comments."""

    lines: list[tuple[str, ...]]
    comments: list[str]


def _compare_pieces(old_lines: Sequence[str], new_lines: Sequence[str], *, shared: bool) -> Only:
    sides = [[old_lines, new_lines]] if shared else [[old_lines], [new_lines]]
    if any(opening_of(side) != "" for side in sides):
        return Only.NOTHING
    old, new = _read("\n".join(old_lines) + "\n"), _read("\n".join(new_lines) + "\n")
    if old is None or new is None:
        return Only.NOTHING
    if old.lines == new.lines:
        return Only.LAYOUT if old.comments == new.comments else Only.COMMENTS
    if _without_docstrings(old.lines) == _without_docstrings(new.lines):
        return Only.DOCSTRINGS
    return Only.NOTHING


def _read(text: str) -> _Read | None:
    """None where it ends inside a string or a bracket, or closes one that it does not open."""
    reader = _Reader([], [])
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None  # noqa: S101  it takes any character
        token, at = match[0], match.end()
        if match["string"]:
            end = _ENDS[match["quotes"]].match(text, at)
            if end is None:
                return None
            token, at = token + end[0], end.end()
        if not reader.take(token, match.lastgroup or ""):
            return None
    return None if reader.line or reader.commas else _Read(reader.lines, reader.comments)


@dataclass(slots=True)
class _Reader:
    """Tokens on their way into logical lines; `commas` counts those in each open bracket."""

    lines: list[tuple[str, ...]]
    comments: list[str]
    line: list[str] = field(default_factory=list)
    commas: list[int] = field(default_factory=list)
    indent: str = ""

    def take(self, token: str, kind: str) -> bool:
        """Add a token; False where it closes a bracket that was not opened here."""
        if kind == "comment":
            self.comments.append(token.rstrip())
        elif kind == "end":
            self._end()
        elif kind == "space":
            if not self.line and not self.commas:
                self.indent = token.expandtabs(8)
        elif kind != "joint":
            return self._put(token)
        return True

    def _end(self) -> None:
        if self.commas:
            return
        if self.line:
            self.lines.append((self.indent, *self.line))
        self.line, self.indent = [], ""

    def _put(self, token: str) -> bool:
        if token in _OPEN:
            self.commas.append(0)
        elif token in _CLOSE:
            if not self.commas:
                return False
            # A comma before the bracket that closes two or more parts says nothing.
            if self.commas.pop() > 1 and self.line[-1] == _COMMA:
                self.line.pop()
        elif token == _COMMA and self.commas:
            self.commas[-1] += 1
        self.line.append(_plain(token) if token[-1] in "\"'" else token)
        return True


def _plain(token: str) -> str:
    """A string by what it holds: how it is quoted says nothing."""
    if "f" in token[: token.find(token[-1])].lower():
        return token
    try:
        return repr(read_literal(token))
    except (SyntaxError, ValueError):
        return token


def _without_docstrings(lines: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return list(_kept(lines))


def _kept(lines: Sequence[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    before: tuple[str, ...] = ()
    for line in lines:
        begins_body = before[1:2] in {("def",), ("class",), ("async",)} and before[-1] == ":"
        is_docstring = begins_body and len(line) == 2 and line[1][0] in "\"'" and len(line[0]) > len(before[0])  # noqa: PLR2004
        if not is_docstring:
            yield line
        before = line
