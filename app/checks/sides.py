r"""The Python of a diff as statements: what each hunk says on its old and on its new side.

A hunk is a piece of a file: it may start inside a string or a bracket, and end in one. One tolerant pattern makes
tokens of any text; where it is not clear whether a hunk starts inside a string, it is not judged.

Source: "Lexical analysis" of the Python 3.14 reference.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from rapidfuzz.distance import Indel

from app.checks.excerpts import excerpt
from app.diffs.highlight import opening_of
from app.diffs.parse import ADDED, MARKER, REMOVED, DiffDoc, FileDiff, Hunk, Status, parts_of

MAX_LENGTH = 400_000
"""Characters of a diff's hunks, both sides; what lies beyond is not judged."""

_TOKEN = re.compile(
    r"(?P<space>(?:[ \t\f]|\\\r?\n)++)"
    r"|(?P<name>[^\W\d]\w*+(?![\"']))"
    r"|(?P<newline>\r?\n|\r)"
    r"|(?P<string>(?:[rRbBuUfFtT]{1,2})?(?:"
    r"\"{3}[^\"\\]*+(?:(?:\\.|\"(?!\"\"))[^\"\\]*+)*+(?:\"{3}|\\?\Z)"
    r"|'{3}[^'\\]*+(?:(?:\\.|'(?!''))[^'\\]*+)*+(?:'{3}|\\?\Z)"
    r"|\"[^\"\\\r\n]*+(?:\\(?:\r\n|.)[^\"\\\r\n]*+)*+\"?|'[^'\\\r\n]*+(?:\\(?:\r\n|.)[^'\\\r\n]*+)*+'?))"
    r"|(?P<comment>#[^\r\n]*+)"
    r"|(?P<number>\.?\d(?:[eE][+-]\d|[\w.])*+)"
    r"|(?P<op>->|:=|\.{3}|[=!<>]=|(?:\*\*|//|<<|>>)=?|[-+*/%&|^@]=|.)",
    re.DOTALL,
)
_OPENS, _CLOSES = frozenset("([{"), frozenset(")]}")
# None of these starts a line inside a bracket: what came before was cut off, or is wrong.
_STARTS_STATEMENT = frozenset(
    {"def", "class", "return", "import", "raise", "assert", "with", "while", "try", "del", "pass", "break", "continue"}
)
_NO_BODY = frozenset({"abstractmethod", "overload", "abstractproperty"})
_NO_BODIES = frozenset({"Protocol", "ABC", "ABCMeta"})
_TAB = 8
_CONTEXT = 3
_MOST_PAIRS, _COMPARED = 10_000, 400
_CHANGES = frozenset({ADDED, REMOVED})


class Token(NamedTuple):
    """One token: `Token("name", "print", 3)`, where 3 is the index of its line.

    Kinds are `name`, `number`, `string`, `comment` and `op`.
    """

    kind: str
    text: str
    row: int


@dataclass(frozen=True, slots=True)
class Statement:
    """One logical line without its body, which follows as statements of a larger indent.

    Attributes:
        indent: columns before it; a tab goes to the next multiple of 8.
        tokens: its tokens without comments; empty where a line holds only a comment.
        comments: its comments.
        words: the texts of its tokens: `("return", "None")`.
    """

    indent: int
    tokens: tuple[Token, ...]
    comments: tuple[Token, ...]
    words: tuple[str, ...]

    @property
    def row(self) -> int:
        """Index of the line that it starts on."""
        return (self.tokens or self.comments)[0].row

    def quote(self, lines: Sequence[str]) -> str:
        """Its first line as it stands in the side, in quotes and safe to print: `“assert x == 1”`."""
        return f"“{excerpt(lines[self.row].strip())}”"


def statements_of(text: str, opening: str = "") -> list[Statement]:
    r"""The statements of a piece of Python, whatever it holds.

    `statements_of("try:\n    x()\n")` gives two: `try :` at indent 0 and `x ( )` at indent 4.

    Args:
        text: lines that end at a line feed.
        opening: the quotes of a string that the text starts in, or empty.
    """
    found: list[Statement] = []
    tokens: list[Token] = []
    comments: list[Token] = []
    depth = indent = 0
    for token, column in _tokens(text, opening):
        word = token.text
        if column >= 0 and (not depth or word in _STARTS_STATEMENT):
            _close(found, indent, tokens, comments)
            depth, indent = 0, column
        if token.kind == "comment":
            comments.append(token)
        elif word == ";" and not depth:
            _close(found, indent, tokens, comments)
        else:
            tokens.append(token)
            if word in _OPENS:
                depth += 1
            elif word in _CLOSES and depth:
                depth -= 1
    _close(found, indent, tokens, comments)
    return found


def _close(found: list[Statement], indent: int, tokens: list[Token], comments: list[Token]) -> None:
    if tokens or comments:
        found.append(Statement(indent, tuple(tokens), tuple(comments), tuple([token.text for token in tokens])))
        tokens.clear()
        comments.clear()


