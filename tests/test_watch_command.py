"""`patchsift watch` as a process: what it prints, how it ends, beside a server on the same data folder."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.db import Database
from app.settings import Settings
from tests.crash.servers import serving
from tests.logs import line
from tests.watchers import ROOT, watch_command, watching


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / ".agent_data").mkdir(parents=True)
    return folder


@pytest.fixture
def log(project: Path) -> Path:
    return project / ".agent_data" / "success_memory.jsonl"


def watch_once(desk: Path, folder: Path, *more: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit status, the changes on standard output, and the sentences beside."""
    command = watch_command(desk, folder, "--once", *more)
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return ran.returncode, [json.loads(said) for said in ran.stdout.splitlines()], ran.stderr


def append(log: Path, *issues: str) -> None:
    with log.open("ab") as opened:
        opened.write(b"".join(line(issue) + b"\n" for issue in issues))


def test_once_reads_what_is_there_and_ends(project: Path, log: Path, tmp_path: Path) -> None:
    append(log, "One", "Two")

    status, changes, said = watch_once(tmp_path / "desk", project)

    assert status == 0
    assert changes == [{
        "entries": 2, "name": f"{project}/.agent_data/success_memory.jsonl", "what": "new", "source": 1, "new": 2,
        "repeated": 0, "updated": 0, "quarantined": 0, "blank": 0, "message": None,
    }]  # fmt: skip
    assert "success_memory.jsonl (new): 2 lines, 2 new, 0 repeated" in said
    assert watch_once(tmp_path / "desk", project)[:2] == (0, [])


def test_once_tells_by_its_status_what_ingest_tells(project: Path, log: Path, tmp_path: Path) -> None:
    log.write_bytes(line("One") + b"\nbroken\n" + line("Two") + b"\n")
    assert watch_once(tmp_path / "desk", project)[0] == 3
    log.write_bytes(b"\xff\xfe{\x00")

    status, [change], said = watch_once(tmp_path / "desk", project)

    assert (status, change["what"]) == (1, "refused")
    assert "not UTF-8" in said


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    status, changes, said = watch_once(tmp_path / "desk", tmp_path / "nowhere")

    assert (status, changes) == (1, [])
    assert said.startswith("There is no folder")
    assert "Traceback" not in said


def test_a_format_that_is_none_is_a_sentence(project: Path, tmp_path: Path) -> None:
    status, _, said = watch_once(tmp_path / "desk", project, "--format", "csv")

    assert status == 1
    assert "There is no format 'csv'" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_follows_until_it_is_told_to_stop(project: Path, log: Path, tmp_path: Path, number: int) -> None:
    append(log, "One")
    with watching(tmp_path / "desk", project) as watch:
        assert watch.next()["what"] == "new"
        for n in range(3):
            append(log, f"More {n}")
            assert (watch.next()["what"], n) == ("grown", n)
        status, said = watch.stop(number)

    assert status == 0
    assert said.count("(grown): 1 lines, 1 new, 0 repeated") == 3
    assert "Traceback" not in said


def test_beside_a_server_and_another_watcher_nothing_is_locked_and_nothing_doubled(
    project: Path, log: Path, tmp_path: Path
) -> None:
    desk = tmp_path / "desk"
    append(log, "Issue 0")
    with serving(desk) as server, watching(desk, project) as first, watching(desk, project) as second:
        first.wait()
        second.wait()
        for n in range(1, 41):
            append(log, f"Issue {n}")
            server.ask("/api/v1/ingest?name=pushed.jsonl", raw=line(f"Pushed {n}") + b"\n" + line(f"Issue {n}") + b"\n")
            [candidate, *_] = server.ask("/api/v1/candidates?status=pending&limit=1")["candidates"]
            body = {"verdict": "accept", "version": candidate["version"], "key": f"key-{n}"}
            server.ask(f"/api/v1/candidates/{candidate['id']}/decisions", body)
        said = [watch.stop(signal.SIGTERM) for watch in (first, second)]
    assert watch_once(desk, project)[0] == 0

    assert [(status, "locked" in told or "Traceback" in told) for status, told in said] == [(0, False)] * 2
    db = Database(Settings(data_dir=desk))
    with db.read() as session:
        titles = [title for (title,) in session.connection().exec_driver_sql("SELECT title FROM candidate")]
    db.close()
    assert sorted(titles) == sorted([f"Issue {n}" for n in range(41)] + [f"Pushed {n}" for n in range(1, 41)])
