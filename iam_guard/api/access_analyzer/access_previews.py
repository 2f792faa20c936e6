"""Access previews: the findings that a resource would have with another policy (AA-14).

A preview is stored with its configuration, and analysed when it is first read, as findings are. Its findings are
compared with those of the analyzer then: NEW, UNCHANGED, or CHANGED in their status.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from iam_guard.analysis.findings.resource_types import resource_type_of
from iam_guard.analysis.findings.shared_resources import SharedResource
from iam_guard.api.access_analyzer.analyzer_errors import (
    AnalyzerConflict,
    AnalyzerResourceNotFound,
    InvalidMember,
)
from iam_guard.api.access_analyzer.analyzer_rows import analyzer_arn, find_analyzer, load_by_arn, name_in_arn
from iam_guard.api.access_analyzer.archive_rules import filters_of_rules
from iam_guard.api.access_analyzer.custom_checks import MAX_CHARACTERS
from iam_guard.api.access_analyzer.finding_analysis import (
    AnalysisScope,
    AnalyzedAccess,
    analysis_scope,
    external_access,
)
from iam_guard.api.access_analyzer.finding_filters import FindingFilter, attributes_of
from iam_guard.api.access_analyzer.finding_lists import external_analyzer
from iam_guard.api.access_analyzer.finding_members import external_details, external_members
from iam_guard.api.access_analyzer.finding_updates import bring_up_to_date
from iam_guard.api.access_analyzer.preview_configurations import ProposedPolicy, proposed_policy
from iam_guard.api.access_analyzer.token_pages import next_token, page_of_sequence, table_page
from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.operation import OperationRequest
from iam_guard.errors import PolicyError
from iam_guard.model.arn import account_of
from iam_guard.policy.parser import parse
from iam_guard.store.protocol import SourceStore, StoredPolicy
from iam_guard.store.records import Records, Row
from iam_guard.store.schema import access_previews, findings, identities, resources

_PREVIEW: Final = "AccessPreview"
_KEYS: Final = ("changeType", "existingFindingId", "existingFindingStatus")
"""Filter keys that only findings of previews have."""
CREATING, COMPLETED, FAILED = "CREATING", "COMPLETED", "FAILED"


def create_access_preview(call: ServiceCall, parameters: Input) -> Output:
    """Store a preview. Beyond the quota, the oldest of the analyzer is deleted. Raises `InvalidMember`."""
    analyzer = external_analyzer(call, parameters)
    configurations, token = parameters["configurations"], parameters.get("clientToken")
    proposed = proposed_policy(configurations)
    scope = analysis_scope(call.records, analyzer, call.now)
    if scope is None or _owner(call.records, call.account, proposed.arn) not in scope.zone.accounts:
        raise InvalidMember("expected a resource of an account in the zone of trust")
    rows = call.records.all(access_previews, order=("created", "id"), analyzer_id=analyzer["id"])
    for row in rows:
        if token is not None and row["client_token"] == token:
            if row["configurations"] == configurations:
                return {"id": row["id"]}
            raise AnalyzerConflict("The token was used for another access preview.", id=row["id"], type=_PREVIEW)
    for row in rows[: max(0, len(rows) + 1 - call.records.quotas["access previews per analyzer"])]:
        call.records.delete(access_previews, id=row["id"])
    id = str(uuid.uuid4())
    call.records.insert(
        access_previews,
        id=id,
        analyzer_id=analyzer["id"],
        configurations=configurations,
        findings=[],
        status=CREATING if _is_valid(proposed) else FAILED,
        client_token=token,
        created=call.now,
    )
    return {"id": id}


def get_access_preview(call: ServiceCall, parameters: Input) -> Output:
    """Return a preview. Raises `AnalyzerResourceNotFound`."""
    analyzer = load_by_arn(call, parameters)
    row = _load(call, analyzer, parameters["accessPreviewId"])
    return {"accessPreview": {**_described(call, analyzer, row), "configurations": row["configurations"]}}


def list_access_previews(call: ServiceCall, parameters: Input) -> Output:
    """Return a page of the previews of an analyzer. Raises `AnalyzerResourceNotFound`."""
    analyzer = load_by_arn(call, parameters)
    page = table_page(call, parameters, access_previews, ("id",), analyzer_id=analyzer["id"])
    return {"accessPreviews": [_described(call, analyzer, row) for row in page.rows], **next_token(page)}


def list_access_preview_findings(call: ServiceCall, parameters: Input) -> Output:
    """Return a page of the findings of a preview. Raises `AnalyzerResourceNotFound`, `InvalidMember`."""
    row = _load(call, load_by_arn(call, parameters), parameters["accessPreviewId"])
    if row["status"] == FAILED:
        raise InvalidMember("The access preview failed, so it has no findings.")
    wanted = FindingFilter.of(parameters.get("filter", {}), _KEYS)
    found = [finding for finding in row["findings"] if wanted.matches(_attributes(finding))]
    return page_of_sequence(parameters, [_described_finding(row, finding) for finding in found], "findings")


def _attributes(finding: Mapping[str, Any]) -> dict[str, list[str]]:
    more = {key: [finding[key]] for key in _KEYS if finding[key] is not None}
    return {**attributes_of(finding), **more}


def _load(call: ServiceCall, analyzer: Row, id: str) -> Row:
    row = call.records.one(access_previews, id=id, analyzer_id=analyzer["id"])
    if row is None:
        raise AnalyzerResourceNotFound(f"The access preview {id} does not exist.", id=id, type=_PREVIEW)
    return row


def _described(call: ServiceCall, analyzer: Row, row: Row) -> Output:
    return {
        "id": row["id"],
        "analyzerArn": analyzer_arn(call, analyzer["name"]),
        "createdAt": instant(row["created"]),
        "status": row["status"],
        "statusReason": {"code": "INVALID_CONFIGURATION"} if row["status"] == FAILED else None,
    }


def _described_finding(row: Row, finding: Mapping[str, Any]) -> Output:
    return {
        **external_members(external_details(finding)),
        "id": finding["id"],
        "resource": finding["resource"],
        "resourceType": finding["resource_type"],
        "resourceOwnerAccount": finding["owner"],
        "status": finding["status"],
        "error": finding["content"]["error"],
        "createdAt": instant(row["created"]),
        **{key: finding[key] for key in _KEYS},
    }


def _is_valid(proposed: ProposedPolicy) -> bool:
    if len(proposed.text or "") > MAX_CHARACTERS:
        return False
    try:
        if proposed.text:
            parse(proposed.text, proposed.kind)
    except PolicyError:
        return False
    return True


def _owner(records: Records, account: str, arn: str) -> str:
    """Return the owner of a resource: by its ARN, by its record, or else the caller's account."""
    stored = records.one(resources, arn=arn)
    return account_of(arn) or (account if stored is None else str(stored["account"]))


