"""People who sign in: browser sessions, passkeys, recovery codes, links that reset a password, failed attempts.

Revision ID: 0007
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the tables."""
    digest = ("digest", sa.String(64), False)
    _create(
        "browser_sessions",
        digest,
        ("id", sa.String(), False),
        ("created", sa.BigInteger(), False),
        ("seen", sa.BigInteger(), False),
        ("expires", sa.BigInteger(), False),
        ("mfa_at", sa.BigInteger(), True),
        ("methods", sa.JSON(), False),
        ("task", sa.String(), True),
        ("address", sa.String(), False),
        ("user_agent", sa.Text(), False),
        unique="id",
    )
    _create(
        "passkeys",
        ("id", sa.String(), False),
        ("serial", sa.String(), False),
        ("name", sa.String(), False),
        ("public_key", sa.LargeBinary(), False),
        ("sign_count", sa.BigInteger(), False),
        ("created", sa.BigInteger(), False),
        ("transports", sa.JSON(), False),
        ("is_discoverable", sa.Boolean(), False),
        ("is_synced", sa.Boolean(), False),
        ("used", sa.BigInteger(), True),
        unique="serial",
    )
    _create("recovery_codes", digest, ("created", sa.BigInteger(), False), ("used", sa.BigInteger(), True))
    _create(
        "password_resets",
        digest,
        ("created", sa.BigInteger(), False),
        ("expires", sa.BigInteger(), False),
        ("made_by", sa.String(), True),
    )
    op.create_table(
        "sign_in_failures",
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_sign_in_failures"),
    )
    op.create_index("ix_sign_in_failures_last", "sign_in_failures", ["last"])


def _create(name: str, *columns: tuple[str, Any, bool], unique: str | None = None) -> None:
    """Create a table of things that a person has; the first column is its key."""
    constraints = [] if unique is None else [sa.UniqueConstraint(unique, name=f"uq_{name}_{unique}")]
    op.create_table(
        name,
        *(sa.Column(column, type, nullable=optional) for column, type, optional in columns),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name=f"fk_{name}_account", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["identities.id"], name=f"fk_{name}_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint(columns[0][0], name=f"pk_{name}"),
        *constraints,
    )
    for column in ("account", "user_id"):
        op.create_index(f"ix_{name}_{column}", name, [column])
