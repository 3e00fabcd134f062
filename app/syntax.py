"""What may be typed into a search: words, phrases, fields, exclusions; and the one form that each of them has.

`file:core.py score:<0.4 -finding:secret "no module" parser` is five terms, and all of them must hold. Pure.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from app.candidates import Kind, Validity
from app.errors import BadInputError

LARGEST_NUMBER = 2**31 - 1
"""No number of a candidate, of lines or of attempts is larger."""

_MOST = 50
# Not of an address, a qualified name or a drive: `https://`, `std::sort`, `C:\\`.
_NAME = re.compile(r"(-?)([A-Za-z][A-Za-z_]*):(?!//|:|\\)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|$)', re.DOTALL)
_ESCAPED = re.compile(r"\\([\\\"])")
_BARE = re.compile(r'[^\s"]+')
_BARE_VALUE = re.compile(r'[^\s",]*')
_NUMBER = r"-?(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})(?:[eE]-?[0-9]{1,2})?"
_RANGE = re.compile(rf"(?P<sign><=|>=|<|>|=)?(?P<one>{_NUMBER})|(?P<low>{_NUMBER})?\.\.(?P<high>{_NUMBER})?")
_GROUP = re.compile(r"[0-9]{1,10}|[0-9a-f]{64}")
_WORD = re.compile(r"[^\W_]+")


# ------------------------------------------------------------------------------------------------ one term


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that must hold, or must not.

    `Term("status", ("pending", "flagged"))` is `status:pending,flagged`; `Term("", ('"no module"',), excluded=True)`
    is `-"no module"`.

    Attributes:
        field: a name of `FIELDS`; empty for what is sought in every text.
        values: in their one form; any of them is enough. A phrase keeps its quotes where the field holds texts.
        excluded: it must not hold.
    """

    field: str
    values: tuple[str, ...]
    excluded: bool = False

    def __str__(self) -> str:
        """As it is typed."""
        values = ",".join(_quoted(value, self.field) for value in self.values)
        return f"{'-' if self.excluded else ''}{self.field}{':' if self.field else ''}{values}"


def _quoted(value: str, field: str) -> str:
    if not field or (is_phrase(value) and FIELDS[field].is_text):
        return value
    needs = not value or any(sign.isspace() or sign in '",' for sign in value)
    return f'"{_escaped(value)}"' if needs else value


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def is_phrase(value: str) -> bool:
    """Whether a value of a text is sought as a phrase: `'"no module"'`."""
    return len(value) > 1 and value[0] == value[-1] == '"'


def words_of(value: str) -> list[str]:
    """The words of a value, in small letters: `"foo_bar/Baz.py"` → `["foo", "bar", "baz", "py"]`."""
    return [word.lower() for word in _WORD.findall(value)]


# ------------------------------------------------------------------------------------------------ values


class _WrongError(ValueError):
    """What a value must be: `a day such as 2026-11-22`."""


def _text(value: str) -> str:
    if not value:
        raise _WrongError("a text")
    return value


def _words(value: str) -> str:
    if not 0 < len(words_of(value)) <= _MOST:
        raise _WrongError(f"a word, or a phrase in quotes, of {_MOST} words at most")
    return value


def _code(value: str) -> str:
    return _text(value.lower().replace(" ", "_").replace("-", "_"))


