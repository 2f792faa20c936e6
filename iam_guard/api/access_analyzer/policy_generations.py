"""Policy generation: the policy that a user's or role's recorded activity needs (AA-40, AA-41).

The activity is that in the server's audit trail, in which a principal is one of the caller's account. A request is
stored as a job, and computed when its result is first read, since reading a trail takes a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from iam_guard.analysis.activity.aggregation import aggregate_activity
from iam_guard.analysis.activity.policy_generation import generate_policy
from iam_guard.api.access_analyzer.analyzer_errors import (
    AnalyzerConflict,
    AnalyzerQuotaExceeded,
    AnalyzerResourceNotFound,
    InvalidMember,
)
from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.authorization_targets import find_by_arn
from iam_guard.api.jobs import (
    CANCELED,
    SUCCEEDED,
    JobKind,
    complete_job,
    failed,
    find_job,
    is_in_progress,
    store_job,
)
from iam_guard.api.operation import OperationRequest, Permission
from iam_guard.api.paging import page_of_positions
from iam_guard.audit.consumer.subscription import AuditReader
from iam_guard.audit.writer.trail_writer import TrailConfig
from iam_guard.errors import IamGuardError, TrailDamaged
from iam_guard.model.arn import account_of
from iam_guard.model.request import Resource
from iam_guard.store.database.records import Records, Row
from iam_guard.store.schema import jobs

_KIND: Final = JobKind.POLICY_GENERATION
_DAY: Final = 86400
MAX_WINDOW: Final = 90 * _DAY
"""Seconds of activity that one job reads."""
VIEWABLE: Final = 7 * _DAY
"""Seconds for which a result can be read."""
MAX_RECORDS: Final = 500_000
"""Records that one job reads."""
_QUOTA: Final = "policy generations per account and day"


def pass_access_role(call: ServiceCall, parameters: Input) -> list[Permission]:
    """Require `iam:PassRole` on the role that the call passes to Access Analyzer."""
    role = parameters.get("cloudTrailDetails", {}).get("accessRole")
    if role is None:
        return []
    resource = Resource(role, account=account_of(role) or call.account)
    return [Permission("iam:PassRole", resource, {"iam:PassedToService": "access-analyzer.amazonaws.com"})]


def start_policy_generation(call: ServiceCall, parameters: Input) -> Output:
    """Store a job for a user or role of the account. Raises `InvalidMember`, `AnalyzerQuotaExceeded`."""
    principal = parameters["policyGenerationDetails"]["principalArn"]
    stored = {
        "principal": principal,
        "token": parameters.get("clientToken"),
        **_window(parameters.get("cloudTrailDetails", {}), call.now),
    }
    if find_by_arn(call, principal) is None:
        raise InvalidMember(f"expected the ARN of a user or role of the account, got `{principal[:200]}`")
    rows = _jobs(call)
    for row in rows:
        if stored["token"] is not None and row["parameters"]["token"] == stored["token"]:
            if row["parameters"]["principal"] == principal:
                return {"jobId": row["id"]}
            raise AnalyzerConflict("The token was used for another job.", id=row["id"], type="PolicyGeneration")
    if sum(row["created"] > call.now - _DAY for row in rows) >= (limit := call.records.quotas[_QUOTA]):
        message = f"expected at most {limit} policy generations a day"
        raise AnalyzerQuotaExceeded(message, id=principal, type="PolicyGeneration")
    id = store_job(call, _KIND, stored)
    for expired in rows:
        if expired["created"] <= call.now - VIEWABLE:
            call.records.delete(jobs, id=expired["id"])
    return {"jobId": id}


def _window(details: Mapping[str, Any], now: int) -> dict[str, Any]:
    """Return what to read: the trails of the call, and the period in seconds since 1970."""
    end = int(details["endTime"].timestamp()) if "endTime" in details else now
    start = int(details["startTime"].timestamp()) if "startTime" in details else end - MAX_WINDOW
    if not 0 < end - start <= MAX_WINDOW:
        raise InvalidMember(f"expected a period of at most {MAX_WINDOW // _DAY} days from startTime to endTime")
    return {"trails": details.get("trails", []), "role": details.get("accessRole"), "start": start, "end": end}


def cancel_policy_generation(call: ServiceCall, parameters: Input) -> None:
    """Cancel a job; one that is done stays done. Raises `AnalyzerResourceNotFound`."""
    job = _load(call, parameters["jobId"])
    if is_in_progress(job):
        call.records.update(jobs, {"result": {"status": CANCELED, "completed": call.now}}, id=job["id"])


def get_generated_policy(call: ServiceCall, parameters: Input) -> Output:
    """Return the result of a job. Resources are those that were used. Raises `AnalyzerResourceNotFound`."""
    job = _load(call, parameters["jobId"])
    result, given = job["result"], job["parameters"]
    trails = [{"cloudTrailArn": trail["cloudTrailArn"], "allRegions": True} for trail in given["trails"]]
    period = {"startTime": instant(given["start"]), "endTime": instant(given["end"])}
    return {
        "jobDetails": {**_described(job), "jobError": result.get("error")},
        "generatedPolicyResult": {
            "properties": {
                "principalArn": given["principal"],
                "isComplete": result.get("isComplete"),
                "cloudTrailProperties": {"trailProperties": trails, **period},
            },
            "generatedPolicies": [{"policy": text} for text in result.get("policies", ())],
        },
    }


def list_policy_generations(call: ServiceCall, parameters: Input) -> Output:
    """Return a page of the account's jobs of the last days, the latest first."""
    principal = parameters.get("principalArn")
    found = [
        {**_described(row), "principalArn": row["parameters"]["principal"]}
        for row in reversed(_jobs(call))
        if row["created"] > call.now - VIEWABLE and principal in (None, row["parameters"]["principal"])
    ]
    return page_of_positions(parameters, found).listed("policyGenerations")


