"""`assert_allowed` and `assert_denied`: they fail with the explanation, and a mistake in a test does not pass."""

from __future__ import annotations

from typing import Any

import pytest

from iam_guard import Guard, Principal, Resource, compile_policies
from iam_guard.errors import InvalidInput
from iam_guard.model.decision import Outcome, PolicyType
from iam_guard.model.request import Call
from iam_guard.testing import assert_allowed, assert_denied
from tests.tables import table

RITA = "arn:aws:iam::111122223333:user/rita"
NONE_NEEDED = "arn:aws:iam::111122223333:user/nobody"
DOCUMENT = "arn:aws:docs:us-east-1:111122223333:document/7"
POLICIES = compile_policies(
    identity=[
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": "docs:Get*", "Resource": "*"},
                {
                    "Sid": "NoSecrets",
                    "Effect": "Deny",
                    "Action": "*",
                    "Resource": "*",
                    "Condition": {"StringEquals": {"aws:ResourceTag/class": "secret"}},
                },
            ],
        }
    ]
)


def test_expected_decision_is_returned(guard: Guard) -> None:
    """Of a guard, and of policies without one."""
    for decider in (guard, POLICIES):
        assert assert_allowed(decider, RITA, "docs:GetDocument", DOCUMENT).outcome is Outcome.ALLOWED
        denied = assert_denied(decider, Principal.from_arn(RITA), "docs:PutDocument", DOCUMENT)
        assert denied.outcome is Outcome.IMPLICITLY_DENIED


def test_long_failure_shows_statements_about_action() -> None:
    """The others are only counted."""
    others = [{"Effect": "Allow", "Action": ["mail:*", f"s3:Get{number}"], "Resource": "*"} for number in range(50)]
    about = {"Sid": "Mine", "Effect": "Allow", "Action": ["docs:Get*", "mail:*"], "Resource": DOCUMENT[:-1] + "8"}
    long = compile_policies(
        identity=[{"Version": "2012-10-17", "Statement": [*others, about]}, {"Statement": others[:9]}],
        scps=[[{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}]],
    )
    with pytest.raises(AssertionError) as failure:
        assert_allowed(long, RITA, "docs:GetDocument", DOCUMENT)
    text = str(failure.value)
    assert "59 statements about other actions are not shown" in text
    assert "✗ Allow Statement[50] `Mine`" in text
    assert "✓ Action `docs:Get*`\n" in text
    assert "level 1" in text
    assert "s3:Get" not in text.partition("Nearest misses")[0]
    assert len(text.splitlines()) < 50


def test_resource_may_have_tags_and_owner() -> None:
    """As returned by a handler's loader."""
    secret = Resource(DOCUMENT, tags={"class": "secret"})
    assert_denied(POLICIES, RITA, "docs:GetDocument", secret, outcome="ExplicitlyDenied", sid="NoSecrets")
    with pytest.raises(InvalidInput, match="expected a resource without policy"):
        assert_allowed(POLICIES, RITA, "docs:GetDocument", Resource(DOCUMENT, policy={"Statement": []}))


def test_unknown_action_is_a_mistake_in_the_test() -> None:
    """A denial of it would prove nothing. The actions of other services are unknown."""
    for expect in (assert_allowed, assert_denied):
        with pytest.raises(InvalidInput, match="the service `iam` has no action `CreatUser`, did you mean"):
            expect(POLICIES, RITA, "iam:CreatUser")
    assert_denied(POLICIES, RITA, "iam:CreateUser")
    assert_denied(POLICIES, RITA, "wiki:CreatPage")


def test_failure_has_explanation(guard: Guard) -> None:
    """The output of `iam-guard explain`."""
    with pytest.raises(AssertionError) as failed:
        assert_allowed(guard, RITA, "docs:PutDocument", DOCUMENT)
    text = str(failed.value)
    assert text.startswith("expected Allowed, got ImplicitlyDenied\n\nImplicitlyDenied: User: arn:aws:iam::")
    assert "✗ Action `docs:Get*`: the request has `docs:PutDocument`" in text
    assert "Nearest misses" in text


@table(
    ("expected", "words"),
    [
        ({}, "expected a denial, got Allowed"),
        ({"outcome": "ExplicitlyDenied"}, "expected ExplicitlyDenied, got Allowed"),
    ],
)
def test_allow_is_no_denial(expected: dict[str, Any], words: str) -> None:
    """With any expectation."""
    with pytest.raises(AssertionError, match=words):
        assert_denied(POLICIES, RITA, "docs:GetDocument", DOCUMENT, **expected)


@table(
    ("expected", "words"),
    [
        ({"outcome": Outcome.EXPLICITLY_DENIED}, "expected ExplicitlyDenied, got ImplicitlyDenied"),
        ({"by": "permissions boundary"}, "expected a denial by the permissions boundary, got ImplicitlyDenied"),
        ({"sid": "NoSecrets"}, "expected a denial by the statement `NoSecrets`, got ImplicitlyDenied"),
        ({"because": "does not exist"}, "expected a denial because `does not exist`"),
    ],
)
def test_denial_for_other_reason_fails(expected: dict[str, Any], words: str) -> None:
    """Another outcome, type of policy, or Sid."""
    with pytest.raises(AssertionError, match=words):
        assert_denied(POLICIES, RITA, "docs:PutDocument", DOCUMENT, **expected)
    assert_denied(POLICIES, RITA, "docs:PutDocument", DOCUMENT, by=PolicyType.IDENTITY)


def test_unknown_principal_is_no_denial(guard: Guard) -> None:
    """A mistyped name must not pass, unless `because` expects it."""
    with pytest.raises(AssertionError, match=r"none was evaluated: the principal does not exist"):
        assert_denied(guard, NONE_NEEDED, "docs:GetDocument", DOCUMENT)
    assert_denied(guard, NONE_NEEDED, "docs:GetDocument", DOCUMENT, because="does not exist")


def test_undecidable_request_is_no_denial(guard: Guard) -> None:
    """For example an action without a prefix, with a guard or an authorizer."""
    for decider in (guard, POLICIES):
        with pytest.raises(AssertionError, match="no decision could be made"):
            assert_denied(decider, RITA, "GetDocument", DOCUMENT)


@table("expected", [{"outcome": "Denied"}, {"outcome": "Allowed"}, {"by": "SCP"}, {"call": Call("1")}])
def test_invalid_expectation_is_an_error(expected: dict[str, Any]) -> None:
    """Neither a failure nor a pass."""
    with pytest.raises(InvalidInput):
        assert_denied(POLICIES, RITA, "docs:PutDocument", DOCUMENT, **expected)
    with pytest.raises(InvalidInput, match="expected a guard or an authorizer"):
        assert_allowed({}, RITA, "docs:GetDocument")  # type: ignore[arg-type]
