"""Every operation of `iam-guard`: what it requires, whom it leaves alone, and what it records."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from iam_guard.api.client import client
from iam_guard.api.own.operation_table import IAM_GUARD
from iam_guard.api.protocol.service_model import load_api
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, allow
from tests.api.in_process import principal_of
from tests.api.own.conftest import Things, open_policy
from tests.api.sample_entities import key_of
from tests.api.sample_server import SampleServer

USER = f"arn:aws:iam::{ACCOUNT}:user/team/given"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/team/given"
SAML = f"arn:aws:iam::{ACCOUNT}:saml-provider/given"
OIDC = f"arn:aws:iam::{ACCOUNT}:oidc-provider/given.example/team"
DOCUMENT = f"arn:aws:docs:us-east-1:{ACCOUNT}:document/given"
OWN_ACCOUNT = f"arn:aws:iam-guard::{ACCOUNT}:account"
SESSIONS = f"arn:aws:signin:us-east-1:{ACCOUNT}:session/"
SHARE = {"grantee": OTHER_ACCOUNT, "actions": ["docs:Read"]}

Required = tuple[tuple[str, str], ...]
PARAMETERS: dict[str, Callable[[Things], dict[str, Any]]] = {
    "AddSignOnProvider": lambda it: {
        "name": "New",
        "providerArn": f"arn:aws:iam::{it.account}:oidc-provider/given.example/team",
        "clientId": "given",
        "clientSecret": "their-secret",
        "roles": [f"arn:aws:iam::{it.account}:role/team/given"],
    },
    "CloseAccount": lambda _: {},
    "CreateApiKey": lambda it: {"principalArn": it.arn},
    "CreateInvitationLink": lambda it: {"userName": it.invited},
    "CreateResetLink": lambda it: {"userName": it.user},
    "DeleteApiKey": lambda it: {"apiKeyId": it.api_key},
    "DeleteResourcePolicy": lambda it: {"resourceArn": it.resource},
    "EndBrowserSession": lambda it: {"sessionId": it.session},
    "EndBrowserSessions": lambda it: {"userName": it.user},
    "GetAccount": lambda _: {},
    "GetResourcePolicy": lambda it: {"resourceArn": it.resource},
    "ListApiKeys": lambda it: {"principalArn": it.arn},
    "ListBrowserSessions": lambda it: {"userName": it.user},
    "ListResourcePolicies": lambda _: {},
    "ListShares": lambda it: {"resourceArn": it.resource},
    "ListSignOnProviders": lambda _: {},
    "PutResourcePolicy": lambda it: {"resourceArn": it.resource, "policy": open_policy(it.resource, "docs:Write")},
    "RemoveSignOnProvider": lambda it: {"name": it.provider},
    "RenameAccount": lambda _: {"name": "Müller & Töchter"},
    "RotateApiKey": lambda it: {"apiKeyId": it.api_key, "overlapSeconds": 60},
    "ShareResource": lambda it: {"resourceArn": it.resource, **SHARE},
    "UnshareResource": lambda it: {"resourceArn": it.resource, "grantee": "*", "actions": ["docs:Read"]},
    "UpdateApiKey": lambda it: {"apiKeyId": it.api_key, "status": "Inactive"},
}
"""Operation -> valid parameters, for the things of an account."""
REQUIRED: dict[str, Required] = {
    "AddSignOnProvider": (
        ("iam-guard:AddSignOnProvider", OIDC),
        ("iam:AddClientIDToOpenIDConnectProvider", OIDC),
    ),
    "CloseAccount": (("iam-guard:CloseAccount", OWN_ACCOUNT), ("account:CloseAccount", OWN_ACCOUNT)),
    "CreateApiKey": (("iam-guard:CreateApiKey", USER), ("iam:CreateAccessKey", USER)),
    "CreateInvitationLink": (("iam:CreateLoginProfile", f"arn:aws:iam::{ACCOUNT}:user/nobody"),),
    "CreateResetLink": (("iam:UpdateLoginProfile", USER),),
    "DeleteApiKey": (("iam-guard:DeleteApiKey", USER), ("iam:DeleteAccessKey", USER)),
    "EndBrowserSession": (("signin:BatchRevokeSessions", f"{SESSIONS}bs-*"),),
    "EndBrowserSessions": (("signin:BatchRevokeSessions", f"{SESSIONS}*"),),
    "ListApiKeys": (("iam-guard:ListApiKeys", USER),),
    "ListBrowserSessions": (("signin:ListSessions", "*"),),
    "RemoveSignOnProvider": (("iam-guard:RemoveSignOnProvider", SAML), ("iam:UpdateSAMLProvider", SAML)),
    "RotateApiKey": (("iam-guard:RotateApiKey", USER), ("iam:CreateAccessKey", USER)),
    "UpdateApiKey": (("iam-guard:UpdateApiKey", USER), ("iam:UpdateAccessKey", USER)),
    **{name: ((f"iam-guard:{name}", "*"),) for name in ("ListResourcePolicies", "ListSignOnProviders")},
    **{name: ((f"iam-guard:{name}", OWN_ACCOUNT),) for name in ("GetAccount", "RenameAccount")},
    **{
        name: ((f"iam-guard:{name}", DOCUMENT),)
        for name in (
            *("DeleteResourcePolicy", "GetResourcePolicy", "ListShares", "PutResourcePolicy"),
            *("ShareResource", "UnshareResource"),
        )
    },
}
"""Operation -> the permissions that it requires."""
NAMES = sorted(PARAMETERS)
OF_OWN_ACCOUNT = {"CloseAccount", "GetAccount", "ListResourcePolicies", "ListSignOnProviders", "RenameAccount"}
"""Operations that name nothing but the caller's own account."""


