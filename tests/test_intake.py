"""Whatever a person points at or drops: logs and patch sets are found, the rest is named with a reason."""

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import intake
from app.errors import AppError, BadInputError, TooLargeError
from app.intake import EXPECTED, Intake, Passed, place_dropped, placed, point_at, unpack, walk
from app.settings import Settings
from tests.logs import SCRIPT, entry, line
from tests.powers import only_what_permissions_allow
from tests.test_archives import CLIMBING, tarred, zipped

ATTEMPT = [SCRIPT, False, 0.4, "PatchApplicationError: no"]
RUN = json.dumps([ATTEMPT, [SCRIPT, True, 0.9, None]]).encode()
META = json.dumps({"patch_set_name": "feature/auto-patch-x-1", "original_spec": {}}, indent=2).encode()
SPEC_PAIR = b'{"raw_issue_text": "Fix x", "context_symbols_string": "", "yaml_spec_string": "a: 1"}\n'
REFINER_PAIR = b'{"code_snippet": "x = 1", "raw_fingerprint_dict": {}, "refined_output_string": ""}\n'
UNIFIER_PAIR = b'{"per_sample_fingerprints": [], "unified_profile": {}}\n'
CAPTURE = b'{"patchsift_capture": 1, "event": "run", "run": "1"}\n'
DATASET = b'{"prompt": "Issue: x\\nDiff Summary:", "completion": "import libcst"}\n'

PROJECT = {
    ".agent_data/success_memory.jsonl": line("One") + b"\n" + line("Two") + b"\n",
    ".agent_data/finetune_dataset.jsonl": DATASET,
    ".agent_data/patch_history/run_1.json": RUN,
    ".agent_data/patch_history/run_2.json": json.dumps({"run_id": "2", "patch_history": [ATTEMPT]}, indent=2).encode(),
    ".agent_data/style_fingerprint.json": b'{"indent_width": 4}',
    ".autopatches/feature/auto-patch-x-1/patch_meta.json": META,
    ".autopatches/feature/auto-patch-x-1/CHANGELOG_PATCH.md": b"Issue: x\n",
    ".autopatches/feature/auto-patch-x-1/src/x.py": b"x = 1\n",
    ".autopatches/feature/auto-patch-x-1/config/package.json": b'{"name": "x"}',
    ".autopatches/feature/auto-patch-y-2/CHANGELOG_PATCH.md": b"Issue: y\n",
    ".autopatches/feature/auto-patch-y-2/src/y.py": b"y = 1\n",
    "logs/pairs.jsonl.gz": gzip.compress(SPEC_PAIR),
    "package.json": b'{"name": "x", "scripts": {"test": "x"}}',
    "src/x.py": b"x = 0\n",
    "README.md": b"# x\n",
    "node_modules/a/success_memory.jsonl": line("Not ours") + b"\n",
    ".git/config": b"[core]\n",
}
LOGS = [
    ".agent_data/patch_history/run_1.json",
    ".agent_data/patch_history/run_2.json",
    ".agent_data/success_memory.jsonl",
    ".autopatches/feature/auto-patch-x-1/patch_meta.json",
    "logs/pairs.jsonl.gz",
]


