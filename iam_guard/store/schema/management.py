"""The tables of instance profiles, last uses, reports and jobs, which no decision reads."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, LargeBinary, String, Text, UniqueConstraint

from iam_guard.store.schema.core import owned_by, required, table

instance_profiles = table(
    "instance_profiles",
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account"),
    *required(String, "path", "name", "folded"),
    Column("role_id", String, ForeignKey("identities.id", ondelete="SET NULL"), index=True),
    *required(JSON, "tags"),
    *required(BigInteger, "created"),
    UniqueConstraint("account", "folded"),
)

access_key_uses = table(
    "access_key_uses",
    owned_by("access_keys.id", "access_key_id", primary_key=True),
    *required(BigInteger, "at"),
    *required(String, "region", "service"),
)

service_uses = table(
    "service_uses",
    owned_by("identities.id", "identity_id", primary_key=True),
    Column("service", String, primary_key=True),
    Column("action", String, primary_key=True),
    *required(BigInteger, "at"),
    *required(String, "region"),
)

credential_reports = table(
    "credential_reports",
    owned_by("accounts.id", "account", primary_key=True),
    *required(Text, "content"),
    *required(BigInteger, "created"),
)

jobs = table(
    "jobs",
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account", index=True),
    *required(String, "kind"),
    *required(JSON, "parameters", "result"),
    *required(BigInteger, "created"),
)

# what makes the pseudonyms of a person in the audit trail; deleting the salts of a person ends their derivation
pseudonym_salts = table(
    "pseudonym_salts",
    # of an account; `erased`: a mark that a value was erased a short time ago
    Column("account", String(12), primary_key=True),
    # the HMAC of what identifies the person, in hex
    Column("subject", String(64), primary_key=True),
    *required(LargeBinary, "salt"),
    *required(BigInteger, "created"),
)
