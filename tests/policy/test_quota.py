from __future__ import annotations

import pytest

from iam_guard.errors import LimitExceeded
from iam_guard.model.decision import PolicyType
from iam_guard.policy.quota import (
    INLINE,
    MANAGED,
    RAW_LIMIT,
    RCP,
    SCP,
    SESSION,
    TRUST,
    size_quota,
)
from tests.tables import table


def test_quotas_are_those_of_aws() -> None:
    """G-70 to G-74."""
    assert MANAGED.characters == 6144
    assert {kind: quota.characters for kind, quota in INLINE.items()} == {"user": 2048, "role": 10240, "group": 5120}
    assert TRUST.characters == 2048
    assert (SCP.characters, RCP.characters, SESSION.characters) == (10240, 5120, 2048)
    assert RAW_LIMIT == 131_072


@table(("text", "size"), [("", 0), ("{ }\n", 2), ('{"a b":\t\r\n"c d"}', 11), ("\u00a0", 1)])
def test_white_space_does_not_count(text: str, size: int) -> None:
    """G-70: space, tab, line feed and carriage return, anywhere."""
    assert MANAGED.size(text) == size
    assert SCP.size(text) == len(text)


def test_size_over_the_quota_is_refused() -> None:
    """The quota itself is accepted."""
    INLINE["user"].check(2048)
    with pytest.raises(LimitExceeded, match="Cannot exceed quota for UserPolicySize: 2048"):
        INLINE["user"].check(2049)


def test_each_policy_type_has_its_quota() -> None:
    """Inline and resource-based documents have none of their own."""
    assert size_quota(PolicyType.IDENTITY) is None
    assert size_quota(PolicyType.RESOURCE) is None
    assert size_quota(PolicyType.VPC_ENDPOINT) is None
    assert size_quota(PolicyType.IDENTITY, managed=True) is size_quota(PolicyType.BOUNDARY) is MANAGED
