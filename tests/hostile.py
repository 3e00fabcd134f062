"""Hostile and damaged logs from `tests/data/nasty`, as cases."""

import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "data" / "nasty"


@dataclass(frozen=True, slots=True)
class Case:
    """A hostile log, and what must become of it.

    Attributes:
        id: a short name.
        content: the log's bytes.
        expect: `accept`, `flag`, `quarantine` or `reject`, of its one hostile line or of the file.
        reason: why: `BAD_UTF8`, `SECRET`, ...
        line: the hostile line's number from 1.
        offset_bytes: where that line begins.
        name: what the file is called.
    """

    id: str
    content: bytes
    expect: str = "accept"
    reason: str = ""
    line: int = 0
    offset_bytes: int = 0
    name: str = "log.jsonl"

    def __str__(self) -> str:
        """The name, for the test's id."""
        return self.id


@cache
def unpack(name: str) -> list[dict[str, object]]:
    """The lines of one of the folder's files."""
    with gzip.open(FOLDER / name) as lines:
        return [json.loads(line) for line in lines]


def cases(name: str) -> list[Case]:
    """The cases of one of the folder's files."""
    fields = Case.__dataclass_fields__.keys()
    return [
        Case(**{key: value for key, value in row.items() if key in fields} | {"content": _bytes(row["content"])})  # type: ignore[arg-type]
        for row in unpack(name)
    ]


def _bytes(text: object) -> bytes:
    return str(text).encode("latin-1")
