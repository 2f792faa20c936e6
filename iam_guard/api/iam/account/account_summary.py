"""`GetAccountSummary`: the entities in an account, and its quotas (A.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.policy.quota import INLINE, MANAGED, TRUST
from iam_guard.store.database.records import PRESENT
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

_QUOTAS: Final[Mapping[str, str]] = {
    "AccessKeysPerUserQuota": "access keys per user",
    "AttachedPoliciesPerGroupQuota": "policies attached to a group",
    "AttachedPoliciesPerRoleQuota": "policies attached to a role",
    "AttachedPoliciesPerUserQuota": "policies attached to a user",
    "GroupsPerUserQuota": "groups per user",
    "GroupsQuota": "groups per account",
    "InstanceProfilesQuota": "instance profiles per account",
    "PoliciesQuota": "policies per account",
    "RolesQuota": "roles per account",
    "ServerCertificatesQuota": "server certificates per account",
    "SigningCertificatesPerUserQuota": "signing certificates per user",
    "UsersQuota": "users per account",
    "VersionsPerPolicyQuota": "managed policy versions",
}
"""Member of the summary -> name of the quota."""

_FIXED: Final[Mapping[str, int]] = {
    "AssumeRolePolicySizeQuota": TRUST.characters,
    "GroupPolicySizeQuota": INLINE["group"].characters,
    "PolicySizeQuota": MANAGED.characters,
    "PolicyVersionsInUseQuota": 10_000,  # AWS's; it can't be reached here
    "RolePolicySizeQuota": INLINE["role"].characters,
    "UserPolicySizeQuota": INLINE["user"].characters,
}


def get_account_summary(call: ServiceCall, parameters: Input) -> Output:
    """Return the entity counts, the quotas and settings."""
    quotas = {member: call.records.quotas[quota] for member, quota in _QUOTAS.items()}
    return {"SummaryMap": {**_FIXED, **quotas, **_counts(call), **_of_the_root_user(call), **_settings(call)}}


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
