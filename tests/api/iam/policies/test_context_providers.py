"""Trusted identity propagation: validation of the providers' settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.conftest import Client, allow, refusal

INSTANCE = "arn:aws:sso:::instance/ssoins-1234567890abcdef"
SUBJECT = {"SubjectSourceKey": "sub"}


def make(iam: Client, **parameters: Any) -> None:
    iam.create_open_id_connect_provider(Url="https://id.example.com", **parameters)


BAD: list[dict[str, Any]] = [
    {"ContextProvider": {"SubjectSourceKey": " sub"}},
    {"ContextProvider": {"SubjectSourceKey": "a  b"}},
    {"ContextProvider": {"SubjectSourceKey": "ä"}},
    {"ContextProvider": SUBJECT | {"SubjectTypeSourceKey": "a\n"}},
    {"ContextProvider": SUBJECT | {"SubjectTypeSourceKey": "a", "SubjectTypeValue": "user"}},
    {"ContextProvider": SUBJECT | {"SubjectTypeValue": "a\x7f"}},
    {"ContextProvider": SUBJECT | {"KeyDefinitionList": [{"SourceKey": "a", "TargetKey": "b!"}]}},
    {"ContextProvider": SUBJECT | {"KeyDefinitionList": [{"SourceKey": "a*"}]}},
    {"ContextProvider": SUBJECT, "IdentityCenterInstanceArn": "arn:aws:sso:::instance/other"},
    {"ContextProvider": SUBJECT, "IdentityCenterInstanceArn": "x"},
    {"IdentityCenterInstanceArn": INSTANCE},
]


@pytest.mark.parametrize("parameters", BAD)
def test_malformed_context_provider_is_rejected(parameters: dict[str, Any], iam: Client) -> None:
    """Keys have letters, numbers, single spaces and a few signs; a subject has one type."""
    with refusal("InvalidInput", status=400):
        make(iam, **parameters)
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == []


def test_valid_context_provider_is_stored_unchanged(iam: Client) -> None:
    context = SUBJECT | {
        "SubjectTypeValue": "user",
        "KeyDefinitionList": [{"SourceKey": "a b_.:/=+-@#", "TargetKey": "c"}, {"SourceKey": "d"}],
    }
    make(iam, ContextProvider=context, IdentityCenterInstanceArn=INSTANCE)
    arn = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"][0]["Arn"]
    assert iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)["ContextProvider"] == context


def test_propagation_keys_can_deny(client_for: Callable[..., Client], iam: Client) -> None:
    """The condition keys of the call and of the provider."""
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    member = client_for(
        "member",
        allow("iam:*"),
        deny | {"Condition": {"Bool": {"iam:EnableIdentityPropagation": "true"}}},
        deny | {"Condition": {"Bool": {"iam:EnableIdentityCenterAssociation": "true"}}},
        deny | {"Condition": {"StringEquals": {"iam:ResourceIdentityCenterInstanceArn": INSTANCE}}},
    )
    for parameters in ({"ContextProvider": SUBJECT}, {"IdentityCenterInstanceArn": INSTANCE}):
        with refusal("AccessDenied", "explicit deny"):
            make(member, **parameters)
    make(member)
    arn = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"][0]["Arn"]
    member.update_open_id_connect_provider(OpenIDConnectProviderArn=arn, RemoveContextProvider=True)
    iam.update_open_id_connect_provider(OpenIDConnectProviderArn=arn, ContextProvider=SUBJECT)
    iam.update_open_id_connect_provider(OpenIDConnectProviderArn=arn, IdentityCenterInstanceArn=INSTANCE)
    with refusal("AccessDenied", "explicit deny"):
        member.update_open_id_connect_provider(OpenIDConnectProviderArn=arn, RemoveIdentityCenterInstance=True)
