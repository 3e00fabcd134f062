"""Near-duplicates tie issues together: the same whatever came first, kept up as told anew, and nothing by chance."""

import random
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import delete, select, update
from sqlmodel import Session, col

from app import groups, ingest, jobs, prepare, worker
from app.db import Database
from app.errors import AppError, BadInputError, ConflictError
from app.models import (
    BandRow,
    CandidateRow,
    ClusterRow,
    FingerprintRow,
    IssueGroupRow,
    JobState,
    NearnessRow,
    PartRow,
    ProjectRow,
    ShapeRow,
    SourceRow,
    Status,
)
from app.nearness import fingerprint, lsh
from app.nearness.engine import InProcess
from app.settings import Settings
from tests import logs
from tests.conftest import noon

_numbers = count()
_T = TypeVar("_T")

FIX = """\
     def load(self, path):
-        with open(path) as source:
-            return parse(source.read())
+        try:
+            with open(path, encoding="utf-8") as source:
+                text = source.read()
+        except FileNotFoundError as error:
+            raise ConfigError(path) from error
+        if not text.strip():
+            return self.default
+        return parse(text)
"""
OTHER = """\
     def close(self):
-        self.socket.close()
+        if self.socket is None:
+            return
+        for handler in list(self.handlers):
+            handler.cancel()
+        self.socket.shutdown(SHUT_RDWR)
+        self.socket.close()
+        self.socket = None
+        log.debug("closed %s", self.address)
"""


def diff(hunk: str, name: str = "x") -> str:
    return f"--- a/{name}.py\n+++ b/{name}.py\n@@ -{next(_numbers) + 1},9 +1,9 @@\n{hunk}"


def renamed(hunk: str) -> str:
    for old, new in (
        ("load", "fetch"),
        ("path", "target"),
        ("source", "stream"),
        ("text", "body"),
        ("parse", "read_it"),
    ):
        hunk = hunk.replace(old, new)
    return hunk


def read(db: Database, settings: Settings, project_id: int, folder: Path, *entries: tuple[str, str]) -> None:
    """Bring in (issue, diff) as one log, as a command does."""
    path = folder / f"log{next(_numbers)}.jsonl"
    path.write_bytes(b"\n".join(logs.line(issue, successful_diff_summary=text) for issue, text in entries) + b"\n")
    ingest.read_file(db, settings, project_id, ingest.Upload(path, path.name), now=noon)
    ingest.finish(db, project_id, now=noon)


def issues_of(db: Database) -> dict[str, tuple[int, bytes]]:
    """Issue → its candidate and key."""
    with db.read() as session:
        rows = session.execute(select(CandidateRow).where(col(CandidateRow.status) != Status.JOINED)).scalars()
        return {row.title: (row.id or 0, bytes(row.group_digest)) for row in rows}


def together(db: Database, project_id: int, *issues: str) -> bool:
    """Whether all these issues are in one group."""
    known = issues_of(db)
    with db.read() as session:
        return len({groups.find_group(session, project_id, known[issue][1]) for issue in issues}) == 1


