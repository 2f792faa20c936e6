"""The analysis of a store for one analyzer: what it finds on all resources, or on some (AA-4 to AA-11).

What an analysis depends on is expressed in the names of the change feed (`iam_guard.store.cache.invalidation`), so that
a change of the store leads to the resources that must be analysed again (`affected_resources`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from iam_guard.analysis.checks.limits import Undecided
from iam_guard.analysis.findings.external_access import external_findings
from iam_guard.analysis.findings.resource_types import resource_type_of
from iam_guard.analysis.findings.shared_resources import SharedResource, ZoneOfTrust, read_shared_resources
from iam_guard.analysis.findings.unused_findings import UnusedFinding, unused_findings
from iam_guard.api.access_analyzer.analyzer_settings import AnalyzerKind, is_of_organization, kind_of_analyzer
from iam_guard.api.access_analyzer.internal_zones import internal_access
from iam_guard.api.access_analyzer.selected_resources import selected_resources
from iam_guard.api.access_analyzer.zone_changes import MAX_NAMES, concerns_accounts, concerns_keys, concerns_zone, ends
from iam_guard.api.organization_position import managed_organization, member_accounts
from iam_guard.api.service_errors import PolicyEvaluation
from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.model.reference import ServiceReference
from iam_guard.store.database.records import Records, Row, row_arn
from iam_guard.store.protocol import SourceStore
from iam_guard.store.schema import findings, identities, resources

ROLE_TYPE: Final = "AWS::IAM::Role"
UNUSED_SECONDS: Final = 3600
"""After how long unused access is analysed again, since the feed has no last uses."""
Arns: TypeAlias = "frozenset[str] | None"
"""Resources that are analysed; None: all."""


class AnalysisScope(NamedTuple):
    """An analyzer as its analysis needs it. `now` is in seconds since 1970."""

    analyzer_id: str
    kind: AnalyzerKind
    configuration: Mapping[str, Any]
    zone: ZoneOfTrust
    now: int


@dataclass(frozen=True, slots=True)
class AnalyzedAccess:
    """One finding of an analysis. `details` are the members of the details in AWS's API, with times in seconds.

    `same` is what makes it the same finding when it is found again; `error` is AWS's code if the analysis failed.
    """

    type: str
    resource: str
    resource_type: str
    owner: str
    details: tuple[Mapping[str, Any], ...]
    same: Any
    error: str | None = None

    @property
    def digest(self) -> str:
        parts = [self.type, self.resource, self.error, self.same]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def content(self) -> dict[str, Any]:
        """Return what the store keeps of the details."""
        return {"details": [dict(details) for details in self.details], "error": self.error}


def analysis_scope(records: Records, analyzer: Row, now: int) -> AnalysisScope | None:
    """Return what to analyse; None if the analyzer's account no longer manages the organization."""
    account, kind = analyzer["account"], kind_of_analyzer(analyzer["type"])
    zone = ZoneOfTrust(frozenset({account}))
    if is_of_organization(analyzer["type"]):
        organization = managed_organization(records, account)
        if organization is None:
            return None
        zone = ZoneOfTrust(member_accounts(records, organization["id"]), organization["id"])
    return AnalysisScope(analyzer["id"], kind, analyzer["configuration"].get(kind.value, {}), zone, now)


# --- what must be analysed again ---------------------------------------------------------------------------------


def affected_resources(records: Records, scope: AnalysisScope, names: Collection[str], partition: str) -> Arns:
    """Return the resources whose findings may differ after the changes that invalidated these names."""
    zone = scope.zone
    if len(names) > MAX_NAMES:
        return None
    match scope.kind:
        case AnalyzerKind.UNUSED:
            is_concerned = concerns_zone(records, zone, names) or concerns_keys(records, zone, names)
            return None if is_concerned else frozenset()
        case AnalyzerKind.INTERNAL if concerns_zone(records, zone, names):
            return None
        case AnalyzerKind.EXTERNAL if concerns_accounts(zone, names):
            return None  # members of the organization, and resource control policies
    arns = set(ends(names, "resource:"))
    if scope.kind is AnalyzerKind.EXTERNAL:
        arns |= _affected_roles(records, scope, names, partition)
        arns |= _bound_resources(records, zone, names, partition)
    return frozenset(arns)


