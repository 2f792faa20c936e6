"""The state that is shared by the steps of applying a seed."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, RowMapping, Select, and_, select

from iam_guard.errors import StoreUnavailable
from iam_guard.policy.document import Document
from iam_guard.policy.problems import Problems
from iam_guard.store.identifiers import PREFIXES, fold, iam_arn
from iam_guard.store.policies.principal_bindings import FoundIdentity, bound, invalid_principal
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import accounts, identities
from iam_guard.store.seed.row_sync import Delta
from iam_guard.store.seed.seed_values import Seed

EntityKey = tuple[str, str, str]
"""Account, kind (`user`, `group`, `role`, `policy`) and folded name, which are unique together."""

_MAX_PARAMETERS = 5000


@dataclass(slots=True)
class Run:
    """One application of a seed. `prune` and `whole` are those of `apply_seed`."""

    connection: Connection
    store: RecordStore
    seed: Seed
    prune: bool
    whole: bool
    now: int
    problems: Problems
    lines: list[str] = field(default_factory=list)
    ids: dict[EntityKey, str] = field(default_factory=dict)
    """The unique ids of declared entities, and of other remaining ones in the declared accounts."""
    arns: dict[str, str] = field(default_factory=dict)
    """The ARN of each of these entities -> its unique id."""
    arns_by_id: dict[str, str] = field(default_factory=dict)

    @property
    def account_ids(self) -> list[str]:
        return [account.id for account in self.seed.accounts]

    def rows(self, column: Column[Any], values: Iterable[Any]) -> list[RowMapping]:
        """Return the rows of the column's table in which it has one of any number of values."""
        return self._among(select(column.table), column, values)

    def owners(self, column: ColumnElement[Any], values: Iterable[str]) -> list[RowMapping]:
        """Return `id` and `value` of the accounts in which a column, or a function of one, has one of these values."""
        return self._among(select(accounts.c.id, column.label("value")), column, values)

    def _among(self, query: Select[Any], column: ColumnElement[Any], values: Iterable[Any]) -> list[RowMapping]:
        remaining = list(values)
        rows: list[RowMapping] = []
        for start in range(0, len(remaining), _MAX_PARAMETERS):
            some = query.where(column.in_(remaining[start : start + _MAX_PARAMETERS]))
            rows += self.connection.execute(some).mappings()
        return rows

    def register(self, account: str, kind: str, path: str, name: str, id: str) -> None:
        """Register the unique id and ARN of an entity that will exist."""
        self.ids[account, kind, fold(name)] = id
        arn = self.arn(account, kind, path, name)
        self.arns[arn], self.arns_by_id[id] = id, arn

    def id_for(self, key: EntityKey, stored: RowMapping | None) -> str:
        """Return the unique id of an entity, of its stored row or a new one."""
        return str(stored["id"]) if stored is not None else self.store.ids(PREFIXES[key[1]], "/".join(key))

    def arn(self, account: str, kind: str, path: str, name: str) -> str:
        return iam_arn(self.store.partition, account, kind, path, name)

    def seal(self, secret: str, context: bytes, before: bytes | None) -> bytes:
        """Return a sealed secret: the one from before if it is of this secret."""
        with suppress(StoreUnavailable):  # sealed with a key that was removed, so it is sealed again
            if before is not None and hmac.compare_digest(self.store.sealer.open(before, context), secret.encode()):
                return before
        return self.store.sealer.seal(secret.encode(), context)

    def bind(self, document: Document, line: int) -> dict[str, str]:
        """Return the unique id of each user and role named as principal (P-5); report those that won't exist (P-8)."""
        found = bound(document, self.store.partition, has_account=self._has_account, find=self._find)
        for text in found.unknown:
            self.problems.add(line, invalid_principal(text))
        return found.bindings

    def _has_account(self, account: str) -> bool:
        if account in self.account_ids:
            return True
        return bool(self.rows(accounts.c.id, [account]))

    def _find(self, account: str, kind: str, name: str) -> FoundIdentity | None:
        if account in self.account_ids:
            id = self.ids.get((account, kind, fold(name)))
            return None if id is None else (id, self.arns_by_id[id])
        this = and_(identities.c.account == account, identities.c.kind == kind, identities.c.folded == fold(name))
        row = self.connection.execute(select(identities).where(this)).mappings().one_or_none()
        return None if row is None else (str(row["id"]), self.arn(account, kind, row["path"], row["name"]))

    def record(self, verb: str, what: str, parts: tuple[str, ...] = ()) -> None:
        """Record a change as text: `updated user arn:…: tags, groups`."""
        self.lines.append(f"{verb} {what}" + (f": {', '.join(parts)}" if parts else ""))

    def record_delta(self, delta: Delta, describe: Callable[[str], str], **part_of_column: str) -> None:
        """Record the changed rows of a table; a part is named like its column, unless `part_of_column` says otherwise.

        `describe` returns the text for the key of a row.
        """
        for verb, keys in (("created", delta.created), ("updated", delta.updated), ("deleted", delta.deleted)):
            for (key,) in keys:
                parts = [part_of_column.get(column, column) for column in delta.updated.get((key,), ())]
                self.record(verb, describe(key), tuple(dict.fromkeys(parts)))
