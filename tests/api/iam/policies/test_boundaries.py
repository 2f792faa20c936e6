"""Permissions boundaries of users and roles (G-38)."""

from __future__ import annotations

from typing import Any

import pytest

from iam_guard.store import schema
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, Running, allow, refusal
from tests.api.iam.identity_parts import EC2, trusting

POWER = "arn:aws:iam::aws:policy/PowerUserAccess"
READ = "arn:aws:iam::aws:policy/ReadOnlyAccess"

kinds = pytest.mark.parametrize("kind", ["user", "role"])


def make(iam: Client, kind: str, **parameters: Any) -> dict[str, str]:
    """Create an entity, and return how calls name it."""
    name = {f"{kind.capitalize()}Name": "x"}
    trust = {"AssumeRolePolicyDocument": trusting(EC2)} if kind == "role" else {}
    getattr(iam, f"create_{kind}")(**name, **trust, **parameters)
    return name


def boundary(iam: Client, kind: str, name: dict[str, str]) -> str | None:
    described: dict[str, Any] = getattr(iam, f"get_{kind}")(**name)[kind.capitalize()]
    found: str | None = described.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    return found


@kinds
def test_boundary_is_set_replaced_and_removed(kind: str, iam: Client) -> None:
    """There is one at a time, of the account or of AWS."""
    name = make(iam, kind)
    put, remove = getattr(iam, f"put_{kind}_permissions_boundary"), getattr(iam, f"delete_{kind}_permissions_boundary")
    for arn in (POWER, READ):
        put(**name, PermissionsBoundary=arn)
        assert boundary(iam, kind, name) == arn
    remove(**name)
    assert boundary(iam, kind, name) is None
    with refusal("NoSuchEntity", "does not have a permissions boundary", 404):
        remove(**name)


BAD = [
    (f"arn:aws:iam::{ACCOUNT}:not_a_policy/invalid", "InvalidInput", "ARN {} is not valid."),
    ("x" * 20, "InvalidInput", "ARN {} is not valid."),
    (f"arn:aws:iam::{ACCOUNT}:policy/none", "NoSuchEntity", "Scope ARN: {} does not exist or is not attachable."),
    (POWER.lower(), "NoSuchEntity", "Scope ARN: {} does not exist or is not attachable."),
    (f"arn:aws:iam::{OTHER_ACCOUNT}:policy/theirs", "NoSuchEntity", "Scope ARN: {} does not exist"),
]


@kinds
@pytest.mark.parametrize(("arn", "code", "sentence"), BAD)
def test_boundary_that_is_no_policy_is_rejected(
    kind: str, arn: str, code: str, sentence: str, iam: Client, server: Running
) -> None:
    """With AWS's messages, and nothing changes; policies of other accounts don't exist."""
    with server.store.write_transaction() as records:
        theirs = {"id": "ANPATHEIRS", "account": OTHER_ACCOUNT, "path": "/", "name": "theirs", "folded": "theirs"}
        records.insert(schema.policies, **theirs, description="", default_version=1, tags={}, created=1)
    name = make(iam, kind, PermissionsBoundary=POWER)
    with refusal(code, sentence.format(arn)):
        getattr(iam, f"put_{kind}_permissions_boundary")(**name, PermissionsBoundary=arn)
    assert boundary(iam, kind, name) == POWER
    getattr(iam, f"delete_{kind}")(**name)
    with refusal(code, sentence.format(arn)):
        make(iam, kind, PermissionsBoundary=arn)
    with refusal("NoSuchEntity"):
        boundary(iam, kind, name)


@kinds
def test_boundary_of_an_unknown_entity_raises_no_such_entity(kind: str, iam: Client) -> None:
    """The message names the user or role."""
    name = {f"{kind.capitalize()}Name": "absent"}
    with refusal("NoSuchEntity", f"The {kind} with name absent cannot be found."):
        getattr(iam, f"put_{kind}_permissions_boundary")(**name, PermissionsBoundary=POWER)
    with refusal("NoSuchEntity", f"The {kind} with name absent cannot be found."):
        getattr(iam, f"delete_{kind}_permissions_boundary")(**name)


def test_boundary_limits_the_next_request(iam: Client, client_for: Any) -> None:
    """E-74."""
    ann = client_for("ann", allow("iam:*"))
    ann.list_users()
    iam.put_user_permissions_boundary(UserName="ann", PermissionsBoundary=POWER)
    with refusal("AccessDenied", "because no permissions boundary allows the iam:ListUsers action"):
        ann.list_users()


def test_boundary_removal_is_authorized_by_the_current_boundary(iam: Client, client_for: Any) -> None:
    """K-33: `iam:PermissionsBoundary` is then the stored one."""
    keeper = client_for(
        "keeper", allow("iam:Delete*PermissionsBoundary", StringNotEquals={"iam:PermissionsBoundary": POWER})
    )
    for kind in ("user", "role"):
        name = make(iam, kind, PermissionsBoundary=POWER)
        remove = getattr(keeper, f"delete_{kind}_permissions_boundary")
        with refusal("AccessDenied"):
            remove(**name)
        getattr(iam, f"put_{kind}_permissions_boundary")(**name, PermissionsBoundary=READ)
        remove(**name)
