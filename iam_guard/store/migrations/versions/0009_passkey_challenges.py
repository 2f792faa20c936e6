"""Which challenge a passkey answered last, so that each counts once.

Revision ID: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column; no passkey has been used yet."""
    op.add_column("passkeys", sa.Column("last_challenge", sa.BigInteger()))
