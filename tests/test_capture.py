"""The file that agents' authors copy: what it logs, that it never fails the agent, and that it loses nothing."""

import ast
import copy
import enum
import io
import json
import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from app.candidates import Candidate, Direction, Kind, Stage, Validity
from app.formats import capture as reader
from app.formats.given import Given
from app.formats.lines import parse_line
from static import patchsift_capture
from static.patchsift_capture import Capture

MODULE = Path(patchsift_capture.__file__)
SCRIPT = "import libcst as cst\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "capture.jsonl"


@pytest.fixture
def log(path: Path) -> Iterator[Capture]:
    made = Capture(path)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try a server again at once: nothing here waits for a clock."""
    for name in ("GATHER_SECONDS", "FIRST_WAIT", "LONGEST_WAIT"):
        monkeypatch.setattr(patchsift_capture, name, 0.001)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a log, read as strictly as an import reads them; blank ones left out."""
    *whole, rest = path.read_bytes().split(b"\n")
    assert rest == b""
    return [line for raw in whole if (line := parse_line(raw)) is not None]


def the_run(path: Path) -> Candidate:
    return reader.read_run(lines_of(path), Given())


def run_python(source: str, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a program beside a copy of the module, as an agent's author would have it."""
    (folder / MODULE.name).write_bytes(MODULE.read_bytes())
    (folder / "agent.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-W", "error", "agent.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


# ------------------------------------------------------------------------------------------------ what is logged


def test_a_run_says_everything_that_its_reader_wants(log: Capture, path: Path) -> None:
    operations = [{"name": "rename", "old_name": "a"}]
    phase = {"operation_name": "rename", "target_file": "x.py"}
    with log.run(
        "Fix x",
        ["x.py"],
        operations,
        phase,
        model="m",
        issue_id="GH-7",
        acceptance_tests=["t"],
        score_direction="lower",
    ) as run:
        run.prompt("scaffold", "Write a codemod.")
        run.output("scaffold", "```python\n…```")
        run.attempt("broken(", False, 1.0, "PatchApplicationError: no", "scaffold")
        run.attempt("fixed", "pending_revalidation", 1.0, "Heuristic fix applied, pending re-validation", "heuristic")
        run.prompt("repair", "It failed.")
        run.attempt(SCRIPT, True, 0.25, stage="repair")
        run.final(SCRIPT, "--- x.py\n", "LLMCore_repair_attempt_1")

    said = the_run(path)
    assert said.run is not None
    assert (said.kind, said.issue, said.target_files, said.operations) == (
        Kind.PATCH,
        "Fix x",
        ("x.py",),
        tuple(operations),
    )
    assert (said.script, said.diff, said.patch_source) == (SCRIPT, "--- x.py\n", "LLMCore_repair_attempt_1")
    assert (said.issue_id, said.acceptance, said.run.phase) == ("GH-7", ("t",), phase)
    assert [(one.stage, one.validity, one.score) for one in said.run.attempts] == [
        (Stage.SCAFFOLD, Validity.INVALID, 1.0),
        (Stage.HEURISTIC, Validity.PENDING, 1.0),
        (Stage.REPAIR, Validity.VALID, 0.25),
    ]
    assert said.run.prompts == {"scaffold": "Write a codemod.", "repair": "It failed."}
    assert (said.run.outcome, said.run.cut_short, said.run.direction) == ("success", False, Direction.LOWER)
    assert said.extra["outputs"] == {"scaffold": "```python\n…```"}
    assert said.extra["model"] == "m"


def test_the_lines_of_a_run_are_numbered_and_timed(log: Capture, path: Path) -> None:
    with log.run("Fix x") as run:
        run.prompt("scaffold", "p")

    lines = lines_of(path)
    assert [(line["patchsift_capture"], line["event"], line["seq"]) for line in lines] == [
        (1, "run", 0),
        (1, "prompt", 1),
        (1, "end", 2),
    ]
    assert {line["run"] for line in lines} == {run.id}
    assert all(datetime.fromisoformat(line["at"]).tzinfo == UTC for line in lines)


def test_a_run_may_be_logged_without_a_block(log: Capture, path: Path) -> None:
    run = log.run("Fix x")
    run.fail("PhaseFailure", "no valid script")
    run.end("success")

    assert [(line["event"], line.get("outcome"), line.get("error")) for line in lines_of(path)] == [
        ("run", None, None),
        ("end", "PhaseFailure", "no valid script"),
    ]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(1)])
