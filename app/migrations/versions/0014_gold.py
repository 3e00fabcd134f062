"""Gold: candidates whose right verdict is known, and what people say of them unknowingly."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_SQLITE_TRIGGERS = (
    """CREATE TRIGGER gold_answer_no_update BEFORE UPDATE ON gold_answer
        BEGIN SELECT RAISE(ABORT, 'answers are append-only'); END""",
    """CREATE TRIGGER gold_answer_no_delete BEFORE DELETE ON gold_answer
        BEGIN SELECT RAISE(ABORT, 'answers are append-only'); END""",
)
_POSTGRES_TRIGGERS = (
    """CREATE FUNCTION gold_answer_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'answers are append-only'; END $$""",
    """CREATE TRIGGER gold_answer_no_change BEFORE UPDATE OR DELETE ON gold_answer
        FOR EACH ROW EXECUTE FUNCTION gold_answer_is_append_only()""",
)


def upgrade() -> None:
    op.create_table(
        "gold",
        sa.Column("candidate_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("verdict", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("made_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("ended_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["candidate_id"], ["candidate.id"], name=op.f("fk_gold_candidate_id_candidate")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_gold_project_id_project")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], name=op.f("fk_gold_reviewer_id_reviewer")),
        sa.PrimaryKeyConstraint("candidate_id", name=op.f("pk_gold")),
    )
    op.create_index(op.f("ix_gold_project_id"), "gold", ["project_id"], unique=False)
    op.create_table(
        "gold_answer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("candidate_id", sa.Integer(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("verdict", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("is_right", sa.Integer(), nullable=True),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("spent_ms", sa.Integer(), nullable=True),
        sa.Column("key", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("answered_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_gold_answer_project_id_project")),
        sa.ForeignKeyConstraint(["candidate_id"], ["gold.candidate_id"], name=op.f("fk_gold_answer_candidate_id_gold")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], name=op.f("fk_gold_answer_reviewer_id_reviewer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gold_answer")),
        sa.UniqueConstraint("key", name=op.f("uq_gold_answer_key")),
    )
    op.create_index("uq_gold_answer_person", "gold_answer", ["reviewer_id", "candidate_id"], unique=True)
    for statement in _SQLITE_TRIGGERS if op.get_bind().dialect.name == "sqlite" else _POSTGRES_TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("gold_answer")
    op.drop_table("gold")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION gold_answer_is_append_only()")
