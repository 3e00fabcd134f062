"""patchsift db: bring the database up to date, verify it, back it up, put it back, move it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.terminal import (
    DatabaseUrl,
    DataDir,
    Json,
    ProjectName,
    actor,
    bar,
    now,
    opened,
    print_json,
    say,
    settings_of,
)
from app.errors import AppError

if TYPE_CHECKING:
    from sqlmodel import Session

    from app.db import Database
    from app.models import ProjectRow
    from app.settings import Settings

database = typer.Typer(help="The database: bring it up to date, verify it, back it up, put it back, move it.")


@database.command("upgrade")
def upgrade(data_dir: DataDir = None, database_url: DatabaseUrl = None, project: ProjectName = None) -> None:
    """Bring the schema up to date; every start does this by itself."""
    from app import migrations  # noqa: PLC0415
    from app.db import Database  # noqa: PLC0415

    db = Database(settings_of(data_dir, database_url, project))
    done = migrations.upgrade(db)
    say(f"The schema is at {migrations.HEAD}" + (" now." if done else " already."))


@database.command("verify")
def verify(
    since: Annotated[
        Path | None, typer.Option("--since", help="A backup: say also whether rows that it holds were cut off.")
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Walk the chains of decisions and audit, and the digests of entries; exit 1 at the first that does not fit.

    Every candidate must also be what its decisions come to. Of all projects, unless one is named.
    """
    from app import accounts, audit, backups, sources  # noqa: PLC0415

    facts = None if since is None else backups.read_facts(since)
    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.read() as session:
        broken = audit.verify(session)
        if broken is not None:
            raise AppError(f"Row {broken} of the audit log or the one before it was changed: its digest does not fit.")
        if facts is not None:
            backups.check_since(session, facts, str(since))
        found = accounts.list_all_projects(session)
        found = [one for one in found if project is None or one.id == project_id]
        n_entries = 0
        for one in found:
            _verify_decisions(session, one)
            n_entries += sources.verify_entries(session, one.id or 0)
    if as_json:
        print_json({"projects": [one.name for one in found], "entries": n_entries})
    say(
        "Every decision and audit row fits the one before it, every candidate its decisions; "
        f"{n_entries:,} entries fit their digests. {len(found):,} {'project' if len(found) == 1 else 'projects'}."
    )


def _verify_decisions(session: "Session", project: "ProjectRow") -> None:
    from app import decisions  # noqa: PLC0415

    broken = decisions.verify_chain(session, project.id or 0)
    said = f"Decision {broken} or the one before it was changed: its digest does not fit." if broken is not None else ""
    said = said or decisions.find_false_state(session, project.id or 0)
    if said:
        raise AppError(f"In project {project.name}: {said}")


@database.command("backup")
def backup(
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Write a verified backup of everything, while people work: database, releases, what was too long for it."""
    from app import backups  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    with opened(settings) as (db, _), bar("backup", quiet=as_json) as step:
        facts = backups.back_up(db, settings, folder, now=now(), progress=_steps(step))
        _note(db, "db backup", folder.name)
    if as_json:
        print_json({"folder": str(folder), "made_at": facts.made_at, "schema": facts.schema, "rows": facts.rows})
    say(f"{folder} holds everything as it stood at {facts.made_at}: {sum(facts.rows.values()):,} rows, verified.")


@database.command("restore")
def restore(
    folder: Annotated[Path, typer.Argument(help="A backup.")],
    check: Annotated[bool, typer.Option("--verify", help="Only say whether the backup is whole.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Put a backup back into an installation that holds nothing yet, on SQLite or PostgreSQL."""
    from app import backups  # noqa: PLC0415

    if check:
        facts = backups.verify(folder)
    else:
        settings = settings_of(data_dir, database_url, project)
        with opened(settings, makes="installation") as (db, _), bar("restore", quiet=as_json) as step:
            facts = backups.restore(folder, db, settings, progress=_steps(step))
            _note(db, "db restore", folder.name)
        say("Everybody logs in anew. Tokens that were ended since the backup live again: patchsift token list.")
    if as_json:
        print_json({"folder": str(folder), "made_at": facts.made_at, "rows": facts.rows, "restored": not check})
    what = "is whole" if check else "is back"
    say(f"{folder} {what}: everything as it stood at {facts.made_at}, {sum(facts.rows.values()):,} rows.")


@database.command("move")
def move(
    to: Annotated[
        str,
        typer.Option("--to", help="postgresql://NAME@HOST/DATABASE, an empty one; PATCHSIFT_DATABASE_PASSWORD_FILE."),
    ] = "",
    take_back: Annotated[
        bool, typer.Option("--take-back", help="Go on with a database that was moved away, instead of moving.")
    ] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Copy everything to another database, such as from SQLite to a team's PostgreSQL. Stop the server before.

    The data folder with the releases stays where it is. So does the old database, but from then on it is refused.
    """
    from app import backups, installations  # noqa: PLC0415
    from app.db import Database  # noqa: PLC0415
    from app.serving import claim_folder as claimed  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    if take_back == bool(to):
        raise AppError("Say where to with --to, or --take-back to go on with a database that was moved away.")
    if take_back:
        _take_back(settings)
        return
    with claimed(settings), opened(settings) as (db, _), bar("move", quiet=as_json) as step:
        target = Database(settings_of(data_dir, to, project))
        try:
            copied = backups.move(db, target, progress=_steps(step))
            installations.mark_moved(db, target, actor(), now=now())
        finally:
            target.close()
    if as_json:
        print_json({"rows": copied})
    say(f"{sum(copied.values()):,} rows are there, and every decision with its digest.")
    say("Start with that --database-url from now on; the old database stays where it is, marked as moved.")


def _take_back(settings: "Settings") -> None:
    from app import installations  # noqa: PLC0415

    db = installations.open_database(settings, takes_moved=True)
    try:
        away = installations.take_back_move(db, actor(), now=now())
    finally:
        db.close()
    say(f"This database is used again. What was done in {away} since the move is not in it.")


def _note(db: "Database", what: str, folder: str) -> None:
    from app import audit  # noqa: PLC0415

    with db.write() as session:
        audit.note(session, actor(), what, now=now(), about={"folder": folder})


def _steps(step: Callable[[int, int], None] | None) -> Callable[[str, int, int], None] | None:
    return None if step is None else lambda _, done, total: step(done, total)
