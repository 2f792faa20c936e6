"""Advisory: a policy naming a future user of an account gave access to that user once it was created.

The hole: a trust or resource policy is bound to the unique ids of its users and roles. A name in an account that the
store did not have was neither bound nor rejected: the author of the policy could wait until the name was taken. Now it
is rejected as an invalid principal, as AWS does; names stored before match no caller.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from iam_guard import Guard, Principal
from iam_guard.authn.federation.role_session import find_role
from iam_guard.errors import PolicyError, SeedError
from iam_guard.factory import guard_with_store
from iam_guard.model.principal import PrincipalType
from iam_guard.settings import Settings
from iam_guard.store.database.engine import writing
from iam_guard.store.opening import open_database
from iam_guard.store.schema import identities, resources
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore

ACME, LATER = "111122223333", "444455556666"
PLAN = f"arn:aws:docs:us-east-1:{ACME}:document/plan"
EVE, OPS = f"arn:aws:iam::{LATER}:user/eve", f"arn:aws:iam::{LATER}:role/ops"
OPS_SESSION = f"arn:aws:sts::{LATER}:assumed-role/ops/eve"
FEDERATED = f"arn:aws:sts::{LATER}:federated-user/eve"
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
TRUSTING_ACME = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACME}, "Action": "sts:AssumeRole"}],
}
NOT_THERE = (
    EVE,
    OPS,
    OPS_SESSION,
    FEDERATED,
    f"arn:aws:iam::{LATER}:user/path/eve",
    f"arn:aws:iam::{ACME}:user/eve",
    f"arn:aws:sts::{ACME}:assumed-role/ops/eve",
    f"arn:aws-cn:iam::{ACME}:user/bob",
    f"arn:aws:iam::{ACME}:user/BOB",
)
"""Principals that are not there while the account to come is not."""


def policy(*principals: str, effect: str = "Allow", action: str = "docs:*", element: str = "Principal") -> str:
    statement: dict[str, Any] = {"Effect": effect, element: {"AWS": list(principals)}, "Action": action}
    if action != "sts:AssumeRole":
        statement["Resource"] = "*"
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def seed(*accounts: dict[str, Any]) -> str:
    return json.dumps({"version": 1, "accounts": list(accounts)})


def acme(**more: Any) -> dict[str, Any]:
    return {"id": ACME, "name": "acme", "users": [{"name": "bob"}], **more}


def later() -> dict[str, Any]:
    """Return the account that is created later, whose principals may do everything in it."""
    inline = {"All": ALL}
    role = {"name": "ops", "trust": TRUSTING_ACME, "inline": inline}
    return {"id": LATER, "name": "later", "users": [{"name": "eve", "inline": inline}], "roles": [role]}


@pytest.fixture
def store() -> Iterator[SqlStore]:
    """Open a store with one account."""
    opened = open_database("sqlite://", Settings())
    apply_seed(opened, load_seed_text(seed(acme())))
    yield opened
    opened.close()


@pytest.fixture
def guard(store: SqlStore) -> Iterator[Guard]:
    opened = guard_with_store(store, Settings())
    yield opened
    opened.close()


def eve() -> Principal:
    return Principal.from_arn(EVE)


def session() -> Principal:
    """Return a session of the role that is created later."""
    return Principal(PrincipalType.ASSUMED_ROLE, OPS_SESSION, LATER, role_arn=OPS)


def test_resource_policy_with_unknown_principal_is_rejected(guard: Guard, subtests: pytest.Subtests) -> None:
    """With the same error whether the account exists or not."""
    for name in NOT_THERE:
        for document in (policy(name), policy(ACME, name), policy(name, effect="Deny", element="NotPrincipal")):
            with subtests.test(name=name, document=document), pytest.raises(PolicyError) as caught:
                guard.resource_policies.put(PLAN, document)
            assert caught.value.sentence == f'Invalid principal in policy: "AWS":"{name}"'
            assert guard.resource_policies.get(PLAN) is None


def test_seed_with_unknown_principal_is_rejected(store: SqlStore, subtests: pytest.Subtests) -> None:
    for name in NOT_THERE:
        role = {"name": "r", "trust": json.loads(policy(name, action="sts:AssumeRole"))}
        resource = {"arn": PLAN, "policy": json.loads(policy(name))}
        for more in ({"roles": [role]}, {"resources": [resource]}):
            with subtests.test(name=name, more=[*more]), pytest.raises(SeedError, match="Invalid principal in policy"):
                apply_seed(store, load_seed_text(seed(acme(**more))))


def test_seed_may_name_its_own_principals_in_any_order(store: SqlStore, guard: Guard) -> None:
    """Before and after their account, and in sessions."""
    named = json.loads(policy(EVE, OPS, OPS_SESSION, FEDERATED))
    first = acme(resources=[{"arn": PLAN, "policy": named}])
    for accounts in ((first, later()), (later(), first)):
        apply_seed(store, load_seed_text(seed(*accounts)), whole=True)
        guard.refresh()
        assert guard.decide(eve(), "docs:Get", PLAN).allowed
        assert guard.decide(session(), "docs:Get", PLAN).allowed


def test_account_principal_is_accepted(guard: Guard, subtests: pytest.Subtests) -> None:
    """An account id and its root can't be taken by a new user; unique ids are never reused."""
    for name in (LATER, f"arn:aws:iam::{LATER}:root", "*", "AIDAQ3EGTFEJTEXAMPLE1", f"arn:aws:iam::{ACME}:user/bob"):
        with subtests.test(name=name):
            guard.resource_policies.put(PLAN, policy(name))


