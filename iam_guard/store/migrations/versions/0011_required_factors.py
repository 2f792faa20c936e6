"""Accounts whose people must have a second factor.

Revision ID: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the column; no existing account requires one."""
    op.add_column("accounts", sa.Column("requires_mfa", sa.Boolean()))
