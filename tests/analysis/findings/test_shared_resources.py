"""Reading the resources and roles with a policy, and the zones of trust, of a store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from iam_guard.analysis.findings.external_access import external_findings
from iam_guard.analysis.findings.shared_resources import (
    SharedResource,
    ZoneOfTrust,
    read_shared_resources,
    read_zones,
)
from iam_guard.model.decision import PolicyType
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.policies.resource_policies import ResourcePolicies
from iam_guard.store.schema import identities
from iam_guard.store.seed import apply_seed, load_seed
from iam_guard.store.sql_store import SqlStore

ACME, GLOBEX, ALONE, MANAGER = "111122223333", "444455556666", "777788889999", "999900000000"
PLAN, NOTE = f"arn:aws:docs:us-east-1:{ACME}:document/plan", f"arn:aws:docs:us-east-1:{GLOBEX}:document/note"
READER = f"arn:aws:iam::{GLOBEX}:role/team/reader"
SEED = f"""
version: 1
organization:
  id: o-exampleorg1
  management_account: "{MANAGER}"
  policies:
    - name: OnlyMembers
      type: RCP
      document:
        Version: "2012-10-17"
        Statement:
          - Effect: Deny
            Principal: "*"
            Action: "docs:*"
            Resource: "*"
            Condition: {{StringNotEqualsIfExists: {{"aws:PrincipalOrgID": o-exampleorg1}}}}
  units:
    - {{name: tenants, rcps: [OnlyMembers], accounts: ["{ACME}"]}}
    - {{name: others, accounts: ["{GLOBEX}"]}}
accounts:
  - {{id: "{MANAGER}"}}
  - id: "{ACME}"
    resources:
      - arn: {PLAN}
        policy:
          Version: "2012-10-17"
          Statement: [{{Effect: Allow, Principal: {{AWS: "{READER}"}}, Action: "docs:Get", Resource: "*"}}]
      - {{arn: "{PLAN}-without-policy", tags: {{a: b}}}}
  - id: "{GLOBEX}"
    roles:
      - name: reader
        path: /team/
        trust:
          Version: "2012-10-17"
          Statement: [{{Effect: Allow, Principal: {{AWS: "{ALONE}"}}, Action: "sts:AssumeRole"}}]
    resources:
      - arn: {NOTE}
        policy:
          Version: "2012-10-17"
          Statement: [{{Effect: Allow, Principal: "*", Action: "docs:Get", Resource: "*"}}]
  - {{id: "{ALONE}"}}
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED, encoding="utf-8")
    opened = create_store("sqlite://", Settings())
    apply_seed(opened, load_seed(seed))
    yield opened
    opened.close()


def arns(found: Iterator[SharedResource]) -> list[str]:
    return [resource.arn for resource in found]


def test_resources_and_roles_with_policies_are_read(store: SqlStore) -> None:
    plan, note, reader = read_shared_resources(store)
    assert (plan.arn, plan.account, plan.kind) == (PLAN, ACME, PolicyType.RESOURCE)
    assert (note.arn, note.account, note.kind) == (NOTE, GLOBEX, PolicyType.RESOURCE)
    assert (reader.arn, reader.account, reader.kind) == (READER, GLOBEX, PolicyType.TRUST)
    assert ALONE in reader.policy.text


def test_each_resource_has_the_limits_of_its_account(store: SqlStore) -> None:
    plan, note, _ = read_shared_resources(store)
    names = [[[policy.ref.name for policy in level] for level in found.rcps or ()] for found in (plan, note)]
    assert names == [
        [["RCPFullAWSAccess"], ["OnlyMembers", "RCPFullAWSAccess"], ["RCPFullAWSAccess"]],
        [["RCPFullAWSAccess"], ["RCPFullAWSAccess"], ["RCPFullAWSAccess"]],
    ]


def test_accounts_and_arns_select_resources(store: SqlStore) -> None:
    assert arns(read_shared_resources(store, [ACME])) == [PLAN]
    assert arns(read_shared_resources(store, [])) == []
    assert arns(read_shared_resources(store, arns=[READER, NOTE, f"{PLAN}-none", "x"])) == [NOTE, READER]
    assert arns(read_shared_resources(store, [ACME], [READER, NOTE])) == []
    assert arns(read_shared_resources(store, arns=[f"arn:aws:iam::{GLOBEX}:role/reader"])) == []
    assert arns(read_shared_resources(store, arns=[])) == []


def test_selected_resource_equals_the_one_of_all(store: SqlStore) -> None:
    assert list(read_shared_resources(store, arns=[PLAN, NOTE, READER])) == list(read_shared_resources(store))


def test_deleted_principal_is_no_longer_named(store: SqlStore) -> None:
    [plan] = read_shared_resources(store, arns=[PLAN])
    [finding] = external_findings(plan, ZoneOfTrust(frozenset({ACME})))
    assert finding.principal == {"AWS": READER}
    assert finding.condition == {"aws:PrincipalOrgID": "o-exampleorg1"}
    assert finding.rcp_restriction == "APPLIED"
    with store.write_transaction() as records:
        records.delete(identities, account=GLOBEX, kind="role", folded="reader")
    [plan] = read_shared_resources(store, arns=[PLAN])
    assert READER not in plan.policy.text
    assert external_findings(plan, ZoneOfTrust(frozenset({ACME}))) == []


def test_zones_are_accounts_or_their_organization(store: SqlStore) -> None:
    assert read_zones(store) == {
        account: ZoneOfTrust(frozenset({account})) for account in (ACME, GLOBEX, ALONE, MANAGER)
    }
    members = ZoneOfTrust(frozenset({ACME, GLOBEX, MANAGER}), "o-exampleorg1")
    assert read_zones(store, organization=True) == {
        ACME: members,
        GLOBEX: members,
        MANAGER: members,
        ALONE: ZoneOfTrust(frozenset({ALONE})),
    }


def test_number_of_queries_is_independent_of_the_number_of_resources(store: SqlStore) -> None:
    def queries() -> int:
        count = 0

        def add(*_: object) -> None:
            nonlocal count
            count += 1

        event.listen(store.engine, "before_cursor_execute", add)
        found = list(read_shared_resources(store))
        event.remove(store.engine, "before_cursor_execute", add)
        assert found
        return count

    before = queries()
    policies = ResourcePolicies(store)
    statement = {"Effect": "Allow", "Principal": {"AWS": READER}, "Action": "docs:Get", "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    for number in range(40):
        policies.put(f"{PLAN}-{number}", text)
    assert queries() == before
