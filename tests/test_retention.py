"""What is old goes, what a decision or a release rests on stays, and a dry run changes nothing."""

import json
import os
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlmodel import SQLModel
from typer.testing import CliRunner

from app import accounts, audit, drafts, retention, review, webhooks
from app.audit import Actor
from app.cli import app
from app.db import Database
from app.models import JobRow, JobState, LoginRow, PostingRow, PostingState, WebhookRow
from app.settings import Settings
from tests.conftest import NOON
from tests.logs import line
from tests.releasing import Desk

ACTOR = Actor(None, "worker", "worker")
LATER = NOON + timedelta(days=400)
SWEPT = {"draft", "job", "posting", "login", "ticket", "audit"}


@pytest.fixture
def desk(db: Database, settings: Settings) -> Desk:
    """A day's work: decisions, a release, a draft, jobs, logins, messages."""
    made = Desk(db, settings, settings.data_dir)
    first, second = made.read(line("One"), line("Two"))
    made.decide(first)
    made.release(name="first")
    with db.write() as session:
        drafts.keep(
            session,
            made.ann,
            review.get_candidate(session, made.project, second),
            version=1,
            texts={"comment": "so"},
            now=NOON,
        )
        for number, state in enumerate((JobState.DONE, JobState.FAILED, JobState.QUEUED)):
            session.add(
                JobRow(
                    project_id=made.project,
                    kind="groups",
                    state=state,
                    created_at=NOON,
                    finished_at=NOON if number < 2 else None,
                )
            )
        accounts.make_ticket(session, made.ben, now=NOON)
        session.add(
            LoginRow(
                digest=b"a" * 32,
                reviewer_id=made.ben,
                project_id=made.project,
                made_at=NOON,
                seen_at=NOON,
                ends_at=NOON,
                address="",
                agent="",
            )
        )
        session.add(
            LoginRow(
                digest=b"b" * 32,
                reviewer_id=made.ben,
                project_id=made.project,
                made_at=NOON,
                seen_at=NOON,
                ends_at=LATER + timedelta(days=9),
                address="",
                agent="",
            )
        )
        hook = WebhookRow(project_id=made.project, url="https://a.test/", events=["release"], secret="", made_at=NOON)
        session.add(hook)
        session.flush()
        for event, became in (
            ("decision.made", PostingState.SENT),
            ("release.frozen", PostingState.SENT),
            ("test", PostingState.WAITING),
        ):
            session.add(
                PostingRow(
                    webhook_id=hook.id or 0,
                    key=event,
                    message_id="m",
                    event=event,
                    body="",
                    state=became,
                    next_at=NOON,
                    made_at=NOON,
                    ended_at=NOON if became is PostingState.SENT else None,
                )
            )
    return made


def counts(db: Database) -> dict[str, int]:
    with db.read() as session:
        return {
            table.name: session.execute(select(func.count()).select_from(table)).scalar_one()
            for table in SQLModel.metadata.sorted_tables
        }


def test_what_is_old_goes_and_everything_else_stays(desk: Desk) -> None:
    before = counts(desk.db)
    download = desk.settings.data_dir / "exports" / "7" / "dataset.zip"
    download.parent.mkdir(parents=True)
    download.write_bytes(b"zip")
    for path in (download, download.parent):
        os.utime(path, (NOON.timestamp(), NOON.timestamp()))
    with desk.db.read() as session:
        told = {one.name: one.n for one in retention.look(session, desk.settings, now=LATER)}

    gone = retention.run(desk.db, desk.settings, ACTOR, now=LATER)

    assert gone == told
    assert (gone["downloads"], download.exists()) == (1, False)
    after = counts(desk.db)
    assert (gone["drafts"], gone["logins"], gone["tickets"], gone["messages"]) == (1, 1, 1, 1)
    assert gone["jobs"] >= 2
    assert {name: n for name, n in after.items() if name not in SWEPT} == {
        name: n for name, n in before.items() if name not in SWEPT
    }
    with desk.db.read() as session:
        assert {one.event for one in session.execute(select(PostingRow)).scalars()} == {"release.frozen", "test"}
        assert JobState.QUEUED in {one.state for one in session.execute(select(JobRow)).scalars()}
        assert desk.job(1).kind == "release"
        (row,) = audit.list_page(session, None, audit.Wanted(), limit=1)
        assert (row.who, row.what, row.about["drafts"]) == ("worker", "retention run", 1)
    assert retention.run(desk.db, desk.settings, ACTOR, now=LATER) == dict.fromkeys(gone, 0)


def test_what_is_young_stays_and_so_does_what_is_kept_for_ever(desk: Desk) -> None:
    kept = {"draft_days": 0, "job_days": 0, "message_days": 0, "login_days": 0, "export_days": 0}

    assert set(retention.run(desk.db, desk.settings, ACTOR, now=NOON + timedelta(days=1)).values()) == {0}
    assert set(retention.run(desk.db, desk.settings.model_copy(update=kept), ACTOR, now=LATER).values()) == {0}


def test_a_message_about_a_release_stays_so_that_it_is_told_once(desk: Desk) -> None:
    retention.run(desk.db, desk.settings, ACTOR, now=LATER)

    with desk.db.read() as session:
        assert len(webhooks.list_postings(session, desk.project)) == 2


def test_the_command_counts_before_it_removes(desk: Desk) -> None:
    where = ["--json", "--data-dir", str(desk.settings.data_dir), "--database-url", desk.settings.url]

    counted = json.loads(CliRunner().invoke(app, ["retention", "run", "--dry-run", *where]).stdout)
    shown = json.loads(CliRunner().invoke(app, ["retention", "show", *where]).stdout)
    removed = json.loads(CliRunner().invoke(app, ["retention", "run", *where]).stdout)

    assert counted["removed"] == removed["removed"] == {one["name"]: one["n"] for one in shown["rules"]}
    assert removed["removed"]["messages"] == 1


def test_the_page_counts_and_removes(desk: Desk, client: TestClient) -> None:
    assert "PATCHSIFT_MESSAGE_DAYS" in client.get("/retention").text

    answer = client.post("/retention")

    assert "Removed:" in answer.text
    assert counts(desk.db)["posting"] == 2
