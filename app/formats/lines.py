"""One line of a JSONL log, read strictly: what a tolerant reader would bend is held instead, with its reason.

Python's own `json` takes UTF-16, NaN, infinities, doubled keys and ten thousand levels; a model trained on what
it makes of them learns something that nobody wrote.
"""

import json
import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Never

BOM = b"\xef\xbb\xbf"
MAX_DEPTH = 128
MAX_KEYS = 50_000
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_LONGEST_INT = 25
# A rating is set anew, in logs also by writing the key once more; it is no part of what is judged.
_LAST_COUNTS = frozenset({"user_rating"})
_INFINITE = (float("inf"), float("-inf"))
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)


class HeldError(Exception):
    """A line that must go to quarantine.

    Args:
        code: a short name: `bad_utf8`, `not_json`, `dup_key`, ...
        message: a sentence: what is wrong and what to do about it.
        offset_bytes: where in the line, from 0; a byte order mark is not counted.
    """

    def __init__(self, code: str, message: str, offset_bytes: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.offset_bytes = offset_bytes


class Blank(Enum):
    """What a line of white space is parsed to; JSON's null is None."""

    LINE = "blank"


def parse_line(raw: bytes, *, first: bool = False, last: bool = False) -> dict[str, object] | None:
    r"""Read one line: `b'{"a": 1}\r'` → `{"a": 1}`; a blank line → None.

    As `parse_value`, but only an object will do.

    Raises:
        HeldError: the line is not one JSON object of RFC 8259, or is too deep or too wide to be a log entry.

    """
    value = parse_value(raw, first=first, last=last)
    if value is Blank.LINE:
        return None
    if not isinstance(value, dict):
        raise not_object(value)
    return value


def parse_value(raw: bytes, *, first: bool = False, last: bool = False, lenient: bool = False) -> object:
    r"""Read one JSON value: `b'[1, 2]\r'` → `[1, 2]`; white space → `Blank.LINE`.

    Args:
        raw: the line without its final LF, or a whole file that is one value; a CR before the LF is white space.
        first: the file's first line, where a byte order mark is allowed.
        last: the file's last line without a line end: what does not parse was cut by a writer that stopped.
        lenient: take NaN and infinities, as Python's own writer makes them: a run's scores may be such.

    Raises:
        HeldError: the text is not one JSON value of RFC 8259, or is too deep or too wide to be a log entry.

    """
    body = raw.removeprefix(BOM) if first else raw
    if body.startswith(BOM):
        raise HeldError("bom", "A byte order mark stands before the line. Remove its three bytes (EF BB BF).")
    try:
        text = body.decode()
        if not text.strip(" \t\r\n"):
            return Blank.LINE
        return _decode(text, _lenient if lenient else _decoder)
    except HeldError as error:
        if last and error.code == "not_json":
            raise HeldError(
                "truncated", f"The file ends inside this line: {error.message}", error.offset_bytes
            ) from error
        raise
    except UnicodeDecodeError as error:
        if last and error.end == len(body):
            raise HeldError("truncated", "The file ends inside a character of this line.", error.start) from error
        raise HeldError(
            "bad_utf8", f"Byte {error.start} of the line (0x{body[error.start]:02X}) is not UTF-8.", error.start
        ) from error


def not_object(value: object) -> HeldError:
    """What to say of a value that is no log entry and no object: a list, a number, null."""
    if isinstance(value, list):
        message = "This is a JSON array, not JSONL: write one object a line, without brackets and commas around them."
    else:
        message = f"A log entry is a JSON object in braces; this line is {json.dumps(value)[:40]}."
    return HeldError("not_object", message)


def _decode(text: str, decoder: json.JSONDecoder) -> object:
    try:
        value = decoder.decode(text)
    except HeldError:
        if _scan_depth(text) > MAX_DEPTH:
            raise _too_deep() from None
        raise
    except RecursionError as error:
        raise _too_deep() from error
    except json.JSONDecodeError as error:
        if _scan_depth(text) > MAX_DEPTH:
            raise _too_deep() from error
        at = len(text[: error.pos].encode(errors="surrogatepass"))
        raise HeldError("not_json", f"This is not JSON: {error.msg} at character {error.pos + 1}.", at) from error
    # A text with few brackets cannot be deep; most lines end here.
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise _too_deep()
    return value


def _too_deep() -> HeldError:
    return HeldError("too_deep", f"The line nests more than {MAX_DEPTH} brackets; no log entry does.")


def _depth(value: object) -> int:
    """Levels of containers in a parsed value, counted one further than the limit and no more."""
    level, layer = 0, _containers([value])
    while layer and level <= MAX_DEPTH:
        layer = [inner for outer in layer for inner in _containers(outer)]
        level += 1
    return level


def _containers(values: Iterable[object]) -> list[Iterable[object]]:
    """What the containers among some values hold."""
    found: list[Iterable[object]] = []
    for value in values:
        if isinstance(value, dict):
            found.append(value.values())
        elif isinstance(value, list):
            found.append(value)
    return found


def _scan_depth(text: str) -> int:
    """Levels of brackets outside strings, for text that does not parse."""
    depth = deepest = 0
    for sign in re.findall(r"[\[\]{}]", _STRINGS.sub("", text)):
        depth += 1 if sign in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = next(_doubled(key for key, _ in pairs), None)
        if twice is not None:
            raise HeldError(
                "dup_key", f"The key {json.dumps(twice)} stands twice in one object; readers differ on which counts."
            )
    if len(made) > MAX_KEYS:
        raise HeldError("too_many_keys", f"One object holds {len(made):,} keys; the limit is {MAX_KEYS:,}.")
    return made


def _doubled(keys: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for key in keys:
        if key in seen and key not in _LAST_COUNTS:
            yield key
        seen.add(key)


def _int(digits: str) -> int:
    if len(digits) > _LONGEST_INT or not _INT_MIN <= (value := int(digits)) <= _INT_MAX:
        raise HeldError("number", f"The number {digits[:30]} does not fit 64 bits.")
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if value in _INFINITE:
        raise HeldError("number", f"The number {digits[:30]} is too large for a float.")
    return value


def _constant(name: str) -> Never:
    raise HeldError("number", f"{name} is not JSON: a log that holds it was written by a lenient writer.")


_decoder = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_int, parse_float=_float, parse_constant=_constant)
_lenient = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_int, parse_float=_float)
