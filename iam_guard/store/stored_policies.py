"""How stored policies are called in decisions: a managed one by its name and ARN, an inline one after its holder."""

from __future__ import annotations

from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.store.identifiers import iam_arn
from iam_guard.store.protocol import StoredPolicy


def inline_policy(holder_kind: str, holder_name: str, name: str, text: str, digest: str) -> StoredPolicy:
    """Name an inline policy: `user/ann/Read`."""
    return StoredPolicy(PolicyRef(f"{holder_kind}/{holder_name}/{name}", PolicyType.IDENTITY, None, digest), text)


def managed_policy(
    partition: str, account: str, path: str, name: str, *, type: PolicyType, text: str, digest: str
) -> StoredPolicy:
    """Name a managed policy, as what it is here: an identity-based policy or a boundary."""
    return StoredPolicy(PolicyRef(name, type, iam_arn(partition, account, "policy", path, name), digest), text)
