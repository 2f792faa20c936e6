"""The tables of instance profiles, last uses, reports and jobs, which no decision reads."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, LargeBinary, String, Text, UniqueConstraint

from iam_guard.store.schema.core import owned_by, required, table
from iam_guard.store.schema.facts import UNCACHED, Facts

instance_profiles = table(
    "instance_profiles",
    Facts(UNCACHED, impersonal="of roles"),
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
    Facts(UNCACHED, owner="access key", exported="access_key_id at region service"),
    owned_by("access_keys.id", "access_key_id", primary_key=True),
    *required(BigInteger, "at"),
    *required(String, "region", "service"),
)

service_uses = table(
    "service_uses",
    Facts(UNCACHED, owner="identity_id", exported="service action at region"),
    owned_by("identities.id", "identity_id", primary_key=True),
    Column("service", String, primary_key=True),
    Column("action", String, primary_key=True),
    *required(BigInteger, "at"),
    *required(String, "region"),
)

credential_reports = table(
    "credential_reports",
    Facts(UNCACHED, naming="the person's line is exported; the report is erased, and generated anew on request"),
    owned_by("accounts.id", "account", primary_key=True),
    *required(Text, "content"),
    *required(BigInteger, "created"),
)

jobs = table(
    "jobs",
    Facts(
        UNCACHED,
        naming="jobs about the person are exported and erased",
        about="parameters result",
        exported="id parameters result created",
    ),
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account", index=True),
    *required(String, "kind"),
    *required(JSON, "parameters", "result"),
    *required(BigInteger, "created"),
)

# what makes the pseudonyms of a person in the audit trail; deleting the salts of a person ends their derivation
pseudonym_salts = table(
    "pseudonym_salts",
    Facts("salts:{account}", insert="", naming="those of the person are erased; they mean nothing to it"),
    # of an account; `erased`: a mark that a value was erased a short time ago
    Column("account", String(12), primary_key=True),
    # the HMAC of what identifies the person, in hex
    Column("subject", String(64), primary_key=True),
    *required(LargeBinary, "salt"),
    *required(BigInteger, "created"),
)
