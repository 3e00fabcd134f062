"""patchsift: the same domain functions as the pages, for a terminal.

Messages go to standard error; `--json` prints one JSON object on standard output. Imports stand inside the commands:
`serve` must be up before the hand has moved on, and `--help` needs no database.
"""

import gc
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app import __version__
from app.cli.agreement import agreement
from app.cli.audit_log import audit
from app.cli.configuration import configuration
from app.cli.database import database
from app.cli.exports import export
from app.cli.groups import groups
from app.cli.guidelines import guideline, reasons
from app.cli.people import people, tokens
from app.cli.projects import benchmark, projects
from app.cli.push import pushes
from app.cli.releases import releases
from app.cli.retention import retention
from app.cli.templates import prompts
from app.cli.terminal import (
    DatabaseUrl,
    DataDir,
    Json,
    ProjectName,
    bar,
    now,
    opened,
    print_json,
    say,
    settings_of,
)
from app.cli.views import views
from app.cli.webhooks import hooks
from app.errors import AppError, not_stored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.deliveries import DeliveryReport
    from app.ingest import Upload
    from app.models import QuarantineRow
    from app.settings import Settings
    from app.sources import Report

app = typer.Typer(
    help="Patchsift: the review desk between a coding agent's logs and the models that learn from them.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
quarantine = typer.Typer(help="Lines that could not be read: look at them, correct them, read them again.")
app.add_typer(quarantine, name="quarantine")
app.add_typer(prompts, name="template")
app.add_typer(releases, name="release")
app.add_typer(benchmark, name="benchmark")
app.add_typer(projects, name="project")
app.add_typer(groups, name="groups")
app.add_typer(guideline, name="guideline")
app.add_typer(reasons, name="reasons")
app.add_typer(views, name="view")
app.add_typer(database, name="db")
app.add_typer(configuration, name="config")
app.add_typer(people, name="user")
app.add_typer(hooks, name="webhook")
app.add_typer(retention, name="retention")
app.add_typer(tokens, name="token")
app.add_typer(pushes, name="push")
app.command()(export)
app.command()(agreement)
app.command()(audit)

Scores = Annotated[
    str, typer.Option("--scores", help="Style scores of runs: higher (more is better) or lower (a penalty).")
]

_QUARANTINED = 3
_FEW = 20


# ------------------------------------------------------------------------------------------------ serve, worker


@app.callback(invoke_without_command=True)
def default(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print it.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Without a command: serve. The three options may stand before a command or after it."""
    if version:
        typer.echo(__version__)
        raise typer.Exit
    given = {"DATA_DIR": data_dir, "DATABASE_URL": database_url, "PROJECT": project}
    os.environ |= {f"PATCHSIFT_{name}": str(value) for name, value in given.items() if value is not None}
    if context.invoked_subcommand is None:
        serve()


@app.command()
def serve(
    host: Annotated[str | None, typer.Option("--host", "-h", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option("--port", "-p", help="Port; 0 takes any free one.")] = None,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open a browser on a desktop.")] = True,
    worker_too: Annotated[bool, typer.Option("--worker/--no-worker", help="Run jobs beside the server.")] = True,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Serve the pages and the API, and run jobs beside them."""
    # What a start imports stays for good; to look through it for garbage over and over is a fifth of the start.
    gc.disable()
    from app import serving  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project, host=host, port=port)
    serving.serve(
        settings,
        fixed_port="port" in settings.model_fields_set,
        open_browser=open_browser,
        worker_too=worker_too,
        say=say,
    )


@app.command()
def worker(data_dir: DataDir = None, database_url: DatabaseUrl = None, project: ProjectName = None) -> None:
    """Run jobs for a server that was started with --no-worker."""
    from app import serving  # noqa: PLC0415

    serving.work(settings_of(data_dir, database_url, project), say=say)


# ------------------------------------------------------------------------------------------------ ingest


@app.command()
def ingest(
    paths: Annotated[list[str], typer.Argument(help="Files, folders, archives, or - for standard input.")],
    forced: Annotated[str | None, typer.Option("--format", help="Read logs as this format, whatever they say.")] = None,
    scores: Scores = "",
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Read logs. Exit 0 when every line was read, 3 when something was quarantined, 1 when a file was refused."""
    from app import deliveries, evidence  # noqa: PLC0415
    from app import ingest as domain  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    deliveries.check_format(forced)
    direction = evidence.parse_direction(scores)
    reports: list[Report | DeliveryReport] = []
    refused: list[dict[str, object]] = []
    with opened(settings, "ingest", {"files": _listed(paths)}, makes="project") as (db, project_id):
        for given in paths:
            found = replace(_upload(settings, given), format=forced)
            try:
                with bar(given, quiet=as_json, counts_bytes=True) as progress:
                    read = deliveries.read_path(db, settings, project_id, found, now=now, progress=progress)
                _tell(read)
                reports.append(read)
            except AppError as error:
                refused.append({"name": given, "why": error.message, "code": error.code})
                say(error.message if given in error.message else f"{given}: {error.message}")
            finally:
                if found.origin == "stdin":
                    found.path.unlink(missing_ok=True)
        if direction is not None:
            with db.write() as session:
                evidence.set_direction(session, deliveries.sources_of(reports), direction)
        domain.finish(db, project_id, now=now)
        with db.read() as session:
            total = deliveries.add_up(session, project_id, reports, refused)
    if reports:
        n = total["candidates"]
        say(f"{n:,} {'candidate' if n == 1 else 'candidates'}: entries that speak of one change are one.")
    if as_json:
        print_json(total)
    if total["refused"]:
        raise typer.Exit(1)
    if total["quarantined"] or total["broken"]:
        raise typer.Exit(_QUARANTINED)


def _listed(paths: list[str]) -> str:
    more = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
    return (Path(paths[0]).name or paths[0]) + more


def _upload(settings: "Settings", given: str) -> "Upload":
    """What a word names; the files of a folder or an archive go by its name as it was typed."""
    from app import ingest as domain  # noqa: PLC0415
    from app.archives import shown  # noqa: PLC0415

    if given == "-":
        return _standard_input(settings)
    path = Path(given)
    return domain.Upload(path, "" if path == Path() else shown(str(path)))


def _tell(read: "Report | DeliveryReport") -> None:
    """A sentence for a log; for a delivery of many files only for those that want one, and one for all of it."""
    from app.sources import Report  # noqa: PLC0415

    if isinstance(read, Report):
        say(_sentence(read.name, asdict(read)))
        return
    for report in read.files:
        if report.quarantined or len(read.files) <= _FEW:
            say(_sentence(report.name, asdict(report)))
    for one in (*read.refused, *read.broken, *read.passed):
        say(f"{one['name']}: {one['why']}")
    say(_sentence(f"{read.name}, {len(read.files):,} files", read.counts))


def _standard_input(settings: "Settings") -> "Upload":
    import shutil  # noqa: PLC0415

    from app import ingest as domain  # noqa: PLC0415
    from app.web.deps import spool  # noqa: PLC0415

    path = spool(settings, "standard input")
    with path.open("wb") as target:
        shutil.copyfileobj(sys.stdin.buffer, target)
    return domain.Upload(path, "standard input", origin="stdin")


def _sentence(name: str, counts: "Mapping[str, Any]") -> str:
    parts = [f"{counts['entries']:,} lines", f"{counts['new']:,} new", f"{counts['repeated']:,} repeated"]
    parts += [f"{counts['updated']:,} with a new rating"] if counts["updated"] else []
    parts += [f"{counts['quarantined']:,} quarantined (patchsift quarantine list)"] if counts["quarantined"] else []
    parts += [f"{counts['blank']:,} blank besides"] if counts["blank"] else []
    return f"{name}: " + ", ".join(parts)


@app.command()
def watch(
    folder: Annotated[Path, typer.Argument(help="A project, an .agent_data, or any folder around them.")],
    once: Annotated[bool, typer.Option("--once", help="End when all that is there has been read.")] = False,
    poll: Annotated[float, typer.Option("--poll", min=0.05, help="Seconds between two looks.")] = 0.5,
    forced: Annotated[str | None, typer.Option("--format", help="Read logs as this format, whatever they say.")] = None,
    scores: Scores = "",
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Read what is in a folder, then each line when the agent has finished it. With --json, one object a change.

    Ends at Ctrl-C with exit 0. With --once, exit 3 when something was quarantined, 1 when a file was refused.
    """
    import signal  # noqa: PLC0415
    import threading  # noqa: PLC0415

    from app import deliveries, evidence, watching  # noqa: PLC0415
    from app.ingest import shown_name  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    wanted, direction = deliveries.check_format(forced), evidence.parse_direction(scores)
    name = "" if folder == Path() else shown_name(str(folder))
    stop = threading.Event()

    def end(number: int, _: object) -> None:
        # Whoever asks twice does not want to wait; nothing is lost by that.
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    refused = quarantined = 0
    with opened(settings, "watch", {"folder": name or folder.name}, makes="project") as (db, project_id):
        watcher = watching.Watcher(
            db, settings, project_id, folder, now=now, name=name, wanted=wanted, direction=direction, stop=stop.is_set
        )
        say(f"Watching {name or folder}; Ctrl-C ends it.")
        for change in watcher.follow(stop.wait, poll=poll, once=once):
            refused += change.message is not None
            quarantined += change.quarantined
            said = _sentence(f"{change.name} ({change.what})", change.as_json())
            say(said if change.message is None else f"{change.name}: {change.message}")
            if as_json:
                print_json(change.as_json())
    if once and refused:
        raise typer.Exit(1)
    if once and quarantined:
        raise typer.Exit(_QUARANTINED)


@app.command()
def demo(data_dir: DataDir = None, database_url: DatabaseUrl = None, project: ProjectName = None) -> None:
    """Load the twelve real sample patches."""
    from app import ingest as domain  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    with opened(settings, "demo", makes="project") as (db, project_id):
        report = domain.load_samples(db, settings, project_id, now=now)
        say(_sentence(report.name, asdict(report)))


@app.command()
def status(
    as_json: Json = False, data_dir: DataDir = None, database_url: DatabaseUrl = None, project: ProjectName = None
) -> None:
    """How many candidates stand where."""
    from app import accounts, decisions, sources  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    with opened(settings) as (db, project_id), db.read() as session:
        name = accounts.get_project(session, project_id).name
        counts = decisions.count_by_status(session, project_id)
        held = sources.count_quarantine(session, project_id)
        where = db.url.render_as_string(hide_password=True)
    if as_json:
        print_json({"project": name, "candidates": counts, "quarantined": held, "database": where})
        return
    for standing, count in counts.items():
        typer.echo(f"{standing:12}{count:>12,}")
    typer.echo(f"{'quarantined':12}{held:>12,}")


# ------------------------------------------------------------------------------------------------ quarantine


@quarantine.command("list")
def list_quarantine(
    limit: Annotated[int, typer.Option("--limit", help="At most this many.")] = 100,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Lines that wait: number, file, line, byte, reason."""
    from app import sources  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.read() as session:
        held = sources.count_quarantine(session, project_id)
        rows = [_held_json(*found) for found in sources.list_quarantine(session, project_id, limit=limit)]
    if as_json:
        print_json({"quarantined": held, "lines": rows})
        return
    for row in rows:
        typer.echo(f"{row['id']:>6}  {row['where']}: {row['code']}: {row['message']}")
    say(f"{held:,} lines wait in quarantine; {len(rows):,} are shown.")


def _held_json(row: "QuarantineRow", name: str) -> dict[str, object]:
    return {
        "id": row.id,
        "file": name,
        "line": row.line,
        "offset_bytes": row.offset_bytes,
        "n_bytes": row.n_bytes,
        "code": row.code,
        "message": row.message,
        "digest": bytes(row.digest).hex(),
        "where": f"{name}:{row.line}: byte {row.offset_bytes}",
    }


@quarantine.command("show")
def show_quarantined(
    number: Annotated[int, typer.Argument(help="The number that `quarantine list` shows.")],
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """The raw bytes of a line, on standard output; with --json as text with escapes, and why it was held."""
    from app import sources  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.read() as session:
        row, source = sources.get_quarantined(session, project_id, number)
        shown = _held_json(row, source.name)
        raw = bytes(row.raw)
    if as_json:
        print_json(shown | {"raw": raw.decode("utf-8", "backslashreplace")})
        return
    say(f"{shown['where']}: {shown['code']}: {shown['message']}")
    if sys.stdout.isatty():
        # A terminal would obey the escape sequences that a hostile line may hold.
        typer.echo(raw.decode("utf-8", "backslashreplace").encode("unicode_escape").decode())
    else:
        sys.stdout.buffer.write(raw)


@quarantine.command("retry")
def retry_quarantined(
    number: Annotated[int, typer.Argument(help="The number that `quarantine list` shows.")],
    corrected: Annotated[Path | None, typer.Option("--with", help="A file that holds the corrected line.")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Read a line again, corrected or as it was."""
    from app import ingest as domain  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    line = None if corrected is None else domain.open_regular(corrected).read()
    with opened(settings, "quarantine retry") as (db, project_id), db.write() as session:
        candidate_id = domain.retry(session, settings, project_id, number, corrected=line, now=now())
    if as_json:
        print_json({"id": number, "candidate": candidate_id})
    say(f"Line {number} was read; it is candidate {candidate_id} now.")


# ------------------------------------------------------------------------------------------------ operation


@app.command()
def doctor(data_dir: DataDir = None, database_url: DatabaseUrl = None, project: ProjectName = None) -> None:
    """Versions, folders and database: what runs here, and what would stop it."""
    import platform  # noqa: PLC0415

    from app.db import is_out_of_room, list_unsafe, sqlite_module  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    say(f"patchsift   {__version__}")
    say(f"python      {platform.python_version()} on {platform.system()} {platform.machine()}")
    say(f"sqlite      {sqlite_module().sqlite_version} ({sqlite_module().__name__})")
    say(f"data folder {settings.data_dir} ({'writable' if _is_writable(settings.data_dir) else 'NOT writable'})")
    trouble = is_out_of_room(settings) if settings.data_dir.exists() else None
    if trouble is not None:
        say(f"NO SPACE    {trouble}")
    with opened(settings) as (db, _):
        say(f"database    {db.url.render_as_string(hide_password=True)}: answers, schema is current")
        if unsafe := list_unsafe(db):
            say(f"NOT SAFE    PostgreSQL runs with {', '.join(unsafe)} off: a power cut loses acknowledged decisions")
    if trouble is not None:
        raise typer.Exit(1)


def _is_writable(folder: Path) -> bool:
    known = next(one for one in (folder, *folder.parents) if one.exists())
    return os.access(known, os.W_OK)


@app.command()
def healthcheck(
    port: Annotated[int | None, typer.Option("--port", "-p", help="The server's port.")] = None,
    of_worker: Annotated[bool, typer.Option("--worker", help="Ask about this machine's worker instead.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Exit 0 when the server (or the worker) on this machine is ready; for images without curl."""
    from urllib.error import URLError  # noqa: PLC0415
    from urllib.request import urlopen  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project, port=port)
    if of_worker:
        _check_worker(settings)
        return
    try:
        with urlopen(f"http://127.0.0.1:{settings.port}/readyz", timeout=5) as answer:
            say(answer.read().decode())
    except URLError as error:
        raise AppError(f"The server on port {settings.port} is not ready: {error.reason}.") from error


def _check_worker(settings: "Settings") -> None:
    import socket  # noqa: PLC0415

    from app import jobs  # noqa: PLC0415
    from app.db import Database, is_reachable  # noqa: PLC0415

    db = Database(settings, hurried=True)
    if trouble := is_reachable(db):
        raise AppError(trouble)
    with db.read() as session:
        if not jobs.is_seen(session, f"{socket.gethostname()}:", now=now()):
            raise AppError(f"No worker on {socket.gethostname()} was seen within {jobs.STALE.seconds} s.")
    db.close()
    say("A worker is alive.")


def main(run: Callable[[], object] = app) -> None:
    """The console script: a sentence and exit status 1 for what a person can mend."""
    try:
        run()
    except AppError as error:
        where = f" ({error.where})" if error.where else ""
        say(f"{error.message}{where}")
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        told = not_stored(error)
        if told is None:
            raise
        say(f"{told.message} ({error.filename})" if error.filename else told.message)
        sys.exit(1)
