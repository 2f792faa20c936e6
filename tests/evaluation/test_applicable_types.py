"""The policy types that apply to a caller, and the sentences that explain why others do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from iam_guard import AccessRequest, Principal
from iam_guard.evaluation.applicable_types import (
    applicable_policies,
    identity_exemption,
    rcp_exemption,
    scp_exemption,
    session_exemption,
)
from iam_guard.evaluation.bundle import bundle
from iam_guard.evaluation.evaluator import decide
from iam_guard.evaluation.explainer import explain
from iam_guard.evaluation.explanation import Standing
from iam_guard.model.decision import PolicyType
from tests.tables import table

A = "111122223333"
ADA = Principal.from_arn(f"arn:aws:iam::{A}:user/ada")
ROOT = Principal.from_arn(f"arn:aws:iam::{A}:root")
SERVICE = Principal.service("events.amazonaws.com")
ANONYMOUS = Principal.anonymous()
LINKED = Principal.from_arn(
    f"arn:aws:sts::{A}:assumed-role/Linked/s1", role_arn=f"arn:aws:iam::{A}:role/aws-service-role/x/Linked"
)
INSTANCE = f"arn:aws:ec2:us-east-1:{A}:instance/1"
KEY = f"arn:aws:kms:us-east-1:{A}:key/1"
LINKED_ROLE = f"arn:aws:iam::{A}:role/aws-service-role/x/Linked"


def policy(effect: str = "Allow", action: str = "*", **more: Any) -> dict[str, Any]:
    statement = {"Effect": effect, "Action": action, "Resource": "*", **more}
    return {"Version": "2012-10-17", "Statement": statement}


EVERYTHING, DENY = policy(), policy("Deny")
EVERYTHING_FOR_ALL, NOTHING_FOR_ALL = policy(Principal="*"), policy(action="a:B", Principal="*")


@table(
    ("principal", "of_its_own", "scps"),
    [
        (ADA, None, None),
        (ROOT, "the root user has no attached policies", None),
        (LINKED, None, "service control policies do not limit service-linked roles"),
        (
            SERVICE,
            "a service principal has no attached policies",
            "service control policies do not limit service principals",
        ),
        (
            ANONYMOUS,
            "an anonymous caller has no attached policies",
            "service control policies do not limit anonymous callers",
        ),
    ],
)
def test_exempt_caller_has_a_reason(principal: Principal, of_its_own: str | None, scps: str | None) -> None:
    """F.2, E-10: the whole sentence."""
    assert identity_exemption(principal) == of_its_own
    assert scp_exemption(principal) == scps


@table(
    ("principal", "action", "resource", "why"),
    [
        (ADA, "s3:getobject", "*", None),
        (ADA, "docs:get", "*", None),
        (LINKED, "s3:getobject", "*", "resource control policies do not limit service-linked roles"),
        (ADA, "kms:retiregrant", KEY, "resource control policies do not limit kms:RetireGrant"),
        (ADA, "kms:decrypt", KEY, None),
        (
            ADA,
            "sts:assumerole",
            LINKED_ROLE,
            "resource control policies do not limit who can assume a service-linked role",
        ),
        (ADA, "ec2:runinstances", INSTANCE, "resource control policies do not apply to this service"),
        (ADA, "iam:getrole", LINKED_ROLE, "resource control policies do not apply to this service"),
    ],
)
def test_request_exempt_from_rcps_has_a_reason(
    principal: Principal, action: str, resource: str, why: str | None
) -> None:
    """E-11, E-16: the whole sentence."""
    assert rcp_exemption(AccessRequest(principal, action, resource), action, own=False) == why


def test_rcps_apply_to_an_own_service_with_an_aws_prefix() -> None:
    """E-16: with `own_service` RCPs apply to an unsupported prefix, for the decision and for its explanation."""
    request = AccessRequest(ADA, "ec2:RunInstances", INSTANCE)
    policies = bundle(identity=[EVERYTHING], rcps=[[NOTHING_FOR_ALL]])
    assert decide(request, policies).allowed
    own = replace(policies, own_service=True)
    assert not decide(request, own).allowed
    (rcps,) = (each for each in explain(request, own).types if each.type is PolicyType.RCP)
    assert rcps.standing is Standing.LACKS_ALLOW


def test_bundle_that_applies_in_full_is_not_copied() -> None:
    """Most requests need no bundle of their own."""
    full = bundle(identity=[EVERYTHING], scps=[[EVERYTHING]], rcps=[[EVERYTHING_FOR_ALL]])
    assert applicable_policies(AccessRequest(ADA, "docs:Get", "*"), "docs:get", full) is full


@table("type", ["identity", "session", "permissions_boundary"])
def test_identity_policies_of_exempt_callers_are_ignored(type: str) -> None:
    """F.2: identity policies passed for a root user, a service or an anonymous caller have no effect."""
    documents: dict[str, Any] = {type: DENY if type == "permissions_boundary" else [DENY]}
    for principal in (ROOT, SERVICE, ANONYMOUS):
        request = AccessRequest(principal, "docs:Get", f"arn:aws:docs:us-east-1:{A}:document/7")
        assert decide(request, bundle(resource=EVERYTHING_FOR_ALL, **documents)).allowed
    request = AccessRequest(ADA, "docs:Get", f"arn:aws:docs:us-east-1:{A}:document/7")
    assert not decide(request, bundle(resource=EVERYTHING_FOR_ALL, **documents)).allowed


ASSUMED = replace(ROOT, session={"aws:AssumedRoot": "true"})


def of_root(caller: Principal, session: list[dict[str, Any]], **more: Any) -> bool:
    return decide(AccessRequest(caller, "a:B", INSTANCE), bundle(session=session, **more)).allowed


def test_session_policies_limit_assume_root() -> None:
    """S-35: only the root session of AssumeRoot has session policies."""
    for caller, limited in ((ROOT, False), (ASSUMED, True)):
        assert (session_exemption(caller) is None) is limited
        for session in ([], [policy(action="c:D")], [EVERYTHING, policy("Deny", "a:*")], [DENY]):
            assert of_root(caller, session) is not limited
            assert of_root(caller, session, resource=EVERYTHING_FOR_ALL) is not limited
        for allowing in (EVERYTHING, policy(action="a:B")):
            assert of_root(caller, [allowing])
            assert of_root(caller, [allowing], resource=EVERYTHING_FOR_ALL)


def test_session_policies_limit_assume_root_with_resource_policies() -> None:
    """E-40 and E-50: with a key policy, and with a resource of another account."""
    for caller, limited in ((ROOT, False), (ASSUMED, True)):
        for resource, action in ((KEY, "kms:Decrypt"), (KEY.replace(A, "444455556666"), "kms:Decrypt")):
            request = AccessRequest(caller, action, resource)
            assert decide(request, bundle(session=[DENY], resource=EVERYTHING_FOR_ALL)).allowed is not limited
            assert (
                decide(request, bundle(session=[policy(action="c:D")], resource=EVERYTHING_FOR_ALL)).allowed
                is not limited
            )
            for allowing in (EVERYTHING, policy(action="kms:Decrypt")):
                assert decide(request, bundle(session=[allowing], resource=EVERYTHING_FOR_ALL)).allowed


def test_explanation_shows_the_session_policies_of_assume_root() -> None:
    shown = {}
    for caller in (ROOT, ASSUMED):
        explained = explain(AccessRequest(caller, "a:B", INSTANCE), bundle(session=[DENY]))
        shown[caller.is_assumed_root] = {each.type: each.standing for each in explained.types}
    assert shown[False][PolicyType.SESSION] is Standing.EXEMPT
    assert shown[True][PolicyType.SESSION] is Standing.DENIES
    assert shown[True][PolicyType.IDENTITY] is Standing.EXEMPT
