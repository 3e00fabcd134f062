"""What every test of this folder kills servers of."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.installations import Installation
from tests.servers import Postgres


@pytest.fixture(params=["sqlite", "postgres"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    """An empty one, on each database."""
    if request.param == "sqlite":
        yield Installation(tmp_path)
        return
    server: Postgres = request.getfixturevalue("postgres")
    yield Installation(tmp_path, server.create_database("killed", template="template_patchsift"))
    server.drop_database("killed")