_ROLE_COLUMNS: Final = ("id", "account", "kind", "path", "name")


def _affected_roles(records: Records, scope: AnalysisScope, names: Collection[str], partition: str) -> set[str]:
    """Return the changed roles of the zone; all of an account, if roles were created, renamed or deleted there."""
    zone = scope.zone.accounts
    ids, accounts = sorted(ends(names, "identity:")), sorted(zone.intersection(ends(names, "newcomers:")))
    rows = [*records.all(identities, columns=_ROLE_COLUMNS, id=ids, kind="role")] if ids else []
    rows += records.all(identities, columns=_ROLE_COLUMNS, account=accounts, kind="role") if accounts else []
    where = {"analyzer_id": scope.analyzer_id, "resource_type": ROLE_TYPE, "owner": accounts}
    gone = records.all(findings, columns=("resource",), **where) if accounts else []
    return {row_arn(partition, row) for row in rows if row["account"] in zone} | {row["resource"] for row in gone}


def _bound_resources(records: Records, zone: ZoneOfTrust, names: Collection[str], partition: str) -> set[str]:
    """Return the resources and roles whose policies name a user or role that was renamed or deleted (P-5)."""
    ids, accounts = set(ends(names, "bound:")), sorted(zone.accounts)
    if not ids:
        return set()
    rows = records.all(resources, columns=("arn", "bindings"), account=accounts)
    arns = {row["arn"] for row in rows if not ids.isdisjoint((row["bindings"] or {}).values())}
    roles = records.all(identities, columns=(*_ROLE_COLUMNS, "trust_bindings"), account=accounts, kind="role")
    bound = (row for row in roles if not ids.isdisjoint((row["trust_bindings"] or {}).values()))
    return arns | {row_arn(partition, row) for row in bound}


# --- the analysis ------------------------------------------------------------------------------------------------


def analyse(
    store: SourceStore, scope: AnalysisScope, arns: Arns, references: Sequence[ServiceReference] = ()
) -> Iterator[AnalyzedAccess]:
    """Yield the findings on these resources. `references` describe the application's services.

    Raises `StoreUnavailable`.
    """
    if not scope.zone.accounts or (arns is not None and not arns):
        return
    match scope.kind:
        case AnalyzerKind.EXTERNAL:
            for resource in read_shared_resources(store, scope.zone.accounts, arns):
                yield from external_access(resource, scope.zone)
        case AnalyzerKind.INTERNAL:
            yield from _internal_access(store, scope, arns, references)
        case AnalyzerKind.UNUSED:
            yield from _unused_access(store, scope, references)


def external_access(resource: SharedResource, zone: ZoneOfTrust) -> Iterator[AnalyzedAccess]:
    """Yield the external access to one resource, or the error of its analysis."""
    for finding in external_findings(resource, zone):
        where = finding.resource, finding.resource_type, finding.owner
        if finding.error is None:
            yield _found("ExternalAccess", *where, finding.to_dict())
        else:
            yield AnalyzedAccess("ExternalAccess", *where, (), None, finding.error)


def _internal_access(
    store: SourceStore, scope: AnalysisScope, arns: Arns, references: Sequence[ServiceReference]
) -> Iterator[AnalyzedAccess]:
    with store.read_transaction() as records:
        owners = selected_resources(records, scope.configuration, scope.zone.accounts, store.partition)
    wanted = sorted(owners if arns is None else owners.keys() & arns)
    if not wanted:
        return
    with internal_access(store, scope.zone, scope.now, references) as access:
        for arn in wanted:
            where = arn, resource_type_of(arn), owners[arn]
            try:
                for finding in access.findings(arn):
                    yield _found("InternalAccess", *where, finding.to_dict())
            except (PolicyError, InvalidInput, Undecided) as error:
                yield AnalyzedAccess("InternalAccess", *where, (), None, str(error))


