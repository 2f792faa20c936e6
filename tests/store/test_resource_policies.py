"""Resource-based policies in the store: checked when they are put, bound to who is named, and decided with at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from iam_guard import Guard, Principal, Resource, open_guard
from iam_guard.errors import IamGuardError, InvalidInput, LimitExceeded, NoSuchEntity, PolicyError, StoreIsReadOnly
from iam_guard.factory import guard_on
from iam_guard.settings import Settings
from iam_guard.store.resource_policies import ResourcePolicies
from iam_guard.store.schema import identities
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore

ACME, GLOBEX = "111122223333", "444455556666"
BOB, EVE = f"arn:aws:iam::{ACME}:user/bob", f"arn:aws:iam::{GLOBEX}:user/eve"
PLAN = f"arn:aws:docs:us-east-1:{ACME}:document/plan"
USERS = f"""
version: 1
accounts:
  - {{id: "{ACME}", name: acme, users: [{{name: bob}}]}}
  - id: "{GLOBEX}"
    name: globex
    users:
      - name: eve
        inline: {{All: {{Version: "2012-10-17", Statement: [{{Effect: Allow, Action: "docs:*", Resource: "*"}}]}}}}
"""


def lets(*principals: str, effect: str = "Allow") -> str:
    """Write a policy that names principals."""
    statement = {"Effect": effect, "Principal": {"AWS": list(principals)}, "Action": "docs:Get*", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def store(empty: SqlStore) -> SqlStore:
    """Two accounts, each with one user."""
    apply_seed(empty, load_seed_text(USERS))
    return empty


@pytest.fixture
def policies(store: SqlStore) -> ResourcePolicies:
    return ResourcePolicies(store)


@pytest.fixture
def guard(store: SqlStore) -> Iterator[Guard]:
    """A guard that would not look at the store again for an hour."""
    opened = guard_on(store, Settings(epoch_poll=3600.0))
    yield opened
    opened.close()


def may(guard: Guard, arn: str) -> bool:
    return guard.decide(Principal.from_arn(arn), "docs:GetDocument", PLAN).allowed


def test_a_policy_is_kept_as_it_is_written(policies: ResourcePolicies) -> None:
    """What is put is what is got, white space included; another takes its place; there is one for each resource."""
    written = lets(BOB).replace(",", " ,\n")
    policies.put(PLAN, written)
    assert policies.get(PLAN) == written
    policies.put(PLAN, json.loads(lets(EVE)))
    assert json.loads(policies.get(PLAN) or "") == json.loads(lets(EVE))
    assert [tuple(each) for each in policies.list()] == [(PLAN, ACME)]


def test_it_decides_at_once(guard: Guard) -> None:
    """A process that puts or deletes a policy decides with the change from then on (T-9)."""
    assert not may(guard, BOB)
    guard.resource_policies.put(PLAN, lets(BOB, EVE))
    assert (may(guard, BOB), may(guard, EVE)) == (True, True)
    guard.resource_policies.put(PLAN, lets(BOB, effect="Deny"))
    assert (may(guard, BOB), may(guard, EVE)) == (False, False)
    guard.resource_policies.delete(PLAN)
    assert (may(guard, BOB), may(guard, EVE)) == (False, False)


def test_a_principal_that_goes_shows_its_id_and_is_nobody(store: SqlStore, guard: Guard) -> None:
    """After deletion the unique id stands in the policy, and a new user of the same name is not meant (P-6)."""
    guard.resource_policies.put(PLAN, lets(BOB))
    with store.changing() as records:
        records.delete(identities, account=ACME, folded="bob")
    shown = json.loads(guard.resource_policies.get(PLAN) or "")["Statement"][0]["Principal"]["AWS"]
    assert [each[:4] for each in shown] == ["AIDA"]
    apply_seed(store, load_seed_text(USERS))
    guard.refresh()
    assert not may(guard, BOB)


REFUSED: list[tuple[str, str, str | None, type[IamGuardError], str]] = [
    ("no JSON", PLAN, None, PolicyError, "expected a value"),
    (lets(f"arn:aws:iam::{ACME}:user/nobody"), PLAN, None, PolicyError, "Invalid principal in policy"),
    ('{"Version": "2012-10-17", "Statement": []}', PLAN, None, PolicyError, "Statement"),
    (
        json.dumps({"Statement": {"Effect": "Allow", "Action": "a:B", "Resource": "*"}}),
        PLAN,
        None,
        PolicyError,
        "Principal",
    ),
    (lets(BOB) + " " * 20_480, PLAN, None, LimitExceeded, "ResourcePolicySize: 20480"),
    (lets(BOB), "plan", None, InvalidInput, "ARN"),
    (lets(BOB), PLAN + "*", None, InvalidInput, "wildcard"),
    (lets(BOB), BOB, None, InvalidInput, "of the application"),
    (lets(BOB), "arn:aws:sts::111122223333:federated-user/x", None, InvalidInput, "of the application"),
    (lets(BOB), PLAN + "\0", None, InvalidInput, "printable"),
    (lets(BOB), PLAN + "x" * 2048, None, InvalidInput, "2048"),
    (lets(BOB), PLAN, GLOBEX, InvalidInput, "account of the ARN"),
    (lets(BOB), "arn:aws:docs:::document/plan", None, InvalidInput, "account that owns"),
    (lets(BOB), "arn:aws:docs:::document/plan", "999999999999", NoSuchEntity, "account 999999999999"),
]


@pytest.mark.parametrize(("document", "arn", "account", "error", "says"), REFUSED)
def test_a_bad_one_changes_nothing(
    policies: ResourcePolicies,
    store: SqlStore,
    document: str,
    arn: str,
    account: str | None,
    error: type[IamGuardError],
    says: str,
) -> None:
    """Documents, ARNs and owners that make no sense are refused with what is wrong, and the epoch stays (A.3, P-8)."""
    epoch = store.epoch()
    with pytest.raises(error, match=says):
        policies.put(arn, document, account=account)
    assert (policies.list(), store.epoch()) == ([], epoch)


def test_an_arn_without_account_belongs_to_who_is_said(policies: ResourcePolicies) -> None:
    """As buckets do; nobody else takes it over."""
    bucket = "arn:aws:s3:::reports"
    policies.put(bucket, lets(BOB), account=ACME)
    with pytest.raises(InvalidInput, match="another account"):
        policies.put(bucket, lets(EVE), account=GLOBEX)
    assert policies.list(account=GLOBEX) == []
    assert [each.arn for each in policies.list(account=ACME)] == [bucket]


def test_the_list_comes_in_pages(policies: ResourcePolicies) -> None:
    """By ARN, byte by byte, on every database; what is put in between is neither skipped nor shown twice."""
    arns = [f"{PLAN}-{name}" for name in ("B", "a", "b", "é")]
    for arn in reversed(arns):
        policies.put(arn, lets(BOB))
    first = policies.list(limit=2)
    policies.put(f"{PLAN}-A", lets(BOB))
    second = policies.list(after=first[-1].arn, limit=2)
    assert [each.arn for each in first + second] == arns


def test_what_is_not_there_cannot_be_deleted(policies: ResourcePolicies) -> None:
    with pytest.raises(NoSuchEntity):
        policies.delete(PLAN)


def test_tags_outlive_the_policy(policies: ResourcePolicies, store: SqlStore) -> None:
    """Deleting the policy of a resource that has tags leaves the tags."""
    resources = f'resources: [{{arn: "{PLAN}", tags: {{stage: draft}}}}]'
    apply_seed(store, load_seed_text(f'{{version: 1, accounts: [{{id: "{ACME}", name: acme, {resources}}}]}}'))
    policies.put(PLAN, lets(EVE))
    policies.delete(PLAN)
    assert (dict(store.resource(PLAN).tags), store.resource(PLAN).policy) == ({"stage": "draft"}, None)


def test_a_store_that_follows_a_file_says_so(tmp_path: Path) -> None:
    """It is changed by changing the file; reading works."""
    seed = tmp_path / "iam.yaml"
    seed.write_text(USERS)
    guard = open_guard(seed)
    with pytest.raises(StoreIsReadOnly, match=r"follows the file `iam\.yaml`"):
        guard.resource_policies.put(PLAN, lets(BOB))
    assert guard.resource_policies.get(PLAN) is None
    guard.close()


# --- an application with tables of its own -----------------------------------------------------------------------


def test_an_application_brings_its_own_policies(store: SqlStore) -> None:
    """A loader is asked for what is named by its ARN alone; a `Resource` that is handed in is taken as it is."""
    own = {PLAN: Resource(PLAN, ACME, policy=lets(BOB), tags={"stage": "draft"})}
    guard = guard_on(store, Settings(), resources=own.get)
    bob = Principal.from_arn(BOB)
    assert may(guard, BOB)
    assert not guard.decide(bob, "docs:GetDocument", Resource(PLAN, ACME)).allowed
    assert not guard.decide(bob, "docs:GetDocument", f"{PLAN}2").allowed
    assert guard.decide_from_cache(bob, "docs:GetDocument", PLAN) is None
    guard.close()


def test_a_loader_that_fails_denies(store: SqlStore) -> None:
    """What it raises, or another resource than was asked for, is doubt, and doubt is Deny."""

    def broken(arn: str) -> Resource | None:
        raise KeyError(arn)

    for loader in (broken, lambda _: Resource("arn:aws:docs:::other", ACME, policy=lets(EVE)), lambda _: lets(EVE)):
        guard = guard_on(store, Settings(), resources=loader)  # type: ignore[arg-type]  # the last one is wrong on purpose
        decision = guard.decide(Principal.from_arn(EVE), "docs:GetDocument", f"arn:aws:docs:::{GLOBEX}")
        assert (decision.allowed, decision.error is None) == (False, False)
        guard.close()
