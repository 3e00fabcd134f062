"""Finding things: what lists are ordered by, and the words of scripts and tracebacks.

The worker fills both for what is here already, as it does for what comes: every candidate is looked at once more.
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COLUMNS = (
    sa.Column("validity", sqlmodel.sql.sqltypes.AutoString(), nullable=False, server_default=""),
    sa.Column("n_valid", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("score", sa.Float(), nullable=True),
    sa.Column("score_direction", sqlmodel.sql.sqltypes.AutoString(), nullable=False, server_default=""),
    sa.Column("n_changed", sa.Integer(), nullable=True),
    sa.Column("mildness", sa.Integer(), nullable=True),
    sa.Column("alike", sa.BigInteger(), nullable=True),
)
_INDEXES = {
    "ix_candidate_score": "score",
    "ix_candidate_mildness": "mildness",
    "ix_candidate_size": "n_changed",
    "ix_candidate_alike": "alike",
}
_SQLITE_WORDS = (
    """CREATE VIRTUAL TABLE candidate_words_more USING fts5(
        issue, paths, changes, script, traces,
        content='', contentless_delete=1, tokenize="unicode61 remove_diacritics 0"
    )""",
)
_POSTGRES_WORDS = (
    """CREATE TABLE candidate_words_more (
        candidate_id integer PRIMARY KEY REFERENCES candidate (id), words tsvector NOT NULL, traces tsvector NOT NULL
    )""",
    "CREATE INDEX ix_candidate_words_more ON candidate_words_more USING gin (words)",
    "CREATE INDEX ix_candidate_words_more_traces ON candidate_words_more USING gin (traces)",
)


def upgrade() -> None:
    for column in _COLUMNS:
        op.add_column("candidate", column)
    for name, column in _INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON candidate (project_id, status, {column}, id)")
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _SQLITE_WORDS if is_sqlite else _POSTGRES_WORDS:
        op.execute(statement)
    op.execute("UPDATE candidate SET checks_version = 0 WHERE checks_version > 0")


def downgrade() -> None:
    op.drop_table("candidate_words_more")
    for name in _INDEXES:
        op.drop_index(name, table_name="candidate")
    for column in reversed(_COLUMNS):
        op.drop_column("candidate", column.name)
