"""Which cached answers a change of rows invalidates (rule T-9).

A change of a table that is not listed below, or of a listed one in another way, invalidates all answers. INVARIANT: an
answer that stays cached is the same before and after the change. The sets below must agree with `queries`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.store.identifiers import PREFIXES

UNCACHED_TABLES: Final = frozenset(
    """
    access_key_uses credential_reports former_passwords instance_profiles issuer_keys jobs login_profiles
    mfa_devices oidc_providers password_policies saml_private_keys saml_providers server_certificates service_uses
    signing_certificates ssh_keys
""".split()
)
"""No cached answer is read from these."""

_NEGATIVE_ONLY: Final = frozenset(
    {"access_keys", "api_keys", "identities", "policies", "policy_versions", "resources", "service_credentials"}
)
"""A new row of these invalidates negative answers only. A policy is attached by a separate row, and a new version
becomes the default by a change of the policy's row."""

_OWNER_COLUMNS: Final = {"attachments": "identity_id", "inline_policies": "identity_id", "memberships": "user_id"}
"""Tables whose rows belong to one identity -> the column with its unique id."""

_CALLER_PREFIXES: Final = (PREFIXES["user"], PREFIXES["role"])
"""The prefixes of the unique ids of users and roles; a change of a group affects its members."""

MAX_INVALIDATED: Final = 1_000
"""The number of individually invalidated identities after which a change invalidates all callers."""


@dataclass(slots=True)
class Invalidation:
    """What the changes of one transaction invalidate."""

    all_callers: bool = False
    new_rows: bool = False
    """Whether negative answers are invalid."""
    identities: set[str] = field(default_factory=set)
    """Unique ids of users and roles whose policies have changed."""

    def inserted(self, table: str, values: Mapping[str, Any]) -> None:
        """Record a new row."""
        if table in _NEGATIVE_ONLY:
            self.new_rows = True
        else:
            self.changed(table, values)

    def changed(self, table: str, where: Mapping[str, Any], values: Mapping[str, Any] | None = None) -> None:
        """Record that rows were changed, or removed if `values` is None."""
        if table in UNCACHED_TABLES:
            return
        column = _OWNER_COLUMNS.get(table)
        owner = None if column is None or column in (values or ()) else where.get(column)
        if isinstance(owner, str) and owner.startswith(_CALLER_PREFIXES):
            self.identities.add(owner)
        else:
            self.all_callers = True


class InvalidatedCallers:
    """The epochs at which single principals were last invalidated. Not thread-safe: its owner holds a lock."""

    __slots__ = ("_epochs", "_last")

    def __init__(self) -> None:
        self._epochs: dict[str, int] = {}
        self._last = 0

    @property
    def is_full(self) -> bool:
        """Whether the limit is reached, so that the next change must invalidate all callers."""
        return len(self._epochs) >= MAX_INVALIDATED

    def clear(self) -> None:
        """Remove all, after a change that invalidated all callers."""
        self._epochs.clear()
        self._last = 0

    def add(self, identities: Collection[str], epoch: int) -> None:
        """Add the identities, by unique id, that the change to this epoch invalidated."""
        if identities:
            self._epochs.update(dict.fromkeys(identities, epoch))
            self._last = epoch

    def last_epoch(self, principal: Principal) -> int:
        """Return the epoch of the last change that invalidated the principal; 0 if none did since the last `clear`."""
        if principal.type is PrincipalType.FEDERATED_USER:
            return self._last  # its policies are those of a user; the user's unique id is not part of the session's
        return self._epochs.get((principal.userid or "").partition(":")[0], 0)  # P-13
