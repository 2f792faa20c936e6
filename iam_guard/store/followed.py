"""The store that follows a seed file: in memory, always as the file declares (design, section 4.2).

At every `epoch()` the file and the files that it names are looked at; when their content has changed, it is applied as
the whole truth. A bad edit changes nothing: the last good state stays, a warning is logged once, and `problem` says
what is wrong. Unique ids are derived from names, so that all the processes that follow one file agree on them.

A file is read again when its time, size or inode is another, and for a while after it was written, for two writes
within one tick of the file system's clock look the same. One that is just being written is left alone until it has
rested. Must not live here: reading a seed (`seed/reading`), applying it (`seed/apply`).
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from pathlib import Path

from iam_guard.errors import SeedError
from iam_guard.model.credential import AccessKey, ApiKey
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.engine import make_engine
from iam_guard.store.identifiers import derived_id
from iam_guard.store.migrations import upgrade
from iam_guard.store.protocol import AccountRecord, PrincipalRecord, ResourceRecord
from iam_guard.store.sealing import load_key_ring
from iam_guard.store.seed.apply import apply_seed
from iam_guard.store.seed.documents import Files
from iam_guard.store.seed.reading import read_seed, read_seed_file
from iam_guard.store.sql_store import SqlStore

logger = logging.getLogger("iam_guard.store")

IN_MEMORY = "sqlite://"
REST_SECONDS = 0.05
"""How long a file must have been left alone to be read."""
TICK_SECONDS = 2.0
"""How long after a write its time may not yet tell it from another."""


class FollowedSeedStore:
    """A `Store`. `problem` says what is wrong with the file at present, None if nothing is."""

    def __init__(self, path: str | os.PathLike[str], settings: Settings) -> None:
        """Read the file; raise `SeedError` if it is bad from the start."""
        self.problem: str | None = None
        self._path = Path(path)
        self._lock = threading.Lock()
        self._named: list[Path] = []
        self._look: tuple[object, ...] = ()
        self._digest: bytes | None = None
        self._rested = False
        engine = make_engine(IN_MEMORY)
        upgrade(engine)
        sealer = load_key_ring(settings, IN_MEMORY)
        self._store = SqlStore(engine, sealer, partition=settings.partition, ids=derived_id)
        self._take()

    def epoch(self) -> int:
        self._follow(time.time() - REST_SECONDS)
        return self._store.epoch()

    def access_key(self, access_key_id: str) -> AccessKey | None:
        return self._store.access_key(access_key_id)

    def api_key(self, api_key_id: str) -> ApiKey | None:
        return self._store.api_key(api_key_id)

    def principal(self, principal: Principal) -> PrincipalRecord:
        return self._store.principal(principal)

    def account(self, account_id: str) -> AccountRecord:
        return self._store.account(account_id)

    def resource(self, arn: str) -> ResourceRecord:
        return self._store.resource(arn)

    def refresh(self) -> None:
        """Read the file again if it has changed, even if it was written this very moment."""
        self._follow(float("inf"))

    def close(self) -> None:
        self._store.close()

    def _follow(self, rested_since: float) -> None:
        """Take what is in the file now, unless it was written after `rested_since` and may be half a file."""
        with self._lock:
            stats = [_stat(path) for path in (self._path, *self._named)]
            look = tuple(stat and (stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)
            if look == self._look and self._rested:
                return
            written = max((stat.st_mtime for stat in stats if stat is not None), default=0.0)
            now = time.time()
            if rested_since < written <= now:
                return
            self._look, self._rested = look, not now - TICK_SECONDS < written <= now
            if _digest((self._path, *self._named)) != self._digest:
                self._take_or_keep()

    def _take_or_keep(self) -> None:
        try:
            self._take()
        except SeedError as error:
            self.problem = str(error)
            logger.warning("the last good state stays, for the seed was refused: %s", error)

    def _take(self) -> None:
        """Read and apply the file; what was read is remembered, good or bad."""
        files = Files(self._path)
        try:
            seed = read_seed(read_seed_file(self._path), self._path.name, files, partition=self._store.partition)
        finally:
            self._named = list(dict.fromkeys(files.seen))
            self._digest = _digest((self._path, *self._named))
        changes = apply_seed(self._store, seed, whole=True)
        self.problem = None
        for line in changes.lines:
            logger.info("%s", line)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _digest(paths: tuple[Path, ...]) -> bytes:
    """Give a digest of the files' content, and of which of them can't be read."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError:
            digest.update(b"absent")
            continue
        digest.update(b"%d:" % len(content) + content)
    return digest.digest()
