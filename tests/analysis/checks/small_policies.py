"""Pairs of small random policies, and requests that may tell them apart."""

from __future__ import annotations

from random import Random
from typing import Any

from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import AccessRequest

Doc = dict[str, Any]
PARTITION = "aws"
ACCOUNT, OTHER = "111122223333", "444455556666"
ACTIONS = ["docs:Get", "docs:GetAll", "docs:Put", "notes:Get"]
ACTION_ENTRIES = [*ACTIONS, "*", "docs:*", "docs:Get*", "docs:?et", "DOCS:get", "docs:*t", "notes:*", "docs:Ge*l*"]
RESOURCES = [
    f"arn:aws:docs:eu-west-1:{ACCOUNT}:a/1",
    f"arn:aws:docs:eu-west-1:{ACCOUNT}:a/2:b/1",
    f"arn:aws:docs:us-east-1:{ACCOUNT}:b/1",
    "arn:aws:docs:::ada/x",
    "arn:aws:docs:::bob/x",
    "arn:aws:docs:::*",
    "*",
]
RESOURCE_ENTRIES = [
    *RESOURCES[:5],
    "*",
    "arn:aws:docs:*:*:a/*",
    "arn:aws:docs:*:b/1",
    "arn:aws:docs:*",
    "arn:aws:docs",
    "arn:aws:docs:eu*1:*:*",
    "arn:aws:docs:???????????????????????:a/1",
    "arn:aws:docs:*:*:?/1",
    "arn:aws:docs:::*",
    "arn:aws:docs:::a*",
    "arn:aws:docs:::*/x",
    "arn:*:docs:*:*:*/*",
    "arn:aws:docs:::${aws:username}/*",
    "arn:aws:docs:::${aws:username, 'bob'}/x",
    "arn:aws:docs:::${docs:Owner}/x",
    "arn:aws:docs:::${*}",
    "arn:aws:docs:::${docs:Names}/x",
]
TEXTS = ["StringEquals", "StringNotEquals", "StringLike", "StringNotLike"]
FOLDED = ["StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"]
ORDERS = ["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"]
NUMBERS, DATES = [f"Numeric{name}" for name in ORDERS], [f"Date{name}" for name in ORDERS]
ADDRESSES = ["IpAddress", "NotIpAddress"]
ARNS = ["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"]
KEYS: dict[str, tuple[list[str], list[str], list[Any]]] = {
    "docs:Owner": (
        TEXTS,
        ["ada", "bob", "a*", "*", "?ob", "", "*b*", "${aws:username}", "${docs:Class}*"],
        ["ada", "bob", "axe", "b", "*", ["ada"], ["ada", "bob"], ["ada", ""], ["bob", "b"]],
    ),
    "docs:Names": (
        [*TEXTS, *FOLDED],
        ["ada", "Ada", "bob", "b*", "x"],
        ["ada", "ADA", "Ada", "bob", ["ada", "bob"], ["Ada", "x"], ["bob", "b"], ["zed", "y"], ["ada", "ada"]],
    ),
    "docs:Class": (
        [*FOLDED, *TEXTS[:2]],
        ["ada", "ADA", "kin", "Bob"],
        ["ada", "ADA", "aDa", "KIN", "\u212ain", "kin", "s3:x"],
    ),
    "docs:Size": (
        NUMBERS,
        ["1", "2", "2.0", "10", "-5", "x"],
        ["0", "1", "1.5", "2", "2.00", "3", "10", "11", "-5", "-6", "x", ["1", "2"], ["3", "11"]],
    ),
    "docs:Mixed": ([*NUMBERS[:3], *TEXTS[:2]], ["1", "2", "1.0"], ["1", "1.0", "+1", "2", "0", "x", "1.5"]),
    "aws:CurrentTime": (
        DATES,
        ["2026-01-01T00:00:00Z", "2026-06-01", "1767225600", "1960-01-01"],
        ["2026-01-01T00:00:00Z", "2025-01-01", "2026-03-01", "2027-01-01", "1767225600", "1959-01-01", "1965-01-01"],
    ),
    "docs:When": (
        [*DATES, *NUMBERS[:3]],
        ["2026-01-01T00:00:00Z", "1767225600", "1767225601"],
        ["1767225600", "2026-01-01T00:00:00Z", "1767225600.5", "2026-01-01T00:00:01Z", "+1767225600", "5", "-5"],
    ),
    "aws:SecureTransport": (["Bool"], ["true", "false", "True"], ["true", "false", "TRUE"]),
    "docs:Flag": (
        ["Bool", "StringEquals"],
        ["true", "false", "${docs:Class}"],
        ["true", "True", "false", "x", ["true", "false"]],
    ),
    "aws:SourceIp": (
        ADDRESSES,
        ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "2001:db8::/32", "::/0", "0.0.0.0/0", "10.9.9.9/8", "x"],
        ["10.0.0.1", "10.1.0.1", "10.1.2.3", "11.0.0.1", "2001:db8::1", "2001:db9::1", "::ffff:10.0.0.1"],
    ),
    "docs:Peer": (ADDRESSES, ["10.0.0.0/8", "10.1.2.3", "::/0", "x"], ["10.0.0.1", "10.1.2.3", "2001:db8::1", "x"]),
    "docs:Bytes": (["BinaryEquals"], ["YQ==", "Yg==", "!"], ["YQ==", "YR==", "Yg==", "Yw==", "!", ["YQ==", "Yg=="]]),
    "aws:SourceArn": (
        [*ARNS, "StringLike", "StringEquals"],
        [
            "arn:aws:s3:::b",
            "arn:aws:s3:::*",
            "arn:aws:s3:*:*:b",
            "arn:*:s3:::b*",
            "*",
            "x",
            "arn:aws:s3:::${aws:username}",
            "arn:aws:${docs:Class}:::b",
        ],
        [
            "arn:aws:s3:::b",
            "arn:aws:s3:::bc",
            "arn:aws:s3:eu::b",
            "arn:aws-cn:s3:::b",
            "x",
            "a:b:c:d:e:f",
            "arn:aws:s3:x:::b",
            "arn:aws:s3:::b:c",
        ],
    ),
    "aws:PrincipalArn": (
        [*ARNS, "StringLike", "StringEquals"],
        [
            f"arn:aws:iam::{ACCOUNT}:user/ada",
            f"arn:aws:iam::{ACCOUNT}:role/*",
            "arn:aws:iam::*:user/*",
            "*",
            f"arn:aws:iam::{ACCOUNT}:root",
        ],
        [],
    ),
    "aws:PrincipalType": (["StringEquals", "StringNotEquals"], ["User", "AssumedRole", "Account", "Anonymous"], []),
    "aws:PrincipalAccount": (["StringEquals", "StringNotEquals", "StringLike"], [ACCOUNT, OTHER, "1111*"], []),
    "aws:username": ([*TEXTS], ["ada", "bob", "a*"], []),
    "aws:userid": ([*TEXTS], ["AIDAADA", "AROA1:*", "AIDA*"], []),
    "aws:ResourceAccount": (["StringEquals", "StringNotEquals"], [ACCOUNT, OTHER], []),
}
DERIVED = [key for key, (_, _, values) in KEYS.items() if not values]
SUFFIXES = ["", "", "", "IfExists"]
PREFIXES = ["", "", "", "", "ForAllValues:", "ForAnyValue:"]
PRINCIPAL_ENTRIES: list[Any] = [
    "*",
    {"AWS": ACCOUNT},
    {"AWS": OTHER},
    {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ada"},
    {"AWS": f"arn:aws:iam::{OTHER}:user/eve"},
    {"AWS": f"arn:aws:iam::{OTHER}:root"},
    {"AWS": f"arn:aws:iam::{ACCOUNT}:role/path/admin"},
    {"AWS": [f"arn:aws:sts::{ACCOUNT}:assumed-role/admin/s1", f"arn:aws:iam::{OTHER}:role/ops"]},
    {"AWS": f"arn:aws:sts::{ACCOUNT}:federated-user/fed"},
    {"AWS": "AIDAADA"},
    {"Service": "sns.amazonaws.com"},
    {"Federated": f"arn:aws:iam::{ACCOUNT}:saml-provider/idp"},
    {"AWS": [ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ada"]},
    {"AWS": [ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/path/admin", f"arn:aws:sts::{ACCOUNT}:assumed-role/admin/s1"]},
]
CALLERS = [
    Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/ada", userid="AIDAADA"),
    Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/bob"),
    Principal.from_arn(
        f"arn:aws:sts::{ACCOUNT}:assumed-role/admin/s1",
        role_arn=f"arn:aws:iam::{ACCOUNT}:role/path/admin",
        userid="AROA1:s1",
    ),
    Principal.from_arn(f"arn:aws:sts::{ACCOUNT}:assumed-role/x/s2"),
]
OUTSIDERS = [
    *CALLERS,
    Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:root"),
    Principal.from_arn(f"arn:aws:iam::{OTHER}:root"),
    Principal.from_arn(f"arn:aws:iam::{OTHER}:user/eve"),
    Principal.from_arn(f"arn:aws:iam::{OTHER}:user/ada"),
    Principal.from_arn(f"arn:aws:sts::{OTHER}:assumed-role/ops/s"),
    Principal.from_arn("arn:aws:iam::777788889999:user/ada"),
    Principal.from_arn("arn:aws:sts::777788889999:assumed-role/admin/s1"),
    Principal.from_arn(f"arn:aws:sts::{ACCOUNT}:federated-user/fed", user_arn=f"arn:aws:iam::{ACCOUNT}:user/ada"),
    Principal.from_arn(f"arn:aws:sts::{OTHER}:federated-user/fed", user_arn=f"arn:aws:iam::{OTHER}:user/eve"),
    Principal.anonymous(),
    Principal.service("sns.amazonaws.com"),
    Principal.service("sqs.amazonaws.com"),
    Principal(PrincipalType.FEDERATED, f"arn:aws:iam::{ACCOUNT}:saml-provider/idp", None),
]


class Pair:
    """Two documents over the same few keys, and requests about them."""

    def __init__(self, random: Random, *, is_resource: bool = False, keys: int = 2, with_derived: float = 0.3) -> None:
        self.random = random
        self.is_resource = is_resource
        pool = [key for key in KEYS if key not in DERIVED]
        self.keys = random.sample(pool, random.randint(0, keys))
        if random.random() < with_derived:
            self.keys.append(random.choice(DERIVED))
        self.existing = self._policy()
        self.new = self._related(self.existing) if random.random() < 0.6 else self._policy()

    def _policy(self) -> Doc:
        statements = [self._statement() for _ in range(self.random.randint(1, 3))]
        version = "2008-10-17" if self.random.random() < 0.08 else "2012-10-17"
        return {"Version": version, "Statement": statements}

    def _related(self, policy: Doc) -> Doc:
        """Return a copy with a few changes."""
        statements = [dict(statement) for statement in policy["Statement"]]
        for _ in range(self.random.randint(1, 2)):
            match self.random.randrange(5):
                case 0:
                    statements.append(self._statement())
                case 1 if len(statements) > 1:
                    statements.pop(self.random.randrange(len(statements)))
                case 2:
                    place = self.random.randrange(len(statements))
                    statements[place] = {**statements[place], "Condition": self._conditions(2)}
                case 3:
                    statements[self.random.randrange(len(statements))].update(
                        self._element("Resource", RESOURCE_ENTRIES)
                    )
                case _:
                    self.random.shuffle(statements)
        for statement in statements:
            if "Resource" in statement and "NotResource" in statement:
                del statement[self.random.choice(["Resource", "NotResource"])]
            if not statement.get("Condition", True):
                del statement["Condition"]
        return {**policy, "Statement": statements}

    def _statement(self) -> Doc:
        random = self.random
        effect = "Deny" if random.random() < 0.3 else "Allow"
        statement: Doc = {
            "Effect": effect,
            **self._element("Action", ACTION_ENTRIES),
            **self._element("Resource", RESOURCE_ENTRIES),
        }
        if self.is_resource:
            entries = random.sample(PRINCIPAL_ENTRIES, 1)[0]
            statement["NotPrincipal" if effect == "Deny" and random.random() < 0.25 else "Principal"] = entries
            short = [
                entry
                for entry in statement.get("Resource", statement.get("NotResource"))
                if entry.count(":") >= 5 or entry == "*"
            ]
            statement["Resource" if "Resource" in statement else "NotResource"] = short or ["*"]
        if self.keys and random.random() < 0.7:
            statement["Condition"] = self._conditions(2)
        return statement

    def _element(self, name: str, entries: list[str]) -> Doc:
        listed = self.random.sample(entries, self.random.randint(1, 2))
        return {f"Not{name}" if self.random.random() < 0.2 else name: listed}

    def _conditions(self, most: int) -> Doc:
        block: Doc = {}
        for _ in range(self.random.randint(1, most) if self.keys else 0):
            key = self.random.choice(self.keys)
            operators, values, _ = KEYS[key]
            if self.random.random() < 0.15:
                name, listed = (
                    self.random.choice(["", "", "", "ForAllValues:", "ForAnyValue:"]) + "Null",
                    [self.random.choice(["true", "false"])],
                )
            else:
                base = self.random.choice(operators)
                name = self.random.choice(PREFIXES) + base + self.random.choice(SUFFIXES)
                listed = self.random.sample(values, self.random.randint(0 if self.random.random() < 0.1 else 1, 2))
            block.setdefault(name, {})[key] = listed
        return block

    def listed_access(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return actions and resources, with wildcards; either may be empty."""
        random = self.random
        actions = tuple(random.sample(ACTION_ENTRIES, random.randint(0, 2)))
        plain = [entry for entry in RESOURCE_ENTRIES if "${" not in entry and entry.count(":") >= 5]
        return actions, tuple(random.sample(plain, random.randint(0 if actions else 1, 2)))

    def requests(self, count: int) -> list[AccessRequest]:
        """Return random requests, with values around those of the policies."""
        random = self.random
        present = [key for key in self.keys if key not in DERIVED]
        for variable in ("docs:Owner", "docs:Class", "docs:Names"):
            if variable not in present:
                present.append(variable)
        callers = OUTSIDERS if self.is_resource else CALLERS
        found = []
        for _ in range(count):
            caller, resource = random.choice(callers), random.choice(RESOURCES)
            owner = ACCOUNT
            if self.is_resource and f":{ACCOUNT}:" not in resource:
                owner = random.choice([ACCOUNT, OTHER, "999900001111"])
            context = {}
            for key in present:
                value = random.choice(
                    [None, None, "", ["", ""], *KEYS[key][2]] if key in self.keys else [None, None, *KEYS[key][2]]
                )
                is_typed = key in ("aws:SecureTransport", "aws:SourceIp")  # has values of its type only
                if (
                    value is not None
                    and not (isinstance(value, list) and key.startswith("aws:"))
                    and (value or not is_typed)
                ):
                    context[key] = value
            if "aws:ResourceAccount" in self.keys and random.random() < 0.7:
                context["aws:ResourceAccount"] = owner
            found.append(AccessRequest(caller, random.choice(ACTIONS), resource, context, owner))
        return found
