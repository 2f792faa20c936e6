"""What a step of a sign-in has verified, and the stored rows that this stands on, as they were then.

A secret is compared, or a decision made, before the transaction that issues a session. So a step returns its
`VerifiedStep`, and the issuing transaction finds the rows again: the password, the device or the code must still be the
same, and the session that continues must not have ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iam_guard.authn.people.person import Person
from iam_guard.store.database.records import Records, Row, Table
from iam_guard.store.schema import login_profiles


@dataclass(frozen=True, slots=True)
class Evidence:
    """A stored row that something was verified with: its key, and the values that its columns may have."""

    table: Table = field(repr=False)
    key: tuple[tuple[str, Any], ...] = field(repr=False)
    columns: tuple[tuple[str, tuple[Any, ...]], ...] = field(repr=False)

    @classmethod
    def of(cls, table: Table, row: Mapping[str, Any] | Row, *columns: str) -> Evidence:
        """Return a row as it is now; its columns must stay the same."""
        key = tuple((column.name, row[column.name]) for column in table.primary_key)
        return cls(table, key, tuple((name, (row[name],)) for name in columns))

    def find_unchanged(self, records: Records) -> Row | None:
        """Return the row; None if it is gone, or is not the same."""
        row = records.one(self.table, **dict(self.key))
        return row if row is not None and all(row[name] in values for name, values in self.columns) else None


@dataclass(frozen=True, slots=True)
class VerifiedStep:
    """A person whose password, second factor or passkey was verified; only this gets a session.

    `follows` is the id of the session that continues, which the new one replaces. With `leaves_password_out`, nothing
    has to be done before the session authorizes.
    """

    person: Person
    evidence: Evidence
    follows: str | None = None
    leaves_password_out: bool = False

    def holds(self, records: Records) -> bool:
        """Return whether the evidence is still there, and the person's; safe only in a write transaction."""
        row = self.evidence.find_unchanged(records)
        return row is not None and all(row[name] == value for name, value in self.person.where.items())


def password_evidence(profile: Mapping[str, Any] | Row, *renewed: str) -> Evidence:
    """Return the evidence of the password of a login profile; `renewed` are further digests of the same password."""
    return Evidence(login_profiles, (("owner", profile["owner"]),), (("digest", (profile["digest"], *renewed)),))
