"""Jobs: reports that AWS makes in the background, made at once here and kept as they were.

A job is found by whom it belongs to only: an account.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.paging import Page, page_of_list
from iam_guard.errors import NoSuchEntity
from iam_guard.store.quotas import QUOTAS
from iam_guard.store.records import Row
from iam_guard.store.schema import jobs


class JobKind(StrEnum):
    """What a job is about."""

    SERVICE_ACCESS = "service-access"
    ORGANIZATION_ACCESS = "organization-access"


def keep_job(call: ServiceCall, kind: JobKind, parameters: Mapping[str, Any], result: Mapping[str, Any]) -> Output:
    """Keep the result of a job, and give what leads to it; where an account has too many, its oldest goes."""
    if call.records.count(jobs, account=call.account) >= QUOTAS["jobs kept per account"]:
        oldest = call.records.page(jobs, order=("created", "id"), after=None, limit=1, account=call.account)
        call.records.delete(jobs, id=oldest[0]["id"])
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


def the_job(call: ServiceCall, kind: JobKind, given: Input) -> Row:
    """Find a job of the account. Raises `NoSuchEntity`."""
    row = call.records.one(jobs, id=given["JobId"], account=call.account, kind=kind.value)
    if row is None:
        raise NoSuchEntity(f"The job with id {given['JobId']} cannot be found.")
    return row


def described_job(job: Row) -> Output:
    """Return the members that the answers about all jobs have."""
    made = instant(job["created"])
    return {"JobStatus": "COMPLETED", "JobCreationDate": made, "JobCompletionDate": made}


def page_of_result(given: Input, items: Sequence[Any]) -> Page:
    """Make a page of a list in an order of its own; it does not change, so a place in it is marker enough."""
    page = page_of_list(given, enumerate(items), lambda item: (f"{item[0]:08}",))
    return Page([item for _, item in page.rows], page.members)
