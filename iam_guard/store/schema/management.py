"""The tables of instance profiles, last uses, reports and jobs, which no decision reads."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, String, Table, Text, UniqueConstraint

from iam_guard.store.schema.core import metadata, owned_by, required

instance_profiles = Table(
    "instance_profiles",
    metadata,
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account"),
    *required(String, "path", "name", "folded"),
    Column("role_id", String, ForeignKey("identities.id", ondelete="SET NULL"), index=True),
    *required(JSON, "tags"),
    *required(BigInteger, "created"),
    UniqueConstraint("account", "folded"),
)

access_key_uses = Table(
    "access_key_uses",
    metadata,
    owned_by("access_keys.id", "access_key_id", primary_key=True),
    *required(BigInteger, "at"),
    *required(String, "region", "service"),
)

service_uses = Table(
    "service_uses",
    metadata,
    owned_by("identities.id", "identity_id", primary_key=True),
    Column("service", String, primary_key=True),
    Column("action", String, primary_key=True),
    *required(BigInteger, "at"),
    *required(String, "region"),
)

credential_reports = Table(
    "credential_reports",
    metadata,
    owned_by("accounts.id", "account", primary_key=True),
    *required(Text, "content"),
    *required(BigInteger, "created"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account", index=True),
    *required(String, "kind"),
    *required(JSON, "parameters", "result"),
    *required(BigInteger, "created"),
)
