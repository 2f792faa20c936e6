"""Names stored policies in decisions: a managed policy by its name and ARN, an inline one by its owner and name."""

from __future__ import annotations

from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.store.identifiers import iam_arn
from iam_guard.store.protocol import StoredPolicy


def inline_policy(owner_kind: str, owner_name: str, name: str, text: str, digest: str) -> StoredPolicy:
    """Return an inline policy, named like `user/ann/Read`."""
    return StoredPolicy(PolicyRef(f"{owner_kind}/{owner_name}/{name}", PolicyType.IDENTITY, None, digest), text)


def managed_policy(
    partition: str, account: str, path: str, name: str, *, type: PolicyType, text: str, digest: str
) -> StoredPolicy:
    """Return a managed policy, used as an identity-based policy or as a boundary."""
    return StoredPolicy(PolicyRef(name, type, iam_arn(partition, account, "policy", path, name), digest), text)
