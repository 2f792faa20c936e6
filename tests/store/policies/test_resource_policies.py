"""Resource-based policies in the store: validated, bound to unique ids, and effective at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from iam_guard import Guard, Principal, Resource, open_guard
from iam_guard.errors import IamGuardError, InvalidInput, LimitExceeded, NoSuchEntity, PolicyError, StoreIsReadOnly
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.policies.resource_policies import ResourcePolicies
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


def policy_for(*principals: str, effect: str = "Allow") -> str:
    """Return a policy that names principals."""
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
    """A guard that polls the store only once in an hour."""
    opened = guard_with_store(store, Settings(epoch_poll=3600.0))
    yield opened
    opened.close()


def may(guard: Guard, arn: str) -> bool:
    return guard.decide(Principal.from_arn(arn), "docs:GetDocument", PLAN).allowed


def test_policy_is_stored_as_written(policies: ResourcePolicies) -> None:
    """Including white space; a second policy replaces the first."""
    written = policy_for(BOB).replace(",", " ,\n")
    policies.put(PLAN, written)
    assert policies.get(PLAN) == written
    policies.put(PLAN, json.loads(policy_for(EVE)))
    assert json.loads(policies.get(PLAN) or "") == json.loads(policy_for(EVE))
    assert [tuple(each) for each in policies.list()] == [(PLAN, ACME)]


def test_account_id_is_shown_as_the_root_of_the_account(guard: Guard) -> None:
    """Decisions read the id: it means the same, before and after the shown policy is stored."""
    guard.resource_policies.put(PLAN, policy_for(GLOBEX))
    assert may(guard, EVE)
    shown = guard.resource_policies.get(PLAN) or ""
    assert json.loads(shown) == json.loads(policy_for(f"arn:aws:iam::{GLOBEX}:root"))
    guard.resource_policies.put(PLAN, shown)
    assert may(guard, EVE)


def test_change_applies_to_next_decision(guard: Guard) -> None:
    """In the process that made the change (T-9)."""
    assert not may(guard, BOB)
    guard.resource_policies.put(PLAN, policy_for(BOB, EVE))
    assert (may(guard, BOB), may(guard, EVE)) == (True, True)
    guard.resource_policies.put(PLAN, policy_for(BOB, effect="Deny"))
    assert (may(guard, BOB), may(guard, EVE)) == (False, False)
    guard.resource_policies.delete(PLAN)
    assert (may(guard, BOB), may(guard, EVE)) == (False, False)


def test_deleted_principal_is_replaced_by_its_id(store: SqlStore, guard: Guard) -> None:
    """A new user of the same name does not match (P-6)."""
    guard.resource_policies.put(PLAN, policy_for(BOB))
    with store.write_transaction() as records:
        records.delete(identities, account=ACME, folded="bob")
    shown = json.loads(guard.resource_policies.get(PLAN) or "")["Statement"][0]["Principal"]["AWS"]
    assert [each[:4] for each in shown] == ["AIDA"]
    apply_seed(store, load_seed_text(USERS))
    guard.refresh()
    assert not may(guard, BOB)


REFUSED: list[tuple[str, str, str | None, type[IamGuardError], str]] = [
    ("no JSON", PLAN, None, PolicyError, "expected a value"),
    (policy_for(f"arn:aws:iam::{ACME}:user/nobody"), PLAN, None, PolicyError, "Invalid principal in policy"),
    ('{"Version": "2012-10-17", "Statement": []}', PLAN, None, PolicyError, "Statement"),
    (
        json.dumps({"Statement": {"Effect": "Allow", "Action": "a:B", "Resource": "*"}}),
        PLAN,
        None,
        PolicyError,
        "Principal",
    ),
    (policy_for(BOB) + " " * 20_480, PLAN, None, LimitExceeded, "ResourcePolicySize: 20480"),
    (policy_for(BOB), "plan", None, InvalidInput, "ARN"),
    (policy_for(BOB), PLAN + "*", None, InvalidInput, "wildcard"),
    (policy_for(BOB), BOB, None, InvalidInput, "of the application"),
    (policy_for(BOB), "arn:aws:sts::111122223333:federated-user/x", None, InvalidInput, "of the application"),
    (policy_for(BOB), PLAN + "\0", None, InvalidInput, "printable"),
    (policy_for(BOB), PLAN + "x" * 2048, None, InvalidInput, "2048"),
    (policy_for(BOB), PLAN, GLOBEX, InvalidInput, "account of the ARN"),
    (policy_for(BOB), "arn:aws:docs:::document/plan", None, InvalidInput, "account that owns"),
    (policy_for(BOB), "arn:aws:docs:::document/plan", "999999999999", NoSuchEntity, "account 999999999999"),
]


@pytest.mark.parametrize(("document", "arn", "account", "error", "message"), REFUSED)
def test_invalid_policy_changes_nothing(
    policies: ResourcePolicies,
    store: SqlStore,
    document: str,
    arn: str,
    account: str | None,
    error: type[IamGuardError],
    message: str,
) -> None:
    """Invalid documents, ARNs and owners are refused, and the epoch stays (A.3, P-8)."""
    epoch = store.epoch()
    with pytest.raises(error, match=message):
        policies.put(arn, document, account=account)
    assert (policies.list(), store.epoch()) == ([], epoch)


def test_arn_without_account_belongs_to_given_account(policies: ResourcePolicies) -> None:
    """As for buckets; another account can't take it over."""
    bucket = "arn:aws:s3:::reports"
    policies.put(bucket, policy_for(BOB), account=ACME)
    with pytest.raises(InvalidInput, match="another account"):
        policies.put(bucket, policy_for(EVE), account=GLOBEX)
    assert policies.list(account=GLOBEX) == []
    assert [each.arn for each in policies.list(account=ACME)] == [bucket]


