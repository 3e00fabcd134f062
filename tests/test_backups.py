"""A backup holds everything, says when it is damaged, and comes back on either database with the same decisions."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from app import accounts, audit, backups, decisions, installations, prepare, releases, review
from app.db import Database
from app.errors import BadInputError, ConflictError, NotFoundError
from app.models import metadata
from app.queue import Filter, list_candidates
from app.settings import Settings
from app.syntax import words_of
from tests.commands import call
from tests.conftest import NOON
from tests.releasing import Desk, installed
from tests.test_release_cli import options, run

KINDS = [("sqlite", "postgres"), ("postgres", "sqlite")]


@pytest.fixture(params=KINDS, ids=["-".join(kinds) for kinds in KINDS])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Desk, Desk]]:
    """An installation, and an empty one on the other database."""
    with ExitStack() as stack:
        folders = (tmp_path / "desk", tmp_path / "empty")
        for folder in folders:
            folder.mkdir()
        first, second = (
            stack.enter_context(installed(kind, request, folder))
            for kind, folder in zip(request.param, folders, strict=True)
        )
        yield first, second


def fill(desk: Desk) -> None:
    """Real logs with runs and patch sets, decisions with an edit and an undo, and a release."""
    desk.take()
    numbers = [row.id or 0 for row in desk.candidates()]
    desk.accept_all()
    with desk.db.write() as session:
        audit.note(session, audit.Actor(desk.ann, "ann", "127.0.0.1"), "came in", now=NOON)
        review.undo(session, desk.project, desk.ann, key="undo-1", now=NOON)
    assert len(numbers) > 3
    desk.release()


def content(db: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    found = {}
    with db.read() as session:
        for table in metadata.sorted_tables:
            rows = session.execute(select(table).order_by(*table.primary_key.columns))
            found[table.name] = [tuple(row) for row in rows]
    return found


def test_everything_comes_back_on_the_other_database(pair: tuple[Desk, Desk], tmp_path: Path) -> None:
    desk, empty = pair
    fill(desk)
    prepare.run(desk.db)

    facts = backups.back_up(desk.db, desk.settings, tmp_path / "kept", now=NOON)
    assert backups.verify(tmp_path / "kept") == facts
    backups.restore(tmp_path / "kept", empty.db, empty.settings)

    assert content(empty.db) == content(desk.db)
    assert facts.rows["decision"] > 3
    with empty.db.read() as session:
        assert decisions.verify_chain(session, empty.project) is None
        row = releases.get_release(session, empty.project, 1)
        assert releases.verify_release(empty.settings, row).faults == []
    title = max((row.title for row in desk.candidates()), key=len)
    for query in (max(words_of(title), key=len), "script:leave", "trace:error", "file:py"):
        assert words(empty, query) == words(desk, query) != []
    # Ids go on after those that came, and the chain after its last decision.
    number = empty.candidates()[0].id or 0
    empty.decide(number)
    empty.release()
    with empty.db.read() as session:
        assert decisions.verify_chain(session, empty.project) is None
    with empty.db.read() as session:
        backups.check_since(session, facts, "kept")
        for cut in ({"audit": "00" * 32}, {"chains": dict.fromkeys(facts.chains, "00" * 32)}):
            with pytest.raises(BadInputError, match="is not there any more"):
                backups.check_since(session, replace(facts, **cut), "kept")
    assert not list(tmp_path.rglob(".tmp-*"))


def words(desk: Desk, query: str) -> list[int | None]:
    with desk.db.read() as session:
        return [row.id for row in list_candidates(session, desk.project, Filter.parse({"q": query})).candidates]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("patchsift.db", "patchsift.db of the backup was changed"),
        ("releases/1/1/manifest.json", "manifest.json of the backup was changed"),
        ("BACKUP.json", "BACKUP.json of the backup was changed"),
    ],
)
def test_a_byte_that_changed_is_found(tmp_path: Path, name: str, said: str, request: pytest.FixtureRequest) -> None:
    with installed("sqlite", request, tmp_path) as desk:
        desk.take()
        desk.accept_all()
        desk.release()
        backups.back_up(desk.db, desk.settings, tmp_path / "kept", now=NOON)
    path = tmp_path / "kept" / name
    path.write_bytes(path.read_bytes().replace(b"a", b"b", 1) if name != "BACKUP.json" else path.read_bytes() + b" ")

    with pytest.raises(BadInputError, match=re.escape(said)):
        backups.verify(tmp_path / "kept")


def test_what_is_missing_or_too_much_is_found(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with installed("sqlite", request, tmp_path) as desk:
        backups.back_up(desk.db, desk.settings, tmp_path / "kept", now=NOON)
    (tmp_path / "kept/more").write_text("x")
    with pytest.raises(BadInputError, match="holds more, which SHA256SUMS does not name"):
        backups.verify(tmp_path / "kept")
    (tmp_path / "kept/more").unlink()
    (tmp_path / "kept/patchsift.db").unlink()
    with pytest.raises(BadInputError, match=r"lacks patchsift\.db"):
        backups.verify(tmp_path / "kept")
    with pytest.raises(BadInputError, match="is no backup"):
        backups.verify(tmp_path)


def test_people_decide_while_a_backup_is_made(pair: tuple[Desk, Desk], tmp_path: Path) -> None:
    """What is decided after the first page is not in it, and the copy need not begin anew."""
    desk, _ = pair
    desk.take()
    numbers = [row.id or 0 for row in desk.candidates()]
    told: list[tuple[str, int]] = []

    def decide_one(what: str, done: int, _: int) -> None:
        told.append((what, done))
        if numbers:
            desk.decide(numbers.pop())

    facts = backups.back_up(desk.db, desk.settings, tmp_path / "kept", now=NOON, progress=decide_one)

    assert backups.verify(tmp_path / "kept") == facts
    assert facts.rows["decision"] == 0
    assert len(told) == len(set(told))
    assert content(desk.db)["decision"]


def test_nothing_is_written_over(pair: tuple[Desk, Desk], tmp_path: Path) -> None:
    desk, _ = pair
    desk.take()
    backups.back_up(desk.db, desk.settings, tmp_path / "kept", now=NOON)
    before = content(desk.db)

    with pytest.raises(ConflictError, match="is there already"):
        backups.back_up(desk.db, desk.settings, tmp_path / "kept", now=NOON)
    with pytest.raises(ConflictError, match="holds logs already"):
        backups.restore(tmp_path / "kept", desk.db, desk.settings)

    assert content(desk.db) == before


def test_a_backup_that_was_forged_does_not_go_in(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Digests of files can be made anew by whoever changes a file; the chain of decisions cannot."""
    with installed("sqlite", request, tmp_path) as desk:
        desk.take()
        desk.accept_all()
        kept = tmp_path / "kept"
        backups.back_up(desk.db, desk.settings, kept, now=NOON)
        forged = Database(Settings(data_dir=kept, database_url=""))
        with forged.write() as session:
            session.execute(text("DROP TRIGGER decision_no_update"))
            session.execute(text("UPDATE decision SET verdict = 'reject' WHERE id = 2"))
        forged.close()
        backups._sweep(kept)
        backups._write_sums(kept)

        with pytest.raises(BadInputError, match="Decision 2 of project default or the one before it was changed"):
            backups.verify(kept)