def test_what_ends_a_block_is_logged_and_goes_on(log: Capture, path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, log.run("Fix x"):
        raise error

    assert caught.value is error
    said = the_run(path)
    assert said.run is not None
    assert (said.run.outcome, said.run.cut_short) == (type(error).__name__, True)
    assert "raise error" in said.run.error


def test_a_block_that_settles_on_nothing_is_no_success(log: Capture, path: Path) -> None:
    with log.run("Fix x") as run:
        run.attempt("a", False)

    assert "outcome" not in lines_of(path)[-1]
    with log.run("Fix y") as run:
        run.final("a", accepted=False)
    assert "outcome" not in lines_of(path)[-1]


def test_an_exception_is_logged_as_its_traceback(log: Capture, path: Path) -> None:
    try:
        int("no such node")
    except ValueError as error:
        log.run("Fix x").attempt("a", False, traceback=error)

    text = lines_of(path)[-1]["traceback"]
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("base 10: 'no such node'\n")


def test_pairs_have_the_names_of_the_pair_logs(log: Capture, path: Path) -> None:
    log.spec_pair("Fix x", "Relevant Project Symbols:", "issue_description: Fix x", accepted=True)
    log.spec_pair("Fix y", ["a.b", "a.c"], "- no", accepted=False, error="not a mapping", model_path="m")
    log.style_refine("x = 1", {"indent": 4}, '"indent": 4', polished_json='{"indent": 4}', file_path="x.py")
    log.style_unify([{"fingerprint": {"indent": 4}, "file_path": "x.py", "weight": 0.5}], {"indent_width": 4})

    assert [{key: line[key] for key in line if key not in {"patchsift_capture", "at"}} for line in lines_of(path)] == [
        {
            "event": "spec",
            "raw_issue_text": "Fix x",
            "context_symbols_string": "Relevant Project Symbols:",
            "yaml_spec_string": "issue_description: Fix x",
            "accepted_by_parser": True,
        },
        {
            "event": "spec",
            "raw_issue_text": "Fix y",
            "symbol_bag_string": "a.b|a.c",
            "yaml_spec_string": "- no",
            "accepted_by_parser": False,
            "error": "not a mapping",
            "model_path": "m",
        },
        {
            "event": "style_refine",
            "code_snippet": "x = 1",
            "raw_fingerprint_dict": {"indent": 4},
            "refined_output_string": '"indent": 4',
            "polished_json": '{"indent": 4}',
            "file_path": "x.py",
        },
        {
            "event": "style_unify",
            "per_sample_fingerprints": [{"fingerprint": {"indent": 4}, "file_path": "x.py", "weight": 0.5}],
            "unified_profile": {"indent_width": 4},
        },
    ]


def test_a_model_that_answered_nothing_is_a_pair_too(log: Capture, path: Path) -> None:
    log.spec_pair("Fix x", "", None, accepted=False, error="no answer")

    [said] = reader.read(lines_of(path)[0], Given())
    assert said.spec is not None
    assert (said.spec.yaml, said.spec.accepted, said.spec.error) == ("", False, "no answer")


def test_a_field_of_ones_own_never_takes_the_place_of_the_lines_own(log: Capture, path: Path) -> None:
    log.run("Fix x", event="mine", run="mine", seq=9, at="never", patchsift_capture=7)

    [line] = lines_of(path)
    assert (line["event"], line["seq"], line["patchsift_capture"]) == ("run", 0, 1)
    assert (line["event_"], line["run_"], line["seq_"], line["at_"]) == ("mine", "mine", 9, "never")


# ------------------------------------------------------------------------------------------------ the agent's list

HISTORY: list[Any] = [
    ("a", False, 0.2, "PatchApplicationError: no"),
    ("b", "pending_revalidation", 0.2, "Heuristic fix applied, pending re-validation"),
    ("c", True, 0.8, None),
]


def attempts_of(path: Path) -> list[list[object]]:
    names = ("script", "is_valid", "score", "traceback")
    return [[line.get(name) for name in names] for line in lines_of(path) if line["event"] == "attempt"]


def test_a_history_is_adapted_in_one_line(log: Capture, path: Path) -> None:
    log.adapt(HISTORY, diff="--- x.py\n", patch_source="LLMCore_polish_iteration_1", outcome="success", issue="Fix x")

    assert attempts_of(path) == [list(step) for step in HISTORY]
    said = the_run(path)
    assert (said.issue, said.script, said.diff) == ("Fix x", "c", "--- x.py\n")
    assert said.run is not None
    assert [one.validity for one in said.run.attempts] == [Validity.INVALID, Validity.PENDING, Validity.VALID]


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (["a", True, 0.5, None], {"script": "a", "is_valid": True, "score": 0.5}),
        (("a", True), {"script": "a", "is_valid": True}),
        ((), {}),
        ((None, True, 0, "b", "c", 6), {"is_valid": True, "score": 0, "traceback": "b", "stage": "c", "more": [6]}),
        ({"script": "a", "is_valid": False, "stage": "repair"}, {"script": "a", "is_valid": False, "stage": "repair"}),
        ({1: "a"}, {"1": "a"}),
        ("a", {"more": "a"}),
        (None, {}),
        ((None, None, float("nan"), None), {"score": "nan", "made_safe": ["score: nan became text"]}),
    ],
)  # fmt: skip
def test_a_step_of_any_shape_is_kept(log: Capture, path: Path, step: object, told: dict[str, object]) -> None:
    log.adapt([step])

    [line] = [line for line in lines_of(path) if line["event"] == "attempt"]
    assert {key: line[key] for key in line if key not in {"patchsift_capture", "event", "run", "seq", "at"}} == told


