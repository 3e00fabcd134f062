"""Python text as a tree, which nothing ever runs: one place, because Python cannot do it in two threads at once."""

import ast
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# Up to 3.11.7 and 3.12.1 two threads that build trees at one time can both end in a SystemError about their recursion
# depth (CPython issue 106905); and the filters of `warnings` belong to the whole program, in every version.
_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def _alone() -> Iterator[None]:
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape in somebody's text is not ours to print
        yield


def parse_python(text: str) -> ast.Module:
    """The tree of a Python text: `parse_python("x = 1").body[0]` is an `ast.Assign`.

    Raises:
        SyntaxError: It is no Python; `lineno` and `msg` say where and why.
        ValueError: It holds a NUL or a lone surrogate.
        RecursionError: It is nested too deeply.
        MemoryError: The same, said by the parser.
    """
    with _alone():
        return ast.parse(text)


def read_literal(text: str) -> object:
    """What a literal of Python stands for: `read_literal("'a' 'b'")` is `"ab"`. Raises as `parse_python` does."""
    with _alone():
        return ast.literal_eval(text)
