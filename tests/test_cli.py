"""The command line in real processes: exit statuses, what goes to which output, sentences instead of traces."""

import gzip
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app import __version__
from app.settings import Settings
from tests.commands import ROOT, Ended, call
from tests.logs import line


@dataclass(frozen=True)
class Desk:
    """A command line on one installation."""

    options: tuple[str, ...]

    def __call__(self, *words: object, given: bytes = b"") -> Ended:
        return call(*words, *self.options, given=given)


@pytest.fixture
def desk(settings: Settings) -> Desk:
    url = ("--database-url", settings.database_url) if settings.database_url else ()
    return Desk(("--data-dir", str(settings.data_dir), *url))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder that is not there yet, on SQLite."""
    return tmp_path / "fresh"


@pytest.fixture
def made(folder: Path, sqlite_template: Path) -> Path:
    """A data folder with an installation that holds nothing, on SQLite."""
    folder.mkdir()
    shutil.copy(sqlite_template, folder / "patchsift.db")
    return folder


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_log_goes_in_and_is_looked_at(desk: Desk, tmp_path: Path) -> None:
    sound = write(tmp_path / "a.jsonl", line("One") + b"\n" + line("Two") + b"\n")
    broken = write(tmp_path / "b.jsonl", b'{"a": NaN}\n' + line("Three") + b"\n")

    read = desk("ingest", sound)
    assert (read.status, read.out) == (0, "")
    assert read.err == (
        f"{sound}: 2 lines, 2 new, 0 repeated\n2 candidates: entries that speak of one change are one.\n"
    )
    held = desk("ingest", "--json", sound, broken)
    assert held.status == 3
    expected = {"entries": 4, "new": 1, "repeated": 2, "quarantined": 1, "blank": 0, "candidates": 1, "job": None}
    assert expected.items() <= held.json.items()
    assert [one["name"] for one in held.json["files"]] == [str(sound), str(broken)]

    listed = desk("quarantine", "list", "--json").json
    assert listed["quarantined"] == 1
    [one] = listed["lines"]
    assert (one["line"], one["offset_bytes"], one["code"]) == (1, 0, "number")
    assert one["where"] == f"{broken}:1: byte 0"
    shown = desk("quarantine", "show", one["id"])
    assert (shown.status, shown.out) == (0, '{"a": NaN}')
    assert desk("quarantine", "show", one["id"], "--json").json["raw"] == '{"a": NaN}'

    still = desk("quarantine", "retry", one["id"])
    assert still.status == 1
    assert "NaN is not JSON" in still.err
    mended = desk("quarantine", "retry", one["id"], "--with", write(tmp_path / "m", line("Mended")), "--json")
    assert (mended.status, mended.json) == (0, {"id": one["id"], "candidate": 4})

    assert desk("status", "--json").json["candidates"]["pending"] == 4
    assert desk("status", "--json").json["quarantined"] == 0
    assert "4 entries fit their digests" in desk("db", "verify").err
    assert desk("export", "--list", "--json").json["exports"][0]["n_rows"] == 0


@pytest.mark.parametrize("before", [True, False])
def test_options_may_stand_before_the_command_or_after_it(made: Path, before: bool) -> None:
    options = ("--data-dir", made, "--project", "tools")

    ended = call(*options, "status", "--json") if before else call("status", "--json", *options)

    assert ended.status == 0
    assert ended.json["project"] == "tools"
    assert ended.json["database"] == f"sqlite:///{made}/patchsift.db"


def test_an_option_after_the_command_wins_over_one_before_it_and_over_the_environment(made: Path) -> None:
    ended = call(
        "--project", "before", "status", "--project", "after", "--json",
        settings={"PATCHSIFT_PROJECT": "environment", "PATCHSIFT_DATA_DIR": str(made)},
    )  # fmt: skip

    assert ended.json["project"] == "after"


def test_standard_input_is_a_log(folder: Path) -> None:
    ended = call("ingest", "-", "--json", "--data-dir", folder, given=gzip.compress(line("One")))

    assert (ended.status, ended.json["new"]) == (0, 1)
    assert ended.json["files"][0]["name"] == "standard input"
    assert list((folder / "uploads").iterdir()) == []


def test_a_folder_gives_every_log_in_it(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "p" / ".agent_data" / "success_memory.jsonl", line("One"))
    write(tmp_path / "p" / "q" / "success_memory.jsonl.gz", gzip.compress(line("Two")))
    write(tmp_path / "p" / "notes.jsonl", b"no log")

    ended = call("ingest", tmp_path / "p", "--json", "--data-dir", folder)

    assert (ended.status, ended.json["new"], len(ended.json["files"])) == (0, 2, 2)


def test_a_refused_file_does_not_stop_the_others(folder: Path, tmp_path: Path) -> None:
    program = write(tmp_path / "a.jsonl", b"\x7fELF")
    sound = write(tmp_path / "b.jsonl", line("One") + b"\nbroken\n")

    ended = call("ingest", program, tmp_path / "gone", tmp_path / "a.jsonl", sound, "--json", "--data-dir", folder)

    assert (ended.status, ended.json["new"]) == (1, 1)
    assert f"{program} is a program." in ended.err
    assert "cannot be read: No such file" in ended.err


def test_a_folder_without_logs_does_not_stop_the_others(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    sound = write(tmp_path / "b.jsonl", line("One"))

    ended = call("ingest", tmp_path / "empty", sound, "--json", "--data-dir", folder)

    assert (ended.status, ended.json["new"]) == (1, 1)
    assert "empty holds no log. Expected is a success log (success_memory.jsonl)" in ended.err


def test_the_demo_brings_twelve_patches_once(folder: Path) -> None:
    assert "12 lines, 12 new, 0 repeated" in call("demo", "--data-dir", folder).err
    assert "12 lines, 0 new, 12 repeated" in call("demo", "--data-dir", folder).err


def test_every_setting_says_where_it_comes_from_and_no_secret_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("between us\n")
    given = {
        "PATCHSIFT_PORT": "9000",
        "PATCHSIFT_DATABASE_URL": "postgresql://ann:apples@db/desk",
        "PATCHSIFT_OIDC_CLIENT_SECRET_FILE": str(tmp_path / "key"),
    }
    ended = call("config", "show", "--data-dir", folder, "--json", settings=given)

    assert ended.json.keys() == Settings.model_fields.keys()
    assert ended.json["data_dir"] == {"value": str(folder), "source": "option"}
    assert ended.json["port"] == {"value": "9000", "source": "PATCHSIFT_PORT"}
    assert ended.json["database_url"]["value"] == "postgresql+psycopg://ann:***@db/desk"
    assert ended.json["oidc_client_secret"] == {"value": "**********", "source": "PATCHSIFT_OIDC_CLIENT_SECRET_FILE"}
    assert ended.json["host"]["source"] == "default"
    shown = call("config", "show", settings=given).out
    assert ("9000  (PATCHSIFT_PORT)" in shown, "apples" in shown + ended.out, "between us" in shown) == (
        True,
        False,
        False,
    )


def test_the_doctor_says_what_runs_here(made: Path) -> None:
    ended = call("doctor", "--data-dir", made)

    assert ended.status == 0
    for fact in (f"patchsift   {__version__}", "sqlite      3.", "writable", "schema is current"):
        assert fact in ended.err


@pytest.mark.parametrize("words", [["db", "backup", "kept"], ["db", "verify"], ["status"], ["user", "list"]])
def test_where_nothing_is_nothing_is_made(folder: Path, words: list[str]) -> None:
    """A cron line that forgot the data folder must not make backups of nothing."""
    ended = call(*words, "--data-dir", folder)

    assert (ended.status, ended.out, folder.exists()) == (1, "", False)
    assert f"There is no Patchsift here: {folder / 'patchsift.db'} is not there. Say where it is" in ended.err


def test_a_project_is_made_by_no_slip_of_the_hand(desk: Desk, tmp_path: Path) -> None:
    desk("demo")
    for words in (["user", "list"], ["status"], ["project", "set", "--licence-required"], ["db", "verify"]):
        ended = desk(*words, "--project", "defualt")
        assert (ended.status, ended.out) == (1, "")
        assert "There is no project 'defualt' here. Did you mean 'default'?" in ended.err
    log = write(tmp_path / "a.jsonl", line("One"))
    assert "Project 'defaults' is new. Did you mean 'default'?" in desk("ingest", log, "--project", "defaults").err
    assert desk("project", "create", "empty").status == 0
    assert desk("project", "list", "--json").json == {"projects": ["default", "defaults", "empty"]}

    assert "Project 'defaults' holds candidates" in desk("project", "remove", "defaults").err
    assert desk("project", "remove", "empty").status == 0
    assert "There is a project 'default' already" in desk("project", "rename", "defaults", "default").err
    assert desk("project", "rename", "default", "patches").status == 0
    # Where none is named, the oldest is meant.
    assert desk("status", "--json").json["project"] == "patches"
    assert "is the project that is served" in desk("project", "remove", "patches").err
    assert desk("db", "verify").status == 0


def test_the_version_is_said(folder: Path) -> None:
    assert call("--version", "--data-dir", folder).out == f"{__version__}\n"


@pytest.mark.parametrize(
    ("words", "settings", "sentence"),
    [
        (["status"], {"PATCHSIFT_PORT": "many"}, "The setting PATCHSIFT_PORT is not right"),
        (["status"], {"PATCHSIFT_MAX_LINE_BYTES": "1"}, "The setting PATCHSIFT_MAX_LINE_BYTES is not right"),
        (["status"], {"PATCHSIFT_DATABASE_URL": "nonsense"}, "PATCHSIFT_DATABASE_URL"),
        (["status"], {"PATCHSIFT_DATABASE_URL": "mysql://localhost/x"}, "PATCHSIFT_DATABASE_URL"),
        (["status"], {"PATCHSIFT_DATABASE_URL": "postgresql://me:hunter2@127.0.0.1:1/x"}, "does not answer"),
        (["demo", "--data-dir", "/dev/null/x"], {}, "cannot be made"),
        (["quarantine", "show", "7"], {}, "There is no quarantined line 7."),
        (["quarantine", "retry", "7"], {}, "There is no quarantined line 7."),
        (["export"], {}, "--out FOLDER"),
        (["export", "--out", "x", "--filter", "status=gone"], {}, "status must be one of"),
        (["export", "--out", "x", "--format", "parquet"], {}, "parquet"),
        (["healthcheck", "--port", "1"], {}, "is not ready"),
    ],
)
def test_what_a_person_can_mend_is_a_sentence(
    made: Path, words: list[str], settings: dict[str, str], sentence: str
) -> None:
    ended = call(*words, settings={"PATCHSIFT_DATA_DIR": str(made)} | settings)

    assert (ended.status, ended.out) == (1, "")
    assert sentence.lower() in ended.err.lower()
    assert "hunter2" not in ended.err


@pytest.mark.parametrize("words", [["nonsense"], ["ingest"], ["quarantine", "show", "x"], ["status", "--nonsense"]])
def test_a_command_that_is_not_one_is_told_apart(folder: Path, words: list[str]) -> None:
    assert call("--data-dir", folder, *words).status == 2


def test_every_command_has_help() -> None:
    from typer.main import get_command

    from app.cli import app

    def commands(group: Any) -> list[Any]:
        return [
            leaf for one in group.commands.values() for leaf in (commands(one) if hasattr(one, "commands") else [one])
        ]

    found = commands(get_command(app))

    assert {"serve", "worker", "ingest", "status", "export", "demo", "doctor"} <= {one.name for one in found}
    for one in found:
        assert one.help
        assert all(getattr(parameter, "help", None) for parameter in one.params), one.name


def test_hostile_bytes_do_not_reach_a_terminal(folder: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a\x1b[2J.jsonl", b'{"a": "\x1b[31m"}\n{"\x1b]0;t\x07": 1}\n{"\\u001b[2J": 1}')

    program = write(tmp_path / "b\x1b[2J\u202e.jsonl", b"\x7fELF")
    assert "\\x1b[2J\\u202e" in call("ingest", program, "--data-dir", folder).err

    ended = call("ingest", path, "--data-dir", folder)
    listed = call("quarantine", "list", "--data-dir", folder)

    assert ended.status == 3
    assert "\x1b" not in ended.err + listed.out + listed.err


def test_a_reader_that_goes_away_is_no_fault(folder: Path) -> None:
    call("demo", "--data-dir", folder)
    command = f"{sys.executable} -m app.cli status --data-dir {folder} | true"

    ended = subprocess.run(["/bin/sh", "-c", command], cwd=ROOT, capture_output=True, check=False)

    assert ended.stderr == b""
