"""python -m tests.schemas: store a database of every revision that has none yet."""

import tempfile
from itertools import pairwise
from pathlib import Path

from app.db import Database
from app.settings import Settings
from tests.schemas import FOLDER, make, revisions

for before, revision in pairwise([None, *revisions()]):
    if revision is None or (FOLDER / f"{revision}.json").exists():
        continue
    with tempfile.TemporaryDirectory() as folder:
        db = Database(Settings(data_dir=Path(folder), database_url=""))
        make(db, before, revision)
        db.close()
    print(f"tests/schemas/{revision}.json")
