"""Jobs: what AWS generates in the background. Here it is generated at once, or when its result is first read.

Only the account that a job belongs to can find it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, TypeAlias

from iam_guard.api.call import ServiceCall
from iam_guard.api.operation import OperationRequest
from iam_guard.store.database.records import Records, Row
from iam_guard.store.schema import jobs

Result: TypeAlias = Mapping[str, Any]
IN_PROGRESS, SUCCEEDED, FAILED, CANCELED = "IN_PROGRESS", "SUCCEEDED", "FAILED", "CANCELED"
"""The statuses in the result of a job that `complete_job` computes."""
WAITING: Final = {"status": IN_PROGRESS}


class JobKind(StrEnum):
    SERVICE_ACCESS = "service-access"
    ORGANIZATION_ACCESS = "organization-access"
    POLICY_GENERATION = "policy generation"
    FINDING_RECOMMENDATION = "finding recommendation"


def store_job(
    call: ServiceCall, kind: JobKind, parameters: Result, result: Result = WAITING, id: str | None = None
) -> str:
    """Store a job, and return its id: a new one, or that of what it is about."""
    id = id or str(uuid.uuid4())
    values = {"kind": kind.value, "parameters": dict(parameters), "result": dict(result), "created": call.now}
    call.records.insert(jobs, id=id, account=call.account, **values)
    return id


def find_job(records: Records, account: str, kind: JobKind, id: str) -> Row | None:
    return records.one(jobs, id=id, account=account, kind=kind.value)


def failed(code: str, message: str) -> dict[str, Any]:
    """Return the result of a job that failed."""
    return {"status": FAILED, "error": {"code": code, "message": message}}


def is_in_progress(job: Row) -> bool:
    return bool(job["result"]["status"] == IN_PROGRESS)


def complete_job(
    request: OperationRequest,
    account: str,
    kind: JobKind,
    id: str,
    prepare: Callable[[Records, Row], Callable[[], Result] | None],
) -> None:
    """Compute the result of a job that has none yet, outside of transactions.

    `prepare` returns the function that computes it; None leaves the job in progress. A job that was canceled or
    requested again meanwhile keeps its state.
    """
    store = request.server.source
    with store.read_transaction() as records:
        job = find_job(records, account, kind, id)
        compute = prepare(records, job) if job is not None and is_in_progress(job) else None
    if job is None or compute is None:
        return
    result = {**compute(), "completed": request.now}
    with store.write_transaction() as records:
        current = find_job(records, account, kind, id)
        if current is not None and current["created"] == job["created"] and is_in_progress(current):
            records.update(jobs, {"result": result}, id=id, account=account)
