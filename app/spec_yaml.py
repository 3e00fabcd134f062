"""A spec as YAML: read under guard, written in the order of the Spec's fields.

The agent reads a spec with `yaml.safe_load`; so does this module, but for what no spec needs and a hostile text could
use: aliases (a few lines of them unfold to gigabytes), tags, depth, and size.

Source: YAML 1.1 as PyYAML 6 reads it.
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from app.errors import BadInputError

MAX_CHARACTERS = 65_536
MAX_DEPTH = 32
# Today's Spec and the one before it: no spec has fields of both.
_ORDER = (
    "issue_description", "task", "target_files", "target_symbols", "operations", "acceptance_tests", "acceptance",
)  # fmt: skip

_OPENING, _CLOSING = "<SPEC_YAML>", "</SPEC_YAML>"
# PyYAML writes these as they are and reads some of them as another line end: only escapes survive.
_ODD_LINE_ENDS = re.compile("[\r\x85\u2028\u2029]")


def unwrapped(text: str) -> str:
    r"""The YAML inside the mark-up that the first specs were written in.

    `"<SPEC_YAML>\ntask: Fix x\n</SPEC_YAML>"` → `"task: Fix x"`; a text without both marks is returned as it is, so
    that one which was cut can be seen to be cut.
    """
    bare = text.strip()
    if not (bare.startswith(_OPENING) and bare.endswith(_CLOSING)):
        return text
    return bare.removeprefix(_OPENING).removesuffix(_CLOSING).lstrip(" \t").removeprefix("\n").removesuffix("\n")


def load(text: str) -> object:
    r"""The value of a spec's YAML: `"issue_description: Fix x\ntarget_files: []"` → a dict.

    Raises:
        BadInputError: it is no YAML, or holds an alias, a tag, more than 32 levels or more than 65,536 characters;
            `where` is `line 3, column 5` where a place is known.

    """
    if len(text) > MAX_CHARACTERS:
        raise BadInputError(f"The spec has {len(text):,} characters; a spec is read up to {MAX_CHARACTERS:,}.")
    try:
        return _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        raise _bad(f"The spec is not YAML: {error.problem or error.context}", error.problem_mark) from error
    except yaml.YAMLError as error:
        raise BadInputError("The spec is not YAML: it holds a character that YAML does not allow.") from error
    except (ValueError, OverflowError) as error:
        # A date with 40 days, a number of 5,000 digits, half a character.
        raise BadInputError(f"The spec holds a value that YAML cannot read: {str(error)[:200]}.") from error


def dump(spec: Mapping[str, object]) -> str:
    r"""A spec's dict as YAML: the Spec's fields first, in its order, then what else there is; one value a line.

    `{"target_files": ["x.py"], "issue_description": "Fix x"}` →
    `"issue_description: Fix x\ntarget_files:\n- x.py\n"`; text of many lines stands as a block.
    """
    ordered = {key: spec[key] for key in (*_ORDER, *spec) if key in spec}
    written: str = yaml.dump(
        ordered, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=2**31
    )
    return written


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """The agent's own loader (libyaml's is faster, but takes other texts), which looks before it unfolds."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401  (PyYAML has no types)
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise _bad(f"The spec repeats a value by an alias (*{event.anchor}); write the value out", event.start_mark)
        if event.tag is not None:
            raise _bad(f"The spec gives a value a type of its own ({event.tag}); take the tag away", event.start_mark)
        if self.depth >= MAX_DEPTH and isinstance(event, yaml.CollectionStartEvent):
            raise _bad(f"The spec nests more than {MAX_DEPTH} levels; no spec does", event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  (PyYAML's own name)
        return True


def _text_node(dumper: yaml.SafeDumper, text: str) -> Any:  # noqa: ANN401  (PyYAML has no types)
    style = '"' if _ODD_LINE_ENDS.search(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text_node)


def _bad(sentence: str, mark: Any) -> BadInputError:  # noqa: ANN401  (PyYAML has no types)
    if mark is None:
        return BadInputError(f"{sentence}.")
    where = f"line {mark.line + 1}, column {mark.column + 1}"
    return BadInputError(f"{sentence} ({where}).", where=where)
