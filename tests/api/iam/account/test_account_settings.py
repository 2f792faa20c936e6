"""Account settings: STS tokens, outbound federation, properties."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.api.conftest import Running

Refused = Callable[..., AbstractContextManager[None]]


def test_token_version_accepts_two_values(iam: Any, refused: Refused) -> None:
    """The version is in GetAccountSummary, which has its own tests."""
    iam.set_security_token_service_preferences(GlobalEndpointTokenVersion="v2Token")
    with refused("ValidationError", "globalEndpointTokenVersion", 400):
        iam.set_security_token_service_preferences(GlobalEndpointTokenVersion="v3Token")
    assert iam.get_account_summary()["SummaryMap"]["GlobalEndpointTokenVersion"] == 2


def test_outbound_federation_is_disabled_by_default(iam: Any, refused: Refused) -> None:
    with refused("FeatureDisabled", "not enabled", 404):
        iam.get_outbound_web_identity_federation_info()
    with refused("FeatureDisabled", "not enabled", 404):
        iam.disable_outbound_web_identity_federation()


def test_outbound_federation_issuer_is_unique_per_account(
    iam: Any, other_account: Any, refused: Refused, server: Running
) -> None:
    """It is returned while the feature is enabled."""
    issuer = iam.enable_outbound_web_identity_federation()["IssuerIdentifier"]
    assert issuer.startswith(f"{server.url}/")
    answer = iam.get_outbound_web_identity_federation_info()
    assert (answer["IssuerIdentifier"], answer["JwtVendingEnabled"]) == (issuer, True)
    with refused("FeatureEnabled", "already enabled", 409):
        iam.enable_outbound_web_identity_federation()
    with refused("FeatureDisabled"):
        other_account.get_outbound_web_identity_federation_info()
    assert other_account.enable_outbound_web_identity_federation()["IssuerIdentifier"] != issuer
    iam.disable_outbound_web_identity_federation()
    with refused("FeatureDisabled"):
        iam.get_outbound_web_identity_federation_info()
    assert iam.enable_outbound_web_identity_federation()["IssuerIdentifier"] != issuer


def properties(client: Any) -> dict[str, str]:
    found: dict[str, str] = client.get_account_properties().get("Properties", {})
    return found


def test_new_properties_keep_existing_ones(iam: Any, other_account: Any) -> None:
    assert properties(iam) == {}
    iam.put_account_properties(Properties={"RoleManager/Enabled": "true", "RoleManager/Most": "5"})
    iam.put_account_properties(Properties={"RoleManager/Enabled": "false"})
    iam.put_account_properties(Properties={"Other/Thing": "x" * 1024})
    assert properties(iam) == {"RoleManager/Enabled": "false", "RoleManager/Most": "5", "Other/Thing": "x" * 1024}
    assert properties(other_account) == {}


@pytest.mark.parametrize(
    ("parameters", "code", "sentence"),
    [
        ({}, "ValidationError", ""),
        ({"A/x": "1", "B/x": "1"}, "InvalidInput", "same namespace"),
        ({"Enabled": "true"}, "InvalidInput", "Namespace/PropertyName"),
        ({"A/": "true"}, "InvalidInput", "Namespace/PropertyName"),
        ({"A/B/C": "true"}, "InvalidInput", "Namespace/PropertyName"),
        ({"/A": "true"}, "ValidationError", ""),
        ({"1A/B": "true"}, "ValidationError", ""),
        ({"A/B C": "true"}, "ValidationError", ""),
        ({"A/" + "x" * 49: "true"}, "ValidationError", ""),
        ({"A/B": "x" * 1025}, "ValidationError", ""),
    ],
    ids=str,
)
def test_malformed_properties_change_nothing(
    iam: Any, refused: Refused, parameters: dict[str, str], code: str, sentence: str
) -> None:
    """One namespace, one slash, the model's lengths and characters."""
    iam.put_account_properties(Properties={"A/kept": "1"})
    with refused(code, sentence, 400):
        iam.put_account_properties(Properties=parameters)
    assert properties(iam) == {"A/kept": "1"}


def test_number_of_properties_is_limited(iam: Any, refused: Refused) -> None:
    for number in range(0, 100, 50):
        iam.put_account_properties(Properties={f"A/p{each}": "1" for each in range(number, number + 50)})
    iam.put_account_properties(Properties={"A/p0": "2"})
    with refused("InvalidInput", "at most 100 properties", 400):
        iam.put_account_properties(Properties={"A/one-more": "1"})
    assert len(properties(iam)) == 100
