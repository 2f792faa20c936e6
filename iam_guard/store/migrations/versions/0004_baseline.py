"""The schema of the first release. An empty store is made from `schema`, so this migration has nothing to do.

Revision ID: 0004
"""

revision = "0004"
down_revision = None


def upgrade() -> None:
    """Do nothing."""