def lay(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def names(taken: Intake) -> list[str]:
    return [one.name for one in taken.found]


def why(taken: Intake, name: str) -> str:
    (found,) = [one.why for one in (*taken.passed, *taken.broken) if one.name == name]
    return found


def look_at(tmp_path: Path, name: str, content: bytes) -> Intake:
    return walk(lay(tmp_path / "p", {name: content}))


# ------------------------------------------------------------------------------------------------ a folder


def test_a_project_is_taken_as_a_whole(tmp_path: Path) -> None:
    taken = walk(lay(tmp_path, PROJECT))

    assert names(taken) == LOGS
    assert [one.format for one in taken.found] == [None, None, None, "patch_set", None]
    assert why(taken, "package.json") == why(taken, ".agent_data/style_fingerprint.json")
    assert EXPECTED in why(taken, "package.json")
    assert why(taken, ".agent_data/finetune_dataset.jsonl").startswith("A built dataset, not a log")
    assert why(taken, "README.md and 1 more").startswith("No kind of file")
    assert why(taken, ".git and 1 more").startswith("Kept by a tool")
    assert [one.name for one in taken.broken] == [".autopatches/feature/auto-patch-y-2"]


def test_a_patch_set_carries_its_other_files_by_path_below_its_folder(tmp_path: Path) -> None:
    taken = walk(lay(tmp_path, PROJECT))

    (patch_set,) = [one for one in taken.found if one.format]
    assert {name: path.read_bytes() for name, path in patch_set.files.items()} == {
        "CHANGELOG_PATCH.md": b"Issue: x\n",
        "src/x.py": b"x = 1\n",
        "config/package.json": b'{"name": "x"}',
    }


@pytest.mark.parametrize("below", ["", ".agent_data", ".autopatches", ".autopatches/feature/auto-patch-x-1"])
def test_any_folder_below_or_above_will_do(tmp_path: Path, below: str) -> None:
    lay(tmp_path / "outer" / "p", PROJECT)

    assert names(walk(tmp_path / "outer" / "p" / below)) == [
        name.removeprefix(f"{below}/") for name in LOGS if name.startswith(below)
    ]
    assert len(walk(tmp_path).found) == len(LOGS)


def test_the_names_begin_as_they_were_asked_to(tmp_path: Path) -> None:
    taken = walk(lay(tmp_path, PROJECT), name="work/p")

    assert names(taken) == [f"work/p/{name}" for name in LOGS]
    assert taken.broken[0].name == "work/p/.autopatches/feature/auto-patch-y-2"


def test_the_same_folder_gives_the_same_answer(tmp_path: Path) -> None:
    files = dict(PROJECT)
    one, two = lay(tmp_path / "one", files), lay(tmp_path / "two", dict(reversed(files.items())))

    assert names(walk(one)) == names(walk(two))
    assert walk(one).passed == walk(two).passed


def test_a_set_within_a_set_has_its_own_files(tmp_path: Path) -> None:
    lay(tmp_path, {"a/patch_meta.json": META, "a/x.py": b"1", "a/b/patch_meta.json": META, "a/b/x.py": b"2"})

    assert [(one.name, set(one.files)) for one in walk(tmp_path).found] == [
        ("a/b/patch_meta.json", {"x.py"}),
        ("a/patch_meta.json", {"x.py"}),
    ]


def test_a_log_within_a_set_stays_a_log(tmp_path: Path) -> None:
    files = {".agent_data/success_memory.jsonl": b"broken\n", "notes.jsonl": line() + b"\n", "x.json": b"{}"}
    taken = walk(lay(tmp_path, {"patch_meta.json": META} | files))

    assert names(taken) == [".agent_data/success_memory.jsonl", "notes.jsonl", "patch_meta.json"]
    assert set(taken.found[-1].files) == {"x.json"}


def test_a_set_without_its_meta_is_evidence_that_is_broken(tmp_path: Path) -> None:
    taken = walk(lay(tmp_path, {"CHANGELOG_PATCH.md": b"", "src/x.py": b"", "deep/success_memory.jsonl": line()}))

    assert names(taken) == ["deep/success_memory.jsonl"]
    ((broken),) = taken.broken
    assert broken.name == "CHANGELOG_PATCH.md"
    assert "without patch_meta.json" in broken.why
    assert taken.passed == ()


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="There is no folder"):
        walk(tmp_path / "nowhere")


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    assert walk(tmp_path) == Intake(())


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path) -> None:
    lay(tmp_path, {f"{number}.py": b"" for number in range(11)})

    assert walk(tmp_path, most=11).passed[0].n_files == 11
    with pytest.raises(TooLargeError, match="more than 10 files"):
        walk(tmp_path, most=10)


def test_links_pipes_and_what_may_not_be_read_are_left_alone(tmp_path: Path) -> None:
    root = lay(tmp_path / "p", {"a/success_memory.jsonl": line()})
    (root / "linked.jsonl").symlink_to(root / "a" / "success_memory.jsonl")
    (root / "around").symlink_to(root)
    os.mkfifo(root / "success_memory.jsonl")

    taken = walk(root)

    assert names(taken) == ["a/success_memory.jsonl"]
    assert why(taken, "around and 1 more") == "A link; links are not followed."
    assert why(taken, "success_memory.jsonl").startswith("A pipe")


def test_a_link_that_a_person_points_at_is_followed(tmp_path: Path) -> None:
    lay(tmp_path / "p", PROJECT)
    (tmp_path / "link").symlink_to(tmp_path / "p")

    assert names(walk(tmp_path / "link")) == LOGS