def test_a_history_that_is_never_emptied_is_cut_where_the_next_run_begins(log: Capture, path: Path) -> None:
    history = list(HISTORY)
    log.adapt(history, issue="Fix x")
    history.append(("d", True, 0.9, None))
    log.adapt(history, issue="Fix y")
    log.adapt([("e", True, 0.9, None)], issue="Fix z")

    by_run: dict[str, list[str]] = {}
    for line in lines_of(path):
        by_run.setdefault(line["run"], []).extend([line["script"]] if line["event"] == "attempt" else [])
    assert list(by_run.values()) == [["a", "b", "c"], ["d"], ["e"]]


def test_a_list_in_the_agents_place_logs_each_step_and_survives_its_clearing(log: Capture, path: Path) -> None:
    with log.run("Fix x") as run:
        history = run.history(HISTORY[:1])
        history.append(HISTORY[1])
        history += HISTORY[2:]
        assert history == HISTORY
        assert attempts_of(path) == [list(step) for step in HISTORY]
        history.clear()
        history.extend([("d", False, 0.0, "DUPLICATE_DETECTED")])

    assert [attempt[0] for attempt in attempts_of(path)] == ["a", "b", "c", "d"]
    assert type(copy.deepcopy(history)) is type(pickle.loads(pickle.dumps(history))) is list
    assert json.loads(json.dumps(history)) == [["d", False, 0.0, "DUPLICATE_DETECTED"]]


def test_a_log_may_be_copied_with_the_agent_that_holds_it(log: Capture, path: Path) -> None:
    other = copy.deepcopy(log)
    log.run("Fix x")
    other.run("Fix y")
    other.close()

    assert [line["issue"] for line in lines_of(path)] == ["Fix x", "Fix y"]


# ------------------------------------------------------------------------------------------------ what is no JSON


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Phase:
    target_file: str
    parameters: dict[str, object] = field(default_factory=dict)


class Model:
    def model_dump(self) -> dict[str, object]:
        return {"name": "rename"}


class Number:
    def item(self) -> float:
        return 0.5


class Bare:
    def __repr__(self) -> str:
        return "<bare>"


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError("not now")


