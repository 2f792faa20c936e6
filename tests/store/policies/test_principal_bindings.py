"""Binding the principals of a policy to unique ids (rules P-5, P-8)."""

from __future__ import annotations

import json
from typing import Any

from iam_guard.model.decision import PolicyType
from iam_guard.policy.parser import parse
from iam_guard.store.policies.principal_bindings import bound, current_text, invalid_principal

ACCOUNT, UNKNOWN_ACCOUNT = "111122223333", "999999999999"


def bind(principal: Any) -> tuple[dict[str, str], list[str]]:
    """Bind a trust policy; in one account, every name except `none` has an id."""
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    document = parse(json.dumps({"Version": "2012-10-17", "Statement": [statement]}), PolicyType.TRUST)

    def find(account: str, kind: str, name: str) -> tuple[str, str] | None:
        path = "x/" if kind == "role" else ""
        arn = f"arn:aws:iam::{account}:{kind}/{path}{name.lower()}"
        return None if name == "none" or account != ACCOUNT else (f"{kind}/{name}".upper(), arn)

    result = bound(document, "aws", has_account=lambda account: account == ACCOUNT, find=find)
    return result.bindings, result.unknown


def user(name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:iam::{account}:user/{name}"


def test_users_roles_and_sessions_are_bound() -> None:
    """Each once; accounts, roots, services and unique ids are not bound."""
    role = f"arn:aws:iam::{ACCOUNT}:role/x/r"
    session, federated = f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s", f"arn:aws:sts::{ACCOUNT}:federated-user/f"
    others = [ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "AIDAQ3EGTFEJTEXAMPLE1"]
    named = [user("a"), role, user("a"), session, federated, *others]
    bindings, unknown = bind({"AWS": named, "Service": "ec2.amazonaws.com"})
    assert bindings == {user("a"): "USER/A", role: "ROLE/R", session: "ROLE/R", federated: federated}
    assert unknown == []


def test_missing_principals_are_unknown() -> None:
    """All of them, in their order, with the message that Terraform expects."""
    no_session = f"arn:aws:sts::{ACCOUNT}:assumed-role/none/s"
    other_case, other_path = f"arn:aws:sts::{ACCOUNT}:assumed-role/R/s", f"arn:aws:iam::{ACCOUNT}:role/r"
    names = [user("none"), user("a"), user("x/none"), user("none"), no_session, other_case, other_path]
    bindings, unknown = bind({"AWS": names})
    assert bindings == {user("a"): "USER/A"}
    assert unknown == [user("none"), user("x/none"), no_session, other_case, other_path]
    assert invalid_principal("x") == 'Invalid principal in policy: "AWS":"x"'


def test_principals_of_unknown_accounts_are_unknown() -> None:
    """P-8: also of another partition; the account itself may be named."""
    federated = f"arn:aws:sts::{UNKNOWN_ACCOUNT}:federated-user/f"
    elsewhere = [user("a", UNKNOWN_ACCOUNT), federated, f"arn:aws-cn:iam::{ACCOUNT}:user/a"]
    assert bind({"AWS": [*elsewhere, UNKNOWN_ACCOUNT]}) == ({}, elsewhere)
    assert bind("*") == ({}, [])


def test_current_text_shows_current_arns() -> None:
    """The current ARN; the id of a deleted principal; an id of no caller for an unbound one; sessions stay."""
    session, federated = f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s", f"arn:aws:sts::{ACCOUNT}:federated-user/f"
    names = [user("a"), user("gone"), user("never"), session, federated, ACCOUNT, "AIDAQ3EGTFEJTEXAMPLE1"]
    statement = {"Effect": "Allow", "Principal": {"AWS": names}, "Action": "sts:AssumeRole"}
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})
    bindings = {user("a"): "A", user("gone"): "G", session: "R", federated: federated}
    arns = {"A": user("b"), "R": f"arn:aws:iam::{ACCOUNT}:role/x/r"}
    shown = json.loads(current_text(text, bindings, arns.get))["Statement"]["Principal"]["AWS"]
    assert shown == [user("b"), "G", "AIDA00000000000000000", session, federated, ACCOUNT, "AIDAQ3EGTFEJTEXAMPLE1"]
    unchanged = text.replace(user("never"), ACCOUNT).replace(user("gone"), ACCOUNT)
    assert current_text(unchanged, bindings, {"A": user("a"), "R": "x"}.get) is unchanged
