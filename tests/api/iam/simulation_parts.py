"""Shared parts of the simulation tests: documents, context entries, and calls without HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from iam_guard.api.call import ApiServer
from iam_guard.api.iam.table.policy_rows import ROWS
from iam_guard.api.operation import OperationRequest, Service, run
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.api.conftest import ACCOUNT, SEED

ADMIN = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/admin")
OBJECT = "arn:aws:s3:::bucket/key"
OTHER_OBJECT = "arn:aws:s3:::bucket/other"


def document(*statements: Mapping[str, Any]) -> str:
    """Return a policy on one line, its statements in a list."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, separators=(",", ":"))


def saying(effect: str, action: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    """Return a statement."""
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def entry(name: str, *values: str, type: str = "string") -> dict[str, Any]:
    """Return a context entry."""
    return {"ContextKeyName": name, "ContextKeyValues": list(values), "ContextKeyType": type}


def sources(result: Mapping[str, Any]) -> list[str]:
    """Return the ids of the policies of a result's statements."""
    return [statement["SourcePolicyId"] for statement in result["MatchedStatements"]]


def store_with_admin() -> SqlStore:
    """Return a store in memory with the accounts of the API tests."""
    store = create_store("sqlite://", Settings())
    apply_seed(store, load_seed_text(SEED))
    return store


def run_as_admin(store: SqlStore, operation: str, **parameters: Any) -> dict[str, Any]:
    """Run an operation as `admin` without HTTP, hence without the model's limits."""
    service = Service("iam", ROWS)
    request = OperationRequest(ApiServer(store), service, operation, parameters, ADMIN, now=1_700_000_000)
    return run(request, lambda permission: None).output
