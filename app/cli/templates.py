"""patchsift template: which prompt templates are in use, their texts, and what the project makes of them."""

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
    text_of,
)

prompts = typer.Typer(help="Prompt templates: which are in use, their texts, and what the project makes of them.")


@prompts.command("list")
def list_templates(
    as_json: Json = False, data_dir: DataDir = None, database_url: DatabaseUrl = None, project: ProjectName = None
) -> None:
    """Every template and the version that is in use: `repair/p3` is the project's own, `repair/1` came with it."""
    from app import prompting  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.read() as session:
        used = [prompting.as_json(one) for one in prompting.get_prompts(session, project_id).values()]
    if as_json:
        print_json({"templates": used})
        return
    for one in used:
        typer.echo(f"{one['label']:22}{one['title']}")


@prompts.command("show")
def show_template(
    name: Annotated[str, typer.Argument(help="A name that `template list` shows, or a version of it: repair/p3.")],
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """The text of a template, on standard output; with --json also its gaps and every version."""
    from app import prompting  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.read() as session:
        if "/" in name:
            shown = prompting.get_by_label(session, project_id, name)
        else:
            shown = prompting.get_in_use(session, project_id, name)
        versions = prompting.list_versions(session, project_id, shown.name)
    if as_json:
        listed = [prompting.version_as_json(one) for one in versions]
        print_json(prompting.as_json(shown) | {"text": shown.text, "versions": listed})
        return
    say(f"{shown.label}; versions: {', '.join(one.label for one in versions)}")
    typer.echo(shown.text, nl=False)


@prompts.command("save")
def save_template(
    name: Annotated[str, typer.Argument(help="A name that `template list` shows.")],
    path: Annotated[str, typer.Argument(help="A file with the text, or - for standard input.")],
    comment: Annotated[str, typer.Option("--comment", help="What changed, and why.")] = "",
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Write the project's next version of a template and use it."""
    from app import prompting, review  # noqa: PLC0415

    text = text_of(path)
    with (
        opened(settings_of(data_dir, database_url, project), "template save", {"name": name}) as (db, project_id),
        db.write() as session,
    ):
        before = prompting.get_in_use(session, project_id, name)
        me = review.ensure_local_reviewer(session, now=now()).id or 0
        made = prompting.save(session, project_id, me, name, text, comment, now=now())
    if as_json:
        print_json(prompting.as_json(made))
    say(f"{made.label} is in use" + (" already; nothing was changed." if made.label == before.label else " now."))


@prompts.command("use")
def use_template(
    name: Annotated[str, typer.Argument(help="A name that `template list` shows.")],
    version: Annotated[str, typer.Argument(help="One of its labels, such as repair/p1, or: shipped.")],
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Go back to an earlier version of a template, or to the one that came with the program."""
    from app import prompting, review  # noqa: PLC0415

    with (
        opened(settings_of(data_dir, database_url, project), "template use", {"name": name}) as (db, project_id),
        db.write() as session,
    ):
        me = review.ensure_local_reviewer(session, now=now()).id or 0
        used = prompting.use(session, project_id, me, name, prompting.parse_choice(name, version), now=now())
    if as_json:
        print_json(prompting.as_json(used))
    say(f"{used.label} is in use now.")
