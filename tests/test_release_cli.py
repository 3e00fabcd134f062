"""Releases, benchmark and project from a terminal: exit statuses, sentences, and what a script reads."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from datetime import timedelta
from pathlib import Path

import pytest

from app import jobs, worker
from app.cli import app, main
from app.cli.releases import freeze
from app.cli.terminal import now
from app.errors import NotFoundError
from app.gates import GATES
from app.models import JobState
from tests.commands import ROOT, Ended, call
from tests.logs import line
from tests.releasing import Desk, installed
from tests.test_cli import write
from tests.test_tokens import as_bytes as tokenizer_json


@pytest.fixture(params=["sqlite", "postgres"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    folder = tmp_path / "desk"
    folder.mkdir()
    with installed(request.param, request, folder) as made:
        yield made


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """One on SQLite, for what does not hang on the database."""
    folder = tmp_path / "desk"
    folder.mkdir()
    with installed("sqlite", request, folder) as made:
        yield made


def options(desk: Desk) -> list[str]:
    url = desk.settings.database_url
    return ["--data-dir", str(desk.settings.data_dir), *(["--database-url", url] if url else [])]


def run(desk: Desk, *words: object) -> Ended:
    """What the console script does with these words, in this process: a start costs more than most commands."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(lambda: app([*map(str, words), *options(desk)]))
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Ended(status, out.getvalue(), err.getvalue())


def change(issue: str, **more: object) -> bytes:
    """A log line whose diff is no near-duplicate of another's."""
    word = issue.replace(" ", "_")
    diff = f"--- a/src/x.py\n+++ b/src/x.py\n@@ -1,2 +1,2 @@\n def f():\n-    return {word}\n+    return {word}_2\n"
    return line(issue, **{"successful_diff_summary": diff} | more)


def fill(desk: Desk, n: int = 5) -> Path:
    """Some accepted candidates; gives the log that they come from."""
    log = write(desk.folder.parent / "log.jsonl", b"".join(change(f"Issue {k}") + b"\n" for k in range(n)))
    desk.take(log)
    desk.accept_all()
    return log


def test_a_release_is_previewed_frozen_verified_compared_and_withdrawn(desk: Desk) -> None:
    log = fill(desk)

    seen = run(desk, "release", "preview", "--json")
    made = run(desk, "release", "create", "--name", "nightly", "--seed", 7, "--filter", "status=accepted", "--json")
    shown = run(desk, "release", "show", "latest", "--json").json

    assert (seen.status, made.status, made.json["number"], made.json["state"]) == (0, 0, 1, "frozen")
    assert {"number", "name", "state", "counts", "job"} <= made.json.keys()
    assert "Release 1: " in made.err
    counts = {f"{one['role']}/{one['task']}/{one['objective']}": one for one in seen.json["datasets"]}
    assert {name: one["rows"] for name, one in made.json["counts"]["datasets"].items()} == {
        name: one["rows"] for name, one in counts.items()
    }
    assert counts["llm/scaffold/sft"]["rows"] == 5
    assert (seen.json["difference"], "samples" in counts["llm/scaffold/sft"]) == (None, False)
    assert shown["manifest"]["order"]["seed"] == 7
    assert shown["asked"] == {"name": "nightly", "filter": {"status": "accepted"}, "split": {"seed": 7}}

    whole = run(desk, "release", "verify", 1, "--logs", log, "--json")
    assert (whole.status, whole.json["whole"], whole.json["n_faults"]) == (0, True, 0)
    assert whole.json["checked"]["origins"] == 5
    again = run(desk, "release", "rebuild", 1)
    assert (again.status, again.out) == (0, "")
    assert "Release 1 comes out byte for byte" in again.err

    desk.read(change("One more"))
    desk.accept_all()
    assert run(desk, "release", "create").status == 0
    found = run(desk, "release", "diff", 1, "latest", "--json")
    assert found.json["datasets"]["llm/scaffold/sft"] == {"added": 1, "removed": 0, "changed": 0, "moved": 0}
    assert found.json["added"] == sum(one["what"] == "added" for one in found.json["examples"]) > 1
    cut = run(desk, "release", "diff", 1, "latest", "--limit", 1)
    assert cut.out.count("added    ") == 1
    assert "The first 1 of each kind are named" in cut.err

    withdrawn = run(desk, "release", "withdraw", 2, "--why", "wrong filter", "--json")
    assert (withdrawn.json["state"], withdrawn.json["withdrawn_why"]) == ("withdrawn", "wrong filter")
    assert run(desk, "release", "show", "latest", "--json").json["number"] == 1
    listed = run(desk, "release", "list", "--json").json["releases"]
    assert [(one["number"], one["state"]) for one in listed] == [(2, "withdrawn"), (1, "frozen")]
    assert run(desk, "export", "--list", "--release", 1, "--json").json["exports"][0]["n_rows"] == 5


