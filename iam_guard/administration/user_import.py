"""Bulk import of users with their groups, policies and credentials: `guard.users.import_rows`.

Rows are imported in batches, each in a transaction of its own, so that the store's lock is held shortly. A batch first
reads which of its users exist: rows of existing users are compared with them, and change nothing. So an import that was
interrupted is run again with the same rows. A batch with an invalid row is not imported, nor are those after it, unless
invalid rows are skipped.

A change of so many users would name each of them in the change feed. Answers about a user that does not exist depend on
`newcomers:ACCOUNT`, and those about missing keys on `newkeys`, so a batch names only these: no other answer changes.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeAlias

from iam_guard.administration.api_key_file import ApiKeyFile, UserKey
from iam_guard.administration.user_lookup import (
    ExistingUser,
    References,
    differences_of,
    invalid_reference,
    load_existing,
    users_named,
)
from iam_guard.administration.user_rows import UserRow, UserRowReader
from iam_guard.authn import api_key
from iam_guard.errors import AccountStateConflict, InvalidInput, LimitExceeded
from iam_guard.model.account import AccountState
from iam_guard.model.result import CallResult, ChangeRecorder
from iam_guard.policy.problems import Problems
from iam_guard.store.accounts.account_rows import find_account
from iam_guard.store.database.records import Records, Table
from iam_guard.store.identifiers import PREFIXES, Kind, fold, iam_arn
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import (
    api_keys,
    attachments,
    identities,
    login_profiles,
    memberships,
    meta,
    service_credentials,
)

BATCH: Final = 500
"""The default number of rows in a transaction."""
MAX_BATCH: Final = 5000
MAX_DIFFERENCES: Final = 1000
"""Differing rows that a result lists; all are counted."""

_TABLES: Final = (identities, memberships, attachments, api_keys, login_profiles)
"""The tables of users and of what belongs to them, in the order of insertion."""

NumberedRow: TypeAlias = tuple[int, object]
"""A row with its line: a mapping with the keys of a user in a seed, or a text that says why the line is no row."""
Skip: TypeAlias = Callable[[int, object, str], None]
"""Gets the line, the row and the problem of a skipped row."""


@dataclass(slots=True)
class ImportedUsers:
    """What an import did. `differences` has lines of rows whose user exists and differs, and the keys that differ.

    `recovered_keys` are API keys that an interrupted import had created, and that are listed now.
    """

    created: int = 0
    unchanged: int = 0
    differing: int = 0
    skipped: int = 0
    api_keys: int = 0
    recovered_keys: int = 0
    differences: dict[int, tuple[str, ...]] = field(default_factory=dict)


class Users:
    """The users of a store's accounts, for the application. Safe to share between threads."""

    def __init__(self, store: RecordStore, change_recorder: ChangeRecorder, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._change_recorder = change_recorder
        self._clock = clock

    def import_rows(
        self,
        account: str,
        rows: Iterable[Mapping[str, Any]],
        *,
        batch: int = BATCH,
        api_keys: str | os.PathLike[str] | None = None,
        create_groups: bool = False,
        skip: Skip | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> ImportedUsers:
        """Create the users that rows describe; a row has the keys of a user in a seed, and `api_key`.

        New API keys are appended to the file `api_keys`. `skip` is called for invalid rows; without it, they raise
        `SeedError` with the problems of their batch, of which nothing is imported. `progress` gets the number of rows
        of each batch. Raises `NoSuchEntity`, `AccountStateConflict` for one that is not active, `LimitExceeded`,
        `ConfigurationError` for the file, `StoreIsReadOnly`.
        """
        total = len(rows) if isinstance(rows, Collection) else 0
        run = UserImport(self._store, self._change_recorder, account, clock=self._clock, create_groups=create_groups)
        return run.run(enumerate(rows, 1), total=total, batch=batch, keys=api_keys, skip=skip, progress=progress)


class UserImport:
    """Imports rows into one account of a store. `name` is that of the rows in messages."""

    def __init__(
        self,
        store: RecordStore,
        change_recorder: ChangeRecorder,
        account: str,
        *,
        clock: Callable[[], datetime],
        create_groups: bool = False,
        name: str = "row",
    ) -> None:
        self._store = store
        self._change_recorder = change_recorder
        self._account = account
        self._clock = clock
        self._creates_groups = create_groups
        self._name = name
        self._done = ImportedUsers()
        self._keys: ApiKeyFile | None = None
        self._skip: Skip | None = None
        self._counted = (-1, 0)
        """The epoch after the last batch, and the number of users then."""
        self._next_statistics = 1
        """The number of created users with which the planner's statistics are updated."""

    def run(
        self,
        rows: Iterable[NumberedRow],
        *,
        total: int = 0,
        batch: int = BATCH,
        keys: str | os.PathLike[str] | None = None,
        skip: Skip | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> ImportedUsers:
        """Import the rows, as `Users.import_rows` does; `total` is their number, if it is known."""
        if not 1 <= batch <= MAX_BATCH:
            raise InvalidInput(f"expected a batch of 1 to {MAX_BATCH} rows, got `{batch}`", place="batch")
        with self._store.read_transaction() as records:
            _require_active(records, self._account)
            self._require_quota(records, total if skip is None else 0)  # skipped rows need no room
        with self._store.write_transaction() as records:
            records.update_statistics(*_TABLES)
        self._skip = skip
        reader = UserRowReader(self._store.quotas, makes_keys=keys is not None)
        with nullcontext() if keys is None else closing(ApiKeyFile(keys)) as self._keys:
            if self._keys is not None:
                self._done.recovered_keys = self._keys.recover(self._stored_keys)
            for chunk in _chunks(rows, batch):
                self._import(self._read(reader, chunk), dict(chunk))
                if progress is not None:
                    progress(len(chunk))
        return self._done

    def _read(self, reader: UserRowReader, chunk: Sequence[NumberedRow]) -> list[UserRow]:
        users, problems = [], Problems(self._name)
        for line, row in chunk:
            if isinstance(row, str):
                problems.add(line, row)
            elif (user := reader.read(line, row, problems)) is not None:
                users.append(user)
        self._handle(problems, dict(chunk))
        return users

    def _handle(self, problems: Problems, rows: Mapping[int, object]) -> None:
        """Raise the problems, or skip their rows."""
        if self._skip is None:
            problems.raise_any()
        messages: dict[int, list[str]] = {}
        for line, message in problems.in_order():
            messages.setdefault(line, []).append(message)
        for line, found in messages.items():
            if self._skip is not None:
                self._skip(line, rows[line], "; ".join(found))
        self._done.skipped += len(messages)

    def _import(self, users: Sequence[UserRow], rows: Mapping[int, object]) -> None:
        """Compare the users that exist, and create the others."""
        while users:
            with self._store.read_transaction() as records:
                existing = load_existing(records, self._account, users)
                references = References(records, self._store.partition, self._account, users) if existing else None
            if references is not None:
                self._compare(users, existing, references)
            users = [user for user in users if user.folded not in existing]
            if users:
                users = self._create(users, rows)

    def _compare(self, users: Iterable[UserRow], existing: Mapping[str, ExistingUser], references: References) -> None:
        for user in users:
            if (found := existing.get(user.folded)) is None:
                continue
            differing = tuple(differences_of(user, found, references))
            self._done.differing += bool(differing)
            self._done.unchanged += not differing
            if differing and len(self._done.differences) < MAX_DIFFERENCES:
                self._done.differences[user.line] = differing

    def _create(self, users: Sequence[UserRow], rows: Mapping[int, object]) -> list[UserRow]:
        """Create users in one transaction; return those that another process has created meanwhile."""
        self._change_recorder.prepare()
        drafts = {user.line: api_key.generate_api_key(secrets.token_bytes) for user in users if user.needs_key}
        now = int(self._clock().timestamp())
        with self._store.write_transaction() as records:
            _require_active(records, self._account)
            names = [user.folded for user in users]
            taken = {row["folded"] for row in users_named(records, self._account, names, ("folded",))}
            new = [user for user in users if user.folded not in taken]
            references = References(records, self._store.partition, self._account, new)
            problems = Problems(self._name)
            missing = self._missing_groups(references, new)
            known = references.groups.keys() | missing.keys()
            reported: set[str] = set()  # once, unless each row is skipped
            for user in new:
                found = invalid_reference(user, known, references.policies)
                for message in found if self._skip is not None else [text for text in found if text not in reported]:
                    problems.add(user.line, message)
                reported.update(found)
            self._check_key_ids(records, new, problems)
            if self._skip is None:
                problems.raise_any()
            invalid = {line for line, _ in problems.in_order()}
            new = [user for user in new if user.line not in invalid]
            wanted = {fold(name) for user in new for name in user.groups}
            missing = {folded: name for folded, name in missing.items() if folded in wanted}
            present = self._count_users(records)
            self._require_quota(records, len(new) + present if new else 0)
            self._insert_groups(records, references, missing, now)
            keys = self._insert_users(records, references, new, drafts, now)
            if self._keys is not None:
                self._keys.stage(keys)
        self._counted = (-1 if records.epoch is None else records.epoch, present + len(new))
        if self._keys is not None:
            self._keys.commit()
        self._handle(problems, rows)
        self._done.created += len(new)
        self._done.api_keys += len(keys)
        if new or missing:
            self._record(records, new, len(keys), sorted(missing.values()))
        return [user for user in users if user.folded in taken]

    # --- checks --------------------------------------------------------------------------------------------------

    def _require_quota(self, records: Records, needed: int) -> None:
        """Raise `LimitExceeded` if the account cannot have so many users."""
        limit = records.quotas["users per account"]
        if needed > limit:
            raise LimitExceeded(
                f"Cannot exceed quota for UsersPerAccount: {limit}: expected `users per account={needed}` or more in "
                "the setting `quotas` (IAM_GUARD_QUOTAS)"
            )

    def _count_users(self, records: Records) -> int:
        """Return the number of users; it is counted again only if the store was changed since the last batch."""
        epoch, count = self._counted
        if records.all(meta, columns=("epoch",))[0]["epoch"] == epoch:
            return count
        return records.count(identities, account=self._account, kind=Kind.USER.value)

    def _check_key_ids(self, records: Records, users: Iterable[UserRow], problems: Problems) -> None:
        lines = {user.key.id: user.line for user in users if user.key is not None}
        for table in (api_keys, service_credentials) if lines else ():
            for row in records.all(table, columns=("id",), id=sorted(lines)):
                problems.add(lines[row["id"]], f"the API key `{row['id']}` exists already")

    def _missing_groups(self, references: References, users: Iterable[UserRow]) -> dict[str, str]:
        """Return the groups to create, by folded name."""
        if not self._creates_groups:
            return {}
        names = {fold(name): name for user in users for name in user.groups}
        return {folded: name for folded, name in names.items() if folded not in references.groups}

    def _stored_keys(self, ids: Collection[str]) -> Collection[str]:
        with self._store.read_transaction() as records:
            return [row["id"] for row in records.all(api_keys, columns=("id",), id=sorted(ids))]

    # --- changes -------------------------------------------------------------------------------------------------

    def _insert_groups(self, records: Records, references: References, missing: Mapping[str, str], now: int) -> None:
        if not missing:
            return
        limit = records.quotas["groups per account"]
        if len(missing) + records.count(identities, account=self._account, kind=Kind.GROUP.value) > limit:
            raise LimitExceeded(f"Cannot exceed quota for GroupsPerAccount: {limit}")
        ids = {folded: self._store.ids(PREFIXES["group"], f"{self._account}/group/{folded}") for folded in missing}
        rows = [self._identity(Kind.GROUP, ids[folded], name, now) for folded, name in missing.items()]
        records.insert_all(identities, rows, (f"newcomers:{self._account}",))
        references.groups.update(ids)

    def _insert_users(
        self,
        records: Records,
        references: References,
        users: Sequence[UserRow],
        drafts: Mapping[int, api_key.NewApiKey],
        now: int,
    ) -> list[UserKey]:
        """Insert the users and what belongs to them; return their new API keys."""
        ids = [self._store.ids(PREFIXES["user"], f"{self._account}/user/{user.folded}") for user in users]
        rows: dict[Table, list[dict[str, Any]]] = {table: [] for table in _TABLES}
        made = []
        for id, user in zip(ids, users, strict=True):
            boundary = None if user.boundary is None else references.policies[user.boundary]
            columns = {"path": user.path, "tags": dict(user.tags), "boundary_id": boundary}
            rows[identities].append(self._identity(Kind.USER, id, user.name, now, **columns))
            groups = {references.groups[fold(name)] for name in user.groups}
            rows[memberships] += [{"user_id": id, "group_id": group} for group in groups]
            attached = {references.policies[text] for text in user.attached}
            rows[attachments] += [{"identity_id": id, "policy_id": policy} for policy in attached]
            if user.needs_key:
                key = drafts[user.line]
                rows[api_keys].append(_key_row(key.id, id, key.digest, now))
                made.append(UserKey(self._account, user.name, key.id, key.text))
            elif user.key is not None:
                rows[api_keys].append(_key_row(user.key.id, id, user.key.digest, now))
            if user.password_digest is not None:
                rows[login_profiles].append(self._profile(id, user.password_digest, now))
        names = [f"newcomers:{self._account}", *(["newkeys"] if rows[api_keys] else [])]
        for table, inserted in rows.items():
            records.insert_all(table, inserted, names if users else ())
        if self._done.created + len(users) >= self._next_statistics:
            records.update_statistics(*_TABLES)
            self._next_statistics = 4 * (self._done.created + len(users))
        return made

    def _identity(self, kind: Kind, id: str, name: str, now: int, **columns: Any) -> dict[str, Any]:
        common: dict[str, Any] = {"path": "/", "description": "", "tags": {}, "trust_bindings": {}, "boundary_id": None}
        own = {"id": id, "account": self._account, "kind": kind.value, "name": name, "folded": fold(name)}
        return {**common, **own, "created": now, **columns}

    def _profile(self, id: str, digest: str, now: int) -> dict[str, Any]:
        owner = {"owner": id, "account": self._account, "user_id": id}
        return {**owner, "digest": digest, "reset_required": False, "created": now, "changed": now, "is_long": None}

    def _record(self, records: Records, users: Sequence[UserRow], keys: int, groups: Sequence[str]) -> None:
        parameters: dict[str, Any] = {"accountId": self._account, "users": len(users), "newApiKeys": keys}
        if users:
            parameters |= {"firstUserName": users[0].name, "lastUserName": users[-1].name}
        if groups:
            parameters["newGroups"] = list(groups)
        self._change_recorder.record(
            CallResult(
                action="iam-guard:ImportUsers",
                resource=iam_arn(self._store.partition, self._account, "user", "/", "*"),
                owner=self._account,
                parameters=parameters,
                epoch=records.epoch,
            )
        )


def _chunks(rows: Iterable[NumberedRow], size: int) -> Iterator[list[NumberedRow]]:
    remaining = iter(rows)
    while chunk := list(islice(remaining, size)):
        yield chunk


def _require_active(records: Records, account: str) -> None:
    """Raise `NoSuchEntity` or `AccountStateConflict` unless the account exists and is active."""
    state = find_account(records, account).state
    if state is not AccountState.ACTIVE:
        raise AccountStateConflict(f"expected an active account, got one that is {state}", place="account")


def _key_row(id: str, owner: str, digest: bytes, now: int) -> dict[str, Any]:
    return {"id": id, "identity_id": owner, "digest": digest, "status": "Active", "created": now}
