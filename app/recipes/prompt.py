"""Prompt templates: text files with a name and a version, filled without reading what is filled in. Pure.

Braces, percent signs and placeholders that stand in a log's own text stay as they are, because the template is cut up
before any text is put into it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")


@dataclass(frozen=True, slots=True)
class Template:
    r"""A prompt with gaps.

    `Template("greet/1", ("Hi ", "!\n"), ("name",)).fill({"name": "{x}"})` → `"Hi {x}!\n"`

    Attributes:
        name: name and version, as provenance gives it: `scaffold/1`.
        pieces: constant texts, one more than there are gaps.
        gaps: what is filled in between them, in order.
    """

    name: str
    pieces: tuple[str, ...]
    gaps: tuple[str, ...]

    def fill(self, texts: Mapping[str, str]) -> str:
        """The prompt; `texts` holds one text for each gap."""
        parts = [self.pieces[0]]
        for gap, piece in zip(self.gaps, self.pieces[1:], strict=True):
            parts.append(texts[gap])
            parts.append(piece)
        return "".join(parts)


@cache
def get_template(name: str, version: int) -> Template:
    """The template `name`.v`version`.txt of this package.

    Raises:
        FileNotFoundError: there is none.

    """
    path = files("app.recipes") / "templates" / f"{name}.v{version}.txt"
    parts = _PLACEHOLDER.split(path.read_text(encoding="utf-8"))
    return Template(f"{name}/{version}", tuple(parts[::2]), tuple(parts[1::2]))
