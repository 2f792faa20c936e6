"""From a decision, a refused credential or an error to one CloudTrail-shaped record (design 4.4).

Pure: time, ids and durations are arguments. The member names are those of CloudTrail's eventVersion 1.11; what
CloudTrail lacks stands in the one member `iamGuard`, which has a version of its own. CloudTrail's rule holds for both:
a new member raises the minor number, a removed or changed one the major number.

Odd at first sight:
- `eventSource` of an AWS service that we are ourselves is AWS's name (`iam.amazonaws.com`), so that ready-made
  CloudTrail queries find it. The application's own services are not Amazon's and have no DNS name: theirs is the
  prefix of the action (`docs`), which is what policies and ARNs call them too.
- Calls to those AWS services are management events; calls to the application's resources are data events.
- `sharedEventID` marks a cross-account call. CloudTrail delivers such an event to both accounts under one such id; here
  one line stands for both, so it is the `eventID`.
- `responseElements` is null: the record is written before the handler runs. What a call of our own API came to has a
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
from iam_guard.audit.record.identity import present, unknown_identity, user_identity
from iam_guard.audit.record.redaction import clipped, mask
from iam_guard.errors import AccessDenied, DecisionUnavailable, IamGuardError
from iam_guard.model.decision import Decision, Outcome, PolicySet, PolicyType, Reason
from iam_guard.model.own_services import PREFIXES
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Call
from iam_guard.settings import Settings

EVENT_VERSION = "1.11"
IAM_GUARD_VERSION = "1.2"
AUTHENTICATE = "iam-guard:Authenticate"
"""What stands in the place of the action where credentials were refused."""
UNDECIDED = "iam-guard:Decide"
"""The same where a request was refused before anybody knew its action."""
MAX_REASONS = 8
"""Reasons of one decision that are recorded; the one that AWS reports comes first (rule E-90)."""
MAX_SHADOW_REASONS = 2
"""The same of a candidate's decision."""

READ_ONLY_VERBS = (
    "BatchDescribe",
    "BatchGet",
    "Check",
    "Count",
    "Describe",
    "Download",
    "Get",
    "Head",
    "List",
    "Lookup",
    "Preview",
    "Query",
    "Read",
    "Scan",
    "Search",
    "Simulate",
    "Validate",
    "View",
)
"""First words of the names of actions that change nothing."""

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
    """What the outside world adds to a record: when it was made, its id, the trace it belongs to."""

    time: datetime
    event_id: str
    region: str = "us-east-1"
    """Where there is no call that knows its region."""
    trace_id: str | None = None
    span_id: str | None = None


DEFAULT_KEYS = ListedKeys(Settings().audit_condition_keys)
"""The condition keys whose values are told where nothing is set."""


def decision_record(
    decision: Decision,
    call: Call | None,
    stamp: Stamp,
    *,
    duration: float | None = None,
    keys: ListedKeys = DEFAULT_KEYS,
    shadow: Decision | None = None,
) -> dict[str, object]:
    """Describe one decision; `duration` is in seconds, `keys` are the condition keys whose values are told.

    `shadow` is the decision of a candidate that differs, and was not enforced.
    """
    request = decision.request
    record = envelope(request.action, call, stamp)
    record["userIdentity"] = user_identity(request.principal)
    if request.principal.type is PrincipalType.SERVICE:
        record["sourceIPAddress"] = request.principal.arn  # CloudTrail's way for callers that are services
    if not decision.allowed:
        refusal = AccessDenied if decision.error is None else DecisionUnavailable
        record["errorCode"] = refusal.code
        record["errorMessage"] = clipped(decision.error or decision.message())
    add_resource(record, request.resource, request.owner, request.principal)
    record["iamGuard"] = extension(
        "decision",
        stamp,
        {
            "outcome": decision.outcome.value,
            "reason": reason_word(decision),
            "reasons": [describe_reason(reason) for reason in decision.reasons[:MAX_REASONS]],
            "omittedReasons": len(decision.reasons) - MAX_REASONS if len(decision.reasons) > MAX_REASONS else None,
            "policySet": describe_policy_set(decision.policy_set),
            **json.loads(f"{{{keys.written(request.read)[1:]}}}"),
            "epoch": decision.epoch,
            "stale": decision.stale,
            "enforced": True,
            "durationMicros": None if duration is None else round(duration * 1_000_000),
            "error": decision.error,
            "shadow": None if shadow is None else _not_enforced(shadow),
            "redacted": list(action_facts(request.action).redacted) or None,
        },
    )
    return record


def _not_enforced(shadow: Decision) -> dict[str, object]:
    """Describe what a candidate would have answered, and why."""
    return present(
        {
            "enforced": False,
            "outcome": None if shadow.error else shadow.outcome.value,
            "reason": reason_word(shadow),
            "reasons": [describe_reason(reason) for reason in shadow.reasons[:MAX_SHADOW_REASONS]],
            "policySet": describe_policy_set(shadow.policy_set),
            "error": shadow.error,
        }
    )


