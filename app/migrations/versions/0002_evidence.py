"""The whole evidence: parts, clues, attachments; candidates that are joined, decisions that join and split."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_VALUES = {
    ("candidate", "status"): (
        ("pending", "accepted", "rejected", "edited", "skipped", "flagged"),
        ("joined",),
    ),
    ("decision", "verdict"): (
        ("accept", "reject", "edit", "skip", "flag", "undo"),
        ("join", "split"),
    ),
}


def upgrade() -> None:
    for (table, column), (before, more) in _VALUES.items():
        _allow(table, column, before, (*before, *more))
    for name in ("n_attempts", "n_parts"):
        op.add_column("candidate", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    op.add_column("candidate", sa.Column("judged_from", sa.Integer(), server_default="1", nullable=False))
    op.add_column("candidate", sa.Column("texts_digest", sa.LargeBinary(), nullable=True))
    op.create_index(
        "ix_candidate_unchecked",
        "candidate",
        ["id"],
        unique=False,
        sqlite_where=sa.text("checks_version = 0"),
        postgresql_where=sa.text("checks_version = 0"),
    )
    op.create_index("ix_repeat_entry", "repeat", ["entry_id"], unique=False)
    op.add_column("decision", sa.Column("other_id", sa.Integer(), nullable=True))
    op.add_column(
        "entry",
        sa.Column("format", sqlmodel.sql.sqltypes.AutoString(), server_default="success_memory", nullable=False),
    )
    op.add_column("entry", sa.Column("slice", sa.Integer(), server_default="0", nullable=False))
    op.add_column("source", sa.Column("score_direction", sqlmodel.sql.sqltypes.AutoString(), nullable=True))
    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("origin", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("n_files", sa.Integer(), nullable=False),
        sa.Column("passed", sa.JSON(), nullable=False),
        sa.Column("broken", sa.JSON(), nullable=False),
        sa.Column("refused", sa.JSON(), nullable=False),
        sa.Column("message", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("finished_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_delivery_project_id_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
    )
    op.create_index("ix_delivery_project_id", "delivery", ["project_id"], unique=False)
    op.add_column("source", sa.Column("delivery_id", sa.Integer(), nullable=True))
    op.create_index("ix_source_delivery_id", "source", ["delivery_id"], unique=False)
    op.create_table(
        "part",
        sa.Column("candidate_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("lead_id", sa.Integer(), nullable=False),
        sa.Column("to_id", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("code", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("confidence", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("reason", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.ForeignKeyConstraint(["candidate_id"], ["candidate.id"], name=op.f("fk_part_candidate_id_candidate")),
        sa.ForeignKeyConstraint(["lead_id"], ["candidate.id"], name=op.f("fk_part_lead_id_candidate")),
        sa.PrimaryKeyConstraint("candidate_id", name=op.f("pk_part")),
    )
    op.create_index("ix_part_lead", "part", ["lead_id"], unique=False)
    op.create_table(
        "clue",
        sa.Column("project_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("candidate_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "key", "candidate_id", name=op.f("pk_clue")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "new_clues",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("pairs", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_new_clues_project_id_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_new_clues")),
    )
    op.create_table(
        "attachment",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("path", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_attachment_entry_id_entry")),
        sa.PrimaryKeyConstraint("entry_id", "path", name=op.f("pk_attachment")),
    )
    op.create_table(
        "watched",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("identity", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("stamp", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("offset_bytes", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_watched_project_id_project")),
        sa.ForeignKeyConstraint(["source_id"], ["source.id"], name=op.f("fk_watched_source_id_source")),
        sa.PrimaryKeyConstraint("project_id", "key", name=op.f("pk_watched")),
    )
    op.execute("INSERT INTO tally (project_id, status, n) SELECT id, 'joined', 0 FROM project")
    # No pairs: joining finds the clues of everything that is here already.
    op.execute(sa.text("INSERT INTO new_clues (project_id, pairs) SELECT id, :none FROM project").bindparams(none=b""))


def downgrade() -> None:
    op.execute("DELETE FROM tally WHERE status = 'joined'")
    for name in ("watched", "attachment", "new_clues", "clue"):
        op.drop_table(name)
    op.drop_index("ix_part_lead", table_name="part")
    op.drop_index("ix_candidate_unchecked", table_name="candidate")
    op.drop_index("ix_repeat_entry", table_name="repeat")
    op.drop_table("part")
    op.drop_index("ix_source_delivery_id", table_name="source")
    op.drop_index("ix_delivery_project_id", table_name="delivery")
    op.drop_table("delivery")
    for table, column in (
        ("source", "delivery_id"), ("source", "score_direction"), ("entry", "slice"), ("entry", "format"),
        ("decision", "other_id"), ("candidate", "texts_digest"), ("candidate", "judged_from"), ("candidate", "n_parts"),
        ("candidate", "n_attempts"),
    ):  # fmt: skip
        op.drop_column(table, column)
    for (table, column), (before, more) in _VALUES.items():
        _allow(table, column, (*before, *more), before)


def _allow(table: str, column: str, before: tuple[str, ...], after: tuple[str, ...]) -> None:
    """Change which values a column may hold, and leave its rows where they are.

    To rebuild a table takes its triggers and, with foreign keys on, its children with it. What changes no byte on disk
    SQLite's documentation does in the stored schema (Making Other Kinds Of Table Schema Changes, the shorter way).
    """
    old, new = (f"{column} IN ({', '.join(repr(value) for value in values)})" for values in (before, after))
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        op.drop_constraint(op.f(f"ck_{table}_{column}"), table, type_="check")
        op.create_check_constraint(op.f(f"ck_{table}_{column}"), table, new)
        return
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema=ON")
    connection.exec_driver_sql(
        "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = ?", (old, new, table)
    )
    connection.exec_driver_sql(f"PRAGMA schema_version={version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema=OFF")
