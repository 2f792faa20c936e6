"""Random policies about the actions, resources and callers of the law of the fast path (`world`, `wires`)."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

Document = dict[str, Any]

HERE: Final = "111122223333"
THERE: Final = "444455556666"
MANAGEMENT: Final = "999900000000"
START: Final = datetime(2026, 3, 1, 23, 50, tzinfo=UTC)
"""The time at which every world begins: soon after, the date in the scope of signatures changes."""

COLOURS: Final = ("red", "blue", "green")
NAMES: Final = ("1", "2", "plan", "ann", "bob", "red")
"""The names of resources; most requests are about the first three."""
ACTIONS: Final = ("Get", "Put", "List", "Delete", "Upload", "Share")

_WRITTEN_ACTIONS = (
    *(
        "docs:*",
        "docs:*",
        "docs:*",
        "*",
        "docs:Get*",
        "docs:GetDocument",
        "docs:?etDocument",
        "docs:getdocument",
        "docs:Put*",
    ),
    *("docs:List*", "docs:*Document", "docs:Upload*", "iam:*", "sts:*", "kms:*", "other:*"),
)
_WRITTEN_RESOURCES = (
    *(
        "*",
        "*",
        "*",
        "arn:aws:docs:*:*:document/*",
        f"arn:aws:docs:us-east-1:{HERE}:document/1",
        "arn:aws:docs:*:*:folder/*",
    ),
    *("arn:aws:docs:*:*:*/${aws:username}", "arn:aws:docs:*:*:document/${aws:PrincipalTag/team, 'plan'}"),
    *(f"arn:aws:docs:*:{THERE}:*", "arn:aws:docs:*:*:document/?", "arn:aws:docs:*:*:secret/*", "arn:aws:docs:*:*:*"),
    *("arn:aws:docs:*:*:folder/${docs:Label}*", f"arn:aws:iam::{HERE}:user/*", f"arn:aws:kms:us-east-1:{HERE}:key/*"),
)


def _moment(rng: random.Random) -> str:
    """Return a time that the injected clock often passes."""
    return (START + timedelta(seconds=rng.choice((-600, 0, 60, 300, 900, 1800)))).strftime("%Y-%m-%dT%H:%M:%SZ")


_CONDITIONS: Final[tuple[Callable[[random.Random], Mapping[str, Mapping[str, object]]], ...]] = (
    *(lambda rng: {"StringEquals": {"aws:ResourceTag/team": rng.choice(COLOURS)}},) * 3,
    lambda rng: {"StringEqualsIfExists": {"aws:ResourceTag/Team": list(COLOURS[:2])}},
    lambda rng: {"StringLike": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}*"}},
    lambda rng: {"StringEquals": {"aws:PrincipalTag/team": rng.choice(COLOURS)}},
    lambda rng: {"Null": {"aws:PrincipalTag/team": rng.choice(("true", "false"))}},
    *(lambda rng: {rng.choice(("IpAddress", "NotIpAddress")): {"aws:SourceIp": "10.0.0.0/8"}},) * 3,
    lambda rng: {rng.choice(("Bool", "BoolIfExists")): {"aws:SecureTransport": rng.choice(("true", "false"))}},
    lambda rng: {rng.choice(("DateLessThan", "DateGreaterThan")): {"aws:CurrentTime": _moment(rng)}},
    lambda rng: {"NumericGreaterThan": {"aws:EpochTime": str(int(START.timestamp()) + rng.choice((0, 600)))}},
    lambda rng: {"NumericLessThan": {"aws:MultiFactorAuthAge": str(rng.choice((60, 600, 3600)))}},
    lambda rng: {rng.choice(("Bool", "BoolIfExists")): {"aws:MultiFactorAuthPresent": "true"}},
    lambda rng: {"DateLessThan": {"aws:TokenIssueTime": _moment(rng)}},
    lambda rng: {"StringLike": {"aws:SourceIdentity": "a*"}},
    lambda rng: {"ForAnyValue:StringEquals": {"docs:Labels": ["x", "red"]}},
    lambda rng: {"ForAllValues:StringLike": {"docs:Labels": ["r*", "x"]}},
    lambda rng: {"StringEquals": {"docs:Label": ["x", "${aws:PrincipalTag/team}"]}},
    lambda rng: {"NumericLessThanEquals": {"docs:Size": str(rng.choice((0, 5, 1000)))}},
    lambda rng: {"ArnLike": {"aws:PrincipalArn": rng.choice((f"arn:aws:iam::{HERE}:user/*", "arn:aws:iam::*:role/*"))}},
    lambda rng: {"StringNotEquals": {"aws:PrincipalAccount": rng.choice((HERE, THERE))}},
    lambda rng: {"StringEquals": {"aws:PrincipalOrgID": "o-exampleorg"}},
    lambda rng: {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-exampleorg/r-ab12/ou-ab12-11111111/*"}},
    lambda rng: {"StringEquals": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}},
    lambda rng: {"StringEquals": {"aws:ResourceOrgID": "${aws:PrincipalOrgID}"}},
    lambda rng: {"StringEquals": {"aws:username": rng.choice(("ann", "bob"))}},
    lambda rng: {"StringLike": {"aws:userid": rng.choice(("AIDA*", "*:session1", HERE))}},
    lambda rng: {"StringEquals": {"aws:PrincipalType": rng.choice(("User", "AssumedRole", "Anonymous"))}},
    lambda rng: {"StringLike": {"aws:UserAgent": rng.choice(("curl/*", "*bot*"))}},
    lambda rng: {"StringEquals": {"aws:RequestedRegion": rng.choice(("us-east-1", "eu-west-1"))}},
    lambda rng: {"StringLike": {"aws:Referer": "https://docs.example/*"}},
)


def condition(rng: random.Random) -> Mapping[str, Mapping[str, object]]:
    """Return one or two conditions, about different keys or with different operators."""
    found = dict(rng.choice(_CONDITIONS)(rng))
    return {**rng.choice(_CONDITIONS)(rng), **found} if rng.random() < 0.3 else found


def statement(rng: random.Random, kind: str) -> Document:
    """Return a statement; `kind` is `identity`, `resource`, `boundary`, `session`, `scp` or `rcp`."""
    denies = rng.random() < 0.3 or kind == "rcp"
    made: Document = {"Sid": f"S{rng.randrange(10**9)}", "Effect": "Deny" if denies else "Allow"}
    if kind in ("resource", "rcp"):
        made.update(_principal(rng, denies=denies) if kind == "resource" else {"Principal": "*"})
    excludes = kind != "rcp" and rng.random() < 0.12
    actions = _WRITTEN_ACTIONS if kind not in ("resource", "rcp") else [a for a in _WRITTEN_ACTIONS if a != "*"]
    made["NotAction" if excludes else "Action"] = _one_or_more(rng, actions)
    is_wide = denies and rng.random() < 0.5
    element = "NotResource" if not is_wide and rng.random() < 0.12 else "Resource"
    made[element] = "*" if is_wide else _one_or_more(rng, _WRITTEN_RESOURCES)
    if rng.random() < (0.8 if denies else 0.6):
        made["Condition"] = condition(rng)
    return made


def _one_or_more(rng: random.Random, values: Any) -> Any:
    chosen = rng.sample(sorted(set(values)), 2) if rng.random() < 0.25 else [rng.choice(values)]
    return chosen[0] if len(chosen) == 1 and rng.random() < 0.6 else chosen


def _principal(rng: random.Random, *, denies: bool) -> Document:
    arns = [HERE, THERE, f"arn:aws:iam::{HERE}:root", f"arn:aws:iam::{HERE}:user/ann", f"arn:aws:iam::{THERE}:user/eve"]
    arns += [f"arn:aws:iam::{HERE}:role/dev", f"arn:aws:sts::{HERE}:assumed-role/dev/session1"]
    arns += [f"arn:aws:sts::{HERE}:federated-user/fred"]
    if denies and rng.random() < 0.3:
        return {"NotPrincipal": {"AWS": rng.sample(arns, 2)}}
    return {"Principal": "*" if rng.random() < 0.3 else {"AWS": _one_or_more(rng, arns)}}


def document(rng: random.Random, kind: str) -> Document:
    """Return a policy. Most types allow everything in a further statement, so that other types decide, too."""
    statements = [statement(rng, kind) for _ in range(rng.choice((1, 1, 2, 3)))]
    if kind not in ("resource", "rcp") and rng.random() < 0.5:
        statements.append({"Effect": "Allow", "Action": "*", "Resource": "*"})
    rng.shuffle(statements)
    return {"Version": "2012-10-17", "Statement": statements}


def everything(action: str = "*") -> Document:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}
