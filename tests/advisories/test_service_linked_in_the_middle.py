"""Advisory: a role with `:role/aws-service-role/` in the middle of its path counted as service-linked.

The hole: service and resource control policies did not apply to its sessions, whatever they denied. Now a
service-linked role is recognized by the start of its path.
"""

from __future__ import annotations

from iam_guard import AccessRequest, Principal, compile_policies
from tests.tables import table

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


@table("kind", ["scps", "rcps"])
@table("path", ["/x:role/aws-service-role/", "/x/:role/aws-service-role/y/", "/aws-service-rolex/"])
def test_organization_policies_apply_to_such_a_role(path: str, kind: str) -> None:
    """A Deny of the organization applies to all roles but service-linked ones (E-10, E-11, P-14)."""
    levels = {"scps": [[ALL, NOTHING]], "rcps": [[NOTHING_OF_OURS]]}[kind]
    authorizer = compile_policies(identity=[ALL], **{kind: levels})
    request = AccessRequest(session(path), "s3:GetObject", f"arn:aws:s3:::{ACCOUNT}", resource_account=ACCOUNT)
    assert not authorizer.decide(request).allowed
    linked = AccessRequest(
        session("/aws-service-role/x.amazonaws.com/"), "s3:GetObject", request.resource, resource_account=ACCOUNT
    )
    assert authorizer.decide(linked).allowed
