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
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    func,
    literal_column,
)

from iam_guard.store.schema.core import STATUSES, owned_by, required, sealed, table
from iam_guard.store.schema.facts import UNCACHED, Facts

login_profiles = table(
    "login_profiles",
    Facts(
        UNCACHED,
        owner="person",
        exported="created changed used reset_required",
        withheld="owner digest max_signin_session_duration is_long",
    ),
    # the unique id of the user; of a root user, the account
    Column("owner", String, primary_key=True),
    owned_by("accounts.id", "account"),
    owned_by("identities.id", "user_id", optional=True, index=True),
    *required(String, "digest"),
    *required(Boolean, "reset_required"),
    Column("max_signin_session_duration", Integer),
    *required(BigInteger, "created", "changed"),
    Column("used", BigInteger),
    # whether the password is long enough without a second factor; NULL: not known
    Column("is_long", Boolean),
    # for `Records.sample`
    Index("ix_login_profiles_owner", "account", "owner"),
)

former_passwords = table(
    "former_passwords",
    Facts(UNCACHED, owner="password", exported="number", withheld="owner digest"),
    owned_by("login_profiles.owner", "owner", primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    *required(String, "digest"),
)

password_policies = table(
    "password_policies",
    Facts(UNCACHED, impersonal="of an account"),
    owned_by("accounts.id", "account", primary_key=True),
    *required(JSON, "policy"),
)

mfa_devices = table(
    "mfa_devices",
    Facts(
        UNCACHED,
        owner="device",
        exported="serial path name created enabled tags",
        withheld="folded for_root last_step drift",
        recorded="serial",
    ),
    Column("serial", String, primary_key=True),
    owned_by("accounts.id", "account"),
    *required(String, "path", "name", "folded"),  # `folded` begins with the path, since names are unique per path
    # the owner: a user, the root user (`for_root`), or none yet
    Column("user_id", String, ForeignKey("identities.id", ondelete="SET NULL"), index=True),
    *required(Boolean, "for_root"),
    sealed("sealed", "mfa-device", "serial"),
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
    Facts(UNCACHED, impersonal="of an account"),
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
    Facts(UNCACHED, impersonal="of a provider"),
    Column("id", String, primary_key=True),
    owned_by("saml_providers.id", "provider_id", index=True),
    sealed("sealed", "saml-private-key", "id"),
    *required(BigInteger, "created"),
)

oidc_providers = table(
    "oidc_providers",
    Facts("trust:{account}", impersonal="of an account"),
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
    Facts(UNCACHED, impersonal="of an account"),
    # the `kid` of tokens
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account", index=True),
    Column("issuer", String, nullable=False, index=True),
    *required(String, "algorithm"),
    # the private and the public key: the published one must not be changed either
    sealed("sealed", "issuer-key", "issuer", "algorithm", "id"),
    *required(BigInteger, "created"),
)

server_certificates = table(
    "server_certificates",
    Facts(UNCACHED, impersonal="of an account"),
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account"),
    *required(String, "path", "name", "folded"),
    *required(Text, "body"),
    Column("chain", Text),
    sealed("sealed", "server-certificate", "id"),
    *required(BigInteger, "expires"),
    *required(JSON, "tags"),
    *required(BigInteger, "created"),
    UniqueConstraint("account", "folded"),
)

signing_certificates = table(
    "signing_certificates",
    Facts(UNCACHED, owner="person", exported="id body fingerprint status created", recorded="id"),
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
    Facts(UNCACHED, owner="user_id", exported="id body fingerprint status created", recorded="id"),
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
    Facts("certificates", impersonal="of an account"),
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
    Facts("certificates", impersonal="of an authority"),
    owned_by("trust_anchors.id", "anchor_id", primary_key=True),
    # SHA-256 of the authority's name and key: the latest list of each authority is kept
    Column("authority", String(64), primary_key=True),
    *required(Text, "text"),
    *required(BigInteger, "created"),
)

certificate_profiles = table(
    "certificate_profiles",
    Facts("certificates", naming="session policies that name the person are reported"),
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
    Facts(
        "credential:{id}",
        owner="user_id",
        exported="id service user_name alias status created expires used session_policy",
        withheld="digest",
        recorded="id",
    ),
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
