"""Random callers, by type, and the names by which a principal element can refer to them."""

from __future__ import annotations

import random
from typing import Any

from .vocabulary import HERE, THERE

Doc = dict[str, Any]


def draw_caller(rng: random.Random, account: str) -> Doc:
    """Draw a caller in the form of N-1."""
    kinds = ["User", "AssumedRole", "FederatedUser", "Root", "Service", "Anonymous"]
    match rng.choices(kinds, weights=[30, 34, 12, 8, 9, 7])[0]:
        case "User":
            caller = _user(rng, account)
        case "AssumedRole":
            caller = _role_session(rng, account)
        case "FederatedUser":
            caller = {"arn": f"arn:aws:sts::{account}:federated-user/fred", "type": "FederatedUser"}
            caller |= {"account": account, "user_arn": f"arn:aws:iam::{account}:user/ann"}
        case "Root":
            caller = {"arn": f"arn:aws:iam::{account}:root", "account": account, "type": "Root"}
        case "Service":
            name = rng.choice(["events.amazonaws.com", "s3.amazonaws.com"])
            return {"arn": name, "account": None, "type": "Service"}
        case _:
            return {"arn": "anonymous", "account": None, "type": "Anonymous"}
    return caller


def _user(rng: random.Random, account: str) -> Doc:
    path, name, unique = rng.choice([("", "ann", "AIDAANN"), ("staff/", "ann", "AIDAANN2"), ("", "bob", "AIDABOB")])
    arn = f"arn:aws:iam::{account}:user/{path}{name}"
    caller: Doc = {"arn": arn, "account": account, "type": "User", "userid": unique}
    return caller | ({"boundary": True} if rng.random() < 0.15 else {})


def _role_session(rng: random.Random, account: str) -> Doc:
    linked = ("aws-service-role/x.amazonaws.com/", "AWSServiceRoleForX", "AROASLR")
    roles = [("", "dev", "AROADEV"), ("team/", "dev", "AROATEAM"), ("a/b/", "ops", "AROAOPS"), linked]
    path, name, unique = rng.choices(roles, weights=[3, 3, 2, 1])[0]
    session = rng.choice(["ann", "i-1"])
    return {
        "arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
        "account": account,
        "type": "AssumedRole",
        "role_arn": f"arn:aws:iam::{account}:role/{path}{name}",
        "userid": f"{unique}:{session}",
    }


def names_of(principal: Doc) -> list[str]:
    """Return every name by which an `AWS` entry can refer to the caller, its own first."""
    if principal["account"] is None:
        return []
    names = [principal["arn"], principal.get("role_arn"), principal.get("user_arn"), principal["account"]]
    names += [f"arn:aws:iam::{principal['account']}:root", principal.get("userid", "").split(":")[0]]
    return [name for name in names if name]


def unrelated_principals() -> list[tuple[str, str]]:
    """Return principal entries, as (map key, value), that rarely match the caller."""
    arns = [f"arn:aws:iam::{HERE}:role/dev", f"arn:aws:iam::{HERE}:user/a*", f"arn:aws:sts::{HERE}:assumed-role/dev/*"]
    names = [*arns, f"arn:aws:iam::{HERE}:user/Ann", "AIDAANN", "AROADEV", THERE, f"arn:aws:iam::{THERE}:root"]
    services = [("Service", "events.amazonaws.com"), ("Service", "s3.amazonaws.com")]
    return [("AWS", name) for name in names] + services * 2 + [("Federated", "accounts.google.com")]
