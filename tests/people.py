"""People who review."""

from app.db import Database
from app.models import ReviewerRow
from tests.conftest import NOON


def hire(db: Database, *names: str) -> list[int]:
    """Make a reviewer of each name; gives their ids in the same order."""
    with db.write() as session:
        rows = [ReviewerRow(name=name, created_at=NOON) for name in names]
        session.add_all(rows)
        session.flush()
        return [row.id or 0 for row in rows]