def _one_of(*names: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value.lower() not in names:
            raise _WrongError(f"one of {', '.join(names)}")
        return value.lower()

    return read


def _day(value: str) -> str:
    try:
        found = date.fromisoformat(value)
    except ValueError:
        found = date.max
    # The last day that there is has none behind it, where a list would end.
    if found == date.max:
        raise _WrongError("a day such as 2026-11-22")
    return found.isoformat()


def _days(value: str) -> str:
    """A day, or days from one to another: `2026-11-01..2026-11-22`, `2026-11-01..`, `..2026-11-22`."""
    low, parted, high = value.partition("..")
    try:
        first, last = (_day(one) if one else "" for one in (low, high))
    except _WrongError:
        first = last = ""
    if not (first or last) or (first and last and first > last):
        raise _WrongError("a day such as 2026-11-22, or days such as 2026-11-01..2026-11-22")
    return f"{first}..{last}" if parted and first != last else first


def _whole(value: str) -> str:
    if not (value.isascii() and value.isdigit() and len(value) <= len(str(LARGEST_NUMBER))):
        raise _WrongError("a whole number")
    if int(value) > LARGEST_NUMBER:
        raise _WrongError("a whole number")
    return str(int(value))


def _group(value: str) -> str:
    if not _GROUP.fullmatch(value.lower()) or (len(value) <= 10 and int(value) > LARGEST_NUMBER):  # noqa: PLR2004
        raise _WrongError("a candidate's number, or a group's digest of 64 digits")
    return value.lower() if len(value) > 10 else str(int(value))  # noqa: PLR2004


def _turn(value: str) -> str:
    return value.lower() if value.lower() in {ME, SENT} else _text(value)


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers between two bounds, each of them in or out: `>200` is `Range(low=200, has_low=False)`."""

    low: float | None = None
    high: float | None = None
    has_low: bool = True
    has_high: bool = True

    def __str__(self) -> str:
        """As it is typed, in the one form: `..5` is `<=5`."""
        if self.low == self.high and self.low is not None:
            return _number(self.low)
        if self.high is None:
            return f"{'>=' if self.has_low else '>'}{_number(self.low or 0)}"
        if self.low is None:
            return f"{'<=' if self.has_high else '<'}{_number(self.high)}"
        return f"{_number(self.low)}..{_number(self.high)}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) <= LARGEST_NUMBER else repr(float(value))


def read_range(value: str) -> Range | None:
    """`"<0.4"`, `">=0.7"`, `"0.4..0.7"`, `"3"` → the range, or None where it is none."""
    found = _RANGE.fullmatch(value)
    if found is None or value == "..":
        return None
    sign, one, low, high = found.group("sign", "one", "low", "high")
    if one is not None:
        n = float(one)
        bounds = {"<": Range(None, n, has_high=False), "<=": Range(None, n), ">": Range(n, None, has_low=False)}
        return bounds.get(sign, Range(n, None) if sign == ">=" else Range(n, n))
    made = Range(None if low is None else float(low), None if high is None else float(high))
    return None if made.low is not None and made.high is not None and made.low > made.high else made


def _numbers(*, whole: bool, none: bool = False, example: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if none and value.lower() == "none":
            return "none"
        found = read_range(value)
        bounds = [] if found is None else [one for one in (found.low, found.high) if one is not None]
        fits = all(math.isfinite(one) and (not whole or one == int(one)) and _fits(one) for one in bounds)
        if found is None or not fits:
            raise _WrongError(f"a {'whole ' if whole else ''}number or a range such as {example}")
        return str(found)

    return read


def _fits(number: float) -> bool:
    return abs(number) <= LARGEST_NUMBER


# ------------------------------------------------------------------------------------------------ fields


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the search: the parser, the help on the page and the docs all read the table of these.

    Attributes:
        name: before the colon.
        help: what it finds.
        example: a whole term.
        read: gives a value its one form; raises `_WrongError` with what it must be.
        is_text: it holds words, and a phrase in quotes is another thing than the words alone.
        group: heading in the help.
    """

    name: str
    help: str
    example: str
    read: Callable[[str], str]
    is_text: bool = False
    group: str = "Candidate"


STATUSES = ("pending", "accepted", "rejected", "edited", "skipped", "flagged", "disagreed")
AGREEMENTS = ("yes", "no", "settled", "waiting")
OPINIONS = ("accept", "reject", "edit", "flag")
NEVER, NONE = "never", "none"
ME, SENT, WAITING = "me", "sent", "waiting"

_TABLE = (
    Field("issue", "Words of the issue", "issue:unicode", _words, is_text=True, group="Texts"),
    Field("file", "A target file, or a part of its path", "file:termui.py", _words, group="Texts"),
    Field("diff", "Words of the changed lines", "diff:subprocess", _words, is_text=True, group="Texts"),
    Field("script", "Words of the script, or of one that was tried", "script:leave_Call", _words, True, "Texts"),
    Field("trace", "Words of a traceback", "trace:NameError", _words, is_text=True, group="Texts"),
    Field("status", "Where it stands", "status:pending,flagged", _one_of(*STATUSES), group="Review"),
    Field("by", "Decided by this person", 'by:"Ada L"', _text, group="Review"),
    Field("reason", "Decided with this reason", "reason:wrong_fix", _code, group="Review"),
    Field("guideline", "Decided under this version of the guideline", "guideline:<3",
          _numbers(whole=True, example="3, >1 or 2..4"), group="Review"),
    Field("decided", "Decided on these days (UTC)", "decided:2026-11-01..2026-11-22", _days, group="Review"),
    Field("spent", "Seconds from the painted candidate to the decision", "spent:<2",
          _numbers(whole=False, none=True, example="<2, 10..60, or none"), group="Review"),
    Field("seen", "Share of the changes that was on the screen before the decision", "seen:<0.5",
          _numbers(whole=False, none=True, example="<0.5, 1, or none"), group="Review"),
    Field("bulk", "Decided together with others, or by itself", "bulk:yes", _one_of("yes", "no"), group="Review"),
    Field("turn", "Sent to this person and not done; me: to you; sent: by you", "turn:me", _turn, group="Review"),
    Field("agreement", "Of what several people judge: they agree, they do not, a curator settled it, or it still waits",
          "agreement:no", _one_of(*AGREEMENTS), group="Review"),
    Field("opinion", "One of several people said this of it", "opinion:reject", _one_of(*OPINIONS), group="Review"),
    Field("opinion_by", "This person was one of several who judged it", 'opinion_by:"Ada L"', _text, group="Review"),
    Field("mine", "Your opinion on it, or your skip, that waits for others", "mine:waiting", _one_of(WAITING),
          group="Review"),
    Field("comment", "Comments: open, blocking acceptance, any at all; me: one of yours", "comment:blocking",
          _one_of("open", "blocking", "any", ME), group="Review"),
    Field("kind", "What is judged", "kind:patch", _one_of(*Kind)),
    Field("source", "Patch source, in full", "source:Unknown", _text),
    Field("finding", "What the checks noticed", "finding:secret", _code),
    Field("size", "Changed lines of the diff", "size:>200", _numbers(whole=True, example=">200 or 10..50")),
    Field("rating", "Rating in the log", "rating:>=4",
          _numbers(whole=True, none=True, example=">=4, 1..3, 5, or none")),
    Field("came", "Came in on these days (UTC)", "came:2026-11-22", _days),
    Field("since", "Logged on that day or later", "since:2026-11-01", _day),
    Field("until", "Logged on that day or earlier", "until:2026-11-22", _day),
    Field("valid", "What the agent's checks said of the script; never: no attempt passed; none: no run known",
          "valid:pending", _one_of(*Validity, NEVER, NONE), group="Attempts"),
    Field("score", "Style score of the script's own attempt", "score:<0.4",
          _numbers(whole=False, none=True, example="<0.4, >=0.7, 0.4..0.7, or none"), group="Attempts"),
    Field("attempts", "How many attempts its run made", "attempts:>1",
          _numbers(whole=True, example=">1 or 2..5"), group="Attempts"),
    Field("id", "Its number", "id:17", _numbers(whole=True, example="17, >100 or 10..50"), group="Belongs together"),
    Field("group", "Stays in one split with this candidate", "group:17", _group, group="Belongs together"),
    Field("like", "Near-duplicates of this candidate, and itself", "like:17", _whole, group="Belongs together"),
    Field("upload", "Came in with this file", "upload:3", _whole, group="Belongs together"),
    Field("delivery", "Came in with these files", "delivery:2", _whole, group="Belongs together"),
    Field("view", "What a saved view finds", 'view:"Hard ones"', _text, group="Belongs together"),
)  # fmt: skip

FIELDS: Mapping[str, Field] = {field.name: field for field in _TABLE}
"""By name, in the order of the one form."""

GROUPS: Mapping[str, list[Field]] = {
    group: [field for field in _TABLE if field.group == group] for group in dict.fromkeys(one.group for one in _TABLE)
}
"""The same under their headings, for the help."""


def read_value(name: str, value: str) -> str:
    """A value of a field in its one form: `read_value("size", "..200")` → `"<=200"`.

    Raises:
        BadInputError: it cannot be; the sentence names the field.

    """
    try:
        return FIELDS[name].read(value)
    except _WrongError as wrong:
        raise BadInputError(f"{name} must be {wrong}; it is {value[:40]!r}.", where=f"field {name}") from None


# ------------------------------------------------------------------------------------------------ reading, writing


@lru_cache(256)
def parse(typed: str) -> tuple[Term, ...]:
    """The terms of a search, each once.

    `parse("file:core.py -x")` → `(Term("file", ("core.py",)), Term("", ("x",), excluded=True))`

    Raises:
        BadInputError: a field that there is not, a value that it cannot have, or too many terms; `where` names `q`.

    """
    terms: dict[Term, None] = {}
    at = 0
    while at < len(typed):
        if typed[at].isspace():
            at += 1
            continue
        term, at = _term(typed, at)
        if term is not None:
            terms[term] = None
        if len(terms) > _MOST or sum(_n_words(one) for one in terms) > _MOST:
            raise BadInputError(f"A search takes {_MOST} words and fields at most.", where="field q")
    return tuple(terms)


def _term(typed: str, at: int) -> tuple[Term | None, int]:
    """The term that begins here, or None where no word is in it, and where it ends."""
    named = _NAME.match(typed, at)
    if named is not None:
        return _field_term(typed, named)
    excluded = typed[at] == "-" and typed[at + 1 : at + 2] not in {"", "-", ":"} and not typed[at + 1].isspace()
    start = at + excluded
    quoted = _QUOTED.match(typed, start)
    if quoted is not None:
        words = words_of(_unescaped(quoted[1]))
        return (Term("", (_phrase(words),), excluded) if words else None), quoted.end()
    bare = _BARE.match(typed, start)
    assert bare is not None  # noqa: S101
    return (Term("", (bare[0],), excluded) if words_of(bare[0]) else None), bare.end()


def _n_words(term: Term) -> int:
    of_text = not term.field or FIELDS[term.field].is_text
    return sum(len(words_of(value)) for value in term.values) if of_text else len(term.values)


def _field_term(typed: str, named: re.Match[str]) -> tuple[Term, int]:
    name = named[2].lower()
    if name not in FIELDS:
        raise BadInputError(
            f"There is no field {named[2][:40]!r}. There are {', '.join(FIELDS)}. "
            f'To find it as a text, put it in quotes: "{named[2][:40]}:".',
            where="field q",
        )
    values: list[str] = []
    at = named.end()
    while True:
        value, at = _value(typed, at, name)
        values.append(value)
        if typed[at : at + 1] != ",":
            return Term(name, tuple(dict.fromkeys(sorted(values))), bool(named[1])), at
        at += 1


def _value(typed: str, at: int, name: str) -> tuple[str, int]:
    quoted = _QUOTED.match(typed, at)
    found = quoted or _BARE_VALUE.match(typed, at)
    assert found is not None  # noqa: S101
    plain = _unescaped(quoted[1]) if quoted else found[0]
    try:
        value = FIELDS[name].read(plain)
    except _WrongError as wrong:
        said = f"it is {plain[:40]!r}" if plain else "nothing stands behind the colon"
        raise BadInputError(f"{name}: must be {wrong}; {said}.", where="field q") from None
    if quoted and FIELDS[name].is_text:
        value = _phrase(words_of(plain))
    return value, found.end()


def _unescaped(inside: str) -> str:
    return _ESCAPED.sub(r"\1", inside)


def _phrase(words: Iterable[str]) -> str:
    return f'"{" ".join(words)}"'


def write(terms: Iterable[Term]) -> str:
    """The one text of these terms: words as they came, then what is excluded, then fields in the table's order."""
    places = {name: place for place, name in enumerate(FIELDS)}
    words: list[Term] = []
    named: list[Term] = []
    for term in dict.fromkeys(terms):
        (named if term.field else words).append(term)
    words.sort(key=lambda term: term.excluded)
    named.sort(key=lambda term: (places[term.field], term.excluded, term.values))
    return " ".join(map(str, (*words, *named)))
