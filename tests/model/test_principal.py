"""The principal and the condition keys that follow from it (K-10, P-1, P-2, P-14)."""

from __future__ import annotations

from typing import Any, cast

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
    [
        "",
        "anonymous",
        "arn:aws:iam::111122223333:group/g",
        "arn:aws:iam::aws:root",
        f"arn:aws:sts::{A}:assumed-role/r",
        f"arn:aws:iam::{A}:root/x",
    ],
)
def test_refuses_what_names_no_principal(arn: str) -> None:
    """G-43, P-1: groups, short ARNs and foreign texts are no principals."""
    with pytest.raises(InvalidInput):
        Principal.from_arn(arn)


@pytest.mark.parametrize("arn", [5, None, b"arn:aws:iam::111122223333:root"])
def test_refuses_an_arn_that_is_no_text(arn: Any) -> None:
    """With an error of our own, like any other ARN that names no principal."""
    with pytest.raises(InvalidInput, match="expected a text as a principal's arn, got"):
        Principal.from_arn(arn)


@pytest.mark.parametrize("type", [kind for kind in PrincipalType if kind not in ("Service", "Anonymous")])
@pytest.mark.parametrize("arn", ["", "ada", "arn:aws:iam", A])
def test_a_caller_with_an_account_has_an_arn(type: PrincipalType, arn: str) -> None:
    """P-1: without one, nobody could tell its partition, and so whom a policy's account ARN means (G-51)."""
    with pytest.raises(InvalidInput, match="expected the ARN of a principal"):
        Principal(type, arn, A)


@pytest.mark.parametrize("field", ["account", "role_arn", "user_arn", "userid"])
def test_refuses_a_fact_that_is_no_text(field: str) -> None:
    """What is known of a caller is text or not known."""
    facts: dict[str, Any] = {"account": A, field: 5}
    with pytest.raises(InvalidInput, match=f"expected a text as a principal's {field}, got `int`"):
        Principal(PrincipalType.USER, f"arn:aws:iam::{A}:user/ada", **facts)


@pytest.mark.parametrize("type", ["user", "", None, 5, [], "Role"])
def test_refuses_a_type_that_does_not_exist(type: Any) -> None:
    """N-1."""
    with pytest.raises(InvalidInput, match="expected one of User, AssumedRole"):
        Principal(type, f"arn:aws:iam::{A}:user/ada", A)


def test_a_type_may_be_given_as_its_word() -> None:
    """N-1: the word is the type, so that nothing that asks for the type overlooks it."""
    assert Principal(cast(Any, "Anonymous"), "anonymous", None).type is PrincipalType.ANONYMOUS


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
