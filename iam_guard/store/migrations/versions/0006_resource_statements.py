"""Whom the policies of resources name, which lists look up. The rows are made when all migrations have run.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_UNLISTABLE = sa.text(
    "CAST(tags AS VARCHAR) != '{}' OR digest IS NOT NULL AND coalesce(listed_digest, '') != digest",
)


def upgrade() -> None:
    """Create the table, and the index of the resources that lists can't use it for."""
    op.add_column("resources", sa.Column("listed_digest", sa.String(64)))
    op.create_index(
        "ix_resources_unlistable", "resources", ["arn"], sqlite_where=_UNLISTABLE, postgresql_where=_UNLISTABLE
    )
    op.create_table(
        "resource_statements",
        sa.Column("arn", sa.String(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("account", sa.String(12), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["arn"], ["resources.arn"], name="fk_resource_statements_arn", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("arn", "digest", name="pk_resource_statements"),
    )
    op.create_index("ix_resource_statements_principal", "resource_statements", ["service", "principal", "digest"])
