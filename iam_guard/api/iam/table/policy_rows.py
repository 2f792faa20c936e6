"""Operations on policies: managed policies, versions, attachments, inline policies, details, simulations."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from iam_guard.api.iam.account import authorization_details
from iam_guard.api.iam.authorization_targets import (
    POLICY,
    POLICY_ARN,
    current_boundary_key,
    identity_target,
    new_entity_target,
    path_target,
    principal_target,
)
from iam_guard.api.iam.policies import attachments, inline_policies, managed_policies, policy_versions
from iam_guard.api.iam.policies.granting_policies import list_policies_granting_service_access
from iam_guard.api.iam.policies.policy_digests import (
    attached_digest,
    created_digest,
    default_digest,
    inline_digest,
    named_digest,
    newest_digest,
)
from iam_guard.api.iam.simulation.context_keys import (
    get_context_keys_for_custom_policy,
    get_context_keys_for_principal_policy,
)
from iam_guard.api.iam.simulation.policy_simulator import simulate_custom_policy, simulate_principal_policy
from iam_guard.api.iam.tags import create_operation, tag_operations
from iam_guard.api.operation import Digests, KeySource, Operation
from iam_guard.store.identifiers import Kind
from iam_guard.store.schema import policies

_SOURCE = principal_target("PolicySourceArn")


def _policies_of(kind: Kind) -> dict[str, Operation]:
    """Return the operations that users, groups and roles each have; a group has no boundary (G-38)."""
    word, holder = kind.value.capitalize(), partial(identity_target, kind)
    inline, attached = partial(inline_digest, kind), partial(attached_digest, kind)
    boundary: tuple[KeySource, ...] = () if kind is Kind.GROUP else (partial(current_boundary_key, kind),)
    return {
        f"Attach{word}Policy": Operation(
            partial(attachments.attach_policy, kind),
            holder,
            (POLICY_ARN, *boundary),
            digests=Digests(attached, default_digest),
        ),
        f"Delete{word}Policy": Operation(
            partial(inline_policies.delete_inline_policy, kind), holder, boundary, digests=Digests(inline, None)
        ),
        f"Detach{word}Policy": Operation(
            partial(attachments.detach_policy, kind),
            holder,
            (POLICY_ARN, *boundary),
            digests=Digests(attached, None),
        ),
        f"Get{word}Policy": Operation(partial(inline_policies.get_inline_policy, kind), holder, reads=True),
        f"List{word}Policies": Operation(partial(inline_policies.list_inline_policies, kind), holder, reads=True),
        f"ListAttached{word}Policies": Operation(partial(attachments.list_attached_policies, kind), holder, reads=True),
        f"Put{word}Policy": Operation(
            partial(inline_policies.put_inline_policy, kind), holder, boundary, digests=Digests(inline, inline)
        ),
    }


ROWS: Mapping[str, Operation] = {
    "CreatePolicy": create_operation(
        "Policy",
        managed_policies.create_policy,
        new_entity_target("policy", "PolicyName"),
        digests=Digests(None, created_digest),
    ),
    "CreatePolicyVersion": Operation(
        policy_versions.create_policy_version, POLICY, digests=Digests(default_digest, newest_digest)
    ),
    "DeletePolicy": Operation(managed_policies.delete_policy, POLICY, digests=Digests(default_digest, None)),
    "DeletePolicyVersion": Operation(
        policy_versions.delete_policy_version, POLICY, digests=Digests(named_digest, None)
    ),
    "GetAccountAuthorizationDetails": Operation(authorization_details.get_account_authorization_details, reads=True),
    "GetPolicy": Operation(managed_policies.get_policy, POLICY, reads=True),
    "GetPolicyVersion": Operation(policy_versions.get_policy_version, POLICY, reads=True),
    "ListEntitiesForPolicy": Operation(attachments.list_entities_for_policy, POLICY, reads=True),
    "ListPolicies": Operation(managed_policies.list_policies, path_target("policy"), reads=True),
    "ListPolicyVersions": Operation(policy_versions.list_policy_versions, POLICY, reads=True),
    "SetDefaultPolicyVersion": Operation(
        policy_versions.set_default_policy_version, POLICY, digests=Digests(default_digest, default_digest)
    ),
    **tag_operations(
        "Policy", policies, POLICY, managed_policies.attachable_policy, find_modifiable=managed_policies.own_policy
    ),
    **_policies_of(Kind.USER),
    **_policies_of(Kind.GROUP),
    **_policies_of(Kind.ROLE),
    # --- analysis
    "GetContextKeysForCustomPolicy": Operation(get_context_keys_for_custom_policy, reads=True),
    "GetContextKeysForPrincipalPolicy": Operation(get_context_keys_for_principal_policy, _SOURCE, reads=True),
    "ListPoliciesGrantingServiceAccess": Operation(
        list_policies_granting_service_access, principal_target("Arn"), reads=True
    ),
    "SimulateCustomPolicy": Operation(simulate_custom_policy, reads=True),
    "SimulatePrincipalPolicy": Operation(simulate_principal_policy, _SOURCE, reads=True),
}
