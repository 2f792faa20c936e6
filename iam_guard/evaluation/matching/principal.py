"""Match the `Principal` and `NotPrincipal` elements with the caller (rules G-42 to G-51, E-20 to E-22, E-70 to E-75).

Entries are compared literally (G-44, G-50). `CanonicalUser` entries match no caller.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.policy.document import PrincipalEntry


class PrincipalMatch(IntEnum):
    """How an entry names the caller; a more direct match is greater (rules E-20, E-22)."""

    ACCOUNT = 1
    """By its account."""
    PARENT = 2
    """By its role, or by the user that federated it."""
    DIRECT = 3
    """By its own name, or by `*`."""


class Principals:
    """The compiled entries of one element."""

    __slots__ = ("_ids", "_names", "_names_everyone", "_providers", "_services")

    def __init__(self, entries: Iterable[PrincipalEntry]) -> None:
        entries = tuple(entries)
        self._names = frozenset(value for kind, value in entries if kind == "AWS")
        self._ids = frozenset(name for name in self._names if name.startswith(("AIDA", "AROA")))  # P-7
        self._services = frozenset(value for kind, value in entries if kind == "Service")
        self._providers = frozenset(value for kind, value in entries if kind == "Federated")
        self._names_everyone = ("AWS", "*") in entries

    def match(self, principal: Principal) -> PrincipalMatch | None:
        """Return the most direct match of the caller; None if the element does not name it (rule E-22)."""
        if self._names_everyone:
            return PrincipalMatch.DIRECT  # G-45, E-61, E-62
        match principal.type:
            case PrincipalType.SERVICE:
                return PrincipalMatch.DIRECT if principal.arn in self._services else None  # G-47, E-60
            case PrincipalType.FEDERATED:
                return PrincipalMatch.DIRECT if principal.arn in self._providers else None  # G-48
            case PrincipalType.ANONYMOUS:
                return None  # E-62
            case PrincipalType.ROOT:
                return PrincipalMatch.DIRECT if self._has_account(principal) else None  # E-20
        if self._has_caller(principal):
            return PrincipalMatch.DIRECT
        if self._has_parent(principal):
            return PrincipalMatch.PARENT
        return PrincipalMatch.ACCOUNT if self._has_account(principal) else None

    def exempts(self, principal: Principal) -> bool:
        """Return whether this `NotPrincipal` exempts the caller: the caller and all its parents are listed (rule E-71).

        This is the strict mode of rule E-72: a caller without its parents is not exempt. `*` exempts no caller.
        """
        if principal.has_boundary:
            return False  # E-74
        match principal.type:
            case PrincipalType.SERVICE:
                return principal.arn in self._services  # E-75
            case PrincipalType.FEDERATED:
                return principal.arn in self._providers
            case PrincipalType.ANONYMOUS:
                return False  # E-75
            case PrincipalType.ROOT:
                return self._has_account(principal)
            case PrincipalType.ASSUMED_ROLE:
                return self._has_caller(principal) and self._has_parent(principal) and self._has_account(principal)
            case PrincipalType.USER | PrincipalType.FEDERATED_USER:
                return self._has_caller(principal) and self._has_account(principal)

    def _has_caller(self, principal: Principal) -> bool:
        if principal.arn in self._names:
            return True
        return principal.type is PrincipalType.USER and principal.userid in self._ids  # P-7

    def _has_parent(self, principal: Principal) -> bool:
        match principal.type:
            case PrincipalType.ASSUMED_ROLE:
                role_id = (principal.userid or "").partition(":")[0]
                return principal.role_arn in self._names or role_id in self._ids  # P-3, P-7
            case PrincipalType.FEDERATED_USER:
                return principal.user_arn in self._names
            case _:
                return False

    def _has_account(self, principal: Principal) -> bool:
        if principal.account is None:
            return False
        if principal.account in self._names:
            return True
        partition = principal.arn.split(":", 2)[1]  # INVARIANT: callers with an account have an ARN (`Principal`)
        return f"arn:{partition}:iam::{principal.account}:root" in self._names  # G-51
