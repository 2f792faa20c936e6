"""The tables of Access Analyzer: analyzers, archive rules, findings and access previews. No decision reads them."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Index, String, UniqueConstraint

from iam_guard.store.schema.core import owned_by, required, table
from iam_guard.store.schema.facts import UNCACHED, Facts

analyzers = table(
    "analyzers",
    Facts(UNCACHED, impersonal="shared"),
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account"),
    *required(String, "name", "type"),
    *required(JSON, "configuration", "tags"),
    # of the call that created it
    Column("client_token", String),
    *required(BigInteger, "created"),
    # the state of the store that the findings are of, and the time of the analysis; NULL: never analysed
    Column("epoch", BigInteger),
    Column("mark", String(16)),
    Column("analyzed", BigInteger),
    Column("last_resource", String),
    UniqueConstraint("account", "name"),
)

archive_rules = table(
    "archive_rules",
    Facts(UNCACHED, naming="rules that name the person are reported, since they decide about findings of others, too"),
    owned_by("analyzers.id", "analyzer_id", primary_key=True),
    Column("name", String, primary_key=True),
    *required(JSON, "filter"),
    Column("client_token", String),
    *required(BigInteger, "created", "updated"),
)

findings = table(
    "findings",
    Facts(
        UNCACHED,
        naming="findings about the person are exported and erased",
        about="resource content",
        exported="id resource content created",
    ),
    Column("id", String, primary_key=True),
    owned_by("analyzers.id", "analyzer_id"),
    *required(String, "type", "resource", "resource_type", "owner", "status"),
    # the members that depend on the type
    *required(JSON, "content"),
    # SHA-256 of all that makes it the same finding when it returns
    *required(String(64), "digest"),
    *required(BigInteger, "created", "analyzed", "updated"),
    UniqueConstraint("analyzer_id", "digest"),
    Index("ix_findings_resource", "analyzer_id", "resource"),
)

access_previews = table(
    "access_previews",
    Facts(
        UNCACHED,
        naming="previews and their findings that name the person are exported and erased",
        about="configurations findings",
        exported="id configurations findings created",
    ),
    Column("id", String, primary_key=True),
    owned_by("analyzers.id", "analyzer_id", index=True),
    *required(JSON, "configurations", "findings"),
    *required(String, "status"),
    Column("client_token", String),
    *required(BigInteger, "created"),
)
