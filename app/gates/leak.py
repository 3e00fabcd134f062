"""Whether a prompt gives its answer away. Pure, and cheap enough to run on every example."""

from collections.abc import Iterable

# A line this short (`)`, `return x`) stands in half of all code and says nothing about where it came from.
_SHORTEST_LINE = 12
_FIRST_CHARACTERS = 60


def holds_answer(prompt: str, told: Iterable[str], told_length: int, answer: str) -> bool:
    r"""Whether the answer stands in the prompt, or most of its lines do.

    `holds_answer("Fix:\nx =  compute(y)\n", ["x =  compute(y)"], 15, "x = compute(y)\n")` → True

    White space counts as one blank, so indentation or wrapping hides nothing. Most means lines of two fifths of the
    answer's length, indentation counted: about half of the text of a script.

    Args:
        prompt: the whole prompt.
        told: the texts of the prompt that come from the log, line ends as they are; read only where they are long
            enough to matter.
        told_length: their length together, or more.
        answer: the completion.
    """
    return _contains(prompt, answer) or (told_length * 5 >= len(answer) * 2 and _tells_most(told, answer))


def _contains(prompt: str, answer: str) -> bool:
    # White space parts words the same way in both, so a word that is missing settles it for most prompts.
    first_words = answer[:_FIRST_CHARACTERS].split()
    if len(answer) > _FIRST_CHARACTERS:
        first_words = first_words[:-1]
    if any(word not in prompt for word in first_words):
        return False
    return " ".join(answer.split()) in " ".join(prompt.split())


def _tells_most(told: Iterable[str], answer: str) -> bool:
    lines = {line for text in told for line in map(_bare, text.split("\n")) if len(line) >= _SHORTEST_LINE}
    found = sum(len(line) for line in lines if line in answer)
    return found * 5 >= len(answer) * 2


def _bare(line: str) -> str:
    """A line without indentation, and without the signs that a diff or a quotation puts before it."""
    return line.strip().lstrip("+->").strip()
