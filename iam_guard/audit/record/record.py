"""Convert a decision, a refused credential or an error to one CloudTrail-shaped record.

Pure: time, ids and durations are arguments. The member names are those of CloudTrail's eventVersion 1.11; what
CloudTrail lacks is in the member `iamGuard`, which has its own version. CloudTrail's rule applies to both: a new member
raises the minor number, a removed or changed one the major number.

Details that may surprise:
- `eventSource` of an AWS service that iam_guard provides is AWS's name (`iam.amazonaws.com`), so that existing
  CloudTrail queries find it. The application's own services have no DNS name: theirs is the prefix of the action
  (`docs`), as in policies and ARNs.
- Calls to those AWS services are management events; calls to the application's resources are data events.
- `sharedEventID` marks a cross-account call. CloudTrail delivers such an event to both accounts under one such id; here
  one line serves both, so it equals `eventID`.
- `responseElements` is null: the record is written before the handler runs. The result of a call to our own API has a
  record of its own (`result_record`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from iam_guard.audit.record.condition_values import ListedKeys
from iam_guard.audit.record.identity import is_of_browser, present, stated_reason, unknown_identity, user_identity
from iam_guard.audit.record.redaction import clip, mask
from iam_guard.errors import AccessDenied, DecisionUnavailable, IamGuardError
from iam_guard.model.decision import Decision, Outcome, PolicySet, PolicyType, Reason
from iam_guard.model.own_services import PREFIXES
from iam_guard.model.principal import CredentialKind, Principal, PrincipalType
from iam_guard.model.request import Call
from iam_guard.settings import Settings

EVENT_VERSION = "1.11"
IAM_GUARD_VERSION = "1.4"
AUTHENTICATE = "iam-guard:Authenticate"
"""The action in records of refused credentials."""
UNDECIDED = "iam-guard:Decide"
"""The action in records of requests that were refused before their action was known."""
MAX_REASONS = 8
"""Recorded reasons of one decision; the one that AWS reports comes first (rule E-90)."""
MAX_SHADOW_REASONS = 2
"""Recorded reasons of a shadow decision."""

READ_ONLY_VERBS = (
    "BatchDescribe BatchGet Check Count Describe Download Get Head List Lookup Preview"
    " Query Read Scan Search Simulate Validate View"
).split()
"""First words of the names of read-only actions."""

_READ_ONLY = re.compile(f"(?:{'|'.join(READ_ONLY_VERBS)})(?![a-z])")

_LAYER = {
    PolicyType.IDENTITY: "Identity",
    PolicyType.RESOURCE: "Resource",
    PolicyType.BOUNDARY: "Boundary",
    PolicyType.SESSION: "Session",
    PolicyType.SCP: "SCP",
    PolicyType.RCP: "RCP",
    PolicyType.VPC_ENDPOINT: "VpcEndpoint",
    PolicyType.TRUST: "Trust",
}

_VERDICT = {
    Outcome.ALLOWED: "Allow",
    Outcome.IMPLICITLY_DENIED: "ImplicitDeny",
    Outcome.EXPLICITLY_DENIED: "ExplicitDeny",
}


@dataclass(frozen=True, slots=True)
class Stamp:
    """The external facts of a record: its time, its id, and its trace."""

    time: datetime
    event_id: str
    region: str = "us-east-1"
    """Used if no call provides the region."""
    trace_id: str | None = None
    span_id: str | None = None


DEFAULT_KEYS = ListedKeys(Settings().audit_condition_keys)
"""The condition keys whose values are recorded by default."""


def decision_record(
    decision: Decision,
    call: Call | None,
    stamp: Stamp,
    *,
    duration: float | None = None,
    keys: ListedKeys = DEFAULT_KEYS,
    shadow: Decision | None = None,
) -> dict[str, object]:
    """Return the record of one decision.

    `duration` is in seconds, `keys` are the condition keys whose values are recorded, and `shadow` is the differing
    decision of the candidate policies, which was not enforced.
    """
    request = decision.request
    record = envelope(request.action, call, stamp)
    record["userIdentity"] = user_identity(request.principal)
    if request.principal.type is PrincipalType.SERVICE:
        record["sourceIPAddress"] = request.principal.arn  # as CloudTrail does for service callers
    if not decision.allowed:
        refusal = AccessDenied if decision.error is None else DecisionUnavailable
        record["errorCode"] = refusal.code
        record["errorMessage"] = clip(decision.error or decision.message())
    add_resource(record, request.resource, request.owner, request.principal)
    record["iamGuard"] = extension(
        "decision",
        stamp,
        {
            "outcome": decision.outcome.value,
            "reason": reason_code(decision),
            "statedReason": stated_reason(request.principal),
            "reasons": [describe_reason(reason) for reason in decision.reasons[:MAX_REASONS]],
            "omittedReasons": len(decision.reasons) - MAX_REASONS if len(decision.reasons) > MAX_REASONS else None,
            "policySet": describe_policy_set(decision.policy_set),
            **json.loads(f"{{{keys.serialize(request.read)[1:]}}}"),
            "epoch": decision.epoch,
            "stale": decision.stale,
            "enforced": True,
            "durationMicros": None if duration is None else round(duration * 1_000_000),
            "error": decision.error,
            "shadow": None if shadow is None else _shadow_members(shadow),
            "redacted": list(action_facts(request.action).redacted) or None,
        },
    )
    return record


def _shadow_members(shadow: Decision) -> dict[str, object]:
    """Return the outcome and the reasons of the candidate policies."""
    return present(
        {
            "enforced": False,
            "outcome": None if shadow.error else shadow.outcome.value,
            "reason": reason_code(shadow),
            "reasons": [describe_reason(reason) for reason in shadow.reasons[:MAX_SHADOW_REASONS]],
            "policySet": describe_policy_set(shadow.policy_set),
            "error": shadow.error,
        }
    )


def authentication_record(
    error: IamGuardError,
    call: Call | None,
    stamp: Stamp,
    *,
    kind: CredentialKind = "unknown",
    credential_id: str | None = None,
) -> dict[str, object]:
    """Return the record of refused credentials; there is no decision, since the caller is unknown."""
    record = envelope(AUTHENTICATE, call, stamp)
    record["userIdentity"] = unknown_identity(kind, credential_id)
    record["errorCode"] = error.code
    record["errorMessage"] = clip(error.message)
    members: dict[str, object] = {"reason": error.code, "credentialKind": kind, "place": error.place}
    record["iamGuard"] = extension("authentication", stamp, members)
    return record


def error_record(
    error: IamGuardError,
    call: Call | None,
    stamp: Stamp,
    *,
    principal: Principal | None = None,
    action: str = UNDECIDED,
    resource: str = "*",
) -> dict[str, object]:
    """Return the record of a request that was refused without a decision (rule E-6)."""
    record = envelope(action, call, stamp)
    record["userIdentity"] = {"type": "Unknown"} if principal is None else user_identity(principal)
    record["errorCode"] = error.code
    record["errorMessage"] = clip(error.message)
    add_resource(record, resource, None, principal)
    members: dict[str, object] = {
        "outcome": Outcome.IMPLICITLY_DENIED.value,
        "reason": "Error",
        "statedReason": stated_reason(principal),
        "place": error.place,
        "redacted": list(action_facts(action).redacted) or None,
    }
    record["iamGuard"] = extension("error", stamp, members)
    return record


def reason_code(decision: Decision) -> str:
    """Return the reason as one of a few codes: `AllowIdentity`, `ExplicitDenySCP`, `ImplicitDenyBoundary`, `Error`, …

    `AllowDefault` is an Allow without a statement (the root user in its own account, rule E-5).
    """
    if decision.error is not None:
        return "Error"
    first = decision.reasons[0] if decision.reasons else None
    has_layer = first is not None and (first.effect is not None or not decision.allowed)
    return _VERDICT[decision.outcome] + (_LAYER[first.policy_type] if first is not None and has_layer else "Default")


def event_time(moment: datetime) -> str:
    """Format a time as CloudTrail does: in UTC, to the second."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return _format_second(moment.replace(microsecond=0))


