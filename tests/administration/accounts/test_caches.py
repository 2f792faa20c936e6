"""A new account invalidates what was answered about it before, in every process, and nothing of other accounts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from iam_guard import Guard, Principal, open_guard
from iam_guard.errors import InvalidClientTokenId
from iam_guard.store.cache.invalidation import MAX_NAMES
from tests.administration.accounts.account_parts import ALL, ID, KEY_ID, OTHER, PLAN, SEED, caller

ADA = Principal.from_arn(f"arn:aws:iam::{ID}:user/ada")
ROOT = Principal.from_arn(f"arn:aws:iam::{ID}:root")
OTHER_PLAN = PLAN.replace(ID, OTHER)
SHARED = {"Statement": [{**ALL["Statement"][0], "Principal": {"AWS": f"arn:aws:iam::{OTHER}:user/eve"}}]}
EVE_SECRET = "EveSecretEveSecretEveSecretEve01"
OTHERS = {
    "users": [{"name": "eve", "inline": {"All": ALL}, "api_keys": [{"id": "evekey", "secret": EVE_SECRET}]}],
    "resources": [{"arn": OTHER_PLAN, "tags": {"stage": "draft"}}],
}
SEED_OF_ID = {**SEED, "resources": [{"arn": PLAN, "policy": SHARED}]}


@pytest.fixture
def guards(tmp_path: Path) -> Iterator[tuple[Guard, Guard]]:
    """Guards of two processes on one store with another account."""
    url = f"sqlite:///{tmp_path}/iam-guard.db"
    with (
        closing(open_guard(url, create=True, epoch_poll=3600.0)) as one,
        closing(open_guard(url, epoch_poll=3600.0)) as other,
    ):
        one.accounts.create("globex", id=OTHER, seed=OTHERS)
        one.refresh()
        other.refresh()
        yield one, other


def answers(guard: Guard) -> list[object]:
    """Return what the guard answers about the account, its user, its key and its resource."""
    try:
        key = caller(guard).arn
    except InvalidClientTokenId:
        key = ""
    eve = caller(guard, "evekey", EVE_SECRET)
    return [
        key,
        guard.decide(ADA, "docs:GetDocument", PLAN).allowed,
        guard.decide(ROOT, "docs:GetDocument", PLAN).allowed,
        guard.decide(eve, "docs:GetDocument", PLAN).allowed,
        guard.decide(eve, "docs:GetDocument", OTHER_PLAN).allowed,
    ]


def test_answers_from_before_are_invalid(guards: tuple[Guard, Guard]) -> None:
    """In the process that creates the account at once, in the other after it has read the change feed."""
    for guard in guards:
        assert answers(guard) == answers(guard) == ["", False, False, False, True]
    guards[0].accounts.create("acme", id=ID, seed=SEED_OF_ID)
    expected = [ADA.arn, True, True, True, True]
    assert answers(guards[0]) == expected
    assert answers(guards[1]) == ["", False, False, False, True]  # it has not polled: what it had was cached
    guards[1].refresh()
    assert answers(guards[1]) == expected


def test_answers_about_other_accounts_stay_cached(guards: tuple[Guard, Guard]) -> None:
    eve = Principal.from_arn(f"arn:aws:iam::{OTHER}:user/eve")
    for guard in guards:
        guard.decide(eve, "docs:GetDocument", OTHER_PLAN)
        caller(guard, "evekey", EVE_SECRET)
    kinds = ("api_key", "principal", "account", "resource")
    guards[0].accounts.create("acme", id=ID, seed=SEED_OF_ID)
    for guard in guards:
        guard.refresh()
        before = {kind: guard.usage().caches[kind].misses for kind in kinds}
        assert guard.decide(eve, "docs:GetDocument", OTHER_PLAN).allowed
        caller(guard, "evekey", EVE_SECRET)
        assert {kind: guard.usage().caches[kind].misses for kind in kinds} == before


def test_names_of_a_new_account_are_its_own(guards: tuple[Guard, Guard]) -> None:
    """As the feed has them for other processes."""
    guard = guards[0]
    state = guard._store.behind.changes(None).state
    guard.accounts.create("acme", id=ID, seed=SEED_OF_ID)
    names = guard._store.behind.changes(state).names
    kinds = ("account", "callers", "newcomers", "trust")
    assert names == {f"{kind}:{ID}" for kind in kinds} | {f"resource:{PLAN}", f"credential:{KEY_ID}"}


def test_seed_with_many_names_invalidates_everything(guards: tuple[Guard, Guard]) -> None:
    guard = guards[0]
    state = guard._store.behind.changes(None).state
    many = [{"arn": f"{PLAN}{number}"} for number in range(MAX_NAMES + 1)]
    guard.accounts.create("acme", id=ID, seed={"resources": many})
    assert guard._store.behind.changes(state).names is None


def test_renaming_invalidates_nothing(guards: tuple[Guard, Guard]) -> None:
    guard = guards[0]
    state = guard._store.behind.changes(None).state
    guard.accounts.rename(OTHER, "umbrella")
    assert guard._store.behind.changes(state).names == frozenset()
