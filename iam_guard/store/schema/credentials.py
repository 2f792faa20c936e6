"""The tables of what people and machines sign in with, and of who vouches for them, as data.

What a root user can have too has `account` and, for users, `user_id`; NULL there is the root user. Secrets that must be
read again are sealed, others are hashed. Rules R-3, R-10, R-20 to R-35, G-77.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from iam_guard.store.schema.core import STATUSES, json_column, metadata, owned_by

login_profiles = Table(
    "login_profiles",
    metadata,
    # the unique id of the user; of a root user, the account
    Column("owner", String, primary_key=True),
    owned_by("accounts.id", "account", index=True),
    owned_by("identities.id", "user_id", optional=True, index=True),
    Column("digest", String, nullable=False),
    Column("reset_required", Boolean, nullable=False),
    Column("max_signin_session_duration", Integer),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("used", BigInteger),
)

former_passwords = Table(
    "former_passwords",
    metadata,
    owned_by("login_profiles.owner", "owner", primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("digest", String, nullable=False),
)

password_policies = Table(
    "password_policies",
    metadata,
    owned_by("accounts.id", "account", primary_key=True),
    json_column("policy"),
)

mfa_devices = Table(
    "mfa_devices",
    metadata,
    Column("serial", String, primary_key=True),
    owned_by("accounts.id", "account"),
    Column("path", String, nullable=False),
    Column("name", String, nullable=False),
    Column("folded", String, nullable=False),
    # whose it is: a user's, the root user's, or nobody's yet
    Column("user_id", String, ForeignKey("identities.id", ondelete="SET NULL"), index=True),
    Column("for_root", Boolean, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("enabled", BigInteger),
    # the 30-second step of the latest code that was taken: each is good once
    Column("last_step", BigInteger),
    # how many steps its clock is ahead of ours, as found when it was enabled or synchronised
    Column("drift", Integer),
    json_column("tags"),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("account", "folded"),
)

saml_providers = Table(
    "saml_providers",
    metadata,
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account"),
    Column("name", String, nullable=False),
    Column("folded", String, nullable=False),
    Column("document", Text, nullable=False),
    Column("valid_until", BigInteger),
    Column("encryption_mode", String),
    Column("context_provider", JSON(none_as_null=True)),
    Column("identity_center", String),
    json_column("tags"),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("account", "folded"),
)

saml_private_keys = Table(
    "saml_private_keys",
    metadata,
    Column("id", String, primary_key=True),
    owned_by("saml_providers.id", "provider_id", index=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
)

oidc_providers = Table(
    "oidc_providers",
    metadata,
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account"),
    # without `https://`, as in the ARN
    Column("url", String, nullable=False),
    json_column("client_ids"),
    json_column("thumbprints"),
    Column("context_provider", JSON(none_as_null=True)),
    Column("identity_center", String),
    json_column("tags"),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("account", "url"),
)

issuer_keys = Table(
    "issuer_keys",
    metadata,
    # what the tokens call the key
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account", index=True),
    Column("issuer", String, nullable=False, index=True),
    Column("algorithm", String, nullable=False),
    # both halves: what is published is as little to be changed as what signs
    Column("sealed", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
)

server_certificates = Table(
    "server_certificates",
    metadata,
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account"),
    Column("path", String, nullable=False),
    Column("name", String, nullable=False),
    Column("folded", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("chain", Text),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires", BigInteger, nullable=False),
    json_column("tags"),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("account", "folded"),
)

signing_certificates = Table(
    "signing_certificates",
    metadata,
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account", index=True),
    owned_by("identities.id", "user_id", optional=True, index=True),
    Column("body", Text, nullable=False),
    # SHA-256 of the certificate, in hexadecimal: nobody has the same one twice
    Column("fingerprint", String, nullable=False),
    Column("status", String, nullable=False),
    Column("created", BigInteger, nullable=False),
    CheckConstraint(STATUSES, name="status"),
)

ssh_keys = Table(
    "ssh_keys",
    metadata,
    Column("id", String, primary_key=True),
    owned_by("identities.id", "user_id", index=True),
    # in the form of OpenSSH
    Column("body", Text, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("status", String, nullable=False),
    Column("created", BigInteger, nullable=False),
    CheckConstraint(STATUSES, name="status"),
)

trust_anchors = Table(
    "trust_anchors",
    metadata,
    # a UUID, as in the ARN
    Column("id", String(36), primary_key=True),
    owned_by("accounts.id", "account", index=True),
    Column("name", String, nullable=False),
    Column("folded", String, nullable=False),
    # of the authorities, in PEM
    Column("certificates", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("account", "folded"),
)

revocation_lists = Table(
    "revocation_lists",
    metadata,
    owned_by("trust_anchors.id", "anchor_id", primary_key=True),
    # SHA-256 of what identifies the authority: of each authority the latest list is kept
    Column("authority", String(64), primary_key=True),
    Column("text", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
)

certificate_profiles = Table(
    "certificate_profiles",
    metadata,
    Column("id", String(36), primary_key=True),
    owned_by("accounts.id", "account", index=True),
    Column("name", String, nullable=False),
    Column("folded", String, nullable=False),
    Column("enabled", Boolean, nullable=False),
    json_column("roles"),
    Column("seconds", Integer, nullable=False),
    Column("session_policy", Text),
    # unique ids of managed policies, whose default versions limit sessions too
    json_column("policy_ids"),
    # which attributes become session tags; NULL: all
    Column("mappings", JSON(none_as_null=True)),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("account", "folded"),
)

service_credentials = Table(
    "service_credentials",
    metadata,
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account", index=True),
    owned_by("identities.id", "user_id", index=True),
    Column("service", String, nullable=False),
    # the name that goes with a password; NULL for what is one secret alone, which has an alias
    Column("user_name", String),
    Column("alias", String),
    Column("digest", String, nullable=False),
    Column("status", String, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    # what an API key for a service of the application may be used for; such a one signs in. NULL: another service's
    Column("session_policy", Text),
    # when it was last used, as far as it signs in
    Column("used", BigInteger),
    UniqueConstraint("service", "user_name"),
    UniqueConstraint("service", "alias"),
    CheckConstraint(STATUSES, name="status"),
)
