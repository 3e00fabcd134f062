"""What a text hides from its reader, and what it says to a reader or a model instead of about the change.

Sources: the "Trojan Source" paper (CVE-2021-42574) and Unicode Annex 9 for characters; the chat templates of Llama,
Mistral, Gemma, Qwen, GPT and DeepSeek models for control tokens; OWASP LLM01 (prompt injection).
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice

from app.candidates import Finding, Severity
from app.checks.excerpts import excerpt
from app.checks.reading import Reading
from app.diffs.unicode import HiddenCharacter, Trick

_NAMES_SHOWN = 6
_LAST_ASCII = 0x7E
_TAG_BASE = 0xE0000
_SELECTOR_BASE = 0xE0100
_SELECTOR_LAST = 0xE01EF
# The first 16 selectors lie elsewhere; a payload may or may not count them.
_SELECTOR_SHIFTS = (0, 16)

_WHY = {
    Trick.LONE_SURROGATE: "Half of a character, as when text was cut inside an emoji; no file can store it",
    Trick.NUL: "A NUL character ends the text for some programs",
    Trick.BIDI: "Characters that make a line read in another order than it runs",
    Trick.HIDDEN: "Characters that a reader cannot see",
    Trick.CONTROL: "Control characters that steer a terminal",
}


def lone_surrogate(reading: Reading) -> Iterator[Finding]:
    """Halves of a character that UTF-8 has no bytes for."""
    return _characters(reading, Trick.LONE_SURROGATE)


def nul(reading: Reading) -> Iterator[Finding]:
    """U+0000, which PostgreSQL refuses and C strings stop at."""
    return _characters(reading, Trick.NUL)


def bidi(reading: Reading) -> Iterator[Finding]:
    """Bidirectional controls; letters of right-to-left scripts are ordinary text."""
    return _characters(reading, Trick.BIDI)


def hidden(reading: Reading) -> Iterator[Finding]:
    """Zero-width characters, soft hyphens, tags, variation selectors that carry a payload."""
    return _characters(reading, Trick.HIDDEN)


def control(reading: Reading) -> Iterator[Finding]:
    """C0 and C1 controls other than those that end a line or a column somewhere."""
    return _characters(reading, Trick.CONTROL)


def _characters(reading: Reading, trick: Trick) -> Iterator[Finding]:
    of_trick = (pair for pair in reading.deceptive if pair[1].trick is trick)
    for passage, pairs in groupby(of_trick, key=lambda pair: pair[0]):
        numbered = _numbered(passage.text, (character for _, character in pairs))
        for line, found in groupby(numbered, key=lambda pair: pair[0]):
            message = f"{_WHY[trick]}: {_described([character for _, character in found])}."
            yield Finding(str(trick), Severity.HOLD, passage.place_of(line), message)


def _numbered(text: str, found: Iterator[HiddenCharacter]) -> Iterator[tuple[int, HiddenCharacter]]:
    line, at = 1, 0
    for one in found:
        line += text.count("\n", at, one.offset)
        at = one.offset
        yield line, one


def _described(found: list[HiddenCharacter]) -> str:
    """`"U+202E RIGHT-TO-LEFT OVERRIDE (2 times), U+2066 LEFT-TO-RIGHT ISOLATE"`, and what the characters spell."""
    names = Counter(one.name for one in found).most_common()
    shown = [name if n == 1 else f"{name} ({n:,} times)" for name, n in names[:_NAMES_SHOWN]]
    if len(names) > _NAMES_SHOWN:
        shown.append(f"{len(names) - _NAMES_SHOWN:,} other characters")
    spelled = _spelled("".join(one.character for one in found))
    return ", ".join(shown) + (f"; they spell “{excerpt(spelled)}”" if spelled else "")


def _spelled(characters: str) -> str:
    r"""The text that tags or variation selectors stand for: `"\U000e0068\U000e0069"` gives `"hi"`; else `""`."""
    tags = "".join(chr(ord(one) - _TAG_BASE) for one in characters if _TAG_BASE < ord(one) < _SELECTOR_BASE)
    if tags.strip("\x01\x7f"):
        return tags.replace("\x01", "").replace("\x7f", "")
    codes = [ord(one) - _SELECTOR_BASE for one in characters if _SELECTOR_BASE <= ord(one) <= _SELECTOR_LAST]
    for shift in _SELECTOR_SHIFTS:
        if len(codes) > 1 and all(ord(" ") <= code + shift <= _LAST_ASCII for code in codes):
            return "".join(chr(code + shift) for code in codes)
    return ""


@dataclass(frozen=True, slots=True)
class _Lure:
    """A kind of text that is aimed at its reader.

    Attributes:
        needles: one of these stands in the text, without regard to case, wherever `pattern` matches.
        pattern: runs in linear time: every repetition is bounded or cannot overlap with what follows it.
        says: what it is, for the reviewer.
    """

    needles: tuple[str, ...]
    pattern: re.Pattern[str]
    says: str


_GAP = r"[\W_]{1,12}"  # between words: also a line end and the sign of a diff's next line
_ACCEPT = r"(?:accept|approve)"
_STRUCTURE = r"<[|｜][A-Za-z][\w▁ -]{0,40}[|｜]>|(?<![\w\])])\[/?INST\]|<</?SYS>>|</s><s>|<(?:start|end)_of_turn>"  # noqa: RUF001  DeepSeek's bar
_OVERRIDE = (
    rf"\b(?:ignore|disregard|forget|override|bypass){_GAP}(?:(?:all|any|every|of|the|your|my|these|those){_GAP}){{0,3}}"
    rf"(?:previous|prior|above|earlier|preceding|foregoing|system|original|initial){_GAP}"
    r"(?:instruction|prompt|guideline|directive)"
)
_REVEAL = (
    rf"\b(?:reveal|repeat|leak|print|output){_GAP}(?:me{_GAP})?your{_GAP}(?:system|initial|hidden|original){_GAP}"
    r"(?:prompt|instruction)"
)
_PRESS = rf"(?:press|click|hit|choose|select){_GAP}(?:the{_GAP})?{_ACCEPT}\b"
_TO_REVIEWER = (
    rf"\b(?:reviewers?|annotators?|graders?)\s{{0,3}}:[^\n]{{0,160}}?"
    rf"\b(?:already{_GAP}(?:been{_GAP})?approved\b|please{_GAP}{_ACCEPT}\b|must{_GAP}{_ACCEPT}\b|{_PRESS})"
    rf"|\bmark{_GAP}(?:every|all)\b[^\n]{{0,40}}?\b(?:item|patch|candidate|record|entr|row|diff|change)(?:e?s|y|ies)?"
    rf"{_GAP}as{_GAP}(?:accepted|approved)\b"
)
_OVER = (
    r"(?m:^[+\- #/*]{0,12}(?:decision|verdict)\s{0,3}:\s{0,3}(?-i:ACCEPT|APPROVE)(?:E?D)?\b)"
    r"|## end of (?:patch|diff|input|prompt) ##"
)
_NEW_ROLE = (
    rf"\byou{_GAP}are now{_GAP}(?:in{_GAP}(?:an?{_GAP})?(?:approv\w{{1,5}}|accept\w{{0,5}}|jailbreak|dan|unrestricted)"
    rf"{_GAP}mode\b|dan\b|jailbroken\b)"
)
_IF_MODEL = rf"\bif you(?:{_GAP}a|['’])re{_GAP}an?{_GAP}(?:ai|llm|(?:large{_GAP})?language{_GAP}model|chatbot)\b"  # noqa: RUF001
_LURES = (
    _Lure(
        ("<|", "<｜", "inst]", "sys>>", "</s><s>", "_of_turn>"),  # noqa: RUF001
        re.compile(_STRUCTURE),
        "A chat control token, which a trainer would take for structure",
    ),
    _Lure(
        ("instruction", "prompt", "guideline", "directive"),
        re.compile(f"{_OVERRIDE}|{_REVEAL}", re.IGNORECASE),
        "Text that tells its reader to drop or to show its instructions",
    ),
    _Lure(("approv", "accept"), re.compile(_TO_REVIEWER, re.IGNORECASE), "Text that tells a reviewer to accept"),
    _Lure(
        ("decision", "verdict", "## end of"),
        re.compile(_OVER, re.IGNORECASE),
        "A forged end or verdict, as if the review were over",
    ),
    _Lure(("are now",), re.compile(_NEW_ROLE, re.IGNORECASE), "Text that gives its reader a new role"),
    _Lure(("if you",), re.compile(_IF_MODEL, re.IGNORECASE), "Text that speaks to a model"),
)


def injection(reading: Reading) -> Iterator[Finding]:
    """Text aimed at a reviewer or a model: chat control tokens, orders, forged verdicts.

    Precision comes first: prose that merely speaks of models, reviewers or instructions is left alone.
    """
    lures = [lure for lure in _LURES if any(needle in reading.folded for needle in lure.needles)]
    for passage in reading.passages if lures else ():
        found = [(match, lure.says) for lure in lures for match in islice(lure.pattern.finditer(passage.text), 1000)]
        for match, says in sorted(found, key=lambda pair: pair[0].span()):
            line = passage.text.count("\n", 0, match.start()) + 1
            yield Finding("injection", Severity.HOLD, passage.place_of(line), f"{says}: “{excerpt(match[0])}”.")
