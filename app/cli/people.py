"""patchsift user, patchsift token: people, what they may do, and what their programs show."""

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.terminal import (
    DatabaseUrl,
    DataDir,
    Json,
    ProjectName,
    actor,
    now,
    opened,
    print_json,
    say,
    settings_of,
    tell,
)

if TYPE_CHECKING:
    from app.settings import Settings

people = typer.Typer(help="People: who may come in, and what they may do in a project.")
tokens = typer.Typer(help="Tokens: what a program shows instead of a login.")

Name = Annotated[str, typer.Argument(help="The person's name.")]
RoleOption = Annotated[str, typer.Option("--role", help="viewer, reviewer, curator or admin, in this project.")]


@people.command("add")
def add(
    name: Name,
    role: RoleOption = "reviewer",
    admin: Annotated[bool, typer.Option("--admin", help="Of the server, and so of every project.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Add somebody, and print a link that works once, with which they choose their password."""
    from app import accounts, audit  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    with opened(settings, makes="installation") as (db, project_id), db.write() as session:
        person = accounts.create(session, name, is_admin=admin, now=now())
        accounts.set_role(session, project_id, person.id or 0, role)
        secret = accounts.make_ticket(session, person.id, now=now())
        audit.note(session, actor(), "user add", now=now(), project_id=project_id, about={"name": name, "role": role})
    _give_link(settings, name, secret, as_json=as_json)


def _give_link(settings: "Settings", name: str, secret: str, *, as_json: bool) -> None:
    path = f"/come-in/{secret}"
    address = settings.public_url.rstrip("/") + path
    if as_json:
        print_json({"name": name, "link": address})
    else:
        tell(address)
    where = "" if address != path else " Put the server's address before it."
    say(f"Give this to {name}; it works once, for three days.{where}")


@people.command("link")
def link(
    name: Name,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Print a link with which somebody chooses a new password; the one before stays until then."""
    from app import accounts, audit  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    with opened(settings) as (db, _), db.write() as session:
        person = accounts.get_person(session, name)
        secret = accounts.make_ticket(session, person.id, now=now())
        audit.note(session, actor(), "user link", now=now(), about={"name": person.name})
    _give_link(settings, name, secret, as_json=as_json)


@people.command("list")
def list_people(
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Everybody, with the role in this project."""
    from app import accounts  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.read() as session:
        roles = {person.id: str(role) for person, role in accounts.list_members(session, project_id)}
        rows = [
            {
                "name": one.name,
                "role": roles.get(one.id),
                "admin": one.is_admin,
                "password": one.password is not None,
                "second_factor": one.totp is not None,
                "disabled": one.disabled_at is not None,
            }
            for one in accounts.list_people(session)
        ]
    if as_json:
        print_json({"people": rows})
        return
    for row in rows:
        marks = [word for word in ("admin", "second_factor", "disabled") if row[word]]
        marks += [] if row["password"] else ["no password"]
        tell(f"{row['name']:32}{row['role'] or '-':10}{', '.join(marks).replace('_', ' ')}")


@people.command("role")
def set_role(
    name: Name,
    role: Annotated[str, typer.Argument(help="viewer, reviewer, curator, admin, or none.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Give somebody another role in this project, or none."""
    from app import accounts, audit  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.write() as session:
        person = accounts.get_person(session, name)
        if role == "none":
            accounts.remove_member(session, project_id, person.id or 0, now=now())
        else:
            accounts.set_role(session, project_id, person.id or 0, role)
        about = {"name": person.name, "role": role}
        audit.note(session, actor(), "user role", now=now(), project_id=project_id, about=about)
    say(f"{person.name} is {'no member any more' if role == 'none' else f'a {role} here'}.")


@people.command("disable")
def disable(
    name: Name,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Lock somebody out: every login and token ends. What they decided stays."""
    _change(name, settings_of(data_dir, database_url, project), "disable")
    say(f"{name} is locked out; every login and token has ended.")


@people.command("enable")
def enable(
    name: Name,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Let somebody in again, with the password they had."""
    _change(name, settings_of(data_dir, database_url, project), "enable")
    say(f"{name} may come in again.")


@people.command("admin")
def set_admin(
    name: Name,
    no: Annotated[bool, typer.Option("--no", help="Take it away again.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Make somebody an administrator of the server, and so of every project; one must be left."""
    _change(name, settings_of(data_dir, database_url, project), "no-admin" if no else "admin")
    say(f"{name} is {'no administrator any more' if no else 'an administrator of the server'}.")


@people.command("reset-factor")
def reset_factor(
    name: Name,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Take the second factor away from somebody who lost the authenticator."""
    _change(name, settings_of(data_dir, database_url, project), "reset-factor")
    say(f"{name} comes in with the password alone.")


def _change(name: str, settings: "Settings", what: str) -> None:
    from app import accounts, audit  # noqa: PLC0415

    with opened(settings) as (db, _), db.write() as session:
        person = accounts.get_person(session, name)
        if what == "disable":
            accounts.disable(session, person, now=now())
        elif what == "enable":
            accounts.enable(session, person)
        elif what in {"admin", "no-admin"}:
            accounts.set_admin(session, person, is_admin=what == "admin")
        else:
            accounts.remove_totp(session, person)
        audit.note(session, actor(), f"user {what}", now=now(), about={"name": person.name})


# ------------------------------------------------------------------------------------------------ tokens


@tokens.command("create")
def create_token(
    user: Annotated[str, typer.Option("--user", help="Whose it is: what it does is theirs.")],
    name: Annotated[str, typer.Option("--name", help="What it is for.")],
    scope: Annotated[list[str], typer.Option("--scope", help="read, ingest, review, curate, admin; repeatable.")],
    days: Annotated[int | None, typer.Option("--days", help="Ends after so many days; else never.")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Make a token for this project. It is printed once and stored nowhere."""
    from app import accounts, audit  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.write() as session:
        row = accounts.get_person(session, user)
        person = accounts.Person(row.id or 0, row.name, project_id, accounts.get_role(session, row, project_id))
        accounts.refuse_useless(row.name, person.role, scope)
        made, secret = accounts.make_token(session, person, name, scope, now=now(), days=days)
        number, about = made.id, {"name": name, "user": row.name, "scopes": made.scopes}
        audit.note(session, actor(), "token create", now=now(), project_id=project_id, about=about)
    if as_json:
        print_json({"id": number, "token": secret})
    else:
        tell(secret)
    say(f"Token {number}. Send it as: Authorization: Bearer {secret[:8]}…")


@tokens.command("list")
def list_tokens(
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Tokens of this project that have not ended."""
    from app import accounts  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.read() as session:
        names = {one.id: one.name for one in accounts.list_people(session)}
        rows = [
            {
                "id": one.id,
                "name": one.name,
                "user": names.get(one.reviewer_id, ""),
                "scopes": one.scopes,
                "made_at": one.made_at,
                "ends_at": one.ends_at,
            }
            for one in accounts.list_tokens(session, project_id=project_id)
        ]
    if as_json:
        print_json({"tokens": rows})
        return
    for row in rows:
        ends = f"until {row['ends_at']:%Y-%m-%d}" if row["ends_at"] else "no end"
        scopes = ",".join(row["scopes"])  # type: ignore[arg-type]
        tell(f"{row['id']:>5}  {row['user']:20}{scopes:24}{ends:18}{row['name']}")


@tokens.command("revoke")
def revoke_token(
    number: Annotated[int, typer.Argument(help="The token's number; patchsift token list says it.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """End a token; whatever shows it is refused from now on."""
    from app import accounts, audit  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.write() as session:
        row = accounts.end_token(session, number, now=now())
        about = {"token": row.id, "name": row.name, "of": accounts.get_reviewer(session, row.reviewer_id).name}
        audit.note(session, actor(), "token revoke", now=now(), project_id=project_id, about=about)
    say(f"Token {number} ({row.name}) has ended.")
