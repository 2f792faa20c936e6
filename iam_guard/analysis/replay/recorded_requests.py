"""What an audit record says of a decided request: enough to decide it again, or why it is not enough.

What was masked, cut, dropped or made a pseudonym counts as not told, never as the text that stands there instead. Must
not live here: what a record has (`audit/record/record`), deciding (`replayer`).
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
"""The version 1.1 of `iamGuard` is the first that tells what a decision read."""
_AMAZON = ".amazonaws.com"
_NEEDED = ("/userIdentity", "/eventSource", "/eventName", "/resources", "/recipientAccountId", "/iamGuard/policySet")
_NOT_NEEDED = ("/userIdentity/accessKeyId", "/userIdentity/userName")
_OF_THE_CALL = {
    "/sourceIPAddress": "aws:sourceip",
    "/userAgent": "aws:useragent",
    "/awsRegion": "aws:requestedregion",
    "/tlsDetails": "aws:securetransport",
}
_MARKS = ("redacted", "truncated", "dropped", "pseudonymised")


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """One decision as recorded. Condition keys are in lower case.

    `told` has the keys that were read, None for a missing one; `untold` those that were read or sent, whose values the
    record does not have. `policies` is None where none were asked. `credential_id` is that of a bearer credential.
    """

    event_id: str
    time: datetime
    outcome: Outcome
    principal: Principal
    action: str
    resource: str
    owner: str | None
    call: Call | None
    told: Mapping[str, Value | None]
    untold: frozenset[str]
    policies: PolicySet | None
    credential_id: str | None
    reasons: tuple[str, ...]


def read_decision(record: Mapping[str, Any]) -> RecordedDecision | str | None:
    """Read a record; None for one that tells no decision, a sentence for a decision that cannot be made again."""
    try:
        if record["iamGuard"]["kind"] != "decision":
            return None
        return _problem(record) or _decision(record)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, IamGuardError):
        return "the record is not whole"


def reason_in_words(reason: Mapping[str, Any]) -> str:
    """Say in a few words what a recorded reason says."""
    kind = reason["policyType"]
    if reason.get("effect") is None:
        return str(reason.get("note") or f"no {kind} allows it")
    name = reason.get("sid") or f"statement {reason['statement']}"
    line = "" if reason.get("line") is None else f", line {reason['line']}"
    return f"{reason['effect']} by {name} of {reason.get('policy')} ({kind}{line})"


def _problem(record: Mapping[str, Any]) -> str | None:
    said = record["iamGuard"]
    major, _, minor = said["version"].partition(".")
    if major != "1" or int(minor) < _EARLIEST_MINOR:
        return "the record is of a version that does not tell what the decision read"
    if said.get("error") is not None:
        return "no decision could be made at the time"
    if any(place.startswith(_NEEDED) and place not in _NOT_NEEDED for place in _spoilt(said)):
        return "the caller, the action or the resource was masked, cut or made a pseudonym"
    if record["userIdentity"].get("sessionContext", {}).get("assumedRoot") is not None:
        return "sessions of AssumeRoot carry policies that no record has"
    return None


def _spoilt(said: Mapping[str, Any]) -> list[str]:
    return [place for mark in _MARKS for place in said.get(mark, ())]


def _decision(record: Mapping[str, Any]) -> RecordedDecision:
    said, identity = record["iamGuard"], record["userIdentity"]
    told, untold = _keys(said)
    told = _session_keys(identity) | told
    untold |= {key for place, key in _OF_THE_CALL.items() if place in _spoilt(said) and key not in told}
    if identity["type"] == "AWSService":  # whose name stands in the place of its address
        untold |= {"aws:sourceip"} - told.keys()
    service, resources = record["eventSource"].removesuffix(_AMAZON), record.get("resources")
    return RecordedDecision(
        event_id=record["eventID"],
        time=datetime.fromisoformat(record["eventTime"]),
        outcome=Outcome(said["outcome"]),
        principal=_principal(identity),
        action=f"{service}:{record['eventName']}",
        resource=resources[0]["ARN"] if resources else "*",
        owner=resources[0].get("accountId") if resources else None,
        call=_call(record),
        told=told,
        untold=frozenset(untold),
        policies=_policies(said.get("policySet")),
        credential_id=identity.get("credentialId"),
        reasons=tuple(reason_in_words(each) for each in said["reasons"]),
    )


def _keys(said: Mapping[str, Any]) -> tuple[dict[str, Value | None], set[str]]:
    """Return the keys that are told, and those that are not though they were read."""
    told: dict[str, Value | None] = {}
    untold: set[str] = set()
    spoilt = {int(place.split("/")[3]) for place in _spoilt(said) if place.startswith("/iamGuard/conditions/")}
    for number, each in enumerate(said.get("conditions", ())):
        key = each["key"].lower()
        if each.get("withheld") or number in spoilt:
            untold.add(key)
        elif each.get("missing"):
            told[key] = None
        else:
            told[key] = tuple(each["values"]) if "values" in each else str(each["value"])
    return told, untold


def _session_keys(identity: Mapping[str, Any]) -> dict[str, Value | None]:
    """Return the keys of the session that `sessionContext` tells whether they were read or not (S-1)."""
    session = identity.get("sessionContext")
    if session is None:
        keys = ("aws:tokenissuetime", "aws:sourceidentity", "aws:multifactorauthpresent", "aws:multifactorauthage")
        return dict.fromkeys(keys)
    told: dict[str, Value | None] = {
        "aws:tokenissuetime": session["attributes"].get("creationDate"),
        "aws:sourceidentity": session.get("sourceIdentity"),
    }
    if identity["type"] in ("IAMUser", "Root"):
        told["aws:multifactorauthpresent"] = session["attributes"]["mfaAuthenticated"]
    return told


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
        case kind:
            principal = Principal.from_arn(
                identity["arn"],
                role_arn=issuer if kind == "AssumedRole" else None,
                user_arn=issuer if kind == "FederatedUser" else None,
                userid=userid,
            )
    if principal.type is not _TYPE[kind]:
        raise ValueError("the ARN is of another kind of caller than the record says")
    return principal


_TYPE = {
    "Root": PrincipalType.ROOT,
    "IAMUser": PrincipalType.USER,
    "AssumedRole": PrincipalType.ASSUMED_ROLE,
    "FederatedUser": PrincipalType.FEDERATED_USER,
}


def _call(record: Mapping[str, Any]) -> Call | None:
    """Rebuild the call; a plain function call has a request id, and null where the parameters of others stand."""
    if record["requestID"] is None:
        return None
    is_plain = record["requestParameters"] is None
    asked = record["requestParameters"] or {}
    return Call(
        request_id=record["requestID"],
        kind="call" if is_plain else "http",
        method=asked.get("method"),
        path=asked.get("path"),
        host=asked.get("host"),
        source_ip=record.get("sourceIPAddress"),
        user_agent=record.get("userAgent"),
        secure="tlsDetails" in record,
        region=record["awsRegion"],
    )


def _policies(written: Mapping[str, Any] | None) -> PolicySet | None:
    if written is None:
        return None
    return PolicySet(
        digest=written["digest"],
        sessions=written.get("sessionPolicies", 0),
        given=written.get("givenWithRequest", False),
        policy_required=written.get("policyRequired", False),
        own_service=written.get("ownService", False),
    )
