"""One line, read strictly: what a tolerant reader would bend is held with its reason."""

import json

import pytest

from app.formats import success_memory
from app.formats.lines import MAX_DEPTH, MAX_KEYS, HeldError, parse_line
from tests.hostile import unpack

BOM = b"\xef\xbb\xbf"
MAX_INT = b"9223372036854775807"


def code_of(raw: bytes, *, first: bool = False, last: bool = False) -> str:
    with pytest.raises(HeldError) as caught:
        parse_line(raw, first=first, last=last)
    assert caught.value.message.endswith(".")
    return caught.value.code


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"\xff\xfe{}", "bad_utf8"),
        (b'{"a": "\xed\xa0\x80"}', "bad_utf8"),
        (b'{"a": "\xc0\xaf"}', "bad_utf8"),
        (b'{"a": "caf\xe9"}', "bad_utf8"),
        ("{}".encode("utf-32"), "bad_utf8"),
        (BOM + b"{}", "bom"),
        (b"{'a': None}", "not_json"),
        (b'{"a": 1,}', "not_json"),
        (b'{"a": 1} x', "not_json"),
        (b'{"a": 1}{"b": 2}', "not_json"),
        (b'{"a": 1}\r{"b": 2}', "not_json"),
        (b'{"a": "\x00"}', "not_json"),
        (b'{"a": "\x1b[31m"}', "not_json"),
        (b'{"a": 01}', "not_json"),
        (b'{"a": 1.}', "not_json"),
        (b'{"a": "\\x41"}', "not_json"),
        (b"\x00\x00\x00\x00", "not_json"),
        (b"\x0c{}", "not_json"),
        ("\u00a0{}".encode(), "not_json"),
        (b"<<<<<<< HEAD", "not_json"),
        (b'{"a": NaN}', "number"),
        (b'{"a": -Infinity}', "number"),
        (b'{"a": 1e400}', "number"),
        (b'{"a": -1e400}', "number"),
        (b'{"a": 9223372036854775808}', "number"),
        (b'{"a": -9223372036854775809}', "number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "number"),
        (b'{"a": 1, "a": 1}', "dup_key"),
        (b'{"a": {"b": 1, "\\u0062": 2}}', "dup_key"),
        (b"5", "not_object"),
        (b"null", "not_object"),
        (b'"text"', "not_object"),
        (b"[]", "not_object"),
        (b'[{"a": 1}]', "not_object"),
    ],
)
def test_a_line_that_is_no_sound_entry_is_held_under_its_code(raw: bytes, code: str) -> None:
    assert code_of(raw) == code


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b' \t{"a": 1} \r', {"a": 1}),
        (b'{"a": ' + MAX_INT + b"}", {"a": 2**63 - 1}),
        (b'{"a": -9223372036854775808}', {"a": -(2**63)}),
        (b'{"a": 9007199254740993}', {"a": 2**53 + 1}),
        (b'{"a": 1e308, "b": -0.0}', {"a": 1e308, "b": 0.0}),
        (b'{"a": "\\ud83d"}', {"a": "\ud83d"}),
        (b'{"a": "x\\u0000y"}', {"a": "x\x00y"}),
        ('{"a": "\u2028\u2029\u0085"}'.encode(), {"a": "\u2028\u2029\u0085"}),
        (b'{"__proto__": {"admin": true}}', {"__proto__": {"admin": True}}),
        (b'{"": 1}', {"": 1}),
    ],
)
def test_what_is_json_is_taken_as_it_is(raw: bytes, value: dict[str, object]) -> None:
    assert parse_line(raw) == value


@pytest.mark.parametrize("raw", [b"", b" ", b"\t \r", b"\r"])
def test_a_line_of_white_space_is_blank(raw: bytes) -> None:
    assert parse_line(raw) is None


def test_a_byte_order_mark_may_stand_before_the_first_line_only() -> None:
    assert parse_line(BOM + b'{"a": 1}', first=True) == {"a": 1}
    assert parse_line(BOM, first=True) is None
    assert code_of(BOM + b'{"a": 1}') == "bom"
    assert code_of(BOM + BOM + b'{"a": 1}', first=True) == "bom"


