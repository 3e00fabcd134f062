"""Which installation is worked on, and which project of it: nothing is made by a slip of the hand.

Where nothing is yet, or no project has the name, only what is there to make one does so; all else says where it looked.
"""

from datetime import datetime
from difflib import get_close_matches
from pathlib import Path

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.engine import URL, make_url
from sqlmodel import Session, col

from app import audit, migrations, review
from app.audit import Actor
from app.db import Database
from app.errors import BadInputError, ConflictError, NotFoundError
from app.models import AuditRow, LoginRow, ProjectRow, metadata
from app.settings import Settings

MOVED, TAKEN_BACK, CAME = "db move", "db move --take-back", "db move from"
"""What the audit log says of a database that was moved away, that is used all the same, and that it came to."""

_LONGEST_NAME = 64
# What a project has from its first moment, or gathers from being looked at; it goes with it.
_GOES_ALONG = ("tally", "member", "presence", "nearness", "new_fingerprint")
_HELD = {"candidate": "candidates", "source": "logs", "release": "releases", "token": "tokens", "webhook": "webhooks"}


def open_database(settings: Settings, *, makes: bool = False, takes_moved: bool = False) -> Database:
    """The database, brought up to date; where none is, one is made only for who says so.

    `takes_moved`: also one that was moved away.

    Raises:
        NotFoundError: there is none.
        ConflictError: everything was moved from here to another database.

    """
    file = make_url(settings.url).database if settings.url.startswith("sqlite") else None
    if file is not None and not makes and not Path(file).exists():
        raise absent(f"{file} is not there")
    db = Database(settings)
    try:
        if not makes:
            _refuse_empty(db)
        migrations.upgrade(db)
        if not takes_moved:
            refuse_moved(db)
    except BaseException:
        db.close()
        raise
    return db


def _refuse_empty(db: Database) -> None:
    if migrations.read_revision(db) is None:
        raise absent(f"{db.url.render_as_string(hide_password=True)} holds no tables of it")


def absent(why: str) -> NotFoundError:
    """What is said where there is no installation."""
    return NotFoundError(
        f"There is no Patchsift here: {why}. Say where it is with --data-dir (PATCHSIFT_DATA_DIR) or --database-url "
        "(PATCHSIFT_DATABASE_URL). A new one is made by patchsift serve, ingest and db restore."
    )


def refuse_moved(db: Database) -> None:
    """Refuse a database that was moved away: what is done in it would be missing where everybody else is.

    Raises:
        ConflictError: it was; the sentence says where to, without a password.

    """
    with db.read() as session:
        row = _find_mark(session)
    if row is not None:
        raise ConflictError(
            f"{address_of(db)} was moved to {row.about['to']} on {row.made_at:%Y-%m-%d at %H:%M} UTC. Name that with "
            "--database-url (PATCHSIFT_DATABASE_URL or PATCHSIFT_DATABASE_URL_FILE). To go on here all the same: "
            "patchsift db move --take-back.",
            code="moved",
        )


def mark_moved(source: Database, target: Database, actor: Actor, *, now: datetime) -> None:
    """Say in both databases that everything was moved; from then on the source is refused by `refuse_moved`."""
    with target.write() as session:
        audit.note(session, actor, CAME, now=now, about={"from": address_of(source)})
    with source.write() as session:
        audit.note(session, actor, MOVED, now=now, about={"to": address_of(target)})


def take_back_move(db: Database, actor: Actor, *, now: datetime) -> str:
    """Take a database into use again that was moved away; where it was moved to.

    Raises:
        ConflictError: it was not moved.

    """
    with db.write() as session:
        row = _find_mark(session)
        if row is None:
            raise ConflictError(f"{address_of(db)} was not moved anywhere.")
        audit.note(session, actor, TAKEN_BACK, now=now)
        return str(row.about["to"])


def _find_mark(session: Session) -> AuditRow | None:
    wanted = select(AuditRow).where(col(AuditRow.what).in_((MOVED, TAKEN_BACK)))
    row = session.execute(wanted.order_by(col(AuditRow.id).desc()).limit(1)).scalar()
    return row if row is not None and row.what == MOVED and "to" in row.about else None


def address_of(db: Database) -> str:
    """Where a database is, without password and driver: `"postgresql://desk@db.example/desk"`."""
    # Not by `set`, which cannot take a password away.
    shown = URL.create(
        db.url.get_backend_name(),
        username=db.url.username,
        host=db.url.host,
        port=db.url.port,
        database=db.url.database,
    )
    return shown.render_as_string()


# ------------------------------------------------------------------------------------------------ projects


def find_project(session: Session, settings: Settings) -> ProjectRow | None:
    """The project that the settings name; where they name none, `default`, else the oldest, for it may be renamed."""
    found = get_named(session, settings.project)
    if found is not None or "project" in settings.model_fields_set:
        return found
    return session.execute(select(ProjectRow).order_by(col(ProjectRow.id)).limit(1)).scalar()


