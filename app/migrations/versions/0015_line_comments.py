"""Comments: threads on lines of candidates, and what was said and done in them."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TABLES = ("thread", "comment")


def _sqlite_triggers(table: str) -> tuple[str, ...]:
    return tuple(
        f"""CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table}
            BEGIN SELECT RAISE(ABORT, '{table}s are append-only'); END"""
        for act in ("UPDATE", "DELETE")
    )


def _postgres_triggers(table: str) -> tuple[str, ...]:
    return (
        f"""CREATE FUNCTION {table}_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION '{table}s are append-only'; END $$""",
        f"""CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION {table}_is_append_only()""",
    )


def upgrade() -> None:
    _create_thread()
    op.create_table(
        "comment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("thread_id", sa.Integer(), nullable=False),
        sa.Column("act", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("of_id", sa.Integer(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("is_resolved", sa.Boolean(), nullable=False),
        sa.Column("blocks", sa.Boolean(), nullable=False),
        sa.Column("key", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("made_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.CheckConstraint("act IN ('say', 'edit', 'resolve', 'reopen')", name=op.f("ck_comment_act")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], name=op.f("fk_comment_reviewer_id_reviewer")),
        sa.ForeignKeyConstraint(["thread_id"], ["thread.id"], name=op.f("fk_comment_thread_id_thread")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comment")),
        sa.UniqueConstraint("key", name=op.f("uq_comment_key")),
    )
    op.create_index("ix_comment_thread", "comment", ["thread_id", "id"], unique=False)
    op.create_index("ix_comment_reviewer_id", "comment", ["reviewer_id"], unique=False)
    triggers = _sqlite_triggers if op.get_bind().dialect.name == "sqlite" else _postgres_triggers
    for table in _TABLES:
        for statement in triggers(table):
            op.execute(statement)


def _create_thread() -> None:
    op.create_table(
        "thread",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("candidate_id", sa.Integer(), nullable=False),
        sa.Column("candidate_version", sa.Integer(), nullable=False),
        sa.Column("field", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.Integer(), nullable=False),
        sa.Column("path", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("is_new", sa.Boolean(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["candidate_id"], ["candidate.id"], name=op.f("fk_thread_candidate_id_candidate")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_thread_project_id_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_thread")),
    )
    op.create_index("ix_thread_candidate", "thread", ["candidate_id", "id"], unique=False)
    op.create_index("ix_thread_project_id", "thread", ["project_id"], unique=False)


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        for table in _TABLES:
            op.execute(f"DROP FUNCTION {table}_is_append_only()")
