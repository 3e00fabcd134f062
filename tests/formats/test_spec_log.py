"""A spec log: both generations of pairs, forks by other names, old mark-up, and answers that never came."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app.candidates import Candidate, Kind, SpecPair
from app.formats.given import Given
from app.formats.lines import HeldError, parse_line
from app.formats.spec_log import content, read, recognises

SAMPLES = Path(__file__).parent / "samples"
NOTHING = Given()
YAML = "issue_description: Fix x\ntarget_files:\n- pkg/x.py\noperations: []\nacceptance_tests: []"
CONTEXT = "Relevant Project Symbols:\n  Symbol 1:\n    FQN: pkg.x.f"
T5: dict[str, object] = {
    "timestamp_utc": "2025-06-11T08:48:00.936075+00:00",
    "raw_issue_text": "Fix x",
    "context_symbols_string": CONTEXT,
    "yaml_spec_string": YAML,
    "model_path": "./models/t5/",
    "accepted_by_parser": True,
    "error": None,
    "provenance": {"repo": "a/b"},
}
BAG: dict[str, object] = {
    "raw_issue_text": "Fix x",
    "symbol_bag_string": "pkg.x.f|pkg.x.g",
    "yaml_spec_string": "<SPEC_YAML>\ntask: Fix x\noperations:\n- move\n</SPEC_YAML>",
}


def read_one(value: object) -> Candidate:
    (found,) = read(value, NOTHING)
    return found


def pair_of(value: object) -> SpecPair:
    pair = read_one(value).spec
    assert pair is not None
    return pair


def test_a_pair_says_what_was_asked_and_what_was_answered() -> None:
    assert read_one(T5) == Candidate(
        Kind.SPEC,
        "t5",
        issue="Fix x",
        target_files=("pkg/x.py",),
        logged_at=datetime(2025, 6, 11, 8, 48, 0, 936075, UTC),
        extra={"model_path": "./models/t5/", "provenance": {"repo": "a/b"}},
        spec=SpecPair(YAML, CONTEXT, "context", accepted=True),
    )


def test_the_older_pair_has_a_bag_of_names_and_mark_up() -> None:
    said = read_one(BAG)

    assert said.generation == "t5_bag"
    assert said.spec == SpecPair("task: Fix x\noperations:\n- move", "pkg.x.f|pkg.x.g", "bag")


def test_the_mark_up_of_the_first_prompt_is_taken_apart() -> None:
    issue = "<RAW_REQUEST> Fix x </RAW_REQUEST> <SYMBOL_BAG> a.b|a.c </SYMBOL_BAG>"
    said = read_one({"raw_issue_text": issue, "yaml_spec_string": YAML})

    assert (said.issue, said.spec) == ("Fix x", SpecPair(YAML, "a.b|a.c", "bag"))


@pytest.mark.parametrize(
    "issue",
    [
        "<RAW_REQUEST> Fix x",
        "<RAW_REQUEST> Fix x </RAW_REQUEST> and more",
        "Why does <RAW_REQUEST> stay? </RAW_REQUEST>",
        "<RAW_REQUEST> Fix x </RAW_REQUEST> <SYMBOL_BAG> a.b",
    ],
)
def test_torn_mark_up_stays_so_that_it_can_be_seen(issue: str) -> None:
    assert read_one(T5 | {"raw_issue_text": issue}).issue == issue
    assert pair_of(T5 | {"yaml_spec_string": "<SPEC_YAML>\ntask: Fix"}).yaml == "<SPEC_YAML>\ntask: Fix"


@pytest.mark.parametrize(
    ("fork", "issue", "pair"),
    [
        ({"issue": "Fix x", "symbols": "a|b", "spec_yaml": YAML}, "Fix x", SpecPair(YAML, "a|b", "bag")),
        ({"issue": "Fix x", "symbols": ["a", "b"], "yaml_spec": YAML}, "Fix x", SpecPair(YAML, "a|b", "bag")),
        ({"issue": "Fix x", "symbols": ["a"], "spec": YAML}, "Fix x", SpecPair(YAML, "a", "bag")),
        ({"issue": "Fix x", "symbols": CONTEXT, "spec": YAML}, "Fix x", SpecPair(YAML, CONTEXT, "context")),
        ({"issue": "Fix x", "symbols": [], "spec": YAML}, "Fix x", SpecPair(YAML)),
        ({"issue": "Fix x", "symbols": None, "spec": YAML}, "Fix x", SpecPair(YAML)),
        ({"issue_text": "Fix x", "spec": YAML, "accepted": False}, "Fix x", SpecPair(YAML, accepted=False)),
        ({"issue": "Fix x", "spec": YAML, "accepted": "yes"}, "Fix x", SpecPair(YAML)),
        ({"issue": "Fix x", "spec": YAML, "error": ["a"]}, "Fix x", SpecPair(YAML, error='["a"]')),
        (
            {"issue": "Fix x", "spec": {"target_files": ["x.py"], "issue_description": "Fix x"}},
            "Fix x",
            SpecPair("issue_description: Fix x\ntarget_files:\n- x.py\n"),
        ),
    ],
)
def test_a_fork_is_read_by_the_keys_it_has(fork: dict[str, object], issue: str, pair: SpecPair) -> None:
    assert recognises(fork)
    assert (read_one(fork).issue, read_one(fork).spec, read_one(fork).generation) == (issue, pair, "other")


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        (T5, True),
        (BAG, True),
        (T5 | {"yaml_spec_string": None}, True),
        ({"issue": "x", "spec": None}, True),
        ({"issue": "x"}, False),
        ({"spec": {}, "patch_history": [], "issue": "x"}, False),
        ({"original_spec": {}, "patch_set_name": "a", "issue": "x", "spec": {}}, False),
        ([T5], False),
        ("raw_issue_text", False),
        (None, False),
    ],
)
def test_a_pair_is_recognised_by_its_keys(value: object, is_one: bool) -> None:
    assert recognises(value) is is_one


@pytest.mark.parametrize(
    ("spec", "files"),
    [
        ("target_files: x.py", ("x.py",)),
        ("target_files: [x.py, 7, null, 2020-01-01, [y.py]]", ("x.py",)),
        ("target_files: {a: b}", ()),
        ("- target_files", ()),
        ("target_files: ['x.py", ()),
        ("a: &a [1]\ntarget_files: *a", ()),
        ("target_files: !!python/object:os.system [x]", ()),
        ("[" * 50_000, ()),
        ("target_files: [x.py]\n" + "#" * 70_000, ()),
        ("a: 2020-99-99", ()),
        ("\x07", ()),
        ("\ud800", ()),
    ],
)
def test_target_files_are_those_of_the_yaml_as_far_as_it_parses(spec: str, files: tuple[str, ...]) -> None:
    said = read_one(T5 | {"yaml_spec_string": spec})

    assert said.target_files == files
    assert said.spec is not None
    assert said.spec.yaml == spec


@pytest.mark.parametrize(
    ("entry", "issue_id"),
    [
        (T5 | {"issue_id": 7}, "7"),
        (T5 | {"yaml_spec_string": YAML + "\nissue_id: GH-7"}, "GH-7"),
        (T5 | {"yaml_spec_string": YAML + "\nissue_id: null"}, None),
        (T5, None),
    ],
)
def test_the_issue_id_may_stand_in_the_pair_or_in_the_yaml(entry: dict[str, object], issue_id: str | None) -> None:
    assert read_one(entry).issue_id == issue_id


@pytest.mark.parametrize("nothing", [None, ""])
@pytest.mark.parametrize("key", ["yaml_spec_string", "spec"])
def test_a_model_that_answered_nothing_has_an_empty_spec(key: str, nothing: str | None) -> None:
    said = read_one({"raw_issue_text": "Fix x", key: nothing})

    assert (said.texts, said.target_files) == ({"spec": ""}, ())


@pytest.mark.parametrize(
    ("entry", "code", "said"),
    [
        (T5 | {"raw_issue_text": ""}, "missing_field", "needs an issue"),
        ({"raw_issue_text": "Fix x"}, "missing_field", "needs a spec"),
        (T5 | {"raw_issue_text": ["Fix"]}, "wrong_type", '"raw_issue_text" must be text; here it is a list'),
        (T5 | {"yaml_spec_string": 7}, "wrong_type", '"yaml_spec_string" must be text; here it is a number'),
        (T5 | {"context_symbols_string": {"a": 1}}, "wrong_type", '"context_symbols_string" must be text'),
        ([T5], "not_object", "is a JSON object"),
    ],
)
def test_what_is_no_pair_is_held_with_a_reason(entry: object, code: str, said: str) -> None:
    with pytest.raises(HeldError, match=said) as caught:
        read(entry, NOTHING)

    assert caught.value.code == code


def test_the_same_pair_logged_again_is_the_same_candidate() -> None:
    bare = BAG | {"yaml_spec_string": "task: Fix x\noperations:\n- move", "timestamp": "2026-01-01", "model_path": "b"}

    assert content(bare, NOTHING) == content(BAG, NOTHING)
    assert content(T5, NOTHING) != content(T5 | {"raw_issue_text": "Fix y"}, NOTHING)


def sound(name: str) -> tuple[list[Candidate], list[str]]:
    """What the lines of a sample say, and why others were held."""
    lines = (SAMPLES / f"{name}.jsonl").read_bytes().split(b"\n")
    found: list[Candidate] = []
    held: list[str] = []
    for number, line in enumerate(lines):
        try:
            value = parse_line(line, first=number == 0, last=number == len(lines) - 1)
            if value is not None:
                assert recognises(value)
                found += read(value, NOTHING)
                assert len(content(value, NOTHING)) == 1
        except HeldError as error:
            held.append(error.code)
    return found, held


@pytest.mark.parametrize(
    ("name", "n_sound", "held"),
    [
        ("t5_spec_pairs_truncated", 2, ["truncated"]),
        ("t5_spec_pairs_bom_crlf", 3, []),
        ("t5_spec_pairs_null_output", 1, []),
        ("t5_spec_pairs_old_and_cut", 2, []),
    ],
)
def test_a_damaged_log_gives_what_is_sound_in_it(name: str, n_sound: int, held: list[str]) -> None:
    found, why = sound(name)

    assert (len(found), why) == (n_sound, held)


def test_a_real_answer_that_was_cut_is_kept_with_its_error() -> None:
    old, cut = sound("t5_spec_pairs_old_and_cut")[0]

    assert old.spec is not None
    assert yaml.safe_load(old.spec.yaml)["task"] == old.issue
    assert cut.spec is not None
    assert (cut.spec.accepted, cut.target_files) == (False, ())
    assert cut.spec.error is not None
    assert cut.spec.error.startswith("ScannerError")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from([*T5, "symbols", "spec", "issue", "symbol_bag_string"]), JSON, max_size=6))
def test_whatever_a_pair_holds_it_is_read_or_held(entry: dict[str, object]) -> None:
    with contextlib.suppress(HeldError):
        assert len(read(entry, NOTHING)) == len(content(entry, NOTHING)) == 1
