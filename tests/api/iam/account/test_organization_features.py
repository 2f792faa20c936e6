"""Features of centralized root access, for the management account (R-3)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.api.conftest import Running
from tests.api.iam.organization_parts import ORGANIZATION, make_organization

Refused = Callable[..., AbstractContextManager[None]]

ENABLE = {
    "RootCredentialsManagement": "enable_organizations_root_credentials_management",
    "RootSessions": "enable_organizations_root_sessions",
}
DISABLE = {feature: name.replace("enable_", "disable_", 1) for feature, name in ENABLE.items()}
LIST = "list_organizations_features"


def features(client: Any) -> list[str]:
    answer = client.list_organizations_features()
    assert answer["OrganizationId"] == ORGANIZATION
    found: list[str] = answer["EnabledFeatures"]
    return found


def test_features_are_enabled_and_disabled(iam: Any, server: Running) -> None:
    """Each response lists the enabled ones; repetition changes nothing."""
    make_organization(server)
    assert features(iam) == []
    on: set[str] = set()
    for feature, name in (*ENABLE.items(), *ENABLE.items()):
        on.add(feature)
        answer = getattr(iam, name)()
        assert answer["OrganizationId"] == ORGANIZATION
        assert answer["EnabledFeatures"] == sorted(on) == features(iam)
    for feature, name in (*DISABLE.items(), *DISABLE.items()):
        on.discard(feature)
        assert getattr(iam, name)()["EnabledFeatures"] == sorted(on) == features(iam)


def test_seed_keeps_the_features(iam: Any, server: Running) -> None:
    """Applying it again, with another unit, doesn't disable them."""
    make_organization(server)
    iam.enable_organizations_root_sessions()
    make_organization(server, tenants={"name": "renamed"})
    assert features(iam) == ["RootSessions"]


@pytest.mark.parametrize("operation", [*ENABLE.values(), *DISABLE.values(), LIST])
def test_account_without_organization_has_no_features(iam: Any, refused: Refused, operation: str) -> None:
    with refused("OrganizationNotFoundException", "not a member of an organization", 400):
        getattr(iam, operation)()


@pytest.mark.parametrize("operation", [*ENABLE.values(), *DISABLE.values(), LIST])
def test_member_account_is_rejected(
    iam: Any, other_account: Any, server: Running, refused: Refused, operation: str
) -> None:
    """Whatever its policies; each operation has the model's code."""
    make_organization(server)
    iam.enable_organizations_root_sessions()
    code = (
        "CallerIsNotManagementAccountException"
        if operation in ENABLE.values()
        else "AccountNotManagementOrDelegatedAdministratorException"
    )
    with refused(code, "management account", 400):
        getattr(other_account, operation)()
    assert features(iam) == ["RootSessions"]
