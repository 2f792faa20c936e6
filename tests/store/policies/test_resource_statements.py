"""Whom the policies of resources name: the rows for lists, after each kind of change."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iam_guard.settings import Settings
from iam_guard.store.database.engine import make_engine, reading, writing
from iam_guard.store.migrations import upgrade
from iam_guard.store.opening import open_database
from iam_guard.store.policies.resource_policies import ResourcePolicies
from iam_guard.store.policies.resource_statements import index_policies, named_statements, statement_rows
from iam_guard.store.schema import resource_statements, resources
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.store.databases import SEALING_KEY
from tests.store.policies.test_resource_policies import ACME, BOB, EVE, GLOBEX, PLAN, USERS, policy_for
from tests.store.test_migrations import BASELINE, restore
from tests.tables import table

DRAFT = PLAN.replace("plan", "draft")


@pytest.fixture
def store(empty: SqlStore) -> SqlStore:
    apply_seed(empty, load_seed_text(USERS))
    return empty


def rows(store: SqlStore) -> list[tuple[str, str]]:
    """Return the resources and the principals of the rows, after a comparison with the policies."""
    with reading(store.engine) as connection:
        found = [dict(row) for row in connection.execute(resource_statements.select()).mappings()]
        stored = list(connection.execute(resources.select()).mappings())
    wanted = [row for resource in stored for row in statement_rows(resource)]
    assert sorted(found, key=str) == sorted(wanted, key=str)
    assert all(resource["listed_digest"] == resource["digest"] for resource in stored)
    return sorted((row["arn"].rpartition("/")[2], row["principal"][:4]) for row in found)


def test_rows_follow_the_policies(store: SqlStore) -> None:
    policies = ResourcePolicies(store)
    policies.put(PLAN, policy_for(BOB, EVE))
    policies.put(DRAFT, policy_for(GLOBEX))
    assert rows(store) == [("draft", "4444"), ("plan", "AIDA"), ("plan", "AIDA")]
    policies.put(PLAN, policy_for("*"))
    assert rows(store) == [("draft", "4444"), ("plan", "*")]
    policies.delete(DRAFT)
    with store.write_transaction() as records:
        records.update(resources, {"tags": {"team": "red"}}, arn=PLAN)
    policies.delete(PLAN)  # its row stays, for the tags
    assert rows(store) == []


def test_rows_follow_a_seed(store: SqlStore) -> None:
    def seed(*found: dict[str, Any]) -> str:
        account = {"id": ACME, "name": "acme", "users": [{"name": "bob"}], "resources": list(found)}
        return json.dumps({"version": 1, "accounts": [account]})

    plan, draft = ({"arn": arn, "policy": json.loads(policy_for(name))} for arn, name in ((PLAN, BOB), (DRAFT, GLOBEX)))
    apply_seed(store, load_seed_text(seed(plan, draft)))
    assert rows(store) == [("draft", "4444"), ("plan", "AIDA")]
    apply_seed(store, load_seed_text(seed(plan | {"policy": json.loads(policy_for("*"))})))
    assert rows(store) == [("draft", "4444"), ("plan", "*")]
    assert apply_seed(store, load_seed_text(seed(plan, draft))).lines == (f"updated resource {PLAN}: policy",)
    apply_seed(store, load_seed_text(seed({"arn": PLAN, "tags": {"team": "red"}})), prune=True)
    assert rows(store) == []


def test_rows_are_made_anew(store: SqlStore) -> None:
    """As after an upgrade; a policy that can't be read names everyone, in a Deny."""
    policies = ResourcePolicies(store)
    policies.put(PLAN, policy_for(BOB))
    policies.put(DRAFT, policy_for(BOB))
    with writing(store.engine) as connection:
        connection.execute(resources.update().where(resources.c.arn == DRAFT).values(text="{"))
        connection.execute(resource_statements.delete())
        index_policies(connection)
    assert rows(store) == [("draft", "*"), ("plan", "AIDA")]


def test_upgraded_store_has_rows(bare_database: str) -> None:
    """Rows are made for the policies that a store of the released schema has."""
    engine = make_engine(bare_database)
    restore(engine, BASELINE)
    upgrade(engine)
    engine.dispose()
    store = open_database(bare_database, Settings(sealing_keys=(SEALING_KEY,)))
    assert rows(store)
    store.close()


ARN = PLAN
SHARED = {"Effect": "Allow", "Principal": {"AWS": GLOBEX}, "Action": "docs:GetDocument"}


@table(
    "one, other, is_same",
    [
        (SHARED, {**SHARED, "Resource": ARN}, True),
        (SHARED, {**SHARED, "Resource": [f"{ARN}0", ARN]}, True),
        (SHARED, {**SHARED, "Resource": "*", "Sid": "any"}, True),
        (SHARED, {**SHARED, "Resource": f"{ARN}*"}, False),
        (SHARED, {**SHARED, "NotResource": ARN}, False),
        (SHARED, {**SHARED, "Effect": "Deny"}, False),
        (SHARED, {**SHARED, "Action": "docs:*"}, False),
        (SHARED, {**SHARED, "Condition": {"Bool": {"aws:SecureTransport": "true"}}}, False),
        (SHARED, {**SHARED, "Principal": {"AWS": [GLOBEX]}}, True),
        (SHARED, {**SHARED, "Principal": {"AWS": ACME}}, False),
        (SHARED, {**SHARED, "Principal": {"AWS": f"arn:aws:iam::{GLOBEX}:root"}}, False),
    ],
)
def test_statements_with_the_same_meaning_have_one_digest(
    one: dict[str, Any], other: dict[str, Any], is_same: bool
) -> None:
    digests = [
        named_statements(ARN, json.dumps({"Version": "2012-10-17", "Statement": statement}), {})[0].digest
        for statement in (one, other)
    ]
    assert (digests[0] == digests[1]) is is_same
