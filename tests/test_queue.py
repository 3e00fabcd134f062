"""Orders of a list: every page, both directions, the next in review and the lease follow the same walk."""

from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import Session, col

from app import leases, queue
from app.db import Database
from app.errors import BadInputError
from app.models import CandidateRow, Status
from app.ordering import ORDERS
from app.queue import Filter
from app.settings import Settings
from tests.conftest import NOON
from tests.logs import read_issues

# Number → score, mildness, size, alike; None is what the worker has not seen, or what has none.
VALUES = {
    1: (0.5, -100, 7, 40), 2: (None, 0, 3, 20), 3: (0.25, -10_000, 7, 40), 4: (None, None, None, None),
    5: (0.5, 0, 900, 20), 6: (1 / 3, -1, 0, 2**62), 7: (None, None, None, None), 8: (-2.0, -100, 12, 20),
}  # fmt: skip
WALKS = {
    "": [1, 2, 3, 4, 5, 6, 7, 8], "newest": [8, 7, 6, 5, 4, 3, 2, 1],
    "gravest": [3, 1, 8, 6, 2, 5, 4, 7], "mildest": [5, 2, 6, 8, 1, 3, 4, 7],
    "lowest": [8, 3, 6, 1, 5, 2, 4, 7], "highest": [5, 1, 6, 3, 8, 2, 4, 7],
    "smallest": [6, 2, 1, 3, 8, 5, 4, 7], "largest": [5, 8, 3, 1, 2, 6, 4, 7],
    "alike": [2, 5, 8, 1, 3, 6, 4, 7],
}  # fmt: skip


@pytest.fixture
def shelf(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> None:
    """Eight pending candidates with these values; one more of each value is a part of another, and in no list."""
    read_issues(db, settings, project_id, tmp_path, *(f"Issue {n}" for n in range(9)))
    with db.write() as session:
        for number, (score, mildness, size, alike) in (VALUES | {9: (0.5, -1, 7, 40)}).items():
            set_to(session, number, score=score, mildness=mildness, n_changed=size, alike=alike)
        set_to(session, 9, status=Status.JOINED)


def set_to(session: Session, number: int, **values: object) -> None:
    session.execute(update(CandidateRow).where(col(CandidateRow.id) == number).values(values))


def walk(session: Session, project_id: int, wanted: Filter, limit: int) -> list[int]:
    found: list[int] = []
    after: str | None = ""
    while after is not None:
        page = queue.list_candidates(session, project_id, wanted, after=after, limit=limit)
        found += [row.id or 0 for row in page.candidates]
        after = page.after
    return found


@pytest.mark.usefixtures("shelf")
@pytest.mark.parametrize("order", [*WALKS])
def test_pages_and_review_follow_one_walk_whatever_the_statuses(
    db: Database, project_id: int, reviewer_id: int, order: str
) -> None:
    expected, every = WALKS[order], Filter(order=order)
    pending = Filter(status="pending", order=order)
    with db.write() as session:
        assert walk(session, project_id, pending, 1) == walk(session, project_id, pending, 5) == expected
        for one, following in zip(expected, [*expected[1:], expected[0]], strict=True):
            assert queue.find_next(session, project_id, pending, one) == following
        for one, previous in zip(expected, [None, *expected[:-1]], strict=True):
            assert queue.find_next(session, project_id, pending, one, back=True) == previous
        assert queue.find_next(session, project_id, pending, 0) == expected[0]
        for number in (2, 3, 4):
            set_to(session, number, status=Status.ACCEPTED)
        assert walk(session, project_id, every, 3) == expected
        lease = leases.take_next(session, project_id, reviewer_id, pending, now=NOON)

    assert lease is not None
    assert lease.candidate_id == next(one for one in expected if one not in {2, 3, 4})


def test_every_order_has_a_walk() -> None:
    assert {*WALKS} == {*ORDERS, ""} - {"oldest"}
    assert Filter.parse({"order": "oldest"}) == Filter()


@pytest.mark.usefixtures("shelf")
@pytest.mark.parametrize(
    "after", ["x_1", "0.5", "_", "nan_1", "inf_1", "1_9999999999", "1__1", "\u0661_1", "9" * 400 + "_1"]
)
def test_a_place_that_is_none_is_refused(db: Database, project_id: int, after: str) -> None:
    with db.read() as session, pytest.raises(BadInputError, match="order lowest"):
        queue.list_candidates(session, project_id, Filter(order="lowest"), after=after)
