"""Several people at one queue: since when somebody has a candidate, who looks at what, what one sends to another."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_LEASED = sa.text("lease_by IS NOT NULL")
_OPEN = sa.text("done_at IS NULL")
_INSTANT = sqlmodel.sql.sqltypes.UTCDateTime


def upgrade() -> None:
    op.add_column("candidate", sa.Column("lease_since", _INSTANT(), nullable=True))
    # Leases of before say no beginning; they last a quarter of an hour at most.
    op.execute("UPDATE candidate SET lease_by = NULL, lease_until = NULL WHERE lease_by IS NOT NULL")
    op.create_index(
        "ix_candidate_leased", "candidate", ["project_id", "lease_by"], sqlite_where=_LEASED, postgresql_where=_LEASED
    )
    op.create_table(
        "presence",
        sa.Column("reviewer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("project_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("candidate_id", sa.Integer(), nullable=False),
        sa.Column("since", _INSTANT(), nullable=False),
        sa.Column("seen_at", _INSTANT(), nullable=False),
        sa.ForeignKeyConstraint(["candidate_id"], ["candidate.id"], name=op.f("fk_presence_candidate_id_candidate")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_presence_project_id_project")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], name=op.f("fk_presence_reviewer_id_reviewer")),
        sa.PrimaryKeyConstraint("reviewer_id", "project_id", name=op.f("pk_presence")),
    )
    op.create_table(
        "turn",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("candidate_id", sa.Integer(), nullable=False),
        sa.Column("from_id", sa.Integer(), nullable=False),
        sa.Column("to_id", sa.Integer(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("sent_at", _INSTANT(), nullable=False),
        sa.Column("done_at", _INSTANT(), nullable=True),
        sa.Column("decision_id", sa.Integer(), nullable=True),
        sa.Column("read_at", _INSTANT(), nullable=True),
        sa.ForeignKeyConstraint(["candidate_id"], ["candidate.id"], name=op.f("fk_turn_candidate_id_candidate")),
        sa.ForeignKeyConstraint(["decision_id"], ["decision.id"], name=op.f("fk_turn_decision_id_decision")),
        sa.ForeignKeyConstraint(["from_id"], ["reviewer.id"], name=op.f("fk_turn_from_id_reviewer")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_turn_project_id_project")),
        sa.ForeignKeyConstraint(["to_id"], ["reviewer.id"], name=op.f("fk_turn_to_id_reviewer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turn")),
    )
    op.create_index(
        "uq_turn_open", "turn", ["to_id", "candidate_id", "from_id"], unique=True,
        sqlite_where=_OPEN, postgresql_where=_OPEN,
    )  # fmt: skip
    op.create_index("ix_turn_candidate", "turn", ["candidate_id"])
    op.create_index("ix_turn_from", "turn", ["from_id", "read_at"])
    op.create_index("ix_turn_decision", "turn", ["decision_id"])


def downgrade() -> None:
    op.drop_table("turn")
    op.drop_table("presence")
    op.drop_index("ix_candidate_leased", table_name="candidate")
    op.drop_column("candidate", "lease_since")
