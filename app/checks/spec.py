"""Whether a spec candidate's YAML is a spec that the agent's planner takes. Its nodes are read; nothing is built of it.

Forks are open, so what departs from the schema is a warning; only a text that is no plain mapping is held.

Source: the agent's `Spec` and its older form, its refactoring grammar, and the operation names of its predictor and of
its T5 prompt; YAML as PyYAML 6 reads it for `safe_load`, without anchors, aliases and tags.
"""

import keyword
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeAlias

import yaml

from app.candidates import Finding, Kind, Severity
from app.checks.excerpts import excerpt
from app.checks.reading import Reading
from app.spec_yaml import MAX_CHARACTERS, MAX_DEPTH

Node: TypeAlias = Any  # the library has no types

_REQUIRED, _LAST = "issue_description", "acceptance_tests"
# Field → what it holds; in the order in which the agent writes them.
FIELDS: Mapping[str, str] = {
    _REQUIRED: "text",
    "target_files": "texts",
    "operations": "operations",
    _LAST: "texts",
    # A branch's, and that of forks that know the tracker.
    "plan_prefix_summary": "texts",
    "issue_id": "text or nothing",
}
OLDER_FIELDS: Mapping[str, str] = {
    "task": "text",
    "target_symbols": "texts",
    "operations": "names",
    "acceptance": "texts",
}
_WRITTEN = (_REQUIRED, "target_files", "operations", _LAST)

GRAMMAR: Mapping[str, Mapping[str, str]] = {
    "add_decorator": {"target_function_name": "text", "decorator_name": "text"},
    "extract_method": {
        "source_function_name": "text", "start_line": "line", "end_line": "line", "new_method_name": "identifier",
    },
    "update_docstring": {"target_name": "text", "new_docstring": "text"},
    "add_import": {"import_statement": "import"},
    "generic_code_edit": {"edit_description": "prose"},
}  # fmt: skip
"""The operations that the planner can carry out, each with the parameters that it needs."""

PREDICTED = frozenset({
    "add_function", "extract_method", "rename_variable", "add_decorator", "add_import", "remove_import",
    "change_function_signature", "modify_function_logic", "add_class", "modify_class_structure", "delete_file",
    "create_file", "add_comments", "remove_comments", "refactor_conditional", "optimize_loop",
    "replace_string_literal", "format_code_style", "unknown_operation",
})  # fmt: skip
"""The operation names that the predictor counts."""

PROMPTED = frozenset({"add_function", "modify_class", "fix_bug", "refactor_method", "update_docs"})
"""The operation names of the examples in the T5 prompt."""

_NAMES = frozenset(GRAMMAR) | PREDICTED | PROMPTED
# What forks call a parameter of the grammar.
_SAID_ALSO = {"target_function_name": "target_function", "decorator_name": "decorator"}
_IMPORT = re.compile(r"import\s+[^\W\d]|from\s+[\w.]+\s+import\s+[^\W\d(]|from\s+[\w.]+\s+import\s*[(*]")
_OPENING, _CLOSING = re.compile(r"^<SPEC_YAML>", re.MULTILINE), "</SPEC_YAML>"
_WHOLE = re.compile(r"[0-9]{1,9}")
_IS = {
    "int": "a number", "float": "a number", "bool": "true or false", "null": "empty", "timestamp": "a date",
    "seq": "a list", "map": "fields of its own", "binary": "binary", "merge": "a merge key",
}  # fmt: skip
_HOLDS = {
    "text": "text", "texts": "a list of texts", "operations": "a list of operations", "names": "a list of names",
}  # fmt: skip


