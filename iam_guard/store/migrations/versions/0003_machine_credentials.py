"""What machines sign in with: the rotation and the use of API keys, API keys that are service-specific credentials, and
trust in client certificates.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_COLUMNS = (
    ("api_keys", "replaces", sa.String),
    ("api_keys", "used", sa.BigInteger),
    ("service_credentials", "session_policy", sa.Text),
    ("service_credentials", "used", sa.BigInteger),
)


def upgrade() -> None:
    for table, column, kind in _COLUMNS:
        op.add_column(table, sa.Column(column, kind(), nullable=True))
    op.create_index(op.f("ix_api_keys_replaces"), "api_keys", ["replaces"], unique=False)
    _trust_anchors()
    _certificate_profiles()


def _trust_anchors() -> None:
    op.create_table(
        "trust_anchors",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.Column("certificates", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.id"], name=op.f("fk_trust_anchors_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trust_anchors")),
        sa.UniqueConstraint("account", "folded", name=op.f("uq_trust_anchors_account_folded")),
    )
    op.create_index(op.f("ix_trust_anchors_account"), "trust_anchors", ["account"], unique=False)
    op.create_table(
        "revocation_lists",
        sa.Column("anchor_id", sa.String(), nullable=False),
        sa.Column("authority", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["anchor_id"], ["trust_anchors.id"], name=op.f("fk_revocation_lists_anchor_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("anchor_id", "authority", name=op.f("pk_revocation_lists")),
    )


def _certificate_profiles() -> None:
    op.create_table(
        "certificate_profiles",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("session_policy", sa.Text(), nullable=True),
        sa.Column("policy_ids", sa.JSON(), nullable=False),
        sa.Column("mappings", sa.JSON(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.id"], name=op.f("fk_certificate_profiles_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_certificate_profiles")),
        sa.UniqueConstraint("account", "folded", name=op.f("uq_certificate_profiles_account_folded")),
    )
    op.create_index(op.f("ix_certificate_profiles_account"), "certificate_profiles", ["account"], unique=False)


def downgrade() -> None:
    for table in ("certificate_profiles", "revocation_lists", "trust_anchors"):
        op.drop_table(table)
    op.drop_index(op.f("ix_api_keys_replaces"), table_name="api_keys")
    for table, column, _ in reversed(_COLUMNS):
        op.drop_column(table, column)
