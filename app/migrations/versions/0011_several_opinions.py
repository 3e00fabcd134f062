"""Several opinions: what a decision was asked as, what came of asking several people, gold candidates."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_STATUSES = ("pending", "accepted", "rejected", "edited", "skipped", "flagged", "joined")
_SEVERAL = sa.text("agreement != ''")


def upgrade() -> None:
    _allow(_STATUSES, (*_STATUSES, "disagreed"))
    op.execute("INSERT INTO tally (project_id, status, n) SELECT id, 'disagreed', 0 FROM project")
    op.add_column("decision", sa.Column("asked", sa.Integer(), nullable=True))
    op.add_column(
        "candidate",
        sa.Column("agreement", sqlmodel.sql.sqltypes.AutoString(), nullable=False, server_default=""),
    )
    op.add_column("candidate", sa.Column("n_opinions", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("candidate", sa.Column("settled_by", sa.Integer(), nullable=True))
    op.create_index(
        "ix_candidate_agreement",
        "candidate",
        ["project_id", "agreement", "id"],
        sqlite_where=_SEVERAL,
        postgresql_where=_SEVERAL,
    )


def downgrade() -> None:
    op.drop_index("ix_candidate_agreement", table_name="candidate")
    for table, column in (
        ("candidate", "settled_by"), ("candidate", "n_opinions"), ("candidate", "agreement"), ("decision", "asked"),
    ):  # fmt: skip
        op.drop_column(table, column)
    op.execute("DELETE FROM tally WHERE status = 'disagreed'")
    _allow((*_STATUSES, "disagreed"), _STATUSES)


def _allow(before: tuple[str, ...], after: tuple[str, ...]) -> None:
    """Change which status a candidate may have, and leave the rows where they are: see revision 0002."""
    old, new = (f"status IN ({', '.join(repr(value) for value in values)})" for values in (before, after))
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        op.drop_constraint(op.f("ck_candidate_status"), "candidate", type_="check")
        op.create_check_constraint(op.f("ck_candidate_status"), "candidate", new)
        return
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema=ON")
    connection.exec_driver_sql(
        "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = 'candidate'", (old, new)
    )
    connection.exec_driver_sql(f"PRAGMA schema_version={version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema=OFF")