def test_list_is_paged_by_arn(policies: ResourcePolicies) -> None:
    """Byte by byte on every database; a concurrent insert causes no gap and no duplicate."""
    arns = [f"{PLAN}-{name}" for name in ("B", "a", "b", "é")]
    for arn in reversed(arns):
        policies.put(arn, policy_for(BOB))
    first = policies.list(limit=2)
    policies.put(f"{PLAN}-A", policy_for(BOB))
    second = policies.list(after=first[-1].arn, limit=2)
    assert [each.arn for each in first + second] == arns


def test_missing_policy_cannot_be_deleted(policies: ResourcePolicies) -> None:
    with pytest.raises(NoSuchEntity):
        policies.delete(PLAN)


def test_deleting_policy_keeps_tags(policies: ResourcePolicies, store: SqlStore) -> None:
    """Deleting the policy of a resource that has tags keeps the tags."""
    resources = f'resources: [{{arn: "{PLAN}", tags: {{stage: draft}}}}]'
    apply_seed(store, load_seed_text(f'{{version: 1, accounts: [{{id: "{ACME}", name: acme, {resources}}}]}}'))
    policies.put(PLAN, policy_for(EVE))
    policies.delete(PLAN)
    assert (dict(store.resource(PLAN).tags), store.resource(PLAN).policy) == ({"stage": "draft"}, None)


def test_store_that_follows_a_file_is_read_only(tmp_path: Path) -> None:
    """Reading works."""
    seed = tmp_path / "iam.yaml"
    seed.write_text(USERS)
    guard = open_guard(seed)
    with pytest.raises(StoreIsReadOnly, match=r"follows the file `iam\.yaml`"):
        guard.resource_policies.put(PLAN, policy_for(BOB))
    assert guard.resource_policies.get(PLAN) is None
    guard.close()


# --- an application with tables of its own -----------------------------------------------------------------------


def test_application_supplies_policies_by_loader(store: SqlStore) -> None:
    """The loader is called for an ARN; a `Resource` that is passed is used as it is."""
    own = {PLAN: Resource(PLAN, ACME, policy=policy_for(BOB), tags={"stage": "draft"})}
    guard = guard_with_store(store, Settings(), resources=own.get)
    bob = Principal.from_arn(BOB)
    assert may(guard, BOB)
    assert not guard.decide(bob, "docs:GetDocument", Resource(PLAN, ACME)).allowed
    assert not guard.decide(bob, "docs:GetDocument", f"{PLAN}2").allowed
    assert guard.decide_from_cache(bob, "docs:GetDocument", PLAN) is None
    guard.close()


def test_failing_loader_denies(store: SqlStore) -> None:
    """Also if it returns another resource or another type."""

    def broken(arn: str) -> Resource | None:
        raise KeyError(arn)

    other = Resource("arn:aws:docs:::other", ACME, policy=policy_for(EVE))
    for loader in (broken, lambda _: other, lambda _: policy_for(EVE)):
        guard = guard_with_store(store, Settings(), resources=loader)  # type: ignore[arg-type]  # the last one is wrong on purpose
        decision = guard.decide(Principal.from_arn(EVE), "docs:GetDocument", f"arn:aws:docs:::{GLOBEX}")
        assert (decision.allowed, decision.error is None) == (False, False)
        guard.close()
