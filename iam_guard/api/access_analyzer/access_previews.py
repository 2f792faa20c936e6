"""Access previews: the findings that a resource would have with another policy (AA-14).

A preview is stored with its configuration, and analysed when it is first read, as findings are: one preview for each
call that reads previews. Its findings are compared with those of the analyzer then: NEW, UNCHANGED, or CHANGED in their
status.

The ARN of a bucket names no account, so its owner is known only once it has a policy, and can change. Each answer
checks the owner: the preview of a resource that now belongs to an account outside of the zone of trust has failed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from iam_guard.analysis.findings.resource_types import resource_type_of
from iam_guard.analysis.findings.shared_resources import SharedResource
from iam_guard.api.access_analyzer.analyzer_errors import (
    AnalyzerConflict,
    AnalyzerResourceNotFound,
    InvalidMember,
)
from iam_guard.api.access_analyzer.analyzer_rows import analyzer_arn, find_analyzer, load_by_arn, name_in_arn
from iam_guard.api.access_analyzer.archive_rules import filters_of_rules
from iam_guard.api.access_analyzer.finding_analysis import (
    AnalysisScope,
    AnalyzedAccess,
    analysis_scope,
    external_access,
)
from iam_guard.api.access_analyzer.finding_filters import FindingFilter, attributes_of
from iam_guard.api.access_analyzer.finding_lists import external_analyzer
from iam_guard.api.access_analyzer.finding_members import external_details, external_members
from iam_guard.api.access_analyzer.finding_updates import analysis_turn, bring_up_to_date
from iam_guard.api.access_analyzer.preview_configurations import ProposedPolicy, proposed_policy
from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.operation import OperationRequest
from iam_guard.api.paging import page_of_positions, page_of_table
from iam_guard.errors import LimitExceeded, PolicyError
from iam_guard.model.arn import account_of
from iam_guard.policy.parser import parse
from iam_guard.policy.quota import RESOURCE
from iam_guard.store.database.records import Records, Row
from iam_guard.store.protocol import SourceStore, StoredPolicy
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
    if not _is_own(call.records, call.account, analysis_scope(call.records, analyzer, call.now), proposed.arn):
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
    (described,) = _described(call, analyzer, [row])
    return {"accessPreview": {**described, "configurations": row["configurations"]}}


def list_access_previews(call: ServiceCall, parameters: Input) -> Output:
    """Return a page of the previews of an analyzer. Raises `AnalyzerResourceNotFound`."""
    analyzer = load_by_arn(call, parameters)
    page = page_of_table(call, parameters, access_previews, ("id",), analyzer_id=analyzer["id"])
    return {"accessPreviews": _described(call, analyzer, page.rows), **page.members}


def list_access_preview_findings(call: ServiceCall, parameters: Input) -> Output:
    """Return a page of the findings of a preview. Raises `AnalyzerResourceNotFound`, `InvalidMember`."""
    analyzer = load_by_arn(call, parameters)
    row = _load(call, analyzer, parameters["accessPreviewId"])
    if _statuses(call, analyzer, [row]) == [FAILED]:
        raise InvalidMember("The access preview failed, so it has no findings.")
    wanted = FindingFilter.of(parameters.get("filter", {}), _KEYS)
    found = [finding for finding in row["findings"] if wanted.matches(_attributes(finding))]
    return page_of_positions(parameters, [_described_finding(row, finding) for finding in found]).listed("findings")


def _attributes(finding: Mapping[str, Any]) -> dict[str, list[str]]:
    more = {key: [finding[key]] for key in _KEYS if finding[key] is not None}
    return {**attributes_of(finding), **more}


def _load(call: ServiceCall, analyzer: Row, id: str) -> Row:
    row = call.records.one(access_previews, id=id, analyzer_id=analyzer["id"])
    if row is None:
        raise AnalyzerResourceNotFound(f"The access preview {id} does not exist.", id=id, type=_PREVIEW)
    return row


def _described(call: ServiceCall, analyzer: Row, rows: Sequence[Row]) -> list[Output]:
    return [
        {
            "id": row["id"],
            "analyzerArn": analyzer_arn(call, analyzer["name"]),
            "createdAt": instant(row["created"]),
            "status": status,
            "statusReason": {"code": "INVALID_CONFIGURATION"} if status == FAILED else None,
        }
        for row, status in zip(rows, _statuses(call, analyzer, rows), strict=True)
    ]


def _statuses(call: ServiceCall, analyzer: Row, rows: Sequence[Row]) -> list[str]:
    """Return the present statuses of previews: those of resources outside of the zone of trust have failed."""
    scope = analysis_scope(call.records, analyzer, call.now)
    are_own = [_is_own(call.records, call.account, scope, _arn(row)) for row in rows]
    return [row["status"] if is_own else FAILED for row, is_own in zip(rows, are_own, strict=True)]


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
    try:
        if proposed.text:
            RESOURCE.check(RESOURCE.size(proposed.text))
            parse(proposed.text, proposed.kind)
    except (PolicyError, LimitExceeded):
        return False
    return True


def _owner(records: Records, account: str, arn: str) -> str:
    """Return the owner of a resource: by its ARN, by its record, or else the caller's account."""
    stored = records.one(resources, arn=arn)
    return account_of(arn) or (account if stored is None else str(stored["account"]))


