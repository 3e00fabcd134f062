"""What every command shares: its options, what goes to which output, settings, the database, bars and filters."""

import getpass
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.errors import AppError

if TYPE_CHECKING:
    from app.audit import Actor
    from app.db import Database
    from app.queue import Filter
    from app.settings import Settings

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder for database, uploads and exports.")]
DatabaseUrl = Annotated[str | None, typer.Option("--database-url", help="PostgreSQL URL; without it SQLite is used.")]
ProjectName = Annotated[str | None, typer.Option("--project", help="Name of the project.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Filtered = Annotated[
    str,
    typer.Option(
        "--filter",
        help="As in the search box: 'source:X file:y.py -finding:secret score:>=0.7', or as in a queue's address: "
        "source=X&file=y.py&since=2026-01-31&rating=5; rating is the log's.",
    ),
]

Step = Callable[[int, int], None]


def _shown(message: str) -> str:
    """A terminal would obey what a hostile name or text may hold."""
    return "".join(sign if sign.isprintable() or sign == "\n" else ascii(sign)[1:-1] for sign in message)


def say(message: str) -> None:
    """One fact, on standard error."""
    typer.echo(_shown(message), err=True)


def tell(line: str) -> None:
    """A line of what was asked for, on standard output."""
    typer.echo(_shown(line))


def print_json(value: object) -> None:
    """The one JSON object on standard output."""
    typer.echo(json.dumps(value, default=lambda one: one.isoformat() if isinstance(one, datetime) else str(one)))


def now() -> datetime:
    """The instant, aware."""
    return datetime.now(UTC)


def settings_of(data_dir: Path | None, database_url: str | None, project: str | None, **more: object) -> "Settings":
    """The settings that a command's options and the environment give.

    Raises:
        AppError: a setting that cannot be, by its name.

    """
    from pydantic import ValidationError  # noqa: PLC0415

    from app.settings import Settings  # noqa: PLC0415

    given = {"data_dir": data_dir, "database_url": database_url, "project": project, **more}
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "PATCHSIFT_" + "_".join(str(part) for part in first["loc"]).upper()
        raise AppError(f"The setting {name} is not right: {first['msg']}.") from error


def actor() -> "Actor":
    """Who runs a command: the system's user."""
    from app.audit import Actor  # noqa: PLC0415

    return Actor(None, getpass.getuser(), "command")


@contextmanager
def opened(
    settings: "Settings",
    doing: str = "",
    about: Mapping[str, object] | None = None,
    *,
    makes: Literal["", "installation", "project"] = "",
) -> Iterator[tuple["Database", int]]:
    """The migrated database and the project's id.

    What a command changes (`doing="release create"`) goes into the audit log once it is done, with facts (`about`).
    `makes`: what it makes where it is not there yet, an installation with its first project, or any project too.

    Raises:
        NotFoundError: there is no installation, or no such project.

    """
    from app import audit, installations  # noqa: PLC0415

    db = installations.open_database(settings, makes=bool(makes))
    try:
        project_id = _project_id(db, settings, makes)
        try:
            yield db, project_id
        except AppError:
            doing = ""
            raise
        finally:
            # Also where a command ends with a status of its own, such as 3 for lines that could not be read.
            if doing:
                with db.write() as session:
                    audit.note(session, actor(), doing, now=now(), project_id=project_id, about=about)
    finally:
        db.close()


def _project_id(db: "Database", settings: "Settings", makes: str) -> int:
    from app import installations  # noqa: PLC0415

    with db.read() as session:
        is_new = not installations.list_names(session)
        found = installations.find_project(session, settings)
        if found is None and makes != "project" and not is_new:
            found = installations.get_project(session, settings)
    if found is None:
        with db.write() as session:
            found, told = installations.take_project(session, settings, actor(), now=now())
        if told:
            say(told)
    return found.id or 0


@contextmanager
def bar(name: str, *, quiet: bool, counts_bytes: bool = False) -> Iterator[Step | None]:
    """A progress bar on a terminal, and None where nobody would see it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich import progress  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    amount = progress.DownloadColumn() if counts_bytes else progress.MofNCompleteColumn()
    columns = (progress.TextColumn("{task.description}"), progress.BarColumn(), amount, progress.TimeRemainingColumn())
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(name, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total or None)


def filter_of(query: str) -> "Filter":
    """The filter that `--filter` says; the same words as in a queue's address.

    Raises:
        BadInputError: a field that is named twice, is not known, or has a value that cannot be.

    """
    from app import releases  # noqa: PLC0415

    return releases.parse_filter(query)


def bytes_of(path: str) -> bytes:
    """What a file or, for `-`, standard input holds.

    Raises:
        AppError: it cannot be read.

    """
    from app import ingest as domain  # noqa: PLC0415

    if path == "-":
        return sys.stdin.buffer.read()
    with domain.open_regular(Path(path)) as file:
        return file.read()


def text_of(path: str) -> str:
    """The same as UTF-8, without a byte order mark.

    Raises:
        AppError: it cannot be read, or is something else.

    """
    raw = bytes_of(path)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AppError(f"{path} is not UTF-8: byte {error.start} is {raw[error.start]:#04x}.") from error
