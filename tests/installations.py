"""Installations that live longer than one test."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from app.db import Database
from app.settings import Settings

_numbers = count()


@contextmanager
def installation(request: pytest.FixtureRequest, folder: Path, **more: object) -> Iterator[tuple[Settings, Database]]:
    """A fresh installation in a folder, on the database that the fixture's parameter names.

    Args:
        request: of a fixture with the parameters `sqlite` and `postgres`.
        folder: an empty one.
        **more: further settings.

    """
    url = name = ""
    if request.param == "postgres":
        name = f"lasting_{next(_numbers)}"
        url = request.getfixturevalue("postgres").create_database(name, template="template_patchsift")
    else:
        shutil.copy(request.getfixturevalue("sqlite_template"), folder / "patchsift.db")
    settings = Settings(data_dir=folder, database_url=url, allowed_hosts="testserver", **more)  # type: ignore[arg-type]
    db = Database(settings)
    yield settings, db
    db.close()
    if url:
        request.getfixturevalue("postgres").drop_database(name)
