"""Statements that people wrote stay as they are, and appear among the shares."""

from __future__ import annotations

import json

import pytest

from iam_guard import Guard
from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.checks.policy_checks import check_equivalent
from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.model.decision import PolicyType
from iam_guard.policy.share_statements import Share
from iam_guard.store.schema import identities, resources
from tests.administration.sharing.sharing_parts import (
    ALL,
    BOB,
    BY_HAND,
    COMPACT,
    EVE,
    GLOBEX,
    MAX,
    ONE_STATEMENT,
    PLAN,
    SEED,
    may,
    reset,
    seeded,
)
from tests.tables import table


@table("before", [BY_HAND, ONE_STATEMENT, COMPACT])
def test_statements_written_by_hand_stay(opened: Guard, before: str) -> None:
    """Their text too, character by character; a list of one statement may remain."""
    reset(opened, before)
    opened.sharing.share(PLAN, with_principal=EVE, actions="docs:GetDocument")
    opened.sharing.share(PLAN, with_account=GLOBEX, actions="docs:PutDocument")
    shared = opened.resource_policies.current(PLAN) or ""
    written = before.rstrip().removesuffix("}").rstrip().removesuffix("]").rstrip()
    if before is not ONE_STATEMENT:
        assert shared.startswith(written)
    assert [share.is_written_by_hand for share in opened.sharing.shares_of(PLAN)] == [True, False, False]
    assert [may(opened, EVE), may(opened, MAX), may(opened, BOB, "docs:ListDocuments")] == [True, False, True]
    opened.sharing.unshare(PLAN, with_principal=EVE)
    opened.sharing.unshare(PLAN, with_account=GLOBEX)
    after = opened.resource_policies.current(PLAN) or ""
    assert after == before or (
        before is ONE_STATEMENT and json.loads(after)["Statement"] == [json.loads(before)["Statement"]]
    )
    assert check_equivalent(before, after, PolicyType.RESOURCE).verdict is CheckVerdict.PASS


def test_share_between_statements_is_removed(guard: Guard) -> None:
    """Where a person added statements below it; the first statement too."""
    guard.sharing.share(PLAN, with_principal=EVE, actions="docs:GetDocument")
    policy = json.loads(guard.resource_policies.current(PLAN) or "")
    others = json.loads(BY_HAND)["Statement"]
    for index in range(3):
        statements = [*others[:index], *policy["Statement"], *others[index:]]
        guard.resource_policies.put(PLAN, json.dumps({**policy, "Statement": statements}, indent=1))
        guard.sharing.unshare(PLAN, with_principal=EVE)
        assert json.loads(guard.resource_policies.current(PLAN) or "")["Statement"] == others


def test_edited_share_is_not_changed(guard: Guard) -> None:
    """A condition that a person added would be lost, or would not apply."""
    guard.sharing.share(PLAN, with_principal=EVE, actions="docs:GetDocument")
    policy = json.loads(guard.resource_policies.current(PLAN) or "")
    policy["Statement"][0]["Condition"] = {"Bool": {"aws:SecureTransport": "true"}}
    guard.resource_policies.put(PLAN, policy)
    before = guard.resource_policies.get(PLAN)
    for change in (guard.sharing.share, guard.sharing.unshare):
        with pytest.raises(InvalidInput, match="`ShareWithUserEveOf444455556666` was edited by hand"):
            change(PLAN, with_principal=EVE, actions="docs:GetDocument")
    assert guard.resource_policies.get(PLAN) == before
    assert [(share.is_written_by_hand, share.has_condition) for share in guard.sharing.shares_of(PLAN)] == [
        (True, True)
    ]


def test_taken_sid_gets_a_number(guard: Guard) -> None:
    statement = {"Sid": f"ShareWithUserEveOf{GLOBEX}", "Effect": "Deny", "Principal": {"AWS": BOB}, "Action": "x:Y"}
    guard.resource_policies.put(PLAN, {"Statement": [statement]})
    assert (
        guard.sharing.share(PLAN, with_principal=EVE, actions="docs:GetDocument").sid == f"ShareWithUserEveOf{GLOBEX}x2"
    )


def test_shares_have_every_allow(guard: Guard) -> None:
    """Also of services and with `NotAction`; never less than the policy grants."""
    allow = {"Effect": "Allow", "Principal": {"AWS": [BOB, GLOBEX], "Service": "mail.example.com"}}
    condition = {"StringEquals": {"aws:username": "eve"}}
    everyone = {"Effect": "Allow", "Principal": "*", "Action": ["docs:Get*", "s3:*"], "Condition": condition}
    guard.resource_policies.put(PLAN, {"Statement": [{**allow, "NotAction": "docs:PutDocument"}, everyone]})
    assert guard.sharing.shares_of(PLAN) == [
        Share(BOB, ("*",), None, is_written_by_hand=True),
        Share(GLOBEX, ("*",), None, is_written_by_hand=True),
        Share("mail.example.com", ("*",), None, is_written_by_hand=True, kind="Service"),
        Share("*", ("docs:Get*", "s3:*"), None, is_written_by_hand=True, has_condition=True),
    ]


def test_statements_without_bindings_keep_their_meaning(guard: Guard) -> None:
    """Those of an earlier version: a Deny applies to its ARN, an Allow to no caller (P-8)."""
    later = f"arn:aws:iam::{GLOBEX}:user/later"
    deny = {"Effect": "Deny", "Principal": {"AWS": [later, MAX]}, "Action": "docs:GetDocument"}
    allow = {"Effect": "Allow", "Principal": {"AWS": EVE}, "Action": "docs:PutDocument"}
    guard.resource_policies.put(PLAN, ONE_STATEMENT)
    with guard.store.write_transaction() as records:
        text = json.dumps({"Version": "2012-10-17", "Statement": [deny, allow]})
        records.update(resources, {"text": text, "bindings": {}}, arn=PLAN)
    guard.refresh()
    guard.sharing.share(PLAN, with_account=GLOBEX, actions="docs:GetDocument")
    assert (may(guard, EVE), may(guard, EVE, "docs:PutDocument"), may(guard, MAX)) == (True, False, False)
    with pytest.raises(PolicyError, match="Invalid principal"):
        guard.sharing.share(PLAN, with_principal=later, actions="docs:PutDocument")
    with guard.store.write_transaction() as records:
        records.delete(identities, account=GLOBEX, folded="max")
    seeded(
        guard,
        SEED.replace(
            "users:\n      - {name: eve",
            f"users:\n      - {{name: later, inline: {{All: {ALL}}}}}\n      - {{name: eve",
        ),
    )
    assert (may(guard, later), may(guard, MAX)) == (False, False)
    guard.sharing.unshare(PLAN, with_account=GLOBEX)
    guard.sharing.share(PLAN, with_account=GLOBEX, actions=["docs:GetDocument", "docs:PutDocument"])
    assert (may(guard, later), may(guard, MAX), may(guard, later, "docs:PutDocument")) == (False, False, True)
