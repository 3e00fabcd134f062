"""A patch set: what its three generations and their forks say, and what is left of the diff in a changelog."""

import difflib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.candidates import Candidate, Kind, PatchSet, PostImage, SpecPair
from app.diffs.apply import reverse
from app.formats.given import Given
from app.formats.lines import HeldError, parse_line
from app.formats.patch_set import CHANGELOG, META, content, read, recognises, restored

SETS: dict[str, Any] = json.loads((Path(__file__).parent / "samples/patch_sets.json").read_text(encoding="utf-8"))
LOGGED = [name for name, case in SETS.items() if "logged_diff" in case]

DIFF = "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n"
SPEC: dict[str, object] = {
    "issue_description": "Fix x\n\nIt is wrong.",
    "target_files": ["pkg/x.py"],
    "operations": [{"name": "rename", "parameters": {"old": "a"}}],
    "acceptance_tests": ["x passes."],
}
CBA: dict[str, object] = {
    "patch_set_name": "feature/auto-patch-fix-x-1234",
    "commit_title": "Auto-apply patch for 'Fix x...'",
    "original_spec": SPEC,
    "validator_results_summary": "N/A",
    "generation_timestamp_utc": "2025-06-24T13:13:42.343293Z",
    "commit_builder_version": "0.1.0",
}
CBB: dict[str, object] = CBA | {"patch_source": "LLMCore_polish_iteration_1"}
PLAIN = f"Issue: Fix x\n\nSummary of Operations:\n- Operation 'rename' on target 'pkg/x.py'.\n\nDiff Summary:\n{DIFF}"
ITEM = f"- Issue: Fix x\n  Summary of Operations:\n  - Op 1: 'rename' on 'pkg/x.py'.\n  Diff Summary:\n{DIFF}"
FILES = {"pkg/x.py": b"b\n"}


def given_with(files: dict[str, bytes], changelog: str | None = PLAIN) -> Given:
    beside = {} if changelog is None else {CHANGELOG: changelog.encode()}
    return Given("p/.autopatches/feature/auto-patch-fix-x-1234/patch_meta.json", files | beside)


def test_a_patch_set_says_what_was_patched_and_what_was_asked() -> None:
    when = datetime(2025, 6, 24, 13, 13, 42, 343293, UTC)

    assert read(CBB, given_with(FILES)) == (
        Candidate(
            Kind.PATCH,
            "CBb",
            issue="Fix x\n\nIt is wrong.",
            target_files=("pkg/x.py",),
            operations=({"name": "rename", "parameters": {"old": "a"}},),
            diff=DIFF,
            patch_source="LLMCore_polish_iteration_1",
            logged_at=when,
            acceptance=("x passes.",),
            patch_set=PatchSet(
                name="feature/auto-patch-fix-x-1234",
                generation="CBb",
                title="Auto-apply patch for 'Fix x...'",
                validator_summary="N/A",
                files=(PostImage("pkg/x.py", "b\n"),),
                changelog=PLAIN,
                diff=DIFF,
                loose_diff=DIFF,
                spec=SPEC,
            ),
        ),
        Candidate(
            Kind.SPEC,
            "patch_set",
            issue="Fix x\n\nIt is wrong.",
            target_files=("pkg/x.py",),
            logged_at=when,
            spec=SpecPair(
                "issue_description: |-\n  Fix x\n\n  It is wrong.\ntarget_files:\n- pkg/x.py\noperations:\n"
                "- name: rename\n  parameters:\n    old: a\nacceptance_tests:\n- x passes.\n",
                origin="patch_set",
            ),
        ),
    )


