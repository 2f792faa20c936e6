"""The rows of policies: managed ones and their versions, attachments, inline ones, the account as a whole."""

from __future__ import annotations

from collections.abc import Mapping

from iam_guard.services.iam import (
    attachments,
    authorization_details,
    inline_policies,
    managed_policies,
    policy_digests,
    policy_versions,
    tags,
)
from iam_guard.services.iam.targets import (
    boundary_of,
    created,
    listed,
    named,
    policy,
    policy_arn_given,
    request_tags,
    tagging,
)
from iam_guard.services.operation import KeySource, Operation
from iam_guard.store.identifiers import Kind
from iam_guard.store.schema import policies

_NEW_POLICY = created("policy", "PolicyName")


def _policies_of(kind: Kind) -> dict[str, Operation]:
    """Give the rows that users, groups and roles each have; a group has no boundary (G-38)."""
    word, holder = kind.value.capitalize(), named(kind)
    inline, attached = policy_digests.inline_document(kind), policy_digests.attached_document(kind)
    boundary: tuple[KeySource, ...] = () if kind is Kind.GROUP else (boundary_of(kind),)
    return {
        f"Attach{word}Policy": Operation(
            attachments.attach_handler(kind), holder, (policy_arn_given, *boundary), digests=attached
        ),
        f"Delete{word}Policy": Operation(inline_policies.delete_inline_handler(kind), holder, boundary, digests=inline),
        f"Detach{word}Policy": Operation(
            attachments.detach_handler(kind), holder, (policy_arn_given, *boundary), digests=attached
        ),
        f"Get{word}Policy": Operation(inline_policies.get_inline_handler(kind), holder, reads=True),
        f"List{word}Policies": Operation(inline_policies.list_inline_handler(kind), holder, reads=True),
        f"ListAttached{word}Policies": Operation(attachments.list_attached_handler(kind), holder, reads=True),
        f"Put{word}Policy": Operation(inline_policies.put_inline_handler(kind), holder, boundary, digests=inline),
    }


ROWS: Mapping[str, Operation] = {
    "CreatePolicy": Operation(
        managed_policies.create_policy,
        _NEW_POLICY,
        (request_tags,),
        further=(tagging("iam:TagPolicy", _NEW_POLICY),),
        digests=policy_digests.NEW_POLICY,
    ),
    "CreatePolicyVersion": Operation(policy_versions.create_policy_version, policy, digests=policy_digests.NEW_VERSION),
    "DeletePolicy": Operation(managed_policies.delete_policy, policy, digests=policy_digests.DEFAULT_VERSION),
    "DeletePolicyVersion": Operation(
        policy_versions.delete_policy_version, policy, digests=policy_digests.NAMED_VERSION
    ),
    "GetAccountAuthorizationDetails": Operation(authorization_details.get_account_authorization_details, reads=True),
    "GetPolicy": Operation(managed_policies.get_policy, policy, reads=True),
    "GetPolicyVersion": Operation(policy_versions.get_policy_version, policy, reads=True),
    "ListEntitiesForPolicy": Operation(attachments.list_entities_for_policy, policy, reads=True),
    "ListPolicies": Operation(managed_policies.list_policies, listed("policy"), reads=True),
    "ListPolicyTags": Operation(tags.list_handler(managed_policies.attachable_policy), policy, reads=True),
    "ListPolicyVersions": Operation(policy_versions.list_policy_versions, policy, reads=True),
    "SetDefaultPolicyVersion": Operation(
        policy_versions.set_default_policy_version, policy, digests=policy_digests.DEFAULT_VERSION
    ),
    "TagPolicy": Operation(tags.tag_handler(policies, "id", managed_policies.own_policy), policy, (request_tags,)),
    "UntagPolicy": Operation(tags.untag_handler(policies, "id", managed_policies.own_policy), policy, (request_tags,)),
    **_policies_of(Kind.USER),
    **_policies_of(Kind.GROUP),
    **_policies_of(Kind.ROLE),
}