def test_a_fault_is_a_line_with_its_place_and_exit_status_1(small: Desk) -> None:
    fill(small)
    small.create()
    small.work()
    folder = small.open(1).folder
    with (folder / "README.md").open("ab") as file:
        file.write(b"\x1b[2J")

    ended = run(small, "release", "verify", 1)

    assert ended.status == 1
    assert "README.md: " in ended.out
    assert "Release 1 is not whole: " in ended.err
    assert "\x1b" not in ended.out + ended.err


def test_a_manifest_that_is_another_than_was_frozen_is_told(small: Desk) -> None:
    fill(small)
    for _ in range(2):
        small.create(name="same")
        small.work()
    first, second = small.open(1).folder, small.open(2).folder
    for path in sorted(second.rglob("*")):
        if path.is_file():
            (first / path.relative_to(second)).write_bytes(path.read_bytes())

    ended = run(small, "release", "verify", 1, "--json")

    assert ended.status == 1
    assert ended.json["faults_by_code"] == {"replaced": 1}


def test_held_back_rows_are_listed_by_gate_and_dataset(small: Desk) -> None:
    fill(small, 2)
    small.read(change("Gone", successful_script=None, successful_script_hash="-0x1f"))
    small.accept_all()
    small.create()
    small.work()

    told = run(small, "release", "show", 1, "--gate", "hash_only", "--dataset", "llm/scaffold/sft", "--json")
    none = run(small, "release", "show", 1, "--held", "--gate", "secret")
    seen = run(small, "release", "preview", "--held", "--samples", "--json").json

    [row] = told.json["held"]
    assert (row["dataset"], row["gates"][0]["gate"], told.json["after"]) == ("llm/scaffold/sft", "hash_only", None)
    assert (none.status, none.out) == (0, "")
    assert row in seen["held"]
    assert seen["datasets"][0]["samples"][0]["row"]["completion"]


def test_what_is_not_waited_for_is_done_by_the_worker(small: Desk) -> None:
    fill(small)

    made = run(small, "release", "create", "--no-wait", "--json")

    assert (made.status, made.json["state"], made.json["counts"]) == (0, "queued", {})
    assert "waits for a worker" in made.err
    small.work()
    assert run(small, "release", "show", 1, "--json").json["state"] == "frozen"


def test_a_release_without_rows_says_why(small: Desk) -> None:
    ended = run(small, "release", "create", "--json")

    assert (ended.status, ended.json["state"]) == (1, "failed")
    assert "Release 1 is failed: Nothing is accepted or edited yet" in ended.err


def test_a_release_that_a_worker_took_is_followed_to_its_end(desk: Desk) -> None:
    fill(desk)
    number, job = desk.create(), 0
    with desk.db.write() as session:
        taken = jobs.claim(session, "worker", now=now())
        assert taken is not None
        job = taken.id or 0
    at_work = threading.Timer(0.5, worker.run_one, (desk.db, desk.settings, taken, lambda: False))
    at_work.start()

    freeze(desk.db, desk.settings, desk.project, number, job, quiet=True)

    assert desk.row(number).state == "frozen"
    assert desk.job(number).worker == "worker"
    at_work.join()


def test_a_release_whose_command_was_killed_is_taken_up_by_the_next(desk: Desk) -> None:
    fill(desk)
    first = desk.create()
    with desk.db.write() as session:
        jobs.claim(session, "command that is gone", now=now() - timedelta(hours=1))

    made = call("release", "create", "--json", *options(desk))

    assert (made.status, made.json["number"], made.json["state"]) == (0, first + 1, "frozen")
    assert desk.row(first).state == "frozen"


