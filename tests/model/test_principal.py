"""Principals and their condition keys (K-10, P-1, P-2, P-14)."""

from __future__ import annotations

from typing import Any, cast

import pytest

from iam_guard.errors import ContextError, InvalidInput
from iam_guard.model.principal import Principal, PrincipalType
from tests.tables import table

A = "111122223333"


@table(
    ("principal", "expected"),
    [
        pytest.param(
            Principal.from_arn(f"arn:aws:iam::{A}:root"),
            {
                "aws:principaltype": "Account",
                "aws:principalaccount": A,
                "aws:principalarn": f"arn:aws:iam::{A}:root",
                "aws:userid": A,
            },
            id="root",
        ),
        pytest.param(
            Principal.from_arn(f"arn:aws:iam::{A}:user/eng/ada", userid="AIDA1"),
            {
                "aws:principaltype": "User",
                "aws:principalaccount": A,
                "aws:principalarn": f"arn:aws:iam::{A}:user/eng/ada",
                "aws:userid": "AIDA1",
                "aws:username": "ada",
            },
            id="user",
        ),
        pytest.param(
            Principal.from_arn(
                f"arn:aws:sts::{A}:assumed-role/r/s", role_arn=f"arn:aws:iam::{A}:role/eng/r", userid="AROA1:s"
            ),
            {
                "aws:principaltype": "AssumedRole",
                "aws:principalaccount": A,
                "aws:principalarn": f"arn:aws:iam::{A}:role/eng/r",
                "aws:userid": "AROA1:s",
            },
            id="role session",
        ),
        pytest.param(
            Principal.from_arn(f"arn:aws:sts::{A}:federated-user/f"),
            {
                "aws:principaltype": "FederatedUser",
                "aws:principalaccount": A,
                "aws:principalarn": f"arn:aws:sts::{A}:federated-user/f",
                "aws:userid": f"{A}:f",
            },
            id="federated user",
        ),
        pytest.param(
            Principal.anonymous(),
            {"aws:principaltype": "Anonymous", "aws:principalaccount": "anonymous", "aws:userid": "anonymous"},
            id="anonymous",
        ),
        pytest.param(Principal.service("s3.amazonaws.com"), {"aws:principaltype": "Service"}, id="service"),
    ],
)
def test_principal_has_exactly_the_keys_of_its_type(principal: Principal, expected: dict[str, str]) -> None:
    """K-10."""
    assert dict(principal.condition_keys) == expected


def test_tags_become_principal_tag_keys() -> None:
    """E.1: `aws:PrincipalTag/key`, case-insensitive."""
    principal = Principal.from_arn(f"arn:aws:iam::{A}:user/ada", tags={"Team": "blue"})
    assert principal.key("aws:principaltag/team") == "blue"


def test_tags_that_differ_by_case_are_refused() -> None:
    """C-4."""
    with pytest.raises(ContextError):
        Principal.from_arn(f"arn:aws:iam::{A}:user/ada", tags={"Team": "blue", "team": "red"})


@table(
    "arn",
    [
        "",
        "anonymous",
        "arn:aws:iam::111122223333:group/g",
        "arn:aws:iam::aws:root",
        f"arn:aws:sts::{A}:assumed-role/r",
        f"arn:aws:iam::{A}:root/x",
    ],
)
def test_arn_of_no_principal_is_refused(arn: str) -> None:
    """G-43, P-1: groups, short ARNs and other text."""
    with pytest.raises(InvalidInput):
        Principal.from_arn(arn)


@table("arn", [5, None, b"arn:aws:iam::111122223333:root"])
def test_arn_that_is_no_string_is_refused(arn: Any) -> None:
    """With `InvalidInput`, like any other invalid ARN."""
    with pytest.raises(InvalidInput, match="expected a string as a principal's arn, got"):
        Principal.from_arn(arn)


@table("type", [kind for kind in PrincipalType if kind not in ("Service", "Anonymous")])
@table("arn", ["", "ada", "arn:aws:iam", A])
def test_principal_with_account_needs_an_arn(type: PrincipalType, arn: str) -> None:
    """P-1: its partition is needed to match a policy's account ARN (G-51)."""
    with pytest.raises(InvalidInput, match="expected the ARN of a principal"):
        Principal(type, arn, A)


@table("field", ["account", "role_arn", "user_arn", "userid"])
def test_field_that_is_no_string_is_refused(field: str) -> None:
    """Optional fields are strings or None."""
    facts: dict[str, Any] = {"account": A, field: 5}
    with pytest.raises(InvalidInput, match=f"expected a string as a principal's {field}, got `int`"):
        Principal(PrincipalType.USER, f"arn:aws:iam::{A}:user/ada", **facts)


@table("type", ["user", "", None, 5, [], "Role"])
def test_unknown_principal_type_is_refused(type: Any) -> None:
    """N-1."""
    with pytest.raises(InvalidInput, match="expected one of User, AssumedRole"):
        Principal(type, f"arn:aws:iam::{A}:user/ada", A)


def test_principal_type_may_be_a_string() -> None:
    """N-1: it is converted, so that identity checks work."""
    assert Principal(cast(Any, "Anonymous"), "anonymous", None).type is PrincipalType.ANONYMOUS


def test_role_session_without_role_arn_has_root_path() -> None:
    """P-2: the session ARN omits the path."""
    principal = Principal.from_arn(f"arn:aws:sts::{A}:assumed-role/r/s")
    assert principal.type is PrincipalType.ASSUMED_ROLE
    assert principal.role_arn == f"arn:aws:iam::{A}:role/r"
    assert not principal.is_service_linked


def test_service_linked_role_is_recognised_by_path() -> None:
    """P-14."""
    role = f"arn:aws:iam::{A}:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX"
    assert Principal.from_arn(f"arn:aws:sts::{A}:assumed-role/AWSServiceRoleForX/s", role_arn=role).is_service_linked
