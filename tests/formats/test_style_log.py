"""Style logs: pairs of both models, dumps of samples, forks by other names, and answers that never came."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.candidates import Candidate, Kind, StyleRefine, StyleUnify
from app.formats.given import Given
from app.formats.lines import HeldError, parse_line
from app.formats.style_log import (
    content_refine,
    content_unify,
    read_refine,
    read_unify,
    recognises_refine,
    recognises_unify,
)

SAMPLES = Path(__file__).parent / "samples"
NOTHING = Given()
DRAFT: dict[str, object] = {"indent": 4, "quotes": "double"}
KVS = '"indent": 4, "quotes": "single"'
PAIR: dict[str, object] = {
    "timestamp_utc": "2025-07-13T23:18:39.852078+00:00",
    "file_path": "tests/test_x.py",
    "item_name": "test_x",
    "item_type": "function",
    "start_line": 18,
    "end_line": 25,
    "code_snippet": "def test_x():\n    pass",
    "stats_block": "STATS_START\nSTATS_END",
    "raw_fingerprint_dict": DRAFT,
    "file_size_kb": 0.93,
    "refined_output_string": KVS,
    "polished_json": '{"indent": 4}',
    "validation_status": "passed",
    "error": None,
    "provenance": {"repo": "a/b"},
}
DUMPED: dict[str, object] = {
    "file_path": "tests/test_x.py",
    "item_name": "test_x",
    "item_type": "function",
    "code_snippet": "def test_x():\n    pass",
    "start_line": 18,
    "end_line": 25,
    "ai_fingerprint": {
        "indent": 4,
        "quotes": "single",
        "validation_status": "failed_json_validation",
        "_raw_draft_fp": DRAFT,
        "_raw_refined_kvs": KVS,
        "_raw_polished_json": '{"indent": 4}',
    },
    "error_while_fingerprinting": "quotes",
    "mod_timestamp": 1.0,
}
PROFILE: dict[str, object] = {"indent_width": 4, "preferred_quotes": "“", "directory_overrides": {}}
SAMPLE: dict[str, object] = {"fingerprint": DRAFT, "file_path": "x.py", "weight": 0.5}
UNIFY: dict[str, object] = {
    "timestamp_utc": "2025-07-08T04:16:11+00:00",
    "per_sample_fingerprints": [SAMPLE, SAMPLE | {"file_path": "y.py"}],
    "unified_profile": PROFILE,
    "model_path": "m",
}


def refine_of(value: object) -> StyleRefine:
    (found,) = read_refine(value, NOTHING)
    assert found.refine is not None
    return found.refine


def unify_of(value: object) -> StyleUnify:
    (found,) = read_unify(value, NOTHING)
    assert found.unify is not None
    return found.unify


def test_a_pair_of_the_refiner_says_everything() -> None:
    assert read_refine(PAIR, NOTHING) == (
        Candidate(
            Kind.STYLE_REFINE,
            "divot5",
            target_files=("tests/test_x.py",),
            logged_at=datetime(2025, 7, 13, 23, 18, 39, 852078, UTC),
            extra={"file_size_kb": 0.93, "provenance": {"repo": "a/b"}},
            refine=StyleRefine(
                "def test_x():\n    pass",
                DRAFT,
                KVS,
                polished='{"indent": 4}',
                item="test_x (function)",
                place="tests/test_x.py:18-25",
                stats="STATS_START\nSTATS_END",
                status="passed",
            ),
        ),
    )


def test_a_dumped_sample_is_the_same_pair() -> None:
    (said,) = read_refine(DUMPED, NOTHING)

    assert said.generation == "divot5_dump"
    assert said.refine == StyleRefine(
        "def test_x():\n    pass",
        DRAFT,
        KVS,
        polished='{"indent": 4}',
        item="test_x (function)",
        place="tests/test_x.py:18-25",
        status="failed_json_validation",
        error="quotes",
    )
    assert said.extra == {"ai_fingerprint": {"indent": 4, "quotes": "single"}, "mod_timestamp": 1.0}
    assert content_refine(DUMPED, NOTHING) == content_refine(PAIR, NOTHING)


def test_a_dump_of_samples_gives_those_that_have_a_pair() -> None:
    failed = {"code_snippet": "x", "ai_fingerprint": None, "error_while_fingerprinting": "no model"}
    dump = [DUMPED, failed, DUMPED | {"code_snippet": "y = 1"}, DUMPED | {"ai_fingerprint": {"_raw_draft_fp": []}}]

    assert recognises_refine(dump)
    found = read_refine(dump, NOTHING)
    assert [one.refine and one.refine.snippet for one in found] == ["def test_x():\n    pass", "y = 1"]
    assert len(content_refine(dump, NOTHING)) == 2


def test_a_dump_in_which_nothing_came_out_is_held() -> None:
    with pytest.raises(HeldError, match="None of the 2 samples has a draft"):
        read_refine([{"code_snippet": "x", "ai_fingerprint": {"_raw_draft_fp": None}}] * 2, NOTHING)


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"refined_output_string": None}, "refined", ""),
        ({"refined_output_string": ""}, "refined", ""),
        ({"refined_output_string": {"indent": 4, "quotes": "“"}}, "refined", '"indent": 4, "quotes": "“"'),
        ({"raw_fingerprint_dict": '{"indent": 2}'}, "draft", {"indent": 2}),
        ({"raw_fingerprint_dict": '"indent": 2, "quotes": "x"'}, "draft", {"indent": 2, "quotes": "x"}),
        ({"raw_fingerprint_dict": {}}, "draft", {}),
        ({"polished_json": None}, "polished", None),
        ({"polished_json": {"indent": 2}}, "polished", '{"indent": 2}'),
        ({"item_type": None}, "item", "test_x"),
        ({"item_name": None}, "item", "function"),
        ({"start_line": None, "end_line": "x"}, "place", "tests/test_x.py"),
        ({"end_line": None}, "place", "tests/test_x.py:18"),
        ({"file_path": None}, "place", "18-25"),
        ({"error": "It failed."}, "error", "It failed."),
    ],
)
def test_a_fork_is_read_by_what_it_has(change: dict[str, object], field: str, value: object) -> None:
    assert getattr(refine_of(PAIR | change), field) == value


def test_a_fork_may_use_other_names() -> None:
    fork = {"snippet": "x = 1", "draft_fingerprint": DRAFT, "refined": KVS}

    assert recognises_refine(fork)
    assert refine_of(fork) == StyleRefine("x = 1", DRAFT, KVS)


@pytest.mark.parametrize(
    ("value", "code", "said"),
    [
        (PAIR | {"code_snippet": ""}, "missing_field", '"code_snippet" is missing'),
        (PAIR | {"code_snippet": 7}, "wrong_type", '"code_snippet" must be text; here it is a number'),
        (PAIR | {"raw_fingerprint_dict": None}, "missing_field", '"raw_fingerprint_dict" is missing'),
        (PAIR | {"raw_fingerprint_dict": [1]}, "wrong_type", '"raw_fingerprint_dict" must be text'),
        (PAIR | {"raw_fingerprint_dict": "indent 4"}, "wrong_type", "must be an object. This is not JSON"),
        (PAIR | {"raw_fingerprint_dict": '"a": ' + "[" * 200}, "wrong_type", "must be an object"),
        (PAIR | {"raw_fingerprint_dict": '"\ud800": 1'}, "wrong_type", "must be an object"),
        (PAIR | {"refined_output_string": [KVS]}, "wrong_type", '"refined_output_string" must be text or an object'),
        ({"code_snippet": "x", "raw_fingerprint_dict": DRAFT}, "missing_field", '"refined_output_string" is missing'),
        (DUMPED | {"ai_fingerprint": "x"}, "wrong_type", '"ai_fingerprint" must be an object'),
        ("x", "not_object", "is a JSON object"),
    ],
)
def test_what_is_no_sample_is_held_with_a_reason(value: object, code: str, said: str) -> None:
    with pytest.raises(HeldError, match=said.replace(".", r"\.")) as caught:
        read_refine(value, NOTHING)

    assert caught.value.code == code


def test_a_pair_of_the_unifier_says_everything() -> None:
    assert read_unify(UNIFY, NOTHING) == (
        Candidate(
            Kind.STYLE_UNIFY,
            "divot5",
            logged_at=datetime(2025, 7, 8, 4, 16, 11, tzinfo=UTC),
            extra={"model_path": "m"},
            unify=StyleUnify(
                (SAMPLE, SAMPLE | {"file_path": "y.py"}),
                '{\n  "indent_width": 4,\n  "preferred_quotes": "“",\n  "directory_overrides": {}\n}',
            ),
        ),
    )


@pytest.mark.parametrize(
    ("unified", "text", "error"),
    [
        ('{"indent_width":4}', '{"indent_width":4}', None),
        ("no JSON", "no JSON", None),
        (None, "", None),
        ({}, "", None),
        ({"error": "The model failed."}, '{\n  "error": "The model failed."\n}', "The model failed."),
    ],
)
def test_a_profile_is_json_text(unified: object, text: str, error: str | None) -> None:
    said = unify_of(UNIFY | {"unified_profile": unified})

    assert (said.unified, said.error) == (text, error)


@pytest.mark.parametrize(
    ("value", "code", "said"),
    [
        (UNIFY | {"per_sample_fingerprints": []}, "missing_field", '"per_sample_fingerprints" is empty'),
        (UNIFY | {"per_sample_fingerprints": None}, "missing_field", '"per_sample_fingerprints" is empty'),
        (UNIFY | {"per_sample_fingerprints": {"a": 1}}, "wrong_type", "must be a list; here it is an object"),
        (UNIFY | {"per_sample_fingerprints": [SAMPLE, 7]}, "wrong_type", "a list of objects; here it is a number"),
        (UNIFY | {"per_sample_fingerprints": [None]}, "wrong_type", "a list of objects; here it is null"),
        (UNIFY | {"unified_profile": [PROFILE]}, "wrong_type", '"unified_profile" must be text or an object'),
        ({"per_sample_fingerprints": [SAMPLE]}, "missing_field", '"unified_profile" is missing'),
        ([UNIFY], "not_object", "is a JSON object"),
    ],
)
def test_what_is_no_profile_is_held_with_a_reason(value: object, code: str, said: str) -> None:
    with pytest.raises(HeldError, match=said) as caught:
        read_unify(value, NOTHING)

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("value", "is_refine", "is_unify"),
    [
        (PAIR, True, False),
        (DUMPED, True, False),
        ([DUMPED], True, False),
        ([DUMPED, 7], False, False),
        ([], False, False),
        (PAIR | {"refined_output_string": None}, True, False),
        (UNIFY, False, True),
        (UNIFY | {"unified_profile": None}, False, True),
        ({"code_snippet": "x"}, False, False),
        ({"code_snippet": "x", "ai_fingerprint": {"indent": 4}}, False, False),
        ({"unified_profile": {}}, False, False),
        ("code_snippet", False, False),
        (None, False, False),
    ],
)
def test_a_style_log_is_recognised_by_its_keys(value: object, is_refine: bool, is_unify: bool) -> None:
    assert (recognises_refine(value), recognises_unify(value)) == (is_refine, is_unify)


def test_the_same_pair_logged_again_is_the_same_candidate() -> None:
    again: dict[str, Any] = {"timestamp_utc": "2026-01-01T00:00:00Z", "mod_timestamp": 2.0, "model_path": "other"}

    assert content_refine(PAIR | again, NOTHING) == content_refine(PAIR, NOTHING)
    assert content_refine(PAIR | {"code_snippet": "y"}, NOTHING) != content_refine(PAIR, NOTHING)
    assert content_unify(UNIFY | again, NOTHING) == content_unify(UNIFY, NOTHING)
    assert content_unify(UNIFY | {"unified_profile": {}}, NOTHING) != content_unify(UNIFY, NOTHING)


@pytest.mark.parametrize(
    ("name", "n_sound", "held"),
    [
        ("divot5_refiner_pairs_truncated", 2, ["truncated"]),
        ("divot5_refiner_pairs_bom_crlf", 3, []),
        ("divot5_refiner_pairs_null_output", 1, []),
        ("divot5_unifier_pair", 1, []),
    ],
)
def test_a_damaged_log_gives_what_is_sound_in_it(name: str, n_sound: int, held: list[str]) -> None:
    lines = (SAMPLES / f"{name}.jsonl").read_bytes().split(b"\n")
    found: list[Candidate] = []
    why: list[str] = []
    for number, line in enumerate(lines):
        try:
            value = parse_line(line, first=number == 0, last=number == len(lines) - 1)
        except HeldError as error:
            why.append(error.code)
            continue
        if value is not None:
            assert recognises_refine(value) != recognises_unify(value)
            found += (read_refine if recognises_refine(value) else read_unify)(value, NOTHING)

    assert (len(found), why) == (n_sound, held)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from([*PAIR, *DUMPED, *UNIFY]), JSON, max_size=8))
def test_whatever_comes_in_is_read_or_held(entry: dict[str, object]) -> None:
    with contextlib.suppress(HeldError):
        assert len(read_refine([entry, PAIR], NOTHING)) == len(content_refine([entry, PAIR], NOTHING))
    with contextlib.suppress(HeldError):
        assert len(read_refine(entry, NOTHING)) == len(content_refine(entry, NOTHING)) == 1
    with contextlib.suppress(HeldError):
        assert len(read_unify(entry, NOTHING)) == len(content_unify(entry, NOTHING)) == 1
