"""Prompt templates: text files with a name and a version, filled without reading what is filled in. Pure.

Braces, percent signs and placeholders that stand in a log's own text stay as they are, because the template is cut up
before any text is put into it.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")


@dataclass(frozen=True, slots=True)
class Template:
    r"""A prompt with gaps.

    `Template("greet/1", ("Hi ", "", "!\n")).fill("{x}")` → `"Hi {x}!\n"`

    Attributes:
        name: name and version, as provenance gives it: `scaffold/1`.
        parts: constant texts, with an empty one for each gap between them.
    """

    name: str
    parts: tuple[str, ...]

    def fill(self, *texts: str) -> str:
        """The prompt, with one text for each gap, in order."""
        parts = [*self.parts]
        parts[1::2] = texts
        return "".join(parts)


@cache
def get_template(name: str, version: int, gaps: tuple[str, ...]) -> Template:
    """The template `name`.v`version`.txt of this package, which has these gaps in this order.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it has other gaps.

    """
    path = files("app.recipes") / "templates" / f"{name}.v{version}.txt"
    parts = _PLACEHOLDER.split(path.read_text(encoding="utf-8"))
    if tuple(parts[1::2]) != gaps:
        raise ValueError(f"{path} has the gaps {parts[1::2]}; it must have {gaps}.")
    parts[1::2] = [""] * len(gaps)
    return Template(f"{name}/{version}", tuple(parts))
