r"""Whether a question gives its answer away. Pure, and cheap enough to run on every example.

Three measures, each for a leak that the others do not see. The whole answer stands in the question: an issue that holds
the final script. Most of its lines do: the same, told in pieces, quoted, or with some lines changed. The diff that the
answer makes does: the agent's own data set builder puts it into every prompt, where the answer is a script that shares
hardly a line with it.

The longest common substring of question and answer was tried as a fourth: over the builder's prompts it separates
nothing, as a script repeats the first line of its issue as its description in clean prompts as well.
"""

from collections.abc import Iterable
from functools import lru_cache

# A line this short (`)`, `return x`) stands in half of all code and says nothing about where it came from.
_SHORTEST_LINE = 12
_EDGE_CHARACTERS = 60
# All of ASCII that `str.split` parts at.
_WHITE_SPACE = bytes(range(0x09, 0x0E)) + bytes(range(0x1C, 0x21))
# A changed run this short (`- x + y`) may stand in a list of any text.
_SHORTEST_RUN = 8


def holds_answer(question: str, answer: str) -> bool:
    r"""Whether the whole answer stands in the question; white space counts as one blank, so wrapping hides nothing.

    `holds_answer("Fix:\nx =  compute(y)\n", "x = compute(y)\n")` → True; an empty answer stands nowhere.
    """
    # White space parts words the same way in both, so a word that is missing settles it for most questions; what is
    # left is settled without white space, and folded only where that is not enough.
    words = answer[:_EDGE_CHARACTERS].split()
    if len(answer) > _EDGE_CHARACTERS:
        words = words[:-1]
    if any(word not in question for word in words):
        return False
    if answer.isascii() and question.isascii() and _dense(answer) not in _dense(question):
        return False
    folded = " ".join(answer.split())
    return bool(folded) and folded in " ".join(question.split())


def _dense(text: str) -> bytes:
    return text.encode().translate(None, _WHITE_SPACE)


def tells_most(told: Iterable[str], answer: str) -> bool:
    r"""Whether lines of two fifths of the answer's length stand in what the log's author told.

    `tells_most(["> x = compute(y)", "as before"], "x = compute(y)\nreturn x\n")` → True

    Indentation counts, so two fifths are about half of the text of a script.

    Args:
        told: texts of the question that come from the log, line ends as they are.
        answer: the completion.
    """
    told = tuple(told)
    if sum(map(len, told)) * 5 < len(answer) * 2:
        return False
    lines = {line for text in told for line in map(_bare, text.split("\n")) if len(line) >= _SHORTEST_LINE}
    found = sum(len(line) for line in lines if line in answer)
    return found * 5 >= len(answer) * 2 and found > 0


def holds_diff(question: str, diff: str) -> bool:
    r"""Whether most of what a diff changes stands in the question as a diff, signs and all.

    `holds_diff("Do this:\n-  x = compute(y)\n+  x = y\n", "@@ -7 +7 @@\n-  x = compute(y)\n+  x = y\n")` → True

    Code that an issue merely quotes has no signs before it, and is no diff.
    """
    # No sign that a diff could be there: so for nearly all.
    if not diff or ("+" not in question and "\n-" not in question):
        return False
    runs = _changes(diff)
    total = sum(len(run) for run, _ in runs)
    if not total or all(word not in question for _, word in runs):
        return False
    folded = " ".join(question.split())
    found = sum(len(run) for run, _ in runs if run in folded)
    return found * 2 >= total


@lru_cache(maxsize=64)
def _changes(diff: str) -> tuple[tuple[str, str], ...]:
    """The changed runs of a diff as one line each, and the longest word of each; hunks where all runs are short."""
    lines = diff.split("\n")
    body = [line for line in lines if not line.startswith(("--- ", "+++ "))]
    runs = _runs(body, "+-")
    if all(len(run) < _SHORTEST_RUN for run in runs):
        runs = _runs(body, "+- ")
    return tuple((run, max(run.split(" "), key=len)) for run in runs if len(run) >= _SHORTEST_RUN)


def _runs(lines: Iterable[str], signs: str) -> list[str]:
    """Lines that follow each other and begin with one of the signs, white space folded."""
    runs: list[list[str]] = [[]]
    for line in lines:
        if line[:1] in signs and line:
            runs[-1].append(line)
        elif runs[-1]:
            runs.append([])
    return [" ".join(" ".join(run).split()) for run in runs if run]


def _bare(line: str) -> str:
    """A line without indentation, and without the signs that a diff or a quotation puts before it."""
    return line.strip().lstrip("+->").strip()
