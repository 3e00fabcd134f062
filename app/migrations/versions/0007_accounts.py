"""Accounts: passwords, members, logins, tokens, tickets; and the audit log."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TEXT = sqlmodel.sql.sqltypes.AutoString
_AT = sqlmodel.sql.sqltypes.UTCDateTime
_SQLITE_TRIGGERS = (
    """CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    """CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
)
_POSTGRES_TRIGGERS = (
    """CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$""",
    """CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit
        FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()""",
)


def upgrade() -> None:
    op.add_column("reviewer", sa.Column("password", _TEXT(), nullable=True))
    op.add_column("reviewer", sa.Column("totp", _TEXT(), nullable=True))
    op.add_column("reviewer", sa.Column("totp_used", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.add_column("reviewer", sa.Column("is_admin", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column("reviewer", sa.Column("disabled_at", _AT(), nullable=True))
    op.create_table(
        "member",
        sa.Column("project_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("reviewer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("role", _TEXT(), nullable=False),
        sa.CheckConstraint("role IN ('viewer', 'reviewer', 'curator', 'admin')", name=op.f("ck_member_role")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_member_project_id_project")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], name=op.f("fk_member_reviewer_id_reviewer")),
        sa.PrimaryKeyConstraint("project_id", "reviewer_id", name=op.f("pk_member")),
    )
    _create_logins()
    op.create_table(
        "ticket",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=True),
        sa.Column("made_at", _AT(), nullable=False),
        sa.Column("ends_at", _AT(), nullable=False),
        sa.Column("used_at", _AT(), nullable=True),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], name=op.f("fk_ticket_reviewer_id_reviewer")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_ticket")),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("made_at", _AT(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=True),
        sa.Column("reviewer_id", sa.Integer(), nullable=True),
        sa.Column("who", _TEXT(), nullable=False),
        sa.Column("address", _TEXT(), nullable=False),
        sa.Column("what", _TEXT(), nullable=False),
        sa.Column("about", sa.JSON(), nullable=False),
        sa.Column("previous_digest", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_project", "audit", ["project_id", "id"], unique=False)
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _SQLITE_TRIGGERS if sqlite else _POSTGRES_TRIGGERS:
        op.execute(statement)


def _create_logins() -> None:
    op.create_table(
        "login",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("made_at", _AT(), nullable=False),
        sa.Column("seen_at", _AT(), nullable=False),
        sa.Column("ends_at", _AT(), nullable=False),
        sa.Column("ended_at", _AT(), nullable=True),
        sa.Column("address", _TEXT(), nullable=False),
        sa.Column("agent", _TEXT(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_login_project_id_project")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], name=op.f("fk_login_reviewer_id_reviewer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login")),
        sa.UniqueConstraint("digest", name=op.f("uq_login_digest")),
    )
    op.create_index("ix_login_reviewer", "login", ["reviewer_id", "id"], unique=False)
    op.create_table(
        "token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("name", _TEXT(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("made_at", _AT(), nullable=False),
        sa.Column("used_at", _AT(), nullable=True),
        sa.Column("ends_at", _AT(), nullable=True),
        sa.Column("ended_at", _AT(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_token_project_id_project")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], name=op.f("fk_token_reviewer_id_reviewer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_token_digest")),
    )
    op.create_index("ix_token_reviewer", "token", ["reviewer_id", "id"], unique=False)


def downgrade() -> None:
    for table in ("audit", "ticket", "token", "login", "member"):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_is_append_only()")
    for name in ("disabled_at", "is_admin", "totp_used", "totp", "password"):
        op.drop_column("reviewer", name)
