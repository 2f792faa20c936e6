"""The seed of a tenant, and how tests see what a store has of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlalchemy import select

from iam_guard import Guard
from iam_guard.authn.api_key import format_api_key
from iam_guard.authn.http_request import HttpRequest
from iam_guard.model.principal import Principal
from iam_guard.store import schema

ID, OTHER = "111122223333", "444455556666"
PASSWORD, ADAS_PASSWORD = "correct horse battery staple", "another horse, another staple"
KEY_ID, KEY_SECRET = "tenantkey", "TenantSecretTenantSecretTenant01"
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:*", "Resource": "*"}]}
PLAN = f"arn:aws:docs:us-east-1:{ID}:document/plan"
SEED: dict[str, Any] = {
    "policies": [{"name": "EditDocs", "document": ALL}],
    "groups": [{"name": "admins", "attached": ["AdministratorAccess", "EditDocs"]}],
    "users": [{"name": "ada", "groups": ["admins"], "api_keys": [{"id": KEY_ID, "secret": KEY_SECRET}]}],
}


def trust(principal: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def caller(guard: Guard, id: str = KEY_ID, secret: str = KEY_SECRET) -> Principal:
    """Return who an API key is of. Raises `InvalidClientTokenId`."""
    header = (b"x-api-key", format_api_key(id, secret).encode())
    request = HttpRequest("GET", b"/", b"", ((b"host", b"localhost"), header))
    return guard.authenticate(request, payload_hash=lambda: "")


def rows(guard: Guard) -> dict[str, int]:
    """Return the number of rows of each table, without the change feed."""
    with guard.store.read_transaction() as records:
        tables = [table for table in schema.metadata.sorted_tables if table is not schema.changes]
        counted = {table.name: records.count(table) for table in tables}
        counted["epoch"] = records.connection.execute(select(schema.meta.c.epoch)).scalar_one()
    return counted


def recorded(path: Path) -> list[dict[str, Any]]:
    """Return the audit records of changes of accounts."""
    events = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [event for event in events if event["eventName"].endswith("Account")]
