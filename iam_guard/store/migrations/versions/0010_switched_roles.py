"""The role that the person of a browser session has switched to.

Revision ID: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the columns; SQLite can't add a foreign key to a table, so the table is copied there."""
    with op.batch_alter_table("browser_sessions") as table:
        table.add_column(sa.Column("role_id", sa.String()))
        table.add_column(sa.Column("role_session", sa.String()))
        table.add_column(sa.Column("role_label", sa.String()))
        table.add_column(sa.Column("role_since", sa.BigInteger()))
        table.add_column(sa.Column("role_until", sa.BigInteger()))
        table.create_foreign_key("fk_browser_sessions_role_id", "identities", ["role_id"], ["id"], ondelete="CASCADE")
        table.create_index("ix_browser_sessions_role_id", ["role_id"])
