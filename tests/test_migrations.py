"""The schema's history: what it makes is what the tables say, on both databases, there and back."""

import ast
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.schema import SchemaItem

from app import migrations
from app.db import Database
from app.errors import AppError
from app.migrations.alembic import config, run
from app.models import metadata
from app.settings import Settings
from tests.logs import read_issues

VERSIONS = Path(migrations.__file__).parent / "versions"


def is_ours(_: SchemaItem, name: str | None, __: str, ___: bool, ____: SchemaItem | None) -> bool:
    """Not the search index, which each database has of its own kind."""
    return not (name or "").removeprefix("ix_").startswith("candidate_words")


def differences(connection: Connection) -> list[object]:
    # Of SQLite, Alembic cannot read back that a default is the empty text.
    has_defaults = connection.dialect.name == "postgresql"
    options = {"compare_type": True, "compare_server_default": has_defaults, "include_object": is_ours}
    found: list[object] = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    return found


def tables(db: Database) -> set[str]:
    with db.engine.connect() as connection:
        return set(inspect(connection).get_table_names()) - {"alembic_version"}


def test_an_upgraded_database_is_what_the_models_say(db: Database) -> None:
    with db.engine.connect() as connection:
        assert differences(connection) == []


def test_the_comparison_sees_a_difference(db: Database) -> None:
    with db.engine.begin() as connection:
        connection.execute(text("DROP INDEX ix_candidate_status"))
        connection.execute(text("ALTER TABLE job ADD COLUMN spare integer"))

    with db.engine.connect() as connection:
        assert len(differences(connection)) == 2


def test_a_default_that_bulk_inserts_rely_on_stands_in_the_database(db: Database) -> None:
    with db.engine.connect() as connection:
        columns = {one["name"]: one for one in inspect(connection).get_columns("candidate")}

    for name in ("status", "version", "findings", "checks_version", "lease_number"):
        assert columns[name]["default"] is not None
        assert not columns[name]["nullable"]


def test_the_head_that_the_program_knows_is_the_newest_file() -> None:
    script = ScriptDirectory.from_config(config())

    assert script.get_heads() == [migrations.HEAD]
    assert sorted(script.get_revision(one.revision).revision for one in script.walk_revisions()) == sorted(
        path.name[:4] for path in VERSIONS.glob("[0-9]*.py")
    )


def test_down_and_up_again_is_where_it_was(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> None:
    read_issues(db, settings, project_id, tmp_path, "One")
    before = tables(db)

    with db.engine.begin() as connection:
        command.downgrade(config(connection), "base")
    assert tables(db) == set()
    assert migrations.upgrade(db)

    assert tables(db) == before
    with db.engine.connect() as connection:
        assert differences(connection) == []


def test_an_upgrade_of_a_current_database_does_nothing(db: Database) -> None:
    assert migrations.current(db) == migrations.HEAD
    assert not migrations.upgrade(db)


def test_the_run_itself_may_be_repeated(db: Database) -> None:
    run(db)
    run(db)

    assert migrations.current(db) == migrations.HEAD


def test_a_newer_database_is_refused_and_left_alone(db: Database) -> None:
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(AppError, match=r"schema 9999, newer than this program's .+\. Install the newer"):
        migrations.upgrade(db)

    assert migrations.current(db) == "9999"


def test_a_file_without_tables_has_no_revision(tmp_path: Path) -> None:
    db = Database(Settings(data_dir=tmp_path))

    assert migrations.current(db) is None
    assert migrations.upgrade(db)
    db.close()


def test_foreign_keys_are_on_again_after_an_upgrade(db: Database) -> None:
    run(db)

    with pytest.raises(Exception, match=r"(?i)foreign key"), db.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO revision (candidate_id, field, text, digest, created_at) "
                "VALUES (99, 'script', 'x', '', '2026-01-01')"
            )
        )


@pytest.mark.parametrize("statement", ["UPDATE decision SET comment = 'x'", "DELETE FROM decision"])
def test_an_upgraded_database_keeps_decisions_as_they_are(
    db: Database, settings: Settings, project_id: int, reviewer_id: int, tmp_path: Path, statement: str
) -> None:
    from app import review
    from app.models import Verdict
    from tests.conftest import NOON

    [candidate_id] = read_issues(db, settings, project_id, tmp_path, "One")
    with db.write() as session:
        review.decide(session, project_id, reviewer_id, candidate_id, review.Act(Verdict.SKIP, 1, "k"), now=NOON)

    with pytest.raises(Exception, match="append-only"), db.engine.begin() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize("path", sorted(VERSIONS.glob("[0-9]*.py")), ids=lambda path: path.name)
def test_a_migration_never_imports_the_models_that_will_have_changed(path: Path) -> None:
    imported = [
        name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [one.name for one in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    ]

    assert imported
    assert [name for name in imported if name.partition(".")[0] == "app"] == []
