"""A spec log: what the T5 model was asked and what it answered, issue text and symbols → a YAML spec. One pair a line.

The agent itself logs nothing here; the names are those of its own function, and forks may take others. Two generations:

    t5      context_symbols_string: name, type, place and snippet of each symbol; the answer is bare YAML
    t5_bag  symbol_bag_string: names joined by bars; issue and answer may stand in the mark-up of the first prompt
            (`<RAW_REQUEST>…</RAW_REQUEST> <SYMBOL_BAG>…</SYMBOL_BAG>`, `<SPEC_YAML>…</SPEC_YAML>`)

The mark-up is no part of the issue and of the YAML: it is taken off where it is whole. An answer that lost its closing
mark was cut, and stays as it is so that this can be seen.
"""

from collections.abc import Mapping

from app.candidates import Candidate, Kind, SpecPair
from app.errors import BadInputError
from app.formats import fields
from app.formats.given import Given
from app.formats.lines import HeldError
from app.spec_yaml import dump, load, unwrapped

FORMAT = "spec_log"

_ISSUE = ("raw_issue_text", "issue_text", "raw_issue", "issue")
_CONTEXT, _BAG = "context_symbols_string", "symbol_bag_string"
_SYMBOLS = (_CONTEXT, _BAG, "context_symbols", "symbol_bag", "symbols")
_YAML = ("yaml_spec_string", "spec_yaml", "yaml_spec", "spec")
_ACCEPTED = ("accepted_by_parser", "accepted")
_TIME = ("timestamp_utc", "timestamp")
_KNOWN = frozenset({*_ISSUE, *_SYMBOLS, *_YAML, *_ACCEPTED, *_TIME, "error", "id", "issue_id", "spec_issue_id"})
# A run or a patch set may carry an issue and a spec, too.
_OTHERS = frozenset({"patch_history", "attempts", "patch_set_name", "original_spec", "event"})
_REQUEST, _REQUEST_END = "<RAW_REQUEST>", "</RAW_REQUEST>"
_NAMES, _NAMES_END = "<SYMBOL_BAG>", "</SYMBOL_BAG>"


def recognises(value: object) -> bool:
    """Whether a JSON value is such a pair: an object with an issue and a spec, which may be null."""
    return (
        isinstance(value, dict)
        and not value.keys().isdisjoint(_ISSUE)
        and not value.keys().isdisjoint(_YAML)
        and value.keys().isdisjoint(_OTHERS)
    )


def read(value: object, given: Given) -> tuple[Candidate, ...]:  # noqa: ARG001  (all readers are called alike)
    """The pair as a candidate.

    `{"raw_issue_text": "Fix x", "symbol_bag_string": "x.f|x.g", "yaml_spec_string": "task: Fix x"}` →
    `(Candidate(kind=Kind.SPEC, issue="Fix x", spec=SpecPair("task: Fix x", "x.f|x.g", "bag"), …),)`

    Raises:
        HeldError: `missing_field` when there is no issue, or not even the key of the spec; `wrong_type` when one of the
            texts is of another type.

    """
    entry = _mapping(value)
    issue, symbols, form = _asked(entry)
    yaml = _answered(entry)
    target_files, issue_id = _named_in(yaml)
    accepted = fields.first(entry, _ACCEPTED)
    pair = SpecPair(
        yaml, symbols, form, accepted if isinstance(accepted, bool) else None, fields.loose_text(entry.get("error"))
    )
    return (
        Candidate(
            Kind.SPEC,
            _generation(entry),
            external_id=fields.loose_text(entry.get("id")),
            issue_id=fields.loose_text(fields.first(entry, ("issue_id", "spec_issue_id"))) or issue_id,
            issue=issue,
            target_files=target_files,
            logged_at=fields.instant(fields.first(entry, _TIME)),
            extra=fields.others(entry, _KNOWN),
            spec=pair,
        ),
    )


def content(value: object, given: Given) -> tuple[object, ...]:  # noqa: ARG001  (all readers are called alike)
    """Issue, symbols and spec: the same pair logged again, by whatever writer, is the same candidate."""
    entry = _mapping(value)
    issue, symbols, _ = _asked(entry)
    return ({"issue": issue, "symbols": symbols, "yaml": _answered(entry)},)


def _mapping(value: object) -> Mapping[str, object]:
    if isinstance(value, dict):
        return value
    raise HeldError("not_object", "A pair of a spec log is a JSON object with raw_issue_text and yaml_spec_string.")


def _generation(entry: fields.Entry) -> str:
    if _CONTEXT in entry:
        return "t5"
    return "t5_bag" if _BAG in entry else "other"


def _asked(entry: fields.Entry) -> tuple[str, str, str]:
    """The issue, the symbols, and which form these have."""
    issue = fields.text(entry, _ISSUE)
    if issue is None:
        raise HeldError(
            "missing_field", f'A pair needs an issue; here "{_ISSUE[0]}" and its like are missing or empty.'
        )
    issue, bag = _unmarked(issue)
    said = fields.first(entry, _SYMBOLS)
    symbols = "|".join(fields.texts(said)) if isinstance(said, list) else fields.text(entry, _SYMBOLS) or bag
    if not symbols:
        return issue, "", ""
    is_bag = _CONTEXT not in entry and "\n" not in symbols and (_BAG in entry or bool(bag) or "|" in symbols)
    return issue, symbols, "bag" if is_bag or isinstance(said, list) else "context"


def _unmarked(issue: str) -> tuple[str, str]:
    """Issue and bag of symbols out of the first prompt's mark-up; a text without it is the issue."""
    bare = issue.strip()
    asked, end, rest = bare.removeprefix(_REQUEST).partition(_REQUEST_END)
    if not bare.startswith(_REQUEST) or not end:
        return issue, ""
    rest = rest.strip()
    if rest and not (rest.startswith(_NAMES) and rest.endswith(_NAMES_END)):
        return issue, ""
    return asked.strip(), rest.removeprefix(_NAMES).removesuffix(_NAMES_END).strip()


def _answered(entry: fields.Entry) -> str:
    """The YAML; empty where the model returned nothing: a reviewer may still write what it should have."""
    said = fields.first(entry, _YAML)
    if isinstance(said, dict):
        return dump(said) if said else ""
    if entry.keys().isdisjoint(_YAML):
        raise HeldError("missing_field", f'A pair needs a spec; "{_YAML[0]}" is missing.')
    return unwrapped(fields.text(entry, _YAML) or "")


def _named_in(yaml: str) -> tuple[tuple[str, ...], str | None]:
    """Target files and issue id of the YAML, as far as it parses."""
    try:
        spec = load(yaml)
    except BadInputError:
        return (), None
    if not isinstance(spec, dict):
        return (), None
    files, issue_id = spec.get("target_files"), spec.get("issue_id")
    paths = tuple(one for one in fields.listed(files) if isinstance(one, str))
    return paths, issue_id if isinstance(issue_id, str) and issue_id else None
