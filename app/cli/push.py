"""patchsift push: a release to where others train from it."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from app.cli.terminal import (
    DatabaseUrl,
    DataDir,
    Json,
    ProjectName,
    bar,
    opened,
    print_json,
    say,
    settings_of,
    tell,
)

pushes = typer.Typer(help="Send a release to where others train from it; --dry-run shows it and sends nothing.")


@pushes.callback()
def push() -> None:
    """Send a release to where others train from it; --dry-run shows it and sends nothing."""


@pushes.command("hub")
def hub(
    repo: Annotated[str, typer.Argument(help="OWNER/NAME of a dataset repository; it is made when it is not there.")],
    release: Annotated[str, typer.Option("--release", help="A release's number, or latest.")],
    private: Annotated[bool, typer.Option("--private/--public", help="Who may see it, where it is made.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and ask nobody.")] = False,
    unknown_licence: Annotated[
        bool, typer.Option("--allow-unknown-licence", help="Also rows whose source states no licence.")
    ] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="Parquet as well (patchsift[parquet]).")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Send a release, every dataset of it, to the Hugging Face Hub in one commit (patchsift[hub])."""
    from app import downloads, releases  # noqa: PLC0415
    from app import hub as domain  # noqa: PLC0415
    from app.dataset_folder import Layout  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    with (
        opened(settings) as (db, project_id),
        tempfile.TemporaryDirectory(prefix=".tmp-push-", dir=settings.data_dir) as place,
    ):
        with db.read() as session:
            row = releases.get_release(session, project_id, release)
        domain.check(settings, row, repo, unknown_licence=unknown_licence)
        folder, order = Path(place) / "dataset", downloads.Order(release=str(row.number))
        with bar(repo, quiet=as_json) as step:
            downloads.build_all(db, settings, project_id, order, folder, Layout(parquet=parquet), progress=step)
        offer = domain.describe(folder, releases.read_manifest(folder), repo, row.number, private=private)
        told = offer.as_json() | {"sent": None if dry_run else domain.push(offer, folder)}
    if as_json:
        print_json(told)
    elif dry_run:
        for name, n_bytes in offer.files.items():
            tell(f"{n_bytes:>12,}  {name}")
    say(f"{'Nothing was sent. ' if dry_run else ''}To {repo}: {offer.sentence()}.")
    if not dry_run:
        say(f"It is {told['sent']}")
