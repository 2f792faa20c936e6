"""Small random organizations as seeds, for laws: few actions, resources and keys, which meet often."""

from __future__ import annotations

from random import Random
from typing import Any

ORGANIZATION, ACCOUNTS, OUTSIDE = "o-exampleorg1", ("111122223333", "444455556666"), "777788889999"
MANAGEMENT = "999900000000"
DOCUMENTS = [f"arn:aws:docs:us-east-1:{ACCOUNTS[0]}:document/{name}" for name in ("plan", "u0", "draft")]
ACTIONS = ["docs:GetDocument", "docs:PutDocument", "docs:GetSecret", "docs:DeleteDocument"]
_ENTRIES = [*ACTIONS, "docs:Get*", "docs:*Document", "docs:*", "*", "mail:Send", "docs:G?tSecret", "iam:*", "sts:*"]
_RESOURCES = [
    "*",
    *DOCUMENTS,
    f"arn:aws:docs:us-east-1:{ACCOUNTS[0]}:document/*",
    f"arn:aws:docs:us-east-1:{ACCOUNTS[1]}:document/*",
    "arn:aws:docs:*:*:document/${aws:username}",
    "arn:aws:docs:*:*:document/${aws:PrincipalTag/team, 'plan'}",
    "arn:aws:docs:*:*:document/d*",
    f"arn:aws:iam::{ACCOUNTS[0]}:role/*",
]
_CONDITIONS: list[dict[str, Any]] = [
    {"StringEquals": {"aws:PrincipalOrgID": ORGANIZATION}},
    {"StringEquals": {"aws:PrincipalTag/team": "blue"}},
    {"StringNotEquals": {"aws:PrincipalAccount": ACCOUNTS[0]}},
    {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNTS[0]}:role/*"}},
    {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}},
    {"Bool": {"aws:SecureTransport": "false"}},
    {"StringLike": {"aws:userid": "*:night"}},
    {"StringLikeIfExists": {"aws:username": "u*"}},
    {"StringEquals": {"docs:Owner": "${aws:username}"}},
    {"DateLessThan": {"aws:CurrentTime": "2026-06-01T00:00:00Z"}},
    {"Null": {"aws:PrincipalTag/team": "true"}},
]
_PRINCIPALS: list[Any] = [
    "*",
    {"AWS": ACCOUNTS[0]},
    {"AWS": f"arn:aws:iam::{ACCOUNTS[1]}:root"},
    {"AWS": [f"arn:aws:iam::{ACCOUNTS[0]}:user/u0", f"arn:aws:iam::{ACCOUNTS[1]}:role/r0"]},
    {"AWS": f"arn:aws:iam::{ACCOUNTS[0]}:role/r1"},
    {"AWS": [f"arn:aws:iam::{ACCOUNTS[0]}:user/u1", f"arn:aws:iam::{ACCOUNTS[1]}:user/u1"]},
    {"AWS": f"arn:aws:sts::{ACCOUNTS[0]}:assumed-role/r0/night"},
    {"AWS": f"arn:aws:sts::{ACCOUNTS[1]}:federated-user/gus"},
    {"AWS": OUTSIDE},
]


def random_seed(random: Random) -> dict[str, Any]:
    """Return a seed of an organization with two member accounts, and an account outside of it."""
    return {
        "version": 1,
        "organization": {
            "id": ORGANIZATION,
            "management_account": MANAGEMENT,
            "policies": [
                {"name": "S", "type": "SCP", "document": _document(random, deny=0.5)},
                {"name": "R", "type": "RCP", "document": {"Version": "2012-10-17", "Statement": [_rcp(random)]}},
            ],
            "units": [
                {
                    "name": "tenants",
                    "scps": random.choice([["FullAWSAccess"], ["FullAWSAccess", "S"], ["S"]]),
                    "rcps": random.choice([[], ["R"]]),
                    "accounts": list(ACCOUNTS),
                }
            ],
        },
        "accounts": [
            {"id": MANAGEMENT, "name": "operator", "users": [_identity(random, "boss")]},
            *(_account(random, account) for account in (*ACCOUNTS, OUTSIDE)),
        ],
    }


def _account(random: Random, account: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": account,
        "name": f"a{account}",
        "policies": [{"name": name, "document": _document(random)} for name in ("P", "Q", "B")],
        "groups": [{"name": "g", "attached": ["Q"]}],
        "users": [_identity(random, "u0", groups=["g"]), _identity(random, "u1"), _identity(random, "u2")],
        "roles": [_role(random, "r0"), _role(random, "r1")],
    }
    if account == ACCOUNTS[0]:
        policies = [_document(random, principals=True) for _ in DOCUMENTS[1:]]
        found["resources"] = [
            {"arn": arn, "policy": policy} for arn, policy in zip(DOCUMENTS[1:], policies, strict=True)
        ]
    return found


def _identity(random: Random, name: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, **more}
    if name == "boss" or random.random() < 0.2:
        found["inline"] = {"I": _document(random)}
    if name == "boss":
        return found
    found["attached"] = random.choice([[], ["P"], ["P"], ["P", "Q"]])
    if random.random() < 0.3:
        found["boundary"] = "B"
    if random.random() < 0.5:
        found["tags"] = {"team": random.choice(["blue", "red"])}
    return found


def _role(random: Random, name: str) -> dict[str, Any]:
    actions = random.choice([["sts:AssumeRole"], ["sts:AssumeRole", "sts:TagSession"], ["sts:*"]])
    principal = random.choice([{"AWS": ACCOUNTS[0]}, {"AWS": f"arn:aws:iam::{ACCOUNTS[1]}:root"}, "*"])
    statement = {"Effect": "Allow", "Principal": principal, "Action": actions}
    return _identity(random, name, trust={"Version": "2012-10-17", "Statement": [statement]})


def _rcp(random: Random) -> dict[str, Any]:
    statement = _statement(random, deny=1.0)
    statement.pop("NotAction", None)
    return {**statement, "Principal": "*", "Action": random.choice(["docs:Get*", "docs:PutDocument", "sts:*"])}


def _document(random: Random, *, deny: float = 0.2, principals: bool = False) -> dict[str, Any]:
    statements = [_statement(random, deny=deny) for _ in range(random.randint(1, 3))]
    if principals:
        for statement in statements:
            statement["Principal"] = random.choice(_PRINCIPALS)
            if statement["Effect"] == "Deny" and random.random() < 0.3:
                statement["NotPrincipal"] = statement.pop("Principal")
                if statement["NotPrincipal"] == "*":
                    statement["NotPrincipal"] = {"AWS": ACCOUNTS[0]}
    return {"Version": "2012-10-17", "Statement": statements}


def _statement(random: Random, *, deny: float) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Deny" if random.random() < deny else "Allow"}
    statement["Action" if random.random() < 0.85 else "NotAction"] = random.sample(_ENTRIES, random.randint(1, 2))
    statement["Resource" if random.random() < 0.9 else "NotResource"] = random.sample(_RESOURCES, random.randint(1, 2))
    if random.random() < 0.4:
        statement["Condition"] = random.choice(_CONDITIONS)
    return statement