def authentication_record(
    error: IamGuardError, call: Call | None, stamp: Stamp, *, kind: str = "unknown", credential_id: str | None = None
) -> dict[str, object]:
    """Describe credentials that were refused; there is no decision, since nobody knows who asked."""
    record = envelope(AUTHENTICATE, call, stamp)
    record["userIdentity"] = unknown_identity(kind, credential_id)
    record["errorCode"] = error.code
    record["errorMessage"] = clipped(error.message)
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
    """Describe a request that was refused without a decision (rule E-6)."""
    record = envelope(action, call, stamp)
    record["userIdentity"] = {"type": "Unknown"} if principal is None else user_identity(principal)
    record["errorCode"] = error.code
    record["errorMessage"] = clipped(error.message)
    add_resource(record, resource, None, principal)
    members: dict[str, object] = {
        "outcome": Outcome.IMPLICITLY_DENIED.value,
        "reason": "Error",
        "place": error.place,
        "redacted": list(action_facts(action).redacted) or None,
    }
    record["iamGuard"] = extension("error", stamp, members)
    return record


def reason_word(decision: Decision) -> str:
    """Say in one word of a small set why: `AllowIdentity`, `ExplicitDenySCP`, `ImplicitDenyBoundary`, `Error`, …

    `AllowDefault` is an Allow that no statement gave (the root user in its own account, rule E-5).
    """
    if decision.error is not None:
        return "Error"
    first = decision.reasons[0] if decision.reasons else None
    spoken = first is not None and (first.effect is not None or not decision.allowed)
    return _VERDICT[decision.outcome] + (_LAYER[first.policy_type] if first is not None and spoken else "Default")


def event_time(moment: datetime) -> str:
    """Write a moment as CloudTrail does: in UTC, to the second."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return _second_text(moment.replace(microsecond=0))


@lru_cache(maxsize=8)
def _second_text(second: datetime) -> str:
    """Write a second of UTC; every record of one second asks for the same."""
    return second.isoformat()[:19] + "Z"


def envelope(action: str, call: Call | None, stamp: Stamp) -> dict[str, object]:
    """Fill what records of every kind have in common, in CloudTrail's order."""
    facts = action_facts(action)
    return {
        "eventVersion": EVENT_VERSION,
        "userIdentity": None,
        "eventTime": event_time(stamp.time),
        "eventSource": facts.source,
        "eventName": facts.name,
        "awsRegion": stamp.region if call is None else call.region,
        "sourceIPAddress": None if call is None else call.source_ip,
        "userAgent": None if call is None else _clipped(call.user_agent),
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
    """What the name of an action says about it."""

    source: str
    name: str
    read_only: bool
    is_management: bool
    redacted: tuple[str, ...] = ()
    """Where a secret was masked that only the whole shows, for in a record it stands in two members."""


@lru_cache(maxsize=4096)
def action_facts(action: str) -> ActionFacts:
    """Return whose action it is, its name, whether it changes anything and whether it is about AWS's own services."""
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
    """Return method, path and host; never the query string, which may carry a signature or a token."""
    path = None if call.path is None else clipped(call.path).partition("?")[0]
    return present({"method": _clipped(call.method), "path": path, "host": _clipped(call.host)}) or None


def _clipped(text: str | None) -> str | None:
    """Clip a text; what is none, though an application handed it in as one, is left to whoever writes the line."""
    return clipped(text) if isinstance(text, str) else text


def _tls_details(call: Call | None) -> dict[str, object]:
    """Return `tlsDetails` where the call came over TLS; of its members only the host is known here."""
    if call is None or not call.secure or call.host is None:
        return {}
    return {"tlsDetails": {"clientProvidedHostHeader": _clipped(call.host)}}


def add_resource(record: dict[str, object], arn: str, owner: str | None, principal: Principal | None) -> None:
    """Add `resources`, `recipientAccountId` and, for a cross-account call, `sharedEventID`."""
    caller = None if principal is None else principal.account
    record["recipientAccountId"] = owner or caller
    if arn != "*":
        record["resources"] = [present({"ARN": clipped(arn), "accountId": owner})]
    if owner is not None and caller is not None and owner != caller:
        record["sharedEventID"] = record["eventID"]


def describe_reason(reason: Reason) -> dict[str, object]:
    """Return who spoke, as far as it is known."""
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
    """Fill `iamGuard`; what is None is left out."""
    return present(
        {
            "version": IAM_GUARD_VERSION,
            "kind": kind,
            **members,
            "traceId": stamp.trace_id,
            "spanId": stamp.span_id,
        }
    )
