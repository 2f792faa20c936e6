"""Management of accounts, the tenants of an application: `guard.accounts` creates, suspends, closes and deletes them.

An account is created with its users, groups, roles, policies and passwords in one transaction, so that it is there as a
whole or not at all. Passwords are hashed before, since the transaction holds the lock of the store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from iam_guard.authn.people.passwords.passwords import shared_hasher
from iam_guard.authn.people.passwords.stored_passwords import add_password
from iam_guard.authn.people.person import PersonRef, person_named
from iam_guard.errors import InvalidInput
from iam_guard.model.account import Account, AccountState
from iam_guard.model.result import CallResult, ChangeRecorder
from iam_guard.settings import Settings
from iam_guard.store.accounts.account_deletion import begin_deletion, checked_batch, deleted_batches
from iam_guard.store.accounts.account_rows import (
    MAX_ACCOUNTS_LISTED,
    account_of_row,
    checked_account_name,
    checked_new_email,
    checked_new_id,
    find_account,
    folded_name,
    insert_account,
    new_account_id,
    require_unused_name,
)
from iam_guard.store.accounts.account_state_rows import StateChange, change_state, require_kept
from iam_guard.store.database.records import Records
from iam_guard.store.database.time_limits import paced
from iam_guard.store.identifiers import Kind, root_arn
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import accounts

if TYPE_CHECKING:
    from iam_guard.store.seed.new_account import NewAccountSeed

DELETION_BATCH: Final = 1000
"""Rows that one transaction of a deletion deletes."""


class Accounts:
    """The accounts of a store. Safe to share between threads."""

    def __init__(
        self, store: RecordStore, settings: Settings, change_recorder: ChangeRecorder, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._settings = settings
        self._change_recorder = change_recorder
        self._clock = clock

    def create(
        self,
        name: str,
        *,
        email: str | None = None,
        id: str | None = None,
        seed: Mapping[str, Any] | str | None = None,
        password: str | None = None,
        passwords: Mapping[str, str] | None = None,
    ) -> Account:
        """Create an account, with an id of `new_id` unless one is given.

        `seed` has the members of the account as in a seed file, without `id`, `name` and the address: a mapping, or its
        text in YAML or JSON, without files and environment variables. `password` is that of the root user, who signs in
        with `email`; `passwords` has those of users in the seed, by name.

        Raises `EntityAlreadyExists` if the name, the address or the id is in use, or the id was that of a deleted
        account; `SeedError`, `InvalidInput`, `LimitExceeded`, `ServerBusy`, `StoreIsReadOnly`: then nothing is stored.
        Raises `RecordUnavailable` if the account was created but the audit record could not be written.
        """
        name, email = checked_account_name(name), None if email is None else checked_new_email(email)
        id = self.new_id() if id is None else checked_new_id(id)
        partition, quotas, now = self._store.partition, self._store.quotas, self._now()
        self._change_recorder.prepare()
        seeds = import_module("iam_guard.store.seed.new_account")  # guards don't need what reads seeds
        content = {} if seed is None else seed
        read = seeds.read_account_seed(content, id=id, name=name, email=email, partition=partition, quotas=quotas)
        given = _given_passwords(read, password, passwords or {})
        settings = self._settings
        hasher = shared_hasher(settings.password_memory, settings.password_passes, settings.password_hashes)
        digests = {user: hasher.digest(text) for user, text in given.items()}
        with self._store.write_transaction() as records:
            insert_account(records, id=id, name=name, email=email, now=now)
            changes = seeds.apply_account_seed(records, self._store, read, now)
            for user, text in given.items():
                self._add_password(records, id, user, text, digests[user], now)
            account = find_account(records, id)
        self._record("CreateAccount", id, {"name": name}, records, {"account": {"id": id}, **changes})
        return account

    def new_id(self) -> str:
        """Return an id that no account has or had, for a seed that contains the id of its account."""
        with self._store.read_transaction() as records:
            return new_account_id(records)

    def get(self, id: str) -> Account:
        """Return an account. Raises `NoSuchEntity`."""
        with self._store.read_transaction() as records:
            return find_account(records, id)

    def list(
        self, *, state: AccountState | None = None, after: str | None = None, limit: int = MAX_ACCOUNTS_LISTED
    ) -> list[Account]:
        """Return accounts sorted by id, of one state or all; `after` is the last id of the previous page."""
        if limit < 1:
            raise InvalidInput(f"expected a limit of 1 or more, got `{limit}`", place="limit")
        with self._store.read_transaction() as records:
            where = {} if state is None else {"state": _state(state).value}
            start = None if after is None else (after,)
            rows = records.page(accounts, order=("id",), after=start, limit=limit, **where)
        return [account_of_row(row) for row in rows]

    def rename(self, id: str, name: str) -> Account:
        """Change the name of an account.

        Raises `NoSuchEntity`, `AccountStateConflict` for one that is being deleted, `EntityAlreadyExists`,
        `StoreIsReadOnly`; `RecordUnavailable` if the name was changed but the audit record could not be written.
        """
        name = checked_account_name(name)
        self._change_recorder.prepare()
        with self._store.write_transaction() as records:
            former = find_account(records, id)
            require_kept(records, id)
            require_unused_name(records, name, by=id)
            records.update(accounts, {"name": name, "folded": folded_name(name)}, id=id)
            account = find_account(records, id)
        self._record("RenameAccount", id, {"name": name, "formerName": former.name}, records)
        return account

    # --- states -------------------------------------------------------------------------------------------------------

    def suspend(self, id: str) -> Account:
        """Refuse every credential of an active account, in every process once it has seen the change.

        Callers of other accounts still reach what it shares with them. Raises `NoSuchEntity`, `AccountStateConflict`,
        `StoreIsReadOnly`; `RecordUnavailable` if it is suspended but the audit record could not be written.
        """
        return self._change(id, "suspend", "SuspendAccount")

    def resume(self, id: str) -> Account:
        """Accept the credentials of a suspended or closed account again, and requests for its resources.

        Raises as `suspend`.
        """
        return self._change(id, "resume", "ResumeAccount")

    def close(self, id: str) -> Account:
        """Suspend an account, and deny its resources to every caller. Its data is kept.

        Raises as `suspend`, also for the management account of an organization.
        """
        return self._change(id, "close", "CloseAccount")

    def delete(self, id: str, *, batch: int = DELETION_BATCH, progress: Callable[[int], object] | None = None) -> None:
        """Delete a closed account with all its data for good, in transactions of at most `batch` rows.

        The id is never given again; the name and the e-mail address are free. After an interruption, call it again.
        `progress` is called with the number of rows after each transaction. Nothing happens for an account that was
        deleted before. Raises as `close`, and `InvalidInput` for a batch out of range.
        """
        checked_batch(batch)
        self._change_recorder.prepare()
        with self._store.write_transaction() as records:
            before = begin_deletion(records, id, self._now())
        if before is None:
            return
        if before is AccountState.CLOSED:
            self._record("DeleteAccount", id, {"state": "deleting", "formerState": before.value}, records)
        for deleted in paced(deleted_batches(self._store, id, batch, self._now)):
            if progress is not None:
                progress(deleted.rows)
            if deleted.is_last:
                self._record("DeleteAccount", id, {"state": "deleted", "formerState": "deleting"}, None)

    def _change(self, id: str, change: StateChange, name: str) -> Account:
        self._change_recorder.prepare()
        with self._store.write_transaction() as records:
            before = find_account(records, id)
            change_state(records, id, change, self._now())
            account = find_account(records, id)
        self._record(name, id, {"state": account.state.value, "formerState": before.state.value}, records)
        return account

    def _now(self) -> int:
        return int(self._clock().timestamp())

    def _record(
        self,
        name: str,
        account: str,
        parameters: Mapping[str, Any],
        records: Records | None,
        elements: Mapping[str, Any] | None = None,
    ) -> None:
        """Record a change; the record never contains a password or another secret."""
        self._change_recorder.record(
            CallResult(
                action=f"iam-guard:{name}",
                resource=root_arn(self._store.partition, account),
                owner=account,
                parameters={"accountId": account, **parameters},
                elements=elements,
                epoch=None if records is None else records.epoch,
            )
        )

    def _add_password(
        self, records: Records, account: str, user: str | None, password: str, digest: str, now: int
    ) -> None:
        """Set the first password of the root user or a user. Raises `InvalidInput` if a rule refuses it."""
        named = PersonRef(account, user, is_root=user is None)
        person = person_named(records, self._store.partition, named)
        problem = add_password(records, person, password, digest, now)
        if problem is not None:
            raise InvalidInput(problem, place=_place(user))


def _state(state: AccountState | str) -> AccountState:
    try:
        return AccountState(state)
    except ValueError:
        expected = " or ".join(f"`{known}`" for known in AccountState)
        raise InvalidInput(f"expected {expected}, got `{str(state)[:64]}`", place="state") from None


def _given_passwords(seed: NewAccountSeed, password: str | None, passwords: Mapping[str, str]) -> dict[str | None, str]:
    """Return the passwords by the names of users, that of the root user under None. Raises `InvalidInput`."""
    if password is not None and seed.account.email is None:
        raise InvalidInput("expected the e-mail address with which the root user signs in", place="email")
    users = {identity.name for identity in seed.account.identities if identity.kind is Kind.USER}
    for user in passwords:
        if user not in users:
            raise InvalidInput(f"expected the name of a user in the seed, got `{str(user)[:64]}`", place="passwords")
    given: dict[str | None, str] = {} if password is None else {None: password}
    given.update((user, passwords[user]) for user in passwords)
    for owner, text in given.items():
        if not isinstance(text, str):
            raise InvalidInput(f"expected a password as text, got {type(text).__name__}", place=_place(owner))
    return given


def _place(user: str | None) -> str:
    return "password" if user is None else f"passwords/{user}"