@lru_cache(maxsize=8)
def _format_second(second: datetime) -> str:
    """Format a UTC time, cached because all records of one second share it."""
    return second.isoformat()[:19] + "Z"


def envelope(action: str, call: Call | None, stamp: Stamp) -> dict[str, object]:
    """Return the members that all records have, in CloudTrail's order."""
    facts = action_facts(action)
    return {
        "eventVersion": EVENT_VERSION,
        "userIdentity": None,
        "eventTime": event_time(stamp.time),
        "eventSource": facts.source,
        "eventName": facts.name,
        "awsRegion": stamp.region if call is None else call.region,
        "sourceIPAddress": None if call is None else call.source_ip,
        "userAgent": None if call is None else _clip(call.user_agent),
        "requestParameters": None if call is None else request_parameters(call),
        "responseElements": None,
        "requestID": None if call is None else call.request_id,
        "eventID": stamp.event_id,
        "readOnly": facts.read_only,
        "eventType": "AwsApiCall",
        "managementEvent": facts.is_management,
        "recipientAccountId": None,
        "eventCategory": "Management" if facts.is_management else "Data",
        **_tls_details(call),
    }


@dataclass(frozen=True, slots=True)
class ActionFacts:
    """Facts derived from the name of an action."""

    source: str
    name: str
    read_only: bool
    is_management: bool
    redacted: tuple[str, ...] = ()
    """Pointers to both members of the action's name, if a secret was masked in the whole name."""