def _described(job: Row) -> Output:
    return {
        "jobId": job["id"],
        "status": job["result"]["status"],
        "startedOn": instant(job["created"]),
        "completedOn": instant(job["result"].get("completed")),
    }


def _jobs(call: ServiceCall) -> list[Row]:
    return call.records.all(jobs, order=("created", "id"), account=call.account, kind=_KIND.value)


def _load(call: ServiceCall, id: str) -> Row:
    row = find_job(call.records, call.account, _KIND, id)
    if row is None or row["created"] <= call.now - VIEWABLE:
        message = f"The policy generation {id[:200]} does not exist."
        raise AnalyzerResourceNotFound(message, id=id[:200], type="PolicyGeneration")
    return row


# --- the generation ----------------------------------------------------------------------------------------------


def complete_generation(request: OperationRequest, account: str, parameters: Input) -> None:
    """Generate the policy of the call's job if it was not generated yet."""

    def prepare(records: Records, job: Row) -> Callable[[], Mapping[str, Any]]:
        role = job["parameters"]["role"]
        is_own = role is None or find_by_arn(request.call(account, None, records), role) is not None
        return partial(_result, request.server.trail, job["parameters"], account, is_own_role=is_own)

    complete_job(request, account, _KIND, parameters["jobId"], prepare)


def _result(trail: TrailConfig | None, given: Mapping[str, Any], account: str, *, is_own_role: bool) -> dict[str, Any]:
    if not is_own_role:
        return failed("AUTHORIZATION_ERROR", "The access role does not exist in the account.")
    if trail is None:
        return failed("RESOURCE_NOT_FOUND_ERROR", "The server keeps no audit trail in a folder.")
    if any(account_of(named_trail["cloudTrailArn"]) != account for named_trail in given["trails"]):
        return failed("RESOURCE_NOT_FOUND_ERROR", "The trail is not one of the account.")
    since, until = (datetime.fromtimestamp(seconds, UTC) for seconds in (given["start"], given["end"] + 1))
    try:
        records = _records(trail, since)
        activity = aggregate_activity(records, given["principal"], since=since, until=until)
        policies = [document.to_json(indent=2) for document in generate_policy(activity).documents]
    except _TooManyRecords:
        return failed("SERVICE_QUOTA_EXCEEDED_ERROR", f"The period has more than {MAX_RECORDS:,} records.")
    except TrailDamaged:
        return failed("SERVICE_ERROR", "The audit trail differs from what was signed.")
    except IamGuardError as error:
        return failed("SERVICE_ERROR", error.message)
    return {"status": SUCCEEDED, "policies": policies, "isComplete": activity.is_complete}


class _TooManyRecords(Exception):
    """The trail has more records than one job reads."""


def _records(trail: TrailConfig, since: datetime) -> Iterator[dict[str, Any]]:
    """Yield the verified records of a trail from a time on."""
    reader = AuditReader(trail.trail, ring=trail.known)
    with reader.subscribe(start=since, follow=False) as subscription:
        for number, (_, record) in enumerate(subscription, 1):
            if number > MAX_RECORDS:
                raise _TooManyRecords
            yield record
