"""The rows of policies: managed ones and their versions, attachments, inline ones, the account as a whole."""

from __future__ import annotations

from collections.abc import Mapping

from iam_guard.api.iam import (
    attachments,
    authorization_details,
    inline_policies,
    managed_policies,
    policy_versions,
    tags,
)
from iam_guard.api.iam.authorization_targets import (
    boundary_of,
    created,
    listed,
    named,
    policy,
    policy_arn_given,
    request_tags,
    tagging,
)
from iam_guard.api.iam.policy_digests import (
    attached_document,
    created_document,
    default_document,
    inline_document,
    named_document,
    newest_document,
    no_document,
)
from iam_guard.api.operation import Digests, KeySource, Operation
from iam_guard.store.identifiers import Kind
from iam_guard.store.schema import policies

_NEW_POLICY = created("policy", "PolicyName")


def _policies_of(kind: Kind) -> dict[str, Operation]:
    """Return the rows that users, groups and roles each have; a group has no boundary (G-38)."""
    word, holder = kind.value.capitalize(), named(kind)
    inline, attached = inline_document(kind), attached_document(kind)
    boundary: tuple[KeySource, ...] = () if kind is Kind.GROUP else (boundary_of(kind),)
    return {
        f"Attach{word}Policy": Operation(
            attachments.attach_handler(kind),
            holder,
            (policy_arn_given, *boundary),
            digests=Digests(attached, default_document),
        ),
        f"Delete{word}Policy": Operation(
            inline_policies.delete_inline_handler(kind), holder, boundary, digests=Digests(inline, no_document)
        ),
        f"Detach{word}Policy": Operation(
            attachments.detach_handler(kind),
            holder,
            (policy_arn_given, *boundary),
            digests=Digests(attached, no_document),
        ),
        f"Get{word}Policy": Operation(inline_policies.get_inline_handler(kind), holder, reads=True),
        f"List{word}Policies": Operation(inline_policies.list_inline_handler(kind), holder, reads=True),
        f"ListAttached{word}Policies": Operation(attachments.list_attached_handler(kind), holder, reads=True),
        f"Put{word}Policy": Operation(
            inline_policies.put_inline_handler(kind), holder, boundary, digests=Digests(inline, inline)
        ),
    }


ROWS: Mapping[str, Operation] = {
    "CreatePolicy": Operation(
        managed_policies.create_policy,
        _NEW_POLICY,
        (request_tags,),
        further=(tagging("iam:TagPolicy", _NEW_POLICY),),
        digests=Digests(no_document, created_document),
    ),
    "CreatePolicyVersion": Operation(
        policy_versions.create_policy_version, policy, digests=Digests(default_document, newest_document)
    ),
    "DeletePolicy": Operation(managed_policies.delete_policy, policy, digests=Digests(default_document, no_document)),
    "DeletePolicyVersion": Operation(
        policy_versions.delete_policy_version, policy, digests=Digests(named_document, no_document)
    ),
    "GetAccountAuthorizationDetails": Operation(authorization_details.get_account_authorization_details, reads=True),
    "GetPolicy": Operation(managed_policies.get_policy, policy, reads=True),
    "GetPolicyVersion": Operation(policy_versions.get_policy_version, policy, reads=True),
    "ListEntitiesForPolicy": Operation(attachments.list_entities_for_policy, policy, reads=True),
    "ListPolicies": Operation(managed_policies.list_policies, listed("policy"), reads=True),
    "ListPolicyTags": Operation(tags.list_handler(managed_policies.attachable_policy), policy, reads=True),
    "ListPolicyVersions": Operation(policy_versions.list_policy_versions, policy, reads=True),
    "SetDefaultPolicyVersion": Operation(
        policy_versions.set_default_policy_version, policy, digests=Digests(default_document, default_document)
    ),
    "TagPolicy": Operation(tags.tag_handler(policies, "id", managed_policies.own_policy), policy, (request_tags,)),
    "UntagPolicy": Operation(tags.untag_handler(policies, "id", managed_policies.own_policy), policy, (request_tags,)),
    **_policies_of(Kind.USER),
    **_policies_of(Kind.GROUP),
    **_policies_of(Kind.ROLE),
}