def call(service: Client, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = getattr(service, xform_name(name))(**parameters)
    return answer


def answer_of(service: Client, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    try:
        return call(service, name, parameters)
    except ClientError as error:
        return error.response


def code_of(service: Client, name: str, parameters: dict[str, Any]) -> str:
    """Return the code of an error; empty for a success."""
    try:
        call(service, name, parameters)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def test_every_operation_of_the_model_is_served_and_tested() -> None:
    assert {*load_api("iam-guard").operations} == {*IAM_GUARD.operations} == {*PARAMETERS} == {*REQUIRED}
    reading = {name for name, operation in IAM_GUARD.operations.items() if operation.reads}
    assert reading == {name for name in NAMES if name.startswith(("Get", "List"))}


# --- authorization -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_permissions_are_sufficient_and_each_is_necessary(
    sample: SampleServer, things: Things, own: Callable[[str], Client], name: str
) -> None:
    required, parameters = REQUIRED[name], PARAMETERS[name](things)
    for missing in required:
        sample.set_permissions(allow("docs:Read"), *(allow(*each) for each in required if each != missing))
        before = sample.rows()
        assert code_of(own("asker"), name, parameters) == "AccessDeniedException"
        assert sample.rows() == before
    sample.set_permissions(*(allow(*each) for each in required))
    manages = "ConflictException"  # the account manages an organization, and so can't be closed
    assert code_of(own("asker"), name, parameters) == (manages if name == "CloseAccount" else "")


@pytest.mark.parametrize("name", NAMES)
def test_caller_without_permission_is_refused_whatever_exists(
    sample: SampleServer, things: Things, own: Callable[[str], Client], name: str
) -> None:
    """And learns nothing of what exists: the answer for a thing that does not exist is the same."""
    missing = Things(ACCOUNT, "absent", "absent", "0" * 20, "bs-0", "Absent", f"{DOCUMENT}-absent")
    before = sample.rows()
    for parameters in (PARAMETERS[name](things), PARAMETERS[name](missing)):
        assert code_of(own("nobody"), name, parameters) == "AccessDeniedException"
    assert sample.rows() == before


@pytest.mark.parametrize("name", sorted({*NAMES} - OF_OWN_ACCOUNT))
def test_things_of_another_account_are_out_of_reach(
    sample: SampleServer, other_things: Things, own: Callable[[str], Client], name: str
) -> None:
    """An administrator names what another account has."""
    before = sample.rows()
    code = code_of(own("admin"), name, PARAMETERS[name](other_things))
    shared = {"CreateResetLink", "EndBrowserSessions", "ListBrowserSessions"}  # names a user that both have
    if name in shared:
        assert code in ("", "NoSuchEntityException")
        theirs = [row for row in sample.rows()["browser_sessions"] if OTHER_ACCOUNT in row]
        assert theirs == [row for row in before["browser_sessions"] if OTHER_ACCOUNT in row]
        return
    assert code in ("NoSuchEntityException", "ValidationException", "AccessDeniedException")
    assert sample.rows() == before


def test_power_users_neither_get_authority_nor_close_the_account(
    sample: SampleServer, things: Things, own: Callable[[str], Client]
) -> None:
    sample.admin.attach_user_policy(UserName="asker", PolicyArn="arn:aws:iam::aws:policy/PowerUserAccess")
    codes = {name: code_of(own("asker"), name, PARAMETERS[name](things)) for name in NAMES}
    refused = {name for name, code in codes.items() if code == "AccessDeniedException"}
    assert refused == {
        *("AddSignOnProvider", "CloseAccount", "CreateApiKey", "CreateInvitationLink", "CreateResetLink"),
        *("DeleteApiKey", "RemoveSignOnProvider", "RotateApiKey", "UpdateApiKey"),
    }


# --- what they do ------------------------------------------------------------------------------------------------


def test_keys_of_a_role_need_permission_to_change_its_trust(sample: SampleServer, own: Callable[[str], Client]) -> None:
    sample.set_permissions(allow("iam-guard:*"), allow("iam:CreateAccessKey"))
    assert code_of(own("asker"), "CreateApiKey", {"principalArn": ROLE}) == "AccessDeniedException"
    sample.set_permissions(allow("iam-guard:*"), allow("iam:UpdateAssumeRolePolicy", ROLE))
    assert own("asker").create_api_key(principalArn=ROLE)["apiKey"].startswith("ig")


def test_pages_of_keys_and_policies(sample: SampleServer, things: Things, own: Callable[[str], Client]) -> None:
    admin = own("admin")
    for index in range(4):
        admin.create_api_key(principalArn=ROLE)
        admin.put_resource_policy(resourceArn=f"{DOCUMENT}-{index}", policy=open_policy(DOCUMENT))
    for operation, member in (("list_api_keys", "apiKeys"), ("list_resource_policies", "resourceArns")):
        pages = [page[member] for page in admin.get_paginator(operation).paginate(PaginationConfig={"PageSize": 2})]
        assert [len(page) for page in pages] == [2, 2, 1]
    assert len(admin.list_api_keys(principalArn=USER)["apiKeys"]) == 1


def test_shares_are_made_read_and_ended(sample: SampleServer, things: Things, own: Callable[[str], Client]) -> None:
    admin = own("admin")
    shared = {"resourceArn": things.resource, **SHARE}
    assert admin.share_resource(**shared)["share"] == {**SHARE, "isWrittenByHand": False}
    grantees = [share["grantee"] for share in admin.list_shares(resourceArn=things.resource)["shares"]]
    assert grantees == ["*", OTHER_ACCOUNT]
    assert OTHER_ACCOUNT in admin.get_resource_policy(resourceArn=things.resource)["policy"]
    left = admin.unshare_resource(resourceArn=things.resource, grantee=OTHER_ACCOUNT)["shares"]
    assert [share["grantee"] for share in left] == ["*"]


def test_who_may_share_with_whom_is_a_condition(
    sample: SampleServer, things: Things, own: Callable[[str], Client]
) -> None:
    private = {"StringNotEquals": {"iam-guard:Grantee": "*"}}
    sample.set_permissions(allow("iam-guard:ShareResource", **private))
    shared = {"resourceArn": things.resource, "actions": ["docs:Read"]}
    assert code_of(own("asker"), "ShareResource", {**shared, "grantee": "*"}) == "AccessDeniedException"
    assert code_of(own("asker"), "ShareResource", {**shared, "grantee": OTHER_ACCOUNT}) == ""


def test_invitations_alone_can_be_permitted(sample: SampleServer, own: Callable[[str], Client]) -> None:
    only_links = {"Bool": {"iam-guard:InvitationLink": "true"}}
    sample.set_permissions(allow("iam:CreateLoginProfile", **only_links))
    assert "token=" in own("asker").create_invitation_link(userName="nobody")["link"]
    iam = client(sample.guard, "iam", principal_of(sample.guard, key_of("asker"), "iam"))
    with pytest.raises(ClientError, match="CreateLoginProfile"):
        iam.create_login_profile(UserName="nobody", Password="correct horse battery")


def test_account_is_renamed_and_closed(sample: SampleServer, own: Callable[[str], Client]) -> None:
    admin = own("admin")
    assert admin.rename_account(name="Ö GmbH")["account"]["name"] == "Ö GmbH"
    account = admin.get_account()["account"]
    assert (account["accountId"], account["state"]) == (ACCOUNT, "ACTIVE")
    assert code_of(admin, "CloseAccount", {}) == "ConflictException"  # it manages the organization


# --- records -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_one_record_of_the_call_and_no_secret_in_it(
    sample: SampleServer, things: Things, own: Callable[[str], Client], name: str
) -> None:
    admin, answers = own("admin"), list[dict[str, Any]]()
    records = sample.recorded(lambda: answers.append(answer_of(admin, name, PARAMETERS[name](things))))
    written = [record for record in records if record["iamGuard"]["kind"] in ("admin_call", "policy_change")]
    assert [record["eventName"] for record in written] == ([] if IAM_GUARD.operations[name].reads else [name])
    secrets = [answers[0].get("apiKey"), answers[0].get("link"), "their-secret"]
    text = json.dumps(records)
    assert not [secret for secret in secrets if secret is not None and secret in text]
