"""patchsift view: filters with a name, listed, saved and deleted."""

from typing import Annotated

import typer

from app.cli.terminal import (
    DatabaseUrl,
    DataDir,
    Filtered,
    Json,
    ProjectName,
    filter_of,
    now,
    opened,
    print_json,
    say,
    settings_of,
    tell,
)

views = typer.Typer(help="Saved views: a filter with a name, which is a queue, a link, and view:NAME in other filters.")

Name = Annotated[str, typer.Argument(help="The view's name.")]


@views.command("list")
def list_them(
    as_json: Json = False, data_dir: DataDir = None, database_url: DatabaseUrl = None, project: ProjectName = None
) -> None:
    """Every view with what it finds now, counted up to 1,000, and its filter."""
    from app import queue  # noqa: PLC0415
    from app import views as domain  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.read() as session:
        found = domain.list_views(session, project_id)
        counts = [queue.count_candidates(session, project_id, one.filter) for one in found]
    if as_json:
        listed = [one.as_json() | {"n": n.n, "capped": n.capped} for one, n in zip(found, counts, strict=True)]
        print_json({"views": listed})
        return
    for one, n in zip(found, counts, strict=True):
        tell(f"{one.name}  {n}  {one.as_json()['query']}")


@views.command("save")
def save(
    name: Name,
    filtered: Filtered = "",
    instead: Annotated[bool, typer.Option("--replace", help="Take the place of a view of that name.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Give a filter a name."""
    from app import review  # noqa: PLC0415
    from app import views as domain  # noqa: PLC0415

    wanted = filter_of(filtered)
    with (
        opened(settings_of(data_dir, database_url, project), "view save", {"name": name}) as (db, project_id),
        db.write() as session,
    ):
        me = review.ensure_local_reviewer(session, now=now()).id or 0
        made = domain.save(session, project_id, me, name, wanted, now=now(), instead=instead)
    if as_json:
        print_json(made.as_json())
    else:
        say(f"Saved as {made.name}: in a filter it is {made.term}.")


@views.command("delete")
def delete(
    name: Name,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Delete a view; nothing that it shows is touched."""
    from app import views as domain  # noqa: PLC0415

    with (
        opened(settings_of(data_dir, database_url, project), "view delete", {"name": name}) as (db, project_id),
        db.write() as session,
    ):
        gone = domain.delete(session, project_id, domain.get_by_name(session, project_id, name).number)
    if as_json:
        print_json(gone.as_json())
    else:
        say(f"Deleted the view {gone.name}.")
