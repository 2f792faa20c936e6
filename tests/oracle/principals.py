"""How a principal element names the caller: directly, through its parent, or through its account (E-20).

Interpretations where the rules are open:
- A case has no canonical user ids, and its callers are never web identities (N-1): `CanonicalUser` and `Federated`
  entries match no caller.
- A root ARN names the account only in the caller's own partition (M-16).
- The `NotPrincipal` chain of a federated user is account → session, as in E-70; the federating user need not be listed.
- A `*` in `NotPrincipal` exempts no caller; its other entries do.
"""

from __future__ import annotations

import re
from enum import IntEnum

from .context import Principal
from .language import Principals, Statement


class Match(IntEnum):
    """The kinds of match, stronger ones greater (E-22)."""

    NONE = 0
    ACCOUNT = 1
    PARENT = 2
    DIRECT = 3


def principal_match(statement: Statement, caller: Principal, *, has_boundary: bool) -> Match:
    """Return how strongly a statement of a resource-type policy names the caller."""
    if statement.not_principal is not None:  # only with Deny (G-34), where the kind does not matter
        is_exempt = not has_boundary and _is_exempt(statement.not_principal, caller)  # E-74
        return Match.NONE if is_exempt else Match.DIRECT  # E-70
    entries = statement.principal or []  # G-27, G-31: no caller
    return max((_entry_match(key, value, caller) for key, value in entries), default=Match.NONE)  # G-41, E-22


def _entry_match(key: str, value: str, caller: Principal) -> Match:
    if key == "AWS" and value == "*":
        return Match.DIRECT  # G-45, E-61, E-62
    if key == "AWS" and caller.type not in ("Service", "Anonymous"):  # E-60, E-62
        return _aws_entry_match(value, caller)
    if key == "Service" and caller.type == "Service" and value == caller.arn:
        return Match.DIRECT  # G-47, E-60
    return Match.NONE


def _aws_entry_match(value: str, caller: Principal) -> Match:
    if _names_account(value, caller):
        return Match.DIRECT if caller.type == "Root" else Match.ACCOUNT  # E-20
    if _names_leaf(value, caller):
        return Match.DIRECT  # E-20
    if _names_parent(value, caller):
        return Match.PARENT  # E-20
    return Match.NONE


def _names_account(value: str, caller: Principal) -> bool:
    if value == caller.account:
        return True  # G-42, G-51
    partition = caller.arn.split(":")[1]
    return value == f"arn:{partition}:iam::{caller.account}:root"  # G-51


def _names_leaf(value: str, caller: Principal) -> bool:
    if value == caller.arn:
        return True  # G-50
    return caller.type == "User" and value == caller.userid  # P-7


def _names_parent(value: str, caller: Principal) -> bool:
    if caller.type == "FederatedUser":
        return value == caller.user_arn
    if caller.type == "AssumedRole":
        role_id = caller.userid.split(":")[0] if caller.userid else None
        return value in (caller.role_arn, role_id)  # P-3, P-7
    return False


def _is_exempt(listed: Principals, caller: Principal) -> bool:
    """Return whether the caller's leaf and all its parents are listed (E-71, E-72 strict)."""
    if caller.type == "Anonymous":
        return False  # E-75
    if caller.type == "Service":
        return ("Service", caller.arn) in listed  # E-75
    names = [value for key, value in listed if key == "AWS"]
    has_account = any(_names_account(name, caller) for name in names)
    has_leaf = any(_names_leaf(name, caller) for name in names)
    has_role = any(_names_parent(name, caller) for name in names)
    match caller.type:
        case "Root":
            return has_account  # E-71
        case "AssumedRole":
            return has_account and has_role and has_leaf  # E-71
        case _:
            return has_account and has_leaf  # E-71


def is_role_arn(arn: str) -> bool:
    """Return whether an ARN is that of a role (E-42)."""
    return re.fullmatch(r"arn:[^:]*:iam::[0-9]*:role/.+", arn) is not None
