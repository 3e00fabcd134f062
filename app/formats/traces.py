"""The error texts of an attempt: recognised by how they start, with the lines of the script that they speak of.

The agent's applier turns most exceptions into one line without a class; checkers and forks leave whole reports and
tracebacks. A text is never changed here, only read; nothing in it is run.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from app.candidates import Frame, Trace

PENDING = "Heuristic fix applied"
DUPLICATE = "DUPLICATE_DETECTED"
AFTER_POLISH = ("PatchApplicationError after polish", "Unexpected error applying polished script")


class _Kind(NamedTuple):
    start: str
    name: str
    label: str


# Where a text, or a line of it, starts so, it is of that kind. The applier's own starts are resolved further below.
_STARTS = (
    _Kind("PatchApplicationError", "application", "The script could not be applied"),
    _Kind("UnexpectedErrorApplyingPatch", "unexpected", "An unforeseen error while the script was applied"),
    _Kind(AFTER_POLISH[1], "unexpected", "An unforeseen error while the script was applied"),
    _Kind(DUPLICATE, "duplicate", "The change repeats a function that exists already"),
    _Kind("PhaseConfigurationError", "configuration", "The phase is configured wrongly"),
    _Kind("AgentError", "agent", "The agent itself failed"),
    _Kind("Ruff found issues", "ruff", "Ruff found issues"),
    _Kind("Pyright found ", "pyright", "Pyright found errors"),
    _Kind("Black-diff", "black", "Black would format the file otherwise"),
    _Kind("Black operational error", "black", "Black could not check the file"),
    _Kind("Pytest failed", "pytest", "Tests failed"),
    _Kind(PENDING, "pending", "A heuristic fix, not checked yet"),
    _Kind("Traceback (most recent call last)", "exception", "A Python exception"),
)
# What follows `PatchApplicationError: Failed to apply LibCST script: `, or is the message of that exception.
_APPLIER = (
    _Kind("Syntax error in LibCST script string", "syntax", "The script does not parse"),
    _Kind("Error parsing LibCST script string", "no_codemod", "The script has no codemod class"),
    _Kind("No class inheriting from", "no_codemod", "The script has no codemod class"),
    _Kind("Could not retrieve Codemod class", "no_codemod", "The codemod class is not there once the script is loaded"),
    _Kind("Error executing LibCST script string", "execution", "The script fails while it is loaded"),
    _Kind("Error instantiating codemod", "instantiation", "The codemod cannot be created"),
    _Kind("Error parsing original code", "original", "The file that was to be changed does not parse"),
    _Kind("Error during codemod transformation", "transformation", "The codemod fails on the file"),
)
_SYNTAX = _APPLIER[0]
_EXCEPTION = _STARTS[-1]
_SYNTAX_ERRORS = frozenset({"SyntaxError", "IndentationError", "TabError"})
_OTHER = _Kind("", "other", "An error text of no known kind")
_CHECKS = frozenset({"ruff", "pyright", "black", "pytest"})
_BY_START = {kind.start: kind for kind in (*_STARTS, *_APPLIER)}
_START = re.compile("^(?:" + "|".join(re.escape(kind.start) for kind in _STARTS) + ")", re.MULTILINE)
_CHECK = re.compile("^(?:" + "|".join(re.escape(k.start) for k in _STARTS if k.name in _CHECKS) + ")", re.MULTILINE)
_APPLIER_START = re.compile(
    r"(?:[\w.]*PatchApplicationError(?: after polish)?:\s*)?(?:Failed to apply LibCST script:\s*)?"
    "(" + "|".join(re.escape(kind.start) for kind in _APPLIER) + ")"
)

_FRAME = re.compile(r'^([ \t]*)File "([^"\n]+)", line (\d{1,9})(?:, in ([^\n]+))?(?=(?:\n([^\n]*))?)', re.MULTILINE)
_PYTEST_FRAME = re.compile(r"^([^\s:]+\.py):(\d{1,9}): ?(?:in (\S+)|[A-Za-z_.]*)\s*$", re.MULTILINE)
# An exception group draws its branches with bars.
_BRANCHES = re.compile(r"^ *[|+](?:[-+ ]+\d* -+| )?", re.MULTILINE)
_BLOCK = re.compile(r"^.*Traceback \(most recent call last\):.*$", re.MULTILINE)
_CHAIN = re.compile(r"^(?:During handling of|The above exception was) ", re.MULTILINE)
_RAISED = re.compile(r"^([A-Za-z_][\w.]*)(?::(?= |$)|$)", re.MULTILINE)
_WRAPPER = "PatchApplicationError"
_SUFFIXES = "Error|Exception|Warning|Interrupt|Exit|Iteration|Failure|Timeout|ExceptionGroup"
_NAMED = re.compile(rf"(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*(?:{_SUFFIXES}))(?= after polish:|:|\s*$| - )")
_UNFORESEEN = re.compile(r"UnexpectedErrorApplyingPatch: ([A-Za-z_][\w.]*) - ")
_PYTEST_EXCEPTION = re.compile(rf"^E\s+(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*(?:{_SUFFIXES}))\b", re.MULTILINE)

_SCRIPT_FILE = re.compile(r"<[^<>]*(?:script|codemod)[^<>]*>", re.IGNORECASE)
_LINE = re.compile(r"\bline (\d{1,9})\b|@ (\d{1,9}):\d")
_PLACE = re.compile(r"\((<[^<>()]+>), line (\d{1,9})\)")
_REPORT_NAME = re.compile(r"(?:Ruff found issues|Pyright found \d+ error\(s\)) in '([^'\n]+)'")
_REPORT_LINE = re.compile(r"^[^\n]*?[^\s:]:(\d{1,9}):\d+(?=[: ]|$)", re.MULTILINE)
# Kinds at which the applier had nothing but the script in its hands, so that `<unknown>` can only be the script.
_ABOUT_SCRIPT = frozenset({"syntax", "no_codemod", "execution"})


def read_trace(text: str, script: str | None) -> Trace:
    r"""Recognise an error text.

    `read_trace("PatchApplicationError: Failed to apply LibCST script: Syntax error in LibCST script string: expected"
    " ':' (<unknown>, line 2)", "def f()\n    pass")` → kind `syntax`, exception `SyntaxError`, script_lines `(2,)`.

    Of several texts joined by newlines the first decides the kind; the label names all checks that failed. Of chained
    exceptions the class is that of the last one that the applier had not wrapped.

    Args:
        text: as logged.
        script: the script of the attempt; lines beyond its end are not linked, and none is where it is None.
    """
    plain = _BRANCHES.sub("", text) if "Exception Group Traceback" in text else text
    raised = tuple(_raised(plain)) if "Traceback (most recent" in plain else ()
    kind = _kind(plain, raised)
    lines = [] if script is None else script.split("\n")
    frames = tuple(_frames(plain, kind.name, lines))
    spoken = {frame.script_line for frame in frames if frame.script_line is not None}
    spoken.update(line for line in _spoken_lines(plain, kind.name, raised) if 1 <= line <= len(lines))
    return Trace(
        text,
        kind.name,
        _label(plain, kind),
        _exception(plain, kind.name, raised),
        frames,
        tuple(sorted(spoken)),
    )


class _Raised(NamedTuple):
    name: str
    message: str


def _kind(text: str, raised: tuple[_Raised, ...]) -> _Kind:
    start = _START.search(text)
    kind = _named_kind(text) if start is None else _BY_START[start[0]]
    if kind.name not in {"application", "exception"}:
        return kind
    # A traceback wraps one message of the applier in another; the last says the most.
    wrapped = raised and raised[-1].name == _WRAPPER
    found = _APPLIER_START.match(raised[-1].message if wrapped else text.lstrip())
    if found is not None:
        return _BY_START[found[1]]
    return _SYNTAX if raised and raised[-1].name in _SYNTAX_ERRORS else kind


def _named_kind(text: str) -> _Kind:
    named = _NAMED.match(text.lstrip())
    if named is None:
        return _OTHER
    return _SYNTAX if named[1] in _SYNTAX_ERRORS else _EXCEPTION


def _label(text: str, kind: _Kind) -> str:
    labels = [kind.label]
    if kind.name in _CHECKS:
        labels.extend(_BY_START[check[0]].label for check in _CHECK.finditer(text))
    after_polish = text.lstrip().startswith(AFTER_POLISH)
    return "; ".join(dict.fromkeys(labels)) + (" (after polish)" if after_polish else "")


def _raised(text: str) -> Iterator[_Raised]:
    """The exception that ends each traceback of a chain, in the order of the text."""
    for block in _BLOCK.split(text)[1:]:
        # Within a traceback all is indented; the exception is the first line that is not.
        own = _CHAIN.split(block, maxsplit=1)[0]
        found = _RAISED.search(own)
        if found is not None:
            yield _Raised(found[1].rpartition(".")[2], own[found.end() :].strip())


def _exception(text: str, kind: str, raised: tuple[_Raised, ...]) -> str | None:
    if kind == "pytest":
        failed = _PYTEST_EXCEPTION.search(text)
        return None if failed is None else failed[1]
    if raised:
        return next((one.name for one in reversed(raised) if one.name != _WRAPPER), _WRAPPER)
    unforeseen = _UNFORESEEN.match(text.lstrip())
    if unforeseen is not None:
        return unforeseen[1].rpartition(".")[2]
    named = _NAMED.match(text.lstrip())
    if kind == "syntax" and (named is None or named[1] == _WRAPPER):
        return "SyntaxError"
    return None if named is None else named[1]


def _frames(text: str, kind: str, script: list[str]) -> Iterator[Frame]:
    if 'File "' in text:
        found = [
            Frame(match[2], int(match[3]), (match[4] or "").strip(), _quoted(match[1], match[5]))
            for match in _FRAME.finditer(text)
        ]
        named = any(_SCRIPT_FILE.fullmatch(frame.file) for frame in found)
        for frame, below in zip(found, [*found[1:], None], strict=True):
            yield _linked(frame, below, kind, named, script)
    elif kind == "pytest":
        for match in _PYTEST_FRAME.finditer(text):
            yield Frame(match[1], int(match[2]), match[3] or "")


def _quoted(indent: str, line: str | None) -> str:
    """The source line below a frame, if that is what stands there: it is indented deeper than the frame."""
    if line is None or not line.startswith(indent + "  "):
        return ""
    code = line.strip()
    return "" if code.startswith("[Previous line") or not code.strip("~^ ") else code


def _linked(frame: Frame, below: Frame | None, kind: str, named: bool, script: list[str]) -> Frame:
    """The frame with its line of the script, if it speaks of the script.

    Args:
        frame: one without.
        below: the next one.
        kind: of the whole text.
        named: whether the text has frames that name the script, so that `<string>` is something else.
        script: its lines.
    """
    if not 1 <= frame.line <= len(script):
        return frame
    if frame.file == "<string>":
        # The `__init__` of a dataclass is compiled from a string too.
        is_dataclass = frame.function == "__init__" and below is not None and below.function == "__post_init__"
        is_script = not named and not is_dataclass
    elif frame.file == "<unknown>":
        is_script = kind == "syntax"
    else:
        # A fork may write the script to a file of any name; then line and text both fit.
        fits = bool(frame.code) and script[frame.line - 1].strip() == frame.code
        is_script = fits or _SCRIPT_FILE.fullmatch(frame.file) is not None
    return Frame(frame.file, frame.line, frame.function, frame.code, frame.line) if is_script else frame


def _spoken_lines(text: str, kind: str, raised: tuple[_Raised, ...]) -> Iterator[int]:
    """Lines of the script that a text names outside its frames; how long the script is plays no part."""
    messages = "\n".join(one.message for one in raised) if raised else text
    if kind == "syntax":
        yield from (int(line[1] or line[2]) for line in _LINE.finditer(messages))
    for place in _PLACE.finditer(messages):
        if kind in _ABOUT_SCRIPT or _SCRIPT_FILE.fullmatch(place[1]):
            yield int(place[2])
    # Checkers mostly speak of the patched file, whose lines are not the script's.
    report = _REPORT_NAME.search(text) if kind in _CHECKS else None
    if report is not None and _SCRIPT_FILE.fullmatch(report[1]):
        yield from (int(line[1]) for line in _REPORT_LINE.finditer(text))
