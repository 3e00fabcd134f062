"""What an entry says: every generation by its keys, forks by other names, and what makes two entries one candidate."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.candidates import Candidate, Kind
from app.formats import READERS
from app.formats.given import Given
from app.formats.lines import HeldError
from app.formats.success_memory import content_digest, read

DIFF = "--- x.py\n+++ x.py\n@@ -1 +1 @@\n-a\n+b\n"
SCRIPT = "import libcst\n"
WHEN = "2025-06-24T13:13:42.343293+00:00"

ISSUE: dict[str, object] = {
    "timestamp_utc": WHEN,
    "spec_issue_id": None,
    "spec_issue_description": "Fix x",
    "spec_target_files": ["x.py", "y.py"],
    "patch_source": "LLMCore_polish_iteration_1",
}
SUMMARY: dict[str, object] = {"spec_operations_summary": ["add_decorator", "rename"]}
DETAILS: dict[str, object] = {"spec_operations_details": [{"name": "rename", "old_name": "a"}, {"name": "move"}]}
BOTH: dict[str, object] = {"successful_diff_summary": DIFF, "successful_script": SCRIPT}
G1: dict[str, object] = ISSUE | SUMMARY | {"successful_diff_summary_snippet": DIFF, "successful_script_hash": 8123}
GUIDE: dict[str, object] = ISSUE | SUMMARY | {"successful_diff_summary": DIFF, "successful_script_hash": "8123"}
G2 = ISSUE | SUMMARY | BOTH
G3 = ISSUE | DETAILS | BOTH
G4: dict[str, object] = G3 | {"diff_embedding": [0.1, 0.2], "script_embedding": [0.3]}
G5: dict[str, object] = G4 | {"predicted_core": "LLMCore"}
G6: dict[str, object] = G5 | {"user_rating": 4}


@pytest.mark.parametrize(
    ("entry", "generation"),
    [(G1, "G1"), (GUIDE, "guide"), (G2, "G2"), (G3, "G3"), (G4, "G4"), (G5, "G5"), (G6, "G6"), (BOTH, "other")],
)
def test_a_generation_is_known_by_its_keys(entry: dict[str, object], generation: str) -> None:
    assert read(entry).generation == generation


def test_the_newest_generation_says_everything() -> None:
    assert read(G6) == Candidate(
        kind=Kind.PATCH,
        generation="G6",
        issue="Fix x",
        target_files=("x.py", "y.py"),
        operations=({"name": "rename", "old_name": "a"}, {"name": "move"}),
        diff=DIFF,
        script=SCRIPT,
        patch_source="LLMCore_polish_iteration_1",
        predicted_core="LLMCore",
        rating=4,
        logged_at=datetime(2025, 6, 24, 13, 13, 42, 343293, UTC),
    )


def test_the_first_generation_cuts_its_diff_and_has_no_script() -> None:
    said = read(G1)

    assert (said.diff, said.diff_is_snippet, said.script, said.script_hash) == (DIFF, True, None, "8123")
    assert said.operations == ("add_decorator", "rename")


def test_the_reader_is_found_by_its_format() -> None:
    assert READERS["success_memory"].read(G6, Given()) == (read(G6),)


@pytest.mark.parametrize("key", ["issue_description", "issue", "task", "description"])
def test_a_fork_may_name_the_issue_otherwise(key: str) -> None:
    assert read({key: "Fix y", "diff": DIFF}).issue == "Fix y"


@pytest.mark.parametrize(
    ("fork", "field", "value"),
    [
        ({"patch": DIFF}, "diff", DIFF),
        ({"script": SCRIPT}, "script", SCRIPT),
        ({"diff": DIFF, "target_files": ["z.py"]}, "target_files", ("z.py",)),
        ({"diff": DIFF, "target_files": "z.py"}, "target_files", ("z.py",)),
        ({"diff": DIFF, "target_files": [1, None]}, "target_files", ("1", "null")),
        ({"diff": DIFF, "operations": {"name": "move"}}, "operations", ({"name": "move"},)),
        ({"diff": DIFF, "issue_id": "GH-7"}, "issue_id", "GH-7"),
        ({"diff": DIFF, "issue_id": 7}, "issue_id", "7"),
        ({"diff": DIFF, "id": 7}, "external_id", "7"),
        ({"diff": DIFF, "id": ""}, "external_id", ""),
        ({"diff": DIFF, "rating": 5}, "rating", 5),
        ({"diff": DIFF, "timestamp": "2025-06-24"}, "logged_at", datetime(2025, 6, 24, tzinfo=UTC)),
        ({"diff": DIFF, "timestamp": "2025-06-24T02:00:00+05:00"}, "logged_at", datetime(2025, 6, 23, 21, tzinfo=UTC)),
        ({"diff": DIFF, "patch_source": None}, "patch_source", "Unknown"),
        ({"diff": DIFF, "patch_source": ["a"]}, "patch_source", '["a"]'),
        ({"diff": ""}, "diff", None),
        ({"diff": None}, "diff", None),
        ({"successful_diff_summary": None, "patch": DIFF}, "diff", DIFF),
    ],
)
def test_a_fork_is_read_by_the_keys_it_has(fork: dict[str, object], field: str, value: object) -> None:
    assert getattr(read(fork), field) == value


@pytest.mark.parametrize("rating", [0, 6, -1, 4.0, "4", True, None, [4]])
def test_what_is_no_rating_of_one_to_five_is_none(rating: object) -> None:
    assert read(G5 | {"user_rating": rating}).rating is None


@pytest.mark.parametrize("when", ["yesterday", "", 1750770822, None, "0001-01-01T00:00:00+23:59", "2025-13-01"])
def test_a_time_that_cannot_be_read_is_none(when: object) -> None:
    assert read(G6 | {"timestamp_utc": when}).logged_at is None


def test_keys_that_no_generation_has_are_kept() -> None:
    assert read(G6 | {"run": {"seed": 1}, "ticket": None}).extra == {"run": {"seed": 1}, "ticket": None}


@pytest.mark.parametrize("entry", [{}, {"id": "n"}, ISSUE, {"successful_diff": DIFF}])
def test_an_entry_without_diff_script_and_hash_lacks_what_is_judged(entry: dict[str, object]) -> None:
    with pytest.raises(HeldError, match=r"holds a diff, a script or a script hash; this line holds .+\.") as caught:
        read(entry)

    assert caught.value.code == "missing_field"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("successful_diff_summary", [DIFF]),
        ("successful_diff_summary", 0),
        ("successful_script", {"text": SCRIPT}),
        ("successful_script", False),
        ("spec_issue_description", ["Fix x"]),
        ("id", {"$ne": None}),
        ("id", True),
        ("id", 1.5),
        ("id", ["a"]),
    ],
)
def test_a_text_of_another_type_is_held(key: str, value: object) -> None:
    with pytest.raises(HeldError, match=f'"{key}" must be text') as caught:
        read(G6 | {key: value})

    assert caught.value.code == "wrong_type"


@pytest.mark.parametrize(
    "change",
    [
        {"timestamp_utc": "2026-01-01T00:00:00+00:00"},
        {"timestamp": 1},
        {"user_rating": 1},
        {"rating": None},
        {"diff_embedding": [9.9]},
        {"script_embedding": None},
    ],
)
def test_time_rating_and_embeddings_do_not_change_the_content(change: dict[str, object]) -> None:
    assert content_digest(G6 | change) == content_digest(G6)
    assert content_digest({key: value for key, value in G6.items() if key not in change}) == content_digest(G6)


def test_the_order_of_keys_does_not_change_the_content() -> None:
    assert content_digest(dict(reversed(G6.items()))) == content_digest(G6)
    assert content_digest({"diff": "", "a": {"x": 1, "y": 2}}) == content_digest({"a": {"y": 2, "x": 1}, "diff": ""})


@pytest.mark.parametrize(
    "change",
    [
        {"successful_diff_summary": DIFF + " "},
        {"successful_diff_summary": DIFF.replace("\n", "\r\n")},
        {"successful_script": "import libcst"},
        {"successful_script": None},
        {"spec_issue_description": "fix x"},
        {"spec_target_files": ["y.py", "x.py"]},
        {"spec_operations_details": []},
        {"patch_source": "Unknown"},
        {"predicted_core": None},
        {"id": "1"},
        {"id": 1},
        {"unknown": "1"},
        {"unknown": 1},
        {"unknown": 1.0},
        {"unknown": True},
        {"unknown": ["1"]},
        {"unknown": None},
    ],
)
def test_anything_else_changes_the_content(change: dict[str, object]) -> None:
    others = [G6, G6 | {"id": "2"}, G6 | {"unknown": "2"}, G6 | {"unknown": [1]}]

    assert content_digest(G6 | change) not in {content_digest(other) for other in others}


def test_two_spellings_of_one_letter_are_two_contents() -> None:
    assert content_digest({"diff": "\u00e9"}) != content_digest({"diff": "e\u0301"})


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
entries = st.dictionaries(st.sampled_from(["a", "b", "diff", "script", "id"]), values)


def same(one: object, other: object) -> bool:
    """Equal as JSON writes it: 1, 1.0 and true are three values."""
    return repr(_sorted(one)) == repr(_sorted(other))


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(inner) for inner in value] if isinstance(value, list) else value


@given(one=entries, other=entries)
def test_contents_are_equal_only_where_the_entries_are(one: dict[str, object], other: dict[str, object]) -> None:
    assert (content_digest(one) == content_digest(other)) == same(one, other)


@given(texts=st.lists(st.sampled_from(["", "a", "b", "ab", '"', ",", "[1]"]), min_size=2, max_size=2))
def test_a_text_does_not_run_into_its_neighbour(texts: list[str]) -> None:
    one, other = {"a": texts[0], "b": texts[1]}, {"a": "a", "b": "b"}

    assert (content_digest(one) == content_digest(other)) == (one == other)
