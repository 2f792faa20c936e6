"""The request and its context keys, with those that are derived from the principal (K-10, N-3).

Interpretations where the rules are open:
- `aws:PrincipalArn` of a role session without a `role_arn` in the case is the role without a path.
- `aws:userid` of a user or role session is absent if the case has no `userid`.
- A service principal has `aws:PrincipalType` = `Service` and neither ARN, account, user id nor user name.
- `null` in a context is an absent key. Two keys that differ only by case make the case undecidable (C-4).
- A multivalued key (tables E.1 to E.5, K-32) has no value as a variable, even if absent with a default (V-6).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .language import Refused, as_text

PRINCIPAL_TYPES = {
    "User": "User",
    "AssumedRole": "AssumedRole",
    "FederatedUser": "FederatedUser",
    "Root": "Account",
    "Service": "Service",
    "Anonymous": "Anonymous",
}

MULTIVALUED = {
    "aws:principalorgpaths",
    "aws:principalservicenameslist",
    "aws:vpceorgpaths",
    "aws:resourceorgpaths",
    "aws:calledvia",
    "aws:tagkeys",
    "aws:sourceorgpaths",
    "sts:transitivetagkeys",
    "sts:requestcontextproviders",
    "sts:identitytokenaudience",
    "sts:identitytokenscope",
}


@dataclass(frozen=True)
class Principal:
    """The caller (N-1)."""

    type: str
    arn: str
    account: str | None
    role_arn: str | None
    user_arn: str | None
    userid: str | None
    has_unprinted_boundary: bool

    @property
    def is_service_linked(self) -> bool:
        """Return whether the session is of a service-linked role, by the role's path (P-14)."""
        return self.role_arn is not None and self.role_arn.split(":", 5)[5].startswith("role/aws-service-role/")


@dataclass(frozen=True)
class Request:
    """The caller, the action, the resource and the context (N-1, N-2)."""

    principal: Principal
    action: str
    resource: str
    resource_account: str | None
    context: dict[str, Any]

    def values(self, key: str) -> list[str] | None:
        """Return the values of a key in any letter case (C-3); `None` if it is absent or empty (N-10)."""
        value = self.context.get(key.casefold())
        listed = value if isinstance(value, list) else [value]
        if value is None or listed == []:
            return None
        return [as_text(each) for each in listed]

    def variable(self, key: str, default: str | None) -> str | None:
        """Return the text of a variable, or `None` for "no value"."""
        name = key.casefold()  # V-7
        if name in MULTIVALUED or name.endswith(":amr"):
            return None  # V-6
        value = self.context.get(name)
        if value is None:
            return default  # V-8, V-9
        if isinstance(value, list) or value == "":
            return None  # V-16
        return as_text(value)


def read_request(request: dict[str, Any]) -> Request:
    """Parse the `request` of a case."""
    if not {"principal", "action", "resource"} <= set(request) or not {"type", "arn"} <= set(request["principal"]):
        raise Refused("the request is incomplete")  # N-1, N-2
    principal = _read_principal(request["principal"])
    context_members = request.get("context") or {}
    context = {key.casefold(): value for key, value in context_members.items()}
    if len(context) < len(context_members):
        raise Refused("context keys that differ only by letter case")  # C-4
    return Request(
        principal=principal,
        action=request["action"],
        resource=request["resource"],
        resource_account=request.get("resource_account"),
        context={**_derived(principal), **context},  # N-3: a key of the case overrides a derived one
    )


def _read_principal(principal: dict[str, Any]) -> Principal:
    kind, arn = principal["type"], principal["arn"]
    if kind not in PRINCIPAL_TYPES:
        raise Refused(f"unknown principal type `{kind}`")
    role_arn = principal.get("role_arn")
    if kind == "AssumedRole" and role_arn is None:
        role_arn = re.sub(r":sts:(.*):assumed-role/([^/]*)/.*", r":iam:\1:role/\2", arn)
    return Principal(
        type=kind,
        arn=arn,
        account=principal.get("account"),
        role_arn=role_arn if kind == "AssumedRole" else None,
        user_arn=principal.get("user_arn") if kind == "FederatedUser" else None,
        userid=principal.get("userid"),
        has_unprinted_boundary=principal.get("boundary") is True,
    )


def _derived(principal: Principal) -> dict[str, Any]:
    keys = {
        "aws:principalarn": _principal_arn(principal),
        "aws:principalaccount": "anonymous" if principal.type == "Anonymous" else principal.account,  # E.1
        "aws:principaltype": PRINCIPAL_TYPES[principal.type],
        "aws:userid": _userid(principal),
        "aws:username": principal.arn.rpartition("/")[2] if principal.type == "User" else None,
    }
    return {key: value for key, value in keys.items() if value is not None}  # K-2


def _principal_arn(principal: Principal) -> str | None:
    match principal.type:
        case "AssumedRole":
            return principal.role_arn  # the role, never the session
        case "Service" | "Anonymous":
            return None
        case _:
            return principal.arn


def _userid(principal: Principal) -> str | None:
    if principal.userid is not None:
        return principal.userid
    match principal.type:
        case "Root":
            return principal.account
        case "FederatedUser":
            return f"{principal.account}:{principal.arn.rpartition('/')[2]}"
        case "Anonymous":
            return "anonymous"
        case _:
            return None
