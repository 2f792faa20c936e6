"""`assert_no_new_access` and `assert_invariants`: what they pass, and what their failures show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.model.reference import ActionEntry, ServiceReference
from iam_guard.testing import assert_invariants, assert_no_new_access

ACCOUNT = "111122223333"


def policy(action: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource, **more}]}


def seed(folder: Path, name: str, *policies: dict[str, Any]) -> Path:
    users = [{"name": f"user{number}", "inline": {"own": document}} for number, document in enumerate(policies)]
    path = folder / name
    path.write_text(json.dumps({"version": 1, "accounts": [{"id": ACCOUNT, "name": "acme", "users": users}]}))
    return path


def test_new_access_of_a_policy_fails_with_a_request(tmp_path: Path) -> None:
    assert_no_new_access(policy("docs:*"), policy("docs:Get*"))
    with pytest.raises(AssertionError, match="grant new access") as failure:
        assert_no_new_access(policy("docs:Get*"), policy("docs:*"))
    assert "user/example could call docs:example on " in str(failure.value)
    request = json.loads(str(failure.value).splitlines()[-1])["request"]
    assert request["action"] == "docs:example"


def test_policies_may_be_text_and_files(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps(policy("docs:*")))
    assert_no_new_access(path, json.dumps(policy("docs:Get")))
    assert_no_new_access(str(path), policy("docs:Get"))
    with pytest.raises(InvalidInput, match="cannot read the file"):
        assert_no_new_access(tmp_path / "missing.json", policy("docs:Get"))
    with pytest.raises(PolicyError):
        assert_no_new_access("{}", policy("docs:Get"))


def test_resource_policies_and_references_count() -> None:
    everyone, account = (policy("docs:Get", Principal=one) for one in ("*", {"AWS": ACCOUNT}))
    assert_no_new_access(everyone, account, type="resource")
    with pytest.raises(AssertionError):
        assert_no_new_access(account, everyone, type="resource")
    docs = ServiceReference("docs", (ActionEntry("GetDocument"),))
    assert_no_new_access(policy("docs:GetDocument"), policy("docs:Get*"), references=[docs])
    with pytest.raises(AssertionError):
        assert_no_new_access(policy("docs:GetDocument"), policy("docs:Get*"))
    with pytest.raises(InvalidInput, match="expected one of identity, resource, store, got `trust`"):
        assert_no_new_access(account, everyone, type="trust")


def test_new_access_of_a_store_fails_for_each_principal(tmp_path: Path) -> None:
    old = seed(tmp_path, "old.yaml", policy("docs:Get"), policy("docs:Get"))
    new = seed(tmp_path, "new.yaml", policy("docs:*"), policy("docs:Get"), policy("docs:List"))
    assert_no_new_access(old, old, type="store")
    with pytest.raises(AssertionError) as failure:
        assert_no_new_access(old, new, type="store")
    text = str(failure.value)
    assert f"\nprincipal arn:aws:iam::{ACCOUNT}:user/user0\n" in text
    assert f"\nnew principal arn:aws:iam::{ACCOUNT}:user/user2\n" in text
    assert "user1" not in text
    with pytest.raises(InvalidInput, match="expected a seed file"):
        assert_no_new_access({}, new, type="store")


def test_broken_invariants_fail_with_sentence_and_request(tmp_path: Path) -> None:
    store = seed(tmp_path, "iam.yaml", policy("docs:Delete"), policy("docs:Get"))
    holds = {"name": "one", "only": ["user/user0"], "may": "docs:Delete*"}
    broken = {"name": "two", "only": [], "may": "docs:Delete*", "on": ["document/legal/*"]}
    assert_invariants({"invariants": [holds]}, store)
    with pytest.raises(AssertionError) as failure:
        assert_invariants({"invariants": [holds, broken]}, store)
    text = str(failure.value)
    assert "one" not in text.splitlines()[0]
    assert "no principal may docs:Delete* on document/legal/*" in text
    assert f"arn:aws:iam::{ACCOUNT}:user/user0 could call docs:Delete on arn:aws:docs:" in text
    assert "Allow #1 of user/user0/own (identity-based policy)" in text
    assert json.loads(text.splitlines()[-1])["request"]["principal"]["arn"].endswith("user/user0")


def test_invariants_that_select_no_principal_fail(tmp_path: Path) -> None:
    store = seed(tmp_path, "iam.yaml", policy("docs:Delete"))
    path = tmp_path / "invariants.yaml"
    path.write_text("invariants: [{name: typo, never: [user/usr0], may: docs:*}]")
    with pytest.raises(AssertionError, match="UNKNOWN: typo"):
        assert_invariants(path, store)
