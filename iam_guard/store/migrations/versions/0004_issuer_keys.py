"""The keys that sign identity tokens for services elsewhere.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "issuer_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("algorithm", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name=op.f("fk_issuer_keys_account"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_issuer_keys")),
    )
    op.create_index(op.f("ix_issuer_keys_account"), "issuer_keys", ["account"], unique=False)
    op.create_index(op.f("ix_issuer_keys_issuer"), "issuer_keys", ["issuer"], unique=False)


def downgrade() -> None:
    op.drop_table("issuer_keys")
