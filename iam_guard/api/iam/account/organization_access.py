"""Organizations access reports: services that control policies allow to accounts, and their last use (R-34).

A report is generated for the management account, about a root, a unit or an account (named by its path), or about one
policy there. It is generated on request and stored unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iam_guard.analysis.allowed_services import known_services, named_services, reached_services, service_name
from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.account.jobs import describe_job, generate_job, load_job
from iam_guard.api.iam.account.last_attempts import TRACKING_SECONDS, Attempts, add_attempt, attempts_by_service
from iam_guard.api.iam.account.organization_features import own_organization, require_management
from iam_guard.api.iam.policies.attached_policies import service_control_policies
from iam_guard.api.jobs import JobKind
from iam_guard.api.operation import Permission
from iam_guard.api.paging import page_of_positions
from iam_guard.errors import InvalidInput, NoSuchEntity
from iam_guard.model.decision import PolicyType
from iam_guard.model.request import Resource
from iam_guard.policy.document import Document
from iam_guard.policy.parser import parse
from iam_guard.store.database.records import Row
from iam_guard.store.schema import control_attachments, control_policies, identities, placements, service_uses, units

_ORGANIZATIONS_ACTIONS = (
    "DescribePolicy",
    "ListChildren",
    "ListParents",
    "ListPoliciesForTarget",
    "ListRoots",
    "ListTargetsForPolicy",
)
"""Further required permissions in Organizations, since the report contains that information."""

_ORDERS: Mapping[str, Any] = {
    "SERVICE_NAMESPACE_ASCENDING": (lambda detail: detail["service"], False),
    "SERVICE_NAMESPACE_DESCENDING": (lambda detail: detail["service"], True),
    "LAST_AUTHENTICATED_TIME_ASCENDING": (lambda detail: detail["at"] or 0, False),
    "LAST_AUTHENTICATED_TIME_DESCENDING": (lambda detail: detail["at"] or 0, True),
}


def access_report(call: ServiceCall, parameters: Input) -> Resource:
    """Return the ARN of the report."""
    return call.resource(call.arn("access-report", "/", parameters["EntityPath"]))


def organizations_permissions(call: ServiceCall, parameters: Input) -> list[Permission]:
    """Require the permissions to view the organization."""
    resource = call.resource("*")
    return [Permission(f"organizations:{action}", resource, {}) for action in _ORGANIZATIONS_ACTIONS]


def generate_organizations_access_report(call: ServiceCall, parameters: Input) -> Output:
    """Generate a report on an entity, or on a policy there. Raises `NoSuchEntity`, `InvalidInput`."""
    organization = _managed(call)
    entity = _load_entity(call, organization, parameters["EntityPath"])
    policy_id = None if entity.is_management else parameters.get("OrganizationsPolicyId")
    accounts = entity.accounts if policy_id is None else _affected_accounts(call, entity, policy_id)
    attempts = _attempts(call, accounts)
    known = known_services(attempts)
    if entity.is_management:
        services = set(known)
    elif policy_id is None:
        services = _allowed_services(call, entity.levels, known)
    else:
        services = reached_services([_load_document(call, organization, policy_id)], known)
    details = [_detail(service, attempts.get(service), accounts) for service in sorted(services)]
    return generate_job(call, JobKind.ORGANIZATION_ACCESS, dict(parameters), {"details": details})


def get_organizations_access_report(call: ServiceCall, parameters: Input) -> Output:
    """Return a report. Raises `NoSuchEntity`."""
    _managed(call)
    job = load_job(call, JobKind.ORGANIZATION_ACCESS, parameters)
    details = job["result"]["details"]
    key, is_reversed = _ORDERS[parameters.get("SortKey", "SERVICE_NAMESPACE_ASCENDING")]
    page = page_of_positions(parameters, sorted(details, key=key, reverse=is_reversed))
    return {
        **describe_job(job),
        "NumberOfServicesAccessible": len(details),
        "NumberOfServicesNotAccessed": sum(detail["at"] is None for detail in details),
        "AccessDetails": [_describe(detail) for detail in page.rows],
        **page.members,
    }


def _managed(call: ServiceCall) -> Row:
    """Return the organization that the account manages. Raises `InvalidInput` if control policies are disabled."""
    organization = own_organization(call)
    require_management(call, organization)
    if not organization["scps_enabled"]:
        raise InvalidInput("Service control policies must be enabled for the root of your organization.")
    return organization


# --- the entity --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entity:
    """A root, unit or account: its levels from the root, and the paths of the accounts below."""

    levels: tuple[str, ...]
    accounts: Mapping[str, str]
    is_management: bool


def _load_entity(call: ServiceCall, organization: Row, path: str) -> _Entity:
    """Find an entity by its path from the organization. Raises `NoSuchEntity`."""
    unit_rows = call.records.all(units, organization_id=organization["id"])
    unit_ids = call.records.values_of(units, "id", organization_id=organization["id"])
    placed = {row["account"]: row["unit_id"] for row in call.records.all(placements, unit_id=unit_ids)}
    parents = {**{row["id"]: row["parent_id"] for row in unit_rows}, **placed}
    levels = {id: _levels(parents, id) for id in parents}
    paths = {id: "/".join((organization["id"], *levels[id])) for id in parents}
    expected = path.removesuffix("/")
    last, management = expected.rpartition("/")[2], organization["management_account"]
    if paths.get(last) != expected:
        raise NoSuchEntity(f"The entity with path {path} cannot be found.")
    if last == management:
        return _Entity(levels[last], {last: expected}, is_management=True)
    below = {account: paths[account] for account in placed if last in levels[account]}
    below.pop(management, None)  # control policies don't apply to it
    return _Entity(levels[last], below, is_management=False)


def _levels(parents: Mapping[str, str | None], id: str) -> tuple[str, ...]:
    """Return the levels from the root to a unit or account."""
    levels: list[str] = []
    level: str | None = id
    while level is not None and level not in levels:
        levels.append(level)
        level = parents.get(level)
    return tuple(reversed(levels))


# --- its policies ------------------------------------------------------------------------------------------------


def _allowed_services(call: ServiceCall, levels: Sequence[str], known: frozenset[str]) -> set[str]:
    """Return the services that the policies of every level allow (E-12)."""
    documents = [
        [parse(policy.text, PolicyType.SCP) for policy in service_control_policies(call, level)] for level in levels
    ]
    known |= named_services(document for level in documents for document in level)
    return set.intersection(*(reached_services(level, known) for level in documents))


def _load_document(call: ServiceCall, organization: Row, policy_id: str) -> Document:
    row = call.records.one(control_policies, id=policy_id, type="SCP")
    if row is None or row["organization_id"] not in (None, organization["id"]):
        raise NoSuchEntity(f"The policy with id {policy_id} cannot be found.")
    return parse(row["text"], PolicyType.SCP)


def _affected_accounts(call: ServiceCall, entity: _Entity, policy_id: str) -> dict[str, str]:
    """Return the accounts of an entity to which a policy applies."""
    targets = {row["target"] for row in call.records.all(control_attachments, policy_id=policy_id)}
    return {account: path for account, path in entity.accounts.items() if not targets.isdisjoint(path.split("/")[1:])}


# --- attempts ----------------------------------------------------------------------------------------------------


def _attempts(call: ServiceCall, accounts: Iterable[str]) -> dict[str, Attempts]:
    """Aggregate the attempts of the accounts' users and roles, by account."""
    attempts: dict[str, Attempts] = {}
    for account in accounts:
        identity_ids = call.records.values_of(identities, "id", account=account)
        rows = call.records.all(service_uses, identity_id=identity_ids)
        since = call.now - TRACKING_SECONDS
        for service, of_account in attempts_by_service(rows, since=since, who=account).items():
            add_attempt(attempts, service, "", of_account.latest)
    return attempts


def _detail(service: str, attempts: Attempts | None, accounts: Mapping[str, str]) -> dict[str, Any]:
    if attempts is None:
        return {"service": service, "at": None}
    at, region, account = attempts.latest
    return {"service": service, "at": at, "region": region, "path": accounts[account], "total": len(attempts.last)}


def _describe(detail: Mapping[str, Any]) -> Output:
    return {
        "ServiceName": service_name(detail["service"]),
        "ServiceNamespace": detail["service"],
        "Region": detail.get("region"),
        "EntityPath": detail.get("path"),
        "LastAuthenticatedTime": instant(detail["at"]),
        "TotalAuthenticatedEntities": detail.get("total", 0),
    }
