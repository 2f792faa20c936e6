"""Quotas that the setting `quotas` lowers and raises, through the API (G-75 to G-79)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from iam_guard.store.quotas import FIXED_QUOTAS, QUOTAS, effective_quotas
from tests.api.conftest import Client, Running, refusal
from tests.api.iam.certificate_parts import certificate_pem, private_pem, ssh_text
from tests.api.iam.credentials.test_mfa_devices import enable, new_device
from tests.api.iam.identity_parts import metadata
from tests.api.iam.policy_parts import TRUST, allowing

POLICY = allowing("docs:Read")
ISSUER = "arn:aws:iam::111122223333:oidc-provider/issuer.example"

Create = Callable[[Client, int], Any]
"""Creates the thing with a number, from 1, that counts for the quota."""


def attach(kind: str, iam: Client, number: int) -> None:
    if number == 1:
        trust = {"AssumeRolePolicyDocument": json.dumps(TRUST)} if kind == "Role" else {}
        getattr(iam, f"create_{kind.lower()}")(**{f"{kind}Name": "x"}, **trust)
    arn = iam.create_policy(PolicyName=f"P{number}", PolicyDocument=POLICY)["Policy"]["Arn"]
    getattr(iam, f"attach_{kind.lower()}_policy")(**{f"{kind}Name": "x"}, PolicyArn=arn)


def join(iam: Client, number: int) -> None:
    iam.create_group(GroupName=f"g{number}")
    iam.add_user_to_group(GroupName=f"g{number}", UserName="admin")


def add_version(iam: Client, number: int) -> None:
    if number == 1:
        iam.create_policy(PolicyName="P", PolicyDocument=POLICY)
    else:
        iam.create_policy_version(PolicyArn="arn:aws:iam::111122223333:policy/P", PolicyDocument=POLICY)


def add_client_id(iam: Client, number: int) -> None:
    if number == 1:
        iam.create_open_id_connect_provider(Url="https://issuer.example", ClientIDList=["c1"])
    else:
        iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=ISSUER, ClientID=f"c{number}")


def set_thumbprints(iam: Client, number: int) -> None:
    if number == 1:
        iam.create_open_id_connect_provider(Url="https://issuer.example")
    current = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=ISSUER)["ThumbprintList"]
    prints = [f"{index:040x}" for index in range(len(current) + 1)]
    iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=ISSUER, ThumbprintList=prints)


def upload_server_certificate(iam: Client, number: int) -> None:
    body, key = certificate_pem(f"leaf{number}"), private_pem(f"leaf{number}")
    iam.upload_server_certificate(ServerCertificateName=f"c{number}", CertificateBody=body, PrivateKey=key)


ROWS: dict[str, tuple[str, int, Create]] = {
    "users per account": ("UsersPerAccount", 1, lambda iam, n: iam.create_user(UserName=f"u{n}")),
    "groups per account": ("GroupsPerAccount", 0, lambda iam, n: iam.create_group(GroupName=f"g{n}")),
    "roles per account": (
        "RolesPerAccount",
        0,
        lambda iam, n: iam.create_role(RoleName=f"r{n}", AssumeRolePolicyDocument=json.dumps(TRUST)),
    ),
    "policies per account": (
        "PoliciesPerAccount",
        0,
        lambda iam, n: iam.create_policy(PolicyName=f"p{n}", PolicyDocument=POLICY),
    ),
    "instance profiles per account": (
        "InstanceProfilesPerAccount",
        0,
        lambda iam, n: iam.create_instance_profile(InstanceProfileName=f"p{n}"),
    ),
    "access keys per user": ("AccessKeysPerUser", 1, lambda iam, n: iam.create_access_key(UserName="admin")),
    "groups per user": ("GroupsPerUser", 0, join),
    "policies attached to a user": ("PoliciesPerUser", 0, lambda iam, n: attach("User", iam, n)),
    "policies attached to a group": ("PoliciesPerGroup", 0, lambda iam, n: attach("Group", iam, n)),
    "policies attached to a role": ("PoliciesPerRole", 0, lambda iam, n: attach("Role", iam, n)),
    "managed policy versions": ("", 0, add_version),
    "SAML providers per account": (
        "SAMLProvidersPerAccount",
        0,
        lambda iam, n: iam.create_saml_provider(Name=f"s{n}", SAMLMetadataDocument=metadata()),
    ),
    "OIDC providers per account": (
        "OpenIdConnectProvidersPerAccount",
        0,
        lambda iam, n: iam.create_open_id_connect_provider(Url=f"https://i{n}.example"),
    ),
    "client ids per OIDC provider": ("ClientIdsPerOpenIdConnectProvider", 0, add_client_id),
    "thumbprints per OIDC provider": ("", 0, set_thumbprints),
    "server certificates per account": ("ServerCertificatesPerAccount", 0, upload_server_certificate),
    "signing certificates per user": (
        "CertificatesPerUser",
        0,
        lambda iam, n: iam.upload_signing_certificate(UserName="admin", CertificateBody=certificate_pem(f"own{n}")),
    ),
    "SSH keys per user": (
        "SSHPublicKeysPerUser",
        0,
        lambda iam, n: iam.upload_ssh_public_key(UserName="admin", SSHPublicKeyBody=ssh_text(f"ssh{n}")),
    ),
    "MFA devices per user": (
        "MFADevicesPerUser",
        0,
        lambda iam, n: enable(iam, new_device(iam, f"d{n}"), f"d{n}", "admin"),
    ),
    "virtual MFA devices per account": ("VirtualMFADevicesPerAccount", 0, lambda iam, n: new_device(iam, f"d{n}")),
    "service-specific credentials per user and service": (
        "ServiceSpecificCredentialsPerUser",
        0,
        lambda iam, n: iam.create_service_specific_credential(UserName="admin", ServiceName="codecommit.amazonaws.com"),
    ),
}
"""Quota -> its name in AWS's message, how many the account has at first, and how to create another one."""

