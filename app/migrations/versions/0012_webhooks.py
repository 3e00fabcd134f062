"""Webhooks and what was sent to them."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TEXT = sqlmodel.sql.sqltypes.AutoString
_INSTANT = sqlmodel.sql.sqltypes.UTCDateTime


def upgrade() -> None:
    op.create_table(
        "webhook",
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("url", _TEXT(), nullable=False),
        sa.Column("secret", _TEXT(), nullable=False),
        sa.Column("former_secret", _TEXT(), nullable=True),
        sa.Column("former_until", _INSTANT(), nullable=True),
        sa.Column("is_on", sa.Boolean(), nullable=False),
        sa.Column("decisions_to", sa.Integer(), nullable=False),
        sa.Column("held_until", _INSTANT(), nullable=True),
        sa.Column("reviewer_id", sa.Integer(), nullable=True),
        sa.Column("made_at", _INSTANT(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"]),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("project_id", "url", name=op.f("uq_webhook_project_id_url")),
    )
    op.create_table(
        "posting",
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("key", _TEXT(), nullable=False),
        sa.Column("message_id", _TEXT(), nullable=False),
        sa.Column("event", _TEXT(), nullable=False),
        sa.Column("state", _TEXT(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("said", _TEXT(), nullable=False),
        sa.Column("next_at", _INSTANT(), nullable=False),
        sa.Column("made_at", _INSTANT(), nullable=False),
        sa.Column("ended_at", _INSTANT(), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'sent', 'failed')", name=op.f("ck_posting_state")),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhook.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("webhook_id", "key", name=op.f("uq_posting_webhook_id_key")),
    )
    op.create_index("ix_posting_waiting", "posting", ["webhook_id", "state", "id"])


def downgrade() -> None:
    op.drop_table("posting")
    op.drop_table("webhook")
