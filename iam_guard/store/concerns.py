"""Whom a change of rows concerns: which answers that a guard remembers it may have made untrue (rule T-9).

A table of tables, and doubt concerns everybody: what is not in it, or is changed in another way than it says, makes all
that is remembered untrue. INVARIANT: an answer that is kept says the same before and after the change. Must not live
here: remembering (`cached`), the questions (`queries`), which the sets below must be true of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from iam_guard.store.identifiers import PREFIXES

_NOBODYS: Final = frozenset(
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


class Concerns:
    """Whom the changes of one transaction concern."""

    __slots__ = ("everybody", "identities", "newcomers")

    def __init__(self) -> None:
        self.everybody = False
        self.newcomers = False
        """Whether something is there that was asked for in vain before."""
        self.identities: set[str] = set()
        """Unique ids of users and roles whose policies are others now."""

    def inserted(self, table: str, values: Mapping[str, Any]) -> None:
        """Note a new row."""
        if table in _NEWCOMERS:
            self.newcomers = True
        else:
            self.changed(table, values)

    def changed(self, table: str, where: Mapping[str, Any], values: Mapping[str, Any] | None = None) -> None:
        """Note that rows were changed, or removed where there are no new `values`."""
        if table in _NOBODYS:
            return
        column = _HOLDERS.get(table)
        holder = None if column is None or column in (values or ()) else where.get(column)
        if isinstance(holder, str) and holder.startswith(_CALLERS):
            self.identities.add(holder)
        else:
            self.everybody = True
