"""After any sequence of shares, decisions equal those of a model, and the policy is what it was without them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard import Guard
from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.checks.policy_checks import check_equivalent
from iam_guard.errors import (
    NoSuchEntity,
)
from iam_guard.model.decision import PolicyType
from tests.administration.sharing.sharing_parts import (
    ACTIONS,
    AUDITOR,
    BOB,
    BY_HAND,
    EVE,
    GLOBEX,
    MAX,
    ONE_STATEMENT,
    PLAN,
    SESSION,
    may,
    reset,
)

GRANTEES: dict[str, dict[str, Any]] = {
    EVE: {"with_principal": EVE},
    BOB: {"with_principal": BOB},
    AUDITOR: {"with_principal": AUDITOR},
    SESSION: {"with_principal": SESSION},
    GLOBEX: {"with_account": GLOBEX},
    "*": {"public": True},
}
NAMES = {
    EVE: (EVE, GLOBEX, "*"),
    MAX: (GLOBEX, "*"),
    BOB: (BOB, "*"),
    SESSION: (SESSION, AUDITOR, GLOBEX, "*"),
}
"""Caller -> the grantees whose shares apply to it; callers of the other account have policies that allow everything."""
SHAREABLE = (*ACTIONS[:3], "docs:*Document")
STEPS = st.lists(
    st.tuples(st.booleans(), st.sampled_from(sorted(GRANTEES)), st.sets(st.sampled_from(SHAREABLE), min_size=1)),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from([None, BY_HAND, ONE_STATEMENT]))
def test_decisions_equal_a_model_after_any_sequence(
    opened: Guard, steps: list[tuple[bool, str, set[str]]], before: str | None
) -> None:
    """`shares_of` covers all that is allowed; without its shares, the policy is what it was."""
    reset(opened, before)
    model: set[tuple[str, str]] = set()
    for is_share, grantee, actions in steps:
        pairs = {(grantee, action) for action in actions}
        if is_share:
            opened.sharing.share(PLAN, actions=sorted(actions), wildcards=True, **GRANTEES[grantee])
            model |= pairs
        elif pairs <= model:
            opened.sharing.unshare(PLAN, actions=sorted(actions), **GRANTEES[grantee])
            model -= pairs
        else:
            with pytest.raises(NoSuchEntity):
                opened.sharing.unshare(PLAN, actions=sorted(actions), **GRANTEES[grantee])
        compare(opened, model, before)
    for grantee in {grantee for grantee, _ in model}:
        opened.sharing.unshare(PLAN, **GRANTEES[grantee])
    after = opened.resource_policies.current(PLAN)
    if before is None:
        assert after is None
    else:
        assert check_equivalent(before, after or "", PolicyType.RESOURCE).verdict is CheckVerdict.PASS


def compare(guard: Guard, model: set[tuple[str, str]], before: str | None) -> None:
    """Compare decisions with the model, and the shares with decisions."""
    listed = {(share.grantee, action) for share in guard.sharing.shares_of(PLAN) for action in share.actions}
    assert {
        (share.grantee, action)
        for share in guard.sharing.shares_of(PLAN)
        if not share.is_written_by_hand
        for action in share.actions
    } == model
    for caller, names in NAMES.items():
        for action in ACTIONS:
            by_hand = before is not None and caller == BOB and action == "docs:ListDocuments"
            is_denied = before is BY_HAND and action == "docs:PurgeDocument"
            granted = any(name in names and fnmatchcase(action, pattern) for name, pattern in model)
            assert may(guard, caller, action) == ((granted or by_hand) and not is_denied)
            if may(guard, caller, action):
                assert any(name in names and fnmatchcase(action, pattern) for name, pattern in listed)
