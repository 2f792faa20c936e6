"""Sign-on providers that keep the redirect address which all of them had, and what the logout of a provider ends.

Revision ID: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_TABLES = ("tool_sessions", "pending_sign_ins")
_NAMES = [(table, column) for table in _TABLES for column in ("subject_digest", "session_digest")]


def upgrade() -> None:
    """Mark existing sign-on providers of OIDC, whose identity providers know the common address only.

    Existing sessions of tools are not found by the names of a provider; they end within hours.
    """
    op.add_column("sign_on_providers", sa.Column("has_common_redirect", sa.Boolean()))
    providers = sa.table("sign_on_providers", sa.column("oidc_provider_id"), sa.column("has_common_redirect"))
    of_oidc = providers.c.oidc_provider_id.is_not(None)
    op.execute(sa.update(providers).where(of_oidc).values(has_common_redirect=sa.true()))
    op.create_index("ix_sign_on_providers_client_id", "sign_on_providers", ["client_id"])
    for table, column in _NAMES:
        op.add_column(table, sa.Column(column, sa.String(64)))
        op.create_index(f"ix_{table}_{column}", table, [column])
