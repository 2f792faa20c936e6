"""A denial is known to lack only a fresh second factor: by the same policies, with two keys replaced."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from iam_guard import Guard, Principal, Service
from iam_guard.evaluation.authorizer import Authorizer
from iam_guard.factory import guard_with_store
from iam_guard.guard.step_up import needs_second_factor
from iam_guard.model.context import Given
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Credential, Issued, PrincipalType
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.seed import apply_seed, load_seed_text

ACCOUNT = "111122223333"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DOCUMENT = f"arn:aws:docs:us-east-1:{ACCOUNT}:document/7"
PRESENT, AGE = "aws:MultiFactorAuthPresent", "aws:MultiFactorAuthAge"
docs = Service("docs")
docs.declare_action("GetDocument")


def statement(effect: str = "Allow", **condition: dict[str, str]) -> dict[str, Any]:
    return {"Effect": effect, "Action": "docs:*", "Resource": "*"} | ({"Condition": condition} if condition else {})


ALLOW = statement()
POLICIES: dict[str, tuple[list[dict[str, Any]], bool]] = {
    "allow with a factor": ([statement(Bool={PRESENT: "true"})], True),
    "allow with a recent one": ([statement(NumericLessThan={AGE: "300"})], True),
    "deny without one": ([ALLOW, statement("Deny", BoolIfExists={PRESENT: "false"})], True),
    "deny with an old one": ([ALLOW, statement("Deny", NumericGreaterThanIfExists={AGE: "60"})], True),
    "deny if there is no age": ([ALLOW, statement("Deny", Null={AGE: "true"})], True),
    "age that none has": ([statement(NumericLessThan={AGE: "0"})], False),
    "allow and deny with a factor": (
        [statement(Bool={PRESENT: "true"}), statement("Deny", Bool={PRESENT: "true"})],
        False,
    ),
    "nothing": ([], False),
    "deny": ([ALLOW, statement("Deny")], False),
    "deny, and allow with a factor": ([statement(Bool={PRESENT: "true"}), statement("Deny")], False),
    "another key too": ([statement(Bool={PRESENT: "true"}, StringEquals={"docs:Class": "x"})], False),
}


def session_of(principal: Principal, mfa_at: datetime | None = None) -> Principal:
    issued = Issued(NOON - timedelta(hours=1), NOON + timedelta(hours=1), mfa_at=mfa_at)
    return replace(principal, credential=Credential("session", "bs-1", issued=issued))


@pytest.fixture
def guard() -> Iterator[Guard]:
    users = [
        {"name": f"user-{number}", "inline": {"P": {"Version": "2012-10-17", "Statement": statements}}}
        if statements
        else {"name": f"user-{number}"}
        for number, (statements, _) in enumerate(POLICIES.values())
    ]
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACCOUNT}}
    role = {"name": "Reader", "trust": {"Version": "2012-10-17", "Statement": [trust]}, "inline": users[0]["inline"]}
    seed = {"version": 1, "accounts": [{"id": ACCOUNT, "name": "acme", "users": users, "roles": [role]}]}
    store = create_store("sqlite://", Settings())
    apply_seed(store, load_seed_text(json.dumps(seed)))
    with closing(guard_with_store(store, Settings(), services=[docs])) as made:
        made.clock = lambda: NOON
        yield made


def decide(guard: Guard, principal: Principal, context: dict[str, Given] | None = None) -> Decision:
    return guard.decide(principal, "docs:GetDocument", DOCUMENT, context)


def user(number: int = 0, mfa_at: datetime | None = None) -> Principal:
    return session_of(Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/user-{number}"), mfa_at)


def test_denial_needs_a_factor_if_that_alone_would_allow(guard: Guard) -> None:
    for number, (name, (_, expected)) in enumerate(POLICIES.items()):
        decision = decide(guard, user(number))
        assert not decision.allowed, name
        assert needs_second_factor(decision) is expected, name


def test_old_factor_is_renewed_until_it_would_not_help(guard: Guard) -> None:
    for seconds, is_allowed in ((0, True), (299, True), (300, False)):
        decision = decide(guard, user(1, NOON - timedelta(seconds=seconds)))
        assert decision.allowed is is_allowed
        assert needs_second_factor(decision) is not is_allowed


def test_decision_and_its_keys_stay_as_they_were(guard: Guard) -> None:
    decision = decide(guard, user(1, NOON - timedelta(seconds=900)))
    before = dict(decision.request.read)
    assert needs_second_factor(decision)
    assert decision.request.read == before == {"aws:multifactorauthage": "900"}
    assert decision.request.value("aws:multifactorauthage") == "900"


def test_denial_without_such_keys_is_not_decided_again(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs nothing."""
    names = list(POLICIES)
    denials = [decide(guard, user(names.index(name))) for name in ("nothing", "deny", "deny, and allow with a factor")]
    monkeypatch.delattr(Authorizer, "decide")
    assert not any(map(needs_second_factor, denials))


def test_keys_given_by_hand_stay(guard: Guard) -> None:
    """The next request gives them again: a second factor would not help."""
    given: dict[str, Given] = {PRESENT: False, AGE: 900}
    for number in (0, 1, 2):
        assert not needs_second_factor(decide(guard, user(number), given))
    old = user(1, NOON - timedelta(seconds=300))
    assert not needs_second_factor(decide(guard, old, given))


def test_callers_without_such_keys_need_none(guard: Guard) -> None:
    """Roles, long-term keys and anonymous callers."""
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/Reader/s"
    role = session_of(Principal(PrincipalType.ASSUMED_ROLE, arn, ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/Reader"))
    key = replace(user(), credential=Credential("sigv4", "AKIA"))
    for caller in (role, key, replace(user(), credential=None), Principal.anonymous()):
        decision = decide(guard, caller)
        assert not decision.allowed
        assert not needs_second_factor(decision)
