"""The tables of credentials, identity providers and certificates.

Credentials that a root user can have too have `account` and `user_id`, which is NULL for the root user. Secrets that
must be readable are sealed, others are hashed. Rules R-3, R-10, R-20 to R-35, G-77.
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
    Text,
    UniqueConstraint,
    func,
    literal_column,
)

from iam_guard.store.schema.core import STATUSES, owned_by, required, table

login_profiles = table(
    "login_profiles",
    # the unique id of the user; of a root user, the account
    Column("owner", String, primary_key=True),
    owned_by("accounts.id", "account", index=True),
    owned_by("identities.id", "user_id", optional=True, index=True),
    *required(String, "digest"),
    *required(Boolean, "reset_required"),
    Column("max_signin_session_duration", Integer),
    *required(BigInteger, "created", "changed"),
    Column("used", BigInteger),
    # whether the password is long enough without a second factor; NULL: not known
    Column("is_long", Boolean),
)

former_passwords = table(
    "former_passwords",
    owned_by("login_profiles.owner", "owner", primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    *required(String, "digest"),
)

password_policies = table(
    "password_policies",
    owned_by("accounts.id", "account", primary_key=True),
    *required(JSON, "policy"),
)

mfa_devices = table(
    "mfa_devices",
    Column("serial", String, primary_key=True),
    owned_by("accounts.id", "account"),
    *required(String, "path", "name", "folded"),  # `folded` begins with the path, since names are unique per path
    # the owner: a user, the root user (`for_root`), or none yet
    Column("user_id", String, ForeignKey("identities.id", ondelete="SET NULL"), index=True),
    *required(Boolean, "for_root"),
    *required(LargeBinary, "sealed"),
    Column("enabled", BigInteger),
    # the 30-second step of the last accepted code: each is valid once
    Column("last_step", BigInteger),
    # the number of steps by which the device's clock is ahead, measured when it was enabled or synchronized
    Column("drift", Integer),
    *required(JSON, "tags"),
    *required(BigInteger, "created"),
    UniqueConstraint("account", "folded"),
)

saml_providers = table(
    "saml_providers",
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account"),
    *required(String, "name", "folded"),
    *required(Text, "document"),
    # SHA-256 of the entity id in the document, in hexadecimal; NULL: it can't be read any more
    Column("entity_digest", String(64), index=True),
    Column("valid_until", BigInteger),
    Column("encryption_mode", String),
    Column("context_provider", JSON(none_as_null=True)),
    Column("identity_center", String),
    *required(JSON, "tags"),
    *required(BigInteger, "created"),
    UniqueConstraint("account", "folded"),
)

MAX_SIGN_ON_METADATA = 500_000
SHORT_METADATA = func.length(saml_providers.c.document) <= literal_column(str(MAX_SIGN_ON_METADATA))
"""Whether a document is short enough to be read for each response that a client sends to the sign-in pages."""

saml_private_keys = table(
    "saml_private_keys",
    Column("id", String, primary_key=True),
    owned_by("saml_providers.id", "provider_id", index=True),
    *required(LargeBinary, "sealed"),
    *required(BigInteger, "created"),
)

oidc_providers = table(
    "oidc_providers",
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account"),
    # without `https://`, as in the ARN
    *required(String, "url"),
    *required(JSON, "client_ids", "thumbprints"),
    Column("context_provider", JSON(none_as_null=True)),
    Column("identity_center", String),
    *required(JSON, "tags"),
    *required(BigInteger, "created"),
    UniqueConstraint("account", "url"),
)

issuer_keys = table(
    "issuer_keys",
    # the `kid` of tokens
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account", index=True),
    Column("issuer", String, nullable=False, index=True),
    *required(String, "algorithm"),
    # the private and the public key: the published one must not be changed either
    *required(LargeBinary, "sealed"),
    *required(BigInteger, "created"),
)

server_certificates = table(
    "server_certificates",
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account"),
    *required(String, "path", "name", "folded"),
    *required(Text, "body"),
    Column("chain", Text),
    *required(LargeBinary, "sealed"),
    *required(BigInteger, "expires"),
    *required(JSON, "tags"),
    *required(BigInteger, "created"),
    UniqueConstraint("account", "folded"),
)

signing_certificates = table(
    "signing_certificates",
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account", index=True),
    owned_by("identities.id", "user_id", optional=True, index=True),
    *required(Text, "body"),
    # SHA-256 of the certificate, in hexadecimal; unique
    *required(String, "fingerprint", "status"),
    *required(BigInteger, "created"),
    CheckConstraint(STATUSES, name="status"),
)

ssh_keys = table(
    "ssh_keys",
    Column("id", String, primary_key=True),
    owned_by("identities.id", "user_id", index=True),
    # in OpenSSH format
    *required(Text, "body"),
    *required(String, "fingerprint", "status"),
    *required(BigInteger, "created"),
    CheckConstraint(STATUSES, name="status"),
)

trust_anchors = table(
    "trust_anchors",
    # a UUID, as in the ARN
    Column("id", String(36), primary_key=True),
    owned_by("accounts.id", "account", index=True),
    *required(String, "name", "folded"),
    # of the certificate authorities, in PEM
    *required(Text, "certificates"),
    *required(Boolean, "enabled"),
    *required(BigInteger, "created"),
    UniqueConstraint("account", "folded"),
)

revocation_lists = table(
    "revocation_lists",
    owned_by("trust_anchors.id", "anchor_id", primary_key=True),
    # SHA-256 of the authority's name and key: the latest list of each authority is kept
    Column("authority", String(64), primary_key=True),
    *required(Text, "text"),
    *required(BigInteger, "created"),
)

certificate_profiles = table(
    "certificate_profiles",
    Column("id", String(36), primary_key=True),
    owned_by("accounts.id", "account", index=True),
    *required(String, "name", "folded"),
    *required(Boolean, "enabled"),
    *required(JSON, "roles"),
    *required(Integer, "seconds"),
    Column("session_policy", Text),
    # unique ids of managed policies, whose default versions also limit sessions
    *required(JSON, "policy_ids"),
    # the attributes that become session tags; NULL: all
    Column("mappings", JSON(none_as_null=True)),
    *required(BigInteger, "created"),
    UniqueConstraint("account", "folded"),
)

service_credentials = table(
    "service_credentials",
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account", index=True),
    owned_by("identities.id", "user_id", index=True),
    *required(String, "service"),
    # the user name for a password; NULL for a single secret, which has an alias
    Column("user_name", String),
    Column("alias", String),
    *required(String, "digest", "status"),
    *required(BigInteger, "created"),
    Column("expires", BigInteger),
    # the session policy of an API key for a service of the application, which authenticates; NULL: for another service
    Column("session_policy", Text),
    # time of the last use as an API key
    Column("used", BigInteger),
    UniqueConstraint("service", "user_name"),
    UniqueConstraint("service", "alias"),
    CheckConstraint(STATUSES, name="status"),
)
