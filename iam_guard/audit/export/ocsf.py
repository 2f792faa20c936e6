"""Export of records as events of the Open Cybersecurity Schema Framework, version 1.9.0 (schema.ocsf.io).

- A refused credential is Authentication (3002).
- The result of a call for a session (`session_issue`) is Authorize Session (3003), the class for the privileges of a
  new session.
- Everything else is API Activity (6003) with the profile `security_control`: `action_id` is what the control did,
  `authorizations` are the policies that decided, `status_id` is whether the call succeeded. It is unknown in the record
  of an allowed decision, which is written before the call runs; the record of the call's result has it.

Members without an equivalent go into `unmapped`. Pure; redaction was applied when the record was written.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from iam_guard.audit.record.call_kinds import RESULT_KINDS, SESSION_ISSUE
from iam_guard.audit.record.identity import mapping, present
from iam_guard.audit.record.sign_in_record import SIGN_IN

SCHEMA_VERSION = "1.9.0"
AUTHENTICATION, AUTHORIZE_SESSION, API_ACTIVITY = 3002, 3003, 6003

UNKNOWN, CREATE, READ, UPDATE, DELETE, OTHER = 0, 1, 2, 3, 4, 99
ACTIVITIES = {
    **dict.fromkeys(("Create", "Generate", "Issue", "Upload", "Import", "Register", "Start", "Copy"), CREATE),
    **dict.fromkeys(("Update", "Put", "Set", "Attach", "Add", "Change", "Modify", "Enable", "Tag", "Write"), UPDATE),
    **dict.fromkeys(("Delete", "Remove", "Detach", "Deactivate", "Disable", "Untag", "Revoke", "Deregister"), DELETE),
}
"""First word of the name of a writing action -> activity of class 6003."""

USER_TYPES = {"IAMUser": 1, "Root": 2, "AWSService": 4, "Unknown": 0}
"""`userIdentity.type` -> `user.type_id`: user, admin, service, unknown; all other types are 99."""

HTTP_METHODS = frozenset("CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT TRACE".split())
"""The values of `http_method` in every version of the schema; another method goes into `unmapped`."""

INFORMATIONAL, LOW, MEDIUM, HIGH = 1, 2, 3, 4

_LOGONS: Final[Mapping[str, tuple[int, str]]] = {
    "ConsoleLogin": (1, "Logon"),
    "CheckMfa": (1, "Logon"),
    "ExitSession": (2, "Logoff"),
    "SwitchRole": (7, "Account Switch"),
    "ExitRole": (7, "Account Switch"),
}

Json = dict[str, Any]
Record = Mapping[str, Any]


def ocsf_event(record: Record) -> Json:
    """Return a record as an OCSF event."""
    kind = _facts(record).get("kind")
    if kind == "authentication" or (kind == SIGN_IN and record.get("eventName") in _LOGONS):
        return _authentication(record)
    return _authorize_session(record) if kind == SESSION_ISSUE else _api_activity(record)


# --- classes ---------------------------------------------------------------------------------------------------------


def _api_activity(record: Record) -> Json:
    activity = _activity(record)
    profiles = ["security_control", *(["trace"] if "traceId" in _facts(record) else [])]
    return present(
        {
            **_event(record, API_ACTIVITY, activity, profiles),
            "activity_name": record.get("eventName"),
            "actor": _actor(record),
            "api": _api(record),
            "http_request": _http_request(record),
            "resources": _resources(record),
            "src_endpoint": _src_endpoint(record),
            "trace": present({"uid": _facts(record).get("traceId")}) or None,
            **_security_control(record),
        }
    )


def _authentication(record: Record) -> Json:
    host = _http_parameters(record).get("host")
    activity, name = _LOGONS.get(str(record.get("eventName")), (1, "Logon"))
    return present(
        {
            **_event(record, AUTHENTICATION, activity, []),
            "activity_name": name,
            "user": _user(record),
            "service": {"name": str(record.get("eventSource"))},
            "dst_endpoint": None if host is None else {"hostname": host},
            "src_endpoint": _src_endpoint(record),
            "http_request": _http_request(record),
            "auth_protocol_id": UNKNOWN if _facts(record).get("credentialKind") is None else OTHER,
            "auth_protocol": _facts(record).get("credentialKind"),
            "is_remote": record.get("sourceIPAddress") is not None,
            "logon_type_id": 3,
            "logon_type": "Network",
            **(_account_switch(record) if name == "Account Switch" else {}),
        }
    )


def _account_switch(record: Record) -> Json:
    """Return how a person switched to a role or back, and who it is, where the record has it."""
    person = mapping(record.get("additionalEventData")).get("SwitchFrom")
    return {
        "account_switch_type_id": OTHER,
        "account_switch_type": record.get("eventName"),
        "actor": {"user": _named(person)} if isinstance(person, str) else None,
    }


def _authorize_session(record: Record) -> Json:
    resources = record.get("resources") or []
    roles = [_named(str(resource["ARN"])) for resource in resources if ":role/" in str(resource.get("ARN"))]
    action = f"sts:{record.get('eventName')}"
    return present(
        {
            **_event(record, AUTHORIZE_SESSION, 3 if roles else 1, []),
            "activity_name": "Assign Roles" if roles else "Assign Privileges",
            "user": _user(record),
            "iam_roles": roles or None,
            "privileges": [action],
            "session": _new_session(record) or _session(record),
            "src_endpoint": _src_endpoint(record),
        }
    )


# --- parts of the classes ----------------------------------------------------------------------------------------


def _sign_in_result(record: Record) -> tuple[object, ...]:
    """Return the result of a step of a sign-in; nothing for other records."""
    elements = record.get("responseElements")
    return tuple(elements.values()) if _facts(record).get("kind") == SIGN_IN and isinstance(elements, Mapping) else ()


def _event(record: Record, class_uid: int, activity: int, profiles: list[str]) -> Json:
    facts = _facts(record)
    is_failed = record.get("errorCode") is not None or "Failure" in _sign_in_result(record)
    status = 2 if is_failed else 1 if _is_result(record) or _sign_in_result(record) else 0
    return {
        "activity_id": activity,
        "category_uid": class_uid // 1000,
        "class_uid": class_uid,
        "type_uid": class_uid * 100 + activity,
        "severity_id": _severity(record),
        "time": _milliseconds(record.get("eventTime")),
        "message": record.get("errorMessage"),
        "status_id": status,
        "status_code": record.get("errorCode"),
        "status_detail": facts.get("reason"),
        "metadata": present(
            {
                "version": SCHEMA_VERSION,
                "product": {"name": "iam_guard", "vendor_name": "iam_guard"},
                "profiles": profiles,
                "uid": record.get("eventID"),
                "correlation_uid": record.get("requestID"),
                "event_code": record.get("eventName"),
                "original_time": record.get("eventTime"),
                "log_name": facts.get("shard"),
                "sequence": facts.get("sequence"),
                "tenant_uid": record.get("recipientAccountId"),
            }
        ),
        "unmapped": present(
            {
                "iamGuard": dict(facts),
                "awsRegion": record.get("awsRegion"),
                "readOnly": record.get("readOnly"),
                "eventCategory": record.get("eventCategory"),
                "sharedEventID": record.get("sharedEventID"),
                "tlsDetails": record.get("tlsDetails"),
                **_unmapped(record),
            }
        ),
    }


def _unmapped(record: Record) -> Json:
    """Return members that OCSF takes in other records only: an unknown method, the input of a call without an id."""
    method = _http_parameters(record).get("method")
    is_call = _is_result(record) and record.get("requestID") is None
    return {
        "httpMethod": None if method in HTTP_METHODS else method,
        "requestParameters": record.get("requestParameters") if is_call else None,
    }


def _severity(record: Record) -> int:
    facts = _facts(record)
    if facts.get("kind") == "audit_gap":
        return HIGH
    if facts.get("reason") == "Error":
        return MEDIUM
    return INFORMATIONAL if record.get("errorCode") is None else LOW


def _activity(record: Record) -> int:
    if record.get("readOnly") is True:
        return READ
    name = str(record.get("eventName"))
    word = next((end for end in range(1, len(name)) if name[end].isupper()), len(name))
    return ACTIVITIES.get(name[:word], OTHER)


def _actor(record: Record) -> Json:
    issuer = _session_issuer(record)
    role = _named(issuer["arn"]) if issuer.get("type") == "Role" and isinstance(issuer.get("arn"), str) else None
    return present({"user": _user(record), "session": _session(record), "iam_role": role})


def _user(record: Record) -> Json:
    identity = record.get("userIdentity") or {}
    kind = str(identity.get("type"))
    account = identity.get("accountId")
    name = identity.get("invokedBy") if kind == "AWSService" else identity.get("userName")
    arn = identity.get("arn")
    return present(
        {
            "type": kind,
            "type_id": USER_TYPES.get(kind, 99),
            "name": name or (str(arn).rpartition("/")[2] if arn else account or kind),
            "uid": arn,
            "uid_alt": identity.get("principalId") or None,
            "account": None if account is None else {"uid": account},
            "credential_uid": identity.get("accessKeyId") or identity.get("credentialId"),
        }
    )


def _session(record: Record) -> Json | None:
    identity = record.get("userIdentity") or {}
    context = identity.get("sessionContext")
    if not isinstance(context, dict):
        return None
    attributes = context.get("attributes") or {}
    return present(
        {
            "uid_alt": identity.get("arn"),
            "issuer": _session_issuer(record).get("arn"),
            "created_time": _milliseconds(attributes.get("creationDate")),
            "is_mfa": attributes.get("mfaAuthenticated") == "true",
            "credential_uid": identity.get("accessKeyId") or identity.get("credentialId"),
        }
    )


def _new_session(record: Record) -> Json:
    """Return the session that a call issued, as far as its response is recorded."""
    response = mapping(record.get("responseElements"))
    credentials = mapping(response.get("credentials"))
    user = mapping(response.get("assumedRoleUser") or response.get("federatedUser"))
    return present(
        {
            "uid_alt": user.get("arn"),
            "credential_uid": credentials.get("accessKeyId"),
            "expiration_time": _milliseconds(credentials.get("expiration")),
        }
    )


def _session_issuer(record: Record) -> Json:
    context = (record.get("userIdentity") or {}).get("sessionContext") or {}
    return dict(context.get("sessionIssuer") or {})


def _api(record: Record) -> Json:
    code, is_result = record.get("errorCode"), _is_result(record)
    request = record.get("requestParameters") if is_result else None
    response = record.get("responseElements") if is_result else None
    failure = {} if code is None else {"error": code, "error_message": record.get("errorMessage")}
    return present(
        {
            "operation": str(record.get("eventName")),
            "service": {"name": str(record.get("eventSource"))},
            "request": present({"uid": record["requestID"], "data": request}) if record.get("requestID") else None,
            "response": present({**failure, "data": response}) or None,
        }
    )


def _http_request(record: Record) -> Json | None:
    """Return the HTTP request; without a path it has no URL."""
    parameters = _http_parameters(record)
    method, path = parameters.get("method"), parameters.get("path")
    if not method:
        return None
    request = {
        "http_method": method if method in HTTP_METHODS else None,
        "url": None if path is None else present({"hostname": parameters.get("host"), "path": path}),
        "user_agent": record.get("userAgent"),
        "uid": record.get("requestID"),
    }
    return present(request) or None


def _src_endpoint(record: Record) -> Json:
    """Return the source of the call: an address, or a service if it is not one."""
    source = record.get("sourceIPAddress")
    try:
        address, _, zone = str(ipaddress.ip_address(str(source))).partition("%")
    except ValueError:
        return {"svc_name": str(source or record.get("eventSource"))}
    return present({"ip": address, "interface_name": zone or None})


def _resources(record: Record) -> list[Json] | None:
    rows = [
        present({"uid": each["ARN"], "owner": {"account": {"uid": each["accountId"]}} if "accountId" in each else None})
        for each in record.get("resources") or []
        if each.get("ARN") is not None  # OCSF requires a uid or name
    ]
    return rows or None


def _security_control(record: Record) -> Json:
    """Return what the control did: allowed (1), denied and blocked (2), or denied but let pass (1, 17)."""
    facts = _facts(record)
    outcome = facts.get("outcome")
    if _is_result(record) and record.get("eventType") == "AwsApiCall":
        return {"action_id": 1, "disposition_id": 1}  # the call was allowed, whether or not it succeeded
    if not isinstance(outcome, str):
        return {"action_id": 0, "disposition_id": 0}
    if outcome == "Allowed":
        action, disposition = 1, 1
    else:
        action, disposition = (2, 2) if facts.get("enforced", True) else (1, 17)
    authorizations = [_authorization(each, outcome) for each in facts.get("reasons") or []]
    return {"action_id": action, "disposition_id": disposition, "authorizations": authorizations or None}


def _authorization(reason: Record, outcome: str) -> Json:
    where = [str(reason["policyType"])] if "policyType" in reason else []
    where += [f"statement {reason['statement']}"] if "statement" in reason else []
    where += [f"`{reason['sid']}`"] if "sid" in reason else []
    where += [f"line {reason['line']}"] if "line" in reason else []
    policy = present(
        {
            "name": reason.get("policy") or reason.get("policyType"),
            "uid": reason.get("policyArn"),
            "version": reason.get("digest"),
            "desc": ", ".join(where) or None,
            "is_applied": "effect" in reason,
        }
    )
    is_named = "name" in policy or "uid" in policy
    return present({"decision": reason.get("effect") or outcome, "policy": policy if is_named else None})


def _named(arn: str) -> Json:
    return {"name": arn.rpartition("/")[2], "uid": arn}


def _facts(record: Record) -> Record:
    return mapping(record.get("iamGuard"))


def _is_result(record: Record) -> bool:
    """Return whether a record is the result of a call; then its parameters are those of the call."""
    return _facts(record).get("kind") in RESULT_KINDS


def _http_parameters(record: Record) -> Record:
    """Return method, path and host of a request that was decided."""
    return {} if _is_result(record) else mapping(record.get("requestParameters"))


def _milliseconds(time: object) -> int | None:
    """Return milliseconds since 1970; None for another value, such as a mask or a pseudonym."""
    try:
        return round(datetime.fromisoformat(str(time)).timestamp() * 1000)
    except ValueError:
        return None
