"""The salts of pseudonyms in the audit trail (`audit/record/pseudonyms` has their purpose), shared by all processes.

A salt is inserted once, by the process that needs it first, and deleted when its person is erased. A mark then stays
for `ERASED_SECONDS`, so that a late record of another process can't create another salt for the erased person; until
then, the values of a person who is created again under the same name are masked, too.

`CachedSalts` follows the changes of the store like every other cached answer: after an erasure, the salts of the
account are read again, at the latest with the next poll of the store. While that fails, cached salts are used up to
`max_staleness`, and none after that.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

from iam_guard.errors import CacheMiss, StoreIsReadOnly, StoreUnavailable
from iam_guard.store.accounts.account_rows import is_deleted_id
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.cache.generations import Held, are_current
from iam_guard.store.database.records import Records, Row
from iam_guard.store.database.time_limits import BUSY_SECONDS, queued_for, within
from iam_guard.store.protocol import RecordStore, SourceStore
from iam_guard.store.schema import pseudonym_salts

ERASED_SECONDS: Final = 600
"""Seconds for which an erased value gets no other salt, longer than any process can lag behind and still write one."""
MAX_CACHED_SALTS: Final = 50_000
WAIT_SECONDS: Final = 2.0
"""Seconds that a record waits for the store, and for its write lock: all other records wait with it."""
RETRY_SECONDS: Final = 5.0
"""Seconds without another attempt after the store has failed."""
_SALT_BYTES: Final = 32
_ERASED: Final = "erased"
"""The account of marks; their salt is empty."""

_log = logging.getLogger("iam_guard.store")


class StoredSalts:
    """The salts in a store, read each time. Safe to share between threads; `clock` returns seconds since 1970."""

    def __init__(self, store: RecordStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._retry_at = 0.0
        self._purge_at = 0.0

    def cached(self, account: str) -> Mapping[str, bytes]:
        """Return no salts: none are cached."""
        return {}

    def load(self, account: str, subjects: Collection[str], *, creates: bool) -> Mapping[str, bytes]:
        """Return the salts of subjects, and create missing ones if `creates`; none while the store fails."""
        if time.monotonic() < self._retry_at:
            return {}
        try:
            with within(WAIT_SECONDS), queued_for(BUSY_SECONDS - WAIT_SECONDS):
                return self._load(account, subjects, creates=creates)
        except StoreUnavailable as error:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            _log.error("salts of pseudonyms cannot be used, values are masked: %s", error)
            return {}

    def _load(self, account: str, subjects: Collection[str], *, creates: bool) -> dict[str, bytes]:
        with self._store.read_transaction() as records:
            found = _salts_of(records, account, subjects)
        if not creates or len(found) == len(subjects):
            return found
        now = int(self._clock())
        with self._store.write_transaction() as records:
            if now >= self._purge_at:
                _delete_old_marks(records, now)
                self._purge_at = now + ERASED_SECONDS
            return _with_created(records, account, subjects, now)


class CachedSalts(StoredSalts):
    """The salts in a store, cached as long as no person of their account is erased."""

    def __init__(self, store: CachedStore, clock: Callable[[], float] = time.time) -> None:
        super().__init__(store, clock)
        self._cache = store
        self._salts: dict[str, tuple[Held, dict[str, bytes]]] = {}

    def cached(self, account: str) -> Mapping[str, bytes]:
        """Return the cached salts of an account; none if the store must be polled first, or can't be reached."""
        try:
            self._cache.cache_only.state()
        except (CacheMiss, StoreUnavailable):
            return {}
        return self._current(account)

    def _current(self, account: str) -> dict[str, bytes]:
        held, salts = self._salts.get(account, ((), {}))
        return salts if held and are_current(held) else {}

    def _load(self, account: str, subjects: Collection[str], *, creates: bool) -> dict[str, bytes]:
        self._cache.state()  # polls the store if that is due
        held = self._cache.hold([salts_name(account)])  # before the rows are read
        known = self._current(account)
        missing = [subject for subject in subjects if subject not in known]
        loaded = super()._load(account, missing, creates=creates) if missing else {}
        found = {subject: known[subject] for subject in subjects if subject in known} | loaded
        cached = list(self._salts.values())  # at once: other threads add accounts
        if sum(len(salts) for _, salts in cached) + len(loaded) > MAX_CACHED_SALTS:
            self._salts = {account: (held, found)}
        elif known:
            known.update(loaded)
        else:
            self._salts[account] = held, found
        return found


def is_writable(store: SourceStore) -> bool:
    """Return whether a store can have salts: one that follows a file has none."""
    try:
        store.write_transaction()  # which begins when it is entered
    except StoreIsReadOnly:
        return False
    return True


def salts_name(account: str) -> str:
    """Return the name that cached salts of an account depend on (`invalidation`)."""
    return f"salts:{account}"


def delete_salts(records: Records, subjects: Mapping[str, Collection[str]], marked: Collection[str], now: int) -> int:
    """Delete the salts of a person, by account; return their number.

    What had a salt is marked as erased, and so are the subjects `marked`, which had none yet.
    """
    _delete_old_marks(records, now)
    found = {account: _salts_of(records, account, named).keys() for account, named in subjects.items()}
    for account, erased in found.items():
        if erased:
            records.delete(pseudonym_salts, account=account, subject=sorted(erased))
    marks = sorted(set(marked).union(*found.values()))
    if marks:
        records.delete(pseudonym_salts, account=_ERASED, subject=marks)
    for subject in marks:
        records.insert(pseudonym_salts, account=_ERASED, subject=subject, salt=b"", created=now)
    return sum(map(len, found.values()))


def _salts_of(records: Records, account: str, subjects: Collection[str]) -> dict[str, bytes]:
    rows = records.all(pseudonym_salts, account=account, subject=sorted(subjects))
    return {row["subject"]: bytes(row["salt"]) for row in rows}


def _with_created(records: Records, account: str, subjects: Collection[str], now: int) -> dict[str, bytes]:
    """Return the salts of subjects, after those are inserted that are neither there nor marked as erased.

    A deleted account gets none.
    """
    salts = _salts_of(records, account, subjects)  # again: another process may have inserted them
    if is_deleted_id(records, account):  # a late record: its salts were deleted with it
        return salts
    marks = records.all(pseudonym_salts, account=_ERASED, subject=sorted(subjects))
    marked = {row["subject"] for row in marks if not _is_old(row, now)}
    for subject in sorted(set(subjects) - salts.keys() - marked):
        salts[subject] = secrets.token_bytes(_SALT_BYTES)
        records.insert(pseudonym_salts, account=account, subject=subject, salt=salts[subject], created=now)
    records.changed = False  # no cached answer depends on it: the epoch stays
    return salts


def _delete_old_marks(records: Records, now: int) -> None:
    marks = records.all(pseudonym_salts, columns=("subject", "created"), account=_ERASED)
    if old := [row["subject"] for row in marks if _is_old(row, now)]:
        records.delete(pseudonym_salts, account=_ERASED, subject=old)


def _is_old(mark: Row, now: int) -> bool:
    """Return whether a mark has ended; one of a host whose clock is ahead has not."""
    return bool(mark["created"] <= now - ERASED_SECONDS)
