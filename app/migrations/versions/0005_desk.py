"""The desk: how long and how much was looked at, decisions made as one, drafts, saved views, preferences."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_IN_BULK = sa.text("bulk IS NOT NULL")


def upgrade() -> None:
    op.add_column("reviewer", sa.Column("preferences", sa.JSON(none_as_null=True), nullable=True))
    for name in ("n_seen", "n_hunks", "spent_ms"):
        op.add_column("decision", sa.Column(name, sa.Integer(), nullable=True))
    op.add_column("decision", sa.Column("bulk", sqlmodel.sql.sqltypes.AutoString(), nullable=True))
    op.create_index(
        "ix_decision_bulk", "decision", ["bulk", "id"], unique=False, sqlite_where=_IN_BULK, postgresql_where=_IN_BULK
    )
    op.create_table(
        "draft",
        sa.Column("reviewer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("candidate_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("texts", sa.JSON(), nullable=False),
        sa.Column("saved_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["candidate_id"], ["candidate.id"], name=op.f("fk_draft_candidate_id_candidate")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], name=op.f("fk_draft_reviewer_id_reviewer")),
        sa.PrimaryKeyConstraint("reviewer_id", "candidate_id", name=op.f("pk_draft")),
    )
    op.create_table(
        "saved_view",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("made_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_saved_view_project_id_project")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], name=op.f("fk_saved_view_reviewer_id_reviewer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_view")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_saved_view_project_id_name")),
    )


def downgrade() -> None:
    op.drop_table("saved_view")
    op.drop_table("draft")
    op.drop_index("ix_decision_bulk", table_name="decision")
    for name in ("bulk", "spent_ms", "n_hunks", "n_seen"):
        op.drop_column("decision", name)
    op.drop_column("reviewer", "preferences")
