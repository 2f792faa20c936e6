"""Unused access, and the policies attached to a principal."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from iam_guard.analysis.activity import aggregate_activity, unused_access
from iam_guard.analysis.activity.attached_policies import attached_policies_of
from iam_guard.analysis.activity.unused_access import UnusedAccess
from iam_guard.errors import NoSuchEntity
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.protocol import StoredPolicy
from iam_guard.store.schema import identities
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.analysis.activity.records import ACME, RITA, ROLE, decided, refused

KNOWN = ["docs:Get", "docs:Put", "docs:Drop", "mail:Send"]


def stored(*statements: dict[str, object], name: str = "P") -> StoredPolicy:
    text = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Resource": "*", **statement} for statement in statements]}
    )
    return StoredPolicy(PolicyRef(name, PolicyType.IDENTITY), text)


def unused(*statements: dict[str, object]) -> UnusedAccess:
    """Compare with the activity of a principal that read documents and was denied to drop one."""
    activity = aggregate_activity([decided(), decided("docs:Drop", outcome="ImplicitlyDenied")], RITA)
    return unused_access(activity, [stored(*statements)], KNOWN)


def test_rejected_request_counts_as_use() -> None:
    activity = aggregate_activity([decided("iam:GetUser", "*", event="e1"), refused("e1")], RITA)
    grant = stored({"Effect": "Allow", "Action": "iam:GetUser"})
    assert unused_access(activity, [grant], KNOWN) == UnusedAccess((), (), ())


def test_attempts_count_as_use() -> None:
    found = unused({"Effect": "Allow", "Action": ["docs:Get", "docs:drop"]})
    assert found == UnusedAccess((), (), ())


def test_wildcard_is_expanded_to_actions() -> None:
    """Unused actions of a used service, and a service that was never used."""
    found = unused({"Effect": "Allow", "Action": ["docs:*", "mail:*"], "Sid": "All"})
    assert (found.services, found.actions) == (("mail",), ("docs:Put",))
    assert [tuple(grant) for grant in found.grants] == [("P", "All", "mail:*")]


def test_star_covers_own_and_known_services() -> None:
    found = unused({"Effect": "Allow", "Action": "*"})
    assert {"iam", "sts", "mail"} <= set(found.services)
    assert (found.actions, found.grants) == (("docs:Put",), ())


def test_not_action_is_expanded_to_allowed_actions() -> None:
    found = unused({"Effect": "Allow", "NotAction": ["docs:Put", "mail:*", "iam:*"]})
    assert "mail" not in found.services
    assert (found.actions, found.grants) == ((), ())


def test_fully_denied_service_is_not_reachable() -> None:
    found = unused({"Effect": "Allow", "Action": ["docs:*", "mail:*"]}, {"Effect": "Deny", "Action": "mail:*"})
    assert found.services == ()


@pytest.fixture(scope="module")
def store() -> Iterator[SqlStore]:
    made = create_store("sqlite://", Settings())
    allow = '{Version: "2012-10-17", Statement: [{Effect: Allow, Action: "docs:Get", Resource: "*"}]}'
    trusting = f'{{Effect: Allow, Principal: {{AWS: "{ACME}"}}, Action: "sts:AssumeRole"}}'
    trust = f'{{Version: "2012-10-17", Statement: [{trusting}]}}'
    apply_seed(
        made,
        load_seed_text(
            f"""
version: 1
accounts:
  - id: "{ACME}"
    groups: [{{name: readers, inline: {{G: {allow}}}}}]
    users: [{{name: rita, groups: [readers], inline: {{U: {allow}}}}}]
    roles: [{{name: auditor, path: /team/, inline: {{R: {allow}}}, trust: {trust}}}]
"""
        ),
    )
    yield made
    made.close()


@pytest.mark.parametrize(
    ("principal", "names"),
    [
        (RITA, ["group/readers/G", "user/rita/U"]),
        (ROLE, ["role/auditor/R"]),
        (f"arn:aws:sts::{ACME}:assumed-role/auditor/carol", ["role/auditor/R"]),
    ],
)
def test_attached_policies_by_arn_and_unique_id(store: SqlStore, principal: str, names: list[str]) -> None:
    assert [
        attached_policy.ref.name for attached_policy in attached_policies_of(aggregate_activity([], principal), store)
    ] == names
    with store.read_transaction() as records:
        ids = {row["name"]: row["id"] for row in records.all(identities)}
    by_id = aggregate_activity([], ids["rita" if principal == RITA else "auditor"])
    assert [attached_policy.ref.name for attached_policy in attached_policies_of(by_id, store)] == names


@pytest.mark.parametrize("principal", [f"{RITA}x", f"{ROLE}x", "AIDAEXAMPLENOBODY001"])
def test_unknown_principal_is_reported(store: SqlStore, principal: str) -> None:
    with pytest.raises(NoSuchEntity, match="the store has no principal"):
        attached_policies_of(aggregate_activity([], principal), store)
