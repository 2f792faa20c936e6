"""An index by which a password of an account is selected, for the cost of comparing one with that of an unknown name.

Revision ID: 0017
"""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Replace the index on the account alone."""
    op.create_index("ix_login_profiles_owner", "login_profiles", ["account", "owner"])
    op.drop_index("ix_login_profiles_account", "login_profiles")
