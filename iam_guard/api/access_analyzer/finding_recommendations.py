"""Recommendations for findings of unused permissions: which policies to replace, and with what (AA-43).

A recommendation is stored as a job with the id of its finding, and computed when it is first read, since it reads the
policies of the principal. The account of the principal must be in the zone of trust then, and at each answer: a member
that left the organization shows its former manager no policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from iam_guard.analysis.findings.replacement_policies import replacement_policies
from iam_guard.api.access_analyzer.analyzer_errors import AnalyzerResourceNotFound, InvalidMember
from iam_guard.api.access_analyzer.analyzer_rows import find_analyzer, load_by_arn, name_in_arn
from iam_guard.api.access_analyzer.finding_analysis import analysis_scope, unused_permissions
from iam_guard.api.access_analyzer.finding_lists import load_finding
from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.jobs import SUCCEEDED, JobKind, complete_job, failed, find_job, store_job
from iam_guard.api.operation import OperationRequest
from iam_guard.api.paging import page_of_positions
from iam_guard.errors import ConfigurationError, InvalidInput, NoSuchEntity, PolicyError
from iam_guard.model.arn import account_of
from iam_guard.store.database.records import Records, Row
from iam_guard.store.protocol import SourceStore
from iam_guard.store.schema import findings, jobs

_KIND: Final = JobKind.FINDING_RECOMMENDATION


def generate_finding_recommendation(call: ServiceCall, parameters: Input) -> None:
    """Request a recommendation, which replaces the last one for the finding. Raises `InvalidMember`."""
    analyzer = load_by_arn(call, parameters)
    finding = load_finding(call, analyzer, parameters["id"])
    if finding["type"] != "UnusedPermission":
        raise InvalidMember(f"expected a finding of type UnusedPermission, got one of type {finding['type']}")
    if finding["status"] == "RESOLVED":
        raise InvalidMember("The finding is resolved, so nothing is recommended.")
    call.records.delete(jobs, id=finding["id"], account=call.account, kind=_KIND.value)
    about = {"analyzer": analyzer["id"], "resource": finding["resource"]}
    store_job(call, _KIND, about, id=finding["id"])


def get_finding_recommendation(call: ServiceCall, parameters: Input) -> Output:
    """Return a recommendation with a page of its steps. Raises `AnalyzerResourceNotFound`."""
    analyzer = load_by_arn(call, parameters)
    job = find_job(call.records, call.account, _KIND, parameters["id"])
    if job is None or job["parameters"]["analyzer"] != analyzer["id"]:
        id = parameters["id"][:200]
        message = f"There is no recommendation for the finding {id}."
        raise AnalyzerResourceNotFound(message, id=id, type="FindingRecommendation")
    result = job["result"]
    if not _is_own(call.records, analyzer, job, call.now):
        result = _OUTSIDE
    steps = [{"unusedPermissionsRecommendedStep": step} for step in result.get("steps", ())]
    return {
        "startedAt": instant(job["created"]),
        "completedAt": instant(result.get("completed")),
        "resourceArn": job["parameters"]["resource"],
        "recommendationType": "UnusedPermissionRecommendation",
        "status": result["status"],
        "error": result.get("error"),
        **page_of_positions(parameters, steps).listed("recommendedSteps"),
    }


def complete_recommendation(request: OperationRequest, account: str, parameters: Input) -> None:
    """Compute the recommendation of the call if it was requested and is not complete."""
    store = request.server.source

    def prepare(records: Records, job: Row) -> Callable[[], Mapping[str, Any]] | None:
        analyzer = find_analyzer(records, account, name_in_arn(parameters["analyzerArn"]))
        if analyzer is None or not _is_own(records, analyzer, job, request.now):
            return None
        return partial(_computed, store, records.one(findings, id=job["id"]))

    complete_job(request, account, _KIND, parameters["id"], prepare)


_OUTSIDE: Final = failed("RESOURCE_NOT_FOUND_ERROR", "The principal is outside of the zone of trust.")


def _is_own(records: Records, analyzer: Row, job: Row, now: int) -> bool:
    """Return whether the principal of a recommendation belongs to the zone of trust of an analyzer."""
    scope = analysis_scope(records, analyzer, now)
    return scope is not None and account_of(job["parameters"]["resource"]) in scope.zone.accounts


def _computed(store: SourceStore, finding: Row | None) -> dict[str, Any]:
    if finding is None:
        return failed("RESOURCE_NOT_FOUND_ERROR", "The finding is gone.")
    try:
        first, *others = unused_permissions(finding)
        steps = [_step(step.to_dict()) for step in replacement_policies(first, store, *others)]
    except (PolicyError, InvalidInput, NoSuchEntity, ConfigurationError) as error:
        return failed("SERVICE_ERROR", str(error))
    return {"status": SUCCEEDED, "steps": steps}


def _step(members: Mapping[str, Any]) -> dict[str, Any]:
    names = ("recommendedAction", "recommendedPolicy", "existingPolicyId")
    return {name: members[name] for name in names if members[name] is not None}