def test_ctrl_c_cancels_this_release_and_no_other(small: Desk) -> None:
    fill(small)
    first = small.create()
    with small.db.write() as session:
        busy = jobs.claim(session, "worker", now=now() + timedelta(minutes=10))  # at work for long
        assert busy is not None
    command = [sys.executable, "-m", "app.cli", "release", "create", "--json", *options(small)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as waiting:
        until(lambda: state_of_job(small, first + 1) == JobState.RUNNING)
        os.kill(waiting.pid, signal.SIGINT)
        out, err = waiting.communicate(timeout=60)

    assert (waiting.returncode, json.loads(out)["state"]) == (1, "failed")
    assert b"Release 2 is failed: Cancelled." in err
    assert b"Traceback" not in err
    assert small.job(first + 1).state == JobState.CANCELLED
    assert small.job(first).state == JobState.RUNNING
    assert not list((small.settings.data_dir / "releases").rglob("*.jsonl"))

    worker.run_one(small.db, small.settings, busy, lambda: False)
    assert small.row(first).state == "frozen"
    assert run(small, "release", "create", "--json").json["number"] == first + 2


def state_of_job(desk: Desk, number: int) -> str:
    try:
        return desk.job(number).state
    except NotFoundError:
        return ""


def until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["show", "7"], "There is no release 7 here."),
        (["show", "latest"], "There is no release yet."),
        (["show", "../1"], "There is no release ../1 here."),
        (["verify", "1", "--logs", "nowhere"], "nowhere is not there."),
        (["create", "--filter", "status=pending"], "Only accepted, edited and rejected candidates are released"),
        (["create", "--filter", "sta=x"], "A filter has no 'sta'"),
        (["create", "--filter", "q=a&q=b"], "names a field twice"),
        (["create", "--by", "moon"], "by"),
        (["create", "--test-from", "2026-01-01"], "--by time"),
        (["create", "--by", "time"], "validation_from"),
        (["preview", "--held", "--gate", "moon"], "No gate is called 'moon'"),
        (["preview", "--held", "--dataset", "moon"], "No dataset is called 'moon'"),
        (["withdraw", "7", "--why", "x"], "There is no release 7 here."),
    ],
)
def test_what_cannot_be_is_a_sentence(small: Desk, words: list[str], sentence: str) -> None:
    ended = run(small, "release", *words)

    assert (ended.status, ended.out) == (1, "")
    assert sentence in ended.err


# ------------------------------------------------------------------------------------------------ project, benchmark


def test_what_is_not_named_stays_as_it_is(desk: Desk) -> None:
    before = run(desk, "project", "show", "--json").json["settings"]
    budget = {"role": "llm", "name": "qwen", "total_tokens": 8192}

    run(desk, "project", "set", "--shares", "0.9,0.05,0.05", "--licence-required")
    run(desk, "project", "set", "--seed", 7, "--budget", json.dumps(budget), "--overlap", '{"n": 10}')
    more = run(desk, "project", "set", "--budget", json.dumps(budget | {"total_tokens": 4096}), "--json").json

    assert more["split"]["shares"] == {"train": 0.9, "validation": 0.05, "test": 0.05}
    assert (more["split"]["seed"], more["licence_required"]) == (7, True)
    assert more["overlap"] == before["overlap"] | {"n": 10}
    kept = [(one["name"], one["total_tokens"]) for one in more["budgets"]]
    assert kept == [(one["name"], one["total_tokens"]) for one in before["budgets"]] + [("qwen", 4096)]
    without = run(desk, "project", "set", "--drop-budget", "qwen", "--no-licence-required", "--json").json
    assert (without["budgets"], without["licence_required"]) == (before["budgets"], False)
    text = run(desk, "project", "show")
    assert "under 0.9 train" in text.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["project", "set"], "Say what to change"),
        (["project", "set", "--shares", "0.9,0.1"], "three numbers"),
        (["project", "set", "--shares", "0.9,0.1,0.1"], "share"),
        (["project", "set", "--budget", "{"], "--budget is no JSON object"),
        (["project", "set", "--budget", '{"role": "moon", "name": "x"}'], "role must be one of"),
        (["project", "set", "--drop-budget", "moon"], "There is no budget called 'moon'"),
        (["project", "tokenizer", "nowhere", "--role", "llm", "--name", "x"], "cannot be read"),
        (["benchmark", "freeze", "--filter", ""], "This filter finds everything"),
        (["benchmark", "freeze", "--filter", "q=moon"], "The filter finds no candidate"),
        (["benchmark", "add", "nowhere", "--as", "texts"], "cannot be read"),
        (["benchmark", "remove", "9f"], "No file starts with '9f'"),
    ],
)
def test_a_setting_that_cannot_be_is_a_sentence(small: Desk, words: list[str], sentence: str) -> None:
    ended = run(small, *words)

    assert (ended.status, ended.out) == (1, "")
    assert sentence in ended.err


