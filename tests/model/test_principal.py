"""The principal and the condition keys that follow from it (K-10, P-1, P-2, P-14)."""

from __future__ import annotations

import pytest

from iam_guard.errors import ContextError, InvalidInput
from iam_guard.model.principal import Principal, PrincipalType

A = "111122223333"


@pytest.mark.parametrize(
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
def test_supplies_exactly_the_keys_of_its_kind(principal: Principal, expected: dict[str, str]) -> None:
    """K-10: each kind of caller has these keys and no others."""
    assert dict(principal.condition_keys) == expected


def test_tags_become_principal_tag_keys() -> None:
    """E.1: `aws:PrincipalTag/key`, found in any letter case."""
    principal = Principal.from_arn(f"arn:aws:iam::{A}:user/ada", tags={"Team": "blue"})
    assert principal.key("aws:principaltag/team") == "blue"


def test_tags_that_differ_by_case_are_refused() -> None:
    """C-4: such a context is not built."""
    with pytest.raises(ContextError):
        Principal.from_arn(f"arn:aws:iam::{A}:user/ada", tags={"Team": "blue", "team": "red"})


@pytest.mark.parametrize(
    "arn",
    ["", "anonymous", "arn:aws:iam::111122223333:group/g", "arn:aws:iam::aws:root", f"arn:aws:sts::{A}:assumed-role/r"],
)
def test_refuses_what_names_no_principal(arn: str) -> None:
    """G-43, P-1: groups, short ARNs and foreign texts are no principals."""
    with pytest.raises(InvalidInput):
        Principal.from_arn(arn)


def test_role_session_without_role_arn_is_of_a_role_at_the_root_path() -> None:
    """P-2: the session ARN drops the path."""
    principal = Principal.from_arn(f"arn:aws:sts::{A}:assumed-role/r/s")
    assert principal.type is PrincipalType.ASSUMED_ROLE
    assert principal.role_arn == f"arn:aws:iam::{A}:role/r"
    assert not principal.is_service_linked


def test_service_linked_roles_are_known_by_path() -> None:
    """P-14."""
    role = f"arn:aws:iam::{A}:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX"
    assert Principal.from_arn(f"arn:aws:sts::{A}:assumed-role/AWSServiceRoleForX/s", role_arn=role).is_service_linked