class Word(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "otherwise"


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)
SHARED = [1]
DEEP: list[object] = []
for _ in range(5000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("value", "told", "note"),
    [
        (float("nan"), "nan", "nan became text"),
        (float("-inf"), "-inf", "-inf became text"),
        (2**64, "0x10000000000000000", "a number over 64 bits became text"),
        (10**5000, hex(10**5000), "a number over 64 bits became text"),
        ("a\udc80b", "a\\udc80b", "half a character (a lone surrogate) became its escape"),
        ({"\ud800": 1}, {"\\ud800": 1}, "half a character (a lone surrogate) became its escape"),
        (b"caf\xe9", "caf\\xe9", "<bytes> became plain"),
        ({1: "a", "1": "b", None: "c"}, {"1": "a", "1_": "b", "None": "c"}, "a key became text"),
        ({3, 1, 2}, [1, 2, 3], "<set> became plain"),
        (Colour.RED, "red", "<Colour> became plain"),
        (Phase("x.py", {"a": (1, 2)}), {"target_file": "x.py", "parameters": {"a": [1, 2]}}, "<Phase> became plain"),
        (Model(), {"name": "rename"}, "<Model> became plain"),
        (Number(), 0.5, "<Number> became plain"),
        (date(2026, 3, 1), "2026-03-01", "<date> became plain"),
        (Bare(), "<bare>", "<Bare> became plain"),
        (Mute(), "<Mute>", "<Mute> could not be read"),
        ([Mute(), 1], ["<Mute>", 1], "<Mute> could not be read"),
        (io.StringIO, "<class '_io.StringIO'>", "<type> became plain"),
        (CIRCLE, ["<list>"], "left out as too deep, too large or a circle"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_json_is_made_safe_and_said_so(
    log: Capture, path: Path, value: object, told: object, note: str
) -> None:
    log.run("Fix x", mine=value)

    [line] = lines_of(path)
    assert (line["mine"], line["made_safe"]) == (told, [f"mine: {note}"])


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**63),
        0.1,
        "a\u2028b\x00é🙂",
        [1, [2]],
        (1, 2),
        {"a": {"b": []}},
        [SHARED, SHARED],
        Word("word"),
    ],
)
def test_what_is_json_is_left_as_it_is(log: Capture, path: Path, value: object) -> None:
    log.run("Fix x", mine=value)

    [line] = lines_of(path)
    assert line.get("mine") == (list(value) if isinstance(value, tuple) else value)
    assert "made_safe" not in line


def test_endless_depth_and_endless_width_end(log: Capture, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patchsift_capture, "_MOST_VALUES", 1000)
    wide: list[object] = [1]
    for _ in range(50):
        wide = [wide, wide]
    log.run("deep", mine=DEEP)
    log.run("wide", mine=wide)

    assert [line["made_safe"] for line in lines_of(path)] == [["mine: left out as too deep, too large or a circle"]] * 2
    assert log.n_lost == 0


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(st.characters()) | st.integers() | st.none(), inner)
    ),
    max_leaves=10,
)


