"""Jobs: reports that AWS generates in the background. Here they are generated at once, and stored unchanged.

Only the account that a job belongs to can find it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.entities import require_row
from iam_guard.store.database.records import Row
from iam_guard.store.schema import jobs


class JobKind(StrEnum):
    SERVICE_ACCESS = "service-access"
    ORGANIZATION_ACCESS = "organization-access"


def store_job(call: ServiceCall, kind: JobKind, parameters: Mapping[str, Any], result: Mapping[str, Any]) -> Output:
    """Store the result of a job, and return the job id; beyond the quota, the account's oldest jobs are deleted."""
    surplus = call.records.count(jobs, account=call.account) + 1 - call.records.quotas["jobs kept per account"]
    if surplus > 0:
        oldest = call.records.page(jobs, order=("created", "id"), after=None, limit=surplus, account=call.account)
        call.records.delete(jobs, id=[job["id"] for job in oldest])
    id = str(uuid.uuid4())
    call.records.insert(
        jobs,
        id=id,
        account=call.account,
        kind=kind.value,
        parameters=dict(parameters),
        result=dict(result),
        created=call.now,
    )
    return {"JobId": id}


def load_job(call: ServiceCall, kind: JobKind, parameters: Input) -> Row:
    """Find a job of the account. Raises `NoSuchEntity`."""
    row = call.records.one(jobs, id=parameters["JobId"], account=call.account, kind=kind.value)
    return require_row(row, f"The job with id {parameters['JobId']} cannot be found.")


def describe_job(job: Row) -> Output:
    """Return the members that the responses about all jobs have."""
    created = instant(job["created"])
    return {"JobStatus": "COMPLETED", "JobCreationDate": created, "JobCompletionDate": created}
