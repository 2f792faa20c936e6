"""What every step of applying a seed works with: the transaction, the seed, the names known so far, what was noted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection

from iam_guard.store.identifiers import PREFIXES, fold, iam_arn
from iam_guard.store.seed.problems import Problems
from iam_guard.store.seed.seed_values import Seed, SeedIdentity
from iam_guard.store.sql_store import SqlStore

Named = tuple[str, str, str]
"""Account, kind (`user`, `group`, `role`, `policy`) and folded name: what is unique."""


@dataclass(slots=True)
class Run:
    """One application of a seed. `prune` and `whole` are those of `apply_seed`."""

    connection: Connection
    store: SqlStore
    seed: Seed
    prune: bool
    whole: bool
    now: int
    problems: Problems
    lines: list[str] = field(default_factory=list)
    ids: dict[Named, str] = field(default_factory=dict)
    """The unique ids of what is declared and of what stays beside it in the declared accounts."""
    arns: dict[str, str] = field(default_factory=dict)
    """The ARN of each of these -> its unique id."""
    arns_by_id: dict[str, str] = field(default_factory=dict)

    @property
    def account_ids(self) -> list[str]:
        return [account.id for account in self.seed.accounts]

    def identities(self) -> Iterator[tuple[str, SeedIdentity, str]]:
        """Walk over the declared identities with account and unique id; groups come before users and roles."""
        for account in self.seed.accounts:
            for identity in account.identities:
                yield account.id, identity, self.ids[account.id, identity.kind, fold(identity.name)]

    def know(self, account: str, kind: str, path: str, name: str, id: str) -> None:
        """Remember something that will be there."""
        self.ids[account, kind, fold(name)] = id
        arn = self.arn(account, kind, path, name)
        self.arns[arn], self.arns_by_id[id] = id, arn

    def id_for(self, named: Named, before: str | None) -> str:
        """Return the unique id that something keeps, or a new one."""
        return before or self.store.ids(PREFIXES[named[1]], "/".join(named))

    def arn(self, account: str, kind: str, path: str, name: str) -> str:
        return iam_arn(self.store.partition, account, kind, path, name)

    def note(self, verb: str, what: str, parts: tuple[str, ...] = ()) -> None:
        """Record a change for people to read: `updated user arn:…: tags, groups`."""
        self.lines.append(f"{verb} {what}" + (f": {', '.join(parts)}" if parts else ""))