def spec(reading: Reading) -> Iterator[Finding]:
    """What keeps the YAML from being a spec, or is odd about it, in the order of its lines.

    `spec_not_yaml`, `spec_cut`, `spec_not_plain` and `empty` hold: there is no spec to train on. `spec_field`,
    `spec_operation`, `spec_files_missing` and `spec_duplicate_key` warn.
    """
    candidate = reading.candidate
    if candidate.kind is not Kind.SPEC or candidate.spec is None:
        return
    text = candidate.spec.yaml
    if len(text) > MAX_CHARACTERS:
        message = f"This spec is longer than {MAX_CHARACTERS:,} characters, so it was not parsed."
        yield Finding("spec_not_plain", Severity.HOLD, "spec", message)
        return
    sheet = _Sheet(_bare(text))
    opening = _OPENING.search(text)
    if opening and _CLOSING not in text:
        message = f"{opening[0]} is never closed by {_CLOSING}: the end was cut off."
        yield sheet.finding("spec_cut", message, at=opening.start(), severity=Severity.HOLD)
        return
    try:
        nodes = _Nodes(sheet.text)
        root = nodes.get_single_node()
        nodes.get_value(root)
    except yaml.YAMLError as error:
        yield _unreadable(sheet, error)
        return
    except (ValueError, OverflowError) as error:  # a date with 40 days, a number of 5,000 digits
        message = f"This spec holds a value that YAML cannot read: {excerpt(str(error))}."
        yield sheet.finding("spec_not_yaml", message, at=0, severity=Severity.HOLD)
        return
    if isinstance(root, yaml.MappingNode):
        if all(_kind(value) == "null" for _, value in root.value):
            message = "This spec holds no value of any field: there is nothing to learn from it."
            yield sheet.finding("empty", message, at=0, severity=Severity.HOLD)
        yield from sorted(_read(sheet, root), key=_line_of)
    else:
        is_what = "is empty" if root is None else f"holds {_IS.get(_kind(root), 'text')} instead of fields"
        yield sheet.finding("spec_not_yaml", f"This spec {is_what}.", at=0, severity=Severity.HOLD)


def _bare(text: str) -> str:
    """The YAML of the older form, which stands between tags; what is around it becomes spaces, so that lines stay."""
    opening = _OPENING.search(text)
    if opening is None:
        return text
    stop = text.rfind(_CLOSING, opening.end())
    end = len(text) if stop < 0 else stop
    return _blank(text[: opening.end()]) + text[opening.end() : end] + _blank(text[end:])


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _line_of(finding: Finding) -> int:
    return int(finding.place.partition(":")[2])


