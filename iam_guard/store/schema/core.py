"""The tables that decisions read.

Users, groups and roles share one table, `identities`: they have the same path, policies, boundary and tags, and a
policy is attached to each in the same way. A managed policy is split into `policies` and `policy_versions`; AWS managed
policies have the account `aws`. Rules P-1 to P-6, G-75, R-10 to R-13, E-12.

Only types that SQLite and PostgreSQL share are used. Times are whole seconds since 1970. `folded` is the name in lower
case: names are unique case-insensitively, but compared case-sensitively (P-16). `bindings` has, for each user or role
that a resource-based policy names as principal, the unique id that it had when the policy was saved (P-5).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    cast,
    func,
    literal_column,
    or_,
)
from sqlalchemy.schema import SchemaItem

from iam_guard.store.schema.facts import UNCACHED, Facts

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_SEALED = "sealed"
STATUSES = "status IN ('Active', 'Inactive', 'Expired')"


def table(name: str, facts: Facts, *items: SchemaItem) -> Table:
    """Return a table of the store with these facts, columns and constraints."""
    return Table(name, metadata, *items, info={"facts": facts})


def owned_by(target: str, name: str, *, optional: bool = False, **options: Any) -> Column[str]:
    """Return a foreign key to the owner of the row; deleting the owner deletes the row."""
    return Column(name, String, ForeignKey(target, ondelete="CASCADE"), nullable=optional, **options)


def required(type: Any, *names: str) -> list[Column[Any]]:
    """Return columns of one type that are never NULL."""
    return [Column(name, type, nullable=False) for name in names]


def sealed(name: str, purpose: str, *named_by: str, optional: bool = False) -> Column[bytes]:
    """Return a column of sealed values; the purpose and the columns that name the row are their sealing context."""
    return Column(name, LargeBinary, nullable=optional, info={_SEALED: (purpose, named_by)})


def sealing_context(column: Column[bytes], *values: str) -> bytes:
    """Return the sealing context of a column's value, in the row with these values of the columns that name it."""
    purpose, _ = column.info[_SEALED]
    return ":".join((purpose, *values)).encode()


def sealed_columns() -> dict[Column[bytes], tuple[str, ...]]:
    """Return all columns of sealed values, each with the columns that name its row in the sealing context."""
    columns = (column for table in metadata.sorted_tables for column in table.columns)
    return {column: column.info[_SEALED][1] for column in columns if _SEALED in column.info}


meta = table(
    "meta",
    Facts(UNCACHED, impersonal="the state of the store"),
    Column("id", Integer, primary_key=True, autoincrement=False),
    *required(BigInteger, "epoch", "created"),
    # which only the sealing keys of this store open; NULL: not yet written
    sealed("canary", "store-canary:1", optional=True),
    CheckConstraint("id = 1", name="single_row"),
)

# the change feed
changes = table(
    "changes",
    Facts(UNCACHED, impersonal="what changed, by unique id, for a limited number of changes"),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    # random, to distinguish histories
    Column("mark", String(16), nullable=False),
    # what the change invalidates
    Column("names", JSON, nullable=False),
    # milliseconds since 1970
    Column("time", BigInteger, nullable=False),
)

accounts = table(
    "accounts",
    Facts(
        "account:{id} callers:{id}",
        delete="*",
        unread="name folded email alias created sts_token_version outbound_issuer properties requires_mfa state_since",
        naming="the root user's e-mail address is exported; it is erased with the account",
        exported="id name email alias created",
    ),
    Column("id", String(12), primary_key=True),
    *required(String, "name"),
    # the name in lower case; unique among the accounts that the write lock lets in one after the other
    Column("folded", String, nullable=False, server_default=literal_column("''"), index=True),
    Column("email", String, index=True),
    Column("alias", String, unique=True),
    *required(BigInteger, "created"),
    # settings of the account; NULL: not set
    Column("sts_token_version", String),
    Column("outbound_issuer", String),
    Column("properties", JSON(none_as_null=True)),
    # whether people who sign in must have a second factor; NULL: no
    Column("requires_mfa", Boolean),
    # an `AccountState`, and since when; NULL: since it was created
    Column("state", String, nullable=False, server_default="active"),
    Column("state_since", BigInteger),
)

