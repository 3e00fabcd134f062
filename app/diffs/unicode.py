"""Characters that a reader cannot see, or that make a line read differently from what it is.

One table for what a check reports and what a page marks, so that the two never disagree.

Source: Unicode Standard Annex 9 (bidirectional controls), Annex 44 (`Default_Ignorable_Code_Point`), the "Trojan
Source" paper (CVE-2021-42574). Right-to-left letters are ordinary text and are never reported.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from app.errors import BadInputError

# A lone variation selector after a character is how an emoji is written; two in a row are a payload.
_VARIATION = "[\ufe00-\ufe0f](?=[\ufe00-\ufe0f])|(?<=[\ufe00-\ufe0f])[\ufe00-\ufe0f]"
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_ZERO_WIDTH = "\u00ad\u034f\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f\ufeff"
_BLANK_LETTERS = "\u115f\u1160\u17b4\u17b5\u3164\uffa0\ufff9-\ufffb"
_TAGS = "\U000e0000-\U000e0fff"
_CONTROL = "\x01-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"
_SEPARATORS = "\x0b\x0c\x1c-\x1f\x85\u2028\u2029"
_SURROGATES = "\ud800-\udfff"

_KINDS = re.compile(
    f"(?P<bidi>[{_BIDI}])|(?P<hidden>[{_ZERO_WIDTH}{_BLANK_LETTERS}{_TAGS}]|{_VARIATION})"
    f"|(?P<control>[{_CONTROL}])|(?P<nul>\x00)|(?P<lone_surrogate>[{_SURROGATES}])"
)
# What a page draws as a box: everything above, what other programs take for a line end, and the no-break space.
MARKED = re.compile(
    f"[\x00-\x08\x0b-\x1f\x7f-\xa0{_BIDI}{_ZERO_WIDTH}{_BLANK_LETTERS}{_TAGS}\u2028\u2029\u202f{_SURROGATES}]|{_VARIATION}"
)
LINE_BREAKERS = re.compile(f"[\r{_SEPARATORS[:-2]}\u2028\u2029]")

_C0 = (
    "NUL NULL,SOH START OF HEADING,STX START OF TEXT,ETX END OF TEXT,EOT END OF TRANSMISSION,ENQ ENQUIRY,"
    "ACK ACKNOWLEDGE,BEL BELL,BS BACKSPACE,TAB CHARACTER TABULATION,LF LINE FEED,VT LINE TABULATION,FF FORM FEED,"
    "CR CARRIAGE RETURN,SO SHIFT OUT,SI SHIFT IN,DLE DATA LINK ESCAPE,DC1 DEVICE CONTROL ONE,DC2 DEVICE CONTROL TWO,"
    "DC3 DEVICE CONTROL THREE,DC4 DEVICE CONTROL FOUR,NAK NEGATIVE ACKNOWLEDGE,SYN SYNCHRONOUS IDLE,"
    "ETB END OF TRANSMISSION BLOCK,CAN CANCEL,EM END OF MEDIUM,SUB SUBSTITUTE,ESC ESCAPE,FS INFORMATION SEPARATOR FOUR,"
    "GS INFORMATION SEPARATOR THREE,RS INFORMATION SEPARATOR TWO,US INFORMATION SEPARATOR ONE"
)
_CONTROLS = {code: tuple(name.split(" ", 1)) for code, name in enumerate(_C0.split(","))}
_CONTROLS |= {0x7F: ("DEL", "DELETE"), 0x85: ("NEL", "NEXT LINE")}


class Trick(StrEnum):
    """How a character deceives its reader."""

    BIDI = "bidi"
    HIDDEN = "hidden"
    CONTROL = "control"
    NUL = "nul"
    LONE_SURROGATE = "lone_surrogate"


@dataclass(frozen=True, slots=True)
class HiddenCharacter:
    r"""One deceptive character: `HiddenCharacter(12, "\u202e", Trick.BIDI, "U+202E RIGHT-TO-LEFT OVERRIDE")`.

    Attributes:
        offset: where in the text, in characters from 0.
        character: the character.
        trick: how it deceives.
        name: code point and Unicode name.
    """

    offset: int
    character: str
    trick: Trick
    name: str


def hidden_characters(text: str) -> Iterator[HiddenCharacter]:
    r"""Yield each deceptive character of a text, in order; nothing for ordinary text, whatever its script.

    `"a\u202eb"` gives one `HiddenCharacter(1, "\u202e", Trick.BIDI, "U+202E RIGHT-TO-LEFT OVERRIDE")`. Tab, line
    feed, carriage return, form feed and the other line separators are not deceptive and are left out.
    """
    if text.isascii() and text.isprintable():
        return
    for match in _KINDS.finditer(text):
        yield HiddenCharacter(match.start(), match[0], Trick(match.lastgroup or ""), name_of(match[0]))


def name_of(character: str) -> str:
    r"""Code point and name: `"\u202e"` gives `"U+202E RIGHT-TO-LEFT OVERRIDE"`, `"\x1b"` gives `"U+001B ESCAPE"`."""
    code = ord(character)
    if code in _CONTROLS:
        name = _CONTROLS[code][1]
    elif 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004  the surrogate range is its own name
        name = "LONE SURROGATE"
    else:
        name = unicodedata.name(character, "CONTROL" if unicodedata.category(character) == "Cc" else "UNASSIGNED")
    return f"U+{code:04X} {name}"


def label_of(character: str) -> str:
    r"""What fits in a small box: `"\r"` gives `"CR"`, `"\u202e"` gives `"U+202E"`."""
    code = ord(character)
    return _CONTROLS[code][0] if code in _CONTROLS else f"U+{code:04X}"


def refuse_unstorable(field: str, text: str) -> None:
    """Refuse what a keyboard cannot type and a database cannot hold.

    Raises:
        BadInputError: the text holds NUL or a lone surrogate.

    """
    for at, sign in enumerate(text):
        if sign == "\x00" or "\ud800" <= sign <= "\udfff":
            line = text.count("\n", 0, at) + 1
            raise BadInputError(
                f"Character {at + 1} (line {line}) is U+{ord(sign):04X}, which cannot be stored. Remove it.",
                where=f"field {field}",
            )