def _is_own(records: Records, account: str, scope: AnalysisScope | None, arn: str) -> bool:
    """Return whether a resource belongs to the zone of trust of an analyzer of an account."""
    return scope is not None and _owner(records, account, arn) in scope.zone.accounts


# --- the analysis ------------------------------------------------------------------------------------------------


def complete_preview(request: OperationRequest, account: str, parameters: Input) -> None:
    """Bring the findings of the call's analyzer up to date, and analyse its preview if it was not analysed yet.

    A call that names no preview analyses the oldest that is left.
    """
    bring_up_to_date(request, account, parameters)
    store = request.server.source
    name = name_in_arn(parameters["analyzerArn"])
    with analysis_turn(account, name):
        with store.read_transaction() as records:
            analyzer = find_analyzer(records, account, name)
            row = None if analyzer is None else _waiting(records, analyzer, parameters.get("accessPreviewId"))
            scope = None if analyzer is None else analysis_scope(records, analyzer, request.now)
            if row is None or scope is None:
                return
            resource = _proposed(records, store.partition, account, scope, row)
        found = [] if resource is None else list(_analysed(store, scope, *resource))
        with store.write_transaction() as records:
            values: dict[str, Any] = {"status": FAILED}
            if resource is not None:
                values = {"findings": [*_compared(records, scope.analyzer_id, _arn(row), found)], "status": COMPLETED}
            records.update(access_previews, values, id=row["id"], status=CREATING)


def _waiting(records: Records, analyzer: Row, id: str | None) -> Row | None:
    """Return a preview of an analyzer that is not analysed yet: one with an id, or the oldest."""
    where = {} if id is None else {"id": id}
    order = ("created", "id")
    rows = records.page(
        access_previews, order=order, after=None, limit=1, analyzer_id=analyzer["id"], status=CREATING, **where
    )
    return next(iter(rows), None)


def _arn(row: Row) -> str:
    return proposed_policy(row["configurations"]).arn


def _proposed(
    records: Records, partition: str, account: str, scope: AnalysisScope, row: Row
) -> tuple[ProposedPolicy, str] | None:
    """Return the policy of a preview, which is the present one if the configuration has none, and the owner.

    Return None if the resource is outside of the zone of trust.
    """
    proposed = proposed_policy(row["configurations"])
    if not _is_own(records, account, scope, proposed.arn):
        return None
    owner = _owner(records, account, proposed.arn)
    if proposed.text is None:
        proposed = proposed._replace(text=_present_text(records, partition, owner, proposed))
    return proposed, owner


def _present_text(records: Records, partition: str, owner: str, proposed: ProposedPolicy) -> str:
    if proposed.arn.split(":", 3)[2] != "iam":
        stored = records.one(resources, arn=proposed.arn, account=owner)
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