def _tokens(text: str, opening: str) -> Iterator[tuple[Token, int]]:
    """Tokens, each with the columns before it if it is the first of its line, else -1."""
    row, column = 0, 0
    for match in _TOKEN.finditer(opening + text if opening else text):
        kind, word = match.lastgroup or "", match[0]
        if kind == "newline":
            column = 0
            # A carriage return ends a line of Python, but none of ours.
            row += word != "\r"
        elif kind == "space":
            if column >= 0:
                column = len(word.expandtabs(_TAB))
            row += word.count("\n")
        else:
            yield Token(kind, word, row), column
            column = -1
            if kind == "string":
                row += word.count("\n")


class Change:
    """One hunk of a Python file.

    Attributes:
        file: whose hunk it is.
        hunk: the hunk.
        line: number of the hunk's header in the diff, from 1.
    """

    def __init__(self, file: FileDiff, hunk: Hunk, line: int) -> None:
        self.file, self.hunk, self.line = file, hunk, line

    @cached_property
    def added(self) -> dict[int, int]:
        """Indices of the new side's added lines, each with its line in the diff."""
        return self._lines(ADDED, 2)

    @cached_property
    def removed(self) -> dict[int, int]:
        """Indices of the old side's removed lines, each with its line in the diff."""
        return self._lines(REMOVED, 1)

    @cached_property
    def added_text(self) -> str:
        """The added lines, one below the other."""
        lines = self.hunk.new_lines
        return "\n".join([lines[op[2]] for op in self.hunk.ops if op[0] == ADDED])

    @cached_property
    def removed_text(self) -> str:
        """The removed lines, one below the other."""
        lines = self.hunk.old_lines
        return "\n".join([lines[op[1]] for op in self.hunk.ops if op[0] == REMOVED])

    @property
    def ends_file(self) -> bool:
        """Whether the file ends with this hunk, for all that its context tells."""
        ops = [op[0] for op in self.hunk.ops if op[0] != MARKER]
        before = next((i for i, kind in enumerate(ops) if kind in _CHANGES), len(ops))
        after = next((i for i, kind in enumerate(reversed(ops)) if kind in _CHANGES), len(ops))
        has_context = before >= _CONTEXT or (self.hunk.old_start or _CONTEXT) <= _CONTEXT
        is_whole = not self.hunk.truncated and not self.hunk.counts_wrong
        return is_whole and after < _CONTEXT and has_context

    @cached_property
    def new(self) -> Sequence[Statement]:
        """The new side; empty where it is not clear what is code."""
        opening = self._openings[1]
        return () if opening is None else statements_of("\n".join(self.hunk.new_lines), opening)

    @cached_property
    def old(self) -> Sequence[Statement]:
        """The old side; empty where it is not clear what is code."""
        opening = self._openings[0]
        return () if opening is None else statements_of("\n".join(self.hunk.old_lines), opening)

    @property
    def is_clear(self) -> bool:
        """Whether both sides can be told code from string."""
        return None not in self._openings

    @cached_property
    def _openings(self) -> tuple[str | None, str | None]:
        hunk = self.hunk
        if self._starts_file:
            return "", ""
        first = next((op[0] for op in hunk.ops if op[0] != MARKER), "")
        if first in {ADDED, REMOVED}:
            return opening_of([hunk.old_lines]), opening_of([hunk.new_lines])
        shared = opening_of([hunk.old_lines, hunk.new_lines])
        return shared, shared

    @property
    def _starts_file(self) -> bool:
        start = self.hunk.new_start if self.file.status is Status.ADDED else self.hunk.old_start
        return start is not None and start <= 1

    def _lines(self, kind: str, side: int) -> dict[int, int]:
        joined = self.hunk.joined
        before = 0
        found: dict[int, int] = {}
        for position, op in enumerate(self.hunk.ops):
            if op[0] == kind:
                found[int(op[side])] = self.line + 1 + position - before
            before += position in joined
        return found


class Fact(NamedTuple):
    """Something that a side of a change says.

    Attributes:
        key: what makes it the same thing elsewhere; what was removed under a key is not new when it is added.
        rows: the lines that say it; it is new if one of them is.
        message: for the reviewer.
    """

    key: str
    rows: tuple[int, ...]
    message: str


def changes_of(doc: DiffDoc) -> tuple[Change, ...]:
    """The hunks of all Python files, up to `MAX_LENGTH` characters in all."""
    found: list[Change] = []
    file: FileDiff | None = None
    left = MAX_LENGTH
    for line, part in parts_of(doc):
        if isinstance(part, FileDiff):
            file = part
        elif file is not None and file.language == "python":
            left -= sum(map(len, part.old_lines)) + sum(map(len, part.new_lines))
            if left >= 0:
                found.append(Change(file, part, line))
    return tuple(found)


