"""A value that only the sealing keys of the store open.

Revision ID: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the column; a migration has no keys, so `create_store` writes the value."""
    op.add_column("meta", sa.Column("canary", sa.LargeBinary()))
