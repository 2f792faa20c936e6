"""Whether a password is long enough without a second factor: its digest does not reveal the length.

Revision ID: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column; of the existing passwords it is not known."""
    op.add_column("login_profiles", sa.Column("is_long", sa.Boolean()))
