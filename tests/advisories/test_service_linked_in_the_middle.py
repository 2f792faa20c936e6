"""Advisory: a role whose path has `:role/aws-service-role/` in its middle passed for a service-linked role.

Neither service control policies nor resource control policies limited its sessions then, whatever they denied. A
service-linked role is now known by the beginning of its path.
"""

from __future__ import annotations

import pytest

from iam_guard import AccessRequest, Principal, compile_policies

ACCOUNT = "111122223333"
ALL = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
NOTHING = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}
NOTHING_OF_OURS = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"},
}


def session(path: str) -> Principal:
    role = f"arn:aws:iam::{ACCOUNT}:role{path}R"
    return Principal.from_arn(f"arn:aws:sts::{ACCOUNT}:assumed-role/R/s", role_arn=role)


@pytest.mark.parametrize("kind", ["scps", "rcps"])
@pytest.mark.parametrize("path", ["/x:role/aws-service-role/", "/x/:role/aws-service-role/y/", "/aws-service-rolex/"])
def test_the_policies_of_the_organization_limit_it(path: str, kind: str) -> None:
    """A Deny of the organization holds for every role but those that are service-linked (E-10, E-11, P-14)."""
    levels = {"scps": [[ALL, NOTHING]], "rcps": [[NOTHING_OF_OURS]]}[kind]
    authorizer = compile_policies(identity=[ALL], **{kind: levels})
    asked = AccessRequest(session(path), "s3:GetObject", f"arn:aws:s3:::{ACCOUNT}", resource_account=ACCOUNT)
    assert not authorizer.decide(asked).allowed
    linked = AccessRequest(
        session("/aws-service-role/x.amazonaws.com/"), "s3:GetObject", asked.resource, resource_account=ACCOUNT
    )
    assert authorizer.decide(linked).allowed
