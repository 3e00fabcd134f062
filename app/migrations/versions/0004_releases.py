"""Releases: project settings, prompt templates, rulings on examples, releases, what they hold, the ledger of splits."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MOVED = sa.text("version > 1")
_INDEXES = {
    "ix_candidate_moved_group": ["project_id", "group_digest", "id"],
    "ix_candidate_moved_target": ["project_id", "target", "id"],
}
_SQLITE_TRIGGERS = (
    """CREATE TRIGGER ruling_no_update BEFORE UPDATE ON ruling
        BEGIN SELECT RAISE(ABORT, 'rulings are append-only'); END""",
    """CREATE TRIGGER ruling_no_delete BEFORE DELETE ON ruling
        BEGIN SELECT RAISE(ABORT, 'rulings are append-only'); END""",
)
_POSTGRES_TRIGGERS = (
    """CREATE FUNCTION ruling_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'rulings are append-only'; END $$""",
    """CREATE TRIGGER ruling_no_change BEFORE UPDATE OR DELETE ON ruling
        FOR EACH ROW EXECUTE FUNCTION ruling_is_append_only()""",
)


def upgrade() -> None:
    op.add_column("project", sa.Column("settings", sa.JSON(none_as_null=True), nullable=True))
    for name, columns in _INDEXES.items():
        op.create_index(name, "candidate", columns, unique=False, sqlite_where=_MOVED, postgresql_where=_MOVED)
    _create_templates()
    op.create_table(
        "ruling",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("candidate_id", sa.Integer(), nullable=False),
        sa.Column("example", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("gate", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("in_force", sa.Boolean(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("made_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["candidate_id"], ["candidate.id"], name=op.f("fk_ruling_candidate_id_candidate")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_ruling_project_id_project")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], name=op.f("fk_ruling_reviewer_id_reviewer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ruling")),
    )
    op.create_index("ix_ruling_candidate", "ruling", ["candidate_id", "id"], unique=False)
    _create_release()
    op.create_table(
        "released",
        sa.Column("candidate_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("release_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("decision_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["candidate_id"], ["candidate.id"], name=op.f("fk_released_candidate_id_candidate")),
        sa.ForeignKeyConstraint(["release_id"], ["release.id"], name=op.f("fk_released_release_id_release")),
        sa.PrimaryKeyConstraint("candidate_id", "release_id", name=op.f("pk_released")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger",
        sa.Column("project_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("issue", sa.LargeBinary(), nullable=False),
        sa.Column("split", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("since", sa.Integer(), nullable=False),
        sa.Column("release_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_ledger_project_id_project")),
        sa.ForeignKeyConstraint(["release_id"], ["release.id"], name=op.f("fk_ledger_release_id_release")),
        sa.PrimaryKeyConstraint("project_id", "issue", name=op.f("pk_ledger")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "project_file",
        sa.Column("project_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_project_file_project_id_project")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], name=op.f("fk_project_file_reviewer_id_reviewer")),
        sa.PrimaryKeyConstraint("project_id", "digest", name=op.f("pk_project_file")),
    )
    op.create_index("ix_ledger_release_id", "ledger", ["release_id"], unique=False)
    dialect = op.get_bind().dialect.name
    for statement in _SQLITE_TRIGGERS if dialect == "sqlite" else _POSTGRES_TRIGGERS:
        op.execute(statement)


def _create_templates() -> None:
    op.create_table(
        "template",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_template_project_id_project")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], name=op.f("fk_template_reviewer_id_reviewer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template")),
    )
    op.create_index("uq_template_version", "template", ["project_id", "name", "version"], unique=True)
    op.create_table(
        "template_use",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_template_use_project_id_project")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], name=op.f("fk_template_use_reviewer_id_reviewer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template_use")),
    )
    op.create_index("ix_template_use_name", "template_use", ["project_id", "name", "id"], unique=False)


def _create_release() -> None:
    op.create_table(
        "release",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("decisions_to", sa.Integer(), nullable=False),
        sa.Column("rulings_to", sa.Integer(), nullable=False),
        sa.Column("manifest_digest", sa.LargeBinary(), nullable=True),
        sa.Column("n_bytes", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=True),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("message", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("frozen_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("withdrawn_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("withdrawn_why", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.CheckConstraint(
            "state IN ('queued', 'freezing', 'frozen', 'failed', 'withdrawn')", name=op.f("ck_release_state")
        ),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_release_project_id_project")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], name=op.f("fk_release_reviewer_id_reviewer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_release")),
    )
    op.create_index("uq_release_number", "release", ["project_id", "number"], unique=True)


def downgrade() -> None:
    for table in ("project_file", "ledger", "released", "release", "ruling", "template_use", "template"):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION ruling_is_append_only()")
    for name in _INDEXES:
        op.drop_index(name, table_name="candidate")
    op.drop_column("project", "settings")
