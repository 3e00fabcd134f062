"""Colours for YAML, from the tokens that the agent's own reader sees: a colon inside a quoted text makes no key.

Pygments' lexer is not asked: it takes time by the square of a run of `%`, `&a ` or `!a `.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import yaml

from app.diffs.lines import Colour

_MOST_LEVELS = 32
# A spec has a few thousand; this many take a quarter of a second.
_MOST_CHARACTERS = 30_000
_NUMBER = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "~"})


def yaml_colours(lines: Sequence[str]) -> list[list[Colour]]:
    """Where each kind of token stands in each line; from the first fault on, and in a long text, nothing is coloured.

    `yaml_colours(["name: 3"])` gives `[[(0, 4, "t"), (6, 7, "m")]]`; classes as in `app.diffs.highlight.colours`.
    """
    text = "\n".join(lines)
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    found: list[list[Colour]] = [[] for _ in lines]
    for begin, end, name in _spans(text) if len(text) <= _MOST_CHARACTERS else ():
        first = bisect_right(starts, begin) - 1
        last = bisect_right(starts, max(end - 1, begin)) - 1
        for row in range(first, last + 1):
            left, right = max(begin - starts[row], 0), min(end - starts[row], len(lines[row]))
            if left < right:
                found[row].append((left, right, name))
    return found


def _spans(text: str) -> Iterator[tuple[int, int, str]]:
    is_key, level = False, 0
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            begin, end = token.start_mark.index, token.end_mark.index
            if isinstance(token, yaml.ScalarToken) and (name := "t" if is_key else _class_of(token)):
                yield begin, end, name
            elif isinstance(token, yaml.AliasToken | yaml.AnchorToken | yaml.TagToken):
                yield begin, end, "d"
            is_key = isinstance(token, yaml.KeyToken)
            level += isinstance(token, yaml.FlowSequenceStartToken | yaml.FlowMappingStartToken)
            if level > _MOST_LEVELS:  # the scanner looks at each open one again for every token
                return
    except yaml.YAMLError:
        return


def _class_of(token: yaml.ScalarToken) -> str:
    if not token.plain:
        return "s"
    if _NUMBER.fullmatch(token.value):
        return "m"
    return "k" if token.value.lower() in _WORDS else ""
