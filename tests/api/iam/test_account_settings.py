"""What an account sets for itself: tokens, outbound federation, properties (services/iam/account_settings.py)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.api.conftest import Running

Refused = Callable[..., AbstractContextManager[None]]


def test_tokens_have_one_of_two_versions(iam: Any, refused: Refused) -> None:
    """What is set shows in GetAccountSummary, which has its own tests."""
    iam.set_security_token_service_preferences(GlobalEndpointTokenVersion="v2Token")
    with refused("ValidationError", "globalEndpointTokenVersion", 400):
        iam.set_security_token_service_preferences(GlobalEndpointTokenVersion="v3Token")
    assert iam.get_account_summary()["SummaryMap"]["GlobalEndpointTokenVersion"] == 2


def test_outbound_federation_is_off_until_it_is_enabled(iam: Any, refused: Refused) -> None:
    with refused("FeatureDisabled", "not enabled", 404):
        iam.get_outbound_web_identity_federation_info()
    with refused("FeatureDisabled", "not enabled", 404):
        iam.disable_outbound_web_identity_federation()


def test_outbound_federation_has_an_issuer_of_the_account_alone(
    iam: Any, other_account: Any, refused: Refused, server: Running
) -> None:
    """The issuer is told as long as the feature is on; another account has another."""
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


def test_properties_are_kept_beside_those_that_are_there(iam: Any, other_account: Any) -> None:
    assert properties(iam) == {}
    iam.put_account_properties(Properties={"RoleManager/Enabled": "true", "RoleManager/Most": "5"})
    iam.put_account_properties(Properties={"RoleManager/Enabled": "false"})
    iam.put_account_properties(Properties={"Other/Thing": "x" * 1024})
    assert properties(iam) == {"RoleManager/Enabled": "false", "RoleManager/Most": "5", "Other/Thing": "x" * 1024}
    assert properties(other_account) == {}


@pytest.mark.parametrize(
    ("given", "code", "sentence"),
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
def test_properties_of_another_form_change_nothing(
    iam: Any, refused: Refused, given: dict[str, str], code: str, sentence: str
) -> None:
    """One namespace, one slash, the model's lengths and characters."""
    iam.put_account_properties(Properties={"A/kept": "1"})
    with refused(code, sentence, 400):
        iam.put_account_properties(Properties=given)
    assert properties(iam) == {"A/kept": "1"}


def test_properties_are_not_without_number(iam: Any, refused: Refused) -> None:
    for number in range(0, 100, 50):
        iam.put_account_properties(Properties={f"A/p{each}": "1" for each in range(number, number + 50)})
    iam.put_account_properties(Properties={"A/p0": "2"})
    with refused("InvalidInput", "at most 100 properties", 400):
        iam.put_account_properties(Properties={"A/one-more": "1"})
    assert len(properties(iam)) == 100
