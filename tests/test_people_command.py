"""patchsift user and token in real processes, and what every command leaves in the audit log."""

from pathlib import Path

from fastapi.testclient import TestClient
from sqlalchemy import text

from app import audit
from app.db import Database
from app.main import create_app
from app.settings import Settings
from tests.logs import line
from tests.test_cli import Desk, desk

__all__ = ["desk"]


def told(db: Database) -> list[str]:
    with db.read() as session:
        assert audit.verify(session) is None
        return [row.what for row in audit.scan(session, None)]


def test_somebody_is_added_changed_and_locked_out(desk: Desk, db: Database, settings: Settings) -> None:
    added = desk("user", "add", "ann", "--role", "viewer")
    assert added.status == 0
    path = added.out.strip()
    assert desk("user", "add", "ANN").status == 1
    assert desk("user", "role", "ann", "curator").status == 0
    secret = desk("token", "create", "--user", "ann", "--name", "nightly", "--scope", "read").out.strip()
    assert "curator here, so a token of theirs could not admin" in (
        desk("token", "create", "--user", "ann", "--name", "x", "--scope", "admin").err
    )
    assert desk("token", "create", "--user", "ann", "--name", "y", "--scope", "read", "--days", "9999").status == 1
    assert "no end" in desk("token", "list").out
    (person,) = [one for one in desk("user", "list", "--json").json["people"] if one["name"] == "ann"]
    assert (person["role"], person["password"], person["disabled"]) == ("curator", False, False)

    reached = settings.model_copy(update={"host": "0.0.0.0"})
    with TestClient(create_app(reached, db)) as server:
        shown = {"Authorization": f"Bearer {secret}"}
        assert server.get(path).status_code == 200
        assert server.get("/api/v1/candidates", headers=shown).status_code == 200
        assert desk("user", "disable", "ann").status == 0
        assert server.get("/api/v1/candidates", headers=shown).status_code == 401
    assert desk("user", "disable", "nobody").err == "There is nobody called 'nobody'.\n"
    assert told(db) == ["user add", "user role", "token create", "user disable"]


def test_an_administrator_is_made_and_the_last_one_stays(desk: Desk, db: Database) -> None:
    assert desk("user", "add", "ann", "--admin").status == desk("user", "add", "ben").status == 0
    for last in (("admin", "ann", "--no"), ("disable", "ann")):
        assert desk("user", *last).err == "ann is the only administrator. Make somebody else one first.\n"
    assert desk("user", "admin", "ben").status == 0
    # Who has chosen no password yet is nobody's help.
    assert desk("user", "admin", "ann", "--no").status == 1
    with db.write() as session:
        session.execute(text("UPDATE reviewer SET password = 'x' WHERE name = 'ben'"))
    assert desk("user", "admin", "ann", "--no").status == 0
    assert [one["name"] for one in desk("user", "list", "--json").json["people"] if one["admin"]] == ["ben"]
    assert told(db) == ["user add", "user add", "user admin", "user no-admin"]


def test_what_a_command_changes_is_told_and_what_it_reads_is_not(desk: Desk, db: Database, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(line("Fix the parser") + b"\n{")
    assert desk("ingest", log).status == 3
    assert desk("status").status == 0
    assert desk("view", "save", "mine", "--filter", "nothing=1").status == 1
    assert told(db) == ["ingest"]
    log.write_bytes(line("Fix it next door") + b"\n")
    assert desk("ingest", log, "--project", "next door").status == 0
    assert desk("db", "verify").status == 0
    with db.write() as session:
        session.execute(text("UPDATE candidate SET status = 'accepted' WHERE title = 'Fix it next door'"))
    assert (
        "In project next door: Candidate 2 is kept as accepted; its decisions come to pending."
        in desk("db", "verify").err
    )
    assert desk("db", "verify", "--project", "default").status == 0
    with db.write() as session:
        trigger = "audit_no_update" if db.is_sqlite else "audit_no_change ON audit"
        session.execute(text(f"DROP TRIGGER {trigger}"))
        session.execute(text("UPDATE audit SET who = 'somebody else'"))
    verified = desk("db", "verify")
    assert (verified.status, "Row 1 of the audit log" in verified.err) == (1, True)
