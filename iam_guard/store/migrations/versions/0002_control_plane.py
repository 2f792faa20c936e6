"""What the control plane keeps: sign-in, federation, certificates, instance profiles, uses and reports.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TABLES = (
    "login_profiles",
    "former_passwords",
    "password_policies",
    "mfa_devices",
    "saml_providers",
    "saml_private_keys",
    "oidc_providers",
    "server_certificates",
    "signing_certificates",
    "ssh_keys",
    "service_credentials",
    "instance_profiles",
    "access_key_uses",
    "service_uses",
    "credential_reports",
    "jobs",
)
_COLUMNS = (
    ("accounts", "sts_token_version"),
    ("accounts", "outbound_issuer"),
    ("accounts", "properties"),
    ("identities", "max_signin_session_duration"),
    ("organizations", "root_features"),
    ("policies", "updated"),
    ("policies", "latest_version"),
)


def upgrade() -> None:
    _login()
    _mfa_devices()
    _providers()
    _certificates()
    _user_credentials()
    _records()
    _reports()
    _columns()


def downgrade() -> None:
    for table, column in reversed(_COLUMNS):
        op.drop_column(table, column)
    for table in reversed(_TABLES):
        op.drop_table(table)


def _login() -> None:
    op.create_table(
        "login_profiles",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=True),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("reset_required", sa.Boolean(), nullable=False),
        sa.Column("max_signin_session_duration", sa.Integer(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.id"], name=op.f("fk_login_profiles_account"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["identities.id"], name=op.f("fk_login_profiles_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_login_profiles")),
    )
    op.create_index(op.f("ix_login_profiles_account"), "login_profiles", ["account"], unique=False)
    op.create_index(op.f("ix_login_profiles_user_id"), "login_profiles", ["user_id"], unique=False)
    op.create_table(
        "former_passwords",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner"], ["login_profiles.owner"], name=op.f("fk_former_passwords_owner"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner", "number", name=op.f("pk_former_passwords")),
    )
    op.create_table(
        "password_policies",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("policy", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.id"], name=op.f("fk_password_policies_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_password_policies")),
    )


def _mfa_devices() -> None:
    op.create_table(
        "mfa_devices",
        sa.Column("serial", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=True),
        sa.Column("for_root", sa.Boolean(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("enabled", sa.BigInteger(), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=True),
        sa.Column("drift", sa.Integer(), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name=op.f("fk_mfa_devices_account"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["identities.id"], name=op.f("fk_mfa_devices_user_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_mfa_devices")),
        sa.UniqueConstraint("account", "folded", name=op.f("uq_mfa_devices_account_folded")),
    )
    op.create_index(op.f("ix_mfa_devices_user_id"), "mfa_devices", ["user_id"], unique=False)


def _providers() -> None:
    op.create_table(
        "saml_providers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=True),
        sa.Column("encryption_mode", sa.String(), nullable=True),
        sa.Column("context_provider", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("identity_center", sa.String(), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.id"], name=op.f("fk_saml_providers_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saml_providers")),
        sa.UniqueConstraint("account", "folded", name=op.f("uq_saml_providers_account_folded")),
    )
    op.create_table(
        "saml_private_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["saml_providers.id"], name=op.f("fk_saml_private_keys_provider_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saml_private_keys")),
    )
    op.create_index(op.f("ix_saml_private_keys_provider_id"), "saml_private_keys", ["provider_id"], unique=False)
    op.create_table(
        "oidc_providers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("client_ids", sa.JSON(), nullable=False),
        sa.Column("thumbprints", sa.JSON(), nullable=False),
        sa.Column("context_provider", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("identity_center", sa.String(), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.id"], name=op.f("fk_oidc_providers_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oidc_providers")),
        sa.UniqueConstraint("account", "url", name=op.f("uq_oidc_providers_account_url")),
    )


def _certificates() -> None:
    op.create_table(
        "server_certificates",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.id"], name=op.f("fk_server_certificates_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_server_certificates")),
        sa.UniqueConstraint("account", "folded", name=op.f("uq_server_certificates_account_folded")),
    )
    op.create_table(
        "signing_certificates",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("status IN ('Active', 'Inactive', 'Expired')", name=op.f("ck_signing_certificates_status")),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.id"], name=op.f("fk_signing_certificates_account"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["identities.id"], name=op.f("fk_signing_certificates_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_certificates")),
    )
    op.create_index(op.f("ix_signing_certificates_account"), "signing_certificates", ["account"], unique=False)
    op.create_index(op.f("ix_signing_certificates_user_id"), "signing_certificates", ["user_id"], unique=False)


def _user_credentials() -> None:
    op.create_table(
        "ssh_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("status IN ('Active', 'Inactive', 'Expired')", name=op.f("ck_ssh_keys_status")),
        sa.ForeignKeyConstraint(["user_id"], ["identities.id"], name=op.f("fk_ssh_keys_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ssh_keys")),
    )
    op.create_index(op.f("ix_ssh_keys_user_id"), "ssh_keys", ["user_id"], unique=False)
    op.create_table(
        "service_credentials",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("user_name", sa.String(), nullable=True),
        sa.Column("alias", sa.String(), nullable=True),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("status IN ('Active', 'Inactive', 'Expired')", name=op.f("ck_service_credentials_status")),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.id"], name=op.f("fk_service_credentials_account"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["identities.id"], name=op.f("fk_service_credentials_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_credentials")),
        sa.UniqueConstraint("service", "user_name", name=op.f("uq_service_credentials_service_user_name")),
        sa.UniqueConstraint("service", "alias", name=op.f("uq_service_credentials_service_alias")),
    )
    op.create_index(op.f("ix_service_credentials_account"), "service_credentials", ["account"], unique=False)
    op.create_index(op.f("ix_service_credentials_user_id"), "service_credentials", ["user_id"], unique=False)


def _records() -> None:
    op.create_table(
        "instance_profiles",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.Column("role_id", sa.String(), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.id"], name=op.f("fk_instance_profiles_account"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["role_id"], ["identities.id"], name=op.f("fk_instance_profiles_role_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance_profiles")),
        sa.UniqueConstraint("account", "folded", name=op.f("uq_instance_profiles_account_folded")),
    )
    op.create_index(op.f("ix_instance_profiles_role_id"), "instance_profiles", ["role_id"], unique=False)
    op.create_table(
        "access_key_uses",
        sa.Column("access_key_id", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["access_key_id"], ["access_keys.id"], name=op.f("fk_access_key_uses_access_key_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("access_key_id", name=op.f("pk_access_key_uses")),
    )
    op.create_table(
        "service_uses",
        sa.Column("identity_id", sa.String(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name=op.f("fk_service_uses_identity_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("identity_id", "service", "action", name=op.f("pk_service_uses")),
    )


def _reports() -> None:
    op.create_table(
        "credential_reports",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.id"], name=op.f("fk_credential_reports_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_credential_reports")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name=op.f("fk_jobs_account"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(op.f("ix_jobs_account"), "jobs", ["account"], unique=False)


def _columns() -> None:
    op.add_column("accounts", sa.Column("sts_token_version", sa.String(), nullable=True))
    op.add_column("accounts", sa.Column("outbound_issuer", sa.String(), nullable=True))
    op.add_column("accounts", sa.Column("properties", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("identities", sa.Column("max_signin_session_duration", sa.Integer(), nullable=True))
    op.add_column("organizations", sa.Column("root_features", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("policies", sa.Column("updated", sa.BigInteger(), nullable=True))
    op.add_column("policies", sa.Column("latest_version", sa.Integer(), nullable=True))
