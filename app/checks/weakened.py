"""What a patch takes away from the tests: a test removed or skipped, an assertion taken out or made easier to meet.

A test that was renamed, moved within the diff or written anew with as many assertions is none of these.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from rapidfuzz.distance import Indel

from app.candidates import Finding, Severity
from app.checks.excerpts import excerpt
from app.checks.reading import Reading
from app.checks.sides import Change, Fact, Gate, Statement, nested, new_facts

# An assertion that is so much like one that went is that one, edited; any other one takes its place.
_EDITED = 0.8
_MOST_PAIRS = 10_000
# Assertions of helpers are none of a test's.
_ELSEWHERE = "?"


_TEST = re.compile(r"\bdef\s+test")


def test_removed(reading: Reading) -> Iterator[Finding]:
    """`test_removed`: a test that the diff takes out and puts in nowhere else; other tests in its place excuse it."""
    changes = reading.test_changes
    if not any(change.removed and _TEST.search(change.removed_text) for change in changes):
        return
    added = [_tests(change.new, change.added) for change in changes]
    names = {name for tests in added for name in tests}
    for change, come in zip(changes, added, strict=True):
        removed = _tests(change.old, change.removed)
        gone = {name: line for name, line in removed.items() if name not in names}
        n_instead = sum(name not in removed for name in come)
        for name, line in list(gone.items())[n_instead:]:
            yield Finding("test_removed", Severity.WARNING, f"diff:{line}", f"This test is removed: {excerpt(name)}.")


def _tests(statements: Sequence[Statement], lines: dict[int, int]) -> dict[str, int]:
    """The tests that these lines define, each with its line in the diff; a function within one is none."""
    return {
        name: lines[one.row]
        for _, one, parents in nested(statements)
        if one.row in lines and (name := _test_name(one)) and not any("def" in outer.words[:2] for outer in parents)
    }


def _test_name(statement: Statement) -> str:
    words = [word for word in statement.words[:3] if word != "async"]
    return words[1] if len(words) > 1 and words[0] == "def" and words[1].startswith("test") else ""


_SKIPS = re.compile(r"\b(?:skip\w*|xfail|SkipTest|expectedFailure)\b")
_SKIP_GATE = Gate(("skip", "Skip", "xfail", "expectedFailure"), _SKIPS)
# A test has no more decorators and comments than this.
_DECORATORS = 50
_ALWAYS = frozenset({"skip", "xfail", "expectedFailure"})


def test_skipped(reading: Reading) -> Iterator[Finding]:
    """`test_skipped`: a mark or a call that keeps a test from running, or from counting.

    A new test that is skipped on some platform only is left alone; so is a skip within a condition.
    """
    for line, fact in new_facts(reading.test_changes, _SKIP_GATE, _skips):
        yield Finding("test_skipped", Severity.WARNING, f"diff:{line}", fact.message)


def _skips(change: Change, statements: Sequence[Statement]) -> Iterator[Fact]:
    is_new_side = statements is change.new
    rows, lines = (change.added, change.hunk.new_lines) if is_new_side else (change.removed, change.hunk.old_lines)
    for at, statement, parents in nested(statements):
        word = _skip_of(statement.words)
        if not word:
            continue
        if statement.words[0] == "@":
            below = next(
                (one for one in statements[at + 1 : at + _DECORATORS] if one.tokens and one.words[0] != "@"), None
            )
            is_new = below is None or below.row in rows
            if word not in _ALWAYS and is_new:
                continue
            is_conditional = word == "xfail" and "(" in statement.words and _is_conditional(statement.words)
            if is_conditional and is_new:
                continue
        elif _is_guarded(parents):
            continue
        yield Fact(
            word,
            (statement.row,),
            f"This keeps a test from running or from counting: {statement.quote(lines)}",
        )


def _is_conditional(words: tuple[str, ...]) -> bool:
    inner = words[words.index("(") + 1 :]
    return bool(inner) and inner[0] not in {")", "reason", "raises", "strict", "run"} and inner[0][:1] not in "\"'"


def _skip_of(words: tuple[str, ...]) -> str:
    """The word that skips: of `@pytest.mark.skipif(...)` it is `skipif`."""
    if words[:1] == ("@",):
        found = [word for word in words[: words.index("(") if "(" in words else None] if _SKIPS.fullmatch(word)]
        return found[-1] if found else ""
    if words[:2] == ("pytestmark", "="):
        return next((word for word in words if _SKIPS.fullmatch(word)), "")
    if words[:1] == ("raise",):
        return "SkipTest" if "SkipTest" in words else ""
    head = words[: words.index("(")] if "(" in words else ()
    is_call = head in {("pytest", ".", "skip"), ("pytest", ".", "xfail"), ("self", ".", "skipTest")}
    return head[-1] if is_call else ""


def _is_guarded(parents: Sequence[Statement]) -> bool:
    """Whether what stands in these stands below a condition of its function."""
    for parent in reversed(parents):
        if parent.words[0] in {"if", "elif", "else", "except", "for", "while"}:
            return True
        if parent.words[0] in {"def", "async", "class"}:
            return False
    return False


_ASSERTS = re.compile(r"\bassert|\.assert|\b(?:raises|warns|fail)\b")
_CLAIM = re.compile(
    r"(?:assert|check|verify|expect|raises|warns|fail)\w*|\w*_(?:assert|check|verify|expect)\w*", re.IGNORECASE
)
_LIMITS = re.compile(r"abs|rel|abs_tol|rel_tol|atol|rtol|delta|tolerance|places|decimal|significant")
# The larger, the closer; of all others the smaller.
_DIGITS = frozenset({"places", "decimal", "significant"})
_TRUE = re.compile(r"(?:assert|self \. assertTrue \() (?:True|1|not False|not None)(?: ,.*| \))?|assert .* or True")
# What asks for less than `==` does, with what may stand behind it.
_LOOSE = re.compile(r"is not None|(?:>=|<=|>|<|!=|in|not in) .*|")


def test_weakened(reading: Reading) -> Iterator[Finding]:
    """`test_weakened`: a test that stays, with an assertion less, a looser one, or one that always holds."""
    for change in reading.test_changes:
        if _ASSERTS.search(change.added_text) or (change.removed and _ASSERTS.search(change.removed_text)):
            for line, message in sorted(_weaker(change)):
                yield Finding("test_weakened", Severity.WARNING, f"diff:{line}", message)


def _weaker(change: Change) -> Iterator[tuple[int, str]]:
    old, new = _claims(change.old), _claims(change.new)
    for name, claims in new.items():
        come = [one for one in claims if one.row in change.added]
        for claim in come:
            if _TRUE.fullmatch(" ".join(claim.words)):
                yield change.added[claim.row], f"This assertion always holds: {claim.quote(change.hunk.new_lines)}"
        gone = [one for one in old.get(name, ()) if one.row in change.removed]
        pairs = list(_paired(gone, come))
        # What came and is no edit of what went may stand for all that went.
        is_edited_only = sum(likeness >= _EDITED for _, _, likeness in pairs) == len(come)
        for before, after, _ in pairs:
            was = before.quote(change.hunk.old_lines)
            if after is None and is_edited_only:
                yield change.removed[before.row], f"An assertion is taken out of a test that stays: {was}"
            elif after is not None and (less := _asks_less(before.words, after.words)):
                yield change.added[after.row], f"{less}: {was} became {after.quote(change.hunk.new_lines)}"


def _claims(statements: Sequence[Statement]) -> dict[str, list[Statement]]:
    """The assertions of each test that stays; those above the first function that the hunk shows are under `""`."""
    found: dict[str, list[Statement]] = {"": []}
    name, indent = "", -1
    for statement in statements:
        if statement.tokens and statement.indent <= indent:
            name, indent = _ELSEWHERE, -1
        if "def" in statement.words[:2] and indent < 0:
            name = _test_name(statement)
            name, indent = (name, statement.indent) if name else (_ELSEWHERE, -1)
            found.setdefault(name, [])
        elif name != _ELSEWHERE and _is_claim(statement):
            found[name].append(statement)
    found.pop(_ELSEWHERE, None)
    return found


def _is_claim(statement: Statement) -> bool:
    words = statement.words
    if words[:1] == ("assert",):
        return True
    if words[:1] == ("def",) or "warns ( None" in " ".join(words):
        return False
    return any(words[at + 1] == "(" and _CLAIM.fullmatch(word) is not None for at, word in enumerate(words[:-1]))


def _paired(
    gone: Sequence[Statement], come: Sequence[Statement]
) -> Iterator[tuple[Statement, Statement | None, float]]:
    """Each assertion that went, with the one most like it that came, if any is left, and how alike they are."""
    if len(gone) * len(come) > _MOST_PAIRS:
        return
    ranked = sorted(
        ((Indel.normalized_similarity(a.words, b.words), i, k) for i, a in enumerate(gone) for k, b in enumerate(come)),
        key=lambda one: (-one[0], one[1], one[2]),
    )
    partner: dict[int, tuple[int, float]] = {}
    taken: set[int] = set()
    for likeness, i, k in ranked:
        if i not in partner and k not in taken:
            partner[i] = (k, likeness)
            taken.add(k)
    for i, one in enumerate(gone):
        k, likeness = partner.get(i, (-1, 0.0))
        yield one, come[k] if k >= 0 else None, likeness


def _asks_less(before: tuple[str, ...], after: tuple[str, ...]) -> str:
    """Why an assertion is easier to meet than the one that it replaces, or empty."""
    if "==" in before and before[: before.index("==")] == after[: before.index("==")] and before[0] == "assert":
        rest = " ".join(after[before.index("==") :]).partition(" , ")[0]
        if _LOOSE.fullmatch(rest):
            return "This assertion asks for less"
    if before[:3] == ("self", ".", "assertEqual") and after[:3] == ("self", ".", "assertTrue") and "==" not in after:
        return "This assertion asks for less"
    old, new = _limits(before), _limits(after)
    if any(new[key] < old[key] if key in _DIGITS else new[key] > old[key] for key in old.keys() & new.keys()):
        return "The tolerance is wider"
    return ""


def _limits(words: tuple[str, ...]) -> dict[str, float]:
    """The tolerances of an assertion: `{"abs": 1e-06}`."""
    found = {}
    for key, equals, value in zip(words, words[1:], words[2:], strict=False):
        if equals == "=" and _LIMITS.fullmatch(key):
            with suppress(ValueError):
                found[key] = float(value)
    return found