@pytest.mark.parametrize(
    ("meta", "changelog", "generation"),
    [
        (CBA, PLAIN, "CBa"),
        (CBA, None, "CBa"),
        (CBB, PLAIN, "CBb"),
        (CBB, ITEM, "CBc"),
        (CBB, None, "other"),
        ({"original_spec": SPEC, "commit_title": "T"}, PLAIN, "other"),
    ],
)
def test_a_generation_is_known_by_keys_and_changelog(
    meta: dict[str, object], changelog: str | None, generation: str
) -> None:
    patch, spec = read(meta, given_with(FILES, changelog))

    assert patch.patch_set is not None
    assert patch.generation == patch.patch_set.generation == generation
    # Whichever writer's set a spec is in, it is the same spec.
    assert spec.generation == "patch_set"


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        (CBA, True),
        (CBB, True),
        ({"patch_set_name": None}, True),
        ({"original_spec": None, "generation_timestamp_utc": "x"}, True),
        ({"original_spec": SPEC}, False),
        ({"commit_title": "T"}, False),
        ({"patch_history": [], "spec": SPEC}, False),
        ([CBA], False),
        ("patch_set_name", False),
        (None, False),
    ],
)
def test_a_patch_set_is_recognised_by_its_keys(value: object, is_one: bool) -> None:
    assert recognises(value) is is_one


@pytest.mark.parametrize("name", SETS)
def test_a_damaged_set_says_what_is_left_of_it(name: str) -> None:
    files = {path: text.encode() for path, text in SETS[name]["files"].items()}
    if name == "no_meta":
        assert META not in files
    elif name == "cut_meta":
        with pytest.raises(HeldError) as caught:
            parse_line(files[META].replace(b"\n", b" "), last=True)
        assert caught.value.code == "truncated"
    else:
        meta, beside = json.loads(files.pop(META)), Given(f"{name}/{META}", files)
        assert recognises(meta)
        assert [one.kind for one in read(meta, beside)] == [Kind.PATCH, Kind.SPEC]
        assert len(content(meta, beside)) == 2
    assert SETS[name]["n_sound"] == (name not in {"no_meta", "cut_meta"})


def read_case(name: str) -> tuple[Candidate, ...]:
    files = {path: text.encode() for path, text in SETS[name]["files"].items()}
    return read(json.loads(files.pop(META)), Given(f"{name}/{META}", files))


def test_the_oldest_spec_is_read_by_its_own_keys() -> None:
    patch, spec = read_case("old_spec_keys")

    assert (patch.issue, patch.operations) == ("apply pyupgrade --py36-plus (#1048)", ("generic_code_edit",))
    assert patch.target_files == ("starlette/middleware/sessions.py",)
    assert spec.target_files == ()
    assert spec.spec is not None
    assert spec.spec.yaml == (
        "task: apply pyupgrade --py36-plus (#1048)\ntarget_symbols: []\noperations:\n- generic_code_edit\n"
        "acceptance: []\n"
    )


def test_a_plan_that_stands_in_the_spec_is_kept() -> None:
    patch, spec = read_case("plan_prefix")

    assert patch.patch_set is not None
    assert patch.patch_set.spec["plan_prefix_summary"] == ["add_import"]
    assert spec.spec is not None
    assert spec.spec.yaml.endswith("acceptance_tests: []\nissue_id: null\nplan_prefix_summary:\n- add_import\n")


def test_a_set_may_lack_its_changelog_or_its_files() -> None:
    without_changelog, without_files = read_case("no_changelog")[0].patch_set, read_case("no_files")[0].patch_set

    assert without_changelog is not None
    assert (without_changelog.diff, without_changelog.changelog) == (None, None)
    assert [one.path for one in without_changelog.files] == ["httpx/config.py"]
    assert without_files is not None
    assert without_files.files == ()
    assert without_files.diff is not None


@pytest.mark.parametrize(
    ("meta", "field", "value"),
    [
        (CBA, "patch_source", "Unknown"),
        (CBB | {"patch_source": ["a"]}, "patch_source", '["a"]'),
        (CBB | {"patch_source": None}, "patch_source", "Unknown"),
        (CBB | {"generation_timestamp_utc": "soon"}, "logged_at", None),
        (CBB | {"original_spec": SPEC | {"issue_id": "GH-7"}}, "issue_id", "GH-7"),
        (CBB | {"issue_id": 7}, "issue_id", "7"),
        (CBB | {"original_spec": SPEC | {"target_files": "pkg/x.py"}}, "target_files", ("pkg/x.py",)),
        (CBB | {"original_spec": SPEC | {"operations": {"name": "a"}}}, "operations", ({"name": "a"},)),
        (CBB | {"ticket": 1, "branch": None}, "extra", {"branch": None, "ticket": 1}),
        (CBB | {"id": 3}, "external_id", "3"),
    ],
)
def test_a_fork_is_read_by_the_keys_it_has(meta: dict[str, object], field: str, value: object) -> None:
    assert getattr(read(meta, given_with(FILES))[0], field) == value


