"""Candidates to look at."""

from pathlib import Path

import pytest

from app.db import Database
from app.settings import Settings
from tests.logs import read_issues


@pytest.fixture
def three(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> list[int]:
    """Three pending candidates: ids of `Fix the parser`, `Name the reader`, `Drop the cache`."""
    return read_issues(db, settings, project_id, tmp_path, "Fix the parser", "Name the reader", "Drop the cache")
