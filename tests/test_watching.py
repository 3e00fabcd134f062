"""Watching a folder: every line once it is finished, nothing twice, nothing lost, whatever becomes of the files."""

import gzip
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col

from app import ingest, queue, review, sources, watching
from app.candidates import Direction
from app.db import Database
from app.errors import BadInputError
from app.models import CandidateRow, EntryRow, QuarantineRow, SourceRow, Status, WatchedRow
from app.settings import Settings
from app.watching import Change, Watcher
from tests import logs
from tests.conftest import noon
from tests.logs import DIFF, SCRIPT, entry, line
from tests.powers import only_what_permissions_allow

RUN = [[SCRIPT, True, 0.7, None, "LLMCore_scaffold"]]


def ended(*issues: str, **more: object) -> bytes:
    """Finished lines, one an issue."""
    return b"".join(line(issue, **more) + b"\n" for issue in issues)


@dataclass
class Desk:
    """An installation, a project, and its watcher, which may be started anew."""

    db: Database
    settings: Settings
    project_id: int
    project: Path
    patience: float = 60.0
    changes: list[Change] = field(default_factory=list)
    watcher: Watcher = field(init=False)

    def __post_init__(self) -> None:
        (self.project / ".agent_data").mkdir(parents=True)
        self.start()

    @property
    def log(self) -> Path:
        return self.project / ".agent_data" / "success_memory.jsonl"

    def start(self, **more: Any) -> Watcher:
        """A watcher that knows only what the database knows."""
        given: dict[str, Any] = {"now": noon, "name": "p", "patience": self.patience, **more}
        self.watcher = Watcher(self.db, self.settings, self.project_id, self.project, **given)
        return self.watcher

    def scan(self, *, walk: bool = True) -> list[str]:
        """What a scan brought: `[".agent_data/success_memory.jsonl grown 1+0"]`: new and repeated entries."""
        found = list(self.watcher.scan(walk=walk))
        self.changes += found
        return [f"{one.name.removeprefix('p/')} {one.what} {one.new}+{one.repeated}" for one in found]

    def scan_the_log(self) -> list[str]:
        """The same of the log and its rotated ones alone, without their folder: `["grown 1+0"]`."""
        return [told.removeprefix(".agent_data/success_memory.jsonl").strip() for told in self.scan()]

    def rows(self, table: type[Any]) -> list[Any]:
        with self.db.read() as session:
            return sorted(session.execute(select(table)).scalars(), key=lambda row: getattr(row, "id", 0))

    def titles(self) -> list[str]:
        return sorted(row.title for row in self.rows(CandidateRow))

    def ratings(self) -> dict[str, int | None]:
        return {row.title: row.rating for row in self.rows(CandidateRow)}

    def held(self) -> list[tuple[str, int]]:
        return [(row.code, row.line) for row in self.rows(QuarantineRow)]


