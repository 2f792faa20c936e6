"""The digest of all policies of a decision: equal for equal policies, and different otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from iam_guard.evaluation.authorizer import compile_policies
from iam_guard.evaluation.policy_set import policy_set


def allow(action: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}


ONE, TWO = allow("docs:Get"), allow("docs:Put")


def test_equal_policies_have_one_digest_in_any_order() -> None:
    first = compile_policies(identity=[ONE, TWO], scps=[[ONE], [TWO]]).policy_set
    assert compile_policies(identity=[TWO, ONE], scps=[[ONE], [TWO]]).policy_set == first


def test_different_policies_have_different_digests() -> None:
    """Another document, type, level or position, and no policy as opposed to an empty list (E-14)."""
    sets = [
        compile_policies(),
        compile_policies(identity=[ONE]),
        compile_policies(identity=[TWO]),
        compile_policies(identity=[ONE, TWO]),
        compile_policies(identity=[ONE, ONE]),
        compile_policies(permissions_boundary=ONE),
        compile_policies(session=[ONE]),
        compile_policies(session=[]),
        compile_policies(scps=[]),
        compile_policies(scps=[[ONE, TWO]]),
        compile_policies(scps=[[ONE], [TWO]]),
        compile_policies(scps=[[TWO], [ONE]]),
        compile_policies(rcps=[[ONE], [TWO]]),
        compile_policies(vpc_endpoint=ONE),
    ]
    assert len({each.policy_set.digest for each in sets}) == len(sets)


def test_policy_set_counts_sessions_and_marks_given_policies() -> None:
    share = {"Version": "2012-10-17", "Statement": [{**ONE["Statement"][0], "Principal": "*"}]}
    described = compile_policies(session=[ONE, TWO], resource=share).policy_set
    assert (described.sessions, described.given) == (2, True)
    assert (compile_policies().policy_set.sessions, compile_policies().policy_set.given) == (0, False)


@pytest.mark.parametrize("is_set", [True, False])
def test_policy_set_has_the_flags_of_the_bundle(is_set: bool) -> None:
    """E-16, E-42: a decision with the same policies can differ by them."""
    policies = replace(compile_policies(identity=[ONE]).policies, policy_required=is_set, own_service=not is_set)
    found = policy_set(policies)
    assert (found.policy_required, found.own_service) == (is_set, not is_set)


def test_digest_is_the_same_in_every_version() -> None:
    """An audit trail has the digests of older decisions, and a replay compares them."""
    share = {"Version": "2012-10-17", "Statement": [{**ONE["Statement"][0], "Principal": "*"}]}
    policies = compile_policies(identity=[TWO, ONE], resource=share, scps=[[ONE, TWO], [TWO]], session=[])
    assert policies.policy_set.digest == "7b67d6d35e2f079a7d6a27800236d04efaa098531d08ddc0b24467d6519236ad"
