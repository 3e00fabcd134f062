"""patchsift export: datasets as folders that trainers load, here or in S3-compatible storage."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.terminal import (
    DatabaseUrl,
    DataDir,
    Filtered,
    Json,
    ProjectName,
    bar,
    filter_of,
    opened,
    print_json,
    say,
    settings_of,
)
from app.errors import AppError

if TYPE_CHECKING:
    from app.settings import Settings


def export(
    context: typer.Context,
    out: Annotated[
        str, typer.Option("--out", help="The folder to make, which must not exist yet, or s3://BUCKET/FOLDER.")
    ] = "",
    role: Annotated[str, typer.Option("--role", help="The model it is for.")] = "llm",
    task: Annotated[str, typer.Option("--task", help="What the model learns.")] = "scaffold",
    objective: Annotated[str, typer.Option("--objective", help="How it is trained.")] = "sft",
    form: Annotated[str, typer.Option("--format", help="One that --list names beside it; else the first.")] = "",
    release: Annotated[
        str, typer.Option("--release", help="A release's number, or latest; without it, everything as it stands now.")
    ] = "",
    seed: Annotated[int | None, typer.Option("--seed", help="Another seed gives other splits.")] = None,
    filtered: Filtered = "",
    listed: Annotated[bool, typer.Option("--list", help="Say what can be exported, and how many rows.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Every dataset, in one folder.")] = False,
    every_format: Annotated[bool, typer.Option("--every-format", help="With --all: in every format.")] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="Parquet as well (patchsift[parquet]).")] = False,
    shard_mb: Annotated[int, typer.Option("--shard-mb", min=1, help="Millions of bytes a file of rows.")] = 500,
    as_json: Json = False,
    endpoint: Annotated[
        str, typer.Option("--s3-endpoint", help="With s3://: the server, if AWS_ENDPOINT_URL does not say it.")
    ] = "",
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Write one dataset of a release, or of everything as it stands now, as a folder that a trainer loads."""
    from app import downloads  # noqa: PLC0415
    from app.dataset_folder import Layout  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    with opened(settings) as (db, project_id):
        if listed:
            with db.read() as session:
                exports = downloads.list_exports(session, settings, project_id, release)
            _say_exports(exports, as_json)
            return
        if not out:
            raise AppError("Say where to: --out FOLDER. What can be exported says --list.")
        _refuse_together(context, everything)
        named = form or downloads.first_format(role, task, objective)
        order = downloads.Order(role, task, objective, named, filter_of(filtered), seed, release)
        layout = Layout(every_format, parquet, shard_mb * 1_000_000)
        with _made_at(out, endpoint, settings, quiet=as_json) as made, bar(out, quiet=as_json) as progress:
            summary: downloads.Summary | downloads.Whole
            if everything:
                summary = downloads.build_all(db, settings, project_id, order, made.folder, layout, progress=progress)
            else:
                summary = downloads.build(db, settings, project_id, order, made.folder, layout, progress=progress)
    if as_json:
        print_json(summary.as_json() | {"folder": made.address} | made.sent)
    say(summary.sentence().replace(str(made.folder), made.address))


@dataclass
class _Made:
    """Where a folder is written, and where it is in the end: the same, but for one that is sent elsewhere."""

    folder: Path
    address: str
    sent: dict[str, object] = field(default_factory=dict)


@contextmanager
def _made_at(out: str, endpoint: str, settings: "Settings", *, quiet: bool) -> Iterator[_Made]:
    """A place to write a folder to; for an address it is sent there when the block ends, and removed here."""
    from app import storage  # noqa: PLC0415

    if not out.startswith(storage.SCHEME):
        if endpoint:
            raise AppError("--s3-endpoint goes with --out s3://BUCKET/FOLDER.")
        yield _Made(Path(out), str(Path(out)))
        return
    there = storage.Storage(storage.Place.parse(out), endpoint)
    there.look()  # who has no bucket or no key hears of it before the work
    with tempfile.TemporaryDirectory(prefix=".tmp-upload-", dir=settings.data_dir) as place:
        made = _Made(Path(place) / "dataset", str(there.place))
        yield made
        with bar(made.address, quiet=quiet, counts_bytes=True) as progress:
            sent = there.upload(made.folder, progress)
    made.sent = {"sent": sent._asdict()}
    say(f"{sent.sentence(there.place)}.")


def _say_exports(exports: list[dict[str, object]], as_json: bool) -> None:
    if as_json:
        print_json({"exports": exports})
        return
    for one in exports:
        typer.echo(f"{one['role']} {one['task']} {one['objective']}: {one['n_rows']:,} rows, {one['formats']}")


def _refuse_together(context: typer.Context, everything: bool) -> None:
    """Refuse options that would say nothing: those of one dataset beside `--all`, and those of all without it."""
    unsaid = ("role", "task", "objective", "form") if everything else ("every_format",)
    names = {"form": "format", "every_format": "every-format"}
    for name in unsaid:
        if str(getattr(context.get_parameter_source(name), "name", "DEFAULT")) != "DEFAULT":
            why = "goes with one dataset, and --all writes every one" if everything else "goes with --all"
            raise AppError(f"--{names.get(name, name)} {why}.")
