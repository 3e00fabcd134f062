"""Whom an OpenID provider says a person is."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_TEXT = sqlmodel.sql.sqltypes.AutoString


def upgrade() -> None:
    op.add_column("reviewer", sa.Column("oidc_issuer", _TEXT(), nullable=True))
    op.add_column("reviewer", sa.Column("oidc_subject", _TEXT(), nullable=True))
    op.create_index("uq_reviewer_oidc", "reviewer", ["oidc_issuer", "oidc_subject"], unique=True)


def downgrade() -> None:
    op.drop_index("uq_reviewer_oidc", table_name="reviewer")
    for name in ("oidc_subject", "oidc_issuer"):
        op.drop_column("reviewer", name)
