"""patchsift release: preview, freeze, look at, verify, compare, make again and withdraw releases."""

import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.terminal import (
    DatabaseUrl,
    DataDir,
    Filtered,
    Json,
    ProjectName,
    bar,
    filter_of,
    now,
    opened,
    print_json,
    say,
    settings_of,
    tell,
)
from app.errors import AppError

if TYPE_CHECKING:
    from app.db import Database
    from app.models import JobRow
    from app.releases import Spec
    from app.settings import Settings

releases = typer.Typer(help="Releases: numbered, immutable sets of examples that trainers load.")

Seed = Annotated[int | None, typer.Option("--seed", help="Another seed gives other splits; the project has one.")]
By = Annotated[str, typer.Option("--by", help="Split by issue, repository or time; the project says it otherwise.")]
ValidationFrom = Annotated[
    str, typer.Option("--validation-from", help="By time: what is older trains. 2025-06-01T00:00:00Z.")
]
TestFrom = Annotated[str, typer.Option("--test-from", help="By time: from when on it tests. 2025-06-01T00:00:00Z.")]
Which = Annotated[str, typer.Argument(help="A release's number, or latest.")]

_LOOK_SECONDS = 0.5
_CHANGES = ("added", "removed", "changed", "moved")


def _spec(name: str, filtered: str, seed: int | None, by: str, validation_from: str, test_from: str) -> "Spec":
    from app.releases import Spec  # noqa: PLC0415

    split = {"by": by, "validation_from": validation_from, "test_from": test_from}
    if (validation_from or test_from) and by != "time":
        raise AppError("--validation-from and --test-from go with --by time.")
    changes = {"split": {key: value for key, value in split.items() if value}} if by else {}
    return Spec.parse({"name": name, "filter": filter_of(filtered).query(), "seed": seed, **changes})


# ------------------------------------------------------------------------------------------------ create


@releases.command("create")
def create(
    name: Annotated[str, typer.Option("--name", help="For people; may be left out.")] = "",
    filtered: Filtered = "",
    seed: Seed = None,
    by: By = "",
    validation_from: ValidationFrom = "",
    test_from: TestFrom = "",
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Freeze it here and now, or leave it to the worker.")
    ] = True,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Freeze a release of every judged candidate that the filter finds. Exit 1 when it failed or was cancelled.

    Ctrl-C cancels it; nothing is left of it then but its number.
    """
    from app import releases as domain  # noqa: PLC0415
    from app import review  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    spec = _spec(name, filtered, seed, by, validation_from, test_from)
    with opened(settings, "release create") as (db, project_id):
        with db.write() as session:
            me = review.ensure_local_reviewer(session, now=now()).id or 0
            made = domain.create(session, project_id, me, spec, now=now())
            number, job_id = made.number, made.job_id or 0
        if wait:
            freeze(db, settings, project_id, number, job_id, quiet=as_json)
        with db.read() as session:
            told = domain.as_json(domain.get_release(session, project_id, number))
    if as_json:
        print_json(told)
    if not wait:
        say(f"Release {number} waits for a worker (patchsift serve or patchsift worker), as job {job_id}.")
    elif told["state"] != "frozen":
        say(f"Release {number} is {told['state']}: {told['message']}")
        raise typer.Exit(1)
    else:
        say(f"Release {number}: {_sum(told['counts'])}")


def _sum(counts: Any) -> str:  # noqa: ANN401  as the release's row has them
    splits = ", ".join(f"{n:,} {split}" for split, n in counts["splits"].items())
    return f"{counts['rows']:,} rows ({splits}), {counts['held']:,} held back"


def freeze(db: "Database", settings: "Settings", project_id: int, number: int, job_id: int, *, quiet: bool) -> None:
    """Do a worker's work until the release's job has ended; a worker that is quicker is followed."""
    from app import jobs, worker  # noqa: PLC0415
    from app import releases as domain  # noqa: PLC0415

    # No worker's name: a server that starts meanwhile would take it for one that died, and begin again.
    me = f"command at {socket.gethostname()}:{os.getpid()}"
    with _interruptible() as stop, bar(f"release {number}", quiet=quiet) as step:

        def show_step(done: int, total: int) -> None:
            if step is not None and total:
                step(done, total)

        def go_on(done: int, total: int) -> None:
            if stop.is_set():
                raise jobs.CancelledError
            show_step(done, total)

        while True:
            with db.read() as session:
                job = jobs.get_job(session, project_id, job_id)
            if job.state not in {"queued", "running"}:
                return
            if stop.is_set() and not job.cancel_requested:
                with db.write() as session:
                    jobs.cancel(session, project_id, job_id, now=now())
                    domain.bury(session, project_id)
                continue
            taken = _take(db, project_id, me)
            if taken is None:
                show_step(job.done, job.total)
                stop.wait(_LOOK_SECONDS)
            elif taken.id == job_id:
                worker.run_one(db, settings, taken, lambda: False, go_on)
            else:  # an earlier release comes first; to interrupt this one must not cancel that
                worker.run_one(db, settings, taken, stop.is_set)


def _take(db: "Database", project_id: int, me: str) -> "JobRow | None":
    """The oldest release of the project that waits for a worker, or whose worker died."""
    from app import jobs, releases  # noqa: PLC0415

    with db.read() as session:
        if not jobs.is_any_waiting(session, now=now()):
            return None
    with db.write() as session:
        return jobs.claim(session, me, now=now(), kind=releases.JOB_KIND, project_id=project_id)


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets; whoever asks twice does not want to wait."""
    stop = threading.Event()

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# ------------------------------------------------------------------------------------------------ preview


