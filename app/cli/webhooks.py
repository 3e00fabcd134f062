"""patchsift webhook: other programs that are told of decisions and releases."""

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.terminal import DatabaseUrl, DataDir, Json, ProjectName, now, opened, print_json, say, settings_of, tell

if TYPE_CHECKING:
    from app.audit import Actor

hooks = typer.Typer(help="Webhooks: other programs that are told of decisions and releases.")

Number = Annotated[int, typer.Argument(help="The webhook's number, as `webhook list` says.")]


@hooks.command("add")
def add(
    url: Annotated[str, typer.Argument(help="Where to: https://hooks.example.org/patchsift")],
    events: Annotated[
        str, typer.Option("--events", help="decision, release, or both with a comma.")
    ] = "decision,release",
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Tell a program from now on, and print the secret that its messages are signed with: it is not shown again."""
    from app import audit, webhooks  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    chosen = [one.strip() for one in events.split(",") if one.strip()]
    with opened(settings) as (db, project_id), db.write() as session:
        row = webhooks.add(session, settings, project_id, None, url, chosen, now=now())
        number, secret = row.id or 0, row.secret
        audit.note(session, _actor(), "webhook add", now=now(), project_id=project_id, about={"webhook": number})
    if as_json:
        print_json({"id": number, "url": url, "events": chosen, "secret": secret})
    else:
        tell(secret)
        say(f"Webhook {number} is told from now on. This is its secret; it is not shown again.")


@hooks.command("list")
def show(
    as_json: Json = False, data_dir: DataDir = None, database_url: DatabaseUrl = None, project: ProjectName = None
) -> None:
    """The project's webhooks."""
    from app import webhooks  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.read() as session:
        rows = [
            {"id": one.id, "url": one.url, "events": one.events, "on": one.is_on}
            for one in webhooks.list_webhooks(session, project_id)
        ]
    if as_json:
        print_json({"webhooks": rows})
        return
    for row in rows:
        events = row["events"]
        told = ", ".join(events) if isinstance(events, list) else ""
        tell(f"{row['id']}  {row['url']}  {told}{'' if row['on'] else '  off'}")


@hooks.command("remove")
def remove(
    number: Number, data_dir: DataDir = None, database_url: DatabaseUrl = None, project: ProjectName = None
) -> None:
    """Forget a webhook with everything that was sent to it."""
    from app import audit, webhooks  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.write() as session:
        webhooks.remove(session, project_id, number)
        audit.note(session, _actor(), "webhook remove", now=now(), project_id=project_id, about={"webhook": number})
    say(f"Webhook {number} is gone.")


@hooks.command("test")
def send_test(
    number: Number, data_dir: DataDir = None, database_url: DatabaseUrl = None, project: ProjectName = None
) -> None:
    """Send a test message now, after what waits before it; exit 1 when it does not arrive."""
    from app import webhooks  # noqa: PLC0415
    from app.errors import AppError  # noqa: PLC0415
    from app.models import PostingRow, PostingState  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    with opened(settings) as (db, project_id):
        with db.write() as session:
            made = webhooks.add_test(session, project_id, number, now=now()).id
        webhooks.send_due(db, settings, now=now)
        with db.read() as session:
            row = session.get_one(PostingRow, made)
    if row.state != PostingState.SENT:
        why = row.said or (f"it was answered {row.status}" if row.status else "another message waits before it")
        raise AppError(f"The test has not arrived: {why.rstrip('.')}. A worker tries it again.")
    say(f"The test arrived: {row.status}.")


def _actor() -> "Actor":
    from app.audit import Actor  # noqa: PLC0415

    return Actor(None, getpass.getuser(), "command")
