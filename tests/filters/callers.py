"""The principals of generated cases: every type, of the rows' accounts and others, with tags."""

from __future__ import annotations

import random

from iam_guard import Principal

from .rows import HERE, THERE

TAGS = [
    {},
    {"team": "red"},
    {"team": "red", "odd": "r*d"},
    {"Team": "blue", "odd": "%"},
    {"team": "", "odd": "😀"},
    {"team": "public", "odd": "${aws:username}"},
]


def draw_principal(rng: random.Random) -> Principal:
    """Draw a principal; most are users and role sessions of the account that owns most rows."""
    account = rng.choices([HERE, THERE, "999988887777"], weights=[8, 3, 1])[0]
    kinds = ["user", "role", "federated", "root", "service", "anonymous"]
    match rng.choices(kinds, weights=[10, 8, 2, 2, 1, 1])[0]:
        case "user":
            path, name, unique = rng.choice(
                [("", "ann", "AIDAANN"), ("staff/", "bob", "AIDABOB"), ("", "Ann", "AIDAX")]
            )
            arn = f"arn:aws:iam::{account}:user/{path}{name}"
            return Principal.from_arn(arn, userid=unique, tags=rng.choice(TAGS))
        case "role":
            linked = ("aws-service-role/x.amazonaws.com/", "AWSServiceRoleForX", "AROASLR")
            roles = [("", "dev", "AROADEV"), ("team/", "dev", "AROATEAM"), linked]
            path, name, unique = rng.choices(roles, weights=[6, 4, 1])[0]
            session = rng.choice(["ann", "i-1"])
            return Principal.from_arn(
                f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
                role_arn=f"arn:aws:iam::{account}:role/{path}{name}",
                userid=f"{unique}:{session}",
                tags=rng.choice(TAGS),
            )
        case "federated":
            arn = f"arn:aws:sts::{account}:federated-user/fred"
            return Principal.from_arn(arn, user_arn=f"arn:aws:iam::{account}:user/ann", tags=rng.choice(TAGS))
        case "root":
            return Principal.from_arn(f"arn:aws:iam::{account}:root")
        case "service":
            return Principal.service("events.amazonaws.com")
        case _:
            return Principal.anonymous()


def names_of(principal: Principal) -> dict[str, list[str]]:
    """Return the principal elements that name the caller, by their key."""
    if principal.account is None:
        return {"Service": [principal.arn]} if principal.type == "Service" else {"AWS": ["*"]}
    names = [principal.arn, principal.role_arn, principal.user_arn, principal.account]
    names += [f"arn:aws:iam::{principal.account}:root", (principal.userid or "").split(":")[0]]
    return {"AWS": [name for name in names if name]}


def other_names(rng: random.Random) -> dict[str, list[str]]:
    """Draw a principal element that rarely names the caller."""
    names = [HERE, THERE, f"arn:aws:iam::{HERE}:role/dev", f"arn:aws:iam::{HERE}:user/ann", "AIDABOB", "AROADEV"]
    return {"AWS": [rng.choice(names)]} if rng.random() < 0.85 else {"Service": ["events.amazonaws.com"]}
