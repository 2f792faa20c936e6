"""Audit records for tests, as a guard writes them."""

from __future__ import annotations

from typing import Any

ACME, GLOBEX = "111122223333", "444455556666"
RITA = f"arn:aws:iam::{ACME}:user/rita"
RITA_ID = "AIDAEXAMPLERITA000001"
ROLE = f"arn:aws:iam::{ACME}:role/team/auditor"
ROLE_ID = "AROAEXAMPLEROLE000001"
IDENTITY = {"policyType": "identity-based policy", "effect": "Allow", "policy": "P", "statement": 0}
RESOURCE = {"policyType": "resource-based policy", "effect": "Allow", "policy": "P", "statement": 0}

Record = dict[str, Any]


def user(arn: str = RITA, id: str = RITA_ID, **more: Any) -> Record:
    return {"type": "IAMUser", "principalId": id, "arn": arn, "accountId": ACME, **more}


def session(name: str = "carol", role: str = ROLE, id: str = ROLE_ID, **more: Any) -> Record:
    return {
        "type": "AssumedRole",
        "principalId": f"{id}:{name}",
        "arn": f"arn:aws:sts::{ACME}:assumed-role/{role.rpartition('/')[2]}/{name}",
        "accountId": ACME,
        "sessionContext": {"sessionIssuer": {"type": "Role", "principalId": id, "arn": role}, "attributes": {}},
        **more,
    }


def document(id: object = 7, account: str = ACME) -> str:
    return f"arn:aws:docs:us-east-1:{account}:document/{id}"


def decided(
    action: str = "docs:Get",
    resource: str | None = None,
    *,
    who: Record | None = None,
    time: str = "2026-11-24T12:00:00Z",
    outcome: str = "Allowed",
    reasons: list[Record] | None = None,
    event: str = "e",
    **extension: Any,
) -> Record:
    """Return the record of a decision, by default allowed by an identity-based policy."""
    service, _, name = action.partition(":")
    arn = document() if resource is None else resource
    account = arn.split(":")[4] if arn.count(":") > 4 else ACME
    return {
        "eventVersion": "1.11",
        "userIdentity": who or user(),
        "eventTime": time,
        "eventSource": f"{service}.amazonaws.com" if service in ("iam", "sts") else service,
        "eventName": name,
        "awsRegion": "us-east-1",
        "eventID": event,
        "recipientAccountId": account,
        **({} if arn == "*" else {"resources": [{"ARN": arn, "accountId": account}]}),
        "iamGuard": {
            "version": "1.1",
            "kind": "decision",
            "outcome": outcome,
            "reasons": [IDENTITY] if reasons is None and outcome == "Allowed" else reasons or [],
            **extension,
        },
    }


def refused(event: str, time: str = "2026-11-24T12:00:06Z") -> Record:
    """Return the record that the request of another record was rejected because it could not be written."""
    return own("audit_refused", time, refusedEventID=event)


def own(kind: str, time: str = "2026-11-24T12:00:00Z", **extension: Any) -> Record:
    """Return a record of a trail about itself."""
    identity = {"type": "AWSService", "invokedBy": "iam-guard"}
    return {
        "eventVersion": "1.11",
        "userIdentity": identity,
        "eventTime": time,
        "iamGuard": {"kind": kind, **extension},
    }
