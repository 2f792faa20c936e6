"""What an organization's service control policies let its accounts reach, and when that was last attempted (R-34).

The report is made for the management account, on a root, a unit or an account that is named by its path, or on one
policy there; it is made when it is asked for and kept as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iam_guard.analysis.allowed_services import known_services, named_services, reached_services, service_name
from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.jobs import JobKind, described_job, keep_job, page_of_result, the_job
from iam_guard.api.iam.last_attempts import TRACKED, Attempts, add, gathered
from iam_guard.api.iam.organization_features import own_organization, require_management
from iam_guard.api.operation import Permission
from iam_guard.errors import InvalidInput, NoSuchEntity
from iam_guard.model.decision import PolicyType
from iam_guard.model.request import Resource
from iam_guard.policy.document import Document
from iam_guard.policy.parser import parse
from iam_guard.store.records import Row
from iam_guard.store.schema import control_attachments, control_policies, identities, placements, service_uses, units

_NEEDED = (
    "DescribePolicy",
    "ListChildren",
    "ListParents",
    "ListPoliciesForTarget",
    "ListRoots",
    "ListTargetsForPolicy",
)
"""What else a caller must be allowed to do in Organizations, for the report tells of all that."""

_ORDERS: Mapping[str, Any] = {
    "SERVICE_NAMESPACE_ASCENDING": (lambda detail: detail["service"], False),
    "SERVICE_NAMESPACE_DESCENDING": (lambda detail: detail["service"], True),
    "LAST_AUTHENTICATED_TIME_ASCENDING": (lambda detail: detail["at"] or 0, False),
    "LAST_AUTHENTICATED_TIME_DESCENDING": (lambda detail: detail["at"] or 0, True),
}


def access_report(call: ServiceCall, given: Input) -> Resource:
    """Return the ARN of a report, which is what a caller needs permission for."""
    arn = f"arn:{call.partition}:iam::{call.account}:access-report/{given['EntityPath']}"
    return Resource(arn, account=call.account)


def reading_the_organization(call: ServiceCall, given: Input) -> list[Permission]:
    """Ask for the permissions to see the organization."""
    everything = Resource("*", account=call.account)
    return [Permission(f"organizations:{action}", everything, {}) for action in _NEEDED]


def generate_organizations_access_report(call: ServiceCall, given: Input) -> Output:
    """Make the report on an entity, or on a policy there. Raises `NoSuchEntity`, `InvalidInput`."""
    organization = _managed(call)
    entity = _Tree(call, organization).entity(given["EntityPath"])
    policy_id = None if entity.is_management else given.get("OrganizationsPolicyId")
    accounts = entity.accounts if policy_id is None else _bound_by(call, entity, policy_id)
    attempts = _attempts(call, accounts)
    known = known_services(attempts)
    if entity.is_management:
        reached = set(known)
    elif policy_id is None:
        reached = _reached(call, entity.levels, known)
    else:
        reached = reached_services([_document(_the_policy(call, organization, policy_id))], known)
    details = [_kept(service, attempts.get(service), accounts) for service in sorted(reached)]
    return keep_job(call, JobKind.ORGANIZATION_ACCESS, dict(given), {"details": details})


def get_organizations_access_report(call: ServiceCall, given: Input) -> Output:
    """Return a report. Raises `NoSuchEntity`."""
    _managed(call)
    job = the_job(call, JobKind.ORGANIZATION_ACCESS, given)
    details = job["result"]["details"]
    key, is_reversed = _ORDERS[given.get("SortKey", "SERVICE_NAMESPACE_ASCENDING")]
    page = page_of_result(given, sorted(details, key=key, reverse=is_reversed))
    return {
        **described_job(job),
        "NumberOfServicesAccessible": len(details),
        "NumberOfServicesNotAccessed": sum(detail["at"] is None for detail in details),
        "AccessDetails": [_told(detail) for detail in page.rows],
        **page.members,
    }


def _managed(call: ServiceCall) -> Row:
    """Find the organization that the account manages, in which control policies must be in use."""
    organization = own_organization(call)
    require_management(call, organization)
    if not organization["scps_enabled"]:
        raise InvalidInput("Service control policies must be enabled for the root of your organization.")
    return organization


# --- the entity --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entity:
    """A root, unit or account. `levels` leads to it from the root, `accounts` are those below with their paths."""

    levels: tuple[str, ...]
    accounts: Mapping[str, str]
    is_management: bool


class _Tree:
    """The units of an organization and the accounts in them."""

    def __init__(self, call: ServiceCall, organization: Row) -> None:
        self._organization: str = organization["id"]
        self._management: str = organization["management_account"]
        rows = call.records.all(units, organization_id=organization["id"])
        self._parents: dict[str, str | None] = {row["id"]: row["parent_id"] for row in rows}
        mine = call.records.values_of(units, "id", organization_id=organization["id"])
        self._places: dict[str, str] = {
            row["account"]: row["unit_id"] for row in call.records.all(placements, unit_id=mine)
        }

    def entity(self, path: str) -> _Entity:
        """Find an entity by its path, from the organization to it. Raises `NoSuchEntity`."""
        wanted = path.removesuffix("/")
        last = wanted.rpartition("/")[2]
        is_there = last in self._parents or last in self._places
        if not is_there or self._path(last) != wanted:
            raise NoSuchEntity(f"The entity with path {path} cannot be found.")
        if last == self._management:
            return _Entity(self._levels(last), {last: self._path(last)}, is_management=True)
        below = {account: self._path(account) for account in self._places if last in self._levels(account)}
        below.pop(self._management, None)  # no control policy limits it
        return _Entity(self._levels(last), below, is_management=False)

    def _levels(self, id: str) -> tuple[str, ...]:
        """Lead from the root to a unit or account."""
        found: list[str] = []
        each: str | None = id
        while each is not None and each not in found:
            found.append(each)
            each = self._places.get(each) or self._parents.get(each)
        return tuple(reversed(found))

    def _path(self, id: str) -> str:
        return "/".join((self._organization, *self._levels(id)))


# --- its policies ------------------------------------------------------------------------------------------------


def _reached(call: ServiceCall, levels: Sequence[str], known: frozenset[str]) -> set[str]:
    """Return the services that the policies of every level allow (rule E-12)."""
    documents = [[_document(row) for row in _attached(call, level)] for level in levels]
    known |= named_services(document for level in documents for document in level)
    return set.intersection(*(reached_services(level, known) for level in documents))


def _attached(call: ServiceCall, target: str) -> list[Row]:
    ids = call.records.values_of(control_attachments, "policy_id", target=target)
    return call.records.all(control_policies, id=ids, type="SCP")


def _the_policy(call: ServiceCall, organization: Row, policy_id: str) -> Row:
    row = call.records.one(control_policies, id=policy_id, type="SCP")
    if row is None or row["organization_id"] not in (None, organization["id"]):
        raise NoSuchEntity(f"The policy with id {policy_id} cannot be found.")
    return row


def _bound_by(call: ServiceCall, entity: _Entity, policy_id: str) -> dict[str, str]:
    """Return the accounts of an entity to which a policy applies."""
    targets = {row["target"] for row in call.records.all(control_attachments, policy_id=policy_id)}
    return {account: path for account, path in entity.accounts.items() if not targets.isdisjoint(path.split("/")[1:])}


def _document(policy: Row) -> Document:
    return parse(policy["text"], PolicyType.SCP)


# --- what was attempted ------------------------------------------------------------------------------------------


def _attempts(call: ServiceCall, accounts: Iterable[str]) -> dict[str, Attempts]:
    """Gather what the users and roles of accounts attempted, by account."""
    found: dict[str, Attempts] = {}
    for account in accounts:
        theirs = call.records.values_of(identities, "id", account=account)
        rows = call.records.all(service_uses, identity_id=theirs)
        for service, attempts in gathered(rows, since=call.now - TRACKED, who=account).items():
            add(found, service, "", attempts.latest)
    return found


def _kept(service: str, attempts: Attempts | None, accounts: Mapping[str, str]) -> dict[str, Any]:
    if attempts is None:
        return {"service": service, "at": None}
    at, region, account = attempts.latest
    return {"service": service, "at": at, "region": region, "path": accounts[account], "total": len(attempts.last)}


def _told(detail: Mapping[str, Any]) -> Output:
    return {
        "ServiceName": service_name(detail["service"]),
        "ServiceNamespace": detail["service"],
        "Region": detail.get("region"),
        "EntityPath": detail.get("path"),
        "LastAuthenticatedTime": instant(detail["at"]),
        "TotalAuthenticatedEntities": detail.get("total", 0),
    }
