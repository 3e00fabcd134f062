"""`success_memory.jsonl`: one line a patch that the agent took for a success. All generations, and forks.

Recognised by key, never by version: nobody runs an unmodified agent. Unknown keys are kept. The generations and
their keys, in the order in which the writers put them:

    G1     spec_operations_summary, successful_diff_summary_snippet (cut at 1,000 characters), successful_script_hash
    guide  as G1, but successful_diff_summary
    G2     spec_operations_summary, successful_diff_summary, successful_script
    G3     spec_operations_details instead of the summary
    G4     + diff_embedding, script_embedding
    G5     + predicted_core
    G6     + user_rating
"""

import hashlib
import json
from collections.abc import Mapping

from app.candidates import Candidate, Kind
from app.formats import fields
from app.formats.lines import HeldError

_ISSUE = ("spec_issue_description", "issue_description", "issue", "task", "description")
_DIFF = ("successful_diff_summary", "successful_diff_summary_snippet", "diff", "patch")
_SCRIPT = ("successful_script", "script")
_HASH = "successful_script_hash"
_OPERATIONS = ("spec_operations_details", "spec_operations_summary", "operations")
_FILES = ("spec_target_files", "target_files")
_TIME = ("timestamp_utc", "timestamp")
_RATING = ("user_rating", "rating")
_EMBEDDINGS = ("diff_embedding", "script_embedding")
_KNOWN = frozenset(
    {*_ISSUE, *_DIFF, *_SCRIPT, _HASH, *_OPERATIONS, *_FILES, *_TIME, *_RATING, *_EMBEDDINGS}
    | {"spec_issue_id", "issue_id", "patch_source", "predicted_core", "id"}
)
# What may differ between two lines about one change: when it was logged, what a person thought, and derived numbers.
_EVIDENCE = frozenset({*_DIFF, *_SCRIPT, _HASH})
_NOT_CONTENT = frozenset({*_TIME, *_RATING, *_EMBEDDINGS})
_BEST_RATING = 5


def recognises(value: object) -> bool:
    """Whether a JSON value is a success entry: an object with a diff, a script or a script hash."""
    return isinstance(value, dict) and not _EVIDENCE.isdisjoint(value)


def read(entry: dict[str, object]) -> Candidate:
    """What one parsed line says.

    `{"spec_issue_description": "Fix x", "successful_script": "import libcst", …}` →
    `Candidate(kind=Kind.PATCH, generation="G2", issue="Fix x", script="import libcst", …)`

    Raises:
        HeldError: `missing_field` when the line holds neither diff, script nor hash; `wrong_type` when one of these,
            the issue text or the id is of another type than text.

    """
    if _EVIDENCE.isdisjoint(entry):
        keys = ", ".join(sorted(map(json.dumps, entry))[:8]) or "no key at all"
        raise HeldError(
            "missing_field", f"A success entry holds a diff, a script or a script hash; this line holds {keys}."
        )
    said = entry.get
    return Candidate(
        Kind.PATCH,
        _generation(entry),
        _external_id(said("id")),
        fields.loose_text(said("spec_issue_id", said("issue_id"))),
        fields.text(entry, _ISSUE) or "",
        fields.texts(fields.first(entry, _FILES)),
        fields.listed(fields.first(entry, _OPERATIONS)),
        fields.text(entry, _DIFF),
        "successful_diff_summary_snippet" in entry or _HASH in entry,
        fields.text(entry, _SCRIPT),
        fields.loose_text(said(_HASH)),
        fields.loose_text(said("patch_source")) or "Unknown",
        fields.loose_text(said("predicted_core")),
        _rating(fields.first(entry, _RATING)),
        fields.instant(fields.first(entry, _TIME)),
        fields.others(entry, _KNOWN),
    )


def content_digest(entry: Mapping[str, object]) -> bytes:
    """SHA-256 of what the entry says about the change, whatever the order of its keys.

    Time, rating and embeddings stay out: a line that the agent's web form rewrote with a new rating, and the same
    change logged twice, are one candidate.
    """
    shape: list[tuple[str, object]] = []
    texts: list[str] = []
    for key, value in sorted(entry.items()):
        if key in _NOT_CONTENT:
            continue
        if type(value) is str:
            # Its length parts it from its neighbours; escaping it would cost more than all the rest.
            shape.append((key, len(value)))
            texts.append(value)
        else:
            shape.append((key, [_ordered(value)]))
    # `ascii` writes strings, numbers, lists and tuples the same in every version of Python.
    canonical = ascii(shape) + "".join(texts)
    return hashlib.sha256(canonical.encode(errors="surrogatepass")).digest()


def _ordered(value: object) -> object:
    """The value with every object as sorted pairs, so that the order of its keys does not count."""
    if isinstance(value, dict):
        return tuple((key, one if one.__class__ is str else _ordered(one)) for key, one in sorted(value.items()))
    if isinstance(value, list):
        return [one if one.__class__ is str else _ordered(one) for one in value]
    return value


def _generation(entry: Mapping[str, object]) -> str:
    if _HASH in entry:
        return "G1" if "successful_diff_summary_snippet" in entry else "guide"
    if "spec_operations_summary" in entry:
        return "G2"
    if "spec_operations_details" not in entry:
        return "other"
    if "predicted_core" in entry:
        return "G6" if "user_rating" in entry else "G5"
    return "G4" if "diff_embedding" in entry else "G3"


def _external_id(value: object) -> str | None:
    if value is None or (isinstance(value, str | int) and not isinstance(value, bool)):
        return None if value is None else str(value)
    raise fields.wrong_type("id", "text or a whole number", value)


def _rating(value: object) -> int | None:
    is_rating = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _BEST_RATING
    return value if is_rating else None  # type: ignore[return-value]