def test_a_tokenizer_counts_exactly_from_now_on(small: Desk, tmp_path: Path) -> None:
    fill(small, 2)
    path = write(tmp_path / "tokenizer.json", tokenizer_json())

    said = run(small, "project", "tokenizer", path, "--role", "llm", "--name", "toy", "--answer-tokens", 3, "--json")
    made = run(small, "release", "create", "--json")

    [budget] = [one for one in said.json["budgets"] if one["name"] == "toy"]
    assert (budget["answer_tokens"], budget["tokenizer"]) == (3, hashlib.sha256(path.read_bytes()).hexdigest())
    assert made.json["counts"]["datasets"]["llm/scaffold/sft"] == {"rows": 0, "held": 2}
    assert made.json["counts"]["held_by_gate"]["over_budget"] >= 2
    [file] = run(small, "project", "show", "--json").json["files"]
    assert (file["kind"], file["name"]) == ("tokenizer", "toy.json")


def test_what_a_benchmark_names_is_held_back_until_its_file_is_removed(small: Desk, tmp_path: Path) -> None:
    fill(small, 2)
    small.read(change("As in pallets/flask#4045, it fails"))
    small.accept_all()
    listed = write(tmp_path / "list.txt", b"pallets__flask-4045\n")

    kept = run(small, "benchmark", "add", listed, "--as", "block-list", "--json")
    small.create()
    small.work()
    more = run(small, "benchmark", "add", write(tmp_path / "more.txt", b"pallets/click *\n"), "--as", "block-list")
    again = run(small, "release", "rebuild", 1)  # with what it looked for then
    gone = run(small, "benchmark", "remove", kept.json["sha256"][:8], "--json")
    without = run(small, "release", "rebuild", 1)

    assert (more.status, again.status, again.out) == (0, 0, "")
    assert (without.status, f"with the digest {kept.json['sha256']}" in without.err) == (1, True)
    assert (kept.status, kept.json["kind"], kept.json["name"]) == (0, "block_list", "list.txt")
    [row] = [one for one in small.open(1).held if one["dataset"] == "llm/scaffold/sft"]
    assert row["gates"][0]["gate"] == "contaminated"
    assert gone.json == kept.json
    [left] = run(small, "benchmark", "show", "--json").json["files"]
    assert left["name"] == "more.txt"


def test_what_is_frozen_for_the_benchmark_never_trains(desk: Desk) -> None:
    fill(desk, 3)

    made = run(desk, "benchmark", "freeze", "--filter", 'q="Issue 1"', "--json")
    desk.create()
    desk.work()
    late = run(desk, "benchmark", "freeze", "--filter", "q=Issue", "--json")

    assert (made.status, made.json["set"], made.json["issues"]) == (0, 1, 1)
    splits = {way["split"] for way in desk.open(1).lineage("llm/scaffold/sft").values()}
    assert "benchmark" in splits
    assert (late.status, late.json["already"], len(late.json["refused"])) == (1, 1, 2)


def test_the_page_on_releases_names_every_command_and_gate() -> None:
    text = (ROOT / "docs" / "releases.md").read_text() + (ROOT / "README.md").read_text()

    for word in ("create", "preview", "list", "show", "verify", "diff", "withdraw", "rebuild"):
        assert f"release {word}" in text
    assert [code for code in GATES if f"| `{code}` | {GATES[code].title} | {GATES[code].why} |" not in text] == []
