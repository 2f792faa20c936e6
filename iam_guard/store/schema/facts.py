"""What a table declares beside its columns: what its changes invalidate, and what of it is a person's.

It is in the `info` of the table. `invalidation`, `personal_tables`, `personal_data` and `account_deletion` read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from sqlalchemy import Table

UNCACHED: Final = ""
"""The names of a table that no cached answer is read from."""

Owner: TypeAlias = Literal["id", "user_id", "identity_id", "person", "access key", "device", "password", "tool"]
"""The column with the unique id of the user, or how `personal_tables` finds rows that a root user can have, too."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of a table. Several names or columns are separated by spaces.

    A table has an owner, or says what is done with people that its rows name (`naming`), or why it has nothing of
    people (`impersonal`).
    """

    names: str
    """What a changed row invalidates, with the row's columns in braces (`invalidation`)."""
    insert: str | None = None
    """What a new row invalidates; None: the same."""
    delete: str | None = None
    """What a deleted row invalidates; None: the same."""
    unread: str = ""
    """Columns that no cached answer is read from: a change of only these invalidates nothing."""
    key: str = ""
    """Columns whose change invalidates what a deletion does."""
    owner: Owner | None = None
    """Whose rows they are: exported and erased with a person."""
    naming: str = ""
    impersonal: str = ""
    exported: str = ""
    """Columns that the person may see: never a secret, nor a digest of one."""
    withheld: str = ""
    """The other columns of an owner's table, without those that are sealed or refer to the owner."""
    about: str = ""
    """Columns that say whom a row is about; the rows about a person are exported and erased, too."""
    recorded: str = ""
    """The column that records of the trail name a row by."""
    kept_until: str = ""
    """The column with the time from which a new row of the table may delete this one."""

    @property
    def on_insert(self) -> str:
        return self.names if self.insert is None else self.insert

    @property
    def on_delete(self) -> str:
        return self.names if self.delete is None else self.delete


def facts_of(table: Table) -> Facts:
    """Return the facts that a table declares."""
    facts: Facts = table.info["facts"]
    return facts