def test_after_a_restore_everybody_logs_in_anew(pair: tuple[Desk, Desk], tmp_path: Path) -> None:
    desk, empty = pair
    with desk.db.write() as session:
        person = accounts.create(session, "ann", is_admin=True, now=NOON, hashed="x")
        shown = accounts.log_in(session, accounts.Checked(person.id or 0), address="", agent="", now=NOON)
        link = accounts.make_ticket(session, person.id, now=NOON)
    backups.back_up(desk.db, desk.settings, tmp_path / "kept", now=NOON)
    backups.restore(tmp_path / "kept", empty.db, empty.settings)
    with desk.db.read() as before, empty.db.read() as after:
        assert accounts.find_login(before, shown, now=NOON) is not None
        assert accounts.find_login(after, shown, now=NOON) is None
        with pytest.raises(NotFoundError):
            accounts.get_ticket(after, link, now=NOON)


def test_the_commands(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with ExitStack() as stack:
        (tmp_path / "one").mkdir()
        (tmp_path / "two").mkdir()
        desk = stack.enter_context(installed("sqlite", request, tmp_path / "one"))
        other = stack.enter_context(installed("postgres", request, tmp_path / "two"))
        fill(desk)
        chain = desk.db
        assert run(desk, "db", "backup", tmp_path / "kept").status == 0
        assert run(desk, "db", "restore", tmp_path / "kept", "--verify").status == 0
        assert run(desk, "db", "verify", "--since", tmp_path / "kept").status == 0
        again = run(desk, "db", "restore", tmp_path / "kept")
        assert (again.status, "holds logs already" in again.err) == (1, True)

        before = content(chain)
        moved = run(desk, "db", "move", "--to", other.settings.database_url, "--json")
        assert (moved.status, json.loads(moved.out)["rows"]["decision"] > 0) == (0, True)
        after = content(other.db)
        came = after["audit"].pop()
        assert after == before
        # The new one knows where it came from, the old one where it went, and neither holds a password.
        old, new = installations.address_of(chain), installations.address_of(other.db)
        assert came[-4:-2] == (installations.CAME, {"from": old})
        verified = run(other, "db", "verify")
        assert (verified.status, "Every decision" in verified.err) == (0, True)

        for words in (["status"], ["serve", "--port", "0", "--no-open"], ["worker"], ["ingest", tmp_path / "x"]):
            refused = call(*words, *options(desk))
            assert (refused.status, f"{old} was moved to {new} on 20" in refused.err) == (1, True), words
        assert run(desk, "db", "move", "--take-back").status == 0
        assert run(desk, "status").status == 0
        twice = run(desk, "db", "move", "--take-back")
        assert (twice.status, "was not moved anywhere" in twice.err) == (1, True)
