"""Tracks when keys, browser sessions, and the actions of users and roles were last used; written in the background.

A request costs one dictionary lookup: a use less than 15 minutes after the last is skipped, as in AWS (R-33). Others
are queued for a writer thread that writes at most once a second, and runs only while the queue is not empty. Tracking
never raises and never waits for the store. While the store cannot be written to, the queue keeps up to `MAX_PENDING`
uses and the rest is lost: this is no audit trail. No decision reads any of it, but a browser session without uses ends.
A forked child starts with an empty queue, which its parent writes, and a thread of its own.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Sequence
from itertools import islice
from typing import Final, Protocol

from iam_guard.errors import IamGuardError
from iam_guard.forking import on_fork
from iam_guard.model.principal import Credential, Principal, PrincipalType
from iam_guard.store.credentials.last_used_rows import ApiKeyUse, KeyUse, ServiceUse, SessionUse, Use

logger = logging.getLogger("iam_guard.store")

SPAN: Final = 15 * 60
"""Seconds for which a use is not recorded again (R-33)."""
SESSION_SPAN: Final = 60
"""The same for a browser session."""
_NEVER: Final = float("-inf")
"""When a use that is not recorded was recorded: not less than a span ago."""
MAX_RECORDED: Final = 16_384
MAX_PENDING: Final = 16_384
BATCH: Final = 200
"""Rows of one transaction: small, so that other callers don't wait long for a store with one connection."""
PAUSE: Final = 1.0
"""Seconds between two writes; doubled after each failure, up to `MAX_PAUSE`."""
MAX_PAUSE: Final = 60.0

_UNIQUE_ID = re.compile(r"[A-Z0-9]{16,128}")
_ACTION = re.compile(r"([A-Za-z0-9.-]{1,64}):([A-Za-z0-9._-]{1,128})")


def service_use(identity: str, action: str, at: int, region: str) -> ServiceUse | None:
    """Return the use of an action by a unique id; None for an invalid id or an action that can't be reported."""
    match = _ACTION.fullmatch(action)
    if match is None or not _UNIQUE_ID.fullmatch(identity):
        return None
    return ServiceUse(identity, match[1].lower(), match[2], at, region)


class LastUsedStore(Protocol):
    """What the tracker needs of the store."""

    def save_uses(self, uses: Sequence[Use]) -> None: ...


class LastUsedTracker:
    """Records uses for one guard. Thread-safe. `clock` returns seconds since 1970."""

    def __init__(self, store: LastUsedStore, *, region: str, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._region = region
        self._clock = clock
        self._recorded: dict[Hashable, float] = {}
        self._is_closed = False
        self.begin_in_child()
        on_fork(self)

    def begin_in_child(self) -> None:
        """Start with an empty queue, free locks, and no thread: the parent writes its own queue."""
        self._pending: dict[Hashable, Use] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._closing = threading.Event()
        self._writer: threading.Thread | None = None
        self._is_failing = False

    # --- tracking ------------------------------------------------------------------------------------------------

    def track_key(self, credential: Credential | None) -> None:
        """Record the use of an access key or an API key; other credentials are ignored."""
        if credential is None:
            return
        now, key = self._clock(), (credential.kind, credential.id)
        if not (now - self._recorded.get(key, _NEVER)) // SPAN or credential.id is None:
            return
        if credential.kind == "sigv4":
            region, service = credential.region or self._region, credential.service or ""
            self._record(key, KeyUse(credential.id, int(now), region, service), now)
        elif credential.kind == "api-key":
            self._record(key, ApiKeyUse(credential.id, int(now)), now)

    def track_session(self, id: str, at: int) -> None:
        """Record the use of a browser session, at seconds since 1970, unless one in the last minute is recorded."""
        key = "session", id
        if at - self._recorded.get(key, _NEVER) >= SESSION_SPAN:
            self._record(key, SessionUse(id, at), at)

    def track_action(self, principal: Principal, action: str) -> None:
        """Record that a user or a role attempts an action, allowed or not; other principals are ignored (R-34)."""
        userid = principal.userid
        if userid is None:
            return
        now, key = self._clock(), (userid.partition(":")[0], action)
        if not (now - self._recorded.get(key, _NEVER)) // SPAN:
            return
        if principal.type is PrincipalType.ASSUMED_ROLE:
            identity = key[0]
        elif principal.type is PrincipalType.USER:
            identity = userid
        else:
            return
        signed_region = principal.credential.region if principal.credential else None
        use = service_use(identity, action, int(now), signed_region or self._region)
        if use is not None:
            self._record(key, use, now)

    def _record(self, key: Hashable, use: Use, now: float) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._recorded.pop(key, None)  # keeps the oldest first, which are evicted first
            self._recorded[key] = now
            if len(self._recorded) > MAX_RECORDED:
                del self._recorded[next(iter(self._recorded))]
            if len(self._pending) < MAX_PENDING or key in self._pending:
                self._pending[key] = use
            if self._writer is None:
                self._start_writer()

    def forget(self) -> None:
        """Clear the queue and the record of recent uses, so that all are recorded again: the store was restored."""
        with self._lock:
            self._recorded.clear()
            self._pending.clear()

    # --- writing -------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write the queue. Raises `StoreUnavailable`; the uses then stay in the queue."""
        with self._writing:
            while True:
                with self._lock:
                    batch = dict(islice(self._pending.items(), BATCH))
                    for key in batch:
                        del self._pending[key]
                if not batch:
                    return
                try:
                    self._store.save_uses(list(batch.values()))
                except IamGuardError:
                    with self._lock:
                        self._pending = batch | self._pending
                    raise

    def close(self) -> None:
        """Write the queue if the store is available, and ignore later uses."""
        try:
            self.flush()
        except IamGuardError as error:
            logger.warning("last-used records not written: %s", error)
        with self._lock:
            self._is_closed = True
            self._closing.set()
            self._pending.clear()

    # --- the thread ----------------------------------------------------------------------------------------------

    def _start_writer(self) -> None:
        """Start the thread, with a weak reference to the tracker. The caller must hold the lock."""
        writer = threading.Thread(
            target=_write_until_empty, args=(weakref.ref(self), self._closing), name="iam-guard-uses", daemon=True
        )
        try:
            writer.start()
        except RuntimeError:
            return  # no thread is available, as when the interpreter ends: the next use tries again
        self._writer = writer

    def write_now(self, pause: float) -> float | None:
        """Write in the thread; return the seconds to the next write, or None to end the thread."""
        try:
            self.flush()
        except Exception as error:  # noqa: BLE001  if the thread died, nothing would be written any more
            if not self._is_failing:
                reason = str(error) if isinstance(error, IamGuardError) else f"unexpected {type(error).__name__}"
                logger.warning("last-used records cannot be written yet: %s", reason)
            self._is_failing = True
            return min(pause * 2, MAX_PAUSE)
        self._is_failing = False
        with self._lock:
            if self._pending:
                return PAUSE
            self._writer = None
            return None


def _write_until_empty(uses: weakref.ref[LastUsedTracker], closing: threading.Event) -> None:
    pause: float | None = PAUSE
    while pause is not None and not closing.wait(pause):
        alive = uses()
        pause = None if alive is None else alive.write_now(pause)
        del alive