class _Sheet:
    """A text and where its lines begin; marks count other line ends as well, which are none here."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        if len(self._starts) > 1 and self._starts[-1] == len(text):
            self._starts.pop()

    def finding(self, code: str, message: str, *, at: Node, severity: Severity = Severity.WARNING) -> Finding:
        offset = at if isinstance(at, int) else at.start_mark.index
        return Finding(code, severity, f"spec:{bisect_right(self._starts, offset)}", message)


class _NotPlainError(yaml.composer.ComposerError):  # type: ignore[misc]
    """YAML that says one thing in many ways; `safe_load` would take it, and grow it without limit."""


class _Nodes(yaml.SafeLoader):  # type: ignore[misc]
    """Composes nodes without anchors, aliases and tags, and none that lies deeper than a person can read."""

    depth = 0

    def compose_node(self, parent: object, index: object) -> object:
        event = self.peek_event()
        if getattr(event, "anchor", None) is not None:
            self._refuse(event, "an anchor or an alias (& or *)")
        if getattr(event, "tag", None) is not None:
            self._refuse(event, "a tag (!)")
        if self.depth >= MAX_DEPTH and isinstance(event, yaml.CollectionStartEvent):
            self._refuse(event, f"more than {MAX_DEPTH} levels")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def get_value(self, root: Node) -> None:
        """Build the value as `safe_load` would, to see that it can be."""
        if root is not None:
            self.construct_document(root)

    def _refuse(self, event: Node, what: str) -> None:
        raise _NotPlainError(None, None, what, event.start_mark)


def _unreadable(sheet: _Sheet, error: yaml.YAMLError) -> Finding:
    begins = getattr(error, "context_mark", None) or getattr(error, "problem_mark", None)
    problem_mark: Node = getattr(error, "problem_mark", None)
    hold = Severity.HOLD
    if isinstance(error, _NotPlainError):
        message = f"This spec uses {error.problem}. Write out what it stands for."
        return sheet.finding("spec_not_plain", message, at=problem_mark.index, severity=hold)
    if isinstance(error, yaml.reader.ReaderError):
        message = f"This spec holds U+{error.character:04X}, which YAML does not allow."
        return sheet.finding("spec_not_yaml", message, at=error.position, severity=hold)
    if problem_mark is not None and problem_mark.index >= len(sheet.text.rstrip()) and begins is not None:
        message = "This YAML ends inside what begins here: its end was cut off, or a quote or a bracket is missing."
        return sheet.finding("spec_cut", message, at=begins.index, severity=hold)
    problem = excerpt(str(getattr(error, "problem", "") or error))
    fence = " A spec is bare YAML, without a code fence." if sheet.text.lstrip().startswith("```") else ""
    at = 0 if problem_mark is None else problem_mark.index
    return sheet.finding("spec_not_yaml", f"This is not YAML: {problem}.{fence}", at=at, severity=hold)


# ------------------------------------------------------------------------------------------------ fields


def _read(sheet: _Sheet, root: Node) -> Iterator[Finding]:
    yield from _doubled(sheet, root)
    said = _pairs(root)
    is_older = _REQUIRED not in said and bool(said.keys() & (OLDER_FIELDS.keys() - FIELDS.keys()))
    fields = OLDER_FIELDS if is_older else FIELDS
    required = "task" if is_older else _REQUIRED
    if required not in said:
        yield sheet.finding("spec_field", f"This spec lacks {required}, which the agent needs.", at=0)
    for key, (key_node, value) in said.items():
        if key not in fields:
            yield sheet.finding("spec_field", _unknown(key, fields), at=key_node)
        else:
            yield from _field(sheet, key, fields[key], value, is_required=key == required)
    if not is_older:
        yield from _files(sheet, said)
        yield from _ends_early(sheet, root, said)


def _unknown(key: str, fields: Mapping[str, str]) -> str:
    near = get_close_matches(key[:80], fields, n=1, cutoff=0.75)
    meant = f" Is it {near[0]}?" if near else ""
    return f"The agent's spec has no field “{excerpt(key)}”, and its reader refuses one that it does not know.{meant}"


def _field(sheet: _Sheet, key: str, holds: str, value: Node, *, is_required: bool) -> Iterator[Finding]:
    if holds == "text or nothing" and _kind(value) == "null":
        return
    if holds in {"text", "text or nothing"}:
        if not _is_text(value):
            yield sheet.finding("spec_field", f"{key} must be text; it is {_is(value)}.", at=value)
        elif is_required and not value.value.strip():
            yield sheet.finding("spec_field", f"{key} is blank.", at=value)
        return
    if not isinstance(value, yaml.SequenceNode):
        yield sheet.finding("spec_field", f"{key} must be {_HOLDS[holds]}; it is {_is(value)}.", at=value)
        return
    for entry in value.value:
        if holds == "operations":
            yield from _operation(sheet, entry)
        elif not _is_text(entry):
            yield sheet.finding("spec_field", f"{key} holds texts; this is {_is(entry)}.", at=entry)
        elif holds == "names":
            yield from _name(sheet, entry)


def _doubled(sheet: _Sheet, node: Node) -> Iterator[Finding]:
    """Keys that stand twice among the same fields, at any depth; `safe_load` keeps the last without a word."""
    if isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            yield from _doubled(sheet, inner)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        if not _is_text(key):
            yield sheet.finding("spec_field", f"The name of a field must be text; this one is {_is(key)}.", at=key)
        elif key.value in seen:
            message = f"“{excerpt(key.value)}” stands here a second time; the agent keeps only the last."
            yield sheet.finding("spec_duplicate_key", message, at=key)
        else:
            seen.add(key.value)
        yield from _doubled(sheet, value)


def _files(sheet: _Sheet, said: Mapping[str, tuple[Node, Node]]) -> Iterator[Finding]:
    """No target file at all, and files that an operation changes but the spec does not name."""
    named = _texts(said, "target_files")
    if not named:
        at = said["target_files"][0] if "target_files" in said else 0
        yield sheet.finding("spec_files_missing", "This spec names no target file.", at=at)
        return
    operations = said.get("operations", (None, None))[1]
    for entry in operations.value if isinstance(operations, yaml.SequenceNode) else ():
        _, file = _pairs(entry).get("target_file", (None, None))
        if file is not None and _is_text(file) and file.value not in named:
            message = f"target_files does not name {excerpt(file.value)}, which this operation changes."
            yield sheet.finding("spec_files_missing", message, at=file)


def _ends_early(sheet: _Sheet, root: Node, said: Mapping[str, tuple[Node, Node]]) -> Iterator[Finding]:
    """A cut that leaves sound YAML: it stops in the middle of the fields that the agent always writes."""
    written = tuple(said)
    if _LAST in said or sheet.text.endswith("\n") or written != _WRITTEN[: len(written)]:
        return
    message = f"This spec stops before {_LAST}, in the middle of a line: it may have been cut. Compare its end."
    yield sheet.finding("spec_cut", message, at=max(root.end_mark.index - 1, 0))


# ------------------------------------------------------------------------------------------------ operations


def _operation(sheet: _Sheet, node: Node) -> Iterator[Finding]:
    if not isinstance(node, yaml.MappingNode):
        is_what = "text" if _is_text(node) else _is(node)
        yield sheet.finding("spec_operation", f"An operation has a name and parameters; this is {is_what}.", at=node)
        return
    said = _pairs(node)
    _, name = said.get("name", (None, None))
    if name is None or not _is_text(name) or not name.value.strip():
        yield sheet.finding("spec_operation", "This operation has no name.", at=node)
        return
    yield from _name(sheet, name)
    _, nested = said.get("parameters", (None, None))
    if nested is not None and not isinstance(nested, yaml.MappingNode) and _kind(nested) != "null":
        yield sheet.finding("spec_operation", f"parameters must be fields; it is {_is(nested)}.", at=nested)
    _, file = said.get("target_file", (None, None))
    if file is not None and not _is_text(file) and _kind(file) != "null":
        yield sheet.finding("spec_operation", f"target_file must be text; it is {_is(file)}.", at=file)
    # The grammar takes parameters beside the name; the agent's own planning steps write them below `parameters`.
    yield from _parameters(sheet, name, {**said, **_pairs(nested)})


def _name(sheet: _Sheet, name: Node) -> Iterator[Finding]:
    if name.value not in _NAMES:
        near = get_close_matches(name.value[:80], sorted(_NAMES), n=1, cutoff=0.75)
        meant = f" Is it {near[0]}?" if near else ""
        message = f"No part of the agent knows an operation “{excerpt(name.value)}”.{meant}"
        yield sheet.finding("spec_operation", message, at=name)


def _parameters(sheet: _Sheet, name: Node, said: Mapping[str, tuple[Node, Node]]) -> Iterator[Finding]:
    rules = GRAMMAR.get(name.value, {})
    for parameter, rule in rules.items():
        if parameter in said:
            fault = _fault(parameter, rule, said[parameter][1])
            if fault:
                yield sheet.finding("spec_operation", fault, at=said[parameter][1])
            continue
        other = _SAID_ALSO.get(parameter, "")
        hint = f" Here it is called {other}." if other in said else ""
        yield sheet.finding("spec_operation", f"{name.value} needs {parameter}, which is missing.{hint}", at=name)
    first, last = (_whole(said[key][1]) if key in said else None for key in ("start_line", "end_line"))
    if "start_line" in rules and first is not None and last is not None and first >= last:
        message = f"start_line must be less than end_line; they are {first} and {last}."
        yield sheet.finding("spec_operation", message, at=said["start_line"][1])


def _fault(parameter: str, rule: str, value: Node) -> str | None:
    if rule == "line":
        return None if _whole(value) else f"{parameter} must be a line number, from 1; it is {_shown(value)}."
    if not _is_text(value):
        return f"{parameter} must be text; it is {_is(value)}."
    text = value.value
    if rule == "import" and not _IMPORT.match(text):
        return f"{parameter} must begin as `import x` or `from x import y`; it is {_shown(value)}."
    if rule == "identifier" and (not text.isidentifier() or keyword.iskeyword(text)):
        return f"{parameter} must be a name that Python takes; it is {_shown(value)}."
    if rule in {"text", "prose"} and not text.strip() and parameter != "new_docstring":
        return f"{parameter} is blank."
    return None


# ------------------------------------------------------------------------------------------------ nodes


def _pairs(node: Node) -> dict[str, tuple[Node, Node]]:
    """Key and value nodes by the key's text; of doubled keys the last, as the agent reads them."""
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: (key, value) for key, value in node.value if _is_text(key)}


def _texts(said: Mapping[str, tuple[Node, Node]], field: str) -> set[str]:
    _, node = said.get(field, (None, None))
    return {entry.value for entry in node.value if _is_text(entry)} if isinstance(node, yaml.SequenceNode) else set()


def _kind(node: Node) -> str:
    """What YAML takes a node for: `str`, `int`, `bool`, `null`, `timestamp`, `seq`, `map`."""
    return str(node.tag).rpartition(":")[2]


def _is_text(node: Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and _kind(node) in {"str", "value"}


def _is(node: Node) -> str:
    """What a node is instead of text, with its value where that explains it: `a date (2024-01-01)`."""
    said = _IS.get(_kind(node), "text")
    return f"{said} ({excerpt(node.value)})" if isinstance(node, yaml.ScalarNode) and node.value.strip() else said


def _shown(node: Node) -> str:
    return f"“{excerpt(node.value)}”" if _is_text(node) else _is(node)


def _whole(node: Node) -> int | None:
    is_number = _kind(node) == "int" and _WHOLE.fullmatch(node.value)
    return int(node.value) or None if is_number else None
