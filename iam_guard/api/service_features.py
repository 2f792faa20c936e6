"""Which features of IAM a service supports, as AWS's page "AWS services that work with IAM" shows for its services.

For an application's service the answers follow from its declarations, for IAM and STS also from the tables of their
operations and of the limits of sessions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from iam_guard.api.iam.service_linked_roles import ROLE_NAMES
from iam_guard.api.session_limits import LIMITS_BY_PRINCIPAL
from iam_guard.model.own_services import SERVED
from iam_guard.model.reference import ActionEntry, ServiceReference


class Support(StrEnum):
    """How far a service supports a feature."""

    YES = "Yes"
    PARTIAL = "Partial"
    NO = "No"


class ServiceFeatures(NamedTuple):
    """A row of the page: the service, and its support for each feature."""

    service: str
    actions: Support
    resource_level_permissions: Support
    resource_based_policies: Support
    abac: Support
    temporary_credentials: Support
    service_linked_roles: Support


TITLES: Final = (
    "Service",
    "Actions",
    "Resource-level permissions",
    "Resource-based policies",
    "ABAC (tags)",
    "Temporary credentials",
    "Service-linked roles",
)
"""The titles of the columns, which are AWS's."""

_TAGS_OF_RESOURCE = "aws:ResourceTag/${TagKey}"
_TAGS_OF_REQUEST = {"aws:RequestTag/${TagKey}", "aws:TagKeys"}
_POLICY_OPERATIONS = {"UpdateAssumeRolePolicy"}
"""The operations of our own services that attach a resource-based policy; each is for one type of resource."""


def service_features(reference: ServiceReference) -> ServiceFeatures:
    """Return the features that a service supports, according to its reference."""
    named = {target.name for action in reference.actions for target in action.resources}
    has_loaders = any(action.open_resources for action in reference.actions)  # they may return a resource of any type
    types = {type.name for type in reference.resource_types}
    is_own = reference.name in SERVED
    title = f"{reference.title} (`{reference.name}`)" if reference.title else f"`{reference.name}`"
    return ServiceFeatures(
        title,
        _support(bool(reference.actions)),
        Support.YES if has_loaders else _share(len(types & named), len(types)),
        _own_policies(reference) if is_own else _support(has_loaders or bool(named)),
        _abac(reference),
        _own_sessions(reference) if is_own else Support.YES,
        _support(not is_own or reference.name in ROLE_NAMES),
    )


def features_table(references: Iterable[ServiceReference]) -> str:
    """Format the features of services as a table in Markdown."""
    rows = [TITLES, ["---"] * len(TITLES), *map(service_features, references)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _abac(reference: ServiceReference) -> Support:
    """Tags can decide about a type of resource if policies can test those that it has, and those that a call sets."""
    tagged = [
        type.name
        for type in reference.resource_types
        if _TAGS_OF_RESOURCE in type.condition_keys and _sets_tags(reference.actions, type.name)
    ]
    return _share(len(tagged), len(reference.resource_types))


def _sets_tags(actions: Collection[ActionEntry], type: str) -> bool:
    return any(
        {*action.condition_keys, *target.condition_keys} >= _TAGS_OF_REQUEST
        for action in actions
        for target in action.resources
        if target.name == type
    )


def _own_policies(reference: ServiceReference) -> Support:
    names = {action.name for action in reference.actions}
    return Support.PARTIAL if names & _POLICY_OPERATIONS else Support.NO


def _own_sessions(reference: ServiceReference) -> Support:
    """Some kinds of session can't call some operations (H.1)."""
    refused = {
        action.name
        for action in reference.actions
        for limits in LIMITS_BY_PRINCIPAL.values()
        if limits.refuses(reference.name, action.name, None)
    }
    return Support.PARTIAL if refused else Support.YES


def _share(count: int, total: int) -> Support:
    return Support.NO if not count else Support.YES if count == total else Support.PARTIAL


def _support(is_supported: bool) -> Support:
    return Support.YES if is_supported else Support.NO
