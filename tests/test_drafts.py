"""What people have typed: each their own, merged within a version, gone with another."""

import threading
from pathlib import Path

import pytest

from app import drafts, review
from app.db import Database
from app.errors import BadInputError
from app.models import ReviewerRow, Verdict
from app.settings import Settings
from tests.conftest import NOON
from tests.logs import read_issues


@pytest.fixture
def candidate(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> int:
    (number,) = read_issues(db, settings, project_id, tmp_path, "Fix the parser")
    return number


@pytest.fixture
def alice(reviewer_id: int) -> int:
    return reviewer_id


@pytest.fixture
def bob(db: Database) -> int:
    with db.write() as session:
        row = ReviewerRow(name="bob", created_at=NOON)
        session.add(row)
        session.flush()
        return row.id or 0


def keep(db: Database, project_id: int, who: int, candidate: int, version: int = 1, **texts: object) -> None:
    with db.write() as session:
        row = review.get_candidate(session, project_id, candidate)
        drafts.keep(session, who, row, version=version, texts=texts, now=NOON)


def texts(db: Database, who: int, candidate: int) -> dict[str, object] | None:
    with db.read() as session:
        draft = drafts.find_draft(session, who, candidate)
        return None if draft is None else dict(draft.texts)


def test_each_person_has_a_draft_of_their_own(
    db: Database, project_id: int, candidate: int, alice: int, bob: int
) -> None:
    keep(db, project_id, alice, candidate, script="hers \x00\ud800\r\n", comment="so far")
    keep(db, project_id, alice, candidate, comment="further")
    keep(db, project_id, bob, candidate, script="his")
    with db.write() as session:
        drafts.discard(session, bob, candidate)

    assert texts(db, alice, candidate) == {"script": "hers \x00\ud800\r\n", "comment": "further"}
    assert texts(db, bob, candidate) is None


def test_an_edit_ends_the_draft_of_who_made_it_and_a_new_version_starts_another(
    db: Database, project_id: int, candidate: int, alice: int, bob: int
) -> None:
    for who in (alice, bob):
        keep(db, project_id, who, candidate, script="typed", comment="so far")
    with db.write() as session:
        act = review.Act(Verdict.EDIT, 1, "k", edited=("script", "import libcst\n"))
        review.decide(session, project_id, alice, candidate, act, now=NOON)

    assert texts(db, alice, candidate) is None
    assert texts(db, bob, candidate) == {"script": "typed", "comment": "so far"}
    keep(db, project_id, bob, candidate, version=2, script="again")
    assert texts(db, bob, candidate) == {"script": "again"}


def test_a_decision_takes_the_comment_and_leaves_the_texts(
    db: Database, project_id: int, candidate: int, alice: int, bob: int
) -> None:
    keep(db, project_id, alice, candidate, comment="so far", rating="4")
    keep(db, project_id, bob, candidate, script="typed", comment="so far")
    for who, version in ((alice, 1), (bob, 2)):
        with db.write() as session:
            review.decide(session, project_id, who, candidate, review.Act(Verdict.SKIP, version, f"k{who}"), now=NOON)

    assert texts(db, alice, candidate) is None
    assert texts(db, bob, candidate) == {"script": "typed"}


def test_a_draft_has_an_end(
    db: Database, project_id: int, candidate: int, alice: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafts, "_MOST_CHARACTERS", 100)
    with pytest.raises(BadInputError, match="at most 100 characters"):
        keep(db, project_id, alice, candidate, script="x" * 100)


def test_two_tabs_that_keep_a_first_draft_at_one_instant_both_succeed(
    db: Database, project_id: int, candidate: int, alice: int
) -> None:
    failed: list[BaseException] = []
    at_once = threading.Barrier(4)

    def one(number: int) -> None:
        at_once.wait()
        try:
            keep(db, project_id, alice, candidate, script=f"tab {number}")
        except BaseException as error:  # noqa: BLE001  (told below)
            failed.append(error)

    tabs = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()

    assert failed == []
    assert str((texts(db, alice, candidate) or {})["script"]).startswith("tab ")
