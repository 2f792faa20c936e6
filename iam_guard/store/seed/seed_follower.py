"""A store in memory that follows a seed file (design, section 4.2).

Every `epoch()` and `changes()` checks the file and the files that it refers to; when their content has changed, the
store is brought to that state. An invalid file changes nothing: the last valid state is kept, a warning is logged once,
and `problem` describes the error. Unique ids are derived from names, so that all processes that follow one file agree
on them.

A file is read again when its time, size or inode changes, and for a while after a write, because two writes within one
tick of the file system's clock have the same time. A file that was just written is read only when it has not changed
for `REST_SECONDS`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from iam_guard.errors import SeedError, StoreIsReadOnly
from iam_guard.settings import Settings
from iam_guard.store.cache.change_feed import ChangesSince, State
from iam_guard.store.database.engine import closed_on_error, make_engine
from iam_guard.store.identifiers import derived_id
from iam_guard.store.migrations import upgrade
from iam_guard.store.quotas import effective_quotas
from iam_guard.store.sealing import load_sealer
from iam_guard.store.seed.apply import apply_seed
from iam_guard.store.seed.documents import Files
from iam_guard.store.seed.seed_reader import read_seed
from iam_guard.store.seed.seed_values import Seed
from iam_guard.store.sql_store import SqlStore

logger = logging.getLogger("iam_guard.store")

IN_MEMORY = "sqlite://"
REST_SECONDS = 0.05
"""Seconds without a write after which a file is read."""
TICK_SECONDS = 2.0
"""Seconds after a write during which another one may leave the same modification time."""


class FollowedSeedStore(SqlStore):
    """A store in memory with the content of a seed file. `problem` is the current error in the file, or None."""

    def __init__(self, path: str | os.PathLike[str], settings: Settings) -> None:
        """Read the file. Raises `SeedError` if it is invalid."""
        self.problem: str | None = None
        self._path = Path(path)
        self._lock = threading.Lock()
        self._state: tuple[object, ...] = ()
        self._is_settled = False
        partition = settings.partition
        sealer = load_sealer(settings, IN_MEMORY)  # first, because reading a seed takes long
        files = Files(self._path)
        quotas = effective_quotas(settings.quotas)
        seed = self._read(files, partition, quotas)
        engine = make_engine(IN_MEMORY)
        with closed_on_error(engine):
            upgrade(engine)
            super().__init__(engine, sealer, partition=partition, ids=derived_id, quotas=quotas)
            self._apply(seed)
        self._digests_seen = files.seen

    def begin_in_child(self) -> None:
        """Replace the lock too, which a thread of the parent may have."""
        super().begin_in_child()
        self._lock = threading.Lock()

    def epoch(self) -> int:
        self._follow(REST_SECONDS)
        return super().epoch()

    def changes(self, since: State | None) -> ChangesSince:
        self._follow(REST_SECONDS)
        return super().changes(since)

    def write_transaction(self) -> NoReturn:
        """Raise `StoreIsReadOnly`: the next change of the file would undo the change."""
        raise StoreIsReadOnly(f"the store follows the file `{self._path.name}`: change the file instead")

    def refresh(self) -> None:
        """Read the file again if it has changed, even if it was written just now."""
        self._follow(0.0)

    def _follow(self, rest: float) -> None:
        """Apply the files if they have changed, unless one was written less than `rest` seconds ago."""
        with self._lock:
            state, age = _file_state(self._digests_seen)
            if (state == self._state and self._is_settled) or age < rest:
                return
            if _digests(self._digests_seen) == self._digests_seen:
                self._state, self._is_settled = state, age >= TICK_SECONDS
            else:
                self._reload(rest)

    def _reload(self, rest: float) -> None:
        files = Files(self._path)
        try:
            seed: Seed | SeedError = self._read(files, self.partition, self.quotas)
        except SeedError as error:
            seed = error
        if _file_state(files.seen)[1] < rest:
            return  # written meanwhile: the content may be incomplete, and is read again
        self._digests_seen = files.seen
        try:
            if isinstance(seed, SeedError):
                raise seed
            self._apply(seed)
        except SeedError as error:
            self.problem = str(error)
            logger.warning("seed rejected, keeping the last valid state: %s", error)

    def _read(self, files: Files, partition: str, quotas: Mapping[str, int]) -> Seed:
        return read_seed(files.read_seed(), self._path.name, files, partition=partition, quotas=quotas)

    def _apply(self, seed: Seed) -> None:
        changes = apply_seed(self, seed, whole=True)
        self.problem = None
        for line in changes.lines:
            logger.info("%s", line)


def _file_state(paths: Iterable[Path]) -> tuple[tuple[object, ...], float]:
    """Return the files' times, sizes and inodes, and the seconds since the last write to one of them."""
    stats = [_stat(path) for path in paths]
    state = tuple(stat and (stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)
    age = time.time() - max((stat.st_mtime for stat in stats if stat is not None), default=0.0)
    return state, age if age >= 0 else float("inf")


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _digests(paths: Iterable[Path]) -> dict[Path, bytes | None]:
    """Return the digest of each file's content, None if it can't be read."""
    files = Files(None)
    for path in paths:
        with suppress(OSError, ValueError):
            files.content(path)
    return files.seen