@pytest.fixture
def desk(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> Desk:
    return Desk(db, settings, project_id, tmp_path / "p")


@pytest.fixture
def hasty(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> Desk:
    """A desk that takes every file for finished at once."""
    return Desk(db, settings, project_id, tmp_path / "p", patience=0)


# ------------------------------------------------------------------------------------------------ what is there


def patch_set(folder: Path) -> Path:
    folder.mkdir(parents=True)
    meta = {
        "patch_set_name": "feature/auto-patch-x-1",
        "commit_title": "Fix x",
        "original_spec": {"issue_description": "Fix x", "target_files": ["x.py"], "operations": []},
        "patch_source": "LLMCore",
        "generation_timestamp_utc": "2026-03-01T12:00:00+00:00",
    }
    (folder / "patch_meta.json").write_text(json.dumps(meta, indent=2))
    (folder / "x.py").write_text("b\n")
    return folder


def test_the_first_scan_reads_what_ingest_would_read(hasty: Desk) -> None:
    agent = hasty.project / ".agent_data"
    hasty.log.write_bytes(ended("One", "Two"))
    (agent / "patch_history").mkdir()
    (agent / "patch_history" / "run_1.json").write_text(json.dumps(RUN))
    (agent / "patch_history" / "run_2.json").write_text(json.dumps([[SCRIPT + "#", True, 0.7, None, "x"]], indent=1))
    (agent / "success_memory.1.jsonl.gz").write_bytes(gzip.compress(ended("Packed", "One")))
    patch_set(hasty.project / ".autopatches" / "feature" / "auto-patch-x-1")
    for skipped in (".git", "node_modules", ".venv"):
        (hasty.project / skipped).mkdir()
        (hasty.project / skipped / "success_memory.jsonl").write_bytes(ended("Not this"))
    (hasty.project / "settings.json").write_text('{"a": 1}')

    assert hasty.scan() == [
        ".agent_data/patch_history/run_1.json new 1+0",
        ".agent_data/patch_history/run_2.json new 1+0",
        ".agent_data/success_memory.1.jsonl.gz new 2+0",
        ".agent_data/success_memory.jsonl new 1+1",
        ".autopatches/feature/auto-patch-x-1/patch_meta.json new 1+0",
    ]
    assert hasty.scan() == []
    assert {row.title for row in hasty.rows(CandidateRow)} >= {"One", "Two", "Packed", "Fix x"}
    assert all(row.state == "done" and row.origin == "watch" for row in hasty.rows(SourceRow))


def test_watching_twice_and_ingest_besides_double_nothing(hasty: Desk) -> None:
    hasty.log.write_bytes(ended("One", "Two"))
    hasty.scan()
    upload = ingest.Upload(hasty.log, "log.jsonl")
    report = ingest.read_file(hasty.db, hasty.settings, hasty.project_id, upload, now=noon)
    hasty.start()

    assert (report.new, report.repeated) == (0, 2)
    assert hasty.scan() == []
    assert hasty.titles() == ["One", "Two"]


def test_a_folder_that_is_none_is_refused(desk: Desk) -> None:
    with pytest.raises(BadInputError, match=r"There is no folder .*nowhere to watch"):
        Watcher(desk.db, desk.settings, desk.project_id, desk.project / "nowhere", now=noon)


def test_the_format_can_be_forced(hasty: Desk) -> None:
    hasty.start(wanted="spec_log")
    hasty.log.write_bytes(ended("One"))

    hasty.scan()

    assert hasty.held() == [("missing_field", 1)]


# ------------------------------------------------------------------------------------------------ a log that grows


def test_appended_lines_are_taken_and_counted_into_the_same_source(desk: Desk) -> None:
    desk.log.write_bytes(ended("One"))
    assert desk.scan_the_log() == ["new 1+0"]
    for n in range(5):
        with desk.log.open("ab") as log:
            log.write(ended(f"More {n}"))
        assert desk.scan_the_log() == ["grown 1+0"]

    [source] = desk.rows(SourceRow)
    assert (source.n_lines, source.n_new, source.offset_bytes) == (6, 6, desk.log.stat().st_size)
    assert [entry.line for entry in desk.rows(EntryRow)] == [1, 2, 3, 4, 5, 6]


def test_a_line_waits_for_its_end_wherever_it_is_cut(desk: Desk) -> None:
    desk.log.write_bytes(b"")
    for n in range(0, 400, 13):
        whole = json.dumps(entry(f"Straße {n} 🎉"), ensure_ascii=False).encode() + b"\n"
        with desk.log.open("ab", buffering=0) as log:
            log.write(whole[: len(whole) - 1 - n])
            assert desk.scan() == []
            log.write(whole[len(whole) - 1 - n :])
        assert len(desk.scan()) == 1

    assert desk.held() == []
    assert len(desk.titles()) == len(range(0, 400, 13))


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_whole_last_line_without_an_end_is_taken_when_it_rests_and_once(hasty: Desk, end: bytes) -> None:
    hasty.log.write_bytes(ended("One") + line("Two"))
    assert hasty.scan_the_log() == ["new 2+0"]
    assert hasty.scan() == []
    with hasty.log.open("ab") as log:
        log.write(end)
    assert hasty.scan() == []
    with hasty.log.open("ab") as log:
        log.write(ended("Three"))
    hasty.start()

    assert hasty.scan_the_log() == ["grown 1+0"]
    assert [row.n_lines for row in hasty.rows(SourceRow)] == [3]
    assert hasty.rows(SourceRow)[0].offset_bytes == hasty.log.stat().st_size


def test_a_whole_last_line_without_an_end_waits_for_rest(desk: Desk) -> None:
    desk.log.write_bytes(ended("One") + line("Two"))

    assert desk.scan_the_log() == ["new 1+0"]
    assert desk.watcher._waits


def test_a_line_that_goes_on_after_its_end_makes_the_file_be_read_anew(hasty: Desk) -> None:
    hasty.log.write_bytes(line("One"))
    hasty.scan()
    with hasty.log.open("ab") as log:
        log.write(b" and more\n" + ended("Two"))

    assert hasty.scan_the_log() == ["rewritten 1+0"]
    assert hasty.titles() == ["One", "Two"]
    assert hasty.held() == [("not_json", 1)]


def test_a_broken_line_is_held_later_and_loses_no_neighbour(desk: Desk) -> None:
    desk.log.write_bytes(ended("One") + b"broken\n" + ended("Two"))
    assert desk.scan_the_log() == ["new 1+0"]
    assert desk.watcher._waits
    desk.patience = 0
    desk.start()

    assert desk.scan_the_log() == ["grown 1+0"]
    assert desk.held() == [("not_json", 2)]
    assert desk.titles() == ["One", "Two"]


def test_blank_lines_count_apart(desk: Desk) -> None:
    desk.log.write_bytes(ended("One") + b"\n \r\n" + ended("Two"))

    desk.scan()

    assert (desk.changes[0].entries, desk.changes[0].blank) == (2, 2)


def test_an_overlong_line_waits_then_is_held_and_the_next_is_read(hasty: Desk) -> None:
    settings = hasty.settings.model_copy(update={"max_line_bytes": 2000})
    hasty.settings = settings
    hasty.start()
    with hasty.log.open("ab", buffering=0) as log:
        log.write(ended("One") + b'"' + b"x" * 3_000_000)
        assert hasty.scan_the_log() == ["new 1+0"]
        log.write(b'"\n' + ended("Two"))
    assert hasty.scan_the_log() == ["grown 1+0"]
    with hasty.log.open("ab") as log:
        log.write(ended("Three"))
    hasty.start()

    assert hasty.scan_the_log() == ["grown 1+0"]
    assert hasty.held() == [("line_too_long", 2)]


# ------------------------------------------------------------------------------------------------ what becomes of a log


def rotated(log: Path, number: int = 1) -> Path:
    return log.with_name(f"{log.name}.{number}")


def test_a_rotated_log_is_read_to_its_end_under_its_new_name(desk: Desk) -> None:
    desk.log.write_bytes(ended("One") + line("Two")[:30])
    desk.scan()
    desk.log.rename(rotated(desk.log))
    with rotated(desk.log).open("ab") as old:
        old.write(line("Two")[30:] + b"\n")
    desk.log.write_bytes(ended("Three"))

    assert desk.scan_the_log() == ["new 1+0", ".1 grown 1+0"]
    assert [(row.n_new, row.n_repeated) for row in desk.rows(SourceRow)] == [(2, 0), (1, 0)]
    assert desk.held() == []


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_chain_of_rotations_reads_nothing_twice(desk: Desk, *, is_restarted: bool) -> None:
    for n in range(4):
        desk.log.write_bytes(ended(f"Log {n}"))
        desk.scan()
        for number in range(n, 0, -1):
            rotated(desk.log, number).rename(rotated(desk.log, number + 1))
        with desk.log.open("ab") as log:
            log.write(ended(f"Last of {n}"))
        desk.log.rename(rotated(desk.log))
        if is_restarted:
            desk.start()
    desk.scan()
    desk.scan()

    assert sum(row.n_repeated for row in desk.rows(SourceRow)) == (1 if is_restarted else 0)
    assert desk.titles() == sorted([f"Log {n}" for n in range(4)] + [f"Last of {n}" for n in range(4)])


def test_a_log_that_was_copied_and_truncated_goes_on(desk: Desk) -> None:
    desk.log.write_bytes(ended("One", "Two"))
    desk.scan()
    with desk.log.open("ab") as log:
        log.write(ended("Three"))
    shutil.copyfile(desk.log, rotated(desk.log))
    os.truncate(desk.log, 0)
    with desk.log.open("ab") as log:
        log.write(ended("Four"))

    assert desk.scan_the_log() == ["truncated 1+0", ".1 new 1+2"]
    assert desk.titles() == ["Four", "One", "Three", "Two"]


def test_a_log_that_was_emptied_waits(desk: Desk) -> None:
    desk.log.write_bytes(ended("One"))
    desk.scan()
    os.truncate(desk.log, 0)
    assert desk.scan() == []
    desk.log.write_bytes(ended("One", "Two"))

    # It begins as it did: for a reader it has only grown.
    assert desk.scan_the_log() == ["grown 1+0"]


REWRITTEN: dict[str, Callable[[int | None, int], bytes]] = {
    "as long": lambda _, now: ended("One", user_rating=now) + ended("Two"),
    "longer by a line": lambda _, now: ended("One", user_rating=now) + ended("Two", "Three"),
    "shorter": lambda _, now: ended("One", user_rating=now),
    "in another order": lambda _, now: ended("Two") + ended("One", user_rating=now),
}


@pytest.mark.parametrize("form", REWRITTEN)
@pytest.mark.parametrize("is_replaced", [False, True])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_ratings_that_are_written_into_a_log_count(
    desk: Desk, form: str, *, is_replaced: bool, is_restarted: bool
) -> None:
    desk.log.write_bytes(ended("One", user_rating=4) + ended("Two"))
    desk.scan()
    before = desk.log.stat()
    now = REWRITTEN[form](4, 5)
    if is_replaced:
        beside = desk.log.with_name("tmp")
        beside.write_bytes(now)
        beside.replace(desk.log)
    else:
        desk.log.write_bytes(now)
    # The coarsest clock of a file system does not tell the two states apart.
    os.utime(desk.log, ns=(before.st_mtime_ns, before.st_mtime_ns))
    if is_restarted:
        desk.start()

    assert len(desk.scan()) == 1
    assert desk.ratings()["One"] == 5
    assert set(desk.titles()) == {"One", "Two"} | ({"Three"} if form == "longer by a line" else set())


@pytest.mark.parametrize("now", [5, 4, 1])
def test_a_rating_that_was_not_there_is_taken_in(desk: Desk, now: int) -> None:
    desk.log.write_bytes(ended("One", "Two", "Three"))
    desk.scan()
    desk.log.write_bytes(ended("One") + ended("Two", user_rating=now) + ended("Three", "Four"))

    assert desk.scan_the_log() == ["rewritten 1+3"]
    assert desk.changes[-1].updated == 1
    assert desk.ratings() == {"One": None, "Two": now, "Three": None, "Four": None}


def test_a_file_that_is_rewritten_just_now_is_not_taken_for_broken(desk: Desk) -> None:
    before, after = ended("One", "Two", "Three"), ended("One", user_rating=1) + ended("Two", "Three")
    desk.log.write_bytes(before)
    desk.scan()
    with desk.log.open("r+b", buffering=0) as log:
        # The new bytes over the old ones: in between there is a line that is neither.
        log.write(after[: len(after) // 2])
        desk.scan()
        log.write(after[len(after) // 2 :])
        desk.scan()
        log.truncate()
    desk.scan()

    assert desk.held() == []
    assert desk.ratings() == {"One": 1, "Two": None, "Three": None}


def test_a_replacement_that_begins_alike_only_grew(desk: Desk) -> None:
    desk.log.write_bytes(ended("One"))
    desk.scan()
    beside = desk.log.with_name("tmp")
    beside.write_bytes(ended("One", "Two"))
    beside.replace(desk.log)

    assert desk.scan_the_log() == ["grown 1+0"]
    assert desk.rows(WatchedRow)[0].identity.endswith(str(desk.log.stat().st_ino))


def test_another_file_in_its_place_is_read_from_its_start(desk: Desk) -> None:
    desk.log.write_bytes(ended("One"))
    desk.scan()
    beside = desk.log.with_name("tmp")
    beside.write_bytes(ended("Two", "Three"))
    beside.replace(desk.log)

    assert desk.scan_the_log() == ["replaced 2+0"]


def test_a_source_that_a_change_cut_off_says_so(desk: Desk) -> None:
    desk.log.write_bytes(ended(*(f"Issue {n}" for n in range(300))))
    asked = iter([False] * 250)
    desk.start(stop=lambda: next(asked, True))
    assert desk.scan() == []
    desk.log.write_bytes(ended("Another"))
    desk.start()
    desk.scan()

    first, second = desk.rows(SourceRow)
    assert (first.state, first.message) == (
        "failed", "The file was changed before it was read to its end, and was then read again from its start."
    )  # fmt: skip
    assert 0 < first.n_new < 300
    assert second.state == "done"


@pytest.mark.parametrize("patience", [60.0, 0.0])
def test_a_large_log_is_compared_now_and_then_and_no_change_stays_unseen(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    desk.patience = patience
    desk.start()
    desk.log.write_bytes(ended(*(f"Issue {n}" for n in range(20)), user_rating=1))
    desk.scan()
    desk.scan()
    # As if the log were so large that to read it takes for ever.
    monkeypatch.setattr(watching, "_COMPARED_A_SECOND", 1)
    with desk.log.open("ab") as log:
        log.write(ended("More"))
    assert desk.scan_the_log() == ["grown 1+0"]
    changed = desk.log.read_bytes().replace(line("Issue 10", user_rating=1), line("Issue 10", user_rating=2))
    desk.log.write_bytes(changed + ended("And more"))
    assert desk.scan_the_log() == ["grown 1+0"]
    assert desk.ratings()["Issue 10"] == 1
    monkeypatch.undo()

    assert desk.scan_the_log() == ["rewritten 0+22"]
    assert desk.ratings()["Issue 10"] == 2


def test_of_a_large_log_both_ends_are_compared_each_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for n, changed in enumerate((0, 19)):
        desk.log.write_bytes(ended(*(f"Log {n} issue {k}" for k in range(20)), user_rating=1))
        desk.scan()
        desk.scan()
        monkeypatch.setattr(watching, "_COMPARED_A_SECOND", 1)
        before = line(f"Log {n} issue {changed}", user_rating=1)
        after = line(f"Log {n} issue {changed}", user_rating=2)
        desk.log.write_bytes(desk.log.read_bytes().replace(before, after) + ended("More"))
        desk.scan()
        assert desk.ratings()[f"Log {n} issue {changed}"] == 2
        monkeypatch.undo()


def test_what_was_read_is_believed_only_when_the_clock_has_moved_on(desk: Desk) -> None:
    desk.log.write_bytes(ended("One"))
    desk.scan()
    assert [row.stamp for row in desk.rows(WatchedRow)] == [""]
    desk.patience = 0
    desk.start()
    desk.scan()

    assert [len(row.stamp) for row in desk.rows(WatchedRow)] == [64]


def test_a_log_that_is_cut_off_while_it_is_read_is_not_taken_for_broken(hasty: Desk) -> None:
    hasty.log.write_bytes(ended(*(f"Issue {n}" for n in range(3000))))
    n_bytes = len(hasty.log.read_bytes()[:1_500_000].rpartition(b"\n")[0]) + 20

    asked = count()

    def cut() -> bool:
        # Asked before each line: by the tenth the file is open, and a first part of it is in memory.
        if next(asked) == 10:
            os.truncate(hasty.log, n_bytes)
        return False

    hasty.start(stop=cut)
    hasty.scan()

    assert hasty.held() == []
    assert 0 < len(hasty.titles()) < 3000


def test_one_file_under_two_names_is_read_under_both_and_stays_so(desk: Desk) -> None:
    desk.log.write_bytes(ended("One"))
    desk.scan()
    os.link(desk.log, rotated(desk.log))
    for n in range(3):
        with desk.log.open("ab") as log:
            log.write(ended(f"More {n}"))
        desk.scan()

    assert len(desk.titles()) == 4
    assert [(row.n_new, row.n_repeated) for row in desk.rows(SourceRow)] == [(4, 0), (0, 4)]


def test_which_way_scores_count_can_be_said_and_holds_on(hasty: Desk) -> None:
    path = hasty.project / ".agent_data" / "run_1.json"
    path.write_text(json.dumps(RUN))
    hasty.start(direction=Direction.LOWER)
    hasty.scan()
    path.write_text(json.dumps([*RUN, *RUN]))
    hasty.start()
    hasty.scan()

    assert [row.score_direction for row in hasty.rows(SourceRow)] == ["lower", "lower"]


# ------------------------------------------------------------------------------------------------ files that are one


def test_a_run_is_taken_when_it_is_whole(desk: Desk) -> None:
    path, text = desk.project / ".agent_data" / "run_1.json", json.dumps(RUN, indent=2)
    for n in range(0, len(text) - 1, 11):
        path.write_text(text[:n])
        assert desk.scan() == []
    path.write_text(text)

    assert desk.scan() == [".agent_data/run_1.json new 1+0"]
    assert desk.scan() == []
    assert desk.held() == []


def test_a_run_of_one_line_needs_no_line_end(desk: Desk) -> None:
    path, text = desk.project / ".agent_data" / "run_1.json", json.dumps(RUN)
    path.write_text(text[:-3])
    assert desk.scan() == []
    path.write_text(text)

    assert desk.scan() == [".agent_data/run_1.json new 1+0"]


@pytest.mark.parametrize("text", [json.dumps(RUN, indent=2)[:-5], json.dumps(RUN)[:-5]])
def test_a_run_that_stays_cut_is_held(hasty: Desk, text: str) -> None:
    path = hasty.project / ".agent_data" / "run_1.json"
    path.write_text(text)
    hasty.scan()
    assert [code for code, _ in hasty.held()] == ["truncated"]
    path.write_text(json.dumps(RUN))

    assert [told.rpartition(" ")[2] for told in hasty.scan()] == ["1+0"]


def test_a_run_that_is_written_again_after_each_attempt_is_read_each_time(desk: Desk) -> None:
    path = desk.project / ".agent_data" / "run_1.json"
    for n in range(1, 4):
        path.write_text(json.dumps([[f"{SCRIPT}# {k}", k == n, 0.5, None, "x"] for k in range(n)], indent=1))
        assert len(desk.scan()) == 1

    assert len(desk.rows(EntryRow)) == 3


def test_a_patch_set_waits_until_all_of_it_rests(desk: Desk) -> None:
    folder = patch_set(desk.project / ".autopatches" / "feature" / "auto-patch-x-1")
    assert desk.scan() == []
    assert desk.watcher._waits
    (folder / "CHANGELOG_PATCH.md").write_text(f"Diff Summary:\n{DIFF}")
    desk.patience = 0
    desk.start()

    assert desk.scan() == [".autopatches/feature/auto-patch-x-1/patch_meta.json new 1+0"]
    assert [row.kind for row in desk.rows(CandidateRow)] == ["patch", "spec"]
    assert desk.scan() == []
    (folder / "x.py").write_text("c\n")
    assert desk.scan() == [".autopatches/feature/auto-patch-x-1/patch_meta.json rewritten 1+0"]


def test_a_packed_log_waits_until_it_rests(desk: Desk) -> None:
    path, packed = rotated(desk.log).with_suffix(".gz"), gzip.compress(ended("One", "Two"))
    path.write_bytes(packed[:-20])
    assert desk.scan() == []
    path.write_bytes(packed)
    desk.patience = 0
    desk.start()

    assert [told.rpartition("gz ")[2] for told in desk.scan()] == ["new 2+0"]
    assert desk.scan() == []
    assert list((desk.settings.data_dir / "uploads").iterdir()) == []


def test_a_packed_log_that_was_left_half_read_is_read_on(hasty: Desk) -> None:
    path = rotated(hasty.log).with_suffix(".gz")
    path.write_bytes(gzip.compress(ended(*(f"Issue {n}" for n in range(400)))))
    asked = iter([False] * 300)
    hasty.start(stop=lambda: next(asked, True))
    assert hasty.scan() == []
    [source] = hasty.rows(SourceRow)
    assert source.state == "reading"
    assert 0 < source.n_new < 400
    hasty.start()
    hasty.scan()

    [source] = hasty.rows(SourceRow)
    assert (source.state, source.n_new, source.n_repeated) == ("done", 400, 0)


# ------------------------------------------------------------------------------------------------ what may lie there


def test_only_plain_files_of_the_folder_are_read(hasty: Desk, tmp_path: Path) -> None:
    agent = hasty.project / ".agent_data"
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "success_memory.jsonl").write_bytes(ended("Outside"))
    (agent / "link.jsonl").symlink_to(outside / "success_memory.jsonl")
    (agent / "linked").symlink_to(outside)
    (agent / "dir.jsonl").mkdir()
    (agent / "dir.jsonl" / "success_memory.jsonl").write_bytes(ended("Inside"))
    os.mkfifo(agent / "pipe.jsonl")
    (agent / os.fsdecode(b"success_memory \xff\n\x1b.jsonl")).write_bytes(ended("Odd name"))
    (agent / "empty.jsonl").write_bytes(b"")

    assert sorted(hasty.scan()) == [
        ".agent_data/dir.jsonl/success_memory.jsonl new 1+0",
        r".agent_data/success_memory \udcff\n\x1b.jsonl new 1+0",
    ]
    assert hasty.titles() == ["Inside", "Odd name"]


def become_a_link(path: Path) -> None:
    target = path.with_name("elsewhere")
    target.write_bytes(ended("Elsewhere"))
    path.unlink()
    path.symlink_to(target)


def become_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


BECOMES: dict[str, Callable[[Path], None]] = {
    "gone": Path.unlink, "link": become_a_link, "pipe": become_a_pipe, "folder": become_a_folder,
}  # fmt: skip


@pytest.mark.parametrize("kind", BECOMES)
def test_a_file_may_become_anything_between_the_walk_and_the_look(hasty: Desk, kind: str) -> None:
    hasty.log.write_bytes(ended("One"))
    other = hasty.project / ".agent_data" / "zzz_success_memory.jsonl"
    other.write_bytes(ended("Two"))
    hasty.scan()
    with hasty.log.open("ab") as log:
        log.write(ended("Three"))
    with other.open("ab") as log:
        log.write(ended("Four"))
    BECOMES[kind](hasty.log)

    assert hasty.scan(walk=False) == [".agent_data/zzz_success_memory.jsonl grown 1+0"]
    assert hasty.titles() == ["Four", "One", "Two"]


def test_a_folder_on_the_way_that_became_a_link_is_not_followed(hasty: Desk, tmp_path: Path) -> None:
    hasty.log.write_bytes(ended("One"))
    hasty.scan()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / hasty.log.name).write_bytes(ended("One", "Outside"))
    shutil.rmtree(hasty.log.parent)
    hasty.log.parent.symlink_to(outside)

    assert hasty.scan(walk=False) == []
    assert hasty.titles() == ["One"]


def test_what_may_not_be_read_is_told_once_and_read_when_it_may(hasty: Desk) -> None:
    hasty.log.write_bytes(ended("One"))
    hasty.log.chmod(0)
    with only_what_permissions_allow():
        assert hasty.scan() == [".agent_data/success_memory.jsonl refused 0+0"]
        assert hasty.scan() == []
    hasty.log.chmod(0o600)
    assert hasty.scan_the_log() == ["new 1+0"]
    with hasty.log.open("ab") as log:
        log.write(ended("Two"))
    hasty.log.chmod(0)
    with only_what_permissions_allow():
        assert hasty.scan(walk=False) == [".agent_data/success_memory.jsonl refused 0+0"]
        assert hasty.scan(walk=False) == []
    hasty.log.chmod(0o600)

    assert hasty.scan_the_log() == ["grown 1+0"]


def test_what_is_no_log_at_all_is_told_once(hasty: Desk) -> None:
    hasty.log.write_bytes(ended("One").decode().encode("utf-16"))
    assert hasty.scan_the_log() == ["refused 0+0"]
    assert hasty.changes[0].message is not None
    assert "is not UTF-8 (it looks like UTF-16)" in hasty.changes[0].message
    assert hasty.scan() == []
    hasty.log.write_bytes(ended("One"))

    assert hasty.scan_the_log() == ["new 1+0"]


@pytest.mark.parametrize(
    ("begin", "why"),
    [
        (ended("One"), "Its last 268,435,456 bytes hold no line end"),
        (b"[\n", "It holds 1,099,511,627,776 bytes; the limit is"),
        (gzip.compress(b"x"), "It holds 1,099,511,627,776 bytes; the limit is"),
    ],
)
def test_a_hole_of_a_terabyte_costs_a_sentence(hasty: Desk, begin: bytes, why: str) -> None:
    hasty.log.write_bytes(begin)
    os.truncate(hasty.log, 1 << 40)
    rotated(hasty.log).write_bytes(ended("Two"))

    assert hasty.scan_the_log() == ["refused 0+0", ".1 new 1+0"]
    assert (hasty.changes[0].message or "").startswith(why)
    assert hasty.scan() == []


def test_the_desk_does_not_watch_itself(db: Database, settings: Settings, project_id: int) -> None:
    folder = settings.data_dir / "uploads" / "x"
    folder.mkdir(parents=True)
    (folder / "success_memory.jsonl").write_bytes(ended("Mine"))
    watcher = Watcher(db, settings, project_id, settings.data_dir.parent, now=noon, patience=0)

    assert list(watcher.scan()) == []


def test_many_small_files_are_read_in_few_transactions(hasty: Desk) -> None:
    folder = hasty.project / ".agent_data" / "patch_history"
    folder.mkdir()
    for n in range(300):
        (folder / f"run_{n}.json").write_text(json.dumps([[f"{SCRIPT}# {n}", True, 0.5, None, "x"]]))
    (folder / "run_300.json").write_bytes(b"\xff\xfe")

    told = hasty.scan()

    assert len(told) == 301
    assert len(hasty.rows(EntryRow)) == 300
    assert hasty.scan() == []


# ------------------------------------------------------------------------------------------------ again, and together


def test_a_watcher_that_is_started_anew_goes_on_where_it_was(hasty: Desk) -> None:
    hasty.log.write_bytes(ended("One") + line("Two")[:40])
    (hasty.project / "run_1.json").write_text(json.dumps({"patch_history": RUN}, indent=1))
    hasty.scan()
    hasty.start()
    assert hasty.scan() == []
    with hasty.log.open("ab") as log:
        log.write(line("Two")[40:] + b"\n")
    hasty.start()

    assert hasty.scan_the_log() == ["grown 1+0"]
    assert len(hasty.rows(SourceRow)) == 2


def test_a_pass_that_was_stopped_goes_on_in_the_same_source(desk: Desk) -> None:
    desk.log.write_bytes(ended(*(f"Issue {n}" for n in range(700))))
    for n in (100, 400):
        asked = iter([False] * n)
        desk.start(stop=lambda asked=asked: next(asked, True))
        desk.scan()
    desk.start()
    desk.scan()

    [source] = desk.rows(SourceRow)
    assert (source.state, source.n_new, source.n_repeated, source.n_lines) == ("done", 700, 0, 700)


def test_two_watchers_take_every_line_once(desk: Desk) -> None:
    desk.log.write_bytes(ended("One", "Two"))
    first, second = desk.watcher, desk.start()
    for n in range(6):
        with desk.log.open("ab") as log:
            log.write(ended(f"More {n}"))
        for watcher in (first, second) if n % 2 else (second, first, second):
            list(watcher.scan())

    [source] = desk.rows(SourceRow)
    assert (source.n_lines, source.n_new, source.n_repeated) == (8, 8, 0)


def test_two_watchers_at_once_take_every_line_once(desk: Desk, settings: Settings) -> None:
    logs = [desk.project / ".agent_data" / f"success_memory_{n}.jsonl" for n in range(8)]
    over = threading.Event()

    def watch() -> None:
        db = Database(settings)
        watcher = Watcher(db, settings, desk.project_id, desk.project, now=noon)
        while not over.is_set():
            list(watcher.scan())
        list(watcher.scan())
        db.close()

    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(watch) for _ in range(2)]
        for k in range(12):
            for n, log in enumerate(logs):
                with log.open("ab") as opened:
                    opened.write(ended(f"Log {n} line {k}"))
        over.set()
        for one in running:
            one.result()

    assert len(desk.titles()) == 96
    assert sum(row.n_new for row in desk.rows(SourceRow)) == 96
    assert sum(row.n_repeated for row in desk.rows(SourceRow)) == 0


def test_what_could_not_be_stored_is_read_again(hasty: Desk) -> None:
    hasty.log.write_bytes(ended("One"))
    rotated(hasty.log).write_bytes(ended("Two") + b"broken\n")
    with hasty.db.write() as session:
        session.connection().exec_driver_sql("ALTER TABLE quarantine RENAME TO away")
    with pytest.raises(DBAPIError):
        hasty.scan()
    assert hasty.titles() == []
    with hasty.db.write() as session:
        session.connection().exec_driver_sql("ALTER TABLE away RENAME TO quarantine")

    assert hasty.scan_the_log() == ["new 1+0", ".1 new 1+0"]
    assert hasty.held() == [("not_json", 2)]


def test_a_packed_log_that_two_watchers_read_on_is_in_once(hasty: Desk) -> None:
    rotated(hasty.log).with_suffix(".gz").write_bytes(gzip.compress(ended(*(f"Issue {n}" for n in range(400)))))
    asked = iter([False] * 300)
    hasty.start(stop=lambda: next(asked, True))
    hasty.scan()
    stopped = [True]
    late = hasty.start(stop=lambda: stopped[0])
    hasty.scan()
    hasty.start()
    hasty.scan()
    stopped[0] = False
    list(late.scan())
    list(late.scan())

    [source] = hasty.rows(SourceRow)
    assert (source.state, source.n_new, source.n_repeated) == ("done", 400, 0)


def test_following_joins_what_came_in(hasty: Desk) -> None:
    hasty.log.write_bytes(ended("One"))
    (hasty.project / ".agent_data" / "run_1.json").write_text(json.dumps(RUN))

    told = list(hasty.watcher.follow(time.sleep, once=True))

    assert [one.what for one in told] == ["new", "new"]
    with hasty.db.read() as session:
        [shown] = queue.list_candidates(session, hasty.project_id, queue.Filter()).candidates
    assert (shown.title, shown.n_parts, shown.n_attempts) == ("One", 1, 1)
    assert shown.checks_version > 0


def test_once_waits_for_what_is_not_at_rest(desk: Desk) -> None:
    desk.patience = 0.3
    desk.start()
    patch_set(desk.project / ".autopatches" / "x")
    desk.log.write_bytes(ended("One") + b"broken\n" + ended("Two") + line("Three"))

    told = list(desk.watcher.follow(time.sleep, poll=0.05, once=True))

    assert sum(one.new for one in told) == 4
    assert desk.held() == [("not_json", 2)]


def test_a_folder_that_goes_away_is_waited_for(hasty: Desk) -> None:
    hasty.log.write_bytes(ended("One"))
    stop, told = threading.Event(), []
    for change in hasty.start(stop=stop.is_set).follow(stop.wait, poll=0.01):
        told.append((change.what, change.new, change.message))
        if len(told) == 1:
            hasty.project.rename(hasty.project.with_name("away"))
        elif len(told) == 2:
            hasty.project.with_name("away").rename(hasty.project)
            with hasty.log.open("ab") as log:
                log.write(ended("Two"))
        else:
            stop.set()

    assert [what for what, _, _ in told] == ["new", "refused", "grown"]
    assert "There is no folder" in str(told[1][2])


def test_watched_logs_are_reported_as_other_sources_are(hasty: Desk) -> None:
    hasty.log.write_bytes(ended("One") + b"broken\n\n")
    hasty.scan()

    report = sources.get_report(hasty.db, hasty.changes[0].source)

    assert report.as_json() == {
        "source": report.source, "name": "p/.agent_data/success_memory.jsonl", "entries": 2, "new": 1, "repeated": 0,
        "updated": 0, "quarantined": 1, "blank": 1, "candidates": 1, "flagged": 0, "state": "done", "message": None,
        "job": None, "format": "success_memory",
    }  # fmt: skip
    assert hasty.changes[0].as_json()["entries"] == 2


# ------------------------------------------------------------------------------------------------ anything at all


class Writers:
    """What may happen to a log, by agents, log rotation, editors and people; each step leaves complete lines sound."""

    def __init__(self, log: Path) -> None:
        self.log, self.old = log, rotated(log)
        self.n = 0
        self.half = b""

    def new_line(self) -> bytes:
        self.n += 1
        return line(f"Issue {self.n}", user_rating=None if self.n % 3 else self.n % 5 + 1)

    def lines(self) -> list[bytes]:
        return self.log.read_bytes().split(b"\n")[:-1] if self.log.exists() else []

    def append(self, n: int) -> None:
        with self.log.open("ab") as log:
            log.write(self.half + b"".join(self.new_line() + b"\n" for _ in range(n)))
        self.half = b""

    def append_half(self, n: int) -> None:
        self.append(n % 2)
        raw = self.new_line() + b"\n"
        at = 1 + n * 97 % (len(raw) - 1)
        with self.log.open("ab") as log:
            log.write(raw[:at])
        self.half = raw[at:]

    def rotate(self, n: int) -> None:
        if self.log.exists():
            self.log.rename(self.old)
            with self.old.open("ab") as old:
                old.write(self.half)
        self.half = b""
        self.append(n)

    def append_to_the_old(self, n: int) -> None:
        with self.old.open("ab") as old:
            old.write(b"".join(self.new_line() + b"\n" for _ in range(n)))

    def copy_and_truncate(self, n: int) -> None:
        self.log.touch()
        self.append(0)
        shutil.copyfile(self.log, self.old)
        os.truncate(self.log, 0)
        self.append(n)

    def rate(self, n: int) -> None:
        """The agent's web form: the whole file once more, with another rating."""
        lines = self.lines()
        for number in range(len(lines)):
            if (number + n) % 3 == 0:
                lines[number] = json.dumps(json.loads(lines[number]) | {"user_rating": n % 5 + 1}).encode()
        self.log.write_bytes(b"".join(one + b"\n" for one in lines))
        self.half = b""

    def replace(self, n: int) -> None:
        """An editor: some lines gone, some new, in another order, by way of a file beside."""
        lines = [*self.lines()[n % 2 :], *(self.new_line() for _ in range(n))]
        beside = self.log.with_name("tmp")
        beside.write_bytes(b"".join(one + b"\n" for one in (lines[::-1] if n % 3 else lines)))
        beside.replace(self.log)
        self.half = b""

    def truncate(self, n: int) -> None:
        self.log.touch()
        raw = self.log.read_bytes()
        at = len(raw) * n // 5
        os.truncate(self.log, at)
        whole, _, begun = raw[:at].rpartition(b"\n")
        del whole
        self.half = raw[at:].partition(b"\n")[0] + b"\n" if begun and b"\n" in raw[at:] else b""
        if begun and not self.half:
            os.truncate(self.log, at - len(begun))

    def complete(self) -> set[bytes]:
        """Every line that stands finished in a file."""
        found = [path.read_bytes().split(b"\n")[:-1] for path in (self.log, self.old) if path.exists()]
        return {one for lines in found for one in lines}


STEPS = ("append", "append_half", "rotate", "append_to_the_old", "copy_and_truncate", "rate", "replace", "truncate")


def fresh(folder: Path, template: Path) -> tuple[Database, Settings]:
    folder.mkdir()
    shutil.copy(template, folder / "patchsift.db")
    settings = Settings(data_dir=folder)
    return Database(settings), settings


def everything(db: Database) -> tuple[list[bytes], list[bytes]]:
    """The digests of candidates and of entries."""
    with db.read() as session:
        candidates = session.execute(select(CandidateRow.digest)).scalars()  # type: ignore[call-overload]
        entries = session.execute(select(EntryRow.digest)).scalars()  # type: ignore[call-overload]
        return sorted(map(bytes, candidates)), sorted(map(bytes, entries))


@hypothesis.settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 4), st.booleans()), min_size=1, max_size=9))
def test_whatever_happens_to_a_log_all_that_stood_in_it_is_in_once(
    sqlite_template: Path, steps: list[tuple[str, int, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        db, settings = fresh(Path(name) / "desk", sqlite_template)
        with db.write() as session:
            project_id = review.ensure_project(session, "default", now=noon()).id or 0
        desk = Desk(db, settings, project_id, Path(name) / "p")
        writers, stood = Writers(desk.log), set[bytes]()
        for step, n, is_restarted in steps:
            getattr(writers, step)(n)
            stood |= writers.complete()
            if is_restarted:
                desk.start()
            desk.scan()
        seen, held = everything(db), desk.held()
        db.close()

        clean, settings = fresh(Path(name) / "clean", sqlite_template)
        with clean.write() as session:
            review.ensure_project(session, "default", now=noon())
        logs.read(clean, settings, project_id, Path(name), b"".join(one + b"\n" for one in sorted(stood)))
        expected = everything(clean)
        clean.close()

    assert held == []
    assert seen == expected


@pytest.mark.parametrize("steps", [[5, 3], [5, 3, 5], [1, 2, 1, 2], [3, 3, 4]])
def test_the_rating_that_a_log_gives_last_counts(desk: Desk, steps: list[int]) -> None:
    for n in steps:
        desk.log.write_bytes(ended("One", user_rating=n) + ended("Two"))
        desk.scan()

    assert desk.ratings() == {"One": steps[-1], "Two": None}


def pending(session: Session, project_id: int) -> int:
    wanted = select(CandidateRow).where(
        col(CandidateRow.project_id) == project_id, col(CandidateRow.status) == Status.PENDING
    )
    return len(list(session.execute(wanted)))


@pytest.fixture
def writers() -> Iterator[list[threading.Thread]]:
    """Threads that write in the watched folder; all have ended before the test does."""
    started: list[threading.Thread] = []
    yield started
    for one in started:
        one.join()


def test_a_log_that_grows_while_it_is_read_is_taken_whole(desk: Desk, writers: list[threading.Thread]) -> None:
    def write() -> None:
        with desk.log.open("ab", buffering=0) as log:
            for n in range(400):
                raw = ended(f"Issue {n}")
                for start in range(0, len(raw), 300):
                    log.write(raw[start : start + 300])

    writers.append(threading.Thread(target=write))
    writers[0].start()
    while writers[0].is_alive():
        desk.scan()
    desk.scan()

    with desk.db.read() as session:
        assert pending(session, desk.project_id) == 400
    [source] = desk.rows(SourceRow)
    assert (source.n_new, source.n_repeated, desk.held()) == (400, 0, [])
