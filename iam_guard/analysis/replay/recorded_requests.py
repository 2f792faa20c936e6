"""Parse a decided request from its audit record: enough to decide it again, or the reason why it is not.

Redacted, truncated, dropped or pseudonymised members count as unknown; their replacement text is never used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from iam_guard.errors import IamGuardError
from iam_guard.model.context import Value
from iam_guard.model.decision import Outcome, PolicySet
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Call

_EARLIEST_MINOR = 1
"""`iamGuard` version 1.1 is the first with the condition keys that the decision read."""
_AMAZON = ".amazonaws.com"
_REQUIRED = ("/userIdentity", "/eventSource", "/eventName", "/resources", "/recipientAccountId", "/iamGuard/policySet")
_OPTIONAL = ("/userIdentity/accessKeyId", "/userIdentity/userName")
_CALL_KEYS = {
    "/sourceIPAddress": "aws:sourceip",
    "/userAgent": "aws:useragent",
    "/awsRegion": "aws:requestedregion",
    "/tlsDetails": "aws:securetransport",
}
_ALTERED_LISTS = ("redacted", "truncated", "dropped", "pseudonymised")


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """One recorded decision. Condition keys are in lower case.

    `condition_values` has the keys that were read, None for an absent one; `unrecorded_keys` were read or sent, but
    their values are not in the record, with the reason: `withheld`, `redacted`, … `policies` is None if none were
    loaded. `credential_id` identifies a bearer credential.
    """

    event_id: str
    time: datetime
    outcome: Outcome
    principal: Principal
    action: str
    resource: str
    owner: str | None
    call: Call | None
    condition_values: Mapping[str, Value | None]
    unrecorded_keys: Mapping[str, str]
    policies: PolicySet | None
    epoch: int | None
    region: str
    credential_id: str | None
    reasons: tuple[str, ...]


def read_decision(record: Mapping[str, Any]) -> RecordedDecision | str | None:
    """Parse a record. Returns None for one without a decision, and the problem for one that can't be decided again."""
    try:
        if record["iamGuard"]["kind"] != "decision":
            return None
        return _problem(record) or _decision(record)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, IamGuardError):
        return "the record is incomplete"


def describe_recorded_reason(reason: Mapping[str, Any]) -> str:
    """Return a short description of a recorded reason."""
    kind = reason["policyType"]
    if reason.get("effect") is None:
        return str(reason.get("note") or f"no {kind} allows it")
    name = reason.get("sid") or f"statement {reason['statement']}"
    line = "" if reason.get("line") is None else f", line {reason['line']}"
    return f"{reason['effect']} by {name} of {reason.get('policy')} ({kind}{line})"


def _problem(record: Mapping[str, Any]) -> str | None:
    extension = record["iamGuard"]
    major, _, minor = extension["version"].partition(".")
    if major != "1" or int(minor) < _EARLIEST_MINOR:
        return "the record is of a version without the condition keys that the decision read"
    if extension.get("error") is not None:
        return "no decision could be made at the time"
    if any(place.startswith(_REQUIRED) and place not in _OPTIONAL for place in _altered(extension)):
        return "the caller, the action or the resource was redacted, truncated or pseudonymised"
    identity = record["userIdentity"]
    if identity.get("sessionContext", {}).get("assumedRoot") is not None:
        return "sessions of AssumeRoot have policies that records do not contain"
    if identity["type"] == "AWSService" and "accountId" in identity:
        return "the application's own policy is a setting, which records do not contain"
    return None


def _altered(extension: Mapping[str, Any]) -> dict[str, str]:
    """Return JSON pointers to altered members, with what was done to each: `redacted`, `truncated`, …"""
    return {place: name for name in _ALTERED_LISTS for place in extension.get(name, ())}


def _decision(record: Mapping[str, Any]) -> RecordedDecision:
    extension, identity = record["iamGuard"], record["userIdentity"]
    values, unrecorded = _keys(extension)
    values = _session_keys(identity) | values
    altered = _altered(extension)
    for place, key in _CALL_KEYS.items():
        if place in altered and key not in values:
            unrecorded.setdefault(key, altered[place])
    if identity["type"] == "AWSService" and "aws:sourceip" not in values:  # the record has the service's name instead
        unrecorded.setdefault("aws:sourceip", "not recorded")
    service, resources = record["eventSource"].removesuffix(_AMAZON), record.get("resources")
    return RecordedDecision(
        event_id=record["eventID"],
        time=datetime.fromisoformat(record["eventTime"]),
        outcome=Outcome(extension["outcome"]),
        principal=_principal(identity),
        action=f"{service}:{record['eventName']}",
        resource=resources[0]["ARN"] if resources else "*",
        owner=resources[0].get("accountId") if resources else None,
        call=_call(record),
        condition_values=values,
        unrecorded_keys=unrecorded,
        policies=_policies(extension.get("policySet")),
        epoch=extension.get("epoch"),
        region=record.get("awsRegion") or "",
        credential_id=identity.get("credentialId"),
        reasons=tuple(describe_recorded_reason(reason) for reason in extension["reasons"]),
    )


