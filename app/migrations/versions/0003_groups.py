"""Groups: fingerprints of patches, near-duplicates, and the issues that they tie together."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shape",
        _number("project_id"),
        _large("id"),
        sa.Column("shingles", sa.LargeBinary(), nullable=False),
        _of_project("shape"),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_shape")),
    )
    op.create_table(
        "fingerprint",
        _number("candidate_id"),
        _project(),
        _large("shape_id"),
        sa.Column("issue", sa.LargeBinary(), nullable=False),
        _of_candidate("fingerprint"),
        _of_project("fingerprint"),
        sa.PrimaryKeyConstraint("candidate_id", name=op.f("pk_fingerprint")),
    )
    op.create_index("ix_fingerprint_shape", "fingerprint", ["project_id", "shape_id", "candidate_id"])
    op.create_table(
        "new_fingerprint",
        _number("project_id"),
        _number("candidate_id"),
        sa.Column("shingles", sa.LargeBinary(), nullable=False),
        _of_project("new_fingerprint"),
        sa.PrimaryKeyConstraint("project_id", "candidate_id", name=op.f("pk_new_fingerprint")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "band",
        _number("project_id"),
        _large("key"),
        _large("shape_id"),
        _of_project("band"),
        sa.PrimaryKeyConstraint("project_id", "key", "shape_id", name=op.f("pk_band")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "cluster",
        _number("candidate_id"),
        _project(),
        sa.Column("cluster_id", sa.Integer(), nullable=False),
        sa.Column("issue", sa.LargeBinary(), nullable=False),
        _of_candidate("cluster"),
        _of_project("cluster"),
        sa.PrimaryKeyConstraint("candidate_id", name=op.f("pk_cluster")),
    )
    op.create_index("ix_cluster_cluster", "cluster", ["cluster_id", "candidate_id"])
    op.create_index("ix_cluster_issue", "cluster", ["project_id", "issue"])
    op.create_table(
        "issue_group",
        _number("project_id"),
        sa.Column("issue", sa.LargeBinary(), nullable=False),
        sa.Column("group_key", sa.LargeBinary(), nullable=False),
        _of_project("issue_group"),
        sa.PrimaryKeyConstraint("project_id", "issue", name=op.f("pk_issue_group")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_issue_group_key", "issue_group", ["project_id", "group_key"])
    op.create_table(
        "nearness",
        _number("project_id"),
        sa.Column("version", sa.BigInteger(), nullable=False),
        _of_project("nearness"),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_nearness")),
    )
    # No version: the groups of what is here already have to be made.
    op.execute("INSERT INTO nearness (project_id, version) SELECT id, 0 FROM project")


def downgrade() -> None:
    op.drop_table("nearness")
    op.drop_index("ix_issue_group_key", table_name="issue_group")
    op.drop_table("issue_group")
    op.drop_index("ix_cluster_issue", table_name="cluster")
    op.drop_index("ix_cluster_cluster", table_name="cluster")
    op.drop_table("cluster")
    op.drop_table("band")
    op.drop_table("new_fingerprint")
    op.drop_index("ix_fingerprint_shape", table_name="fingerprint")
    op.drop_table("fingerprint")
    op.drop_table("shape")


def _project() -> sa.Column[int]:
    return sa.Column("project_id", sa.Integer(), nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), autoincrement=False, nullable=False)


def _large(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def _of_project(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f(f"fk_{table}_project_id_project"))


def _of_candidate(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["candidate_id"], ["candidate.id"], name=op.f(f"fk_{table}_candidate_id_candidate"))
