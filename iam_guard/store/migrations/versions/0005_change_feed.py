"""The change feed, from which processes read what other processes' changes invalidate.

Revision ID: 0005
"""

import secrets
import time

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the feed, which begins with the present epoch."""
    changes = op.create_table(
        "changes",
        sa.Column("epoch", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("mark", sa.String(16), nullable=False),
        sa.Column("names", sa.JSON(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("epoch", name="pk_changes"),
    )
    epoch = op.get_bind().execute(sa.text("SELECT epoch FROM meta")).scalar_one()
    first = {"epoch": epoch, "mark": secrets.token_hex(8), "names": ["*"], "time": time.time_ns() // 1_000_000}
    op.bulk_insert(changes, [first])