@pytest.mark.parametrize(("opened", "closed"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_line_may_nest_so_deep_and_no_deeper(opened: bytes, closed: bytes) -> None:
    def nested(levels: int) -> bytes:
        inner = b"1" if opened != b"[" else b""
        return b'{"x": ' + opened * (levels - 1) + inner + closed * (levels - 1) + b"}"

    assert parse_line(nested(MAX_DEPTH)) is not None
    assert code_of(nested(MAX_DEPTH + 1)) == "too_deep"
    assert code_of(nested(900)) == "too_deep"
    assert code_of(nested(100_000)) == "too_deep"


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert parse_line(b'{"a": [' + b", ".join([b"[]"] * 5000) + b"]}") is not None


def test_brackets_inside_a_text_are_not_deep() -> None:
    assert parse_line(b'{"a": "' + b"[{" * 5000 + b'\\"[["}') is not None
    assert code_of(b'{"a": "' + b"[" * 5000 + b'"') == "not_json"


@pytest.mark.parametrize("raw", [b'{"x": ' + b"[" * 100_000, b"[" * 100_000, b'{"x":' * 100_000])
def test_a_hundred_thousand_brackets_that_never_close_are_too_deep(raw: bytes) -> None:
    assert code_of(raw) == "too_deep"


def test_an_object_of_more_keys_than_any_entry_has_is_held() -> None:
    def wide(keys: int) -> bytes:
        return b"{" + b",".join(b'"k%d":0' % number for number in range(keys)) + b"}"

    assert parse_line(wide(MAX_KEYS)) is not None
    assert code_of(wide(MAX_KEYS + 1)) == "too_many_keys"


@pytest.mark.parametrize("raw", [b'{"a": "b', b'{"a": 1', b"{", b'{"a": "\\u00', b'{"a": "\xe2\x82'])
def test_a_last_line_that_breaks_off_was_cut(raw: bytes) -> None:
    assert code_of(raw, last=True) == "truncated"
    assert code_of(raw) in {"not_json", "bad_utf8"}


def test_a_last_line_with_a_fault_inside_was_not_cut() -> None:
    assert code_of(b'{"a": NaN}', last=True) == "number"
    assert code_of(b'{"a": "\xff"}', last=True) == "bad_utf8"


@pytest.mark.parametrize(
    ("raw", "offset"),
    [
        (b'{"a": "b\xff"}', 8),
        ('{"a": "éé" b}'.encode(), 13),
        (b"x", 0),
        (b'{"a": 1} x', 9),
        ('  \t{"é": 1} x'.encode(), 13),
    ],
)
def test_the_place_of_the_fault_is_a_byte_of_the_line(raw: bytes, offset: int) -> None:
    with pytest.raises(HeldError) as caught:
        parse_line(raw, first=True)

    assert caught.value.offset_bytes == offset


def test_a_rating_that_was_set_again_is_the_last_one() -> None:
    assert parse_line(b'{"user_rating": 1, "a": 2, "user_rating": 4}') == {"user_rating": 4, "a": 2}
    assert code_of(b'{"user_rating": 1, "a": 2, "user_rating": 4, "a": 2}') == "dup_key"


def test_a_json_array_is_told_from_jsonl() -> None:
    with pytest.raises(HeldError, match="a JSON array, not JSONL"):
        parse_line(b'[{"a": 1}, {"b": 2}]')


def verdict_of(raw: bytes) -> str:
    try:
        entry = parse_line(raw)
        if entry is None:
            return "skip"
        success_memory.read(entry)
    except HeldError as error:
        return error.code.upper()
    return "accept"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (str(row["line"]).encode("latin-1"), "accept" if row["verdict"] in {"accept", "flag"} else row["reason"])
        for row in unpack("lines.jsonl.gz")
        if row["reason"] != "MISSING_FIELD" and row["verdict"] != "skip"
    ],
)
def test_a_mutated_line_gets_the_verdict_of_a_strict_reader(raw: bytes, expected: str) -> None:
    assert verdict_of(raw) == expected


def test_a_mutated_line_without_the_diff_is_taken_where_it_still_holds_the_script() -> None:
    lines = [str(row["line"]).encode("latin-1") for row in unpack("lines.jsonl.gz") if row["reason"] == "MISSING_FIELD"]

    # The strict reader asks for an id and a diff; the agent writes no id, and a script alone can be judged.
    for raw in lines:
        entry = parse_line(raw)
        assert entry is not None
        evidence = {"successful_script", "successful_diff_summary"} & entry.keys()
        assert verdict_of(raw) in ({"accept", "WRONG_TYPE"} if evidence else {"MISSING_FIELD"})


def test_a_log_that_python_wrote_is_read_back_alike() -> None:
    said = {"a": ["\x7f\u2028\U0001f600", 1.5, None, True, -3], "b": {"c": {}}}

    assert parse_line(json.dumps(said).encode()) == said
    assert parse_line(json.dumps(said, ensure_ascii=False).encode()) == said
