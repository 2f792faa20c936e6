"""GetAccountSummary: every key of the model, counted for the caller's account (A.6)."""

from __future__ import annotations

import json
from typing import Any

from iam_guard.api.protocol.service_model import load_api
from iam_guard.store.schema import mfa_devices
from tests.api.conftest import Running

READ = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:Get*", "Resource": "*"}]})
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "sts:AssumeRole"}],
    }
)


def summary(client: Any) -> dict[str, int]:
    found: dict[str, int] = client.get_account_summary()["SummaryMap"]
    return found


def test_summary_has_exactly_the_keys_of_the_model(iam: Any) -> None:
    """Prowler and Cloud Custodian read them by name."""
    output = load_api("iam").operations["GetAccountSummary"].output
    assert output is not None
    assert set(summary(iam)) == set(output.members["SummaryMap"].key.limits.enum)


def test_summary_quotas_match_the_rules(iam: Any) -> None:
    """G-70, G-71, G-75 to G-77."""
    found = summary(iam)
    assert {key: found[key] for key in found if key.endswith("Quota")} == {
        "AccessKeysPerUserQuota": 2,
        "AssumeRolePolicySizeQuota": 2048,
        "AttachedPoliciesPerGroupQuota": 10,
        "AttachedPoliciesPerRoleQuota": 20,
        "AttachedPoliciesPerUserQuota": 10,
        "GroupPolicySizeQuota": 5120,
        "GroupsPerUserQuota": 10,
        "GroupsQuota": 300,
        "InstanceProfilesQuota": 1000,
        "PoliciesQuota": 1500,
        "PolicySizeQuota": 6144,
        "PolicyVersionsInUseQuota": 10000,
        "RolePolicySizeQuota": 10240,
        "RolesQuota": 1000,
        "ServerCertificatesQuota": 20,
        "SigningCertificatesPerUserQuota": 2,
        "UserPolicySizeQuota": 2048,
        "UsersQuota": 5000,
        "VersionsPerPolicyQuota": 5,
    }


def test_summary_counts_only_the_own_account(iam: Any, other_account: Any) -> None:
    """Each count increases with a new entity; another account's doesn't."""
    before, others = summary(iam), summary(other_account)
    iam.create_user(UserName="ada")
    iam.create_group(GroupName="readers")
    iam.create_role(RoleName="Reader", AssumeRolePolicyDocument=TRUST)
    policy = iam.create_policy(PolicyName="Read", PolicyDocument=READ)["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=policy, PolicyDocument=READ)
    iam.attach_user_policy(UserName="ada", PolicyArn=policy)
    iam.attach_role_policy(RoleName="Reader", PolicyArn=policy)
    iam.create_instance_profile(InstanceProfileName="box")
    iam.create_virtual_mfa_device(VirtualMFADeviceName="phone")
    iam.create_open_id_connect_provider(Url="https://issuer.example", ThumbprintList=["a" * 40])
    found = summary(iam)
    assert {key: found[key] - before[key] for key in found if found[key] != before[key]} == {
        "Users": 1,
        "Groups": 1,
        "Roles": 1,
        "Policies": 1,
        "PolicyVersionsInUse": 1,
        "InstanceProfiles": 1,
        "MFADevices": 1,
        "Providers": 1,
    }
    assert summary(other_account) == others


def test_summary_reports_root_credentials(iam: Any, root: Any) -> None:
    """R-3: 1 for present, 0 for absent."""
    found = summary(iam)
    keys = ("AccountAccessKeysPresent", "AccountMFAEnabled", "AccountPasswordPresent")
    assert [found[key] for key in keys] == [1, 0, 0]
    assert found["AccountSigningCertificatesPresent"] == 0
    for key in root.list_access_keys()["AccessKeyMetadata"]:
        root.delete_access_key(AccessKeyId=key["AccessKeyId"])
    assert summary(iam)["AccountAccessKeysPresent"] == 0


def test_summary_reports_the_token_version(iam: Any) -> None:
    assert summary(iam)["GlobalEndpointTokenVersion"] == 1
    for version, number in (("v2Token", 2), ("v1Token", 1)):
        iam.set_security_token_service_preferences(GlobalEndpointTokenVersion=version)
        assert summary(iam)["GlobalEndpointTokenVersion"] == number


def test_summary_counts_assigned_devices_once(iam: Any, server: Running) -> None:
    """A user's and the root user's; an unassigned one is not in use."""
    ada = iam.create_user(UserName="ada")["User"]["UserId"]
    with server.store.write_transaction() as records:
        for number, (user_id, for_root) in enumerate(((ada, False), (None, True), (None, False))):
            records.insert(
                mfa_devices,
                serial=f"arn:aws:iam::111122223333:mfa/{number}",
                account="111122223333",
                path="/",
                name=str(number),
                folded=str(number),
                user_id=user_id,
                for_root=for_root,
                sealed=b"",
                enabled=0,
                tags={},
                created=0,
            )
    server.guard.refresh()
    found = summary(iam)
    assert (found["MFADevices"], found["MFADevicesInUse"], found["AccountMFAEnabled"]) == (3, 2, 1)
