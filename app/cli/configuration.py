"""patchsift config: what the settings are, and where each of them comes from."""

from typing import TYPE_CHECKING

import typer

from app.cli.terminal import DatabaseUrl, DataDir, Json, ProjectName, print_json, settings_of, tell

if TYPE_CHECKING:
    from app.settings import Settings

configuration = typer.Typer(help="The settings: what they are, and where each comes from.")


@configuration.callback()
def _of_its_own() -> None:
    """Let `show` be a word of its own, although it is the only one."""


@configuration.command("show")
def show(
    as_json: Json = False, data_dir: DataDir = None, database_url: DatabaseUrl = None, project: ProjectName = None
) -> None:
    """Every setting with its value and its source: an option, a variable, a file or the default; no secret."""
    settings = settings_of(data_dir, database_url, project)
    options = {"data_dir": data_dir, "database_url": database_url, "project": project}
    found = [
        (name, _value(settings, name), "option" if options.get(name) is not None else settings.source_of(name))
        for name in type(settings).model_fields
    ]
    if as_json:
        print_json({name: {"value": value, "source": source} for name, value, source in found})
        return
    for name, value, source in found:
        tell(f"{name:18} {value or '-'}  ({source})")


def _value(settings: "Settings", name: str) -> str:
    """The value as text; of a secret whether there is one, of an address all but the password."""
    value = getattr(settings, name)
    if name == "database_url" and value:
        from sqlalchemy import make_url  # noqa: PLC0415

        return make_url(settings.url).render_as_string(hide_password=True)
    return str(value)
