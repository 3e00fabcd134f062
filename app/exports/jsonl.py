"""One JSON object a line: UTF-8, LF, no byte order mark, nothing escaped that need not be."""

from collections.abc import Mapping
from typing import Any

import pydantic_core

_to_json = pydantic_core.to_json
_from_json = pydantic_core.from_json


def encode(row: Mapping[str, object]) -> bytes:
    r"""`{"id": "é"}` → `b'{"id":"\xc3\xa9"}\n'`.

    Characters that other readers take for line ends (U+2028, U+0085) stand inside strings as they are: the line ends at
    the byte 0x0A alone.

    Raises:
        ValueError: a text holds half a character (a lone surrogate), which UTF-8 cannot hold.

    """
    return _to_json(row) + b"\n"


def parse(line: bytes) -> dict[str, Any]:
    r"""`b'{"id":"\xc3\xa9"}\n'` → `{"id": "é"}`; a line that `encode` wrote, in about half of the time of `json.loads`.

    Raises:
        ValueError: the line is not whole.

    """
    return _from_json(line, cache_strings="keys")  # type: ignore[no-any-return]
