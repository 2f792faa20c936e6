"""Validate a document for a write: `parse`, and what AWS refuses in addition on writes (G-12, G-18, G-19, G-74)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Document
from iam_guard.policy.document_refusals import Scope, refuse
from iam_guard.policy.parser import read
from iam_guard.policy.quota import RAW_LIMIT, size_quota


def validate_for_write(
    source: str | Mapping[str, Any], type: PolicyType, *, managed: bool = False, partition: str = "aws"
) -> Document:
    """Parse a document for a write; raise `PolicyError` with AWS's `sentence` if it is refused.

    `partition` is that of the deployment's own ARNs, accepted in addition to AWS's. Raises `LimitExceeded` for a
    document over its quota.
    """
    reading = read(source, type, partition=partition, limit=RAW_LIMIT)
    refuse(reading, Scope.MANAGED if managed else Scope.WRITE)
    quota = size_quota(type, managed=managed)
    if quota is not None:
        quota.check(quota.size(reading.document.text))
    return reading.document