@lru_cache(maxsize=4096)
def action_facts(action: str) -> ActionFacts:
    """Return the action's service and name, whether it is read-only, and whether it is a management event."""
    masked = mask(action)
    service, _, name = masked.partition(":")
    is_aws = service in PREFIXES
    return ActionFacts(
        source=f"{service}.amazonaws.com" if is_aws else service,
        name=name,
        read_only=_READ_ONLY.match(name) is not None,
        is_management=is_aws or service == "iam-guard",
        redacted=() if masked == action else ("/eventSource", "/eventName"),
    )


def request_parameters(call: Call) -> dict[str, object] | None:
    """Return method, path and host, without the query string, which may contain a signature or a token."""
    path = None if call.path is None else clip(call.path).partition("?")[0]
    return present({"method": _clip(call.method), "path": path, "host": _clip(call.host)}) or None


def _clip(text: str | None) -> str | None:
    """Clip a string; pass on other types, which `to_line` rejects or writes."""
    return clip(text) if isinstance(text, str) else text


def _tls_details(call: Call | None) -> dict[str, object]:
    """Return `tlsDetails` for a call over TLS; only the host is known."""
    if call is None or not call.secure or call.host is None:
        return {}
    return {"tlsDetails": {"clientProvidedHostHeader": _clip(call.host)}}


def add_resource(record: dict[str, object], arn: str, owner: str | None, principal: Principal | None) -> None:
    """Add `resources`, `recipientAccountId` and, for a cross-account call or a browser session, CloudTrail's mark."""
    caller = None if principal is None else principal.account
    record["recipientAccountId"] = owner or caller
    if arn != "*":
        record["resources"] = [present({"ARN": clip(arn), "accountId": owner})]
    if owner is not None and caller is not None and owner != caller:
        record["sharedEventID"] = record["eventID"]
    if principal is not None and is_of_browser(principal):
        record["sessionCredentialFromConsole"] = "true"


def describe_reason(reason: Reason) -> dict[str, object]:
    """Return the known facts of a reason's policy and statement."""
    policy = reason.policy
    return present(
        {
            "policyType": reason.policy_type.value,
            "effect": reason.effect,
            "policy": None if policy is None else policy.name,
            "policyArn": None if policy is None else policy.arn,
            "digest": None if policy is None else policy.digest,
            "statement": reason.statement,
            "sid": reason.sid,
            "line": reason.line,
            "note": reason.note,
        }
    )


def describe_policy_set(policies: PolicySet | None) -> dict[str, object] | None:
    """Return which policies decided, and what else is needed to decide again."""
    if policies is None:
        return None
    return present(
        {
            "digest": policies.digest,
            "sessionPolicies": policies.sessions or None,
            "givenWithRequest": policies.given or None,
            "policyRequired": policies.policy_required or None,
            "ownService": policies.own_service or None,
        }
    )


def extension(kind: str, stamp: Stamp, members: Mapping[str, object]) -> dict[str, object]:
    """Return `iamGuard` without the members that are None."""
    return present(
        {
            "version": IAM_GUARD_VERSION,
            "kind": kind,
            **members,
            "traceId": stamp.trace_id,
            "spanId": stamp.span_id,
        }
    )
