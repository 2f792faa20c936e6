"""An organization for tests: 111122223333 manages it, the other accounts are members."""

from __future__ import annotations

import json
from typing import Any

from iam_guard.store.seed import apply_seed, load_seed_text
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Running

ORGANIZATION = "o-exampleorg"
ROOT = "r-ab12"
TENANTS = "ou-ab12-11111111"
GOLD = "ou-ab12-22222222"
THIRD_ACCOUNT = "777788889999"

ROOT_PATH = f"{ORGANIZATION}/{ROOT}"
TENANTS_PATH = f"{ROOT_PATH}/{TENANTS}"
GOLD_PATH = f"{TENANTS_PATH}/{GOLD}"


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def make_organization(server: Running, **more: Any) -> None:
    """Create it: the other account is in the unit `tenants`, the third one in `gold` below it."""
    gold: dict[str, Any] = {"name": "gold", "id": GOLD, "accounts": [THIRD_ACCOUNT], **more.pop("gold", {})}
    tenants: dict[str, Any] = {
        "name": "tenants",
        "id": TENANTS,
        "accounts": [OTHER_ACCOUNT],
        "units": [gold],
        **more.pop("tenants", {}),
    }
    organization = {
        "id": ORGANIZATION,
        "root_id": ROOT,
        "management_account": ACCOUNT,
        "units": [tenants],
        **more,
    }
    accounts = [{"id": THIRD_ACCOUNT, "name": "third", "users": [{"name": "tess"}]}]
    apply_seed(
        server.store, load_seed_text(json.dumps({"version": 1, "organization": organization, "accounts": accounts}))
    )
    server.guard.refresh()
