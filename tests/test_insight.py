"""The numbers of the pictures, against a count by hand of a log of decisions with everything in it that can mislead."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import col

from app import decisions, insight, queue, review
from app.db import Database
from app.decisions import Derived
from app.insight import Insight, Scope
from app.models import CandidateRow, DecisionRow, ReviewerRow, Status, Verdict
from app.queue import Filter
from app.review import Act
from app.settings import Settings
from tests.conftest import NOON
from tests.logs import SCRIPT, line, read

TODAY = NOON.date()
POLISH, REPAIR = "LLMCore_polish_iteration_1", "LLMCore_repair_attempt_1"


class Desk:
    """Twelve candidates of two sources and three files, and two people."""

    def __init__(self, db: Database, settings: Settings, project: int, ann: int, folder: Path) -> None:
        self.db, self.project, self.ann = db, project, ann
        files = [["src/x.py"], ["src/y.py"], ["src/x.py", "src/z.py"]]
        rename: dict[str, object] = {"name": "rename_variable", "old_name": "a"}
        operations: list[list[object]] = [[rename], [rename, "add_import"]]
        lines = [
            line(
                f"Issue {n}",
                patch_source=(POLISH, REPAIR)[n % 2],
                spec_target_files=files[n % 3],
                spec_operations_details=operations[n % 2],
            )
            for n in range(12)
        ]
        read(db, settings, project, folder, b"\n".join(lines) + b"\n")
        with db.write() as session:
            ben = ReviewerRow(name="ben", created_at=NOON)
            session.add(ben)
            session.flush()
            self.ben = ben.id or 0
            self.ids = [row.id or 0 for row in queue.list_candidates(session, project, Filter()).candidates]
        self.keys = iter(range(1000))

    def act(
        self, at: int, verdict: str, days_ago: int, who: int | None = None, spent: int | None = None, **more: object
    ) -> None:
        with self.db.write() as session:
            row = review.get_candidate(session, self.project, self.ids[at])
            act = Act(Verdict(verdict), row.version, str(next(self.keys)), spent_ms=spent, **more)  # type: ignore[arg-type]
            review.decide(session, self.project, who or self.ann, self.ids[at], act, now=ago(days_ago))

    def undo(self, days_ago: int, who: int | None = None) -> None:
        with self.db.write() as session:
            review.undo(session, self.project, who or self.ann, key=str(next(self.keys)), now=ago(days_ago))

    def in_bulk(self, *places: int, days_ago: int) -> None:
        with self.db.write() as session:
            for at in places:
                row = review.get_candidate(session, self.project, self.ids[at])
                made = DecisionRow(
                    project_id=self.project,
                    candidate_id=self.ids[at],
                    candidate_version=row.version,
                    reviewer_id=self.ann,
                    verdict=Verdict.REJECT,
                    key=str(next(self.keys)),
                    reasons=["duplicate"],
                    bulk="b1",
                    decided_at=ago(days_ago),
                )
                decisions.append(session, made, None)
                decisions.move(session, row, Derived(Status.REJECTED, made))

    def look(self, **query: str) -> Insight:
        with self.db.read() as session:
            return insight.look(session, self.project, Scope.parse(query, today=TODAY), now=NOON)


def ago(days: int) -> datetime:
    return NOON - timedelta(days)


@pytest.fixture
def desk(db: Database, settings: Settings, project_id: int, reviewer_id: int, tmp_path: Path) -> Desk:
    """The log, oldest first; see `test_every_picture_counts_what_stands` for what is left of it."""
    made = Desk(db, settings, project_id, reviewer_id, tmp_path)
    made.act(0, "accept", 40, spent=900)
    made.act(1, "accept", 5, spent=3000, n_seen=2, n_hunks=2)
    made.undo(5)  # 1 waits again
    made.act(2, "reject", 4, spent=1000, reasons=("style", "unsafe"), n_seen=0, n_hunks=4)
    made.act(2, "accept", 3, made.ben, spent=8000, n_seen=1, n_hunks=4)  # another word: the rejection is none any more
    made.act(3, "edit", 3, spent=90_000, edited=("script", SCRIPT + "\n# mended\n"), n_seen=3, n_hunks=4)
    made.act(4, "reject", 3, spent=1500, reasons=("wrong_fix",), n_seen=1, n_hunks=1)
    made.act(5, "accept", 2, spent=2000)
    made.act(5, "reject", 2, made.ben, spent=4000, reasons=("other",))
    made.undo(2, made.ben)  # the acceptance before it counts again
    made.act(6, "flag", 1, reasons=("unclear",))
    made.act(7, "skip", 1, spent=400_000)
    made.in_bulk(8, 9, days_ago=1)
    made.act(10, "accept", 0, spent=2500)
    with db.write() as session:  # its texts changed since: the decision saw something else
        changed = update(CandidateRow).where(col(CandidateRow.id) == made.ids[10])
        session.execute(changed.values(judged_from=2, version=3, status=Status.PENDING))
        decisions.add_to_tally(session, project_id, {Status.ACCEPTED: -1, Status.PENDING: 1})
    return made


def rows_of(seen: Insight, code: str) -> dict[str, tuple[int, ...]]:
    picture = next(one for one in seen.pictures if one.code == code)
    return {row.name: tuple(cell.n for cell in row.cells) for row in picture.rows if row.n}


def test_every_picture_counts_what_stands(desk: Desk) -> None:
    seen = desk.look(since="all")

    # accepted, edited, rejected, skipped, flagged
    assert rows_of(seen, "decided") == {
        "2026-01-20": (1, 0, 0, 0, 0),
        "2026-02-26": (1, 1, 1, 0, 0),
        "2026-02-27": (1, 0, 0, 0, 0),
        "2026-02-28": (0, 0, 2, 1, 1),
    }
    assert rows_of(seen, "ways") == {"one by one": (3, 1, 1, 1, 1), "in bulk": (0, 0, 2, 0, 0)}
    assert rows_of(seen, "sources") == {POLISH: (2, 0, 2, 0, 1), REPAIR: (1, 1, 1, 1, 0)}
    assert rows_of(seen, "stages") == {"polish": (2, 0, 2, 0, 1), "repair": (1, 1, 1, 1, 0)}
    assert rows_of(seen, "operations") == {"rename_variable": (3, 1, 3, 1, 1), "add_import": (1, 1, 1, 1, 0)}
    assert rows_of(seen, "files") == {
        "src/x.py": (3, 1, 2, 0, 1), "src/z.py": (2, 0, 1, 0, 0), "src/y.py": (0, 0, 1, 1, 0),
    }  # fmt: skip
    assert rows_of(seen, "reasons") == {"Duplicate": (2, 0), "Wrong fix": (1, 0), "Issue is unclear": (0, 1)}
    assert rows_of(seen, "times") == {
        "under 2 s": (2,), "2 to 5 s": (1,), "5 to 10 s": (1,), "1 to 5 min": (1,), "5 min and more": (1,),
    }  # fmt: skip
    assert rows_of(seen, "seen") == {
        "a quarter to a half": (1,), "three quarters and more": (1,), "all": (1,), "not measured": (4,),
    }  # fmt: skip
    assert rows_of(seen, "left") == {"pending": (3,), "flagged": (1,), "skipped": (1,)}
    assert (seen.n, seen.n_in_bulk) == (9, 2)
    # Of 0.9, 1.5, 2, 8, 90 and 400 seconds.
    assert (seen.pace.n, seen.pace.median_ms, seen.pace.n_hasty) == (6, 5000, 2)
    assert seen.pace.p95_ms == pytest.approx(90_000 + 0.75 * 310_000)


@pytest.mark.parametrize(
    "query",
    [
        {"since": "all"},
        {},
        {"since": "2026-02-26", "until": "2026-02-27"},
        {"since": "all", "by": "ben"},
        {"since": "all", "source": POLISH},
        {"since": "2025-06-01", "source": REPAIR, "by": "local"},
    ],
    ids=lambda query: ",".join(query.values()) or "month",
)
def test_every_bar_leads_to_a_list_as_long_as_it(desk: Desk, query: dict[str, str]) -> None:
    seen = desk.look(**query)

    with desk.db.read() as session:
        told = [
            (picture.code, row.name, cell.n, str(queue.count_candidates(session, desk.project, cell.wanted)))
            for picture in seen.pictures
            for row in picture.rows
            for cell in row.cells
            if cell.n and cell.wanted is not None
        ]
    assert [one for one in told if str(one[2]) != one[3]] == []
    assert {code for code, *_ in told} >= {"decided", "ways", "left", "sources", "stages", "files", "scores", "times"}