def test_one_fix_in_two_files_with_other_names_is_one_group(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    read(db, settings, project_id, tmp_path, ("A", diff(FIX)), ("B", diff(OTHER)))
    read(db, settings, project_id, tmp_path, ("C", diff(renamed(FIX), "y")))

    assert together(db, project_id, "A", "C")
    assert not together(db, project_id, "A", "B")
    known = issues_of(db)
    with db.read() as session:
        first, other, last = (known[issue][0] for issue in "ABC")
        assert groups.find_clusters(session, [first, other, last]) == {first: first, last: first}
        assert groups.list_cluster(session, last) == [first, last]
        assert groups.list_cluster(session, last, 1) == [first]
        assert groups.list_cluster(session, other) == []
        key = min(known["A"][1], known["C"][1])
        assert list(groups.list_merged(session, project_id)) == [
            (key, issue) for issue in sorted((known["A"][1], known["C"][1]))
        ]
        assert groups.find_groups(session, project_id, [one for _, one in known.values()]) == {
            known["A"][1]: key, known["C"][1]: key,
        }  # fmt: skip


# ------------------------------------------------------------------------------------------------ any order


def chained(family: int, step: int) -> bytes:
    """Sets of 40 of which neighbours share 0.9, the next but one 0.82, and those further apart less than 0.8."""
    numbers = range(1000 * family + 2 * step, 1000 * family + 2 * step + 40)
    return b"".join(hash_of(number).to_bytes(4, "little") for number in sorted(numbers, key=hash_of))


def hash_of(number: int) -> int:
    return (number * 2654435761 + 12345) % 2**32


class Project:
    """A project of bare candidates, of which only shapes and issues matter."""

    def __init__(self, db: Database, n: int) -> None:
        self.db = db
        with db.write() as session:
            project = ProjectRow(name=f"groups {next(_numbers)}", created_at=noon())
            session.add(project)
            session.flush()
            self.id = project.id or 0
            source = SourceRow(
                project_id=self.id, name="log", origin="file", format="", head_digest=b"", created_at=noon()
            )
            session.add(source)
            session.flush()
            rows = [
                CandidateRow(
                    project_id=self.id, source_id=source.id or 0, kind="patch", digest=bytes([number]),
                    group_digest=b"issue 0", title="", target="", generation="", patch_source="", created_at=noon(),
                )
                for number in range(n)
            ]  # fmt: skip
            session.add_all(rows)
            session.flush()
            self.candidates = [row.id or 0 for row in rows]
        self.wanted: dict[int, tuple[bytes, bytes]] = {}

    def say(self, changes: Iterable[tuple[int, tuple[int, int] | None, int]]) -> None:
        """Each (candidate, its shape, its issue); without a shape it becomes a part of another."""
        with self.db.write() as session:
            for at, shape, issue in changes:
                number = self.candidates[at % len(self.candidates)]
                row = session.get_one(CandidateRow, number)
                row.status = Status.PENDING if shape else Status.JOINED
                row.group_digest = b"issue %d" % issue
                session.add(row)
                session.flush()
                groups.note(session, [(number, chained(*shape) if shape else b"")])
                self.wanted.pop(number, None)
                if shape:
                    self.wanted[number] = (chained(*shape), row.group_digest)

    def tables(self) -> dict[str, list[tuple[object, ...]]]:
        with self.db.read() as session:
            return {name: rows_of(session, table, self.id) for name, table in TABLES.items()}

    def expected(self) -> dict[str, list[tuple[object, ...]]]:
        """What the tables must hold, from nothing but who has which shape, with another way of joining."""
        shapes = {fingerprint.name(shingles): shingles for shingles, _ in self.wanted.values()}
        links = [{one, other} for one, other in InProcess().find_pairs(sorted(shapes.items()))]
        links += [{fingerprint.name(shingles), number} for number, (shingles, _) in self.wanted.items()]
        clusters = [
            found for members in closure(links) if len(found := sorted(members & self.wanted.keys())) > 1
        ]  # fmt: skip
        cluster = [(number, found[0], self.wanted[number][1]) for found in clusters for number in found]
        tied = closure([{self.wanted[number][1] for number in found} for found in clusters])
        return {
            "cluster": sorted(cluster),
            "issue_group": sorted((issue, min(issues)) for issues in tied if len(issues) > 1 for issue in issues),
            "fingerprint": sorted((n, fingerprint.name(one), issue) for n, (one, issue) in self.wanted.items()),
            "shape": sorted(shapes.items()),
            "band": sorted((key, number) for number, one in shapes.items() for key in lsh.keys([one])[0]),
        }


TABLES = {
    "cluster": (ClusterRow.candidate_id, ClusterRow.cluster_id, ClusterRow.issue),
    "issue_group": (IssueGroupRow.issue, IssueGroupRow.group_key),
    "fingerprint": (FingerprintRow.candidate_id, FingerprintRow.shape_id, FingerprintRow.issue),
    "shape": (ShapeRow.id, ShapeRow.shingles),
    "band": (BandRow.key, BandRow.shape_id),
}


def rows_of(session: Session, columns: Sequence[object], project_id: int) -> list[tuple[object, ...]]:
    table = columns[0].class_  # type: ignore[attr-defined]
    found = session.execute(select(*columns).where(table.project_id == project_id))  # type: ignore[call-overload]
    return sorted(tuple(bytes(one) if isinstance(one, memoryview) else one for one in row) for row in found)


def closure(links: Iterable[set[_T]]) -> list[set[_T]]:
    """Sets that share a member are one."""
    found: list[set[_T]] = []
    for link in links:
        met = [one for one in found if one & link]
        found = [one for one in found if not one & link] + [link.union(*met)]
    return found


SHAPES = st.one_of(st.none(), st.tuples(st.integers(0, 1), st.integers(0, 12)))
CHANGES = st.lists(st.tuples(st.integers(0, 15), SHAPES, st.integers(0, 5)), min_size=1, max_size=16)


@pytest.mark.parametrize("crowd", [lsh.CROWD, 1])
@examples(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(CHANGES, min_size=1, max_size=6))
def test_whatever_changes_in_whatever_order_the_groups_are_those_of_the_end(
    db: Database,
    monkeypatch: pytest.MonkeyPatch,
    crowd: int,
    rounds: list[list[tuple[int, tuple[int, int] | None, int]]],
) -> None:
    monkeypatch.setattr(lsh, "CROWD", crowd)
    project = Project(db, 16)
    for changes in rounds:
        project.say(changes)
        groups.keep_up(db, project.id)

    assert project.tables() == project.expected()


def everything(db: Database, project_id: int) -> dict[str, list[tuple[object, ...]]]:
    with db.read() as session:
        return {name: rows_of(session, table, project_id) for name, table in TABLES.items()}


def real_entries() -> list[tuple[str, str]]:
    """Fixes, each with copies under other names and other issues, and what is like nothing."""
    entries = [("A", FIX), ("B", OTHER), ("C", renamed(FIX)), ("D", renamed(renamed(OTHER))), ("B", FIX[:-30])]
    entries += [(f"small {number}", f"-a\n+b{number % 2}\n") for number in range(4)]
    return [(issue, diff(hunk)) for issue, hunk in entries]


@pytest.mark.parametrize("seed", range(3))
def test_what_was_kept_up_is_what_is_made_anew(
    db: Database, settings: Settings, project_id: int, tmp_path: Path, seed: int
) -> None:
    entries = real_entries()
    random.Random(seed).shuffle(entries)
    for start in range(0, len(entries), 4):
        read(db, settings, project_id, tmp_path, *entries[start : start + 4])
    kept = everything(db, project_id)
    seen: list[tuple[int, int]] = []

    assert groups.rebuild(db, project_id, progress=lambda done, total: seen.append((done, total))) == len(entries)

    assert everything(db, project_id) == kept
    assert len({name for _, name, _ in kept["cluster"]}) == 4
    assert seen[-1] == (len(entries), len(entries))
    # A and C are the same fix, B holds it too, and B and D are another: four issues, one group.
    assert together(db, project_id, "A", "B", "C", "D")
    assert together(db, project_id, "small 0", "small 2")
    assert not together(db, project_id, "small 0", "small 1")


def test_a_rebuild_takes_away_what_nothing_speaks_for(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    read(db, settings, project_id, tmp_path, *real_entries())
    kept = everything(db, project_id)
    with db.write() as session:
        session.execute(update(ClusterRow).values(cluster_id=1))
        session.execute(delete(IssueGroupRow))
        session.add(IssueGroupRow(project_id=project_id, issue=b"gone", group_key=b"gone"))
        session.add(ShapeRow(project_id=project_id, id=77, shingles=chained(0, 0)))
        session.add(BandRow(project_id=project_id, key=5, shape_id=77))

    groups.rebuild(db, project_id)

    assert everything(db, project_id) == kept


def test_much_at_once_is_made_anew_and_says_the_same(
    db: Database, settings: Settings, project_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(db, settings, project_id, tmp_path, *real_entries())
    kept = everything(db, project_id)
    groups.rebuild(db, project_id)
    with db.write() as session:
        for table in (ClusterRow, IssueGroupRow, FingerprintRow, BandRow, ShapeRow):
            session.execute(delete(table))
        session.execute(update(CandidateRow).values(checks_version=0))
    monkeypatch.setattr(groups, "_MANY", 3)
    prepare.run(db)

    assert groups.keep_up(db, project_id) == len(kept["fingerprint"])

    assert everything(db, project_id) == kept
    with db.read() as session:
        assert not groups.is_outdated(session, project_id)


def test_nothing_is_done_twice(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> None:
    read(db, settings, project_id, tmp_path, *real_entries())
    kept = everything(db, project_id)
    with db.write() as session:
        session.execute(update(CandidateRow).values(checks_version=0))
    prepare.run(db)

    with db.read() as session:
        assert groups.count_waiting(session, project_id) == len(kept["fingerprint"])
    assert groups.keep_up(db, project_id) == len(kept["fingerprint"])
    assert groups.keep_up(db, project_id) == 0
    assert everything(db, project_id) == kept


def test_a_part_leaves_its_cluster_and_its_lead_speaks(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    read(db, settings, project_id, tmp_path, ("A", diff(FIX)), ("B", diff(renamed(FIX))))
    known = issues_of(db)
    assert together(db, project_id, "A", "B")
    first, second = known["A"][0], known["B"][0]
    with db.write() as session:
        row = session.get_one(CandidateRow, second)
        row.status = Status.JOINED
        session.add(row)
        session.add(
            PartRow(candidate_id=second, lead_id=first, to_id=first, place=0, code="x", confidence="x", reason="x")
        )
        session.flush()
        groups.note(session, [(first, chained(0, 0))])
    groups.keep_up(db, project_id)

    with db.read() as session:
        assert groups.find_clusters(session, [first, second]) == {}
        assert list(groups.list_merged(session, project_id)) == []
        assert session.get(FingerprintRow, second) is None


def test_groups_of_an_older_version_wait_for_the_worker(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    read(db, settings, project_id, tmp_path, *real_entries())
    kept = everything(db, project_id)
    with db.write() as session:
        session.execute(update(NearnessRow).values(version=0))
        session.execute(delete(ClusterRow))
        session.execute(delete(IssueGroupRow))
        session.execute(update(CandidateRow).values(checks_version=0))
    prepare.run(db)
    assert groups.keep_up(db, project_id) == 0
    with db.read() as session:
        assert groups.is_outdated(session, project_id)

    worker.run(db, settings, stop=lambda: False, until_idle=True)

    assert everything(db, project_id) == kept
    with db.read() as session:
        assert not groups.is_outdated(session, project_id)
        [job] = jobs.list_jobs(session, project_id, groups.KIND)
        assert job.state == JobState.DONE
        assert job.message.endswith("near-duplicates: 4, with 9 candidates; groups of several issues: 3, with 8 issues")


def test_a_rebuild_that_was_cancelled_is_begun_again(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    read(db, settings, project_id, tmp_path, *real_entries())
    kept = everything(db, project_id)

    def stop(*_: int) -> None:
        raise jobs.CancelledError

    with pytest.raises(jobs.CancelledError):
        groups.rebuild(db, project_id, progress=stop)
    with db.read() as session:
        assert groups.is_outdated(session, project_id)

    worker.run(db, settings, stop=lambda: False, until_idle=True)

    assert everything(db, project_id) == kept


def test_of_two_rebuilds_the_later_one_ends(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> None:
    read(db, settings, project_id, tmp_path, *real_entries())
    kept = everything(db, project_id)
    begun: list[int] = []

    def begin_another(*_: int) -> None:
        if not begun:
            begun.append(groups.rebuild(db, project_id))

    with pytest.raises(ConflictError, match="Another rebuild"):
        groups.rebuild(db, project_id, progress=begin_another)

    assert begun
    assert everything(db, project_id) == kept


def test_an_unknown_engine_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="There are: process, bulk"):
        groups.make_finder(tmp_path, {"engine": "spark"})
    with pytest.raises(AppError, match="There are: local, slurm, ray"):
        groups.make_finder(tmp_path, {"engine": "bulk", "executor": "dask"})


def test_projects_do_not_mix(db: Database) -> None:
    one, other = Project(db, 2), Project(db, 2)
    one.say([(0, (0, 0), 0), (1, (0, 1), 1)])
    other.say([(0, (0, 0), 2)])

    assert groups.keep_up_all(db) == 3

    assert one.tables() == one.expected()
    assert other.tables() == other.expected()
    assert other.tables()["cluster"] == []
    one.say([(0, None, 0), (1, None, 0)])
    groups.keep_up_all(db)
    assert other.tables() == other.expected()
