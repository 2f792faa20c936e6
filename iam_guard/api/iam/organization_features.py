"""Root access of member accounts, managed from the management account (rule R-3): which features are on."""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.iam_errors import (
    CallerIsNotManagementAccount,
    NotManagementOrDelegatedAdministrator,
    OrganizationNotFound,
)
from iam_guard.api.operation import Handler
from iam_guard.store.records import Row
from iam_guard.store.schema import organizations, placements, units

CREDENTIALS = "RootCredentialsManagement"
SESSIONS = "RootSessions"


def enabling(feature: str) -> Handler:
    """Make the operation that turns a feature on; one that is on stays on."""

    def enable(call: ServiceCall, given: Input) -> Output:
        organization = own_organization(call)
        require_management(call, organization)
        return _turn(call, organization, {*_enabled(organization), feature})

    return enable


def disabling(feature: str) -> Handler:
    """Make the operation that turns a feature off."""

    def disable(call: ServiceCall, given: Input) -> Output:
        organization = _administered(call)
        return _turn(call, organization, {*_enabled(organization)} - {feature})

    return disable


def list_organizations_features(call: ServiceCall, given: Input) -> Output:
    """List the features that are on."""
    organization = _administered(call)
    return _told(organization["id"], _enabled(organization))


def own_organization(call: ServiceCall) -> Row:
    """Find the organization that the account is in. Raises `OrganizationNotFound`."""
    place = call.records.one(placements, account=call.account)
    unit = None if place is None else call.records.one(units, id=place["unit_id"])
    organization = None if unit is None else call.records.one(organizations, id=unit["organization_id"])
    if organization is None:
        raise OrganizationNotFound("Your account is not a member of an organization.")
    return organization


def require_management(call: ServiceCall, organization: Row) -> None:
    """Raise `CallerIsNotManagementAccount` for an account that does not manage its organization."""
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


def _turn(call: ServiceCall, organization: Row, features: set[str]) -> Output:
    enabled = sorted(features)
    if enabled != _enabled(organization):
        call.records.update(organizations, {"root_features": enabled or None}, id=organization["id"])
    return _told(organization["id"], enabled)


def _told(organization_id: str, enabled: list[str]) -> Output:
    return {"OrganizationId": organization_id, "EnabledFeatures": enabled}
