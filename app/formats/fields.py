"""One field of an entry, tolerantly: what forks write otherwise is bent where nothing is lost by it, else held."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from app.formats.lines import HeldError

Entry = Mapping[str, object]


def first(entry: Entry, keys: Sequence[str]) -> object:
    """The value of the first of these keys that has one: `first({"a": None, "b": 0}, ("a", "b"))` → 0; else None."""
    for key in keys:
        value = entry.get(key)
        if value is not None:
            return value
    return None


def text(entry: Entry, keys: Sequence[str]) -> str | None:
    """The first of these keys that holds text; empty text counts as absent.

    Raises:
        HeldError: `wrong_type` when it holds something else.

    """
    for key in keys:
        value = entry.get(key)
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            raise wrong_type(key, "text", value)
        return value
    return None


def mapping(entry: Entry, keys: Sequence[str]) -> Entry | None:
    """The first of these keys that holds an object.

    Raises:
        HeldError: `wrong_type` when it holds something else.

    """
    for key in keys:
        value = entry.get(key)
        if value is None:
            continue
        if not isinstance(value, dict):
            raise wrong_type(key, "an object", value)
        return value
    return None


def wrong_type(key: str, wanted: str, value: object) -> HeldError:
    """The error that says `"commit_title" must be text; here it is a list.`."""
    return HeldError("wrong_type", f'"{key}" must be {wanted}; here it is {_name_of(value)}.')


def loose_text(value: object) -> str | None:
    """Text as it is, anything else as JSON; None for null and for empty text."""
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else json.dumps(value)


def listed(value: object) -> tuple[object, ...]:
    """A list's members; one value stands for a list of one, null for an empty one."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else (value,)


def texts(value: object) -> tuple[str, ...]:
    """As `listed`, with members that are no text as JSON."""
    return tuple(one if isinstance(one, str) else json.dumps(one) for one in listed(value))


def instant(value: object) -> datetime | None:
    """Aware UTC: `"2025-06-24T13:13:42Z"`; a time without a zone is UTC; None where it cannot be read."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def others(entry: Entry, known: frozenset[str]) -> dict[str, object]:
    """The keys that no writer is known to write, as they are, in order of their names."""
    return {key: entry[key] for key in sorted(entry.keys() - known)}


def _name_of(value: object) -> str:
    names = {dict: "an object", list: "a list", bool: "true or false", int: "a number", float: "a number", str: "text"}
    return names.get(type(value), "null")
