"""Statements that cannot be evaluated: what is reported, without the caller's values (rule C-45)."""

from __future__ import annotations

import logging

import pytest

from iam_guard import AccessRequest, Outcome, Principal, compile_policies
from iam_guard.evaluation.matching_statements import find_deny
from tests.tables import table

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada")


def failing() -> str:
    raise RuntimeError("a fault with a caller's value in it")


@pytest.mark.parametrize(
    ("effect", "outcome", "notes"),
    [
        ("Deny", Outcome.EXPLICITLY_DENIED, ["could not be evaluated: RuntimeError"]),
        ("Allow", Outcome.IMPLICITLY_DENIED, [None]),
    ],
)
def test_evaluation_error_is_logged_with_its_statement(
    effect: str, outcome: Outcome, notes: list[str | None], caplog: pytest.LogCaptureFixture
) -> None:
    """C-45: a Deny applies and has a note; the log has the statement once, as an error."""
    statements = [
        {"Effect": "Allow", "Action": "other:*", "Resource": "*"},
        {"Effect": effect, "Action": "docs:*", "Resource": "*", "Condition": {"StringEquals": {"docs:Kind": "x"}}},
    ]
    authorizer = compile_policies(identity=[{"Version": "2012-10-17", "Statement": statements}])
    decision = authorizer.decide(AccessRequest(ADA, "docs:Get", "*", {"docs:Kind": failing}))
    assert decision.outcome is outcome
    assert [reason.note for reason in decision.reasons] == notes
    place = "statement 1 of identity-based policy #1 could not be evaluated: RuntimeError"
    assert caplog.record_tuples == [("iam_guard.evaluation", logging.ERROR, place)]


def test_deny_without_an_error_has_no_note(caplog: pytest.LogCaptureFixture) -> None:
    """C-45: an internal error that denies would not be visible in the outcome."""
    statement = {"Effect": "Deny", "Action": "docs:*", "Resource": "*"}
    authorizer = compile_policies(identity=[{"Version": "2012-10-17", "Statement": statement}])
    (reason,) = authorizer.decide(AccessRequest(ADA, "docs:Get", "*")).reasons
    assert (reason.effect, reason.statement, reason.note) == ("Deny", 0, None)
    assert caplog.record_tuples == []


def test_error_in_a_deny_for_another_user_does_not_deny(caplog: pytest.LogCaptureFixture) -> None:
    """C-45 requires a Deny that can be about the caller; one that names another user is not evaluated."""
    statements = [
        {"Effect": "Allow", "Principal": "*", "Action": "docs:*", "Resource": "*"},
        {
            "Effect": "Deny",
            "Principal": {"AWS": "arn:aws:iam::111122223333:user/rita"},
            "Action": "docs:*",
            "Resource": "*",
            "Condition": {"StringEquals": {"docs:Kind": "x"}},
        },
    ]
    authorizer = compile_policies(resource={"Version": "2012-10-17", "Statement": statements})
    resource = "arn:aws:docs:us-east-1:111122223333:document/7"
    assert authorizer.decide(AccessRequest(ADA, "docs:Get", resource, {"docs:Kind": failing})).allowed
    assert caplog.record_tuples == []


ROLE = Principal.from_arn("arn:aws:sts::111122223333:assumed-role/Reader/s1")
ACCOUNT, PARENT, SELF = "111122223333", str(ROLE.role_arn), ROLE.arn


@table(
    ("named", "first"),
    [
        ([ACCOUNT, PARENT, SELF, "*"], 2),
        (["*", SELF, PARENT, ACCOUNT], 0),
        ([ACCOUNT, PARENT], 1),
        ([PARENT, ACCOUNT], 0),
        ([ACCOUNT, PARENT, ACCOUNT, PARENT], 1),
        (["444455556666", ACCOUNT, ACCOUNT], 1),
    ],
)
def test_reason_is_the_most_direct_allow(named: list[str], first: int) -> None:
    """E-22: of equal ones the first in order."""
    statements = [{"Effect": "Allow", "Principal": {"AWS": each}, "Action": "docs:*"} for each in named]
    authorizer = compile_policies(
        resource={"Version": "2012-10-17", "Statement": statements},
        identity=[{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "docs:*", "Resource": "*"}}],
    )
    request = AccessRequest(ROLE, "docs:Get", "arn:aws:docs:us-east-1:444455556666:x", resource_account="444455556666")
    decision = authorizer.decide(request)
    assert decision.outcome is Outcome.ALLOWED
    assert [reason.statement for reason in decision.reasons] == [first, 0]


def test_deny_with_an_error_has_its_statement() -> None:
    """C-45: as any other that applies."""
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"docs:Kind": "x"}}}
    layer = compile_policies(identity=[{"Version": "2012-10-17", "Statement": statement}]).policies.identity
    hit = find_deny(layer, AccessRequest(ADA, "docs:Get", "*", {"docs:Kind": failing}), "docs:get", bounded=False)
    assert hit is not None
    assert (hit.candidate.policy, hit.candidate.statement) == (layer[0], layer[0].content.statements[0])
