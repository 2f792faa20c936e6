"""The jobs of IAM: reports that are generated at once, and stored unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.entities import require_row
from iam_guard.api.jobs import JobKind, find_job, store_job
from iam_guard.store.database.records import Row
from iam_guard.store.schema import jobs


def generate_job(call: ServiceCall, kind: JobKind, parameters: Mapping[str, Any], result: Mapping[str, Any]) -> Output:
    """Store the result of a job, and return the job id; beyond the quota, the account's oldest jobs are deleted."""
    surplus = call.records.count(jobs, account=call.account) + 1 - call.records.quotas["jobs kept per account"]
    if surplus > 0:
        oldest = call.records.page(jobs, order=("created", "id"), after=None, limit=surplus, account=call.account)
        call.records.delete(jobs, id=[job["id"] for job in oldest])
    return {"JobId": store_job(call, kind, parameters, result)}


def load_job(call: ServiceCall, kind: JobKind, parameters: Input) -> Row:
    """Find a job of the account. Raises `NoSuchEntity`."""
    row = find_job(call.records, call.account, kind, parameters["JobId"])
    return require_row(row, f"The job with id {parameters['JobId']} cannot be found.")


def describe_job(job: Row) -> Output:
    """Return the members that the responses about all jobs have."""
    created = instant(job["created"])
    return {"JobStatus": "COMPLETED", "JobCreationDate": created, "JobCompletionDate": created}
