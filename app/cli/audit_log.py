"""patchsift audit: who did what to whom."""

from datetime import date, datetime
from typing import Annotated

import typer

from app.cli.terminal import DatabaseUrl, DataDir, Json, ProjectName, opened, print_json, settings_of, tell
from app.errors import BadInputError


def audit(
    who: Annotated[str, typer.Option("--who", help="Only what this person did.")] = "",
    what: Annotated[str, typer.Option("--what", help="Only what has these words: of the deed, or to whom.")] = "",
    since: Annotated[str, typer.Option("--since", help="From this day on, such as 2026-01-31, in UTC.")] = "",
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Print the audit log of the whole server, or of --project, the oldest first. With --json, one object a row."""
    from app import accounts, deeds  # noqa: PLC0415
    from app import audit as domain  # noqa: PLC0415

    wanted = domain.Wanted(who.strip(), what.strip(), since=_day(since))
    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.read() as session:
        names = {one.id: one.name for one in accounts.list_all_projects(session)}
        for row in domain.scan(session, None if project is None else project_id, wanted):
            told = deeds.tell(row.what, row.about)
            if as_json:
                print_json(domain.as_json(row) | {"told": told})
                continue
            left = [f"{name} {value}" for name, value in deeds.left(row.what, row.about)]
            where = [f"project {names.get(row.project_id, row.project_id)}"] if row.project_id else []
            more = "; ".join([*left, *where, f"from {row.address or 'nowhere'}"])
            tell(f"{_moment(row.made_at)}  {row.who} {told or row.what} ({more})")


def _day(said: str) -> date | None:
    try:
        return date.fromisoformat(said) if said else None
    except ValueError as error:
        raise BadInputError(f"--since takes a day such as 2026-01-31; it is {said[:20]!r}.") from error


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")
