"""Centralized root access: the organization's features for root users of member accounts (R-3)."""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.operation import Operation
from iam_guard.api.organization_position import find_position
from iam_guard.api.service_errors import (
    CallerIsNotManagementAccount,
    NotManagementOrDelegatedAdministrator,
    OrganizationNotFound,
)
from iam_guard.store.database.records import Row
from iam_guard.store.schema import organizations

CREDENTIALS = "RootCredentialsManagement"
SESSIONS = "RootSessions"


def _feature_operations(feature: str) -> dict[str, Operation]:
    """Return the operations that enable and disable a feature; an enabled one stays enabled."""

    def enable(call: ServiceCall, parameters: Input) -> Output:
        organization = own_organization(call)
        require_management(call, organization)
        return _update(call, organization, {*_enabled(organization), feature})

    def disable(call: ServiceCall, parameters: Input) -> Output:
        organization = _administered(call)
        return _update(call, organization, {*_enabled(organization)} - {feature})

    return {f"EnableOrganizations{feature}": Operation(enable), f"DisableOrganizations{feature}": Operation(disable)}


ROWS = {**_feature_operations(CREDENTIALS), **_feature_operations(SESSIONS)}


def list_organizations_features(call: ServiceCall, parameters: Input) -> Output:
    organization = _administered(call)
    return _describe(organization["id"], _enabled(organization))


def own_organization(call: ServiceCall) -> Row:
    """Return the account's organization. Raises `OrganizationNotFound`."""
    position = find_position(call, call.account)
    if position is None:
        raise OrganizationNotFound("Your account is not a member of an organization.")
    return position.organization


def require_management(call: ServiceCall, organization: Row) -> None:
    """Raise `CallerIsNotManagementAccount` if the account doesn't manage its organization."""
    if organization["management_account"] != call.account:
        raise CallerIsNotManagementAccount("Your account is not the management account of its organization.")


def _administered(call: ServiceCall) -> Row:
    organization = own_organization(call)
    if organization["management_account"] != call.account:
        raise NotManagementOrDelegatedAdministrator(
            "Your account is not the management account or a delegated administrator of its organization."
        )
    return organization


def _enabled(organization: Row) -> list[str]:
    return list(organization["root_features"] or ())


def _update(call: ServiceCall, organization: Row, features: set[str]) -> Output:
    enabled = sorted(features)
    if enabled != _enabled(organization):
        call.records.update(organizations, {"root_features": enabled or None}, id=organization["id"])
    return _describe(organization["id"], enabled)


def _describe(organization_id: str, enabled: list[str]) -> Output:
    return {"OrganizationId": organization_id, "EnabledFeatures": enabled}