def test_stored_unbound_name_never_gets_access(store: SqlStore, guard: Guard) -> None:
    """A policy without bindings, as an earlier version stored it."""
    written = policy(EVE, OPS)
    escaped = written.replace("user/eve", "\\u0075ser\\/eve")
    for text in (written, escaped):
        guard.resource_policies.put(PLAN, policy(ACME))
        with writing(store.engine) as connection:
            connection.execute(resources.update().values(text=text, bindings={}, digest="0" * 64))
        apply_seed(store, load_seed_text(seed(later())))
        guard.refresh()
        assert not guard.decide(eve(), "docs:Get", PLAN).allowed
        assert not guard.decide(session(), "docs:Get", PLAN).allowed
        guard.resource_policies.put(PLAN, policy(EVE, OPS))  # now it means who is there
        assert guard.decide(eve(), "docs:Get", PLAN).allowed
        assert guard.decide(session(), "docs:Get", PLAN).allowed
        guard.resource_policies.delete(PLAN)


def test_stored_unbound_name_is_not_excluded_from_a_deny(store: SqlStore, guard: Guard) -> None:
    """A Deny for all but an unknown name applies to all."""
    statements = [
        json.loads(policy(LATER))["Statement"][0],
        json.loads(policy(LATER, EVE, effect="Deny", element="NotPrincipal"))["Statement"][0],
    ]
    text = json.dumps({"Version": "2012-10-17", "Statement": statements})
    guard.resource_policies.put(PLAN, policy(ACME))
    with writing(store.engine) as connection:
        connection.execute(resources.update().values(text=text, bindings={}, digest="1" * 64))
    apply_seed(store, load_seed_text(seed(later())))
    guard.refresh()
    assert not guard.decide(eve(), "docs:Get", PLAN).allowed


def test_stored_deny_of_an_unbound_session_applies(store: SqlStore, guard: Guard) -> None:
    """An earlier version did not bind sessions: a Deny that named one must stay effective."""
    allowing, denying = json.loads(policy(LATER)), json.loads(policy(OPS_SESSION, EVE, effect="Deny"))
    text = json.dumps({**allowing, "Statement": allowing["Statement"] + denying["Statement"]})
    guard.resource_policies.put(PLAN, policy(LATER))
    with writing(store.engine) as connection:
        connection.execute(resources.update().values(text=text, bindings={}, digest="2" * 64))
    apply_seed(store, load_seed_text(seed(later())))
    guard.refresh()
    other = Principal(PrincipalType.ASSUMED_ROLE, OPS_SESSION.replace("/eve", "/bob"), LATER, role_arn=OPS)
    callers = (other, session(), eve())
    assert [guard.decide(caller, "docs:Get", PLAN).allowed for caller in callers] == [True, False, False]


def test_stored_trust_policy_admits_no_later_name(store: SqlStore, guard: Guard) -> None:
    trust = json.loads(policy(ACME, action="sts:AssumeRole"))
    apply_seed(store, load_seed_text(seed(acme(roles=[{"name": "r", "trust": trust}]))))
    with writing(store.engine) as connection:
        text = policy(EVE, action="sts:AssumeRole")
        changed = identities.update().where(identities.c.name == "r")
        connection.execute(changed.values(trust_text=text, trust_bindings={}))
    apply_seed(store, load_seed_text(seed(later())))
    with store.read_transaction() as records:
        role = find_role(records, "aws", f"arn:aws:iam::{ACME}:role/r")
    assert role is not None
    assert role.trust is not None
    assert EVE not in role.trust


def test_session_of_a_recreated_role_has_no_access(store: SqlStore, guard: Guard) -> None:
    """A session is bound to its role (P-6), and never matches the whole role."""
    apply_seed(store, load_seed_text(seed(later())))
    guard.resource_policies.put(PLAN, policy(OPS_SESSION))
    other = Principal(PrincipalType.ASSUMED_ROLE, OPS_SESSION.replace("/eve", "/bob"), LATER, role_arn=OPS)
    guard.refresh()
    assert [guard.decide(each, "docs:Get", PLAN).allowed for each in (session(), other)] == [True, False]
    apply_seed(store, load_seed_text(seed({**later(), "roles": []})), prune=True)
    apply_seed(store, load_seed_text(seed(later())))
    guard.refresh()
    assert not guard.decide(session(), "docs:Get", PLAN).allowed
    shown = guard.resource_policies.get(PLAN)
    assert shown is not None
    assert OPS_SESSION not in shown
