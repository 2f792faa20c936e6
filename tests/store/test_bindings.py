"""Binding the principals of a policy to unique ids (rules P-5, P-8): the walk over the policy."""

from __future__ import annotations

import json
from typing import Any

from iam_guard.model.arn import Arn
from iam_guard.model.decision import PolicyType
from iam_guard.policy.parse import parse
from iam_guard.store.bindings import bound, invalid_principal

HERE, ELSEWHERE = "111122223333", "999999999999"


def found_in(principal: Any) -> tuple[dict[str, str], list[str]]:
    """Bind a trust policy where every name but `none` has an id."""
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    document = parse(json.dumps({"Version": "2012-10-17", "Statement": [statement]}), PolicyType.TRUST)

    def id_of(text: str, arn: Arn) -> str | None:
        assert text == str(arn)
        return None if arn.resource.endswith("/none") else arn.resource.upper()

    found = bound(document, lambda arn: arn.account == HERE, id_of)
    return found.bindings, found.unknown


def user(name: str, account: str = HERE) -> str:
    return f"arn:aws:iam::{account}:user/{name}"


def test_users_and_roles_of_ours_are_bound() -> None:
    """Each once; accounts, roots, sessions, services and unique ids are nobody's ARN."""
    role = f"arn:aws:iam::{HERE}:role/x/r"
    others = [HERE, f"arn:aws:iam::{HERE}:root", f"arn:aws:sts::{HERE}:assumed-role/r/s", "AIDAQ3EGTFEJTEXAMPLE1"]
    bindings, unknown = found_in({"AWS": [user("a"), role, user("a"), *others], "Service": "ec2.amazonaws.com"})
    assert bindings == {user("a"): "USER/A", role: "ROLE/X/R"}
    assert unknown == []


def test_who_does_not_exist_is_told() -> None:
    """All of them, in the order in which they stand, in the words that Terraform waits for."""
    bindings, unknown = found_in({"AWS": [user("none"), user("a"), user("x/none"), user("none")]})
    assert bindings == {user("a"): "USER/A"}
    assert unknown == [user("none"), user("x/none")]
    assert invalid_principal("x") == 'Invalid principal in policy: "AWS":"x"'


def test_who_is_elsewhere_cannot_be_known() -> None:
    """P-8: neither bound nor refused, and never looked up."""
    assert found_in({"AWS": [user("none", ELSEWHERE), user("a", ELSEWHERE)]}) == ({}, [])
    assert found_in("*") == ({}, [])
