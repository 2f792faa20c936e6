"""Changes cause an analysis only of the zones of trust that they concern."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iam_guard.api.access_analyzer import finding_analysis, finding_updates, zone_changes
from tests.api.access_analyzer.analyzer_parts import create, document_arn, listed, share
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, Running

OUTSIDER = "999988887777"
TYPES = ("ACCOUNT", "ACCOUNT_INTERNAL_ACCESS", "ACCOUNT_UNUSED_ACCESS")


def trusting(principal: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def analysed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The resources of each analysis; None: all."""
    found: list[Any] = []
    original = finding_updates.analyse  # type: ignore[attr-defined]

    def analyse(store: Any, scope: Any, arns: Any, references: Any) -> Any:
        found.append(arns)
        return original(store, scope, arns, references)

    monkeypatch.setattr(finding_updates, "analyse", analyse)
    return found


@pytest.mark.parametrize("type", TYPES)
def test_changes_of_other_tenants_cause_no_analysis(
    server: Running, analyzer: Client, other_account: Client, analysed: list[Any], type: str
) -> None:
    """Users, roles, keys, policies of another account; a resource of it is looked at, but not found."""
    share(server, document_arn("plan"), OUTSIDER)
    inclusions = {"analysisRule": {"inclusions": [{"resourceArns": [document_arn("plan")]}]}}
    more = {"configuration": {"internalAccess": inclusions}} if "INTERNAL" in type else {}
    arn = create(analyzer, "a", type, **more)
    listed(analyzer, arn)
    del analysed[:]
    other_account.create_user(UserName="bob")
    other_account.create_access_key(UserName="bob")
    other_account.create_role(RoleName="theirs", AssumeRolePolicyDocument=trusting(OTHER_ACCOUNT))
    other_account.attach_user_policy(UserName="bob", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    other_account.delete_role(RoleName="theirs")
    before = listed(analyzer, arn)
    assert [arns for arns in analysed if arns is None or arns] == []
    share(server, document_arn("theirs", OTHER_ACCOUNT), OUTSIDER)
    assert [entry["id"] for entry in listed(analyzer, arn)] == [entry["id"] for entry in before]


@pytest.mark.parametrize("type", TYPES[1:])
def test_own_users_cause_an_analysis(analyzer: Client, iam: Client, analysed: list[Any], type: str) -> None:
    """Created, changed through a group, with a new key, deleted."""
    arn = create(analyzer, "a", type)
    iam.create_group(GroupName="staff")
    iam.create_user(UserName="ann")
    iam.add_user_to_group(GroupName="staff", UserName="ann")
    listed(analyzer, arn)
    attached = "arn:aws:iam::aws:policy/AdministratorAccess"
    for change in (
        lambda: iam.attach_group_policy(GroupName="staff", PolicyArn=attached),
        lambda: iam.detach_group_policy(GroupName="staff", PolicyArn=attached),
        lambda: iam.remove_user_from_group(GroupName="staff", UserName="ann"),
        lambda: iam.delete_user(UserName="ann"),
        lambda: iam.create_user(UserName="eve"),
    ):
        del analysed[:]
        change()
        listed(analyzer, arn)
        assert analysed == [None]


def test_keys_concern_unused_access(analyzer: Client, iam: Client, analysed: list[Any]) -> None:
    """Created and deleted ones."""
    arn = create(analyzer, "a", TYPES[2])
    listed(analyzer, arn)
    del analysed[:]
    key = iam.create_access_key(UserName="admin")["AccessKey"]["AccessKeyId"]
    listed(analyzer, arn)
    assert analysed == [None]
    iam.delete_access_key(UserName="admin", AccessKeyId=key)
    listed(analyzer, arn)
    assert analysed == [None, None]


def test_trust_policy_of_a_deleted_user_is_analysed(
    analyzer: Client, iam: Client, other_account: Client, analysed: list[Any]
) -> None:
    """P-5: the role trusts the unique id from then on, in another account's change."""
    other_account.create_user(UserName="bob")
    bob = f"arn:aws:iam::{OTHER_ACCOUNT}:user/bob"
    iam.create_role(RoleName="guest", AssumeRolePolicyDocument=trusting(bob))
    arn = create(analyzer, "a")
    (before,) = listed(analyzer, arn, filter={"principal.AWS": {"eq": [bob]}})
    del analysed[:]
    other_account.delete_user(UserName="bob")
    (after,) = listed(analyzer, arn, filter={"id": {"eq": [before["id"]]}})
    assert after["status"] == "RESOLVED"
    assert analysed == [{f"arn:aws:iam::{ACCOUNT}:role/guest"}]


def test_many_changes_concern_everything(
    server: Running, analyzer: Client, analysed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (finding_analysis, zone_changes):
        monkeypatch.setattr(module, "MAX_NAMES", 1)
    arn = create(analyzer, "a")
    listed(analyzer, arn)
    del analysed[:]
    for name in ("one", "two"):
        share(server, document_arn(name, OTHER_ACCOUNT), OUTSIDER)
    assert listed(analyzer, arn) == []
    assert analysed == [None]