@pytest.mark.parametrize("spec", [None, {}, {"target_files": ["x.py"]}, {"issue_description": ""}])
def test_without_an_issue_there_is_no_spec_to_judge(spec: object) -> None:
    meta = CBB | {"original_spec": spec}

    assert [one.kind for one in read(meta, given_with(FILES))] == [Kind.PATCH]
    assert len(content(meta, given_with(FILES))) == 1


@pytest.mark.parametrize(
    ("meta", "key"),
    [
        (CBB | {"patch_set_name": 7}, "patch_set_name"),
        (CBB | {"commit_title": ["a"]}, "commit_title"),
        (CBB | {"original_spec": "Fix x"}, "original_spec"),
        (CBB | {"original_spec": [SPEC]}, "original_spec"),
        (CBB | {"original_spec": SPEC | {"issue_description": {}}}, "issue_description"),
    ],
)
def test_a_field_of_another_type_is_held_and_named(meta: dict[str, object], key: str) -> None:
    with pytest.raises(HeldError, match=f'"{key}" must be .+; here it is .+\\.') as caught:
        read(meta, given_with(FILES))

    assert caught.value.code == "wrong_type"


def test_a_set_of_which_nothing_is_left_is_held() -> None:
    with pytest.raises(HeldError, match="holds a spec, a changelog or a patched file") as caught:
        read({"patch_set_name": "a", "original_spec": None}, Given())

    assert caught.value.code == "missing_field"


def test_a_value_that_is_no_object_is_held() -> None:
    with pytest.raises(HeldError, match="must be an object"):
        read([CBB], Given())


def test_a_patched_file_that_is_no_text_is_kept_by_its_path() -> None:
    said = read(CBB, given_with({"pkg/x.py": b"\xff\xfe", "a.py": b""}))[0].patch_set

    assert said is not None
    assert said.files == (PostImage("a.py", ""), PostImage("pkg/x.py", None))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("p/.autopatches/feature/auto-patch-a/b-1/patch_meta.json", "feature/auto-patch-a/b-1"),
        ("x/feature/b-1/patch_meta.json", "feature/b-1"),
        ("patch_meta.json", ""),
    ],
)
def test_a_set_without_a_name_is_called_by_its_place(path: str, name: str) -> None:
    said = read({"original_spec": SPEC, "commit_title": "T"}, Given(path, FILES))[0].patch_set

    assert said is not None
    assert said.name == name


def test_time_and_order_of_keys_make_no_other_set() -> None:
    later = dict(reversed(CBB.items())) | {"generation_timestamp_utc": "2026-01-01T00:00:00Z"}

    assert content(later, given_with(FILES)) == content(CBB, given_with(FILES))


def test_another_file_makes_another_patch_but_the_same_spec() -> None:
    patch, spec = content(CBB, given_with(FILES))
    other_patch, other_spec = content(CBB, given_with({"pkg/x.py": b"c\n"}))

    assert (patch != other_patch, spec == other_spec) == (True, True)


# ------------------------------------------------------------------------------------------------ the diff


@pytest.mark.parametrize(
    ("changelog", "diff"),
    [
        (PLAIN, DIFF),
        (ITEM, DIFF),
        (PLAIN.replace(DIFF, "No textual changes detected."), "No textual changes detected."),
        (PLAIN.replace(DIFF, ""), None),
        ("A note.", None),
        ("", None),
        (PLAIN.replace("Issue: Fix x", "Issue: Fix x\nDiff Summary:\nnone"), DIFF),
        (PLAIN + "-Diff Summary:\n", DIFF + "-Diff Summary:\n"),
    ],
)
def test_the_diff_stands_below_its_heading(changelog: str, diff: str | None) -> None:
    assert read(CBB, given_with(FILES, changelog))[0].diff == diff


