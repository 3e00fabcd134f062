"""Style logs of the two DivoT5 models: one sample's draft fingerprint → refined; many fingerprints → one profile.

The agent logs neither. Pairs come one a line, under the names of its own functions; an answer that is null is an empty
one. A dump of the profiler's samples (`CodeSample`, with all steps in `ai_fingerprint`) holds the refiner's pairs as
well, one sample or a list of them.

    divot5       code_snippet, raw_fingerprint_dict → refined_output_string; per_sample_fingerprints → unified_profile
    divot5_dump  code_snippet, ai_fingerprint: _raw_draft_fp → _raw_refined_kvs, _raw_polished_json
"""

import json
from collections.abc import Iterator, Mapping

from app.candidates import Candidate, Kind, StyleRefine, StyleUnify
from app.formats import fields
from app.formats.given import Given
from app.formats.lines import HeldError, parse_line

FORMAT_REFINE, FORMAT_UNIFY = "style_refine", "style_unify"

_SNIPPET = ("code_snippet", "snippet")
_DRAFT = ("raw_fingerprint_dict", "raw_fingerprint", "draft_fingerprint", "_raw_draft_fp")
_REFINED = ("refined_output_string", "refined_fingerprint", "refined", "_raw_refined_kvs")
_POLISHED = ("polished_json", "_raw_polished_json")
_STATUS, _STATS, _DUMP = "validation_status", "stats_block", "ai_fingerprint"
_ERROR = ("error", "error_while_fingerprinting")
_PLACE = frozenset({"file_path", "item_name", "item_type", "start_line", "end_line"})
_SAMPLES = ("per_sample_fingerprints", "sample_fingerprints")
_UNIFIED = ("unified_profile", "unified")
_TIME = ("timestamp_utc", "timestamp")
_COMMON = frozenset({*_TIME, *_ERROR, "id"})
_KNOWN_REFINE = _COMMON | {*_SNIPPET, *_DRAFT, *_REFINED, *_POLISHED, _STATUS, _STATS, _DUMP} | _PLACE
_KNOWN_UNIFY = _COMMON | {*_SAMPLES, *_UNIFIED}


def recognises_refine(value: object) -> bool:
    """Whether a JSON value is a code sample with its fingerprints, or a list of such samples."""
    if isinstance(value, list):
        return any(map(_is_sample, value)) and all(isinstance(one, dict) and _has_code(one) for one in value)
    return _is_sample(value)


def recognises_unify(value: object) -> bool:
    """Whether a JSON value holds fingerprints of many samples and the profile made of them, be it null."""
    return isinstance(value, dict) and not (value.keys().isdisjoint(_SAMPLES) or value.keys().isdisjoint(_UNIFIED))


def read_refine(value: object, given: Given) -> tuple[Candidate, ...]:  # noqa: ARG001  (all readers are called alike)
    """The refiner's pair of a sample; of a list of samples all that have one.

    `{"code_snippet": "x = 1", "raw_fingerprint_dict": {"indent": 4}, "refined_output_string": '"indent": 4', …}` →
    `(Candidate(kind=Kind.STYLE_REFINE, refine=StyleRefine("x = 1", {"indent": 4}, '"indent": 4'), …),)`

    Raises:
        HeldError: `missing_field` when there is no snippet, no draft or not even the key of the refiner's answer;
            `wrong_type` when one of them is of another type. In a list samples like that are passed over, as a
            profiler that fails at some of them leaves many, and only a list of nothing else is held.

    """
    if not isinstance(value, list):
        return (_refine(_mapping(value, "sample")),)
    found = tuple(_sound(value))
    if not found:
        raise HeldError("missing_field", f"None of the {len(value):,} samples has a draft and a refined fingerprint.")
    return found


def content_refine(value: object, given: Given) -> tuple[object, ...]:
    """Snippet, file and fingerprints: the same pair in a log and in a dump is the same candidate."""
    return tuple(
        {
            "snippet": one.refine.snippet,
            "files": list(one.target_files),
            "draft": dict(one.refine.draft),
            "refined": one.refine.refined,
        }
        for one in read_refine(value, given)
        if one.refine is not None
    )


def read_unify(value: object, given: Given) -> tuple[Candidate, ...]:  # noqa: ARG001  (all readers are called alike)
    r"""The unifier's pair.

    `{"per_sample_fingerprints": [{"fingerprint": {…}, "file_path": "x.py", "weight": 0.5}], "unified_profile": {…}}` →
    `(Candidate(kind=Kind.STYLE_UNIFY, unify=StyleUnify(({…},), '{\n  "indent_width": 4, …'), …),)`

    Raises:
        HeldError: `missing_field` when there are no fingerprints, or not even the key of the profile; `wrong_type`
            when one of them is of another type.

    """
    entry = _mapping(value, "profile")
    samples = _samples(entry)
    unified = _answer(entry, _UNIFIED)
    text = unified if isinstance(unified, str) else json.dumps(unified, indent=2, ensure_ascii=False)
    said = unified.get("error") if isinstance(unified, dict) else None
    error = fields.loose_text(fields.first(entry, _ERROR) or said)
    return (_candidate(entry, Kind.STYLE_UNIFY, _KNOWN_UNIFY, unify=StyleUnify(samples, text, error)),)


def content_unify(value: object, given: Given) -> tuple[object, ...]:
    """Fingerprints and profile."""
    return tuple(
        {"samples": [dict(sample) for sample in one.unify.samples], "unified": one.unify.unified}
        for one in read_unify(value, given)
        if one.unify is not None
    )


