"""What restricts access, for keys with several values."""

from __future__ import annotations

from typing import Any

from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.checks.policy_checks import check_no_public_access
from tests.tables import table


@table(
    ("condition", "expected"),
    [
        ({"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-example/r-ab12/*"}}, CheckVerdict.PASS),
        ({"ForAnyValue:StringEquals": {"aws:PrincipalOrgPaths": ["o-a/r-ab12/", "o-b/r-ab12/"]}}, CheckVerdict.PASS),
        ({"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-*/r-ab12/*"}}, CheckVerdict.FAIL),
        ({"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "*"}}, CheckVerdict.FAIL),
        ({"ForAllValues:StringLike": {"aws:PrincipalOrgPaths": "o-example/r-ab12/*"}}, CheckVerdict.FAIL),
    ],
)
def test_value_of_multivalued_key_restricts_access(condition: dict[str, Any], expected: CheckVerdict) -> None:
    """`ForAllValues` is met without a value, so by anyone. Organizations share the ids of roots and units."""
    statement = {"Effect": "Allow", "Principal": "*", "Action": "docs:Get", "Resource": "*", "Condition": condition}
    policy = {"Version": "2012-10-17", "Statement": statement}
    assert check_no_public_access(policy, "AWS::S3::Bucket").verdict is expected
