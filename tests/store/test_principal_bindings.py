"""Binding the principals of a policy to unique ids (rules P-5, P-8): the walk over the policy."""

from __future__ import annotations

import json
from typing import Any

from iam_guard.model.decision import PolicyType
from iam_guard.policy.parser import parse
from iam_guard.store.principal_bindings import bound, current_text, invalid_principal

HERE, ELSEWHERE = "111122223333", "999999999999"


def found_in(principal: Any) -> tuple[dict[str, str], list[str]]:
    """Bind a trust policy where every name but `none` has an id, in one account."""
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    document = parse(json.dumps({"Version": "2012-10-17", "Statement": [statement]}), PolicyType.TRUST)

    def find(account: str, kind: str, name: str) -> tuple[str, str] | None:
        path = "x/" if kind == "role" else ""
        arn = f"arn:aws:iam::{account}:{kind}/{path}{name.lower()}"
        return None if name == "none" or account != HERE else (f"{kind}/{name}".upper(), arn)

    result = bound(document, "aws", has_account=lambda account: account == HERE, find=find)
    return result.bindings, result.unknown


def user(name: str, account: str = HERE) -> str:
    return f"arn:aws:iam::{account}:user/{name}"


def test_users_and_roles_are_bound() -> None:
    """Each once, and through sessions; accounts, roots, services and unique ids are not bound."""
    role = f"arn:aws:iam::{HERE}:role/x/r"
    session, federated = f"arn:aws:sts::{HERE}:assumed-role/r/s", f"arn:aws:sts::{HERE}:federated-user/f"
    others = [HERE, f"arn:aws:iam::{HERE}:root", "AIDAQ3EGTFEJTEXAMPLE1"]
    named = [user("a"), role, user("a"), session, federated, *others]
    bindings, unknown = found_in({"AWS": named, "Service": "ec2.amazonaws.com"})
    assert bindings == {user("a"): "USER/A", role: "ROLE/R", session: "ROLE/R", federated: federated}
    assert unknown == []


def test_names_that_do_not_exist_are_unknown() -> None:
    """All of them, in the order in which they stand, in the words that Terraform waits for."""
    no_session = f"arn:aws:sts::{HERE}:assumed-role/none/s"
    other_case, other_path = f"arn:aws:sts::{HERE}:assumed-role/R/s", f"arn:aws:iam::{HERE}:role/r"
    names = [user("none"), user("a"), user("x/none"), user("none"), no_session, other_case, other_path]
    bindings, unknown = found_in({"AWS": names})
    assert bindings == {user("a"): "USER/A"}
    assert unknown == [user("none"), user("x/none"), no_session, other_case, other_path]
    assert invalid_principal("x") == 'Invalid principal in policy: "AWS":"x"'


def test_names_elsewhere_are_unknown() -> None:
    """P-8: in an account that is not in the store, and in another partition; the account itself may be named."""
    elsewhere = [user("a", ELSEWHERE), f"arn:aws:sts::{ELSEWHERE}:federated-user/f", f"arn:aws-cn:iam::{HERE}:user/a"]
    assert found_in({"AWS": [*elsewhere, ELSEWHERE]}) == ({}, elsewhere)
    assert found_in("*") == ({}, [])


def test_text_shows_who_a_principal_is_now() -> None:
    """The present ARN, the id of what is gone, an id of no caller for what was never bound; sessions stay."""
    session, federated = f"arn:aws:sts::{HERE}:assumed-role/r/s", f"arn:aws:sts::{HERE}:federated-user/f"
    names = [user("a"), user("gone"), user("never"), session, federated, HERE, "AIDAQ3EGTFEJTEXAMPLE1"]
    statement = {"Effect": "Allow", "Principal": {"AWS": names}, "Action": "sts:AssumeRole"}
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})
    bindings = {user("a"): "A", user("gone"): "G", session: "R", federated: federated}
    arns = {"A": user("b"), "R": f"arn:aws:iam::{HERE}:role/x/r"}
    shown = json.loads(current_text(text, bindings, arns.get))["Statement"]["Principal"]["AWS"]
    assert shown == [user("b"), "G", "AIDA00000000000000000", session, federated, HERE, "AIDAQ3EGTFEJTEXAMPLE1"]
    unchanged = text.replace(user("never"), HERE).replace(user("gone"), HERE)
    assert current_text(unchanged, bindings, {"A": user("a"), "R": "x"}.get) is unchanged
