import pytest

from app.diffs.unicode import MARKED, Trick, hidden_characters, label_of, name_of


@pytest.mark.parametrize(
    ("character", "trick", "name"),
    [
        ("\u202e", Trick.BIDI, "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("\u2066", Trick.BIDI, "U+2066 LEFT-TO-RIGHT ISOLATE"),
        ("\u061c", Trick.BIDI, "U+061C ARABIC LETTER MARK"),
        ("\u200b", Trick.HIDDEN, "U+200B ZERO WIDTH SPACE"),
        ("\xad", Trick.HIDDEN, "U+00AD SOFT HYPHEN"),
        ("\ufeff", Trick.HIDDEN, "U+FEFF ZERO WIDTH NO-BREAK SPACE"),
        ("\u3164", Trick.HIDDEN, "U+3164 HANGUL FILLER"),
        ("\U000e0041", Trick.HIDDEN, "U+E0041 TAG LATIN CAPITAL LETTER A"),
        ("\U000e0100", Trick.HIDDEN, "U+E0100 VARIATION SELECTOR-17"),
        ("\x1b", Trick.CONTROL, "U+001B ESCAPE"),
        ("\x7f", Trick.CONTROL, "U+007F DELETE"),
        ("\x9b", Trick.CONTROL, "U+009B CONTROL"),
        ("\0", Trick.NUL, "U+0000 NULL"),
        ("\ud83d", Trick.LONE_SURROGATE, "U+D83D LONE SURROGATE"),
    ],
)
def test_a_deceptive_character_is_found_and_named(character: str, trick: Trick, name: str) -> None:
    (found,) = hidden_characters(f"ab{character}c")
    assert (found.offset, found.character, found.trick, found.name) == (2, character, trick, name)
    assert MARKED.fullmatch(character)


@pytest.mark.parametrize(
    "text",
    [
        "plain\ttext\r\n",
        "שלום עולם",
        "مرحبا بالعالم",
        "naïve café",
        "日本語",
        "\u2764\ufe0f",
        "a\f\u2028\x85",
        "\xa0",
        "p\u0430ss",
    ],
)
def test_ordinary_text_of_any_script_is_not_deceptive(text: str) -> None:
    assert list(hidden_characters(text)) == []


def test_variation_selectors_in_a_row_are_a_payload() -> None:
    assert len(list(hidden_characters("a\ufe01\ufe0e\ufe0f"))) == 3


def test_labels_fit_a_box() -> None:
    assert [label_of(char) for char in "\r\f\x1b\0\u202e"] == ["CR", "FF", "ESC", "NUL", "U+202E"]
    assert name_of("\u2028") == "U+2028 LINE SEPARATOR"
