"""Shared parts of the policy tests: documents, and existing groups, roles and policies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from iam_guard.store.schema import identities, memberships
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.api.conftest import ACCOUNT, Running

TRUST = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
}
KINDS = ("user", "group", "role")


def allowing(action: str, **more: Any) -> str:
    """Return a document that allows one action."""
    statement = {"Effect": "Allow", "Action": action, "Resource": "*", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def prepare(server: Running, account: str = ACCOUNT, **parts: list[dict[str, Any]]) -> None:
    """Seed users, groups, roles and policies into an account; roles get a default trust policy."""
    for role in parts.get("roles", []):
        role.setdefault("trust", TRUST)
    declared = {"id": account, "name": account, **parts}
    apply_seed(server.store, load_seed_text(json.dumps({"version": 1, "accounts": [declared]})))
    server.guard.refresh()


def holders(server: Running, name: str = "holder", path: str = "/") -> None:
    """Create a user, a group and a role with one name."""
    one: list[dict[str, Any]] = [{"name": name, "path": path}]
    prepare(server, users=one, groups=one, roles=[dict(each) for each in one])


def join(server: Running, user: str, group: str) -> None:
    """Add a user to a group; a seed would have to declare the user's keys too."""
    with server.store.write_transaction() as records:
        ids = [records.one(identities, account=ACCOUNT, folded=name)["id"] for name in (user, group)]
        records.insert(memberships, user_id=ids[0], group_id=ids[1])
    server.guard.refresh()


def of(kind: str, name: str = "holder") -> Mapping[str, str]:
    """Return the parameter that names a user, group or role."""
    return {f"{kind.capitalize()}Name": name}