OWN_TESTS = {
    "accounts per store": "the tests of accounts",
    "access keys per root user": "test_root_key_quota_is_changed",
    "SCPs per root, unit or account": "tests/store/test_quotas.py",
    "RCPs per root, unit or account": "tests/store/test_quotas.py",
    "jobs kept per account": "tests/api/iam/account/test_service_access.py",
    "archive rules per analyzer": "tests/api/access_analyzer/test_changed_analyzer_quotas.py",
    "access previews per analyzer": "tests/api/access_analyzer/test_changed_analyzer_quotas.py",
    "policy generations per account and day": "tests/api/access_analyzer/test_changed_analyzer_quotas.py",
}
MESSAGES = {
    "managed policy versions": ("LimitExceeded", "A managed policy can have up to {} versions. Before you"),
    "thumbprints per OIDC provider": ("InvalidInput", "Thumbprint list must contain fewer than {} entries."),
}


def test_every_quota_has_a_test() -> None:
    """A new quota needs a row."""
    assert {*ROWS, *OWN_TESTS, *FIXED_QUOTAS} == set(QUOTAS)


@pytest.mark.parametrize("quota", ROWS)
def test_changed_quota_is_enforced(quota: str, iam: Client, server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lowered below what AWS allows, then raised (small ones: above what AWS allows)."""
    name, present, create = ROWS[quota]
    lowered = present + 1
    raised = QUOTAS[quota] + 1 if QUOTAS[quota] <= 10 else lowered + 1
    numbers = iter(range(1, 100))
    for limit in (lowered, raised):
        monkeypatch.setattr(server.store, "quotas", effective_quotas([f"{quota}={limit}"]))
        while present < limit:
            create(iam, next(numbers))
            present += 1
        code, sentence = MESSAGES.get(quota, ("LimitExceeded", f"Cannot exceed quota for {name}: {{}}"))
        with refusal(code, sentence.format(limit)):
            create(iam, next(numbers))


def test_root_key_quota_is_changed(root: Client, server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root user's keys have a quota of their own."""
    monkeypatch.setattr(server.store, "quotas", effective_quotas(["access keys per root user=3"]))
    root.create_access_key()
    root.create_access_key()
    with refusal("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 3", 409):
        root.create_access_key()


def test_summary_shows_changed_quotas(iam: Client, server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """GetAccountSummary shows what the store enforces."""
    changes = ["users per account=20000", "groups per account=7", "managed policy versions=9"]
    monkeypatch.setattr(server.store, "quotas", effective_quotas(changes))
    found = iam.get_account_summary()["SummaryMap"]
    assert (found["UsersQuota"], found["GroupsQuota"], found["VersionsPerPolicyQuota"]) == (20_000, 7, 9)
    assert found["RolesQuota"] == QUOTAS["roles per account"]
