"""Whether a style candidate's texts are what the agent's refiner and unifier give: pairs of known keys, and a profile.

Source: the agent's draft and polish prompts (seven keys), `UnifiedStyleProfile`, and the unifier's prompt, which asks
for more than the profile keeps.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from app.candidates import Finding, Kind, Severity
from app.checks.excerpts import excerpt
from app.checks.reading import Reading

_MOST_CHARACTERS = 200_000
_BLANK = " \t\r\n"
_SPACES = frozenset(_BLANK)
# What a number, or true, false and null, may be cut down to.
_HALF = "0123456789+-.eEtrufalsn"
_MOST_SPACES, _LONGEST_LINE = 16, 1_000
_QUOTES = ("single", "double")
_DOCSTYLES = ("google", "numpy", "epytext", "restructuredtext", "plain", "other")
# Two shares of names that are one share of nothing in common cannot make up more than all.
_ALL = 1.005
_FAR = 0.05

FINGERPRINT = ("indent", "quotes", "linelen", "snake_pct", "camel_pct", "screaming_pct", "docstyle")
"""The keys of a fingerprint, in the order in which the agent writes them."""

PROFILE_OF: Mapping[str, str] = {
    "indent": "indent_width",
    "quotes": "preferred_quotes",
    "linelen": "max_line_length",
    "snake_pct": "identifier_snake_case_pct",
    "camel_pct": "identifier_camelCase_pct",
    "screaming_pct": "identifier_UPPER_SNAKE_CASE_pct",
    "docstyle": "docstring_style",
}
"""Key of a fingerprint → field of the unified profile that says the same of a whole project."""

_MORE_FIELDS = ("directory_overrides", "confidence_score", "raw_analysis_summary", "error", "details")
PROFILE = (*PROFILE_OF.values(), *_MORE_FIELDS)
"""The fields of a unified profile."""


# ------------------------------------------------------------------------------------------------ pairs


@dataclass(frozen=True, slots=True)
class Pair:
    """One key with its value, and where the key begins: `Pair("indent", 4, 0)`."""

    key: str
    value: object
    offset: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """A text of pairs, as far as it can be read.

    Attributes:
        read: the pairs in order, doubled ones too.
        fault: why the rest cannot be read, or empty.
        offset: where it cannot.
        is_cut: whether the text ends there.
    """

    read: tuple[Pair, ...]
    fault: str = ""
    offset: int = 0
    is_cut: bool = False

    def by_key(self) -> dict[str, object]:
        """The values by key; of a doubled key the last, as JSON readers take it."""
        return {pair.key: pair.value for pair in self.read}


def read_pairs(text: str, *, is_object: bool = False) -> Pairs:
    """The `"key": value` pairs of a refiner's output, or of a JSON object.

    `read_pairs('"indent": 4, "quotes": "double"')` gives the pairs `indent` 4 and `quotes` `"double"`.

    Args:
        text: pairs joined by commas; braces around them are allowed, and needed for an object.
        is_object: whether the text must be one JSON object.
    """
    return _Scanner(text).scan(is_object=is_object)


class _StopError(Exception):
    """The scanner met what it does not know; `at` is where, unless it is where the scanner stands."""

    def __init__(self, fault: str, *, at: int | None = None, can_be_cut: bool = True) -> None:
        super().__init__(fault)
        self.at = at
        self.can_be_cut = can_be_cut


class _Scanner:
    """Reads pairs one after the other, so that what stands before a fault is still known, with its place."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.read: list[Pair] = []
        self.begins = 0

    def scan(self, *, is_object: bool) -> Pairs:
        try:
            self._scan(is_object=is_object)
        except _StopError as stop:
            at = self.at if stop.at is None else stop.at
            is_cut = stop.can_be_cut and bool(self.text.strip()) and self._ends_at(at)
            return Pairs(tuple(self.read), str(stop), self.begins if is_cut else at, is_cut)
        return Pairs(tuple(self.read))

    def _scan(self, *, is_object: bool) -> None:
        closing = self._take("{")
        if is_object and not closing:
            raise _StopError("a JSON object begins with {", can_be_cut=False)
        more = self._peek() not in ("}", "")
        while more:
            self._pair()
            more = self._take(",")
        if closing and not self._take("}"):
            raise _StopError("a comma or } must follow")
        if self._peek():
            is_half = not closing and self.text[self.at - 1] not in _BLANK and self._ends_at(self.at)
            if is_half:
                self.read.pop()  # `"camel_pct": 0.` says nothing yet
            raise _StopError("nothing may follow the }" if closing else "a comma must follow", can_be_cut=is_half)
        if not closing and not self.read:
            raise _StopError("there is nothing here")

    def _pair(self) -> None:
        sign = self._peek()
        begins = self.begins = self.at if sign else self.begins
        if sign != '"':
            raise _StopError("a key in double quotes must stand here", can_be_cut=not sign)
        key = self._value("this key is not closed")
        if not self._take(":"):
            raise _StopError("a colon must follow the key")
        self._skip()
        self.read.append(Pair(str(key), self._value("this is no JSON value"), begins))

    def _value(self, fault: str) -> object:
        try:
            value, self.at = _DECODER.raw_decode(self.text, self.at)
        except json.JSONDecodeError as error:
            raise _StopError(fault, at=error.pos) from None
        except (ValueError, RecursionError):
            raise _StopError(fault, can_be_cut=False) from None
        return value

    def _skip(self) -> None:
        while self.text[self.at : self.at + 1] in _SPACES:
            self.at += 1

    def _peek(self) -> str:
        self._skip()
        return self.text[self.at : self.at + 1]

    def _take(self, sign: str) -> bool:
        found = self._peek() == sign
        self.at += found
        return found

    def _ends_at(self, at: int) -> bool:
        """Whether the text ends with what could not be read here: a text without its end, or half a number or word."""
        if self.text[at : at + 1] == '"':
            return '"' not in self.text[at + 1 :]
        return not self.text[at:].strip(_BLANK + _HALF)


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


