"""From what a call came to, to one CloudTrail-shaped record: `session_issue`, `policy_change`, `admin_call`.

Such a record stands beside those of the decisions that let the call through, which were written before anything was
done: `requestID` joins them. `requestParameters` is the input of the call and
`responseElements` what it gave, as in CloudTrail; with an `errorCode` nothing was done. Pure, like `record`.

Odd at first sight: what is long is left out member by member, as CloudTrail does it, with `{"omitted": true}` in its
place; a record of what was done must never fail for want of room.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iam_guard.audit.record.call_kinds import kind_of
from iam_guard.audit.record.identity import present, user_identity
from iam_guard.audit.record.record import Stamp, add_resource, envelope, extension
from iam_guard.audit.record.redaction import MAX_TEXT, write
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from iam_guard.model.result import CallResult

MAX_PARAMETERS = 16 * 1024
MAX_ELEMENTS = 12 * 1024
"""Letters of all members together, each text counted as far as it is kept."""

OMITTED: Mapping[str, Any] = {"omitted": True}


def result_record(
    result: CallResult, call: Call | None, stamp: Stamp, principal: Principal, *, operator: str | None = None
) -> dict[str, object]:
    """Describe what a call of `principal` came to; `operator` is who sat at the command line."""
    record = envelope(result.action, call, stamp)
    record["userIdentity"] = user_identity(principal)
    record["requestParameters"] = _bounded(result.parameters, MAX_PARAMETERS)
    record["responseElements"] = _bounded(result.elements, MAX_ELEMENTS)
    if call is None:
        record |= {"sourceIPAddress": principal.arn, "userAgent": principal.arn, "eventType": "AwsServiceEvent"}
    if result.error is not None:
        record["errorCode"] = result.error.code
        record["errorMessage"] = result.error.message
    add_resource(record, result.resource, result.owner, principal)
    document = result.document
    record["iamGuard"] = extension(
        kind_of(result.action),
        stamp,
        {
            "changed": result.changed and result.error is None,
            "document": None if document is None else present({"before": document.before, "after": document.after}),
            "epoch": result.epoch,
            "operator": operator,
            "redacted": [each for each in result.masked if _is_there(record, each)] or None,
        },
    )
    return record


def _bounded(members: Mapping[str, Any] | None, room: int) -> dict[str, Any] | None:
    """Leave out what there is no room for. A text is cut later (`redaction`), and counts as far as it is kept."""
    if not members:
        return None
    kept: dict[str, Any] = {}
    for name, value in members.items():
        size = len(name) + (min(len(value), MAX_TEXT) if isinstance(value, str) else len(write(value)))
        kept[name] = value if size <= room else OMITTED
        room -= size if size <= room else 0
    return kept


def _is_there(record: Mapping[str, Any], pointer: str) -> bool:
    _, top, name, *_ = pointer.split("/")
    members = record.get(top)
    return isinstance(members, Mapping) and members.get(name) is not OMITTED
