"""What a patch adds to its files that a reviewer should have seen: each only where it is new, and is code.

All go by tokens: a `print` in a docstring, or in a line that was only moved, is none. What is not clear is left alone.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.candidates import Finding, Severity
from app.checks.excerpts import excerpt
from app.checks.reading import Reading
from app.checks.sides import Change, Fact, Gate, Statement, Token, body_of, is_abstract, nested, new_facts

_BROAD = frozenset({"Exception", "BaseException"})
_SILENT = frozenset({("pass",), ("...",), ("continue",), ("return",), ("return", "None")})

# An `except` or `suppress` that is new, or a new line that does nothing, which may stand below an old one.
_CATCHES = Gate(
    ("except", "suppress", "pass", "continue", "return", "..."),
    re.compile(
        r"\bexcept\b[^\n]{0,200}?(?:Exception\b|:[ \t\r]*(?:#|pass|\.|$))|\bsuppress\("
        r"|^[ \t]*(?:pass|continue|return|return None|\.{3})[ \t\r]*(?:#|$)",
        re.MULTILINE,
    ),
)


def caught(reading: Reading) -> Iterator[Finding]:
    """`bare_except` and `exception_swallowed`: errors that nobody will ever hear of.

    An `except KeyError: pass` is a habit of the language; only what catches everything is told.
    """
    for line, fact in new_facts(reading.changes, _CATCHES, _caught):
        code = "bare_except" if fact.key == "bare" else "exception_swallowed"
        yield Finding(code, Severity.WARNING, f"diff:{line}", fact.message)


def _caught(change: Change, statements: Sequence[Statement]) -> Iterator[Fact]:
    for at, statement in enumerate(statements):
        words = statement.words
        if "suppress" in words and _BROAD & set(words):
            message = "This drops every error of its block: suppress(Exception)."
            yield Fact("swallowed", (statement.row,), message)
        if words[:1] != ("except",):
            continue
        body, is_whole = body_of(change, statements, at)
        said = [one.words for one in body if one.tokens]
        if not is_whole or not said or any("raise" in one for one in said):
            continue
        does_nothing = all(one in _SILENT for one in said)
        if words[1:2] == (":",):
            message = "This except catches everything, even Ctrl-C, and does not raise it again"
            yield Fact("bare", (statement.row,), message + (": nobody will hear of it." if does_nothing else "."))
        elif does_nothing and _BROAD & set(words):
            rows = (statement.row, *(one.row for one in body if one.tokens))
            yield Fact("swallowed", rows, f"This catches every error and drops it: {excerpt(' '.join(said[0]))}.")


_SILENCER = re.compile(
    r"#\s*(?:(?:(?:flake8|ruff)\s*:\s*)?(?P<noqa>noqa)\b(?P<rules>\s*:?\s*[A-Z]+[0-9]+)?"
    r"|type:\s*(?P<types>ignore)\b(?P<errors>\[[^\]]+\])?|pyright:\s*(?P<pyright>ignore|basic)\b(?P<pyrights>\[[^\]]+\])?"
    r"|mypy:\s*(?P<mypy>ignore-errors|(?P<mypys>disable-error-code)|(?P<allows>allow-\w+))"
    r"|pylint:\s*(?P<pylint>skip-file|disable\b(?P<pylints>\s*=\s*(?!all\b)\w)?)"
    r"|(?P<nosec>nosec)\b|pragma:?\s*(?P<cover>no\s?(?:cover|branch))\b)",
    re.IGNORECASE,
)
_NAMES = {
    "noqa": "the linter", "types": "the type checker", "pyright": "the type checker", "mypy": "the type checker",
    "pylint": "the linter", "nosec": "the security linter", "cover": "the coverage report",
}  # fmt: skip

_NARROW = ("rules", "errors", "pyrights", "mypys", "allows", "pylints")
_ELSEWHERE = frozenset({"version_info", "TYPE_CHECKING", "platform", "ImportError", "ModuleNotFoundError", "__name__"})


def silenced(reading: Reading) -> Iterator[Finding]:
    """`check_silenced`: a comment that tells a linter, a type checker or the coverage report to look away.

    A note where it names what it silences, or leaves a line out of the coverage; a warning where it silences all.
    """
    for line, fact in new_facts(reading.changes, Gate(("#",), _SILENCER), _silenced):
        severity = Severity.WARNING if fact.key.startswith("all ") else Severity.NOTE
        yield Finding("check_silenced", severity, f"diff:{line}", fact.message)


def _silenced(_change: Change, statements: Sequence[Statement]) -> Iterator[Fact]:
    for at, statement, parents in nested(statements):
        for comment in statement.comments:
            for match in _SILENCER.finditer(comment.text):
                kind = next(name for name in _NAMES if match[name])
                if kind == "cover" and _is_uncoverable(statements, at, parents):
                    continue
                is_narrow = kind == "cover" or any(match[name] for name in _NARROW)
                message = f"This tells {_NAMES[kind]} to look away: “{excerpt(match[0])}”."
                yield Fact(("" if is_narrow else "all ") + kind, (comment.row,), message)


def _is_uncoverable(statements: Sequence[Statement], at: int, parents: Sequence[Statement]) -> bool:
    """A line that one run cannot reach by its nature: another version of Python, a body that is none."""
    words = statements[at].words
    if "def" in words[:2] and is_abstract(statements, at, parents):
        return True
    if words[:1] == ("else",):
        indent = statements[at].indent
        opener = next((one for one in reversed(statements[:at]) if one.tokens and one.indent <= indent), None)
        words = words if opener is None else opener.words
    return bool(_ELSEWHERE & set(words)) or words == ("...",) or words[:2] == ("raise", "NotImplementedError")


_DEBUGS = Gate(
    ("print", "breakpoint", "set_trace", "pdb", "pudb"),
    re.compile(r"\b(?:print|breakpoint|set_trace)[ \t]*\(|\b(?:import|from) (?:pdb|ipdb|pudb)\b"),
)
_DEBUGGERS = frozenset({"pdb", "ipdb", "pudb"})
# Somebody thought of where this goes.
_MEANT = frozenset({"file", "end", "flush", "sep"})


def debug_left(reading: Reading) -> Iterator[Finding]:
    """`debug_left`: a breakpoint, or a print in a file that prints nothing else and is no test, tool or example."""

    def find(change: Change, statements: Sequence[Statement]) -> Iterator[Fact]:
        path = change.file.path
        prints = not reading.places.is_test(path) and not reading.places.is_tool(path)
        prints = prints and not any(one.words[:2] == ("print", "(") for one in change.old)
        for _, statement, parents in nested(statements):
            words = statement.words
            if _is_breakpoint(words):
                yield Fact("breakpoint", (statement.row,), f"A breakpoint: {excerpt(' '.join(words))}.")
            elif prints and words[:2] == ("print", "(") and not _MEANT & set(words) and not _in_main(parents):
                yield Fact("print", (statement.row,), "A print in code that prints nothing else.")

    for line, fact in new_facts(reading.changes, _DEBUGS, find):
        yield Finding("debug_left", Severity.WARNING, f"diff:{line}", fact.message)


def _is_breakpoint(words: tuple[str, ...]) -> bool:
    if words[:2] == ("breakpoint", "("):
        return True
    if words[:1] in {("import",), ("from",)}:
        return words[1:2] != () and words[1] in _DEBUGGERS
    return "set_trace" in words and words[-2:] == ("(", ")")


def _in_main(parents: Sequence[Statement]) -> bool:
    return any("__name__" in one.words for one in parents)


_BUILTINS = frozenset({"exec", "eval", "__import__"})
_OPENERS = frozenset({"urlopen"})
_RUN_BY = {
    "os": re.compile(r"system|popen\w*|exec[lv]\w*|spawn\w*|posix_spawn\w*"),
    "subprocess": re.compile(r"run|call|check_call|check_output|Popen|getoutput|getstatusoutput"),
    "asyncio": re.compile(r"create_subprocess_\w+"),
    "pty": re.compile("spawn"),
    "pickle": re.compile("loads?|Unpickler"), "cPickle": re.compile("loads?|Unpickler"),
    "dill": re.compile("loads?"), "marshal": re.compile("loads?"), "shelve": re.compile("open"),
    "runpy": re.compile(r"run_\w+"), "ctypes": re.compile("CDLL|PyDLL|WinDLL"),
    "yaml": re.compile("unsafe_load|unsafe_load_all|full_load|load|load_all"),
}  # fmt: skip
_VERBS = "get|post|put|patch|delete|head|options|request"
_CONNECT_BY = {
    "requests": re.compile(f"{_VERBS}|Session|session"),
    "httpx": re.compile(f"{_VERBS}|stream|Client|AsyncClient"),
    "aiohttp": re.compile("ClientSession|request"),
    "urllib3": re.compile("PoolManager|ProxyManager|request|connection_from_url"),
    "socket": re.compile("socket|create_connection|create_server"),
    "request": re.compile("urlopen|urlretrieve"), "urllib": re.compile("urlopen|urlretrieve"),
    "urllib2": re.compile("urlopen"),
    "client": re.compile("HTTPS?Connection"), "httplib": re.compile("HTTPS?Connection"),
    "ftplib": re.compile("FTP|FTP_TLS"), "smtplib": re.compile("SMTP|SMTP_SSL"), "paramiko": re.compile("SSHClient"),
    "asyncio": re.compile("open_connection"), "websockets": re.compile("connect"),
}  # fmt: skip


def _gate(by_module: Mapping[str, re.Pattern[str]], bare: frozenset[str]) -> Gate:
    """What stands in a text wherever one of these is called or imported; blanks around a dot are not foreseen."""
    called = "|".join(rf"{module}\.(?:{names.pattern})" for module, names in by_module.items())
    imported = "|".join(by_module)
    pattern = rf"\b(?:(?:{called}|{'|'.join(bare)})[ \t]*\(|from (?:\w+\.)*(?:{imported}) import)"
    words = (f"{module}{end}" for module in by_module for end in (".", " import"))
    return Gate((*bare, *words), re.compile(pattern))


@dataclass(frozen=True, slots=True)
class _Ways:
    """Calls of one kind.

    Attributes:
        code: of their findings.
        by_module: the names that are called, by the module before the dot.
        bare: names that are called alone.
        gate: opens wherever there is one.
        in_diff: what one is in a diff; `in_script` in a script.
    """

    code: str
    by_module: Mapping[str, re.Pattern[str]]
    bare: frozenset[str]
    gate: Gate
    in_diff: str
    in_script: str

    def calls(self, tokens: Sequence[Token]) -> Iterator[tuple[int, str]]:
        """Each call with its line: `(3, "os.system")`."""
        words = [token.text for token in tokens]
        if words[:1] == ["from"] and "import" in words:
            yield from self._imported(tokens, words)
            return
        for at, word in enumerate(words[:-1]):
            if words[at + 1] != "(" or tokens[at].kind != "name":
                continue
            before = words[at - 1] if at else ""
            if before == ".":
                module = words[at - 2] if at > 1 else ""
                if (names := self.by_module.get(module)) and names.fullmatch(word) and not self._is_safe(module, words):
                    yield tokens[at].row, f"{module}.{word}"
            elif (
                word in self.bare
                and before not in {"def", "class"}
                and not _is_plain_import(word, tokens[at + 2 : at + 3])
            ):
                yield tokens[at].row, word

    def _imported(self, tokens: Sequence[Token], words: Sequence[str]) -> Iterator[tuple[int, str]]:
        """`from os import system` is as good as the call that will follow."""
        at = words.index("import")
        if (names := self.by_module.get(words[at - 1])) is not None:
            for token in tokens[at + 1 :]:
                if names.fullmatch(token.text) and token.text not in self.bare:
                    yield token.row, f"{words[at - 1]}.{token.text}"

    @staticmethod
    def _is_safe(module: str, words: Sequence[str]) -> bool:
        return module == "yaml" and any("Safe" in word or "Base" in word for word in words)


_RUNS = _Ways(
    "runs_code",
    _RUN_BY,
    _BUILTINS,
    _gate(_RUN_BY, _BUILTINS),
    "This runs what is not written here",
    "This codemod runs what is not written in it",
)
_CONNECTS = _Ways(
    "opens_network",
    _CONNECT_BY,
    _OPENERS,
    _gate(_CONNECT_BY, _OPENERS),
    "A new way to the network",
    "This codemod asks the network",
)


def runs_code(reading: Reading) -> Iterator[Finding]:
    """`runs_code`: a new `exec`, `eval`, shell or process, or bytes that become objects; in the script any at all.

    A note in tests and tools, which start programs by right.
    """
    return _calls(reading, _RUNS)


def opens_network(reading: Reading) -> Iterator[Finding]:
    """`opens_network`: a new request or socket outside tests and examples; in the script any at all."""
    return _calls(reading, _CONNECTS)


def _is_plain_import(word: str, argument: Sequence[Token]) -> bool:
    """`__import__("sys")` imports what is written there."""
    return word == "__import__" and bool(argument) and argument[0].kind == "string"


def _calls(reading: Reading, ways: _Ways) -> Iterator[Finding]:
    def find(change: Change, statements: Sequence[Statement]) -> Iterator[Fact]:
        is_aside = reading.places.is_test(change.file.path) or reading.places.is_tool(change.file.path)
        if is_aside and ways is _CONNECTS:
            return
        for statement in statements:
            for row, name in ways.calls(statement.tokens):
                yield Fact(f"{name} aside" if is_aside else name, (row,), f"{ways.in_diff}: {name}.")

    for line, fact in new_facts(reading.changes, ways.gate, find):
        severity = Severity.NOTE if fact.key.endswith(" aside") else Severity.WARNING
        yield Finding(ways.code, severity, f"diff:{line}", fact.message)
    for statement in reading.script_statements(ways.gate):
        for row, name in ways.calls(statement.tokens):
            yield Finding(ways.code, Severity.WARNING, f"script:{row + 1}", f"{ways.in_script}: {name}.")


_TODO = r"\b(?:todo|fixme|xxx|not (?:yet )?implemented|to be implemented|implement(?: me| this)|placeholder|stub)\b"
_UNDONE = re.compile(_TODO, re.IGNORECASE)
_PARTS = r"(?:code|functions?|methods?|class(?:es)?|file|implementation|logic|module|body|script|tests?|imports)"
_REST = rf"(?:the )?(?:rest|remainder) of (?:the |your |this |my )?(?:\w+ )?{_PARTS}"
_OTHER = rf"(?:the |your )?(?:existing|previous|remaining|other|original|same) {_PARTS}"
_ELIDED = re.compile(
    r"#\s*(?:"
    rf"(?:\.{{3}}|…|[\[(<])[\s.…]*(?:{_REST}|{_OTHER})\b"
    rf"|(?:{_REST}|{_OTHER})\b[\s,:(]*(?:\w+ ){{0,2}}?(?:here|unchanged|remains?|stays?|as before|continues?|goes"
    r"|omitted|follows|\.{3}|…)"
    rf"|(?:{_REST}|(?:the |your )?existing {_PARTS})\W*$"
    r"|(?:(?:add|insert|put|write) )?your (?:own )?(?:code|logic|implementation) (?:goes )?here\b"
    r"|(?:implementation|code|logic) (?:goes here|omitted|elided)\b|(?:\w+ )?omitted for brevity\b)",
    re.IGNORECASE | re.MULTILINE,
)
_DEFINES = Gate(
    ("pass", "...", "NotImplementedError", "#"),
    re.compile(
        rf"(?:^|:)[ \t]*(?:pass|\.{{3}}|raise NotImplementedError\b[^\n]*)[ \t\r]*(?:#|$)|{_ELIDED.pattern}",
        re.MULTILINE | re.IGNORECASE,
    ),
)


def placeholder(reading: Reading) -> Iterator[Finding]:
    """`placeholder`: a function whose body was emptied, one that is only promised, or code left out by a comment."""
    for line, fact in new_facts(reading.changes, _DEFINES, _placeholders):
        yield Finding("placeholder", Severity.WARNING, f"diff:{line}", fact.message)
    for statement in reading.script_statements(Gate(("#",), _ELIDED)):
        for comment in statement.comments:
            if match := _ELIDED.match(comment.text):
                yield Finding("placeholder", Severity.WARNING, f"script:{comment.row + 1}", _left_out(match))


def _placeholders(change: Change, statements: Sequence[Statement]) -> Iterator[Fact]:
    for statement in statements:
        for comment in statement.comments:
            if match := _ELIDED.match(comment.text):
                yield Fact("elided", (comment.row,), _left_out(match))
    if statements is change.old:
        return
    whole = {one.name for one in _functions(change, change.old) if not one.is_empty}
    for name, head, body, is_empty, is_bodiless in _functions(change, statements):
        if not is_empty or is_bodiless:
            continue
        rows = (head.row, *(one.row for one in body))
        if name in whole:
            yield Fact(f"emptied {name}", (*rows[1:], rows[0]), f"The body of {excerpt(name)} was taken out.")
        elif any(_UNDONE.search(text) for one in body for text in _told(one)):
            yield Fact(f"promised {name}", rows, f"{excerpt(name)} is only promised: its body does nothing yet.")


def _left_out(match: re.Match[str]) -> str:
    return f"A comment stands where code was left out: “{excerpt(match[0])}”."


def _told(statement: Statement) -> Iterator[str]:
    yield from (comment.text for comment in statement.comments)
    if statement.words[:1] == ("raise",):
        yield from (token.text for token in statement.tokens if token.kind == "string")


class _Function(NamedTuple):
    """A function whose whole body can be seen; `is_bodiless` where it is abstract, and has none by right."""

    name: str
    head: Statement
    body: list[Statement]
    is_empty: bool
    is_bodiless: bool


def _functions(change: Change, statements: Sequence[Statement]) -> Iterator[_Function]:
    for at, statement, parents in nested(statements):
        words = statement.words
        where = 1 if words[:1] == ("def",) else 2 if words[:2] == ("async", "def") else 0
        if not where or len(words) <= where:
            continue
        body, is_whole = body_of(change, statements, at)
        if is_whole and body:
            is_empty = all(map(_does_nothing, body))
            yield _Function(words[where], statement, body, is_empty, is_abstract(statements, at, parents))


def _does_nothing(statement: Statement) -> bool:
    words = statement.words
    is_text = all(token.kind == "string" for token in statement.tokens)
    return is_text or words in {("pass",), ("...",)} or words[:2] == ("raise", "NotImplementedError")
