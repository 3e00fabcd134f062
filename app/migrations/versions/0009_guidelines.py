"""Guidelines: what a project asks of its reviewers, with versions, and which of them a decision was made under."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_SQLITE_TRIGGERS = (
    """CREATE TRIGGER guideline_no_update BEFORE UPDATE ON guideline
        BEGIN SELECT RAISE(ABORT, 'guidelines are append-only'); END""",
    """CREATE TRIGGER guideline_no_delete BEFORE DELETE ON guideline
        BEGIN SELECT RAISE(ABORT, 'guidelines are append-only'); END""",
)
_POSTGRES_TRIGGERS = (
    """CREATE FUNCTION guideline_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'guidelines are append-only'; END $$""",
    """CREATE TRIGGER guideline_no_change BEFORE UPDATE OR DELETE ON guideline
        FOR EACH ROW EXECUTE FUNCTION guideline_is_append_only()""",
)


def upgrade() -> None:
    op.create_table(
        "guideline",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_guideline_project_id_project")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], name=op.f("fk_guideline_reviewer_id_reviewer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guideline")),
    )
    op.create_index("uq_guideline_version", "guideline", ["project_id", "version"], unique=True)
    op.add_column("decision", sa.Column("guideline", sa.Integer(), nullable=True))
    dialect = op.get_bind().dialect.name
    for statement in _SQLITE_TRIGGERS if dialect == "sqlite" else _POSTGRES_TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    op.drop_column("decision", "guideline")
    op.drop_table("guideline")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION guideline_is_append_only()")