@given(about=st.dictionaries(st.text(st.characters(), min_size=1), values, max_size=4))
def test_whatever_is_told_makes_a_line_that_is_read(
    about: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / "capture.jsonl"
    log = Capture(path)
    log.run().tell("mine", **{name: one for name, one in about.items() if name != "self"})
    log.close()

    assert (len(lines_of(path)), log.n_lost) == (2, 0)


# ------------------------------------------------------------------------------------------------ never failing


def folder_in_the_way(path: Path) -> None:
    path.mkdir(parents=True)


def file_for_a_folder(path: Path) -> None:
    path.parent.write_bytes(b"")


def no_ordinary_file(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to("/dev/null")


@pytest.mark.parametrize("obstacle", [folder_in_the_way, file_for_a_folder, no_ordinary_file])
def test_a_log_that_cannot_be_written_costs_the_agent_nothing_but_the_log(
    path: Path, caplog: pytest.LogCaptureFixture, obstacle: Callable[[Path], None]
) -> None:
    obstacle(path)
    log = Capture(path)
    with log.run("Fix x") as run:
        run.attempt("a", True)
        run.final("a")
    log.adapt(HISTORY)
    log.close()

    assert log.n_lost == 4 + 5
    [warned] = caplog.records
    assert (warned.name, warned.levelno) == ("patchsift_capture", logging.WARNING)
    assert str(path) in warned.getMessage()


def test_a_call_with_wrong_arguments_does_not_reach_the_agent(log: Capture) -> None:
    anything: Any = log.run("Fix x")
    anything.prompt()
    anything.attempt("a", True, 0.5, None, "repair", "one too many")
    log.adapt(None)  # type: ignore[arg-type]
    log.spec_pair("a", [1], "b")  # type: ignore[list-item]

    assert log.n_lost == 4


def test_a_logger_that_raises_does_not_either(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError(record)

    folder_in_the_way(path)
    logger = logging.getLogger("patchsift_capture")
    monkeypatch.setattr(logger, "handlers", [Raising()])
    log = Capture(path)
    log.run("Fix x")

    assert log.n_lost == 1


def test_a_full_disk_loses_what_did_not_fit_and_nothing_after(tmp_path: Path) -> None:
    source = """
import json, resource
from patchsift_capture import Capture

log = Capture("log/capture.jsonl")
log.run("first")
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
log.run("x" * 1000)
log.run("y" * 1000)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
log.run("last")
print(log.n_lost)
"""
    ended = run_python(source, tmp_path)

    assert ended.stdout == "2\n", ended.stderr
    first, *broken, last = (tmp_path / "log/capture.jsonl").read_bytes().splitlines()
    assert (json.loads(first)["issue"], json.loads(last)["issue"]) == ("first", "last")
    assert all(line == b"" or line.endswith(b"xxx") for line in broken)


# ------------------------------------------------------------------------------------------------ never losing


def test_threads_write_whole_lines(log: Capture, path: Path) -> None:
    def work(name: str) -> None:
        with log.run(name) as run:
            for n in range(100):
                run.attempt(f"{name} {n} " + "x" * 3000, n == 99)

    threads = [threading.Thread(target=work, args=(f"run {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    by_run: dict[str, list[int]] = {}
    for line in lines_of(path):
        by_run.setdefault(line["run"], []).append(line["seq"])
    assert list(by_run.values()) == [list(range(102))] * 8


def test_a_line_that_was_cut_does_not_take_the_next_with_it(path: Path, log: Capture) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"patchsift_capture": 1, "ev')
    log.run("first")
    with path.open("ab") as other:
        other.write(b'{"patchsift')
    log.run("second")

    lines = path.read_bytes().split(b"\n")
    assert [json.loads(line)["issue"] for line in (lines[1], lines[3])] == ["first", "second"]


def test_a_forked_child_writes_and_pushes_for_itself(tmp_path: Path) -> None:
    with serving() as server:
        source = """
import os, sys
from patchsift_capture import Capture

log = Capture("log/capture.jsonl", push=sys.argv[1])
log.run("parent before")
child = os.fork()
for n in range(50):
    log.run(f"{'child' if child == 0 else 'parent'} {n}")
if child == 0:
    log.close()
    os._exit(log.n_lost)
_, status = os.waitpid(child, 0)
sys.exit(status or log.n_lost)
"""
        ended = run_python(source, tmp_path, server.address)

        assert ended.returncode == 0, ended.stderr
        issues = [line["issue"] for line in lines_of(tmp_path / "log/capture.jsonl")]
        assert sorted(issues) == sorted(
            ["parent before", *(f"{who} {n}" for who in ("child", "parent") for n in range(50))]
        )
        assert set(server.issues()) == set(issues)


def test_a_folder_of_its_own_is_ignored_by_git_and_another_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name in ("new/deep", "there"):
        log = Capture(tmp_path / name / "capture.jsonl")
        log.run("Fix x")
        log.close()

    assert (tmp_path / "new/deep/.gitignore").read_text(encoding="utf-8") == "*\n"
    assert not (tmp_path / "new/.gitignore").exists()
    assert not (tmp_path / "there/.gitignore").exists()


@pytest.mark.parametrize("n_kept", [0, 1, 3])
def test_a_log_that_a_rollback_took_back_is_written_again(path: Path, log: Capture, n_kept: int) -> None:
    """`git reset --hard` puts an earlier version in the place of a log that somebody committed, or none."""
    for n in range(3):
        log.run(f"before {n}")
    committed = b"".join(path.read_bytes().splitlines(keepends=True)[:n_kept])
    path.unlink()
    path.write_bytes(committed)
    log.run("after")

    assert [line["issue"] for line in lines_of(path)] == ["before 0", "before 1", "before 2", "after"]


def test_what_another_wrote_in_the_place_of_a_deleted_log_stays(path: Path, log: Capture) -> None:
    log.run("before, and longer than the other")
    path.unlink()
    path.write_bytes(b'{"issue": "other"}\n')
    log.run("after")

    assert [line["issue"] for line in lines_of(path)] == ["other", "before, and longer than the other", "after"]


def test_a_log_that_was_deleted_is_written_again_at_the_end_at_the_latest(path: Path, log: Capture) -> None:
    log.run("before")
    path.unlink()
    path.parent.joinpath(".gitignore").unlink()
    path.parent.rmdir()
    log.close()

    assert [line["issue"] for line in lines_of(path)] == ["before"]


def test_a_log_that_was_moved_away_is_begun_anew(path: Path, log: Capture) -> None:
    log.run("before")
    path.rename(path.with_suffix(".1"))
    log.run("after")

    assert [line["issue"] for line in lines_of(path)] == ["after"]
    assert [line["issue"] for line in lines_of(path.with_suffix(".1"))] == ["before"]


def test_a_log_stays_where_it_was_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = Capture("capture.jsonl")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    log.run("Fix x")
    log.close()

    assert len(lines_of(tmp_path / "capture.jsonl")) == 1


# ------------------------------------------------------------------------------------------------ pushing


@dataclass
class Server:
    """A server that takes lines as it is told to: `moods` are answers, the last one for ever."""

    moods: list[int | str]
    address: str = ""
    taken: list[bytes] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    ended: threading.Event = field(default_factory=threading.Event)

    def issues(self) -> list[str]:
        """The issues of the lines that were taken, in order."""
        return [json.loads(line).get("issue") for body in self.taken for line in body.splitlines()]

    def wait_for(self, wanted: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(wanted, timeout=60)

    def answer(self, body: bytes) -> int | str:
        with self.changed:
            mood = self.moods.pop(0) if len(self.moods) > 1 else self.moods[0]
            if mood == "small":
                mood = 413 if len(body) > 1000 else 200
            if mood == 200:
                self.taken.append(body)
            self.changed.notify_all()
        if mood == "hang":
            self.ended.wait()
        return mood


class serving:  # noqa: N801 - a context manager
    """A real HTTP server in the mood given."""

    def __init__(self, *moods: int | str) -> None:
        self.state = state = Server(list(moods) or [200])

        class Asked(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with state.changed:
                    state.asked.append((self.path, self.headers["Authorization"]))
                mood = state.answer(body)
                if isinstance(mood, str) and mood != "page":
                    return
                self.send_response(mood if isinstance(mood, int) else 200)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(b"<h1>Log in</h1>" if mood == "page" else b'{"new": 1}')

            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Asked)
        self.http.daemon_threads = False
        state.address = f"http://127.0.0.1:{self.http.server_port}"

    def __enter__(self) -> Server:
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self.state

    def __exit__(self, *_: object) -> None:
        self.state.ended.set()
        self.http.shutdown()
        self.http.server_close()


def test_lines_are_pushed_while_the_agent_runs(path: Path) -> None:
    with serving() as server:
        log = Capture(path, push=server.address + "/", token="secret")
        with log.run("first"):
            server.wait_for(lambda: "first" in server.issues())
        log.run("second")
        server.wait_for(lambda: "second" in server.issues())
        log.close()

        assert set(server.asked) == {("/api/v1/ingest?name=capture.jsonl", "Bearer secret")}
        assert b"".join(server.taken) == path.read_bytes()


@pytest.mark.parametrize("trouble", [500, 503, 401, 404, 429, 302, 307, "page", "drop"])
def test_what_a_server_does_not_take_is_sent_again_until_it_does(path: Path, trouble: int | str) -> None:
    with serving(trouble, trouble, trouble, 200) as server:
        log = Capture(path, push=server.address)
        for n in range(20):
            log.run(f"run {n}")
        server.wait_for(lambda: len(server.issues()) == 20)
        log.close()

        assert b"".join(server.taken) == path.read_bytes()
        assert log.n_lost == 0
        assert {path for path, _ in server.asked} == {"/api/v1/ingest?name=capture.jsonl"}


def test_an_agent_runs_to_its_end_beside_a_server_that_never_answers(tmp_path: Path) -> None:
    source = """
import sys
from patchsift_capture import Capture

log = Capture("log/capture.jsonl", push=sys.argv[1])
for n in range(500):
    with log.run(f"run {n}") as run:
        run.attempt("x" * 1000, True)
print(log.n_lost)
"""
    with serving("hang") as server:
        ended = run_python(source, tmp_path, server.address)

        assert (ended.returncode, ended.stdout) == (0, "0\n"), ended.stderr
        assert len(lines_of(tmp_path / "log/capture.jsonl")) == 1500
        assert server.taken == []


def test_an_agent_runs_to_its_end_without_a_server(tmp_path: Path) -> None:
    source = """
from patchsift_capture import Capture
log = Capture("log/capture.jsonl", push="http://127.0.0.1:9")
log.run("Fix x")
"""
    ended = run_python(source, tmp_path)

    assert ended.returncode == 0
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("http://127.0.0.1:9 does not take the capture log (it is tried again)")


@pytest.mark.parametrize("address", ["nonsense", "ftp://127.0.0.1", "http://[", "http://a b", "file:///etc/passwd"])
def test_an_address_that_is_none_harms_nobody(path: Path, address: str) -> None:
    log = Capture(path, push=address)
    log.run("Fix x")
    log.close()

    assert (len(lines_of(path)), log.n_lost) == (1, 0)


def test_the_next_program_sends_what_the_last_one_could_not(path: Path) -> None:
    with serving(500, 500, 500, 200) as server:
        log = Capture(path, push=server.address)
        log.run("first")
        log.close()
        again = Capture(path, push=server.address)
        server.wait_for(lambda: server.issues() == ["first"])
        again.run("second")
        again.close()
        third = Capture(path, push=server.address)
        third.run("third")
        third.close()

        assert server.issues() == ["first", "second", "third"]


def test_another_server_gets_the_whole_file(path: Path) -> None:
    for _ in range(2):
        with serving() as server:
            log = Capture(path, push=server.address)
            log.run("Fix x")
            log.close()
            assert b"".join(server.taken) == path.read_bytes()


def test_a_server_that_takes_little_gets_little_at_a_time(path: Path) -> None:
    first = Capture(path)
    for n in range(20):
        first.run(f"run {n}")
    first.run("too large for that server " + "x" * 2000)
    first.run("last")
    first.close()

    with serving("small") as server:
        log = Capture(path, push=server.address)
        server.wait_for(lambda: "last" in server.issues())
        log.close()

        assert server.issues() == [*(f"run {n}" for n in range(20)), "last"]


def test_half_a_line_waits_for_its_other_half(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"issue": "whole"}\n{"issue": "ha')
    with serving() as server:
        log = Capture(path, push=server.address)
        server.wait_for(lambda: server.issues() == ["whole"])
        with path.open("ab") as writer:
            writer.write(b'lf"}\n')
        log.run("last")
        log.close()

        assert server.issues() == ["whole", "half", "last"]


def test_a_rotation_keeps_no_line_from_the_server(path: Path) -> None:
    with serving(500, 500, 200) as server:
        log = Capture(path, push=server.address)
        for n in range(5):
            log.run(f"run {n}")
            path.rename(path.with_suffix(f".{n}"))
        log.run("last")
        server.wait_for(lambda: "last" in server.issues())
        log.close()

        assert server.issues() == [*(f"run {n}" for n in range(5)), "last"]


def test_a_rollback_keeps_no_line_from_the_server(path: Path) -> None:
    with serving(500, 500, 200) as server:
        log = Capture(path, push=server.address)
        for n in range(5):
            log.run(f"run {n}")
            path.unlink()
        log.run("last")
        server.wait_for(lambda: "last" in server.issues())
        log.close()

        assert set(server.issues()) == {*(f"run {n}" for n in range(5)), "last"}


@pytest.mark.parametrize("side", [b"", b"{}", b"[]", b'{"offset": "x"}', b"\xff", b'{"offset": 9999999}'])
def test_a_damaged_note_of_how_far_it_was_sends_it_all_again(path: Path, side: bytes) -> None:
    with serving() as server:
        for _ in range(2):
            log = Capture(path, push=server.address)
            log.run("Fix x")
            log.close()
            Path(f"{path}.pushed").write_bytes(side)

        assert set(b"".join(server.taken).splitlines()) == set(path.read_bytes().splitlines())


def test_a_file_that_was_cut_back_is_sent_from_its_beginning(path: Path) -> None:
    with serving() as server:
        log = Capture(path, push=server.address)
        log.run("first")
        log.run("second")
        server.wait_for(lambda: len(server.issues()) == 2)
        os.truncate(path, 0)
        log.run("third")
        server.wait_for(lambda: "third" in server.issues())
        log.close()

        assert server.issues()[2:] == ["third"]


# ------------------------------------------------------------------------------------------------ the documentation


EXAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "agent_with_capture.py"


def test_the_example_logs_what_each_model_learns_from(tmp_path: Path) -> None:
    with serving() as server:
        ended = run_python(EXAMPLE.read_text(encoding="utf-8"), tmp_path, "--push", server.address)

        assert (ended.returncode, ended.stderr) == (0, "")
        assert b"".join(server.taken) == (tmp_path / ".agent_data/patchsift/capture.jsonl").read_bytes()

    lines = lines_of(tmp_path / ".agent_data/patchsift/capture.jsonl")
    pairs = [one for line in lines if not reader.is_run_event(line) for one in reader.read(line, Given())]
    assert [one.kind for one in pairs] == [Kind.SPEC, Kind.STYLE_REFINE, Kind.STYLE_UNIFY]
    captured, adapted = (
        reader.read_run([line for line in lines if line.get("run") == run_id], Given())
        for run_id in dict.fromkeys(line["run"] for line in lines if "run" in line)
    )
    for said in (captured, adapted):
        assert said.run is not None
        assert [(one.stage, one.validity) for one in said.run.attempts] == [
            (Stage.SCAFFOLD, Validity.INVALID),
            (Stage.REPAIR, Validity.VALID),
            (Stage.POLISH, Validity.VALID),
        ]
        assert (said.run.outcome, said.run.cut_short, said.run.direction) == ("success", False, Direction.HIGHER)
    assert captured.run is not None
    assert list(captured.run.prompts) == ["scaffold", "repair", "polish"]
    assert (captured.diff or "").startswith("--- hello.py\n+++ hello.py\n")
    assert (captured.issue, captured.script, captured.target_files) == (
        adapted.issue,
        adapted.script,
        adapted.target_files,
    )


def test_the_example_runs_where_agents_run() -> None:
    ast.parse(EXAMPLE.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_the_page_about_the_lines_names_every_field_that_is_written(log: Capture, path: Path) -> None:
    page = (EXAMPLE.parent.parent / "capture.md").read_text(encoding="utf-8")
    with log.run("Fix x", ["x.py"], [], {}, {}, "m") as run:
        run.prompt("repair", "p", "m")
        run.attempt("a", True, 1.0, "no", "repair")
        run.final("a", "d", "s")
    log.adapt([], outcome="failed", error="no")
    log.spec_pair("i", "s", "y", accepted=True, error="no")
    log.style_refine("c", {}, "r")
    log.style_unify([], {}, "no")

    for line in lines_of(path):
        _, _, row = page.rpartition(f"| `{line['event']}`")
        named = "`event`, `run`, `seq`, `at`, `patchsift_capture`, `more`" + row.partition("\n")[0]
        assert [name for name in line if f"`{name}`" not in named] == [], line["event"]


# ------------------------------------------------------------------------------------------------ the file itself


def test_the_module_is_one_file_for_python_3_9_that_needs_nothing_else() -> None:
    tree = ast.parse(MODULE.read_text(encoding="utf-8"), feature_version=(3, 9))
    imported = [
        name.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    ]

    assert {(name or "").partition(".")[0] for name in imported} <= sys.stdlib_module_names
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Match)]


def test_users_get_the_module_from_their_own_server(client: TestClient) -> None:
    answer = client.get("/static/patchsift_capture.py")

    assert answer.status_code == 200
    assert answer.content == MODULE.read_bytes()
