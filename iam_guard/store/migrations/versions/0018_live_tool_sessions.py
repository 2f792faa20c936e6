"""Indexes by which the expired and the live sessions of tools are found, among many that were revoked.

Revision ID: 0018
"""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Replace the indexes on the first column alone."""
    op.create_index("ix_tool_sessions_expires", "tool_sessions", ["account", "expires"])
    op.create_index("ix_tool_sessions_person", "tool_sessions", ["person_account", "person_id", "revoked"])
    op.drop_index("ix_tool_sessions_account", "tool_sessions")
    op.drop_index("ix_tool_sessions_person_id", "tool_sessions")
