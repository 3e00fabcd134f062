"""A spec as YAML: what the agent's loader reads is read the same, what could do harm is refused with its place."""

import string

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import BadInputError
from app.spec_yaml import MAX_CHARACTERS, MAX_DEPTH, dump, load, unwrapped

LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"

TEXTS = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=12) | st.text(
    alphabet="ab:#-?|>'\" \t\n\r\x85\u2028\\*&!%@`{}[],0123_.=~<", max_size=16
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
@settings(max_examples=400, deadline=None)
def test_what_is_written_reads_back_the_same(spec: dict[str, object]) -> None:
    written = dump(spec)

    # As the agent reads it: the guard is about what comes in.
    assert yaml.safe_load(written) == spec


def test_a_spec_is_written_in_the_order_of_its_fields() -> None:
    spec = {
        "plan_prefix_summary": ["a"],
        "operations": [{"name": "add_import", "parameters": {"x": 1}}],
        "target_files": ["x.py"],
        "issue_description": "Fix x: now\n\nIt was “wrong”.",
        "acceptance_tests": [],
    }

    assert dump(spec) == (
        "issue_description: |-\n  Fix x: now\n\n  It was “wrong”.\n"
        "target_files:\n- x.py\n"
        "operations:\n- name: add_import\n  parameters:\n    x: 1\n"
        "acceptance_tests: []\n"
        "plan_prefix_summary:\n- a\n"
    )


def test_a_long_line_stays_one_line() -> None:
    assert dump({"issue_description": "word " * 100 + "end"}).count("\n") == 1


def test_equal_parts_are_written_out_not_pointed_at() -> None:
    part = {"name": "move"}

    assert load(dump({"operations": [part, part]})) == {"operations": [part, part]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "issue_description: Fix x\ntarget_files: [a, b]",
        "- a\n- b",
        "a: 2020-01-01",
        "a: &b 1",
        "on: off",
        "a: |\n  b\n",
    ],
)
def test_a_text_is_read_as_the_agent_reads_it(text: str) -> None:
    assert load(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "said", "where"),
    [
        (LAUGHS, r"alias \(\*a\); write the value out", "line 2, column 8"),
        ("a: !!python/object/apply:os.system [ls]", "type of its own", "line 1, column 4"),
        ("a: !!int ''", "type of its own", "line 1, column 4"),
        ("[" * 40 + "]" * 40, "more than 32 levels", "line 1, column 33"),
        ("[" * 60_000, "more than 32 levels", "line 1, column 33"),
        ("a: 'b", "is not YAML: ", "line 1, column 6"),
        ("a: b\nc\nd: e", "could not find expected ':'", "line 3, column 1"),
        ("a: 1\n---\nb: 2", "is not YAML: ", "line 2, column 1"),
        ("a: =", "is not YAML: ", "line 1, column 4"),
        ("a: \x07", "a character that YAML does not allow", None),
        ("a: \ud800", "cannot read|a character", None),
        ("a: 2020-13-45", "cannot read: month must be", None),
        ("a: " + "9" * 5000, "cannot read", None),
        ("a: 1" + ":1" * 200 + ".5", "cannot read", None),
        ("a: 0x_", "cannot read", None),
        ("x" * (MAX_CHARACTERS + 1), "has 65,537 characters", None),
    ],
)
def test_what_is_refused_says_why_and_where(text: str, said: str, where: str | None) -> None:
    with pytest.raises(BadInputError, match=said) as caught:
        load(text)

    assert caught.value.where == where
    assert caught.value.message.endswith(".")


def test_the_depth_that_is_allowed_is_read() -> None:
    assert load("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None


@given(st.text(alphabet=string.printable + "\x85\u2028\ud800é", max_size=40))
@settings(max_examples=400, deadline=None)
def test_no_text_raises_anything_but_a_sentence(text: str) -> None:
    try:
        value = load(text)
    except BadInputError:
        return

    assert value == yaml.safe_load(text) or "nan" in text.lower()


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("<SPEC_YAML>\ntask: Fix x\n</SPEC_YAML>", "task: Fix x"),
        ("\n <SPEC_YAML>task: Fix x</SPEC_YAML>\n", "task: Fix x"),
        ("<SPEC_YAML>\ntask: Fix x\noper", "<SPEC_YAML>\ntask: Fix x\noper"),
        ("<SPEC_YAML>\n</SPEC_YAML>", ""),
        ("task: Fix </SPEC_YAML>", "task: Fix </SPEC_YAML>"),
        ("", ""),
    ],
)
def test_the_old_mark_up_is_taken_off_where_it_is_whole(text: str, inner: str) -> None:
    assert unwrapped(text) == inner
