"""Whom a change of rows concerns: which answers that a guard remembers it may have made untrue (rule T-9).

A table of tables, and doubt concerns everybody: what is not in it, or is changed in another way than it says, makes all
that is remembered untrue. INVARIANT: an answer that is kept says the same before and after the change. Must not live
here: remembering (`cached_store`), the questions (`queries`), which the sets below must be true of.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.store.identifiers import PREFIXES

UNCACHED_TABLES: Final = frozenset(
    {
        "access_key_uses",
        "credential_reports",
        "former_passwords",
        "instance_profiles",
        "issuer_keys",
        "jobs",
        "login_profiles",
        "mfa_devices",
        "oidc_providers",
        "password_policies",
        "saml_private_keys",
        "saml_providers",
        "server_certificates",
        "service_uses",
        "signing_certificates",
        "ssh_keys",
    }
)
"""No question about callers, accounts and resources reads these."""

_NEWCOMERS: Final = frozenset(
    {"access_keys", "api_keys", "identities", "policies", "policy_versions", "resources", "service_credentials"}
)
"""A new row of these is nobody's yet: it may be an answer where there was none before, and changes no other. A policy
is attached by a row of its own, and a new version of it becomes the one that counts by a change of the policy."""

_HOLDERS: Final = {"attachments": "identity_id", "inline_policies": "identity_id", "memberships": "user_id"}
"""The rows of these say what one identity may do: table -> the column with its unique id."""

_CALLERS: Final = (PREFIXES["user"], PREFIXES["role"])
"""How the unique ids of those begin who call for themselves; what a group may do concerns its members."""

MAX_CONCERNED: Final = 1_000
"""Identities that changes may have concerned before a change counts as one for all callers."""


class Invalidation:
    """Whom the changes of one transaction concern."""

    __slots__ = ("everybody", "identities", "newcomers")

    def __init__(self) -> None:
        self.everybody = False
        self.newcomers = False
        """Whether something is there that was asked for in vain before."""
        self.identities: set[str] = set()
        """Unique ids of users and roles whose policies are others now."""

    def inserted(self, table: str, values: Mapping[str, Any]) -> None:
        """Record a new row."""
        if table in _NEWCOMERS:
            self.newcomers = True
        else:
            self.changed(table, values)

    def changed(self, table: str, where: Mapping[str, Any], values: Mapping[str, Any] | None = None) -> None:
        """Record that rows were changed, or removed where there are no new `values`."""
        if table in UNCACHED_TABLES:
            return
        column = _HOLDERS.get(table)
        holder = None if column is None or column in (values or ()) else where.get(column)
        if isinstance(holder, str) and holder.startswith(_CALLERS):
            self.identities.add(holder)
        else:
            self.everybody = True


class InvalidatedCallers:
    """The epochs of the last changes that concerned single callers. Not safe by itself: its owner holds a lock."""

    __slots__ = ("_epochs", "_last")

    def __init__(self) -> None:
        self._epochs: dict[str, int] = {}
        self._last = 0

    @property
    def is_full(self) -> bool:
        """Whether no more fit in, so that the next change has to count as one for all callers."""
        return len(self._epochs) >= MAX_CONCERNED

    def clear(self) -> None:
        """Remove all, as when a change concerned all callers."""
        self._epochs.clear()
        self._last = 0

    def add(self, identities: Collection[str], epoch: int) -> None:
        """Add the identities, by unique id, that the change to this epoch concerned."""
        if identities:
            self._epochs.update(dict.fromkeys(identities, epoch))
            self._last = epoch

    def last_epoch(self, principal: Principal) -> int:
        """Return the epoch of the last change that concerned a principal; 0 where none did since the last `clear`."""
        if principal.type is PrincipalType.FEDERATED_USER:
            return self._last  # its policies are those of a user whose unique id is not in it
        return self._epochs.get((principal.userid or "").partition(":")[0], 0)  # P-13