# ------------------------------------------------------------------------------------------------ what a value may be

# Each says what a value must be, where it is not.
_Rule = Callable[[object], str]


def _whole(most: int) -> _Rule:
    def rule(value: object) -> str:
        fits = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most
        return "" if fits else f"a whole number from 1 to {most:,}"

    return rule


def _share(value: object) -> str:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return "" if fits else "a number from 0 to 1"


def _one_of(*names: str) -> _Rule:
    def rule(value: object) -> str:
        return "" if value in names else f"one of {', '.join(names)}"

    return rule


def _text(value: object) -> str:
    return "" if isinstance(value, str) else "text"


def _summary(value: object) -> str:
    return "" if isinstance(value, dict) else "an object"


def _overrides(value: object) -> str:
    listed = isinstance(value, list) and all(isinstance(one, dict) and "path_prefix" in one for one in value)
    keyed = isinstance(value, dict) and all(isinstance(one, dict) for one in value.values())
    return "" if listed or keyed else "settings by path prefix"


_REFINED_RULES: Mapping[str, _Rule] = {
    "indent": _whole(_MOST_SPACES),
    "quotes": _one_of(*_QUOTES, "mixed"),
    "linelen": _whole(_LONGEST_LINE),
    "snake_pct": _share,
    "camel_pct": _share,
    "screaming_pct": _share,
    "docstyle": _one_of(*_DOCSTYLES, "none"),
}
_PROFILE_RULES: Mapping[str, _Rule] = {
    **{PROFILE_OF[key]: rule for key, rule in _REFINED_RULES.items()},
    "preferred_quotes": _one_of(*_QUOTES),
    "docstring_style": _one_of(*_DOCSTYLES),
    "directory_overrides": _overrides,
    "confidence_score": _share,
    "raw_analysis_summary": _summary,
    "error": _text,
    "details": _text,
}


# ------------------------------------------------------------------------------------------------ checks


