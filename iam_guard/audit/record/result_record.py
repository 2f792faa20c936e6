"""Convert the result of a call to a CloudTrail-shaped record: `session_issue`, `policy_change`, `admin_call`.

It complements the decision records of the call, which were written before it was carried out; `requestID` joins them.
`requestParameters` is the input of the call and `responseElements` its output, as in CloudTrail; with an `errorCode`,
nothing was done. Pure, like `record`.

Long members are replaced one by one by `{"omitted": true}`, as in CloudTrail: a record of a completed change must never
fail because of its size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, Unpack

from iam_guard.audit.record.call_kinds import kind_of
from iam_guard.audit.record.identity import present, stated_reason, user_identity
from iam_guard.audit.record.record import Stamp, add_resource, envelope, extension
from iam_guard.audit.record.redaction import MAX_TEXT, write
from iam_guard.errors import PolicyError
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from iam_guard.model.result import CallResult

MAX_PARAMETERS = 16 * 1024
MAX_ELEMENTS = 12 * 1024
"""Characters of all members together; each string counts only up to the stored length."""

OMITTED: Mapping[str, Any] = {"omitted": True}


class Author(TypedDict, total=False):
    """On whose behalf a service has acted without a decision.

    `operator` is the user at the command line, `caller` that of the request in which an application made the change.
    """

    operator: str | None
    caller: Principal | None


def result_record(
    result: CallResult, call: Call | None, stamp: Stamp, principal: Principal, **author: Unpack[Author]
) -> dict[str, object]:
    """Return the record of the result of a call by `principal`."""
    caller = author.get("caller")
    record = envelope(result.action, call, stamp)
    record["userIdentity"] = user_identity(principal)
    record["requestParameters"] = _bounded(result.parameters, MAX_PARAMETERS)
    record["responseElements"] = _bounded(result.elements, MAX_ELEMENTS)
    if call is None or caller is not None:
        record["eventType"] = "AwsServiceEvent"
        for name in ("sourceIPAddress", "userAgent"):
            record[name] = record[name] or principal.arn
    if result.error is not None:
        record["errorCode"] = result.error.code
        is_policy = isinstance(result.error, PolicyError)  # the response has no place
        record["errorMessage"] = str(result.error) if is_policy else result.error.message
    add_resource(record, result.resource, result.owner, principal)
    document = result.document
    record["iamGuard"] = extension(
        kind_of(result.action),
        stamp,
        {
            "changed": result.changed and result.error is None,
            "document": None if document is None else present({"before": document.before, "after": document.after}),
            "epoch": result.epoch,
            "operator": author.get("operator"),
            "statedReason": stated_reason(principal),
            "caller": None if caller is None else user_identity(caller),
            "redacted": [pointer for pointer in result.masked if _is_there(record, pointer)] or None,
        },
    )
    return record


def _bounded(members: Mapping[str, Any] | None, limit: int) -> dict[str, Any] | None:
    """Replace the members that do not fit. Strings are truncated later (`redaction`) and count up to that length."""
    if not members:
        return None
    kept: dict[str, Any] = {}
    for name, value in members.items():
        size = len(name) + (min(len(value), MAX_TEXT) if isinstance(value, str) else len(write(value)))
        kept[name] = value if size <= limit else OMITTED
        limit -= size if size <= limit else 0
    return kept


def _is_there(record: Mapping[str, Any], pointer: str) -> bool:
    _, top, name, *_ = pointer.split("/")
    members = record.get(top)
    return isinstance(members, Mapping) and members.get(name) is not OMITTED
