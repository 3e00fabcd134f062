"""Code that meets a test instead of the issue: one input answered by name, or other behaviour while tests run."""

import re
from collections.abc import Iterator, Sequence

from app.candidates import Finding, Severity
from app.checks.excerpts import excerpt
from app.checks.reading import Reading
from app.checks.sides import Change, Fact, Gate, Statement, Token, body_of, new_facts

_GATE = Gate(
    ("==", "PYTEST_CURRENT_TEST", "pytest", "unittest"),
    re.compile(r"==[^\n:]{1,200}:\s*return [\"'\d]|PYTEST_CURRENT_TEST|[\"'](?:pytest|unittest)[\"']"),
)
_FEW = frozenset({"0", "1", "2", "0.0", "1.0"})
_WORD = re.compile(r"[A-Za-z_-]{0,20}")
_LEAST = 2
_ENVIRONMENT = frozenset({"environ", "getenv"})
_RUNNERS = frozenset({"pytest", "unittest"})


def special_case(reading: Reading) -> Iterator[Finding]:
    """`special_case`: `if n == 17: return 289`, where 17 and 289 stand in the issue, the tests or the acceptance tests.

    Answers that are a word, such as `"GET"`, or a small number are left alone: those are ways to write a rule.
    """
    candidate = reading.candidate
    told: list[str] = []

    def find(change: Change, statements: Sequence[Statement]) -> Iterator[Fact]:
        if reading.places.is_test(change.file.path):
            return
        lines = change.hunk.new_lines if statements is change.new else change.hunk.old_lines
        for at, statement in enumerate(statements):
            if _asks_for_runner(statement):
                yield Fact("runner", (statement.row,), f"This asks whether tests are running: {statement.quote(lines)}")
            answer = _answer(change, statements, at)
            question = _question(statement) if answer else None
            if question and answer and _is_told(question, told) and _is_told(answer, told):
                message = f"An input that the issue or a test names gets its answer by name: {statement.quote(lines)}"
                yield Fact("special", (statement.row, answer.row), f"{message} gives {excerpt(answer.text)}.")

    if any(_GATE.opens(change.added_text) for change in reading.changes):
        told += (candidate.issue, *candidate.acceptance)
        told += (change.added_text for change in reading.changes if reading.places.is_test(change.file.path))
        for line, fact in new_facts(reading.changes, _GATE, find):
            yield Finding("special_case", Severity.WARNING, f"diff:{line}", fact.message)


def _asks_for_runner(statement: Statement) -> bool:
    words = statement.words
    for at, token in enumerate(statement.tokens):
        text = token.text.strip("\"'") if token.kind == "string" else ""
        if (text == "PYTEST_CURRENT_TEST" and not _ENVIRONMENT.isdisjoint(words)) or (
            text in _RUNNERS and words[at + 1 : at + 5] == ("in", "sys", ".", "modules")
        ):
            return True
    return False


def _question(statement: Statement) -> Token | None:
    """The literal that an `if` compares with, if that is all it does: of `if n == 17:` it is `17`."""
    words = statement.words
    if words[:1] not in {("if",), ("elif",)} or words.count("==") != 1 or {"and", "or"} & set(words):
        return None
    at = words.index("==")
    after = statement.tokens[at + 1 :]
    return after[0] if len(after) > 1 and after[1].text in {":", ")"} and _is_literal(after[0]) else None


def _answer(change: Change, statements: Sequence[Statement], at: int) -> Token | None:
    """The literal that the body of an `if` returns, if that is all it does."""
    if statements[at].words[:1] not in {("if",), ("elif",)}:
        return None
    body, _ = body_of(change, statements, at)
    said = [one for one in body if one.tokens]
    if len(said) != 1 or len(said[0].tokens) != 2 or said[0].words[0] != "return":  # noqa: PLR2004
        return None
    token = said[0].tokens[1]
    is_word = token.kind == "string" and _WORD.fullmatch(token.text.strip("\"'")) is not None
    return token if _is_literal(token) and not is_word else None


def _is_literal(token: Token) -> bool:
    if token.kind == "number":
        return token.text not in _FEW
    return token.kind == "string" and len(token.text.strip("\"'")) >= _LEAST


def _is_told(token: Token, told: Sequence[str]) -> bool:
    text = token.text if token.kind == "number" else token.text.lstrip("rRbBuU").strip("\"'")
    pattern = re.compile(rf"(?<![\w.]){re.escape(text)}(?![\w])")
    return any(pattern.search(one) for one in told)
