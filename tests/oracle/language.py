"""The policy language: parse a JSON document into statements, or refuse it (N-9).

Only the structure is checked. What only a write refuses (sizes, Sids, `Id`, unusual principals, wildcards in most ARN
fields) is accepted unchanged.

Interpretations where N-9 is open:
- Wrong JSON types (G-16, G-17), a `Version` of another value (G-3) and a missing `Statement` (G-7) are refused. An
  empty `Statement` array (G-8, refused on write) has no statements.
- Both or neither of `Resource`/`NotResource` is refused, except neither in a resource-based policy (M-26).
  Both `Principal` and `NotPrincipal` is refused (G-23).
- `Principal`/`NotPrincipal` in identity, boundary, session and service control policies is refused (G-30, A.3).
  In a trust policy `NotPrincipal` and `Resource` (G-32) are evaluated: a case does not mark trust policies.
- An action is refused unless it is `*` or has exactly one colon after a literal prefix of letters, digits, `-`, `.`
  (G-60, G-61).
- A boundary is a managed policy (G-38) and may have short ARNs like any identity-based policy (G-64).
- A resource with a wildcard in its written service field is refused: evaluation accepts wildcards "in every field but
  the service" (G-65). A short ARN that ends before the service field is completed (G-64).
- Two condition keys that differ only by letter case are duplicates (G-11). `NullIfExists` is not an operator (C-30).
- A wildcard in a `Service` or `Federated` principal is refused (G-46), one in an `AWS` principal is a literal (G-44).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .operators import is_operator


class Refused(Exception):
    """The document or the case is invalid (N-9)."""


class DuplicateKeys(dict[str, Any]):
    """A JSON object with a duplicate key (G-10)."""


class Kind(Enum):
    """The type of a document; the rules of A.3 differ by it."""

    IDENTITY = "identity"
    BOUNDARY = "boundary"
    SESSION = "session"
    RESOURCE = "resource"
    SCP = "scp"
    RCP = "rcp"
    VPC_ENDPOINT = "vpc_endpoint"


WITH_PRINCIPAL = {Kind.RESOURCE, Kind.RCP, Kind.VPC_ENDPOINT}
WITH_SHORT_ARNS = {Kind.IDENTITY, Kind.BOUNDARY}
DOCUMENT_KEYS = {"Version", "Id", "Statement"}
STATEMENT_KEYS = {
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
}
PRINCIPAL_KEYS = {"AWS", "Federated", "Service", "CanonicalUser"}
ACTION = re.compile(r"\*|[A-Za-z0-9.-]+:[^:]*")

Principals = list[tuple[str, str]]


@dataclass(frozen=True)
class Condition:
    """One operator, one key and its values as text (G-15)."""

    operator: str
    key: str
    values: list[str]


@dataclass(frozen=True)
class Statement:
    """One statement; `None` for an absent element. Principals are (map key, value) pairs."""

    effect: str
    has_variables: bool
    principal: Principals | None
    not_principal: Principals | None
    action: list[str] | None
    not_action: list[str] | None
    resource: list[str] | None
    not_resource: list[str] | None
    conditions: list[Condition]


def read_document(document: object, kind: Kind) -> list[Statement]:
    """Parse a policy document, or raise `Refused`."""
    top = _an_object(document)
    _check_names(top, DOCUMENT_KEYS)  # G-1, G-2
    version = top.get("Version", "2008-10-17")  # G-4
    if version not in ("2008-10-17", "2012-10-17"):
        raise Refused(f"unknown version `{version}`")  # G-3
    if "Id" in top:
        _a_string(top["Id"])  # G-6
    if "Statement" not in top:
        raise Refused("statement missing")  # G-7
    statements = top["Statement"]
    if not isinstance(statements, list):
        statements = [statements]  # G-7
    return [_read_statement(_an_object(statement), kind, version == "2012-10-17") for statement in statements]


def _read_statement(statement: dict[str, Any], kind: Kind, has_variables: bool) -> Statement:
    _check_names(statement, STATEMENT_KEYS)  # G-20
    if "Sid" in statement:
        _a_string(statement["Sid"])
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise Refused("effect is neither Allow nor Deny")  # G-21
    if ("Action" in statement) == ("NotAction" in statement):
        raise Refused("exactly one of Action and NotAction is required")  # G-22
    _check_principal_elements(statement, kind)
    _check_resource_elements(statement, kind)
    return Statement(
        effect=statement["Effect"],
        has_variables=has_variables,  # G-5
        principal=_principals(statement, "Principal"),
        not_principal=_principals(statement, "NotPrincipal"),
        action=_actions(statement, "Action"),
        not_action=_actions(statement, "NotAction"),
        resource=_resources(statement, "Resource", kind),
        not_resource=_resources(statement, "NotResource", kind),
        conditions=_conditions(statement.get("Condition", {})),  # C-6
    )


def _check_principal_elements(statement: dict[str, Any], kind: Kind) -> None:
    named = [key for key in ("Principal", "NotPrincipal") if key in statement]
    if len(named) == 2:
        raise Refused("Principal and NotPrincipal exclude each other")  # G-23
    if named and kind not in WITH_PRINCIPAL:
        raise Refused(f"`{named[0]}` in a policy that has none")  # G-30
    if named == ["NotPrincipal"] and statement["Effect"] == "Allow":
        raise Refused("NotPrincipal with Allow")  # G-34


def _check_resource_elements(statement: dict[str, Any], kind: Kind) -> None:
    named = [key for key in ("Resource", "NotResource") if key in statement]
    if len(named) == 2:
        raise Refused("Resource and NotResource exclude each other")  # G-23
    if not named and kind is not Kind.RESOURCE:
        raise Refused("Resource or NotResource is required")  # A.3; M-26


def _principals(statement: dict[str, Any], element: str) -> Principals | None:
    if element not in statement:
        return None
    if statement[element] == "*":
        return [("AWS", "*")]  # G-45
    named = _an_object(statement[element])
    _check_names(named, PRINCIPAL_KEYS)  # G-40
    pairs = [(key, value) for key, values in named.items() for value in _strings(values)]  # G-41
    if any(key in ("Service", "Federated") and ("*" in value or "?" in value) for key, value in pairs):
        raise Refused("wildcard in a Service or Federated principal")  # G-46
    return pairs


def _actions(statement: dict[str, Any], element: str) -> list[str] | None:
    if element not in statement:
        return None
    actions = _strings(statement[element])
    for action in actions:
        if not ACTION.fullmatch(action):
            raise Refused(f"`{action}` is no action")  # G-60, G-61, G-62
    return actions


def _resources(statement: dict[str, Any], element: str, kind: Kind) -> list[str] | None:
    if element not in statement:
        return None
    resources = _strings(statement[element])
    for resource in resources:
        _check_resource(resource, kind)
    return resources


def _check_resource(resource: str, kind: Kind) -> None:
    if resource == "*":
        return  # G-63
    split = resource.split(":", 5)
    if len(split) < 6 and kind not in WITH_SHORT_ARNS:
        raise Refused(f"short ARN `{resource}`")  # G-64
    if len(split) > 2 and ("*" in split[2] or "?" in split[2]):
        raise Refused(f"wildcard in the service field of `{resource}`")  # G-65


def _conditions(element: object) -> list[Condition]:
    read = []
    for operator, block in _an_object(element).items():
        if not is_operator(operator):
            raise Refused(f"unknown operator `{operator}`")  # G-66
        keys = _an_object(block)
        if len({key.casefold() for key in keys}) < len(keys):
            raise Refused("condition keys that differ only by letter case")  # G-11
        read += [Condition(operator, key, _condition_values(values)) for key, values in keys.items()]
    return read


def _condition_values(values: object) -> list[str]:
    listed = values if isinstance(values, list) else [values]  # G-14
    return [as_text(value) for value in listed]


def as_text(value: object) -> str:
    """Return the string form of a JSON scalar (G-15)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise Refused("a string, number or boolean was expected")  # G-17


def _an_object(value: object) -> dict[str, Any]:
    if isinstance(value, DuplicateKeys):
        raise Refused("duplicate keys")  # G-10
    if not isinstance(value, dict):
        raise Refused("an object was expected")  # G-16
    return value


def _check_names(value: dict[str, Any], names: set[str]) -> None:
    unknown = set(value) - names
    if unknown:
        raise Refused(f"unknown elements {sorted(unknown)}")  # G-1, G-20, G-40


def _a_string(value: object) -> str:
    if not isinstance(value, str):
        raise Refused("a string was expected")  # G-16
    return value


def _strings(value: object) -> list[str]:
    listed = value if isinstance(value, list) else [value]  # G-14
    return [_a_string(each) for each in listed]