def list_names(session: Session) -> list[str]:
    """The projects by their names, the oldest first."""
    return list(session.execute(select(col(ProjectRow.name)).order_by(col(ProjectRow.id))).scalars())


def get_named(session: Session, name: str) -> ProjectRow | None:
    """The project of this name."""
    return session.execute(select(ProjectRow).where(col(ProjectRow.name) == name)).scalar()


def get_project(session: Session, settings: Settings) -> ProjectRow:
    """As `find_project`.

    Raises:
        NotFoundError: there is none; the sentence offers one whose name is near.

    """
    found = find_project(session, settings)
    if found is None:
        raise NotFoundError(
            f"There is no project {settings.project[:_LONGEST_NAME]!r} here. {_offer(session, settings.project)} "
            "A new one is made by patchsift project create NAME."
        )
    return found


def take_project(session: Session, settings: Settings, actor: Actor, *, now: datetime) -> tuple[ProjectRow, str]:
    """As `find_project`, made when absent, and a sentence that says so; none where it was there, or is the first.

    The first is no change that anybody would look for in the audit log.
    """
    found = find_project(session, settings)
    if found is not None:
        return found, ""
    is_first = not list_names(session)
    offered = "" if is_first else _offer(session, settings.project)
    made = _make(session, settings.project, now=now)
    if is_first:
        return made, ""
    audit.note(session, actor, "project create", now=now, project_id=made.id, about={"name": made.name})
    return made, f"Project {made.name!r} is new. {offered}"


def create_project(session: Session, name: str, *, now: datetime) -> ProjectRow:
    """Another project.

    Raises:
        BadInputError: the name is empty, too long, or has signs that cannot be seen.
        ConflictError: there is one of this name.

    """
    check_name(session, name)
    return _make(session, name, now=now)


def rename_project(session: Session, project_id: int, name: str) -> str:
    """Give a project another name; the one that it had.

    Raises:
        BadInputError: the name is empty, too long, or has signs that cannot be seen.
        ConflictError: another project has it.

    """
    check_name(session, name)
    row = _get(session, project_id)
    before, row.name = row.name, name
    return before


def remove_project(session: Session, project_id: int, settings: Settings) -> str:
    """Remove a project that holds nothing; whoever was in it is in the oldest again. Its name.

    Raises:
        ConflictError: it holds something, or is the one that is served.

    """
    row = _get(session, project_id)
    served = find_project(session, settings)
    if served is not None and served.id == project_id:
        raise ConflictError(f"{row.name!r} is the project that is served. Rename it, or set PATCHSIFT_PROJECT first.")
    refers = {table.name: table for table in metadata.sorted_tables if "project_id" in table.c}
    for name in (*_HELD, *sorted(set(refers) - {*_HELD, *_GOES_ALONG, "login", "audit"})):
        table = refers[name]
        if session.execute(select(exists().where(table.c.project_id == project_id))).scalar():
            raise ConflictError(
                f"Project {row.name!r} holds {_HELD.get(name, 'texts or settings of its own')}. Only an empty one can "
                "be removed; rename it instead."
            )
    other = select(func.min(col(ProjectRow.id))).where(col(ProjectRow.id) != project_id).scalar_subquery()
    session.execute(update(LoginRow).where(col(LoginRow.project_id) == project_id).values(project_id=other))
    for name in _GOES_ALONG:
        session.execute(delete(refers[name]).where(refers[name].c.project_id == project_id))
    session.delete(row)
    return row.name


def check_name(session: Session, name: str) -> None:
    """Refuse what is no name for another project.

    Raises:
        BadInputError: it is empty, too long, or has signs that cannot be seen.
        ConflictError: there is one of this name.

    """
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise BadInputError(f"A project's name has 1 to {_LONGEST_NAME} characters.", where="field name")
    if get_named(session, name) is not None:
        raise ConflictError(f"There is a project {name!r} already.")


def _get(session: Session, project_id: int) -> ProjectRow:
    row = session.get(ProjectRow, project_id)
    if row is None:
        raise NotFoundError(f"There is no project {project_id}.")
    return row


def _make(session: Session, name: str, *, now: datetime) -> ProjectRow:
    return review.ensure_project(session, name, now=now)


def _offer(session: Session, name: str) -> str:
    """`"Did you mean 'default'?"`, or which ones there are."""
    names = {one.casefold(): one for one in list_names(session)}
    near = get_close_matches(name.casefold(), list(names), n=1)
    if near:
        return f"Did you mean {names[near[0]]!r}?"
    few = list_names(session)[:10]
    return f"There {'is' if len(few) == 1 else 'are'} {', '.join(repr(one) for one in few)}."
