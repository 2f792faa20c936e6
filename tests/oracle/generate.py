"""Random cases in the format of section N, in which policies often match their requests.

`generate_case(rng)` first draws a request, then policies for that request: most statements are derived from it (its
action, its resource, its caller), some are not. A few cases have an invalid document.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from .callers import Doc, draw_caller, names_of, unrelated_principals
from .vocabulary import (
    ALL_OPERATORS,
    DERIVED_KEYS,
    HERE,
    KEYS,
    MULTIVALUED_KEYS,
    OTHER_ACTIONS,
    OTHER_RESOURCES,
    RARE_REQUESTS,
    REQUESTS,
    SHORT_RESOURCES,
    STRINGS,
    THERE,
    VARIABLE_RESOURCES,
)

NEW = "2012-10-17"
IDENTITY_BASED = ("identity", "boundary")
WITH_PRINCIPAL = ("resource", "rcp", "vpc_endpoint")


@dataclass(frozen=True)
class Scene:
    """The request that the policies are written for, and the random numbers."""

    rng: random.Random
    principal: Doc
    action: str
    resource: str
    owner: str

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.rng.random() < probability


def generate_case(rng: random.Random) -> Doc:
    """Draw a case."""
    scene = _scene(rng)
    policies = _policies(scene)
    if scene.chance(0.035):
        _insert_invalid_document(scene, policies)
    request = {
        "principal": scene.principal,
        "action": _in_another_case(scene, scene.action) if scene.chance(0.05) else scene.action,
        "resource": scene.resource,
        "resource_account": scene.owner,
        "context": _context(scene),
    }
    name = f"generated-{rng.getrandbits(40):010x}"
    return {"id": name, "rule": "generated", "request": request, "policies": policies, "expected": "", "why": ""}


# Requests


def _scene(rng: random.Random) -> Scene:
    account = HERE if rng.random() < 0.75 else THERE
    principal = draw_caller(rng, account)
    action, resource = rng.choice(RARE_REQUESTS if rng.random() < 0.01 else REQUESTS)
    owner = HERE if rng.random() < 0.92 else THERE
    if resource == "*":
        owner = principal["account"] or HERE
    return Scene(rng, principal, action, resource, owner)


# The policies of a case


def _policies(scene: Scene) -> Doc:
    kind = scene.principal["type"]
    is_linked = "aws-service-role" in scene.principal.get("role_arn", "")
    with_identity = kind in ("User", "AssumedRole", "FederatedUser")
    with_boundary = with_identity and not is_linked
    is_trust = scene.action.startswith("sts:")  # E-48
    policies: Doc = {
        "identity": _documents(scene, "identity", 0, 2) if with_identity else [],
        "permissions_boundary": _document(scene, "boundary")
        if with_boundary and scene.chance(0.45 if is_trust else 0.25)
        else None,
        "session": _session_policies(scene, kind) if with_boundary else None,
        "resource": _document(scene, "resource") if scene.chance(_has_resource_policy(scene)) else None,
        "scps": _levels(scene, "scp") if scene.chance(0.22) else None,
        "rcps": _levels(scene, "rcp") if scene.chance(0.22) else None,
    }
    if scene.chance(0.12):
        policies["vpc_endpoint"] = _document(scene, "vpc_endpoint") if scene.chance(0.8) else None
    return policies


def _has_resource_policy(scene: Scene) -> float:
    needed = scene.principal["account"] != scene.owner or scene.action.startswith(("kms", "sts"))
    return 0.93 if needed else 0.45


def _session_policies(scene: Scene, kind: str) -> list[Doc] | None:
    if kind == "FederatedUser":
        return _documents(scene, "session", 1, 2) if scene.chance(0.85) else None
    return _documents(scene, "session", 1, 2) if kind == "AssumedRole" and scene.chance(0.3) else None


def _levels(scene: Scene, kind: str) -> list[list[Doc]]:
    return [_documents(scene, kind, 0 if scene.chance(0.03) else 1, 2) for _ in range(scene.rng.randint(1, 3))]


def _documents(scene: Scene, kind: str, least: int, most: int) -> list[Doc]:
    return [_document(scene, kind) for _ in range(scene.rng.randint(least, most))]


def _document(scene: Scene, kind: str) -> Doc:
    document: Doc = {}
    version = NEW if kind in ("scp", "rcp") else scene.rng.choices([NEW, "2008-10-17", None], weights=[8, 1, 1])[0]
    if version is not None:
        document["Version"] = version
    statements = [_statement(scene, kind, version == NEW) for _ in range(scene.rng.randint(1, 3))]
    if scene.chance({"identity": 0, "resource": 0, "boundary": 0.55, "session": 0.6}.get(kind, 0.8)):
        statements.append(_allow_everything(kind))
    document["Statement"] = statements[0] if len(statements) == 1 and scene.chance(0.3) else statements
    return document


def _allow_everything(kind: str) -> Doc:
    everything: Doc = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    return everything | ({"Principal": "*"} if kind in WITH_PRINCIPAL else {})


def _statement(scene: Scene, kind: str, is_new: bool) -> Doc:
    is_deny = scene.chance(0.19)
    statement: Doc = {"Effect": "Deny" if is_deny else "Allow"}
    if scene.chance(0.1):
        statement["Sid"] = f"S{scene.rng.randint(1, 99)}"
    if kind in WITH_PRINCIPAL:
        statement |= _principal_element(scene, kind, is_deny)
    statement |= _action_element(scene)
    if kind != "resource" or scene.chance(0.7):
        statement |= _resource_element(scene, kind, is_new)
    count = scene.rng.choices([0, 1, 2], weights=[3, 5, 2] if is_deny else [6, 3, 1])[0]
    if count or scene.chance(0.05):
        statement["Condition"] = _condition(scene, count, is_new)
    return statement


# Principals


def _principal_element(scene: Scene, kind: str, is_deny: bool) -> Doc:
    if kind == "rcp":
        return {"Principal": "*"}
    if kind == "vpc_endpoint" and scene.chance(0.7):
        return {"Principal": scene.rng.choice(["*", {"AWS": "*"}])}
    if is_deny and scene.chance(0.5):
        return {"NotPrincipal": _not_principal(scene)}
    if scene.chance(0.03):
        return scene.rng.choice([{}, {"Principal": {}}, {"Principal": {"AWS": []}}])
    if scene.chance(0.2):
        return {"Principal": scene.rng.choice(["*", {"AWS": "*"}, {"AWS": [THERE, "*"]}])}
    return {"Principal": _named(scene, [_name(scene) for _ in range(scene.rng.randint(1, 3))])}


def _named(scene: Scene, names: list[tuple[str, str]]) -> Doc:
    element: Doc = {}
    for key, name in names:
        element.setdefault(key, []).append(name)
    return {key: values[0] if len(values) == 1 and scene.chance(0.5) else values for key, values in element.items()}


def _name(scene: Scene) -> tuple[str, str]:
    if scene.chance(0.7):
        return scene.rng.choice([("AWS", name) for name in names_of(scene.principal)] or unrelated_principals())
    return scene.rng.choice(unrelated_principals())


def _not_principal(scene: Scene) -> Doc:
    principal = scene.principal
    if principal["type"] == "Service" and scene.chance(0.7):
        return {"Service": principal["arn"]}
    kept = 1.0 if scene.chance(0.5) else 0.75
    chain = [("AWS", name) for name in names_of(principal) if scene.chance(kept)]
    if principal["type"] == "FederatedUser":  # open whether the chain includes the user: always list it
        chain.append(("AWS", principal["user_arn"]))
    return _named(scene, chain or [("AWS", THERE)])


# Actions and resources


def _one_or_list(scene: Scene, values: list[Any]) -> Any:
    return values[0] if len(values) == 1 and scene.chance(0.6) else values


def _in_another_case(scene: Scene, action: str) -> str:
    return scene.rng.choice([action.upper(), action.lower(), action.swapcase()])


def _action_element(scene: Scene) -> Doc:
    if scene.chance(0.01):
        return {"Action": []}
    others = scene.chance(0.12)
    own = 0.12 if others else 0.85
    count = scene.rng.randint(1, 2)
    values = [_related_action(scene) if scene.chance(own) else scene.rng.choice(OTHER_ACTIONS) for _ in range(count)]
    return {"NotAction" if others else "Action": _one_or_list(scene, values)}


def _related_action(scene: Scene) -> str:
    prefix, _, name = scene.action.partition(":")
    near = [
        scene.action,
        _in_another_case(scene, scene.action),
        f"{prefix}:*",
        f"{prefix}:{name[:3]}*",
        f"{prefix}:*{name[2:]}",
    ]
    return scene.rng.choice([*near, f"{prefix}:?{name[1:]}", "*", "*", f"{prefix}:{name}?"])


def _resource_element(scene: Scene, kind: str, is_new: bool) -> Doc:
    if scene.chance(0.01):
        return {"Resource": []}
    others = scene.chance(0.12)
    own = 0.2 if others else 0.85
    count = scene.rng.randint(1, 2)
    values = [
        _related_resource(scene, kind) if scene.chance(own) else _unrelated_resource(scene, kind) for _ in range(count)
    ]
    if not is_new:  # what `*` in `${*}` means under 2008-10-17 is left open
        values = [value.replace("${*}", "?") for value in values]
    return {"NotResource" if others else "Resource": _one_or_list(scene, values)}


def _related_resource(scene: Scene, kind: str) -> str:
    if scene.resource == "*" or scene.chance(0.3):
        return "*"
    fields = scene.resource.split(":", 5)
    last = fields[5]
    near = [last, f"{last[:4]}*", f"*{last[-1]}", f"{last[:-1]}?", f"{last}*", "*"]
    fields[5] = scene.rng.choice(near)
    for place in (1, 3, 4):
        if scene.chance(0.25):
            fields[place] = scene.rng.choice(["*", f"{fields[place][:2]}*", "?" * len(fields[place])])
    suited = [each for each in VARIABLE_RESOURCES if each.split(":")[2] == fields[2]]
    if suited and scene.chance(0.55):
        return scene.rng.choice(suited)
    if scene.chance(0.15) and (kind in IDENTITY_BASED or ":" in last):  # M-12: `*` before a colon
        gap = scene.rng.choice(["*", "*", "eu*3", "eu*", "e?-west-1?111122223333"])  # M-12: a final `*` crosses
        return ":".join([*fields[:3], gap, last])
    if kind in IDENTITY_BASED and scene.chance(0.1):
        return ":".join(fields[: scene.rng.randint(3, 4)])
    return ":".join(fields)


def _unrelated_resource(scene: Scene, kind: str) -> str:
    return scene.rng.choice(OTHER_RESOURCES + (SHORT_RESOURCES if kind in IDENTITY_BASED else []))


# Conditions and context


def _condition(scene: Scene, count: int, is_new: bool) -> Doc:
    condition: Doc = {}
    for _ in range(count):
        operator, key, values = _comparison(scene, is_new)
        block = condition.setdefault(operator, {})
        if key.casefold() not in {each.casefold() for each in block}:
            block[_key_in_another_case(scene, key)] = values
    return condition


def _key_in_another_case(scene: Scene, key: str) -> str:
    return scene.rng.choice([key.lower(), key.upper()]) if scene.chance(0.1) else key


def _comparison(scene: Scene, is_new: bool) -> tuple[str, str, Any]:
    rng = scene.rng
    if scene.chance(0.12):
        return _null_comparison(scene)
    if scene.chance(0.12) and scene.principal["type"] != "Service":  # K-10 leaves the keys of a service open
        key = rng.choice(list(DERIVED_KEYS))
        operators, candidates = DERIVED_KEYS[key]
        return _operator(scene, rng.choice(operators), 0.05), key, _one_or_list(scene, _drawn(scene, candidates))
    is_multivalued = scene.chance(0.3)
    table = MULTIVALUED_KEYS if is_multivalued else KEYS
    key = rng.choice(list(table))
    operators, _, candidates, variables = table[key]
    if scene.chance(0.06):
        operators = rng.choice([ALL_OPERATORS, STRINGS]) if "ddress" not in key and "Ip" not in key else STRINGS
    if scene.chance(0.04):
        quantified = _operator(scene, rng.choice(operators), 0.6)
        return quantified.removesuffix("IfExists") if ":" in quantified else quantified, key, []
    operator = _operator(scene, rng.choice(operators), 0.8 if is_multivalued else 0.06)
    values = _drawn(scene, candidates + (variables * 2 if scene.chance(0.5) else []))
    return operator, key, _one_or_list(scene, [_unambiguous(operator, value, is_new) for value in values])


def _unambiguous(operator: str, value: Any, is_new: bool) -> Any:
    """Replace a value whose meaning the rules leave open for this operator or version."""
    if value == "r${*}d" and not is_new:
        return "r*d"
    return 3 if value == "+3" and "Date" in operator else value


def _null_comparison(scene: Scene) -> tuple[str, str, Any]:
    key = scene.rng.choice(
        [*KEYS, *MULTIVALUED_KEYS, "aws:PrincipalTag/none", "aws:username", *["app:colour", "aws:TagKeys"] * 3]
    )
    prefix = scene.rng.choice(["ForAllValues:", "ForAnyValue:"]) if scene.chance(0.05) else ""
    return f"{prefix}Null", key, scene.rng.choice([True, False, "true", "false", ["true"], [False]])


def _operator(scene: Scene, name: str, quantified: float) -> str:
    prefix = scene.rng.choice(["ForAllValues:", "ForAnyValue:"]) if scene.chance(quantified) else ""
    return prefix + name + ("IfExists" if scene.chance(0.2) else "")


def _drawn(scene: Scene, values: list[Any]) -> list[Any]:
    return [scene.rng.choice(values) for _ in range(scene.rng.choices([1, 2, 3], weights=[5, 3, 1])[0])]


def _context(scene: Scene) -> Doc:
    context: Doc = {}
    for key, (_, values, _, _) in KEYS.items():
        if scene.chance(0.72):
            context[_key_in_another_case(scene, key)] = _scalar_or_list(scene, values)
    for key, (_, values, _, _) in MULTIVALUED_KEYS.items():
        if scene.chance(0.75):
            several = _several(scene, values, scene.rng.choices([0, 1, 2, 3], weights=[1, 4, 4, 2])[0])
            context[key] = several[0] if len(several) == 1 and scene.chance(0.3) else several
    return context


def _scalar_or_list(scene: Scene, values: list[Any]) -> Any:
    if scene.chance(0.08):
        return _several(scene, values, scene.rng.randint(1, 2))
    return scene.rng.choice(values[:4] if scene.chance(0.6) else values)


def _several(scene: Scene, values: list[Any], count: int) -> list[Any]:
    """Draw a list; the rules leave open whether several empty strings are one empty value."""
    several = [scene.rng.choice(values) for _ in range(count)]
    return several if set(several) != {""} else [""]


# Invalid documents


def _insert_invalid_document(scene: Scene, policies: Doc) -> None:
    """Put one invalid document into the case, whether or not its type applies to the caller (N-9)."""
    place = scene.rng.choice(["identity", "identity", "session", "resource", "scps", "rcps", "vpc_endpoint"])
    kind = scene.principal["type"]
    if place in ("identity", "session") and kind not in ("AssumedRole", "FederatedUser"):  # N-5
        place = "identity" if kind == "User" else "resource"
    document = _unreadable(scene, place)
    if place in ("resource", "vpc_endpoint"):
        policies[place] = document
    elif place in ("scps", "rcps"):
        policies[place] = [*(policies[place] or []), [document]]
    else:
        policies[place] = [*(policies[place] or []), document]


def _unreadable(scene: Scene, place: str) -> Any:
    statement: Doc = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    if place in ("resource", "rcps", "vpc_endpoint"):
        statement["Principal"] = "*"
    changes: list[Doc] = [{"Effect": "allow"}, {"NotAction": "s3:*"}, {"Action": "GetObject"}, {"Resources": "*"}]
    changes += [{"Effect": None}, {"Condition": {"StringMatches": {"app:colour": "red"}}}]
    if place != "identity":
        changes += [{"Resource": ["*", "arn:aws:s3"]}] * 2  # G-64
    documents: list[Any] = [{"Version": NEW, "Statement": [statement | change]} for change in changes]
    if place in ("resource", "vpc_endpoint"):
        except_here = {"Effect": "Allow", "Action": "*", "Resource": "*", "NotPrincipal": {"AWS": HERE}}
        documents.append({"Version": NEW, "Statement": except_here})  # G-34
    without_action = {key: value for key, value in statement.items() if key != "Action"}
    documents += [{"Statement": without_action}, {"Statement": statement, "Comment": "x"}, "allow everything"]
    return scene.rng.choice(documents)
