"""Escalation paths, made for real: each path works, and where there is none, no call helps."""

from __future__ import annotations

import random

from iam_guard.analysis.escalation.escalation_search import escalation_paths
from tests.analysis.escalation.attacker import attacking
from tests.analysis.escalation.escalation_worlds import (
    Json,
    arn,
    seeded,
    shortened,
)
from tests.analysis.escalation.random_worlds import random_world
from tests.analysis.escalation.test_change_edges import FAILING, WORKING
from tests.analysis.escalation.test_new_entities import CREATING
from tests.tables import table

KEY = ("AKIAOFTHESTART000001", "secret-of-the-start")
ADA = arn("user/ada")
NEEDS_MORE = ("with MFA",)
"""Cases whose condition this attacker does not satisfy."""


def with_key(world: Json, name: str = "ada") -> Json:
    """Return the world in which a user has the attacker's access key."""
    users = [
        {**user, "access_keys": [{"id": KEY[0], "secret": KEY[1]}]} if user["name"] == name else user
        for user in world["users"]
    ]
    defaults: Json = {"roles": [], "groups": [], "policies": []}
    return {**defaults, **world, "users": users}


@table("case", [case for case in (*WORKING, *CREATING) if case not in NEEDS_MORE])
def test_path_to_administrator_works(case: str) -> None:
    """The start was no administrator before the calls of the path, and is one after them."""
    world = with_key({**WORKING, **CREATING}[case][0])
    with seeded(world) as store, attacking(store, ADA, *KEY) as attacker:
        [path] = [path for path in escalation_paths(store) if path.start == ADA]
        assert not attacker.is_administrator()
        attacker.follow(path)
        assert attacker.is_administrator()


@table("case", FAILING)
def test_nothing_works_without_a_path(case: str) -> None:
    world = with_key(FAILING[case])
    with seeded(world) as store, attacking(store, ADA, *KEY) as attacker:
        attacker.try_everything(world)
        assert not attacker.is_administrator()
        assert set(attacker.held) == {ADA}


def compare(seed: int) -> str:
    """Attack one random store, and compare what was gained with the paths; return a word about the outcome."""
    world = with_key(random_world(random.Random(seed)))
    with seeded(world) as store, attacking(store, ADA, *KEY) as attacker:
        paths = [path for path in escalation_paths(store) if path.start == ADA]
        targets = {path.target for path in paths}
        was_administrator = attacker.is_administrator()
        attacker.try_everything(world)
        is_administrator, held = attacker.is_administrator(), set(attacker.held) - {ADA}
        details = seed, is_administrator, sorted(map(shortened, held)), targets
        assert is_administrator is ("administrator" in targets or was_administrator), details
        assert is_administrator or held == targets, details
    for path in paths:
        with seeded(world) as store, attacking(store, ADA, *KEY) as attacker:
            attacker.follow(path)
            assert attacker.is_administrator() if path.target == "administrator" else path.target in attacker.held
    return "start" if was_administrator else "administrator" if is_administrator else "others" if targets else "none"


@table("seed", range(6))
def test_random_store_allows_exactly_its_paths(seed: int) -> None:
    compare(seed)
