"""Codes for who lost the second factor."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recovery",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], name=op.f("fk_recovery_reviewer_id_reviewer")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_recovery")),
    )
    op.create_index("ix_recovery_reviewer", "recovery", ["reviewer_id"], unique=False)


def downgrade() -> None:
    op.drop_table("recovery")