def refined(reading: Reading) -> Iterator[Finding]:
    """What is odd about a refined fingerprint.

    `refined_not_pairs`, `refined_cut` and `empty` hold, `refined_field` warns.
    """
    pair = reading.candidate.refine
    if reading.candidate.kind is not Kind.STYLE_REFINE or pair is None:
        return
    sheet = _Sheet("refined", pair.refined)
    pairs = sheet.pairs(is_object=False)
    if pairs.fault:
        yield sheet.unreadable(pairs, "refined_not_pairs", "These are no pairs of keys and values")
        return
    yield from sheet.emptiness(pairs, FINGERPRINT)
    yield from sheet.fields(pairs, _REFINED_RULES, required=FINGERPRINT, may_be_null=False)
    yield from sheet.sum_of(pairs, [key for key in FINGERPRINT if key.endswith("_pct")])


def unified(reading: Reading) -> Iterator[Finding]:
    """What is odd about a unified profile: `unified_not_json`, `unified_cut` and `empty` hold.

    `unified_field` warns, and so does `unified_disagrees`: a profile that says otherwise than most of its samples.
    """
    pair = reading.candidate.unify
    if reading.candidate.kind is not Kind.STYLE_UNIFY or pair is None:
        return
    sheet = _Sheet("unified", pair.unified)
    pairs = sheet.pairs(is_object=True)
    if pairs.fault:
        yield sheet.unreadable(pairs, "unified_not_json", "This is no JSON object")
        return
    yield from sheet.emptiness(pairs, PROFILE_OF.values())
    yield from sheet.fields(pairs, _PROFILE_RULES, required=tuple(PROFILE_OF.values()), may_be_null=True)
    yield from sheet.sum_of(pairs, [field for field in PROFILE_OF.values() if field.endswith("_pct")])
    most = majority(pair.samples)
    for one in pairs.read:
        found = next((most[key] for key, field in PROFILE_OF.items() if field == one.key and key in most), None)
        if found is not None and one.value is not None and found.is_against(one.value):
            message = f"{one.key} is {_shown(one.value)}, but the samples say {found.sentence}."
            yield sheet.finding("unified_disagrees", message, one.offset)


@dataclass(frozen=True, slots=True)
class _Sheet:
    """One text with its name: `_Sheet("refined", '"indent": 4')`."""

    name: str
    text: str

    def pairs(self, *, is_object: bool) -> Pairs:
        if len(self.text) > _MOST_CHARACTERS:
            return Pairs((), f"it is longer than {_MOST_CHARACTERS:,} characters")
        return read_pairs(self.text, is_object=is_object)

    def finding(self, code: str, message: str, offset: int, severity: Severity = Severity.WARNING) -> Finding:
        line = self.text.count("\n", 0, offset) + 1
        return Finding(code, severity, f"{self.name}:{line}", message)

    def unreadable(self, pairs: Pairs, code: str, what: str) -> Finding:
        rest = excerpt(self.text[pairs.offset :])
        here = f", at “{rest}”" if rest else ""
        if pairs.is_cut:
            message = f"This ends in the middle of a pair: its end was cut off{here}."
            return self.finding(f"{self.name}_cut", message, pairs.offset, Severity.HOLD)
        message = f"{what}: {pairs.fault}{here}."
        return self.finding(code, message, pairs.offset, Severity.HOLD)

    def emptiness(self, pairs: Pairs, keys: Iterable[str]) -> Iterator[Finding]:
        """A text that can be read and says nothing, as the agent's models give where they fail."""
        said = pairs.by_key()
        if all(said.get(key) is None for key in keys):
            message = "This holds no value of any field that the agent reads: there is nothing to learn from it."
            yield self.finding("empty", message, 0, Severity.HOLD)

    def fields(
        self, pairs: Pairs, rules: Mapping[str, _Rule], *, required: Sequence[str], may_be_null: bool
    ) -> Iterator[Finding]:
        code = f"{self.name}_field"
        seen: set[str] = set()
        for pair in pairs.read:
            if pair.key in seen:
                yield self.finding(code, f"“{excerpt(pair.key)}” stands here a second time.", pair.offset)
            seen.add(pair.key)
            if pair.key not in rules:
                near = get_close_matches(pair.key[:80], rules, n=1, cutoff=0.75)
                meant = f" Is it {near[0]}?" if near else ""
                message = f"The agent has no field “{excerpt(pair.key)}” here, and drops what it does not know.{meant}"
                yield self.finding(code, message, pair.offset)
            elif not (may_be_null and pair.value is None) and (must := rules[pair.key](pair.value)):
                message = f"{pair.key} must be {must}; it is {_shown(pair.value)}.{_doubt(pair.value)}"
                yield self.finding(code, message, pair.offset)
        missing = [key for key in required if key not in seen]
        if missing:
            yield self.finding(code, f"Missing: {', '.join(missing)}.", len(self.text.rstrip()))

    def sum_of(self, pairs: Pairs, keys: Sequence[str]) -> Iterator[Finding]:
        said = pairs.by_key()
        shares = [share for key in keys if isinstance(share := said.get(key), int | float)]
        if all(0 <= share <= 1 for share in shares) and sum(shares) > _ALL:
            at = next(pair.offset for pair in pairs.read if pair.key in keys)
            message = f"{', '.join(keys)} are shares of the same names, but they make up {sum(shares):.2f}."
            yield self.finding(f"{self.name}_field", message, at)


