"""Analyzers, their archive rules, findings and access previews.

Revision ID: 0012
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_ID = ("id", sa.String(), False)
_OWNER = ("analyzer_id", sa.String(), False)
_TOKEN = ("client_token", sa.String(), True)


def upgrade() -> None:
    """Create the tables."""
    _create(
        "analyzers",
        _ID,
        ("account", sa.String(), False),
        ("name", sa.String(), False),
        ("type", sa.String(), False),
        ("configuration", sa.JSON(), False),
        ("tags", sa.JSON(), False),
        _TOKEN,
        ("created", sa.BigInteger(), False),
        ("epoch", sa.BigInteger(), True),
        ("mark", sa.String(16), True),
        ("analyzed", sa.BigInteger(), True),
        ("last_resource", sa.String(), True),
        key=("id",),
        owner=("account", "accounts.id"),
        unique=("account", "name"),
    )
    _create(
        "archive_rules",
        _OWNER,
        ("name", sa.String(), False),
        ("filter", sa.JSON(), False),
        _TOKEN,
        ("created", sa.BigInteger(), False),
        ("updated", sa.BigInteger(), False),
        key=("analyzer_id", "name"),
    )
    _create(
        "findings",
        _ID,
        _OWNER,
        *((name, sa.String(), False) for name in ("type", "resource", "resource_type", "owner", "status")),
        ("content", sa.JSON(), False),
        ("digest", sa.String(64), False),
        *((name, sa.BigInteger(), False) for name in ("created", "analyzed", "updated")),
        key=("id",),
        unique=("analyzer_id", "digest"),
    )
    _create(
        "access_previews",
        _ID,
        _OWNER,
        ("configurations", sa.JSON(), False),
        ("findings", sa.JSON(), False),
        ("status", sa.String(), False),
        _TOKEN,
        ("created", sa.BigInteger(), False),
        key=("id",),
    )
    op.create_index("ix_findings_resource", "findings", ["analyzer_id", "resource"])
    op.create_index("ix_access_previews_analyzer_id", "access_previews", ["analyzer_id"])


def _create(
    name: str,
    *columns: tuple[str, Any, bool],
    key: tuple[str, ...],
    owner: tuple[str, str] = ("analyzer_id", "analyzers.id"),
    unique: tuple[str, str] | None = None,
) -> None:
    """Create a table whose rows belong to a row of another table."""
    column, target = owner
    constraints = [sa.UniqueConstraint(*unique, name=f"uq_{name}_{unique[0]}_{unique[1]}")] if unique else []
    op.create_table(
        name,
        *(sa.Column(label, type, nullable=optional) for label, type, optional in columns),
        sa.ForeignKeyConstraint([column], [target], name=f"fk_{name}_{column}", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint(*key, name=f"pk_{name}"),
        *constraints,
    )
