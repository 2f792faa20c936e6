"""Loads the ARNs of the resources that have a record (`stored_arns`).

The first query of a resource alone, or the second poll, reads the first page. If there are more, a thread reads them,
and rests as long as it works; meanwhile each ARN is looked up. Loading ends without a result if a page can't be read,
or if the feed does not lead from the state at which it began to the snapshot of a page.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final

from iam_guard.errors import StoreUnavailable
from iam_guard.forking import on_fork
from iam_guard.store.cache.change_feed import State
from iam_guard.store.cache.followed_changes import FollowedChanges
from iam_guard.store.policies.stored_arns import MAX_EXACT, MAX_FILTERED, ArnsLoad, named_arns
from iam_guard.store.protocol import ArnsPage

logger = logging.getLogger("iam_guard.store")

_PAGE: Final = 2_000
"""Number of ARNs that the thread reads at a time."""


class ArnLoader:
    """Loads into `changes.arns`. `lock` guards the changes; `read` returns a page since a state, after an ARN."""

    def __init__(
        self,
        changes: FollowedChanges,
        lock: threading.Lock,
        read: Callable[[State, str | None, int], ArnsPage],
    ) -> None:
        self._changes = changes
        self._lock = lock
        self._read = read
        self._thread: threading.Thread | None = None
        on_fork(self)

    def begin_in_child(self) -> None:
        """Cancel a load of the parent, whose thread is not in this process."""
        self._thread = None
        self._changes.arns.abandon()
        self._changes.arns.retry()

    def load(self) -> None:
        """Load the ARNs, unless that was begun before at this state; on failure, each ARN is looked up as before."""
        with self._lock:
            load = self._changes.arns.begin(self._changes.state)
        if load is None:
            return
        try:
            if not self.read_page(load, MAX_EXACT):
                arguments = weakref.ref(self), load
                thread = threading.Thread(target=_read_pages, args=arguments, name="iam-guard-arns", daemon=True)
                thread.start()
                self._thread = thread
        except Exception as error:  # noqa: BLE001  no request depends on it; the interpreter may be ending
            self._abandon()
            _log_failure(error)

    def read_page(self, load: ArnsLoad, size: int) -> bool:
        """Read the next page; return whether loading is over."""
        arns = self._changes.arns
        try:
            changes, page = self._read(load.since, load.last, size)
        except BaseException:
            with self._lock:
                if arns.is_loading(load):
                    arns.abandon()
            raise
        load.collect(page)
        with self._lock:
            if not arns.is_loading(load):
                return True
            if changes.names is None:
                arns.abandon()
                return True
            load.named.update(named_arns(changes.names))
            if len(page) < size or load.count > MAX_FILTERED:
                arns.finish(load)
                return True
        return False

    def close(self, seconds: float) -> None:
        """Cancel a load that has begun, and wait up to `seconds` for the page that its thread reads."""
        self._abandon()
        if self._thread is not None:
            self._thread.join(seconds)

    def _abandon(self) -> None:
        with self._lock:
            self._changes.arns.abandon()


def _read_pages(reference: weakref.ref[ArnLoader], load: ArnsLoad) -> None:
    try:
        while (loader := reference()) is not None:
            started = time.monotonic()
            if loader.read_page(load, _PAGE):
                return
            del loader
            time.sleep(time.monotonic() - started)
    except Exception as error:  # noqa: BLE001  each ARN is then looked up
        _log_failure(error)


def _log_failure(error: Exception) -> None:
    reason = str(error) if isinstance(error, StoreUnavailable) else f"unexpected {type(error).__name__}"
    logger.warning("cannot load which resources have a record: %s", reason)