def test_what_may_not_be_read_is_evidence_that_is_broken(tmp_path: Path) -> None:
    lay(tmp_path, {"a.jsonl": line(), "b/c.jsonl": line()})
    (tmp_path / "a.jsonl").chmod(0)
    (tmp_path / "b").chmod(0)

    with only_what_permissions_allow():
        taken = walk(tmp_path)

    assert [one.why for one in taken.broken] == ["It cannot be read: Permission denied."] * 2
    (tmp_path / "b").chmod(0o700)


def test_a_file_that_a_tool_hides_is_no_log(tmp_path: Path) -> None:
    taken = walk(lay(tmp_path, {".agent_data/patchsift/.gitignore": b"*\n", ".agent_data/.lock": b"1"}))

    assert (taken.found, taken.broken) == ((), ())
    assert sum(one.n_files for one in taken.passed) == 2


def test_a_name_that_a_terminal_would_obey_is_escaped(tmp_path: Path) -> None:
    bad = os.fsdecode(b"feature/a\n'b': \xff\x1b[2J")
    taken = walk(lay(tmp_path, {f"{bad}/patch_meta.json": META, f"{bad}/\u202e.py": b""}))

    assert names(taken) == ["feature/a\\n'b': \\udcff\\x1b[2J/patch_meta.json"]
    assert set(taken.found[0].files) == {"\\u202e.py"}


def test_many_files_of_one_kind_are_summed_up(tmp_path: Path) -> None:
    files = {f"{number:03}.json": b'{"a": 1}' for number in range(200)}
    taken = walk(lay(tmp_path, files | {"x.py": b"", "y.py": b""}))

    assert [(one.name, one.n_files) for one in taken.passed] == [("000.json and 199 more", 200), ("x.py and 1 more", 2)]


def test_a_large_tree_is_walked(tmp_path: Path) -> None:
    for number in range(200):
        lay(tmp_path / f"pkg{number}", {f"{inner}.{'json' if inner % 2 else 'py'}": b"{}" for inner in range(100)})
    lay(tmp_path / "pkg150" / "deep", PROJECT)

    taken = walk(tmp_path)

    assert names(taken) == [f"pkg150/deep/{name}" for name in LOGS]
    assert sum(one.n_files for one in taken.passed) == 20_000 + 7


# ------------------------------------------------------------------------------------------------ by content