def _keys(extension: Mapping[str, Any]) -> tuple[dict[str, Value | None], dict[str, str]]:
    """Return the recorded values of the keys that were read, and the keys without a recorded value."""
    values: dict[str, Value | None] = {}
    unrecorded: dict[str, str] = {}
    altered = {
        int(place.split("/")[3]): how
        for place, how in _altered(extension).items()
        if place.startswith("/iamGuard/conditions/")
    }
    for number, condition in enumerate(extension.get("conditions", ())):
        key = condition["key"].lower()
        if condition.get("withheld") or number in altered:
            unrecorded[key] = altered.get(number, "withheld")
        elif condition.get("missing"):
            values[key] = None
        else:
            values[key] = tuple(condition["values"]) if "values" in condition else str(condition["value"])
    return values, unrecorded


def _session_keys(identity: Mapping[str, Any]) -> dict[str, Value | None]:
    """Return the session's keys that `sessionContext` always has (S-1)."""
    session = identity.get("sessionContext")
    if session is None:
        keys = ("aws:tokenissuetime", "aws:sourceidentity", "aws:multifactorauthpresent", "aws:multifactorauthage")
        return dict.fromkeys((*keys, "aws:signinsessionarn"))
    values: dict[str, Value | None] = {
        "aws:tokenissuetime": session["attributes"].get("creationDate"),
        "aws:sourceidentity": session.get("sourceIdentity"),
        "aws:signinsessionarn": session.get("signInSessionArn"),
    }
    if identity["type"] in ("IAMUser", "Root"):
        values["aws:multifactorauthpresent"] = session["attributes"]["mfaAuthenticated"]
    return values


def _principal(identity: Mapping[str, Any]) -> Principal:
    issuer = identity.get("sessionContext", {}).get("sessionIssuer", {}).get("arn")
    userid = identity.get("principalId")
    match identity["type"]:
        case "AWSService":
            return Principal.service(identity["invokedBy"])
        case "AWSAccount":
            return Principal.anonymous()
        case "WebIdentityUser":
            return Principal.federated(identity["identityProvider"], userid=str(userid), keys={})
        case "SAMLUser":
            return Principal.federated(identity["arn"], userid=str(userid), keys={})
        case kind:
            principal = Principal.from_arn(
                identity["arn"],
                role_arn=issuer if kind == "AssumedRole" else None,
                user_arn=issuer if kind == "FederatedUser" else None,
                userid=userid,
            )
    if principal.type is not _TYPE[kind]:
        raise ValueError("the ARN does not match the recorded type of caller")
    return principal


_TYPE = {
    "Root": PrincipalType.ROOT,
    "IAMUser": PrincipalType.USER,
    "AssumedRole": PrincipalType.ASSUMED_ROLE,
    "FederatedUser": PrincipalType.FEDERATED_USER,
}


def _call(record: Mapping[str, Any]) -> Call | None:
    """Rebuild the call; a plain function call has a request id, and null parameters."""
    if record["requestID"] is None:
        return None
    is_plain = record["requestParameters"] is None
    parameters = record["requestParameters"] or {}
    return Call(
        request_id=record["requestID"],
        kind="call" if is_plain else "http",
        method=parameters.get("method"),
        path=parameters.get("path"),
        host=parameters.get("host"),
        source_ip=record.get("sourceIPAddress"),
        user_agent=record.get("userAgent"),
        secure="tlsDetails" in record,
        region=record["awsRegion"],
    )


def _policies(recorded: Mapping[str, Any] | None) -> PolicySet | None:
    if recorded is None:
        return None
    return PolicySet(
        digest=recorded["digest"],
        sessions=recorded.get("sessionPolicies", 0),
        given=recorded.get("givenWithRequest", False),
        policy_required=recorded.get("policyRequired", False),
        own_service=recorded.get("ownService", False),
    )
