"""The resources that an analyzer of external or internal access has analysed (AA-8)."""

from __future__ import annotations

from typing import Final

from iam_guard.analysis.findings.resource_types import resource_type_of
from iam_guard.api.access_analyzer.analyzer_errors import AnalyzerResourceNotFound, InvalidMember
from iam_guard.api.access_analyzer.analyzer_rows import load_by_arn
from iam_guard.api.access_analyzer.analyzer_settings import AnalyzerKind
from iam_guard.api.access_analyzer.finding_analysis import analysis_scope
from iam_guard.api.access_analyzer.selected_resources import selected_resources, shared_resource_owners
from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.paging import page_of_list
from iam_guard.store.database.records import Row
from iam_guard.store.schema import findings

_STATUSES: Final = ("ACTIVE", "ARCHIVED", "RESOLVED")


def list_analyzed_resources(call: ServiceCall, parameters: Input) -> Output:
    """Return a page of the analysed resources, by ARN. Raises `AnalyzerResourceNotFound`, `InvalidMember`."""
    owners = _owners(call, load_by_arn(call, parameters))
    wanted = parameters.get("resourceType")
    described = (
        {"resourceArn": arn, "resourceOwnerAccount": owner, "resourceType": resource_type_of(arn)}
        for arn, owner in owners.items()
    )
    items = [item for item in described if wanted in (None, item["resourceType"])]
    return page_of_list(parameters, items, lambda item: (item["resourceArn"],)).listed("analyzedResources")


def get_analyzed_resource(call: ServiceCall, parameters: Input) -> Output:
    """Return what the findings say about a resource. Raises `AnalyzerResourceNotFound`, `InvalidMember`."""
    analyzer, arn = load_by_arn(call, parameters), parameters["resourceArn"]
    owner = _owners(call, analyzer).get(arn)
    if owner is None:
        message = f"The analyzer has not analyzed the resource {arn[:200]}."
        raise AnalyzerResourceNotFound(message, id=arn[:200], type="Resource")
    rows = call.records.all(findings, analyzer_id=analyzer["id"], resource=arn)
    statuses = {row["status"] for row in rows}
    details = [
        details
        for row in rows
        if row["status"] != "RESOLVED"
        for union in row["content"]["details"]
        for details in union.values()
    ]
    actions = sorted({action for entry in details for action in entry["action"]})
    return {
        "resource": {
            "resourceArn": arn,
            "resourceType": resource_type_of(arn),
            "resourceOwnerAccount": owner,
            "createdAt": instant(min((row["created"] for row in rows), default=analyzer["created"])),
            "analyzedAt": instant(max((row["analyzed"] for row in rows), default=analyzer["analyzed"])),
            "updatedAt": instant(max((row["updated"] for row in rows), default=analyzer["analyzed"])),
            "isPublic": any(entry.get("isPublic", False) for entry in details),
            "actions": actions or None,
            "sharedVia": ["POLICY"] if actions else None,
            "status": next((status for status in _STATUSES if status in statuses), None),
            "error": next((row["content"]["error"] for row in rows if row["content"]["error"]), None),
        }
    }


def _owners(call: ServiceCall, analyzer: Row) -> dict[str, str]:
    """Return the analysed resources with their owners."""
    scope = analysis_scope(call.records, analyzer, call.now)
    if scope is None:
        return {}
    match scope.kind:
        case AnalyzerKind.EXTERNAL:
            return shared_resource_owners(call.records, scope.zone.accounts, call.partition)
        case AnalyzerKind.INTERNAL:
            return selected_resources(call.records, scope.configuration, scope.zone.accounts, call.partition)
    raise InvalidMember(f"expected an analyzer of resources, got one of type {analyzer['type']}")