def body_of(change: Change, statements: Sequence[Statement], at: int) -> tuple[list[Statement], bool]:
    """The body of a compound statement, and whether its end is known or may lie beyond the hunk.

    Of `["try :", "x ( )", "except :", "pass", "y ( )"]` the body of 2 is `pass`, and it ends there.
    """
    head = statements[at]
    body: list[Statement] = []
    if tail := _tail_of(head):
        body.append(Statement(head.indent + 1, tail, head.comments, tuple(token.text for token in tail)))
    for statement in statements[at + 1 :]:
        if statement.indent <= head.indent and statement.tokens:
            return body, True
        if statement.indent > head.indent:
            body.append(statement)
    return body, change.ends_file


def _tail_of(statement: Statement) -> tuple[Token, ...]:
    """What stands behind the colon of a compound statement, on its own line."""
    depth = n_lambdas = 0
    for at, token in enumerate(statement.tokens):
        if token.text in _OPENS:
            depth += 1
        elif token.text in _CLOSES and depth:
            depth -= 1
        elif not depth and token.text == "lambda":
            n_lambdas += 1
        elif not depth and token.text == ":":
            if not n_lambdas:
                return statement.tokens[at + 1 :]
            n_lambdas -= 1
    return ()


def nested(statements: Sequence[Statement]) -> Iterator[tuple[int, Statement, list[Statement]]]:
    """Each statement with its index and what it stands in, outermost first; the list changes with the next one."""
    parents: list[Statement] = []
    for at, statement in enumerate(statements):
        if statement.tokens:
            while parents and parents[-1].indent >= statement.indent:
                parents.pop()
        yield at, statement, parents
        if statement.tokens:
            parents.append(statement)


def is_abstract(statements: Sequence[Statement], at: int, parents: Sequence[Statement]) -> bool:
    """Whether a function is one that has no body of its own: decorated as abstract or overloaded, or in a protocol."""
    above = at - 1
    while above >= 0 and statements[above].words[:1] == ("@",):
        if _NO_BODY & set(statements[above].words):
            return True
        above -= 1
    return bool(parents) and parents[-1].words[:1] == ("class",) and bool(_NO_BODIES & set(parents[-1].words))


@dataclass(frozen=True, slots=True)
class Gate:
    r"""What stands in a text wherever a check has anything to find: one of these words, and then the pattern.

    `Gate(("eval",), re.compile(r"eval *\(")).opens("x = eval(y)")` is true. The words are there for speed: a plain
    search is some thirty times as fast as the pattern.
    """

    words: tuple[str, ...]
    pattern: re.Pattern[str]

    def opens(self, text: str) -> bool:
        """Whether there may be something to find."""
        for word in self.words:
            if word in text:
                return self.pattern.search(text) is not None
        return False


Finder = Callable[[Change, Sequence[Statement]], Iterator[Fact]]


def new_facts(changes: Sequence[Change], gate: Gate, find: Finder) -> Iterator[tuple[int, Fact]]:
    """What added lines say that removed ones did not say: each with its line in the diff, in the order of the diff.

    Args:
        changes: the hunks of one diff.
        gate: opens for the added lines of a hunk, and for an old side, wherever there is anything to find.
        find: what a side says.
    """
    found: list[_New] = []
    for change in changes:
        if gate.opens(change.added_text):
            found += _added_facts(change, find)
    if found:
        removed = _removed_facts(changes, gate, find)
        by_key: dict[str, list[_New]] = {}
        for one in found if removed else ():
            by_key.setdefault(one.fact.key, []).append(one)
        for key in by_key.keys() & removed.keys():
            _excuse(by_key[key], removed[key])
    yield from sorted(((one.line, one.fact) for one in found if not one.is_excused), key=lambda one: one[0])


@dataclass(slots=True)
class _New:
    line: int
    text: str
    fact: Fact
    is_excused: bool = False


def _added_facts(change: Change, find: Finder) -> Iterator[_New]:
    for fact in find(change, change.new):
        row = next((row for row in fact.rows if row in change.added), None)
        if row is not None:
            yield _New(change.added[row], change.hunk.new_lines[row][:_COMPARED].strip(), fact)


def _removed_facts(changes: Sequence[Change], gate: Gate, find: Finder) -> dict[str, list[str]]:
    """The lines that said something and were removed, by what they said."""
    texts: dict[str, list[str]] = {}
    for change in changes:
        if change.removed and gate.opens("\n".join(change.hunk.old_lines)):
            for fact in find(change, change.old):
                row = next((row for row in fact.rows if row in change.removed), None)
                if row is not None:
                    texts.setdefault(fact.key, []).append(change.hunk.old_lines[row][:_COMPARED].strip())
    return texts


def _excuse(new: list[_New], removed: list[str]) -> None:
    """One new line for each removed one that said the same: it was moved, or edited; the one most like it."""
    if len(new) <= len(removed) or len(new) * len(removed) > _MOST_PAIRS:
        for one in new[: len(removed)]:
            one.is_excused = True
        return
    for text in removed:
        left = [one for one in new if not one.is_excused]
        nearest = max(left, key=lambda one: Indel.normalized_similarity(text, one.text))
        nearest.is_excused = True
