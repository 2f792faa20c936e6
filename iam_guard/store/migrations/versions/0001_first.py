"""The first schema: everything.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TABLES = (
    "accounts",
    "meta",
    "policies",
    "policy_versions",
    "identities",
    "memberships",
    "inline_policies",
    "attachments",
    "access_keys",
    "api_keys",
    "resources",
    "organizations",
    "units",
    "placements",
    "control_policies",
    "control_attachments",
)


def upgrade() -> None:
    _accounts()
    _policies()
    _identities()
    _keys()
    _resources()
    _organizations()
    _control_policies()


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_table(table)


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("alias", sa.String(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("alias", name=op.f("uq_accounts_alias")),
    )
    op.create_table(
        "meta",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_meta_single_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meta")),
    )


def _policies() -> None:
    op.create_table(
        "policies",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("default_version", sa.Integer(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policies")),
        sa.UniqueConstraint("account", "folded", name=op.f("uq_policies_account_folded")),
    )
    op.create_table(
        "policy_versions",
        sa.Column("policy_id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["policies.id"], name=op.f("fk_policy_versions_policy_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("policy_id", "version", name=op.f("pk_policy_versions")),
    )


def _identities() -> None:
    op.create_table(
        "identities",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("boundary_id", sa.String(), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("trust_text", sa.Text(), nullable=True),
        sa.Column("trust_digest", sa.String(length=64), nullable=True),
        sa.Column("trust_bindings", sa.JSON(), nullable=False),
        sa.Column("max_session_duration", sa.Integer(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('user', 'group', 'role')", name=op.f("ck_identities_kind")),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name=op.f("fk_identities_account"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["boundary_id"], ["policies.id"], name=op.f("fk_identities_boundary_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
        sa.UniqueConstraint("account", "kind", "folded", name=op.f("uq_identities_account_kind_folded")),
    )
    op.create_index(op.f("ix_identities_boundary_id"), "identities", ["boundary_id"], unique=False)
    op.create_table(
        "memberships",
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("group_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["identities.id"], name=op.f("fk_memberships_group_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["identities.id"], name=op.f("fk_memberships_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "group_id", name=op.f("pk_memberships")),
    )
    op.create_index(op.f("ix_memberships_group_id"), "memberships", ["group_id"], unique=False)
    op.create_table(
        "inline_policies",
        sa.Column("identity_id", sa.String(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name=op.f("fk_inline_policies_identity_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("identity_id", "folded", name=op.f("pk_inline_policies")),
    )
    op.create_table(
        "attachments",
        sa.Column("identity_id", sa.String(), nullable=False),
        sa.Column("policy_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name=op.f("fk_attachments_identity_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["policy_id"], ["policies.id"], name=op.f("fk_attachments_policy_id")),
        sa.PrimaryKeyConstraint("identity_id", "policy_id", name=op.f("pk_attachments")),
    )
    op.create_index(op.f("ix_attachments_policy_id"), "attachments", ["policy_id"], unique=False)


def _keys() -> None:
    op.create_table(
        "access_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("status IN ('Active', 'Inactive', 'Expired')", name=op.f("ck_access_keys_status")),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name=op.f("fk_access_keys_account"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["identities.id"], name=op.f("fk_access_keys_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_keys")),
    )
    op.create_index(op.f("ix_access_keys_account"), "access_keys", ["account"], unique=False)
    op.create_index(op.f("ix_access_keys_user_id"), "access_keys", ["user_id"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("identity_id", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("session_policy", sa.Text(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("status IN ('Active', 'Inactive', 'Expired')", name=op.f("ck_api_keys_status")),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name=op.f("fk_api_keys_identity_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_index(op.f("ix_api_keys_identity_id"), "api_keys", ["identity_id"], unique=False)


def _resources() -> None:
    op.create_table(
        "resources",
        sa.Column("arn", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("bindings", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name=op.f("fk_resources_account"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("arn", name=op.f("pk_resources")),
    )
    op.create_index(op.f("ix_resources_account"), "resources", ["account"], unique=False)


def _organizations() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("management_account", sa.String(length=12), nullable=False),
        sa.Column("scps_enabled", sa.Boolean(), nullable=False),
        sa.Column("rcps_enabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organizations")),
        sa.UniqueConstraint("management_account", name=op.f("uq_organizations_management_account")),
    )
    op.create_table(
        "units",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("organization_id", sa.String(), nullable=False),
        sa.Column("parent_id", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_units_organization_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["parent_id"], ["units.id"], name=op.f("fk_units_parent_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_units")),
        sa.UniqueConstraint("parent_id", "folded", name=op.f("uq_units_parent_id_folded")),
    )
    op.create_index(op.f("ix_units_organization_id"), "units", ["organization_id"], unique=False)
    op.create_table(
        "placements",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("unit_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name=op.f("fk_placements_account"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["unit_id"], ["units.id"], name=op.f("fk_placements_unit_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_placements")),
    )
    op.create_index(op.f("ix_placements_unit_id"), "placements", ["unit_id"], unique=False)


def _control_policies() -> None:
    op.create_table(
        "control_policies",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("organization_id", sa.String(), nullable=True),
        sa.Column("type", sa.String(length=3), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.CheckConstraint("type IN ('SCP', 'RCP')", name=op.f("ck_control_policies_type")),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_control_policies_organization_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_control_policies")),
        sa.UniqueConstraint(
            "organization_id", "type", "folded", name=op.f("uq_control_policies_organization_id_type_folded")
        ),
    )
    op.create_table(
        "control_attachments",
        sa.Column("policy_id", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("unit_id", sa.String(), nullable=True),
        sa.Column("account", sa.String(), nullable=True),
        sa.CheckConstraint("(unit_id IS NULL) <> (account IS NULL)", name=op.f("ck_control_attachments_one_target")),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.id"], name=op.f("fk_control_attachments_account"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["control_policies.id"], name=op.f("fk_control_attachments_policy_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["unit_id"], ["units.id"], name=op.f("fk_control_attachments_unit_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("policy_id", "target", name=op.f("pk_control_attachments")),
    )
    op.create_index("ix_control_attachments_target", "control_attachments", ["target"], unique=False)
