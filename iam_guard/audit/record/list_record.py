"""The record of a filtered list: one for all rows, with the digest of the condition that limited them.

Each row is a decision, but separate records would cost more than the list. Neither the condition nor a row is recorded:
both have values of policies and resources. Pure, like `record`.
"""

from __future__ import annotations

from iam_guard.audit.record.identity import present, user_identity
from iam_guard.audit.record.record import Stamp, action_facts, envelope, extension
from iam_guard.model.list_filter import ListFilter
from iam_guard.model.request import Call

FILTER_LIST = "iam-guard:FilterList"
FILTERED = "list_filtered"


def list_record(list_filter: ListFilter, call: Call | None, stamp: Stamp) -> dict[str, object]:
    """Return the record of a filtered list; it is read-only if the action of its rows is."""
    record = envelope(FILTER_LIST, call, stamp)
    record["userIdentity"] = user_identity(list_filter.principal)
    record["recipientAccountId"] = list_filter.principal.account
    record["readOnly"] = action_facts(list_filter.action).read_only
    condition: dict[str, object] = {
        "action": list_filter.action,
        "resourceType": list_filter.resource_type,
        "digest": list_filter.digest or None,
        "outcome": list_filter.outcome,
        "rows": list_filter.rows,
        "superset": list_filter.is_superset,
    }
    members: dict[str, object] = {
        "filter": present(condition),
        "epoch": list_filter.epoch,
        "stale": list_filter.stale,
        "enforced": True,
    }
    record["iamGuard"] = extension(FILTERED, stamp, members)
    return record
