"""The tables of instance profiles, last uses, reports and jobs, which no decision reads."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, String, Text, UniqueConstraint

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
