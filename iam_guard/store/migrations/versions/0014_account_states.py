"""States of accounts, ids of deleted accounts, and salts of the pseudonyms of people.

Revision ID: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the columns; existing accounts are active, and their addresses in lower case, by which they are found."""
    op.add_column("accounts", sa.Column("folded", sa.String(), nullable=False, server_default=sa.text("''")))
    op.add_column("accounts", sa.Column("state", sa.String(), nullable=False, server_default="active"))
    op.add_column("accounts", sa.Column("state_since", sa.BigInteger()))
    accounts = sa.table("accounts", sa.column("id"), sa.column("name"), sa.column("folded"), sa.column("email"))
    connection = op.get_bind()
    for id, name, email in connection.execute(sa.select(accounts.c.id, accounts.c.name, accounts.c.email)).all():
        in_lower_case = {"folded": name.lower(), "email": None if email is None else email.strip().lower()}
        connection.execute(sa.update(accounts).where(accounts.c.id == id).values(in_lower_case))
    op.create_index("ix_accounts_folded", "accounts", ["folded"])
    op.create_index("ix_accounts_email", "accounts", ["email"])
    op.create_table(
        "deleted_accounts",
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deleted_accounts"),
    )
    op.create_table(
        "pseudonym_salts",
        sa.Column("account", sa.String(12), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "subject", name="pk_pseudonym_salts"),
    )


def downgrade() -> None:
    """Drop them. The ids of deleted accounts are forgotten, and accounts that are not active become active."""
    op.drop_table("pseudonym_salts")
    op.drop_table("deleted_accounts")
    op.drop_index("ix_accounts_email", "accounts")
    op.drop_index("ix_accounts_folded", "accounts")
    with op.batch_alter_table("accounts") as accounts:
        for column in ("state_since", "state", "folded"):
            accounts.drop_column(column)