def _unused_access(
    store: SourceStore, scope: AnalysisScope, references: Sequence[ServiceReference]
) -> Iterator[AnalyzedAccess]:
    criteria = scope.configuration.get("analysisRule", {}).get("exclusions", ())
    tags = [tags for criterion in criteria for tags in criterion.get("resourceTags", ())]
    try:
        found = unused_findings(
            store,
            scope.zone.accounts,
            now=scope.now,
            age=scope.configuration["unusedAccessAge"],
            excluded_accounts={account for criterion in criteria for account in criterion.get("accountIds", ())},
            excluded_tags=[(key, value or None) for entry in tags for key, value in entry.items()],
            references=references,
        )
    except PolicyError as error:
        raise PolicyEvaluation(f"a stored policy cannot be read: {error}") from None
    permissions: dict[str, list[UnusedFinding]] = {}
    for finding in found:
        if finding.kind == "UnusedPermission":
            permissions.setdefault(finding.resource, []).append(finding)
        else:
            yield _unused((finding,))
    yield from map(_unused, permissions.values())


# --- details in AWS's form ---------------------------------------------------------------------------------------

_UNIONS: Final = {"ExternalAccess": "externalAccessDetails", "InternalAccess": "internalAccessDetails"}
_IDENTIFYING: Final = ("principal", "action", "condition")
"""What distinguishes the access to one resource (AA-6), besides `notAction`."""
_MEMBERS: Final = (
    *_IDENTIFYING,
    "accessType",
    "isPublic",
    "principalOwnerAccount",
    "principalType",
    "resourceControlPolicyRestriction",
    "serviceControlPolicyRestriction",
)


def _found(type: str, resource: str, resource_type: str, owner: str, members: Mapping[str, Any]) -> AnalyzedAccess:
    details = {name: members[name] for name in _MEMBERS if name in members}
    same = {name: members[name] for name in (*_IDENTIFYING, "notAction") if name in members}
    return AnalyzedAccess(type, resource, resource_type, owner, ({_UNIONS[type]: details},), same)


_UNUSED_UNIONS: Final = {
    "UnusedIAMRole": "unusedIamRoleDetails",
    "UnusedIAMUserAccessKey": "unusedIamUserAccessKeyDetails",
    "UnusedIAMUserPassword": "unusedIamUserPasswordDetails",
    "UnusedPermission": "unusedPermissionDetails",
}


def _unused(found: Sequence[UnusedFinding]) -> AnalyzedAccess:
    """Return unused access: a role, a key, a password, or the permissions of one principal, with details per service.

    What was last used when does not distinguish it (AA-10).
    """
    first = found[0]
    details = tuple({_UNUSED_UNIONS[finding.kind]: _unused_details(finding)} for finding in found)
    same = [[entry.access_key_id, entry.service, sorted(name for name, _ in entry.actions)] for entry in found]
    return AnalyzedAccess(first.kind, first.resource, first.resource_type, first.owner, details, same)


def _unused_details(finding: UnusedFinding) -> dict[str, Any]:
    details = {
        "accessKeyId": finding.access_key_id,
        "serviceNamespace": finding.service,
        "lastAccessed": finding.last_used,
        "actions": [_used(name, used) for name, used in finding.actions] if finding.service is not None else None,
    }
    return {name: value for name, value in details.items() if value is not None}


def _used(action: str, used: int | None) -> dict[str, Any]:
    return {"action": action} if used is None else {"action": action, "lastAccessed": used}


def unused_permissions(row: Row) -> list[UnusedFinding]:
    """Return a stored finding of unused permissions as the analysis found it: one for each service."""
    return [
        UnusedFinding(
            "UnusedPermission",
            row["resource"],
            row["resource_type"],
            row["owner"],
            last_used=details.get("lastAccessed"),
            service=details["serviceNamespace"],
            actions=tuple((used["action"], used.get("lastAccessed")) for used in details["actions"]),
        )
        for union in row["content"]["details"]
        for details in union.values()
    ]
