"""The methods of `guard.accounts` that suspend, resume, close and delete accounts. Each change is recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from iam_guard.model.account import Account, AccountState
from iam_guard.model.result import CallResult, ChangeRecorder
from iam_guard.store.account_deletion import begin_deletion, checked_batch, deleted_batches
from iam_guard.store.account_rows import find_account
from iam_guard.store.account_state_rows import StateChange, change_state
from iam_guard.store.identifiers import root_arn
from iam_guard.store.protocol import RecordStore
from iam_guard.store.records import Records

DELETION_BATCH = 1000
"""Rows that one transaction of a deletion deletes."""


class AccountStates:
    """The base of `Accounts`, which has its store, its recorder and its clock."""

    _store: RecordStore
    _change_recorder: ChangeRecorder
    _clock: Callable[[], datetime]

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
        for deleted in deleted_batches(self._store, id, batch, self._now):
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
