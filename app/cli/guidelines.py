"""patchsift guideline, patchsift reasons: what the project asks of its reviewers, and its versions."""

import json
from typing import Annotated

import typer

from app.cli.terminal import (
    DatabaseUrl,
    DataDir,
    Json,
    ProjectName,
    now,
    opened,
    print_json,
    say,
    settings_of,
    tell,
    text_of,
)
from app.errors import AppError

guideline = typer.Typer(help="The guideline that reviewers read beside every diff: show it, write it, its versions.")
reasons = typer.Typer(help="The reasons for a reject that the project offers: show them, change them, their versions.")

Number = Annotated[int | None, typer.Option("--version", min=1, help="An earlier version.")]
Why = Annotated[str, typer.Option("--comment", help="What changed, and why.")]


@guideline.command("show")
def show_guideline(
    version: Number = None,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """The text, Markdown, on standard output; with --json also the reasons."""
    from app import guidelines  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.read() as session:
        found = guidelines.get_guideline(session, project_id, version)
    if as_json:
        print_json(found.as_json())
        return
    say(f"Version {found.version}, {len(found.text):,} characters.")
    typer.echo(found.text, nl=False)


@guideline.command("set")
def set_guideline(
    path: Annotated[str, typer.Argument(help="A file with the text, Markdown, or - for standard input.")],
    comment: Why = "",
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Write the next version of the text; the same text once more changes nothing."""
    from app import guidelines, review  # noqa: PLC0415

    text = text_of(path)
    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.write() as session:
        me = review.ensure_local_reviewer(session, now=now()).id or 0
        made = guidelines.save(session, project_id, me, text=text, comment=comment, now=now())
    if as_json:
        print_json(made.as_json())
    else:
        say(f"Version {made.version} stands.")


@reasons.command("show")
def show_reasons(
    version: Number = None,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Every reason with its digit, code and label; --json prints what `reasons set` takes."""
    from app import guidelines  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.read() as session:
        found = guidelines.get_guideline(session, project_id, version)
    if as_json:
        made = found.as_json()
        print_json({"version": made["version"], "reasons": made["reasons"]})
        return
    for one in found.reasons:
        tell(f"{one.digit or '-'}  {one.code:20} {one.label}{'  (retired)' if one.is_retired else ''}")


@reasons.command("set")
def set_reasons(
    path: Annotated[str, typer.Argument(help="JSON as `reasons show --json` prints it, or - for standard input.")],
    comment: Why = "",
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Write the next version of the list, in the order of the file; a reason is retired, never left out."""
    from app import guidelines, review  # noqa: PLC0415

    try:
        given = guidelines.parse_reasons(json.loads(text_of(path)))
    except (ValueError, RecursionError) as error:
        raise AppError(f"{path} is no JSON: {error}.") from error
    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.write() as session:
        me = review.ensure_local_reviewer(session, now=now()).id or 0
        made = guidelines.save(session, project_id, me, reasons=given, comment=comment, now=now())
    if as_json:
        print_json(made.as_json())
    else:
        say(f"Version {made.version} stands: {len(made.active)} reasons are offered.")


@guideline.command("history")
@reasons.command("history")
def history(
    as_json: Json = False, data_dir: DataDir = None, database_url: DatabaseUrl = None, project: ProjectName = None
) -> None:
    """Every version of text and reasons: what changed, when, by whom and why."""
    from app import guidelines  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.read() as session:
        found = guidelines.list_versions(session, project_id)
    if as_json:
        print_json({"versions": [one.as_json() for one in found]})
        return
    for one in found:
        written = "as the program came" if one.created_at is None else f"{one.created_at:%Y-%m-%d %H:%M} {one.reviewer}"
        tell(f"{one.version:4}  {', '.join(one.changed) or '-':14}  {written}  {one.comment}".rstrip())