KNOWN = [
    line() + b"\n",
    line(),
    json.dumps({"spec_issue_description": "x", "successful_script_hash": "-0x1"}).encode(),
    json.dumps({"issue": "x", "diff": "--- a"}).encode(),
    b"\xef\xbb\xbf" + line(),
    b"\n\n  \n" + line(),
    b"<<<<<<< HEAD\n" + line() + b"\n",
    line()[:-40] + line() + b"\n" + line(),
    line().decode().encode("utf-16"),
    json.dumps([entry(), entry()], indent=2).encode(),
    RUN,
    b"\n".join([RUN, RUN]),
    json.dumps(json.loads(RUN), indent=2).encode(),
    json.dumps([{"script": SCRIPT, "is_valid": True, "score": 1, "traceback": None}]).encode(),
    json.dumps([[None, "pending_revalidation", 0, ""]]).encode(),
    json.dumps([[SCRIPT, "True", "0.5"]]).encode(),
    json.dumps({"run_a": [ATTEMPT], "run_b": [ATTEMPT]}).encode(),
    json.dumps({"run_id": "x", "phase": {}, "patch_history": [ATTEMPT]}).encode(),
    RUN.replace(b"0.4", b"NaN"),
    RUN[: len(RUN) // 3],
    META,
    SPEC_PAIR,
    REFINER_PAIR,
    UNIFIER_PAIR,
    CAPTURE,
    line("x" * 100_000),
    json.dumps([["import libcst\n" + "x" * 100_000, False, 0.1, None]]).encode(),
    json.dumps([[SCRIPT + "\\" * 70_000, False, 0.1, None]]).encode(),
    json.dumps([[SCRIPT + "x\\" * 70_000, False, 0.1, None]]).encode(),
    gzip.compress(line("x" * 300_000) + b"\n"),
    gzip.compress(line() * 3)[:200],
]


@pytest.mark.parametrize("content", KNOWN, ids=range(len(KNOWN)))
@pytest.mark.parametrize(
    "name", ["whatever.json", "a/b.jsonl", "rotated.jsonl.1", "LOG.JSONL", "packed.gz", "plain.log"]
)
def test_a_log_is_known_by_its_content(tmp_path: Path, name: str, content: bytes) -> None:
    assert names(look_at(tmp_path, name, content)) == [name]


OTHERS = {
    "package.json": b'{"name": "x", "version": "1", "scripts": {"test": "x"}}',
    "tsconfig.json": b'// a comment\n{"compilerOptions": {}}',
    "book.ipynb.json": b'{"cells": [], "nbformat": 4}',
    "points.json": b"[[1, 2, 3], [4, 5, 6]]",
    "table.json": b'[["a", "b", "c"], ["d", "e", "f"]]',
    "task.json": b'{"script": "run.sh", "description": "x"}',
    "manifest.jsonl": b'{"run_id": "x", "patch_history": "run_1.json", "attempts": 3}\n',
    "numbers.jsonl": b"1\n2\n",
    "empty.jsonl": b"",
    "list.json": b"[]",
    "deep.json": b"[" * 100_000,
    "picture.json": b"\x89PNG\r\n\x1a\n\0\0",
    "lock.json": b"{\n" + b'  "a": "b",\n' * 20_000,
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_json_is_passed_over_with_a_reason(tmp_path: Path, name: str) -> None:
    taken = look_at(tmp_path, name, OTHERS[name])

    assert taken.found == ()
    assert [one.name for one in taken.passed] == [name]
    assert taken.passed[0].why.endswith(".")


@pytest.mark.parametrize(
    "content",
    [
        DATASET,
        b'{"messages": [{"role": "user", "content": "x"}]}\n',
        b'{"prompt": "x", "chosen": "y", "rejected": "z"}\n',
        json.dumps({"prompt": "Issue: " + "x" * 9, "completion": "y" * 100_000}).encode(),
    ],
)
@pytest.mark.parametrize("name", ["finetune.jsonl", ".agent_data/finetune_dataset.jsonl", "success_memory.jsonl"])
def test_a_built_dataset_is_no_log(tmp_path: Path, name: str, content: bytes) -> None:
    assert why(look_at(tmp_path, name, content), name).startswith("A built dataset, not a log")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"null\n42\n", b"\0" * 5000, b"[('import', True, 1)]", b"\xff\xff"]
)
@pytest.mark.parametrize(
    "name", [".agent_data/success_memory.jsonl", "patch_history/run_1.json", "success_memory-2.jsonl"]
)
def test_what_lies_where_logs_lie_is_read_although_it_is_damaged(tmp_path: Path, name: str, content: bytes) -> None:
    assert names(look_at(tmp_path, name, content)) == [name]


def test_a_folder_of_logs_knows_itself(tmp_path: Path) -> None:
    lay(tmp_path / "patch_history", {"run_1.json": b"[(", "run_2.json": b"[]"})

    assert names(walk(tmp_path / "patch_history")) == ["run_1.json", "run_2.json"]


def test_lines_that_are_no_json_are_no_log_elsewhere(tmp_path: Path) -> None:
    taken = look_at(tmp_path, "notes.jsonl", b"just notes\n")

    assert taken.found == ()
    assert why(taken, "notes.jsonl").startswith("It does not begin as JSON. Expected is")


def test_a_log_whose_first_line_is_cut_is_known_by_what_is_left_of_it(tmp_path: Path) -> None:
    assert names(look_at(tmp_path, "own name.jsonl", line()[:150] + b"\n" + line()[:90])) == ["own name.jsonl"]


@pytest.mark.parametrize("name", ["logs.zip", "logs.tar", "logs.tar.gz", "success_memory.jsonl"])
@pytest.mark.parametrize("content", [zipped(PROJECT), tarred(PROJECT), gzip.compress(tarred(PROJECT))])
def test_an_archive_within_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    assert why(look_at(tmp_path, name, content), name).startswith("An archive inside")


