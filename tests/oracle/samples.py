"""Building blocks of cases for the tests of the oracle: callers, documents and a case with them."""

from __future__ import annotations

from typing import Any

Doc = dict[str, Any]

HERE, THERE = "111122223333", "444455556666"
BUCKET = "arn:aws:s3:::b/k"
KEY = f"arn:aws:kms:eu-west-1:{HERE}:key/k-1"
ROLE = f"arn:aws:iam::{HERE}:role/team/dev"
SESSION = f"arn:aws:sts::{HERE}:assumed-role/dev/ann"
USER_ARN = f"arn:aws:iam::{HERE}:user/ann"
FEDERATED_ARN = f"arn:aws:sts::{HERE}:federated-user/fred"
ROOT_ARN = f"arn:aws:iam::{HERE}:root"

USER = {"type": "User", "arn": USER_ARN, "account": HERE, "userid": "AIDAANN"}
SESSION_OF_ROLE = {
    "type": "AssumedRole",
    "arn": SESSION,
    "account": HERE,
    "role_arn": ROLE,
    "userid": "AROADEV:ann",
}
SERVICE_LINKED = {
    "type": "AssumedRole",
    "arn": f"arn:aws:sts::{HERE}:assumed-role/AWSServiceRoleForX/x",
    "account": HERE,
    "role_arn": f"arn:aws:iam::{HERE}:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX",
    "userid": "AROASLR:x",
}
FEDERATED = {"type": "FederatedUser", "arn": FEDERATED_ARN, "account": HERE, "user_arn": USER_ARN}
ROOT = {"type": "Root", "arn": ROOT_ARN, "account": HERE}
SERVICE = {"type": "Service", "arn": "events.amazonaws.com", "account": None}
ANONYMOUS = {"type": "Anonymous", "arn": "anonymous", "account": None}


def statement(effect: str = "Allow", **elements: Any) -> Doc:
    """Return a statement for every action and resource, with the elements replaced; `None` removes an element."""
    members = {"Effect": effect, "Action": "*", "Resource": "*", **elements}
    return {key: value for key, value in members.items() if value is not None}


def doc(*statements: Doc, version: str = "2012-10-17") -> Doc:
    """Return a document."""
    return {"Version": version, "Statement": list(statements)}


def allow(**elements: Any) -> Doc:
    """Return a document that allows."""
    return doc(statement("Allow", **elements))


def deny(**elements: Any) -> Doc:
    """Return a document that denies, and also allows everything."""
    principal = {"Principal": "*"} if "Principal" in elements or "NotPrincipal" in elements else {}
    return doc(statement("Deny", **elements), statement("Allow", **principal))


def trust(*names: str, key: str = "AWS", **elements: Any) -> Doc:
    """Return a resource-based document that allows the named principals."""
    return allow(Principal={key: list(names)}, **elements)


def case(
    principal: Doc = USER,
    action: str = "s3:GetObject",
    on: str = BUCKET,
    *,
    owner: str = HERE,
    context: Doc | None = None,
    **policies: Any,
) -> Doc:
    """Return a case of section N."""
    request = {
        "principal": principal,
        "action": action,
        "resource": on,
        "resource_account": owner,
        "context": context or {},
    }
    none: Doc = {
        "identity": [],
        "resource": None,
        "permissions_boundary": None,
        "session": None,
        "scps": None,
        "rcps": None,
    }
    return {"id": "sample", "rule": "", "request": request, "policies": {**none, **policies}, "expected": "", "why": ""}
