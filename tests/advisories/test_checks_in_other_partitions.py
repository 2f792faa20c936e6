"""Advisory: checks that knew callers of the partition `aws` alone.

`arn:aws-cn:iam::444455556666:root` names the callers of an account in the partition `aws-cn`. The checks imagined the
callers that no policy names in `aws` only, whom this principal does not name. So in every other partition, a policy
that grants access to another account passed all checks of access, a Deny of an account counted as unreachable,
`lint --fix` removed it with a proof of the same access, and external access reported nothing. Callers are now imagined
in each partition that the policies, the question, or the store name.
"""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest

from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.checks.dead_statements import check_dead_statements
from iam_guard.analysis.checks.policy_checks import (
    ListedAccess,
    check_access_not_granted,
    check_no_new_access,
    check_no_public_access,
)
from iam_guard.analysis.findings.external_access import external_findings
from iam_guard.analysis.findings.shared_resources import SharedResource, ZoneOfTrust
from iam_guard.analysis.invariants.invariant_checks import check_invariants
from iam_guard.analysis.invariants.invariant_file import read_invariants
from iam_guard.analysis.invariants.store_access import read_store_access
from iam_guard.analysis.lint.fixes import has_same_access
from iam_guard.model.decision import PolicyType
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.protocol import StoredPolicy
from iam_guard.store.seed import apply_seed, load_seed_text

OWNER, PARTNER, OTHER = "111122223333", "444455556666", "777788889999"
RESOURCE = PolicyType.RESOURCE
PARTITIONS = ["aws", "aws-cn", "aws-us-gov", "corp"]
FAIL, PASS = CheckVerdict.FAIL, CheckVerdict.PASS
in_each = pytest.mark.parametrize("partition", PARTITIONS)


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [*statements]}


def allow(principal: Any, action: str = "docs:Get", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": "*", **more}


def root(partition: str, account: str = PARTNER) -> dict[str, str]:
    return {"AWS": f"arn:{partition}:iam::{account}:root"}


def deny(principal: Any, action: str = "docs:Get") -> dict[str, Any]:
    return {**allow(principal, action), "Effect": "Deny"}


NOTHING = policy(deny("*", "*"))


@in_each
def test_access_of_another_account_is_granted(partition: str) -> None:
    document = policy(allow(root(partition)))
    result = check_access_not_granted(document, [ListedAccess(("docs:Get",))], RESOURCE)
    assert result.verdict is FAIL
    assert result.witness is not None
    assert result.witness.principal.arn.startswith(f"arn:{partition}:")
    assert check_no_new_access(NOTHING, document, RESOURCE).verdict is FAIL


@in_each
def test_principals_of_a_condition_are_of_its_partition(partition: str) -> None:
    pattern = {"ArnLike": {"aws:PrincipalArn": f"arn:{partition}:iam::*:role/*"}}
    document = policy(allow("*", Condition=pattern))
    assert check_access_not_granted(document, [ListedAccess(("docs:Get",))], RESOURCE).verdict is FAIL
    assert check_no_public_access(document, "AWS::S3::Bucket").verdict is FAIL


@pytest.mark.parametrize("pattern", ["arn:aws-*:iam::*:role/x", "arn:aws-c*", "arn:aws-??:iam::*:user/*", "*:aws-cn:*"])
def test_wildcards_name_partitions(pattern: str) -> None:
    """A pattern that no ARN of `aws` matches has a caller."""
    document = policy(allow("*", Condition={"StringLike": {"aws:PrincipalArn": pattern}}))
    assert check_access_not_granted(document, [ListedAccess(("docs:Get",))], RESOURCE).verdict is FAIL


@in_each
def test_same_account_of_another_partition_is_another_caller(partition: str) -> None:
    """An account id names the callers of every partition, an ARN those of one."""
    both = policy(allow(root(partition)), allow(root("aws-iso")))
    assert check_no_new_access(policy(allow(root(partition))), both, RESOURCE).verdict is FAIL
    assert check_no_new_access(policy(allow({"AWS": PARTNER})), both, RESOURCE).verdict is PASS


@in_each
def test_deny_of_an_account_is_alive(partition: str) -> None:
    document = policy(allow({"AWS": PARTNER}, "docs:*"), deny(root(partition)))
    assert check_dead_statements(document, RESOURCE).parts == ()
    changed = policy(allow({"AWS": PARTNER}, "docs:*"), deny(root(partition, OTHER)))
    assert not has_same_access(json.dumps(document), json.dumps(changed), RESOURCE)


@in_each
def test_access_from_outside_is_found(partition: str) -> None:
    arn = f"arn:{partition}:docs:eu-west-1:{OWNER}:document/1"
    statements = [{**allow(root(partition, account)), "Resource": arn} for account in (PARTNER, OTHER)]
    stored = StoredPolicy.of(arn, RESOURCE, None, json.dumps(policy(*statements)))
    found = external_findings(SharedResource(arn, OWNER, RESOURCE, stored), ZoneOfTrust(frozenset({OWNER})))
    assert [finding.principal for finding in found] == [{"AWS": PARTNER}, {"AWS": OTHER}]
    assert all(finding.error is None for finding in found)


@in_each
def test_invariant_about_outsiders_is_violated(partition: str) -> None:
    arn = f"arn:{partition}:docs:eu-west-1:{OWNER}:document/1"
    resources = [{"arn": arn, "policy": policy({**allow(root(partition)), "Resource": arn})}]
    seed = {"version": 1, "accounts": [{"id": OWNER, "resources": resources}]}
    with closing(create_store("sqlite://", Settings(partition=partition))) as store:
        apply_seed(store, load_seed_text(json.dumps(seed), partition=partition))
        access = read_store_access(store)
    text = "invariants: [{name: inside, never: outside, may: 'docs:*'}]"
    [result] = check_invariants(access, read_invariants(text, "rules.yaml", partition=partition))
    assert result.verdict is FAIL
    found = {violation.found.request.principal.arn for violation in result.violations if violation.found is not None}
    assert f"arn:{partition}:iam::{PARTNER}:root" in found


def test_service_of_a_condition_is_a_caller() -> None:
    """A condition on the name of a service requires a caller that no principal names."""
    for name in ("sns.amazonaws.com", "sns.amazonaws.com.cn"):
        document = policy(allow("*", Condition={"StringEquals": {"aws:PrincipalServiceName": name}}))
        assert check_access_not_granted(document, [ListedAccess(("docs:Get",))], RESOURCE).verdict is FAIL