@given(
    st.binary(max_size=200) | st.sampled_from(KNOWN).flatmap(lambda one: st.integers(0, 400).map(lambda at: one[:at]))
)
def test_every_file_has_its_one_place(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    root = lay(tmp_path_factory.mktemp("p"), {"x.json": content, "y.jsonl": content, ".agent_data/z.json": content})

    taken = walk(root)

    places = [*names(taken), *(one.name for one in (*taken.passed, *taken.broken))]
    assert sorted(places) == [".agent_data/z.json", "x.json", "y.jsonl"]


# ------------------------------------------------------------------------------------------------ archives


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_of_a_project_is_taken_as_the_project_would_be(tmp_path: Path, pack: object) -> None:
    (tmp_path / "p.zip").write_bytes(pack({f"p/{name}": content for name, content in PROJECT.items()}))  # type: ignore[operator]

    taken = unpack(tmp_path / "p.zip", tmp_path / "into", Settings(data_dir=tmp_path), name="p.zip")

    assert names(taken) == [f"p.zip/p/{name}" for name in LOGS]
    assert [one.name for one in taken.broken] == ["p.zip/p/.autopatches/feature/auto-patch-y-2"]
    assert (taken.passed[-1].name, taken.passed[-1].n_files) == ("2 members", 2)
    (patch_set,) = [one for one in taken.found if one.format]
    assert patch_set.files["src/x.py"].read_bytes() == b"x = 1\n"
    assert all(path.parent == tmp_path / "into" for path in (*patch_set.files.values(), patch_set.path))


def test_what_lies_open_in_an_archive_was_not_named_by_a_person(tmp_path: Path) -> None:
    (tmp_path / "p.zip").write_bytes(zipped({"README.md": b"x", "a.json": b"{}", "b.json": RUN}))

    taken = unpack(tmp_path / "p.zip", tmp_path / "into", Settings(data_dir=tmp_path))

    assert names(taken) == ["b.json"]


def test_an_unpacked_archive_is_not_unpacked_again(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    (tmp_path / "p.zip").write_bytes(zipped(PROJECT))
    first = unpack(tmp_path / "p.zip", tmp_path / "into", settings)
    (tmp_path / "p.zip").unlink()

    assert unpack(tmp_path / "p.zip", tmp_path / "into", settings) == first == placed(tmp_path / "into")


def test_an_archive_that_was_half_unpacked_is_unpacked_anew(tmp_path: Path) -> None:
    lay(tmp_path / "into", {"000001": b"half", "left": b""})
    (tmp_path / "p.zip").write_bytes(zipped(PROJECT))

    taken = unpack(tmp_path / "p.zip", tmp_path / "into", Settings(data_dir=tmp_path))

    assert names(taken) == LOGS
    assert not (tmp_path / "into" / "left").exists()


def test_damage_in_an_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.tar").write_bytes(tarred({"a.json": RUN, "b.py": b"x" * 5000})[:-4000])

    taken = unpack(tmp_path / "p.tar", tmp_path / "into", Settings(data_dir=tmp_path), name="p.tar")

    assert names(taken) == ["p.tar/a.json"]
    ((broken),) = taken.broken
    assert broken.name == "p.tar/b.py"
    assert "was cut" in broken.why


# ------------------------------------------------------------------------------------------------ what was dropped


def dropped(tmp_path: Path, files: list[tuple[str, bytes]]) -> list[tuple[str, Path]]:
    spool = tmp_path / "spool"
    spool.mkdir()
    kept = [(name, spool / f"{number}") for number, (name, _) in enumerate(files)]
    for (_, content), (_, path) in zip(files, kept, strict=True):
        path.write_bytes(content)
    return kept


def test_a_dropped_folder_is_taken_as_the_folder_would_be(tmp_path: Path) -> None:
    given = dropped(tmp_path, [(f"p/{name}", content) for name, content in PROJECT.items()])

    taken = place_dropped(given, tmp_path / "into")

    assert names(taken) == [f"p/{name}" for name in LOGS]
    assert [one.name for one in taken.broken] == ["p/.autopatches/feature/auto-patch-y-2"]
    assert not any(path.exists() for _, path in given)
    assert all(one.path.parent == tmp_path / "into" for one in taken.found)
    assert placed(tmp_path / "into") == taken


def test_files_that_were_chosen_one_by_one_are_read_whatever_they_are_called(tmp_path: Path) -> None:
    files = [("memory", line()), ("notes.txt", b"no log"), ("page.bin", b"\0"), ("empty.jsonl", b"")]

    taken = place_dropped(dropped(tmp_path, files), tmp_path / "into")

    # What each of them is, the reader says.
    assert names(taken) == ["empty.jsonl", "memory", "notes.txt", "page.bin"]


def test_a_chosen_file_that_is_plainly_something_else_gets_a_sentence(tmp_path: Path) -> None:
    files = [("package.json", b'{"name": "x"}'), ("finetune.jsonl", DATASET), ("a.zip", zipped(PROJECT))]

    taken = place_dropped(dropped(tmp_path, files), tmp_path / "into")

    assert taken.found == ()
    assert EXPECTED in why(taken, "package.json")
    assert why(taken, "finetune.jsonl").startswith("A built dataset")
    assert why(taken, "a.zip").startswith("An archive")


def test_what_is_plainly_no_log_stays_out_when_it_is_chosen_among_logs(tmp_path: Path) -> None:
    files = [("README.md", b"# Read me\n"), ("LICENSE", b"MIT"), ("x.py", b"import os\n"), ("memory.md", line()),
             ("success_memory.jsonl", b'{"cut'), ("old.log", b"cut")]  # fmt: skip

    taken = place_dropped(dropped(tmp_path, files), tmp_path / "into")

    assert names(taken) == ["memory.md", "old.log", "success_memory.jsonl"]
    assert why(taken, "README.md").startswith("Left out: a document, program")
    assert {one.name for one in taken.passed} == {"LICENSE", "README.md", "x.py"}


def test_the_files_of_one_set_may_be_chosen_one_by_one(tmp_path: Path) -> None:
    files = [("patch_meta.json", META), ("CHANGELOG_PATCH.md", b"x"), ("x.py", b"1"), ("success_memory.jsonl", line())]

    taken = place_dropped(dropped(tmp_path, files), tmp_path / "into")

    assert [(one.name, set(one.files)) for one in taken.found] == [
        ("patch_meta.json", {"CHANGELOG_PATCH.md", "x.py"}),
        ("success_memory.jsonl", set()),
    ]


def test_two_files_of_one_name_are_both_kept(tmp_path: Path) -> None:
    files = [("a/run.json", RUN), ("a/run.json", RUN + b" "), ("a/run.json (2)", RUN), ("a/run.json", RUN)]

    taken = place_dropped(dropped(tmp_path, files), tmp_path / "into")

    assert names(taken) == ["a/run.json", "a/run.json (2)", "a/run.json (2) (2)", "a/run.json (3)"]


@pytest.mark.parametrize("name", CLIMBING)
def test_a_name_that_leads_elsewhere_refuses_the_drop(tmp_path: Path, name: str) -> None:
    given = dropped(tmp_path, [("a.json", RUN), (name, RUN)])

    with pytest.raises(BadInputError, match="points outside"):
        place_dropped(given, tmp_path / "into")

    assert all(path.exists() for _, path in given)
    assert not (tmp_path / "into").exists()


# ------------------------------------------------------------------------------------------------ whatever it is


def test_a_path_may_name_anything(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    lay(tmp_path / "p", PROJECT)
    (tmp_path / "p.zip").write_bytes(zipped(PROJECT))
    log, meta = tmp_path / "p" / LOGS[2], tmp_path / "p" / LOGS[3]

    assert names(point_at(tmp_path / "p", tmp_path / "1", settings)) == LOGS
    assert names(point_at(tmp_path / "p.zip", tmp_path / "2", settings, name="p.zip")) == [f"p.zip/{x}" for x in LOGS]
    assert point_at(log, tmp_path / "3", settings).found == (intake.Found(log, "success_memory.jsonl"),)
    assert point_at(tmp_path / "p" / "src" / "x.py", tmp_path / "3", settings, name="x").found[0].name == "x"
    (patch_set,) = point_at(meta, tmp_path / "3", settings).found
    assert (patch_set.format, sorted(patch_set.files)) == (
        "patch_set",
        ["CHANGELOG_PATCH.md", "config/package.json", "src/x.py"],
    )
    assert not (tmp_path / "3").exists()


def test_a_path_that_names_nothing_is_left_to_the_reader(tmp_path: Path) -> None:
    """It says the same of a file that is not there as of one that may not be read."""
    assert names(point_at(tmp_path / "nothing.jsonl", tmp_path / "into", Settings(data_dir=tmp_path))) == [
        "nothing.jsonl"
    ]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert names(point_at(tmp_path / "pipe", tmp_path / "into", Settings(data_dir=tmp_path))) == ["pipe"]


def test_an_archive_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "p.zip").write_bytes(zipped({"../x": b""}))

    with pytest.raises(AppError):
        point_at(tmp_path / "p.zip", tmp_path / "into", Settings(data_dir=tmp_path))

    assert not (tmp_path / "into").exists()


def test_what_is_passed_over_counts_one_file_unless_it_says_more() -> None:
    assert Passed("a", "b.").n_files == 1
