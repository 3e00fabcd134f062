"""A piece of a text that nobody trusts, for a sentence that somebody reads."""

import re

_EXCERPT_LENGTH = 80


def excerpt(text: str) -> str:
    r"""A piece of a hostile text, safe to print, 80 characters at most: `"a\x1b[2J\nb"` gives `"a\ufffd[2J b"`."""
    cut = re.sub(r"\s+", " ", text[: _EXCERPT_LENGTH + 1])
    shown = "".join(character if character.isprintable() else "\ufffd" for character in cut)
    return shown if len(shown) <= _EXCERPT_LENGTH else shown[: _EXCERPT_LENGTH - 1] + "…"
