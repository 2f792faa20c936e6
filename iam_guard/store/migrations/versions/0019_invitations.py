"""Links with which people choose their first password, beside those for another one.

Revision ID: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the column; the links of before are for another password."""
    op.add_column("password_resets", sa.Column("is_invitation", sa.Boolean()))
