"""What machines sign in with: the rotation and the use of API keys, API keys that are service-specific credentials.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_COLUMNS = (
    ("api_keys", "replaces", sa.String),
    ("api_keys", "used", sa.BigInteger),
    ("service_credentials", "session_policy", sa.Text),
    ("service_credentials", "used", sa.BigInteger),
)


def upgrade() -> None:
    for table, column, kind in _COLUMNS:
        op.add_column(table, sa.Column(column, kind(), nullable=True))
    op.create_index(op.f("ix_api_keys_replaces"), "api_keys", ["replaces"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_api_keys_replaces"), table_name="api_keys")
    for table, column, _ in reversed(_COLUMNS):
        op.drop_column(table, column)