@releases.command("preview")
def preview(
    filtered: Filtered = "",
    seed: Seed = None,
    by: By = "",
    validation_from: ValidationFrom = "",
    test_from: TestFrom = "",
    samples: Annotated[bool, typer.Option("--samples", help="Show up to five rows of each dataset.")] = False,
    held: Annotated[bool, typer.Option("--held", help="Show up to 200 held-back rows with their reasons.")] = False,
    gate: Annotated[str, typer.Option("--gate", help="The held-back rows of this gate only.")] = "",
    dataset: Annotated[str, typer.Option("--dataset", help="The held-back rows of this dataset only.")] = "",
    first: Annotated[int | None, typer.Option("--first", min=1, help="Look at so many candidates only.")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """What a release would hold now: counts, what is held back, the difference to the last one. Writes nothing."""
    from app import releases as domain  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    spec = _spec("", filtered, seed, by, validation_from, test_from)
    _check_names(gate, dataset)
    held = held or bool(gate or dataset)
    with opened(settings) as (db, project_id), bar("preview", quiet=as_json) as step, db.read() as session:
        made = domain.preview(
            session, settings, project_id, spec, most=first, gate=gate, dataset=dataset, progress=step
        ).as_json()
    if not samples:
        for one in made["datasets"]:  # type: ignore[attr-defined]
            del one["samples"]
    if not held:
        del made["held"]
    if as_json:
        print_json(made)
        return
    _show_counts(made)
    for row in made.get("held", ()):  # type: ignore[attr-defined]
        _show_held(row)
    _show_difference(made["difference"])
    if not made["whole"]:
        say(f"Only the first {first:,} candidates were looked at.")


def _check_names(gate: str, dataset: str) -> None:
    from app import gates, recipes  # noqa: PLC0415
    from app.errors import BadInputError  # noqa: PLC0415

    if dataset:
        recipes.get_dataset(dataset)
    if gate and gate not in gates.GATES:
        raise BadInputError(f"No gate is called {gate[:40]!r}; there are {', '.join(sorted(gates.GATES))}.")


def _show_counts(said: Mapping[str, Any]) -> None:
    """The lines of a preview or a manifest: one a dataset, then the gates."""
    for one in said["datasets"]:
        splits = ", ".join(f"{n:,} {split}" for split, n in one["splits"].items())
        name = f"{one['role']}/{one['task']}/{one['objective']}"
        tell(f"{name:38}{one['rows']:>9,} rows  {one['held']:>7,} held back  {splits}")
        for sample in one.get("samples", ()):
            row = {key: value for key, value in sample["row"].items() if key != "id"}
            tell(f"    {sample['row']['id']} ({sample['split']}): {row}")
    for gate, n in said["held_by_gate"].items():
        tell(f"held back by {gate:30}{n:>9,}")
    told = ", ".join(f"{n:,} {status}" for status, n in said["candidates"].items())
    say(f"From {told or 'no judged'} candidates.")


def _show_held(row: Mapping[str, Any]) -> None:
    reasons = "; ".join(f"{one['gate']}: {one['message']}" for one in row["gates"])
    tell(f"{row['dataset']}  candidate {row['candidate']}  {row['id'] or '-'}  {reasons}")


def _show_difference(found: Any) -> None:  # noqa: ANN401  as `Difference.as_json` writes it
    if found is None:
        return
    for dataset, counts in found["datasets"].items():
        tell(f"{dataset:38}" + ", ".join(f"{counts[word]:,} {word}" for word in _CHANGES if counts[word]))
    told = ", ".join(f"{found[word]:,} {word}" for word in _CHANGES)
    say(f"From {found['before']} to {found['after']}: {told}.")


# ------------------------------------------------------------------------------------------------ look at


@releases.command("list")
def list_releases(
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most this many.")] = 50,
    before: Annotated[int | None, typer.Option("--before", help="Only those with a smaller number.")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Releases, the newest first: number, state, rows, name."""
    from app import releases as domain  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.read() as session:
        rows = [domain.as_json(one) for one in domain.list_releases(session, project_id, limit, before)]
    if as_json:
        print_json({"releases": rows})
        return
    for row in rows:
        counts: Any = row["counts"]
        rows_told = f"{counts['rows']:,} rows" if counts else ""
        tell(f"{row['number']:>5}  {row['state']:10}{rows_told:>15}  {row['name']}")
    say(f"{len(rows):,} {'release is' if len(rows) == 1 else 'releases are'} shown.")


@releases.command("show")
def show(
    which: Which,
    held: Annotated[bool, typer.Option("--held", help="Show the held-back rows with their reasons.")] = False,
    gate: Annotated[str, typer.Option("--gate", help="The held-back rows of this gate only.")] = "",
    dataset: Annotated[str, typer.Option("--dataset", help="The held-back rows of this dataset only.")] = "",
    after: Annotated[int, typer.Option("--after", min=0, help="With --held: go on where a page ended.")] = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, help="With --held: at most this many.")] = 200,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """One release: its state, its counts, where it lies; with --held what was left out of it, and why."""
    from app import releases as domain  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    _check_names(gate, dataset)
    held = held or bool(gate or dataset)
    with opened(settings) as (db, project_id), db.read() as session:
        row = domain.get_release(session, project_id, which)
        told = domain.describe(session, settings, row) | {"folder": str(domain.folder_of(settings, row))}
        if held:
            folder = domain.get_folder(settings, row)
            rows, more = domain.list_held(folder, gate=gate, dataset=dataset, after=after, limit=limit)
            told |= {"held": rows, "after": more}
    if as_json:
        print_json(told)
        return
    if held:
        for one in rows:
            _show_held(one)
        say(f"{len(rows):,} held-back rows are shown" + (f"; go on with --after {more}." if more else "."))
        return
    named = f"Release {told['number']}" + (f" ({told['name']})" if told["name"] else "")
    why = told["withdrawn_why"] or told["message"]
    say(f"{named} is {told['state']}" + (f": {why}" if why else f"; it lies in {told['folder']}"))
    if told["manifest"] is not None:
        _show_counts(told["manifest"])  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ verify, compare


@releases.command("verify")
def verify(
    which: Which,
    logs: Annotated[
        list[Path] | None,
        typer.Option("--logs", help="A log or a folder of logs to hold the rows against; repeatable."),
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Check a release from its manifest alone, by independent code. Exit 1 when something is wrong, one line each."""
    from app import releases as domain  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    for one in logs or ():
        if not one.exists():
            raise AppError(f"{one} is not there. Name logs, or folders of logs.")
    with opened(settings) as (db, project_id):
        with db.read() as session:
            row = domain.get_release(session, project_id, which)
        report: dict[str, Any] = domain.verify_release(settings, row, logs or ()).as_json()
    if as_json:
        print_json({"number": row.number, **report})
    else:
        for fault in report["faults"]:
            tell(f"{fault['where']}: {fault['message']} [{fault['code']}]")
    checked = report["checked"]
    seen = f"{checked['files']:,} files, {checked['rows']:,} rows"
    seen += f", {checked['origins']:,} log lines" if logs else ""
    if not report["whole"]:
        say(f"Release {row.number} is not whole: {report['n_faults']:,} faults in {seen}.")
        raise typer.Exit(1)
    say(f"Release {row.number} is whole: {seen}.")


@releases.command("diff")
def diff(
    first: Annotated[str, typer.Argument(help="A release's number, or latest.")],
    second: Annotated[str, typer.Argument(help="The other's.")],
    limit: Annotated[int, typer.Option("--limit", min=1, help="Name at most so many of each kind; all count.")] = 1000,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """What was added, removed and changed from one release to another, and what moved to another split."""
    from app import releases as domain  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    with opened(settings) as (db, project_id):
        with db.read() as session:
            rows = [domain.get_release(session, project_id, which) for which in (first, second)]
        found = domain.compare(settings, rows[0], rows[1], limit).as_json()
    if as_json:
        print_json(found)
        return
    examples: Sequence[Mapping[str, str]] = found["examples"]  # type: ignore[assignment]
    for one in examples:
        tell(f"{one['what']:9}{one['dataset']}  {one['id']}")
    _show_difference(found)
    if any(found[what] > limit for what in _CHANGES):  # type: ignore[operator]
        say(f"The first {limit:,} of each kind are named; name more with --limit.")


@releases.command("rebuild")
def rebuild(
    which: Which,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Make a release again from the database, as of its last decision, and compare it byte for byte.

    Exit 1 when they differ; what was made is thrown away.
    """
    from app import releases as domain  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    with opened(settings) as (db, project_id):
        with db.read() as session:
            number = domain.get_release(session, project_id, which).number
        with (
            tempfile.TemporaryDirectory(prefix=".tmp-rebuild-", dir=settings.data_dir) as place,
            bar(f"release {number}", quiet=as_json) as step,
        ):
            made = domain.rebuild(db, settings, project_id, number, Path(place) / "release", progress=step)
    if as_json:
        told = {"number": number, "identical": not made.differing, "files": made.n_files, "differing": made.differing}
        print_json(told)
    else:
        for path in made.differing:
            tell(path)
    if made.differing:
        say(f"Release {number} comes out differently: {len(made.differing):,} of {made.n_files:,} files.")
        raise typer.Exit(1)
    say(f"Release {number} comes out byte for byte: {made.n_files:,} files.")


@releases.command("withdraw")
def withdraw(
    number: Annotated[int, typer.Argument(help="The release's number.")],
    why: Annotated[str, typer.Option("--why", help="For whoever trained on it.")],
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Say that a release must not be trained on any more. Its files stay, so that what was trained can be explained."""
    from app import releases as domain  # noqa: PLC0415

    with (
        opened(settings_of(data_dir, database_url, project), "release withdraw", {"number": number}) as (
            db,
            project_id,
        ),
        db.write() as session,
    ):
        told = domain.as_json(domain.withdraw(session, project_id, number, why, now=now()))
    if as_json:
        print_json(told)
    say(f"Release {number} is withdrawn; its files stay.")