# --- the analysis ------------------------------------------------------------------------------------------------


def complete_previews(request: OperationRequest, account: str, parameters: Input) -> None:
    """Bring the findings of the call's analyzer up to date, and analyse its previews that are not complete."""
    bring_up_to_date(request, account, parameters)
    store = cast(SourceStore, getattr(request.store, "behind", request.store))
    with store.read_transaction() as records:
        analyzer = find_analyzer(records, account, name_in_arn(parameters["analyzerArn"]))
        scope = None if analyzer is None else analysis_scope(records, analyzer, request.now)
        if analyzer is None or scope is None:
            return
        waiting = [
            (row, _proposed(records, store.partition, account, row))
            for row in records.all(access_previews, analyzer_id=analyzer["id"], status=CREATING)
        ]
    for row, (proposed, owner) in waiting:
        found = list(_analysed(store, scope, proposed, owner))
        with store.write_transaction() as records:
            compared = list(_compared(records, analyzer["id"], proposed.arn, found))
            records.update(access_previews, {"findings": compared, "status": COMPLETED}, id=row["id"], status=CREATING)


def _proposed(records: Records, partition: str, account: str, row: Row) -> tuple[ProposedPolicy, str]:
    """Return the policy of a preview, which is the present one if the configuration has none, and the owner."""
    proposed = proposed_policy(row["configurations"])
    owner = _owner(records, account, proposed.arn)
    if proposed.text is None:
        proposed = proposed._replace(text=_present_text(records, partition, owner, proposed))
    return proposed, owner


def _present_text(records: Records, partition: str, owner: str, proposed: ProposedPolicy) -> str:
    if proposed.arn.split(":", 3)[2] != "iam":
        stored = records.one(resources, arn=proposed.arn)
        return "" if stored is None else stored["text"] or ""
    name = proposed.arn.rpartition("/")[2].lower()
    role = records.one(identities, account=owner, kind="role", folded=name)
    return "" if role is None else role["trust_text"] or ""


def _analysed(
    store: SourceStore, scope: AnalysisScope, proposed: ProposedPolicy, owner: str
) -> Iterator[AnalyzedAccess]:
    if not proposed.text:
        return
    policy = StoredPolicy.of(proposed.arn, proposed.kind, None, proposed.text)
    shared = SharedResource(proposed.arn, owner, proposed.kind, policy, store.account(owner).rcps)
    yield from external_access(shared, scope.zone)


def _compared(records: Records, analyzer_id: str, arn: str, found: list[AnalyzedAccess]) -> Iterator[dict[str, Any]]:
    """Yield the findings of a preview, compared with those that the resource has."""
    rules = filters_of_rules(records, analyzer_id)
    stored = {row["digest"]: row for row in records.all(findings, analyzer_id=analyzer_id, resource=arn)}
    for access in found:
        existing = stored.pop(access.digest, None)
        row: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "type": access.type,
            "resource": arn,
            "resource_type": access.resource_type,
            "owner": access.owner,
            "content": access.content,
            "status": "ACTIVE",
        }
        if existing is not None and existing["status"] != "RESOLVED":
            yield _with_change({**row, "status": existing["status"]}, "UNCHANGED", existing)
            continue
        if any(rule.matches(attributes_of(row)) for rule in rules):
            row["status"] = "ARCHIVED"
        yield _with_change(row, "NEW" if existing is None else "CHANGED", existing)
    for gone in stored.values():
        if gone["status"] != "RESOLVED":
            names = ("type", "resource", "owner", "content")
            row = {name: gone[name] for name in names} | {"resource_type": resource_type_of(arn)}
            yield _with_change({**row, "id": str(uuid.uuid4()), "status": "RESOLVED"}, "CHANGED", gone)


def _with_change(row: Mapping[str, Any], change: str, existing: Row | None) -> dict[str, Any]:
    of_existing = (None, None) if existing is None else (existing["id"], existing["status"])
    return {**row, **dict(zip(_KEYS, (change, *of_existing), strict=True))}
