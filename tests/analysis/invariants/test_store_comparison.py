"""Comparisons of small stores, and the evaluator's decisions about every request of a few in both."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.invariants.store_access import StoreAccess, read_store_access
from iam_guard.analysis.invariants.store_comparison import NewAccess, StoreComparison
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.opening import open_store
from tests.analysis.checks.small_policies import ACCOUNT, OTHER, OUTSIDERS, Doc
from tests.analysis.invariants.small_stores import ADMIN, ALL_ACTIONS, ALL_RESOURCES, KEY, OWNED, SHARED, SmallStore
from tests.tables import table

PASS, FAIL, UNKNOWN = CheckVerdict


def changed(seed: int, kinds: int = 1) -> tuple[SmallStore, SmallStore]:
    """Return a store and one with other policies of a few kinds."""
    old, new, random = SmallStore(Random(seed)), SmallStore(Random(seed)), Random(-seed)
    other = SmallStore(Random(seed + 1_000_000))
    names = [*old.documents]
    for _ in range(kinds):
        match random.randrange(6):
            case 0 | 1:
                name = random.choice(names)
                documents = [*new.documents[name], new.policy()] if random.random() < 0.5 else other.documents[name]
                new.documents[name] = documents
            case 2:
                arn = random.choice([SHARED, OWNED, KEY])
                new.resource_policies[arn] = other.resource_policies[arn]
            case 3:
                new.trust = other.trust
            case 4:
                new.scps = other.scps if random.random() < 0.5 else new.scps
                new.rcps = other.rcps
            case _:
                name = random.choice(names)
                new.boundaries.pop(name, None)
                if random.random() < 0.5:
                    new.boundaries[name] = new.policy()
    new.own_services = old.own_services
    new.set_principals()
    return old, new


def compared(old: SmallStore, new: SmallStore) -> list[NewAccess]:
    return [*StoreComparison(old.access(), new.access(), old.own_services).new_access()]


def check_witness(old: SmallStore, new: SmallStore, found: NewAccess) -> None:
    """Decide a witness again, with policies that the test combines."""
    assert found.result.found is not None
    request = found.result.found.request
    _, is_new = new.decide(request.principal, request.action, request.resource, {**request.context})
    is_role = request.principal.identity_arn == ADMIN
    context = {
        key: value
        for key, value in request.context.items()
        if old.may_be_tagged or not is_role or not key.lower().startswith("aws:principaltag/")
    }
    _, is_old = old.decide(old.like(request.principal), request.action, request.resource, context)
    assert (is_new, is_old) == (True, False), request


def pairs(old: SmallStore, new: SmallStore) -> Iterator[tuple[Principal, Principal]]:
    """Yield callers as they act in both stores."""
    for before, after in zip(old.principals, new.principals, strict=True):
        acting = {(caller.arn, caller.tags.get("team") == "blue"): caller for caller in old.acting(before)}
        for caller in new.acting(after):
            known = acting.get((caller.arn, caller.tags.get("team") == "blue"))
            if known is not None:
                yield known, caller
    yield from ((caller, caller) for caller in OUTSIDERS if caller.account not in (ACCOUNT, OTHER))


def new_request(old: SmallStore, new: SmallStore) -> object:
    for before, caller in pairs(old, new):
        for context in new.contexts(caller, 2):
            for action in ALL_ACTIONS:
                for resource in ALL_RESOURCES:
                    request, is_allowed = new.decide(caller, action, resource, context)
                    if is_allowed and not old.decide(before, action, resource, context)[1]:
                        return request
    return None


@table(("first", "count"), [(20_000, 30)])
def test_comparisons_agree_with_the_evaluator(first: int, count: int) -> None:
    """Without new access the evaluator allows nothing that it did not. A witness is allowed by the new store only."""
    verdicts: Counter[CheckVerdict] = Counter()
    for seed in range(first, first + count):
        old, new = changed(seed)
        found = compared(old, new)
        verdicts.update([one.result.verdict for one in found] or [PASS])
        for one in found:
            if one.result.verdict is FAIL:
                check_witness(old, new, one)
        if not found:
            assert new_request(old, new) is None, seed
    assert min(verdicts[PASS], verdicts[FAIL]) > count / 10, verdicts
    assert verdicts[UNKNOWN] <= verdicts.total() / 8, verdicts


def seeded(folder: Path, name: str, role: Doc) -> StoreAccess:
    """Return a store with a role, a session of which a resource's policy names."""
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/ops/night"
    statement = {"Effect": "Allow", "Principal": {"AWS": session}, "Action": "docs:Sign", "Resource": "*"}
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
    account = {
        "id": ACCOUNT,
        "name": "acme",
        "roles": [{"name": "ops", "trust": document(trust), **role}],
        "resources": [{"arn": SHARED, "policy": document(statement)}],
    }
    path = folder / name
    path.write_text(json.dumps({"version": 1, "accounts": [account]}), encoding="utf-8")
    with closing(open_store(str(path), Settings())) as opened:
        return read_store_access(opened)


def document(statement: Doc) -> Doc:
    return {"Version": "2012-10-17", "Statement": [statement]}


def test_a_removed_deny_is_new_access_of_a_named_session(tmp_path: Path) -> None:
    """The role has no policy that allows anything, and neither has another of its sessions."""
    denied = document({"Effect": "Deny", "Action": "docs:Sign", "Resource": "*"})
    old = seeded(tmp_path, "old.yaml", {"inline": {"no": denied}})
    new = seeded(tmp_path, "new.yaml", {})
    [found] = StoreComparison(old, new).new_access()
    assert found.result.found is not None
    assert (found.subject, found.result.found.request.principal.arn.rpartition("/")[2]) == ("principal", "night")
    assert [*StoreComparison(new, old).new_access()] == []


def test_new_tags_of_a_principal_are_new_access(tmp_path: Path) -> None:
    tagged = document(
        {
            "Effect": "Allow",
            "Action": "docs:Get",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:PrincipalTag/team": "red"}},
        }
    )
    old = seeded(tmp_path, "old.yaml", {"inline": {"a": tagged}, "tags": {"team": "blue"}})
    new = seeded(tmp_path, "new.yaml", {"inline": {"a": tagged}, "tags": {"team": "red"}})
    assert [found.subject for found in StoreComparison(old, new).new_access()] == ["principal"]
    assert [*StoreComparison(new, old).new_access()] == []


def test_a_store_has_no_new_access_compared_with_itself() -> None:
    """Also if nothing is skipped because it is unchanged."""
    for seed in range(30_000, 30_020):
        store, same = SmallStore(Random(seed)), SmallStore(Random(seed))
        assert compared(store, same) == []
