"""What is used: which access key signs, which API key comes, which user or role attempts what; noted in memory, written
in the background.

The strategy. A request pays for a look into a dictionary: what was noted less than 15 minutes ago is not noted again,
as with AWS (R-33). What is new waits in memory for a thread that writes at most once a second, and that is there only
while something waits. It never raises and never waits for the store. When the store cannot be written to, what waits
goes on waiting, up to a number; the rest is lost, for this is no audit trail. Nothing of it is read for a decision.
A process that forks leaves what waits to its parent, and has a thread of its own.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Sequence
from itertools import islice
from typing import Final, Protocol

from iam_guard.errors import IamGuardError
from iam_guard.model.principal import Credential, Principal, PrincipalType
from iam_guard.store.last_used_rows import ApiKeyUse, KeyUse, ServiceUse, Use

logger = logging.getLogger("iam_guard.store")

SPAN: Final = 15 * 60
"""Seconds for which a use is not noted again (R-33)."""
MAX_NOTED: Final = 16_384
MAX_PENDING: Final = 16_384
BATCH: Final = 200
"""Rows of one transaction, so that nobody waits long for a store with one connection."""
PAUSE: Final = 1.0
"""Seconds between two writes; twice as many after each that failed, up to `LONGEST_PAUSE`."""
LONGEST_PAUSE: Final = 60.0

_UNIQUE_ID = re.compile(r"[A-Z0-9]{16,128}")
_ACTION = re.compile(r"([A-Za-z0-9.-]{1,64}):([A-Za-z0-9._-]{1,128})")
_KEYS = frozenset({"sigv4", "api-key"})
_USER, _SESSION = PrincipalType.USER, PrincipalType.ASSUMED_ROLE


def service_use(identity: str, action: str, at: int, region: str) -> ServiceUse | None:
    """Make the use of an action by a unique id; None for what is no id, or no action that could be told of later."""
    read = _ACTION.fullmatch(action)
    if read is None or not _UNIQUE_ID.fullmatch(identity):
        return None
    return ServiceUse(identity, read[1].lower(), read[2], at, region)


class LastUsedStore(Protocol):
    """What is asked of the store."""

    def keep_uses(self, uses: Sequence[Use]) -> None: ...


class LastUsedTracker:
    """Notes uses for one guard. Safe to share between threads. `clock` gives seconds since 1970."""

    def __init__(self, store: LastUsedStore, *, region: str, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._region = region
        self._clock = clock
        self._noted: dict[Hashable, float] = {}
        self._begin()

    def _begin(self) -> None:
        """Have nothing that waits, locks that nobody holds, and no thread."""
        self._process = os.getpid()
        self._pending: dict[Hashable, Use] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._closing = threading.Event()
        self._writer: threading.Thread | None = None
        self._fails = False

    # --- noting --------------------------------------------------------------------------------------------------

    def track_key(self, credential: Credential | None) -> None:
        """Record that a request came with an access key or an API key; other credentials are not noted."""
        if credential is None or credential.id is None or credential.kind not in _KEYS:
            return
        key: Hashable = credential.id if credential.kind == "sigv4" else (credential.kind, credential.id)
        now = self._clock()
        noted = self._noted.get(key)
        if noted is None or not 0.0 <= now - noted < SPAN:
            if credential.kind == "sigv4":
                region, service = credential.region or self._region, credential.service or ""
                self._note(key, KeyUse(credential.id, int(now), region, service), now)
            else:
                self._note(key, ApiKeyUse(credential.id, int(now)), now)

    def track_action(self, principal: Principal, action: str) -> None:
        """Record that a user or a role attempts an action, whatever was decided; others are not noted (R-34)."""
        identity = principal.userid
        if identity is None:
            return
        if principal.type is _SESSION:
            identity = identity.partition(":")[0]
        elif principal.type is not _USER:
            return
        now = self._clock()
        noted = self._noted.get((identity, action))
        if noted is None or not 0.0 <= now - noted < SPAN:
            signed = principal.credential.region if principal.credential else None
            use = service_use(identity, action, int(now), signed or self._region)
            if use is not None:
                self._note((identity, action), use, now)

    def _note(self, key: Hashable, use: Use, now: float) -> None:
        if self._process != os.getpid():
            self._leave_to_parent()
        with self._lock:
            if self._closing.is_set():
                return
            self._noted.pop(key, None)  # the oldest stand first, and are the first to be forgotten
            self._noted[key] = now
            if len(self._noted) > MAX_NOTED:
                del self._noted[next(iter(self._noted))]
            if len(self._pending) < MAX_PENDING or key in self._pending:
                self._pending[key] = use
            if self._writer is None:
                self._start_writer()

    def forget(self) -> None:
        """Record again what is used from now on, as after the state behind was set back."""
        if self._process != os.getpid():
            self._leave_to_parent()
        with self._lock:
            self._noted.clear()

    # --- writing -------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what waits. Raises `StoreUnavailable`; then it goes on waiting."""
        if self._process != os.getpid():
            self._leave_to_parent()
        with self._writing:
            while batch := self._take():
                try:
                    self._store.keep_uses(list(batch.values()))
                except IamGuardError:
                    self._put_back(batch)
                    raise

    def close(self) -> None:
        """Write what waits, as far as the store can be written to, and note nothing from now on."""
        try:
            self.flush()
        except IamGuardError as error:
            logger.warning("what was used last is not written: %s", error)
        with self._lock:
            self._closing.set()
            self._pending.clear()

    def _take(self) -> dict[Hashable, Use]:
        with self._lock:
            batch = dict(islice(self._pending.items(), BATCH))
            for key in batch:
                del self._pending[key]
        return batch

    def _put_back(self, batch: dict[Hashable, Use]) -> None:
        with self._lock:
            self._pending = batch | self._pending

    # --- the thread ----------------------------------------------------------------------------------------------

    def _start_writer(self) -> None:
        """Start the thread; the lock is held. It holds on to nobody who has gone without closing."""
        writer = threading.Thread(
            target=_write_on, args=(weakref.ref(self), self._closing), name="iam-guard-uses", daemon=True
        )
        try:
            writer.start()
        except RuntimeError:
            return  # no thread to be had, as when the interpreter ends: the next use tries again
        self._writer = writer

    def write_now(self, pause: float) -> float | None:
        """Write in the thread; give the seconds to the next time, or None when nothing waits and the thread may end."""
        try:
            self.flush()
        except Exception as error:  # noqa: BLE001  a thread that dies would leave everything unwritten
            if not self._fails:
                reason = error if isinstance(error, IamGuardError) else f"unexpected {type(error).__name__}"
                logger.warning("what was used last cannot be written yet: %s", reason)
            self._fails = True
            return min(pause * 2, LONGEST_PAUSE)
        self._fails = False
        with self._lock:
            if self._pending:
                return PAUSE
            self._writer = None
            return None

    def _leave_to_parent(self) -> None:
        """Begin anew in a process that was forked: the parent writes what it noted, and its threads are not here."""
        was_closed = self._closing.is_set()
        self._begin()
        if was_closed:
            self._closing.set()


def _write_on(uses: weakref.ref[LastUsedTracker], closing: threading.Event) -> None:
    pause: float | None = PAUSE
    while pause is not None and not closing.wait(pause):
        alive = uses()
        pause = None if alive is None else alive.write_now(pause)
        del alive
