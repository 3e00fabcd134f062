"""Whether a whole file can be read as what its name says it is; where not, why and at which line. Never run."""

import json
from collections.abc import Iterator
from typing import NamedTuple

import yaml

from app.python_tree import parse_python

_MOST_CHARACTERS = 1_000_000
# PyYAML reads a thousand characters in a millisecond, and this is asked at every pause in typing.
_MOST_OF_YAML = 100_000


class Fault(NamedTuple):
    """Why a text cannot be read: `Fault(3, "'(' was never closed")`; no line where none is known."""

    line: int | None
    why: str


def find_fault(path: str, text: str) -> Fault | None:
    """Why a Python, JSON or YAML file cannot be read, or None; other files are not looked at, nor very large ones.

    `find_fault("x.py", "def f(:")` → `Fault(1, "invalid syntax")`
    """
    if len(text) > _MOST_CHARACTERS:
        return None
    try:
        if path.endswith((".py", ".pyi")):
            parse_python(text)
        elif path.endswith(".json"):
            json.loads(text)
        elif path.endswith((".yaml", ".yml")) and len(text) <= _MOST_OF_YAML:
            _exhaust(yaml.parse(text, Loader=yaml.SafeLoader))
    except SyntaxError as error:
        return Fault(error.lineno, error.msg)
    except json.JSONDecodeError as error:
        return Fault(error.lineno, error.msg)
    except yaml.MarkedYAMLError as error:
        line = None if error.problem_mark is None else error.problem_mark.line + 1
        return Fault(line, error.problem or str(error.context))
    except (ValueError, RecursionError, MemoryError, yaml.YAMLError) as error:
        return Fault(None, str(error)[:200] or "it is nested too deeply")
    return None


def _exhaust(events: Iterator[object]) -> None:
    for _ in events:
        pass
