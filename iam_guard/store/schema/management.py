"""The tables of instance profiles, last uses, reports and jobs, which no decision reads."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table, Text, UniqueConstraint

from iam_guard.store.schema.core import json_column, metadata, owned_by, required

instance_profiles = Table(
    "instance_profiles",
    metadata,
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account"),
    *required(String, "path", "name", "folded"),
    Column("role_id", String, ForeignKey("identities.id", ondelete="SET NULL"), index=True),
    json_column("tags"),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("account", "folded"),
)

access_key_uses = Table(
    "access_key_uses",
    metadata,
    owned_by("access_keys.id", "access_key_id", primary_key=True),
    Column("at", BigInteger, nullable=False),
    *required(String, "region", "service"),
)

service_uses = Table(
    "service_uses",
    metadata,
    owned_by("identities.id", "identity_id", primary_key=True),
    Column("service", String, primary_key=True),
    Column("action", String, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("region", String, nullable=False),
)

credential_reports = Table(
    "credential_reports",
    metadata,
    owned_by("accounts.id", "account", primary_key=True),
    Column("content", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account", index=True),
    Column("kind", String, nullable=False),
    json_column("parameters"),
    json_column("result"),
    Column("created", BigInteger, nullable=False),
)
