"""`assert_allowed` and `assert_denied`: they fail with the explanation, and a slip in a test does not let it pass."""

from __future__ import annotations

from typing import Any

import pytest

from iam_guard import Guard, Principal, Resource, compile_policies
from iam_guard.errors import InvalidInput
from iam_guard.model.decision import Outcome, PolicyType
from iam_guard.model.request import Call
from iam_guard.testing import assert_allowed, assert_denied

RITA = "arn:aws:iam::111122223333:user/rita"
NOBODY = "arn:aws:iam::111122223333:user/nobody"
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


def test_what_is_as_expected_passes_and_gives_the_decision(guard: Guard) -> None:
    """Of a guard, and of policies without one."""
    for decider in (guard, POLICIES):
        assert assert_allowed(decider, RITA, "docs:GetDocument", DOCUMENT).outcome is Outcome.ALLOWED
        denied = assert_denied(decider, Principal.from_arn(RITA), "docs:PutDocument", DOCUMENT)
        assert denied.outcome is Outcome.IMPLICITLY_DENIED


def test_of_many_statements_those_about_the_action_are_shown() -> None:
    """Or a failure of one line would be a screen for each policy; what else there is, is counted."""
    others = [{"Effect": "Allow", "Action": ["mail:*", f"s3:Get{number}"], "Resource": "*"} for number in range(50)]
    about = {"Sid": "Mine", "Effect": "Allow", "Action": ["docs:Get*", "mail:*"], "Resource": DOCUMENT[:-1] + "8"}
    long = compile_policies(
        identity=[{"Version": "2012-10-17", "Statement": [*others, about]}, {"Statement": others[:9]}],
        scps=[[{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}]],
    )
    with pytest.raises(AssertionError) as failure:
        assert_allowed(long, RITA, "docs:GetDocument", DOCUMENT)
    told = str(failure.value)
    assert "59 statements about other actions are not shown" in told
    assert "✗ Allow Statement[50] `Mine`" in told
    assert "✓ Action `docs:Get*`\n" in told
    assert "level 1" in told
    assert "s3:Get" not in told.partition("Nearest misses")[0]
    assert len(told.splitlines()) < 50


def test_a_resource_may_have_tags_and_an_owner() -> None:
    """As a handler's loader knows it."""
    secret = Resource(DOCUMENT, tags={"class": "secret"})
    assert_denied(POLICIES, RITA, "docs:GetDocument", secret, outcome="ExplicitlyDenied", sid="NoSecrets")
    with pytest.raises(InvalidInput, match="when it is compiled"):
        assert_allowed(POLICIES, RITA, "docs:GetDocument", Resource(DOCUMENT, policy={"Statement": []}))


def test_a_failure_has_the_whole_explanation(guard: Guard) -> None:
    """What `iam-guard explain` prints."""
    with pytest.raises(AssertionError) as failed:
        assert_allowed(guard, RITA, "docs:PutDocument", DOCUMENT)
    text = str(failed.value)
    assert text.startswith("expected Allowed, got ImplicitlyDenied\n\nImplicitlyDenied: User: arn:aws:iam::")
    assert "✗ Action `docs:Get*`: the request has `docs:PutDocument`" in text
    assert "Nearest misses" in text


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({}, "expected a denial, got Allowed"),
        ({"outcome": "ExplicitlyDenied"}, "expected ExplicitlyDenied, got Allowed"),
    ],
)
def test_an_allow_is_no_denial(expected: dict[str, Any], words: str) -> None:
    """Whatever was expected of it."""
    with pytest.raises(AssertionError, match=words):
        assert_denied(POLICIES, RITA, "docs:GetDocument", DOCUMENT, **expected)


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"outcome": Outcome.EXPLICITLY_DENIED}, "expected ExplicitlyDenied, got ImplicitlyDenied"),
        ({"by": "permissions boundary"}, "expected a denial by the permissions boundary, got ImplicitlyDenied"),
        ({"sid": "NoSecrets"}, "expected a denial by the statement `NoSecrets`, got ImplicitlyDenied"),
        ({"because": "does not exist"}, "expected a denial because `does not exist`"),
    ],
)
def test_a_denial_for_another_reason_fails(expected: dict[str, Any], words: str) -> None:
    """Outcome, type of policy, Sid."""
    with pytest.raises(AssertionError, match=words):
        assert_denied(POLICIES, RITA, "docs:PutDocument", DOCUMENT, **expected)
    assert_denied(POLICIES, RITA, "docs:PutDocument", DOCUMENT, by=PolicyType.IDENTITY)


def test_a_principal_that_does_not_exist_is_no_denial(guard: Guard) -> None:
    """A mistyped name must not let a test pass; who means it says so."""
    with pytest.raises(AssertionError, match=r"none was asked: the principal does not exist"):
        assert_denied(guard, NOBODY, "docs:GetDocument", DOCUMENT)
    assert_denied(guard, NOBODY, "docs:GetDocument", DOCUMENT, because="does not exist")


def test_what_cannot_be_decided_is_no_denial(guard: Guard) -> None:
    """Nor an action without a prefix, whoever is asked."""
    for decider in (guard, POLICIES):
        with pytest.raises(AssertionError, match="no decision could be made"):
            assert_denied(decider, RITA, "GetDocument", DOCUMENT)


@pytest.mark.parametrize(
    "expected", [{"outcome": "Denied"}, {"outcome": "Allowed"}, {"by": "SCP"}, {"call": Call("1")}]
)
def test_an_expectation_that_makes_no_sense_is_an_error(expected: dict[str, Any]) -> None:
    """Not a failure, and not a pass."""
    with pytest.raises(InvalidInput):
        assert_denied(POLICIES, RITA, "docs:PutDocument", DOCUMENT, **expected)
    with pytest.raises(InvalidInput, match="expected a guard or an authorizer"):
        assert_allowed({}, RITA, "docs:GetDocument")  # type: ignore[arg-type]