# the ids of deleted accounts, which are never given again
deleted_accounts = table(
    "deleted_accounts",
    Facts("account:{id} callers:{id}", impersonal="ids of accounts"),
    Column("id", String(12), primary_key=True),
    *required(BigInteger, "deleted"),
)

policies = table(
    "policies",
    Facts(
        "holders:{id}",
        insert="policy:{id}",
        unread="folded description tags created updated latest_version",
        impersonal="shared",
    ),
    Column("id", String, primary_key=True),
    *required(String, "account", "path", "name", "folded"),
    *required(Text, "description"),
    *required(Integer, "default_version"),
    *required(JSON, "tags"),
    *required(BigInteger, "created"),
    # NULL: never updated
    Column("updated", BigInteger),
    # the highest version number ever used, NULL if no version was ever deleted: numbers are never reused
    Column("latest_version", Integer),
    UniqueConstraint("account", "folded"),
)

policy_versions = table(
    "policy_versions",
    Facts("holders:{policy_id}", insert="", naming="policies that name the person are reported"),
    owned_by("policies.id", "policy_id", primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    *required(Text, "text"),
    *required(String(64), "digest"),
    *required(BigInteger, "created"),
)

identities = table(
    "identities",
    Facts(
        "users:{id} trust-of:{kind}:{account}",
        insert="newcomers:{account} trust-of:{kind}:{account}",
        delete="users:{id} trust-of:{kind}:{account} newcomers:{account} bound:{id} bound trust",
        unread="description created max_signin_session_duration",
        key="account kind path name folded",
        owner="id",
        exported="id path name description boundary_id tags created max_signin_session_duration",
        withheld="account kind folded trust_text trust_digest trust_bindings max_session_duration",
    ),
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account"),
    *required(String, "kind", "path", "name", "folded"),
    *required(Text, "description"),
    # no ON DELETE: deleting a policy must not remove a boundary
    Column("boundary_id", String, ForeignKey("policies.id"), index=True),
    *required(JSON, "tags"),
    Column("trust_text", Text),
    Column("trust_digest", String(64)),
    *required(JSON, "trust_bindings"),
    Column("max_session_duration", Integer),
    *required(BigInteger, "created"),
    Column("max_signin_session_duration", Integer),
    UniqueConstraint("account", "kind", "folded"),
    CheckConstraint("kind IN ('user', 'group', 'role')", name="kind"),
)

memberships = table(
    "memberships",
    Facts("identity:{user_id}", owner="user_id", exported="group_id"),
    owned_by("identities.id", "user_id", primary_key=True),
    owned_by("identities.id", "group_id", primary_key=True, index=True),
)

inline_policies = table(
    "inline_policies",
    Facts("users:{identity_id}", owner="identity_id", exported="name", withheld="folded text digest"),
    owned_by("identities.id", "identity_id", primary_key=True),
    Column("folded", String, primary_key=True),
    *required(String, "name"),
    *required(Text, "text"),
    *required(String(64), "digest"),
)

attachments = table(
    "attachments",
    Facts("users:{identity_id}", owner="identity_id", exported="policy_id"),
    owned_by("identities.id", "identity_id", primary_key=True),
    Column("policy_id", String, ForeignKey("policies.id"), primary_key=True, index=True),
)

access_keys = table(
    "access_keys",
    Facts(
        "credential:{id} sessions:{id}",
        insert="credential:{id}",
        delete="credential:{id}",
        owner="person",
        exported="id status created",
        recorded="id",
    ),
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account", index=True),
    # NULL: a key of the root user
    owned_by("identities.id", "user_id", optional=True, index=True),
    sealed("sealed", "access-key", "id"),
    *required(String, "status"),
    *required(BigInteger, "created"),
    CheckConstraint(STATUSES, name="status"),
)

api_keys = table(
    "api_keys",
    Facts(
        "credential:{id}",
        unread="created replaces used",
        owner="identity_id",
        exported="id status created expires used replaces session_policy",
        withheld="digest",
        recorded="id",
    ),
    Column("id", String, primary_key=True),
    owned_by("identities.id", "identity_id", index=True),
    *required(LargeBinary, "digest"),
    *required(String, "status"),
    Column("expires", BigInteger),
    Column("session_policy", Text),
    *required(BigInteger, "created"),
    # the id of the key that this one was rotated from, which may have been deleted
    Column("replaces", String, index=True),
    # time of the last use; no decision reads it
    Column("used", BigInteger),
    CheckConstraint(STATUSES, name="status"),
)

resources = table(
    "resources",
    Facts(
        "resource:{arn}",
        naming="resources whose policy names the person are exported; the policy then has the unique id",
    ),
    Column("arn", String, primary_key=True),
    owned_by("accounts.id", "account", index=True),
    *required(JSON, "tags"),
    Column("text", Text),
    Column("digest", String(64)),
    *required(JSON, "bindings"),
    # the digest of the policy that the rows of `resource_statements` are of
    Column("listed_digest", String(64)),
)

UNLISTABLE = or_(
    cast(resources.c.tags, String) != literal_column("'{}'"),
    and_(
        resources.c.digest.is_not(None),
        func.coalesce(resources.c.listed_digest, literal_column("''")) != resources.c.digest,
    ),
)
"""Whether lists need more of a resource than its `resource_statements`: it has tags, or its policy has no rows."""
Index("ix_resources_unlistable", resources.c.arn, sqlite_where=UNLISTABLE, postgresql_where=UNLISTABLE)

# whom the policies of resources name; `principal` is as in `NamedStatement`
resource_statements = table(
    "resource_statements",
    Facts(UNCACHED, impersonal="an index of `resources`, by unique id"),
    owned_by("resources.arn", "arn", primary_key=True),
    Column("digest", String(64), primary_key=True),
    *required(String(12), "account"),
    *required(String, "service", "principal"),
    Index("ix_resource_statements_principal", "service", "principal", "digest"),
)

organizations = table(
    "organizations",
    Facts("*", insert="", unread="root_features", impersonal="shared"),
    Column("id", String, primary_key=True),
    Column("management_account", String(12), nullable=False, unique=True),
    *required(Boolean, "scps_enabled", "rcps_enabled"),
    # the names of the enabled organization-wide IAM features; NULL: none
    Column("root_features", JSON(none_as_null=True)),
)

units = table(
    "units",
    Facts("below:{id}", insert="", unread="name folded", impersonal="shared"),
    Column("id", String, primary_key=True),
    owned_by("organizations.id", "organization_id", index=True),
    # NULL: the root
    owned_by("units.id", "parent_id", optional=True),
    *required(String, "name", "folded"),
    UniqueConstraint("parent_id", "folded"),
)

placements = table(
    "placements",
    Facts("account:{account}", impersonal="shared"),
    owned_by("accounts.id", "account", primary_key=True),
    owned_by("units.id", "unit_id", index=True),
)

control_policies = table(
    "control_policies",
    Facts("attached:{id}", insert="", unread="folded description", naming="policies that name the person are reported"),
    Column("id", String, primary_key=True),
    # NULL: managed by AWS
    owned_by("organizations.id", "organization_id", optional=True),
    *required(String(3), "type"),
    *required(String, "name", "folded"),
    *required(Text, "description", "text"),
    *required(String(64), "digest"),
    UniqueConstraint("organization_id", "type", "folded"),
    CheckConstraint("type IN ('SCP', 'RCP')", name="type"),
)

control_attachments = table(
    "control_attachments",
    Facts("below:{target}", impersonal="shared"),
    owned_by("control_policies.id", "policy_id", primary_key=True),
    # the id of a unit (including the root) or account: exactly one of the two columns below repeats it
    Column("target", String, primary_key=True),
    owned_by("units.id", "unit_id", optional=True),
    owned_by("accounts.id", "account", optional=True),
    CheckConstraint("(unit_id IS NULL) <> (account IS NULL)", name="one_target"),
    Index("ix_control_attachments_target", "target"),
)
