"""Permissions boundaries of users and roles (rule G-38)."""

from __future__ import annotations

from typing import Any

import pytest

from iam_guard.store import schema
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, Running, allow, refusal
from tests.api.iam.identity_parts import EC2, trusting

POWER = "arn:aws:iam::aws:policy/PowerUserAccess"
READ = "arn:aws:iam::aws:policy/ReadOnlyAccess"

kinds = pytest.mark.parametrize("kind", ["user", "role"])


def make(iam: Client, kind: str, **given: Any) -> dict[str, str]:
    """Make somebody, and give how calls name it."""
    name = {f"{kind.capitalize()}Name": "x"}
    trust = {"AssumeRolePolicyDocument": trusting(EC2)} if kind == "role" else {}
    getattr(iam, f"create_{kind}")(**name, **trust, **given)
    return name


def boundary(iam: Client, kind: str, name: dict[str, str]) -> str | None:
    described: dict[str, Any] = getattr(iam, f"get_{kind}")(**name)[kind.capitalize()]
    found: str | None = described.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    return found


@kinds
def test_a_boundary_is_put_replaced_and_removed(kind: str, iam: Client) -> None:
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
def test_what_is_no_policy_is_no_boundary(
    kind: str, arn: str, code: str, sentence: str, iam: Client, server: Running
) -> None:
    """AWS's sentences, and nothing has changed; policies of other accounts do not exist for us."""
    with server.store.changing() as records:
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
def test_nobody_has_no_boundary(kind: str, iam: Client) -> None:
    """NoSuchEntity names the user or role."""
    name = {f"{kind.capitalize()}Name": "absent"}
    with refusal("NoSuchEntity", f"The {kind} with name absent cannot be found."):
        getattr(iam, f"put_{kind}_permissions_boundary")(**name, PermissionsBoundary=POWER)
    with refusal("NoSuchEntity", f"The {kind} with name absent cannot be found."):
        getattr(iam, f"delete_{kind}_permissions_boundary")(**name)


def test_a_boundary_limits_at_once(iam: Client, client_for: Any) -> None:
    """E-74: the next request is decided with it."""
    ann = client_for("ann", allow("iam:*"))
    ann.list_users()
    iam.put_user_permissions_boundary(UserName="ann", PermissionsBoundary=POWER)
    with refusal("AccessDenied", "because no permissions boundary allows the iam:ListUsers action"):
        ann.list_users()


def test_taking_a_boundary_away_is_decided_by_what_it_is(iam: Client, client_for: Any) -> None:
    """K-33: for a removal `iam:PermissionsBoundary` is the boundary that is there."""
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
