"""Trusted identity propagation: the form of what providers keep about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.conftest import Client, allow, refusal

INSTANCE = "arn:aws:sso:::instance/ssoins-1234567890abcdef"
SUBJECT = {"SubjectSourceKey": "sub"}


def make(iam: Client, **given: Any) -> None:
    iam.create_open_id_connect_provider(Url="https://id.example.com", **given)


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


@pytest.mark.parametrize("given", BAD)
def test_bad_context_is_refused(given: dict[str, Any], iam: Client) -> None:
    """Keys have letters, numbers, single spaces and a few signs; a subject has one type."""
    with refusal("InvalidInput", status=400):
        make(iam, **given)
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == []


def test_good_context_is_kept(iam: Client) -> None:
    """As it was given."""
    context = SUBJECT | {
        "SubjectTypeValue": "user",
        "KeyDefinitionList": [{"SourceKey": "a b_.:/=+-@#", "TargetKey": "c"}, {"SourceKey": "d"}],
    }
    make(iam, ContextProvider=context, IdentityCenterInstanceArn=INSTANCE)
    arn = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"][0]["Arn"]
    assert iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)["ContextProvider"] == context


def test_propagation_can_be_denied(client_for: Callable[..., Client], iam: Client) -> None:
    """The condition keys of the call and of the provider are there for policies to speak of."""
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    member = client_for(
        "member",
        allow("iam:*"),
        deny | {"Condition": {"Bool": {"iam:EnableIdentityPropagation": "true"}}},
        deny | {"Condition": {"Bool": {"iam:EnableIdentityCenterAssociation": "true"}}},
        deny | {"Condition": {"StringEquals": {"iam:ResourceIdentityCenterInstanceArn": INSTANCE}}},
    )
    for given in ({"ContextProvider": SUBJECT}, {"IdentityCenterInstanceArn": INSTANCE}):
        with refusal("AccessDenied", "explicit deny"):
            make(member, **given)
    make(member)
    arn = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"][0]["Arn"]
    member.update_open_id_connect_provider(OpenIDConnectProviderArn=arn, RemoveContextProvider=True)
    iam.update_open_id_connect_provider(OpenIDConnectProviderArn=arn, ContextProvider=SUBJECT)
    iam.update_open_id_connect_provider(OpenIDConnectProviderArn=arn, IdentityCenterInstanceArn=INSTANCE)
    with refusal("AccessDenied", "explicit deny"):
        member.update_open_id_connect_provider(OpenIDConnectProviderArn=arn, RemoveIdentityCenterInstance=True)
