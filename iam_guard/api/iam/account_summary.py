"""`GetAccountSummary`: the entities in an account, and its quotas (A.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.policy.quota import INLINE, MANAGED, TRUST
from iam_guard.store.quotas import QUOTAS
from iam_guard.store.records import PRESENT
from iam_guard.store.schema import (
    access_keys,
    attachments,
    identities,
    instance_profiles,
    login_profiles,
    mfa_devices,
    oidc_providers,
    passkeys,
    policies,
    saml_providers,
    server_certificates,
    signing_certificates,
)

_QUOTAS: Final[Mapping[str, int]] = {
    "AccessKeysPerUserQuota": QUOTAS["access keys per user"],
    "AssumeRolePolicySizeQuota": TRUST.characters,
    "AttachedPoliciesPerGroupQuota": QUOTAS["policies attached to a group"],
    "AttachedPoliciesPerRoleQuota": QUOTAS["policies attached to a role"],
    "AttachedPoliciesPerUserQuota": QUOTAS["policies attached to a user"],
    "GroupPolicySizeQuota": INLINE["group"].characters,
    "GroupsPerUserQuota": QUOTAS["groups per user"],
    "GroupsQuota": QUOTAS["groups per account"],
    "InstanceProfilesQuota": QUOTAS["instance profiles per account"],
    "PoliciesQuota": QUOTAS["policies per account"],
    "PolicySizeQuota": MANAGED.characters,
    "PolicyVersionsInUseQuota": 10_000,  # AWS's; it can't be reached here
    "RolePolicySizeQuota": INLINE["role"].characters,
    "RolesQuota": QUOTAS["roles per account"],
    "ServerCertificatesQuota": QUOTAS["server certificates per account"],
    "SigningCertificatesPerUserQuota": QUOTAS["signing certificates per user"],
    "UserPolicySizeQuota": INLINE["user"].characters,
    "UsersQuota": QUOTAS["users per account"],
    "VersionsPerPolicyQuota": QUOTAS["managed policy versions"],
}


def get_account_summary(call: ServiceCall, parameters: Input) -> Output:
    """Return the entity counts, the quotas and settings."""
    return {"SummaryMap": {**_QUOTAS, **_counts(call), **_of_the_root_user(call), **_settings(call)}}


def _counts(call: ServiceCall) -> dict[str, int]:
    count, account = call.records.count, call.account
    kinds = call.records.counts(identities, "kind", account=account)
    in_use = count(mfa_devices, account=account, user_id=PRESENT) + count(mfa_devices, account=account, for_root=True)
    keys = count(passkeys, account=account)
    return {
        "Users": kinds.get("user", 0),
        "Groups": kinds.get("group", 0),
        "Roles": kinds.get("role", 0),
        "Policies": count(policies, account=account),
        "PolicyVersionsInUse": _policies_in_use(call),
        "InstanceProfiles": count(instance_profiles, account=account),
        "MFADevices": count(mfa_devices, account=account) + keys,
        "MFADevicesInUse": in_use + keys,
        "Providers": count(saml_providers, account=account) + count(oidc_providers, account=account),
        "ServerCertificates": count(server_certificates, account=account),
    }


def _policies_in_use(call: ServiceCall) -> int:
    """Count the managed policies, AWS's included, that are attached in the account; one version of each is in use."""
    identity_ids = call.records.values_of(identities, "id", account=call.account)
    return len(call.records.counts(attachments, "policy_id", identity_id=identity_ids))


def _of_the_root_user(call: ServiceCall) -> dict[str, int]:
    count, root = call.records.count, {"account": call.account, "user_id": None}
    factors = count(mfa_devices, account=call.account, for_root=True) + count(passkeys, **root)
    return {
        "AccountAccessKeysPresent": int(count(access_keys, **root) > 0),
        "AccountMFAEnabled": int(factors > 0),
        "AccountPasswordPresent": int(count(login_profiles, owner=call.account) > 0),
        "AccountSigningCertificatesPresent": int(count(signing_certificates, **root) > 0),
    }


def _settings(call: ServiceCall) -> dict[str, int]:
    version = call.account_value("sts_token_version")
    return {"GlobalEndpointTokenVersion": 2 if version == "v2Token" else 1}
