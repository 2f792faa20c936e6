"""Random cases for the law of filters: a principal, a context and policies, whose values come from the rows.

Most statements name resources and values that some rows have, and others nearly. What a translator may refuse is rare.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from iam_guard import Principal
from tests import tables

from . import vocabulary as words
from .callers import draw_principal, names_of, other_names
from .models import KINDS, OTHER_KINDS, Kind
from .rows import HERE, Row, make_rows

Doc = dict[str, Any]
Item = TypeVar("Item")
ACTION = "docs:GetDocument"
MATCHING_ACTIONS = [ACTION, "docs:Get*", "docs:*", "*", "DOCS:getdocument", "docs:?etDocument"]
OTHER_ACTIONS = ["docs:PutDocument", "docs:Get", "s3:*", "docs:*Documents", "docsx:*"]
WITH_PRINCIPAL = ("resource", "rcp")
ALL_KINDS: list[Kind] = [*KINDS * 2, *OTHER_KINDS]
"""The declarations of cases in turn; most cases are about the usual ones."""
ROWS = 60
"""Rows that a case is compared for, other ones in each."""
GIVEN_TAG = "aws:ResourceTag/team"
FIRST_SEED = int(os.environ.get("IAM_GUARD_TEST_FILTER_SEED", "1"))
"""The seed of the first case."""


def case_count(*, in_ci: int = 3_000) -> int:
    """Return the number of cases for each database: few with `--cases-of-each`, many in CI; a million take hours."""
    usual = 400 if tables.cases_of_each else in_ci if os.environ.get("CI") else 1_000
    return int(os.environ.get("IAM_GUARD_TEST_FILTER_CASES", usual))


@dataclass(frozen=True)
class Case:
    """A principal who lists the rows of a kind; `policies` are the arguments of `compile_policies`."""

    kind: Kind
    principal: Principal
    policies: Doc
    context: Doc


@dataclass(frozen=True)
class Scene:
    """What the policies of a case are written for."""

    rng: random.Random
    kind: Kind
    principal: Principal
    rows: Sequence[Row]

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.rng.random() < probability

    def choice(self, items: Sequence[Item]) -> Item:
        """Return one of the items."""
        return self.rng.choice(items)

    def several(self, draw: Callable[[], Item], weights: Sequence[int]) -> list[Item]:
        """Draw from one value to as many as there are weights."""
        (count,) = self.rng.choices(range(1, len(weights) + 1), weights=weights)
        return [draw() for _ in range(count)]


def generate_case(rng: random.Random, kind: Kind, rows: Sequence[Row]) -> Case:
    """Draw a case about rows of a kind."""
    principal = draw_principal(rng)
    scene = Scene(rng, kind, principal, rows)
    is_own = principal.account == HERE
    needs_resource_policy = principal.account is None or not is_own
    policies: Doc = {"identity": scene.several(lambda: _document(scene, "identity"), [5, 3, 2])}
    if scene.chance(0.8 if needs_resource_policy else 0.3):
        policies["resource"] = _document(scene, "resource")
    if scene.chance(0.15):
        policies["permissions_boundary"] = _document(scene, "boundary")
    if principal.type == "FederatedUser" or scene.chance(0.12):
        policies["session"] = scene.several(lambda: _document(scene, "session"), [3, 1])
    if scene.chance(0.15):
        policies["scps"] = _levels(scene, "scp")
    if scene.chance(0.15):
        policies["rcps"] = _levels(scene, "rcp")
    return Case(kind, principal, policies, _context(scene))


@cache
def _rows(kind: Kind) -> list[Row]:
    return make_rows(kind)


def numbered_case(seed: int) -> tuple[Case, list[int]]:
    """Return the case of a seed, and the numbers of the rows that it is compared for."""
    rng, kind = random.Random(seed), ALL_KINDS[seed % len(ALL_KINDS)]
    rows = _rows(kind)
    return generate_case(rng, kind, rows), rng.sample(range(1, len(rows) + 1), ROWS)


def _levels(scene: Scene, type: str) -> list[list[Doc]]:
    return scene.several(lambda: scene.several(lambda: _document(scene, type), [3, 1]), [3, 2, 1])


def _document(scene: Scene, type: str) -> Doc:
    version = "2012-10-17" if type in ("scp", "rcp") or scene.chance(0.93) else "2008-10-17"
    statements = scene.several(lambda: _statement(scene, type), [4, 3, 2, 1])
    if scene.chance({"identity": 0.2, "resource": 0.4}.get(type, 0.8)):
        statements.append(_allow_everything(type))
    return {"Version": version, "Statement": statements}


def _allow_everything(type: str) -> Doc:
    everything: Doc = {"Effect": "Allow", "Action": "docs:*", "Resource": "*"}
    return everything | ({"Principal": "*"} if type in WITH_PRINCIPAL else {})


def _statement(scene: Scene, type: str) -> Doc:
    is_deny = scene.chance(0.3)
    statement: Doc = {"Effect": "Deny" if is_deny else "Allow"}
    if type in WITH_PRINCIPAL:
        statement |= {"Principal": "*"} if type == "rcp" else _principal_element(scene, is_deny)
    matching = scene.chance(0.9)
    if scene.chance(0.08):
        statement["NotAction"] = scene.choice(OTHER_ACTIONS if matching else MATCHING_ACTIONS)
    else:
        statement["Action"] = [scene.choice(MATCHING_ACTIONS if matching else OTHER_ACTIONS)]
    if type != "resource" or scene.chance(0.7):
        is_narrow = is_deny or scene.chance(0.6)
        name = "NotResource" if scene.chance(0.08) else "Resource"
        patterns = scene.several(lambda: resource_pattern(scene, type), [3, 2, 1])
        statement[name] = patterns if is_narrow else "*"
    (count,) = scene.rng.choices([0, 1, 2], weights=[1, 6, 3] if is_deny else [4, 5, 2])
    if count:
        statement["Condition"] = _condition(scene, count)
    return statement


def _principal_element(scene: Scene, is_deny: bool) -> Doc:
    if is_deny and scene.chance(0.25):
        names = names_of(scene.principal)
        return {
            "NotPrincipal": {key: [name for name in values if name != "*"] or [HERE] for key, values in names.items()}
        }
    if scene.chance(0.25):
        return {"Principal": scene.choice(["*", {"AWS": "*"}])}
    if scene.chance(0.2):
        return {"Principal": other_names(scene.rng)}
    ((key, names),) = names_of(scene.principal).items()
    return {"Principal": {key: [scene.choice(names)]}}


# Resources


def resource_pattern(scene: Scene, type: str) -> str:
    """Draw a pattern that often matches the ARN of some row, and nearly otherwise."""
    if scene.chance(0.12):
        return "*"
    account = str(scene.kind.account or scene.choice(scene.rows)["account"] or HERE)
    fields = ["arn", "aws", "docs", "us-east-1", account, _last_field(scene)]
    if scene.chance(0.6):
        fields[4] = scene.choice(["*", "*", "*", f"{account[:4]}*", "?" * 12, f"*{account[-4:]}", f"{account}*", ""])
    if scene.chance(0.4):
        fields[3] = scene.choice(["*", "*", "us-*", "us-east-?", "eu-west-1", "", "*-1"])
    if scene.chance(0.05):
        fields[1] = scene.choice(["aws-cn", "*", "aw?"])
    if scene.chance(0.05):  # M-12: a segment-final `*` crosses colons
        fields[4:] = ["*", scene.choice([fields[5], f"x:{fields[5]}", f"{account}:{fields[5]}"])]
    if type == "identity" and scene.chance(0.1):  # G-64: a short ARN is read in two ways
        if scene.chance(0.4):
            return ":".join(fields[: scene.rng.randint(3, 5)])
        return ":".join([*fields[:3], scene.choice(["*", "us-*", "us*1"]), scene.choice([fields[5], "*", account])])
    return ":".join(fields)


def _last_field(scene: Scene) -> str:
    row = scene.choice(scene.rows)
    names = [name for name in ("folder", "id") if f"{{{name}}}" in scene.kind.template]
    if scene.chance(0.12):
        value = scene.choice(
            [*words.COLUMN_VARIABLES[:7], *words.KNOWN_VARIABLES, *words.KNOWN_VARIABLES, "${*}", "${?}"]
        )
        template = scene.kind.template.replace(f"{{{names[0]}}}", value)
        return template.replace("{id}", scene.choice(["*", "?*", str(row["id"])]))
    text = scene.kind.template.format(**{name: "" if row[name] is None else row[name] for name in names})
    at = scene.rng.randint(0, len(text))
    parts = scene.kind.template.split("{")[0]
    near = [text, text, text[:at] + "*", text[:at] + "*", "*" + text[at:], f"{text[:-1]}?", text.swapcase(), parts]
    near += [
        f"{parts}*",
        f"{parts}*",
        f"{parts}?*",
        f"{parts}??",
        f"{parts[:3]}*",
        f"*{text[-1:]}",
        "*/*",
        f"{text[:-2]}*",
    ]
    near += [
        f"{text[:at]}*{text[at + 1 :]}",
        f"{parts}*{scene.rng.randrange(10)}*",
        f"{text}/*",
        f"{text}*",
        f"*{parts}*",
    ]
    near += [text[:at] + "?" + text[at + 1 :], f"{parts}*/*", f"{parts}*/document/*", f"{parts}a*", f"{parts}*n*"]
    near += [f"{parts}{scene.rng.randrange(1, 10)}*", f"{parts}[1-9]*", f"{parts}%", f"{parts}_*", "*:*", "*"]
    return scene.choice(near)


# Conditions


def _condition(scene: Scene, count: int) -> Doc:
    condition: Doc = {}
    for _ in range(count):
        operator, key, values = comparison(scene)
        block = condition.setdefault(operator, {})
        if key.casefold() not in {other.casefold() for other in block} and key.lower() not in map(str.lower, block):
            block[key] = values[0] if len(values) == 1 and scene.chance(0.5) else values
    return condition


def comparison(scene: Scene) -> tuple[str, str, list[Any]]:
    """Draw an operator, a key and values."""
    draws = [_about_text, _about_tag, _about_other_column, _null, _about_known_key, _odd]
    draw = scene.rng.choices(draws, weights=[36, 30, 22, 9, 12, 1.5])[0]
    operator, key, values = draw(scene)
    if scene.chance(0.05):
        key = scene.choice([key.upper(), key.lower(), key.swapcase()]) if key.isascii() else key
    return operator, key, values


def _modified(scene: Scene, operator: str) -> str:
    prefix = scene.choice(words.MODIFIERS[2:]) if scene.chance(0.15) else ""
    return prefix + operator + ("IfExists" if scene.chance(0.2) else "")


def _about_text(scene: Scene) -> tuple[str, str, list[Any]]:
    key = scene.choice(list(words.TEXT_KEYS))
    operator = _string_operator(scene)
    is_pattern = "Like" in operator

    def value() -> str:
        if scene.chance(0.15):
            return _variable(scene, key, is_pattern)
        return words.text_value(scene.rng, words.TEXT_KEYS[key], is_pattern=is_pattern)

    return _modified(scene, operator), key, scene.several(value, [4, 3, 2, 1])


def _string_operator(scene: Scene) -> str:
    return scene.choice(words.IGNORING_CASE if scene.chance(0.008) else words.STRINGS)


def _variable(scene: Scene, key: str, is_pattern: bool) -> str:
    """Draw a value with a variable: of the caller, or (in a pattern rarely) of another column."""
    known = scene.chance(0.6)
    variables = words.KNOWN_VARIABLES if known else [text for text in words.COLUMN_VARIABLES if key not in text]
    text = scene.choice(variables)
    if is_pattern and scene.chance(0.8 if known else 0.1):
        return scene.choice([f"{text}*", f"*{text}", f"{text}?", f"*{text}*", f"x{text}"])
    return text


def _about_tag(scene: Scene) -> tuple[str, str, list[Any]]:
    operator = _string_operator(scene)
    key, is_pattern = words.tag_key(scene.rng), "Like" in operator

    def value() -> str:
        if scene.chance(0.15):
            return _variable(scene, key, is_pattern)
        return words.tag_value(scene.rng, is_pattern=is_pattern)

    return _modified(scene, operator), key, scene.several(value, [4, 3, 2, 1])


def _about_other_column(scene: Scene) -> tuple[str, str, list[Any]]:
    key = scene.choice(list(words.OTHER_KEYS))
    operator = scene.choice(words.OTHER_KEYS[key])
    values = scene.several(lambda: words.typed_value(scene.rng, operator), [5, 2, 1])
    return _modified(scene, operator), key, values


def _null(scene: Scene) -> tuple[str, str, list[Any]]:
    tag = words.tag_key(scene.rng)
    key = scene.choice([*words.TEXT_KEYS, *words.OTHER_KEYS, *[tag] * 6, "aws:username", "aws:PrincipalTag/team"])
    prefix = scene.choice(words.MODIFIERS[2:]) if scene.chance(0.05) else ""
    return f"{prefix}Null", key, [scene.choice([True, False, "true", "false"])]


def _about_known_key(scene: Scene) -> tuple[str, str, list[Any]]:
    """Draw a comparison of a key of the caller or the call, often with a variable of a column."""
    if scene.chance(0.15):
        return (
            scene.choice(["StringEquals", "StringNotEquals"]),
            "aws:ResourceAccount",
            [words.account_value(scene.rng)],
        )
    if scene.chance(0.3):
        operator, key, values = scene.choice(
            [
                ("IpAddress", "aws:SourceIp", ["10.0.0.0/8"]),
                ("DateLessThan", "aws:CurrentTime", ["2026-06-01T00:00:00Z"]),
                ("StringEquals", "aws:PrincipalAccount", ["${aws:ResourceAccount}"]),
                ("Bool", "aws:MultiFactorAuthPresent", ["true"]),
                ("StringEquals", "aws:PrincipalType", ["User", "AssumedRole"]),
                ("ArnLike", "aws:PrincipalArn", ["arn:aws:iam::*:user/*"]),
                ("ArnLike", "aws:PrincipalArn", ["arn:aws:iam::*:user/${docs:Owner}"]),
                ("ArnNotEquals", "aws:username", ["${docs:Owner}*", "arn:aws:iam::*:user/*"]),
            ]
        )
        return _modified(scene, operator), key, values
    operator = scene.choice(words.STRINGS)
    key = scene.choice(["aws:PrincipalTag/team", "aws:username", "aws:PrincipalTag/none", "docs:Mode", "aws:TagKeys"])
    variables = [text for text in words.COLUMN_VARIABLES if "Like" not in operator or scene.chance(0.5)] or ["red"]
    values = scene.several(lambda: scene.choice([*variables, *variables, "red", "ann"]), [4, 2, 1])
    if key == "aws:TagKeys":
        operator = scene.choice(["ForAnyValue:", "ForAllValues:"]) + operator
    return operator if key == "aws:TagKeys" else _modified(scene, operator), key, values


def _odd(scene: Scene) -> tuple[str, str, list[Any]]:
    """Draw an operator that does not suit the key, or an empty list of values."""
    key = scene.choice([*words.TEXT_KEYS, *words.OTHER_KEYS, words.tag_key(scene.rng)])
    operator = scene.choice(words.ALL_OPERATORS)
    if scene.chance(0.1):
        return operator, key, []
    is_string = operator.startswith("String")
    value = (
        (lambda: scene.choice(["true", "10", "010", "+1", "1.5", "2026*", "1*", "red", "public"]))
        if is_string
        else None
    )
    draw: Callable[[], Any] = value or (lambda: words.typed_value(scene.rng, operator))
    return _modified(scene, operator), key, scene.several(draw, [3, 1])


def _context(scene: Scene) -> Doc:
    context: Doc = {
        "aws:SourceIp": scene.choice(["10.1.2.3", "203.0.113.7", "2001:db8::1"]),
        "aws:CurrentTime": scene.choice(["2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z"]),
        "docs:Mode": scene.choice(["public", "red", "", "r*d", "😀"]),
        "aws:TagKeys": scene.choice([["red"], ["red", "ann"], [], ["public", "red", ""]]),
        "aws:MultiFactorAuthPresent": scene.chance(0.5),
    }
    given = {key: value for key, value in context.items() if scene.chance(0.8)}
    if scene.chance(0.04):  # a value of the resource, which counts instead of the column's
        given |= scene.choice([{"docs:Class": "public"}, {"DOCS:owner": "ann"}, {"docs:Size": 10}, {GIVEN_TAG: "red"}])
    return given
