"""The boundary of a caller limits a grant by a role trust policy."""

from __future__ import annotations

from typing import Any

from iam_guard import AccessRequest, Outcome, Principal, compile_policies
from tests.tables import table

A = "111122223333"
ADA = Principal.from_arn(f"arn:aws:iam::{A}:user/ada")
ROLE = f"arn:aws:iam::{A}:role/Reader"
OTHER_ROLE = f"arn:aws:iam::{A}:role/Writer"


def policy(**statement: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", **statement}}


@table(
    ("boundary", "outcome"),
    [
        (policy(Resource=ROLE), Outcome.ALLOWED),
        (policy(Resource=OTHER_ROLE), Outcome.IMPLICITLY_DENIED),
        (policy(Resource="*", Condition={"StringEquals": {"sts:ExternalId": "x"}}), Outcome.ALLOWED),
        (policy(Resource="*", Condition={"StringEquals": {"sts:ExternalId": "y"}}), Outcome.IMPLICITLY_DENIED),
    ],
)
def test_boundary_limits_a_direct_grant_by_a_trust_policy(boundary: dict[str, Any], outcome: Outcome) -> None:
    """E-48: evaluated for this request, with its resource and context."""
    trust = policy(Principal={"AWS": ADA.arn})
    request = AccessRequest(ADA, "sts:AssumeRole", ROLE, {"sts:ExternalId": "x"})
    assert compile_policies(resource=trust, permissions_boundary=boundary).decide(request).outcome is outcome
