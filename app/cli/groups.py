"""patchsift groups: which candidates look alike and which issues that ties together; and all of it anew."""

import json
from typing import Annotated, Any

import typer

from app.cli.terminal import DatabaseUrl, DataDir, Json, ProjectName, bar, opened, print_json, say, settings_of, tell
from app.errors import BadInputError

groups = typer.Typer(help="Near-duplicates, and the issues that they tie to one group.")


@groups.command("show")
def show(
    candidate: Annotated[int | None, typer.Argument(help="A candidate, to list those that look like it.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many candidates to list.")] = 50,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """How much is tied together; with a candidate, its near-duplicates and its group."""
    from app import groups as domain  # noqa: PLC0415
    from app import review  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    with opened(settings) as (db, project_id), db.read() as session:
        if candidate is None:
            counts = domain.count(session, project_id)
            waiting, outdated = domain.count_waiting(session, project_id), domain.is_outdated(session, project_id)
        else:
            issue = bytes(review.get_candidate(session, project_id, candidate).group_digest)
            alike = domain.list_cluster(session, candidate, limit)
            group = domain.find_group(session, project_id, issue)
    if candidate is None:
        if as_json:
            print_json(domain.as_json(counts) | {"waiting": waiting, "outdated": outdated})
            return
        tell(counts.in_words())
        if waiting or outdated:
            say(f"{waiting:,} candidates wait for the worker." if waiting else "They have to be made: groups rebuild.")
    elif as_json:
        print_json({"candidate": candidate, "cluster": alike, "issue": issue.hex(), "group": group.hex()})
    else:
        tell(f"group {group.hex()}")
        for number in alike:
            tell(str(number))


@groups.command("rebuild")
def rebuild(
    engine: Annotated[str, typer.Option("--engine", help="process (here), or bulk (datatrove, an extra).")] = "process",
    executor: Annotated[str, typer.Option("--executor", help="Of the bulk engine: local, slurm or ray.")] = "local",
    tasks: Annotated[int, typer.Option("--tasks", min=1, help="Of the bulk engine: into how many parts.")] = 2,
    options: Annotated[
        str, typer.Option("--options", help='What else its executor takes, as JSON: \'{"time": "2:00:00"}\'.')
    ] = "{}",
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Make all groups anew from what the candidates say, here and now."""
    from app import groups as domain  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    said = {"engine": engine, "executor": executor, "tasks": tasks, "options": _options(options)}
    finder = domain.make_finder(settings.data_dir / "bulk", said)
    with opened(settings, "groups rebuild") as (db, project_id):
        with bar("groups", quiet=as_json) as progress:
            n = domain.rebuild(db, project_id, finder=finder, progress=progress)
        with db.read() as session:
            counts = domain.count(session, project_id)
    if as_json:
        print_json({"looked_at": n} | domain.as_json(counts))
    say(f"{n:,} candidates: {counts.in_words()}")


def _options(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BadInputError('--options takes a JSON object: {"workers": 4}.')
    return found
