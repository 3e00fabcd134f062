"""Rows as trainers read them: golden bytes, and refusal of whatever is no such row."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadInputError
from app.exports import FORMATS, ShapeError, get_format, validate
from app.exports.jsonl import encode

GOLDEN = Path(__file__).parent / "golden"


def example(prompt: str, completion: str) -> dict[str, object]:
    return {"id": "scaffold-9f", "prompt": prompt, "completion": completion}


EXAMPLES = (
    example("Fix {it}:\n\tnow\n", "import libcst as cst\r\n\nprint('\"\\n\"')\n"),
    example("Line ends of others: \u2028 \u2029 \x85 \x0b \x0c \x1c\n", "é \U0001f600 </script> \x1b[0m \x7f"),
)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_the_bytes_of_a_format_never_change(form: object) -> None:
    found = get_format(form.name)  # type: ignore[attr-defined]
    written = b"".join(encode(found.row(one)) for one in EXAMPLES)
    assert written == (GOLDEN / f"{found.name}.jsonl").read_bytes()


@pytest.mark.parametrize(("alias", "name"), [("prompt-completion", "sft_pc"), ("messages", "sft_chat")])
def test_a_format_has_a_name_for_people_and_one_for_files(alias: str, name: str) -> None:
    assert get_format(alias) is get_format(name)


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInputError, match="prompt-completion, messages"):
        get_format("parquet")


def test_rows_of_both_formats_are_what_they_promise() -> None:
    for form in FORMATS:
        for one in EXAMPLES:
            validate(f"scaffold_{form.name}", form.row(one))


CHAT = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "c"}]


@pytest.mark.parametrize(
    ("config", "row"),
    [
        ("scaffold_sft_pc", {"id": "1", "prompt": "p\n"}),
        ("scaffold_sft_pc", {"id": "1", "prompt": "p\n", "completion": "c", "text": "stray"}),
        ("scaffold_sft_pc", {"prompt": "p\n", "completion": "c", "id": "1"}),
        ("scaffold_sft_pc", {"id": "1", "prompt": "p\n", "completion": ""}),
        ("scaffold_sft_pc", {"id": "1", "prompt": "p\n", "completion": None}),
        ("scaffold_sft_pc", {"id": 1, "prompt": "p\n", "completion": "c"}),
        ("scaffold_sft_pc", {"id": "1", "prompt": "p", "completion": "c"}),
        ("scaffold_sft_chat", {"id": "1", "messages": CHAT[:1]}),
        ("scaffold_sft_chat", {"id": "1", "messages": CHAT[::-1]}),
        ("scaffold_sft_chat", {"id": "", "messages": CHAT}),
        ("scaffold_sft_chat", {"id": "1", "messages": "p"}),
        ("scaffold_sft_chat", {"messages": CHAT}),
        ("scaffold_sft_chat", {"id": "1", "messages": [CHAT[0] | {"name": "x"}, CHAT[1]]}),
        ("scaffold_sft_chat", {"id": "1", "messages": [CHAT[0], CHAT[1] | {"content": ""}]}),
    ],
)
def test_a_row_of_another_shape_is_refused(config: str, row: Mapping[str, object]) -> None:
    with pytest.raises(ShapeError):
        validate(config, row)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"]))
    )
)
def test_a_line_is_one_line_and_reads_back(row: dict[str, object]) -> None:
    line = encode(row)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == row


def test_half_a_character_is_never_written() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        encode({"id": "\ud83d"})
