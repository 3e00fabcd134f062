"""patchsift retention: what is no longer needed, and goes after a while."""

import getpass
from typing import Annotated

import typer

from app.cli.terminal import DatabaseUrl, DataDir, Json, now, opened, print_json, say, settings_of, tell

retention = typer.Typer(help="What is no longer needed: count it, remove it. Logs, decisions and releases never go.")


@retention.command("show")
def show(as_json: Json = False, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """How long what is kept, and how much of it would go now."""
    from app.retention import look  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, None)
    with opened(settings) as (db, _), db.read() as session:
        rules = look(session, settings, now=now())
    if as_json:
        print_json({"rules": [one.as_json() for one in rules]})
        return
    for one in rules:
        tell(f"{one.n:>9,}  {one.says}, {one.kept_for} ({one.variable})")


@retention.command("run")
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and remove nothing.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Remove what is old enough now; a worker does so every hour."""
    from app import retention as rules  # noqa: PLC0415
    from app.audit import Actor  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, None)
    with opened(settings) as (db, _):
        if dry_run:
            with db.read() as session:
                gone = {one.name: one.n for one in rules.look(session, settings, now=now())}
        else:
            gone = rules.run(db, settings, Actor(None, getpass.getuser(), "command"), now=now())
    if as_json:
        print_json({"removed": gone, "dry_run": dry_run})
        return
    listed = ", ".join(f"{n:,} {name}" for name, n in gone.items() if n) or "nothing"
    say(f"{'Would remove' if dry_run else 'Removed'}: {listed}.")
