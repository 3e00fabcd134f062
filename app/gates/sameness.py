"""Whether two texts say the same but for white space and comments, and as Python where both are. Pure."""

import ast
import re
from functools import lru_cache

from app.candidates import Finding
from app.checks.script import parse

# What a formatter moves or changes. Two texts that differ in anything else differ, and most pairs do.
_LAYOUT = b" \t\r\n\x0b\x0c()\"'\\,;"
# Texts in quotes are kept, so that a # inside one is no comment; each repetition ends where it must, in linear time.
_COMMENT = re.compile(
    r"""(\"""(?:[^\\"]|\\.|"(?!""))*\"""|'''(?:[^\\']|\\.|'(?!''))*'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|#[^\n]*""",
    re.DOTALL,
)


@lru_cache(maxsize=16)  # the same pair stands in preference and in reward data
def is_same(one: str, other: str) -> bool:
    r"""Whether two texts differ in nothing that matters.

    `is_same("x = 'a'  # why\n", 'x = "a"\n')` → True, `is_same("x = 1", "x = 2")` → False

    Where both are Python their trees decide, docstrings kept: quotes, brackets around a line and blank lines say
    nothing, indentation and a blank inside a text do. Other texts are compared word by word.
    """
    if one == other:
        return True
    bare, other_bare = _without_comments(one), _without_comments(other)
    if _sketch(bare) != _sketch(other_bare):
        return False
    tree, other_tree = parse(one), parse(other)
    if isinstance(tree, Finding) or isinstance(other_tree, Finding):
        return bare.split() == other_bare.split()
    try:
        return ast.dump(tree) == ast.dump(other_tree)
    except RecursionError:
        return bare.split() == other_bare.split()


def _without_comments(text: str) -> str:
    return _COMMENT.sub(r"\1", text) if "#" in text else text


def _sketch(text: str) -> bytes:
    return text.encode(errors="surrogatepass").translate(None, _LAYOUT)