@pytest.mark.parametrize("name", LOGGED)
def test_the_logged_diff_comes_back_out_of_a_list_item(name: str) -> None:
    patch = read_case(name)[0]

    # In one the formatter has changed the lines around what was cut: nobody can tell any more.
    assert patch.diff in {SETS[name]["logged_diff"], None}
    assert patch.patch_set is not None
    assert patch.patch_set.loose_diff != SETS[name]["logged_diff"]
    assert "".join((patch.patch_set.loose_diff or "").split()) == "".join(SETS[name]["logged_diff"].split())


def test_a_diff_out_of_a_list_item_leads_to_the_file_before() -> None:
    found = [patch_set for name in LOGGED if (patch_set := read_case(name)[0].patch_set) and patch_set.diff]

    assert len(found) == len(LOGGED)
    assert all(reverse(one.diff or "", one.files[0].text or "").text for one in found)


def damaged(diff: str) -> str:
    """What the writer of list items makes of a diff."""
    return diff.replace("\\n", "\\n  ").strip() + "\n"


CODE = st.lists(
    st.sampled_from(["a = 'x\\n'\n", "b = '\\n  '\n", "\n", "    \n", "\t\n", "c\n", "d = '\\\\n'\n", "e  \n"]),
    min_size=1, max_size=20,
).map("".join)  # fmt: skip


@given(CODE, CODE)
@settings(max_examples=400, deadline=None)
def test_what_is_restored_is_the_diff_or_nothing(old: str, new: str) -> None:
    lines = (old.splitlines(keepends=True), new.splitlines(keepends=True))
    diff = "".join(difflib.unified_diff(*lines, "a/x.py", "b/x.py"))
    if not diff:
        return

    found = restored(damaged(diff), (PostImage("pkg/x.py", new),))

    if damaged(diff).splitlines()[-1].startswith("-"):
        # White space at the end of a line that was taken away leaves no trace.
        assert found is None or damaged(found) == damaged(diff)
    else:
        assert found in {diff, None}
    assert found is not None or diff.rstrip("\n") != diff.rstrip()


def test_a_spelt_line_end_without_spaces_shows_that_nothing_was_damaged() -> None:
    diff = DIFF.replace("+b", "+b = '\\n' + '\\n  '")

    assert restored(diff, ()) == diff


@pytest.mark.parametrize(
    ("cut", "files", "is_back"),
    [
        ("", (), True),
        (" \n", (PostImage("pkg/x.py", "b\n\n"),), True),
        (" \t\n \n", (PostImage("pkg/x.py", "b\n\t\n\n"),), True),
        (" \n", (), False),
        (" \n", (PostImage("pkg/y.py", "b\n\n"),), False),
        (" \n", (PostImage("pkg/x.py", None),), False),
        (" \n", (PostImage("pkg/x.py", "b\n\n"), PostImage("x.py", "b\n\n")), False),
        (" \n", (PostImage("pkg/x.py", "b\nc\n"),), False),
        (" \n", (PostImage("pkg/x.py", "b\n"),), False),
        (" \n", (PostImage("pkg/x.py", "B\n\n"),), False),
        (" \n", (PostImage("pkg/x.py", "0\nb\n\n"),), False),
        (" \n", (PostImage("pkg/x.py", ""),), False),
    ],
)
def test_a_cut_end_comes_back_only_out_of_the_patched_file(
    cut: str, files: tuple[PostImage, ...], is_back: bool
) -> None:
    n = 1 + cut.count("\n")
    diff = f"--- a/x.py\n+++ b/x.py\n@@ -1,{n} +1,{n} @@\n-a\n+b\n"

    assert restored(diff, files) == (diff + cut if is_back else None)


@pytest.mark.parametrize(
    "diff",
    [
        "--- a/x.py\n+++ b/x.py\n@@ -1 +1,2 @@\n-a\n+b\n",
        "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1 @@\n-a\n+b\n",
        "--- a/x.py\n+++ b/x.py\n@@ -1,1 +1,1 @@\n a\n-a\n+b\n",
        "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n-a\n+b\n@@ -9 +9 @@\n-a\n+b\n",
    ],
)
def test_a_diff_that_lost_more_than_its_end_stays_lost(diff: str) -> None:
    assert restored(diff, (PostImage("pkg/x.py", "b\n\n"),)) is None
    assert restored(diff, ()) is None