def _is_sample(value: object) -> bool:
    if not isinstance(value, dict) or not _has_code(value):
        return False
    steps = value.get(_DUMP)
    names = value.keys() | steps.keys() if isinstance(steps, dict) else value.keys()
    return not (names.isdisjoint(_DRAFT) and names.isdisjoint(_REFINED))


def _has_code(value: Mapping[str, object]) -> bool:
    return not value.keys().isdisjoint(_SNIPPET)


def _sound(samples: list[object]) -> Iterator[Candidate]:
    for sample in samples:
        try:
            yield _refine(_mapping(sample, "sample"))
        except HeldError:
            continue


def _refine(sample: Mapping[str, object]) -> Candidate:
    steps = fields.mapping(sample, (_DUMP,)) or {}
    said = {**steps, **sample}
    snippet = fields.text(said, _SNIPPET)
    if snippet is None:
        raise HeldError("missing_field", 'A sample needs its code; "code_snippet" is missing or empty.')
    refined, polished = _answer(said, _REFINED), fields.first(said, _POLISHED)
    refine = StyleRefine(
        snippet,
        _draft(said),
        refined if isinstance(refined, str) else _pairs(refined),
        polished=fields.loose_text(polished),
        item=_item(said),
        place=_place(said),
        stats=fields.loose_text(said.get(_STATS)) or "",
        status=fields.loose_text(said.get(_STATUS)) or "",
        error=fields.loose_text(fields.first(sample, _ERROR)) or fields.loose_text(steps.get("error")),
    )
    return _candidate(sample, Kind.STYLE_REFINE, _KNOWN_REFINE, refine=refine)


def _draft(said: fields.Entry) -> Mapping[str, object]:
    """The draft as an object; a text may be JSON, or its pairs without braces, as in the refiner's prompt."""
    draft = fields.first(said, _DRAFT)
    if isinstance(draft, dict):
        return draft
    key = _key_of(said, _DRAFT)
    if draft is None or draft == "":
        raise HeldError("missing_field", f'A sample needs its draft fingerprint; "{key}" is missing or empty.')
    text = (fields.text(said, (key,)) or "").strip()
    try:
        read = parse_line((text if text.startswith("{") else f"{{{text}}}").encode(errors="surrogatepass"))
    except HeldError as error:
        raise HeldError("wrong_type", f'"{key}" must be an object. {error.message}') from error
    return read or {}


def _pairs(refined: Mapping[str, object]) -> str:
    """A fork's object as the refiner writes it: pairs without braces."""
    return json.dumps(refined, ensure_ascii=False)[1:-1]


def _samples(entry: fields.Entry) -> tuple[Mapping[str, object], ...]:
    said, key = fields.first(entry, _SAMPLES), _key_of(entry, _SAMPLES)
    if said is None or said == []:
        raise HeldError("missing_field", f'A profile needs the fingerprints that it was made of; "{key}" is empty.')
    if not isinstance(said, list):
        raise fields.wrong_type(key, "a list", said)
    for one in said:
        if not isinstance(one, dict):
            raise fields.wrong_type(key, "a list of objects", one)
    return tuple(said)


def _item(said: fields.Entry) -> str:
    name, kind = (fields.loose_text(said.get(key)) or "" for key in ("item_name", "item_type"))
    return f"{name} ({kind})" if name and kind else name or kind


def _place(said: fields.Entry) -> str:
    path = fields.loose_text(said.get("file_path")) or ""
    lines = [said[key] for key in ("start_line", "end_line") if isinstance(said.get(key), int)]
    return ":".join(part for part in (path, "-".join(map(str, lines))) if part)


def _answer(entry: fields.Entry, keys: tuple[str, ...]) -> str | Mapping[str, object]:
    """What the model returned; empty where that was nothing: a reviewer may still write what it should have."""
    if entry.keys().isdisjoint(keys):
        raise HeldError("missing_field", f'A pair needs what the model returned; "{keys[0]}" is missing.')
    said = fields.first(entry, keys)
    if said is None or isinstance(said, dict | str):
        return said or ""
    raise fields.wrong_type(_key_of(entry, keys), "text or an object", said)


def _key_of(entry: fields.Entry, keys: tuple[str, ...]) -> str:
    """The key of these that has a value, else that is there, else the agent's own."""
    return next((key for key in keys if entry.get(key) is not None), next((k for k in keys if k in entry), keys[0]))


def _candidate(
    entry: fields.Entry,
    kind: Kind,
    known: frozenset[str],
    refine: StyleRefine | None = None,
    unify: StyleUnify | None = None,
) -> Candidate:
    path = fields.loose_text(entry.get("file_path")) if refine else None
    steps = entry.get(_DUMP)
    extra = fields.others(entry, known)
    if isinstance(steps, dict):
        extra |= {_DUMP: fields.others(steps, known)}  # The fingerprint that came out of the steps.
    return Candidate(
        kind,
        "divot5_dump" if isinstance(steps, dict) else "divot5",
        external_id=fields.loose_text(entry.get("id")),
        target_files=(path,) if path else (),
        logged_at=fields.instant(fields.first(entry, _TIME)),
        extra=extra,
        refine=refine,
        unify=unify,
    )


def _mapping(value: object, what: str) -> Mapping[str, object]:
    if isinstance(value, dict):
        return value
    raise HeldError("not_object", f"A {what} of a style log is a JSON object; here it is none.")
