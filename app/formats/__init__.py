"""Readers of agent logs: bytes in, what they say out. Pure. One file a format, one line here.

A log is recognised by its fields, value by value, never by its name or a version: nobody runs an unmodified agent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.candidates import Candidate
from app.formats import capture, patch_history, patch_set, spec_log, style_log, success_memory
from app.formats.given import Given
from app.formats.lines import Blank, HeldError, not_object, parse_value
from app.formats.success_memory import content_digest

SUCCESS = "success_memory"


@dataclass(frozen=True, slots=True)
class Reader:
    """How one format is read.

    Attributes:
        label: for people: `success log`.
        holds: what an entry of it holds, for the sentence that says what was expected.
        recognises: whether a JSON value is such an entry, by its fields.
        read: the candidates that an entry speaks of; raises `HeldError`.
        content: for each of them a JSON value that says what it is about, without times and ratings: entries of equal
            content are one candidate.
    """

    label: str
    holds: str
    recognises: Callable[[object], bool]
    read: Callable[[object, Given], tuple[Candidate, ...]]
    content: Callable[[object, Given], tuple[object, ...]]


READERS: Mapping[str, Reader] = {
    capture.FORMAT: Reader(
        "capture log", "an event of Patchsift's own capture", capture.recognises, capture.read, capture.content
    ),
    # Before the success log: a run may be wrapped together with the script that came of it.
    patch_history.FORMAT: Reader(
        "run history", "a list of attempts", patch_history.recognises, patch_history.read, patch_history.content
    ),
    SUCCESS: Reader(
        "success log",
        "a diff, a script or a script hash",
        success_memory.recognises,
        lambda value, _: (success_memory.read(_mapping(value)),),
        lambda value, _: (value,),
    ),
    patch_set.FORMAT: Reader(
        "patch set", "patch_set_name and original_spec", patch_set.recognises, patch_set.read, patch_set.content
    ),
    spec_log.FORMAT: Reader(
        "spec log", "raw_issue_text and yaml_spec_string", spec_log.recognises, spec_log.read, spec_log.content
    ),
    style_log.FORMAT_REFINE: Reader(
        "style log",
        "code_snippet, raw_fingerprint_dict and refined_output_string",
        style_log.recognises_refine,
        style_log.read_refine,
        style_log.content_refine,
    ),
    style_log.FORMAT_UNIFY: Reader(
        "profile log",
        "per_sample_fingerprints and unified_profile",
        style_log.recognises_unify,
        style_log.read_unify,
        style_log.content_unify,
    ),
}
"""By the name that stands in the database and behind `--format`; asked in this order."""


def recognise(value: object) -> str | None:
    """The format whose entry a JSON value is: `{"raw_issue_text": …}` → `"spec_log"`; None where it is none."""
    if value == []:
        return None
    return next((name for name, reader in READERS.items() if reader.recognises(value)), None)


def parse(raw: bytes, *, first: bool, last: bool, wanted: str | None) -> object:
    """The JSON value of an entry; NaN and infinities are taken where a run's scores may be such.

    Args:
        raw: the entry's bytes.
        first: it begins the file.
        last: it ends the file without a line end.
        wanted: the format that it is known to have, or None.

    Raises:
        HeldError: it is no JSON, or not one that is taken here.

    """
    try:
        return parse_value(raw, first=first, last=last)
    except HeldError as error:
        if error.code != "number" or wanted not in {None, patch_history.FORMAT}:
            raise
        value = parse_value(raw, first=first, last=last, lenient=True)
        if not patch_history.recognises(value):
            raise
        return value


def unknown(value: object) -> HeldError:
    """What to say of a JSON value that is no entry of any format."""
    if value == []:
        message = (
            "This is an empty list: a run's history that was cleared before it was saved looks so. It holds nothing."
        )
        return HeldError("not_object", message)
    if not isinstance(value, dict):
        return not_object(value)
    keys = ", ".join(sorted(repr(key)[:60] for key in value)[:8]) or "no key at all"
    expected = "; ".join(f"{reader.label}: {reader.holds}" for reader in READERS.values())
    return HeldError("missing_field", f"This is no log entry that is known here: it holds {keys}. Expected {expected}.")


def refuse_pretty(value: object) -> None:
    """Refuse a file that is one JSON value of success entries: as a log it would grow by no line.

    Raises:
        HeldError: it is a success entry, or a list of them.

    """
    if any(map(success_memory.recognises, value if isinstance(value, list) else [value])):
        raise HeldError(
            "not_json",
            "This file is one JSON value over many lines, not JSONL. Write one object a line, for instance with: "
            "jq -c '.[]' FILE > FILE.jsonl",
        )


def digests(name: str, value: object, given: Given) -> tuple[bytes, ...]:
    """For each candidate that an entry speaks of, the SHA-256 of what it says, whatever its bytes."""
    if name == SUCCESS:
        return (content_digest(_mapping(value)),)
    contents = READERS[name].content(value, given)
    return tuple(content_digest({"format": name, "content": content}) for content in contents)


def read_entries(name: str, entries: Sequence[tuple[bytes, Given]], piece: int) -> Candidate:
    """What the entries of one candidate say: the first one's, or all together where a run was captured step by step.

    Args:
        name: their format.
        entries: the raw bytes, with what stood beside them; they were read without fault when they came in.
        piece: which of the candidates that the entry speaks of, from 0.

    """
    (raw, given), *more = entries
    value = parse(raw, first=True, last=False, wanted=name)
    if grows(name, value):
        others = [parse(raw, first=True, last=False, wanted=name) for raw, _ in more]
        return capture.read_run([value, *others], given)
    return READERS[name].read(value, given)[piece]


def grows(name: str, value: object) -> bool:
    """Whether further entries may add to the same candidate: the steps of a captured run."""
    return name == capture.FORMAT and capture.is_run_event(value)


def _mapping(value: object) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    raise not_object(value)


__all__ = [
    "READERS",
    "SUCCESS",
    "Blank",
    "Reader",
    "digests",
    "grows",
    "parse",
    "read_entries",
    "recognise",
    "refuse_pretty",
    "unknown",
]