def _doubt(value: object) -> str:
    is_doubt = isinstance(value, str) and value.endswith("?")
    return " A draft may doubt; what is refined decides." if is_doubt else ""


def _shown(value: object) -> str:
    return excerpt(json.dumps(value, ensure_ascii=False))


# ------------------------------------------------------------------------------------------------ samples


@dataclass(frozen=True, slots=True)
class Most:
    """What the samples say of one key, by their weights: `Most("double", 0.97, is_mean=False)`.

    Attributes:
        value: the value of the largest weight, or the mean of a share.
        share: how much of the weight has this value; 1 for a mean.
        is_mean: whether it is one.
    """

    value: object
    share: float
    is_mean: bool

    def is_against(self, said: object) -> bool:
        """Whether the profile's value is another one than most of the samples'."""
        if self.is_mean:
            far = isinstance(said, int | float) and isinstance(self.value, float) and abs(said - self.value) > _FAR
            return far and not isinstance(said, bool)
        return self.share > 0.5 and said != self.value  # noqa: PLR2004  more than half

    @property
    def sentence(self) -> str:
        """`"double" (97%)`, or `0.92 on average`."""
        shown = _shown(self.value)
        return f"{shown} on average" if self.is_mean else f"{shown} ({self.share:.0%})"


def majority(samples: Sequence[Mapping[str, object]]) -> dict[str, Most]:
    """What the samples' fingerprints say of each key, weighted; keys that none of them says are not in it.

    `majority([{"fingerprint": {"quotes": "double"}, "weight": 0.4}])` gives `{"quotes": Most("double", 1.0, False)}`.
    """
    said: dict[str, list[tuple[object, float]]] = defaultdict(list)
    for sample in samples:
        fingerprint = sample.get("fingerprint")
        values = fingerprint if isinstance(fingerprint, Mapping) else {}
        for key in FINGERPRINT:
            value = values.get(key)
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                said[key].append((value, _weight(sample.get("weight"))))
    return {key: _mean(said[key]) if key.endswith("_pct") else _mode(said[key]) for key in FINGERPRINT if key in said}


def _weight(value: object) -> float:
    """A sample's weight; the agent's own 0.5 where none is known."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    return float(value) if fits and isinstance(value, int | float) else 0.5


def _mode(said: Sequence[tuple[object, float]]) -> Most:
    totals: dict[object, float] = defaultdict(float)
    for value, weight in said:
        totals[value] += weight
    # Of equal weights the first sample's: `max` keeps the order of the dict.
    value = max(totals, key=lambda one: totals[one])
    whole = sum(totals.values())
    return Most(value, totals[value] / whole if whole else 0.0, is_mean=False)


def _mean(said: Sequence[tuple[object, float]]) -> Most:
    numbers = [(value, weight) for value, weight in said if isinstance(value, int | float) and math.isfinite(value)]
    whole = sum(weight for _, weight in numbers)
    mean = sum(value * weight for value, weight in numbers) / whole if whole else 0.0
    return Most(round(mean, 3), 1.0 if whole else 0.0, is_mean=True)
