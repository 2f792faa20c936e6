"""The store that follows a seed file: in memory, always as the file declares (design, section 4.2).

At every `epoch()` the file and the files that it names are looked at; when their content has changed, it is applied as
the whole truth. A bad edit changes nothing: the last good state stays, a warning is logged once, and `problem` says
what is wrong. Unique ids are derived from names, so that all the processes that follow one file agree on them.

A file is read again when its time, size or inode is another, and for a while after it was written, for two writes
within one tick of the file system's clock look the same. One that is just being written is left alone until it has
rested.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from iam_guard.errors import SeedError, StoreIsReadOnly
from iam_guard.forking import on_fork
from iam_guard.model.credential import AccessKey, ApiKey, Session
from iam_guard.model.principal import Principal
from iam_guard.model.trust import CertificateTrust
from iam_guard.settings import Settings
from iam_guard.store.engine import closed_on_error, make_engine
from iam_guard.store.identifiers import UniqueIds, derived_id
from iam_guard.store.last_used_rows import Use
from iam_guard.store.migrations import upgrade
from iam_guard.store.protocol import AccountRecord, DecisionRecords, PrincipalRecord, ResourceRecord
from iam_guard.store.records import Records
from iam_guard.store.sealing import Sealer, load_key_ring
from iam_guard.store.seed.apply import apply_seed
from iam_guard.store.seed.documents import Files
from iam_guard.store.seed.seed_reader import read_seed
from iam_guard.store.seed.seed_values import Seed
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
        self.begin_in_child()
        on_fork(self)
        self._look: tuple[object, ...] = ()
        self._rested = False
        self._partition = settings.partition
        sealer = load_key_ring(settings, IN_MEMORY)  # reading a seed takes long, so this comes first
        files = Files(self._path)
        seed = self._read(files)
        engine = make_engine(IN_MEMORY)
        with closed_on_error(engine):
            upgrade(engine)
            self._store = SqlStore(engine, sealer, partition=self._partition, ids=derived_id)
            self._apply(seed)
        self._seen = files.seen

    def begin_in_child(self) -> None:
        """Leave to the parent what its threads are reading."""
        self._lock = threading.Lock()

    def epoch(self) -> int:
        self._follow(REST_SECONDS)
        return self._store.epoch()

    def access_key(self, access_key_id: str) -> AccessKey | None:
        return self._store.access_key(access_key_id)

    def api_key(self, api_key_id: str) -> ApiKey | None:
        return self._store.api_key(api_key_id)

    def seal_session(self, session: Session, *, at_least: int = 0) -> str:
        return self._store.seal_session(session, at_least=at_least)

    def open_session(self, token: str) -> Session | None:
        return self._store.open_session(token)

    def at_once(self) -> AbstractContextManager[None]:
        return self._store.at_once()

    def principal(self, principal: Principal) -> PrincipalRecord:
        return self._store.principal(principal)

    def account(self, account_id: str) -> AccountRecord:
        return self._store.account(account_id)

    def resource(self, arn: str) -> ResourceRecord:
        return self._store.resource(arn)

    def decision_records(
        self, principal: Principal | None, account_ids: Collection[str], arn: str | None
    ) -> DecisionRecords:
        return self._store.decision_records(principal, account_ids, arn)

    def certificate_trust(self) -> CertificateTrust:
        return self._store.certificate_trust()

    @property
    def sealer(self) -> Sealer:
        return self._store.sealer

    @property
    def partition(self) -> str:
        return self._partition

    @property
    def ids(self) -> UniqueIds:
        return self._store.ids

    def viewing(self) -> AbstractContextManager[Records]:
        return self._store.viewing()

    def changing(self) -> AbstractContextManager[Records]:
        """Refuse: the file is the whole truth, and the next reading of it would undo any change."""
        raise StoreIsReadOnly(f"the store follows the file `{self._path.name}`, and changes with it only")

    def keep_uses(self, uses: Sequence[Use]) -> None:
        """Keep what was used last, for as long as this process lives."""
        self._store.keep_uses(uses)

    def refresh(self) -> None:
        """Read the file again if it has changed, even if it was written this very moment."""
        self._follow(0.0)

    def close(self) -> None:
        self._store.close()

    def _follow(self, rest: float) -> None:
        """Take what is in the files now, unless one was written less than `rest` seconds ago and may be half a file."""
        with self._lock:
            look, age = _look_at(self._seen)
            if (look == self._look and self._rested) or age < rest:
                return
            if _digests(self._seen) == self._seen:
                self._look, self._rested = look, age >= TICK_SECONDS
            else:
                self._take_or_keep(rest)

    def _take_or_keep(self, rest: float) -> None:
        files = Files(self._path)
        try:
            seed: Seed | SeedError = self._read(files)
        except SeedError as error:
            seed = error
        if _look_at(files.seen)[1] < rest:
            return  # somebody writes at this moment: what was read may be half of it, and is read again
        self._seen = files.seen
        if isinstance(seed, Seed):
            try:
                self._apply(seed)
            except SeedError as error:
                self._keep(error)
        else:
            self._keep(seed)

    def _keep(self, error: SeedError) -> None:
        self.problem = str(error)
        logger.warning("the last good state stays, for the seed was refused: %s", error)

    def _read(self, files: Files) -> Seed:
        return read_seed(files.read_seed(), self._path.name, files, partition=self._partition)

    def _apply(self, seed: Seed) -> None:
        changes = apply_seed(self._store, seed, whole=True)
        self.problem = None
        for line in changes.lines:
            logger.info("%s", line)


def _look_at(paths: Iterable[Path]) -> tuple[tuple[object, ...], float]:
    """Return what tells one state of the files from another, and the seconds since the last write to one of them."""
    stats = [_stat(path) for path in paths]
    look = tuple(stat and (stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)
    age = time.time() - max((stat.st_mtime for stat in stats if stat is not None), default=0.0)
    return look, age if age >= 0 else float("inf")


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _digests(paths: Iterable[Path]) -> dict[Path, bytes | None]:
    """Return the digest of each file's content, None where it can't be read."""
    digests: dict[Path, bytes | None] = {}
    for path in paths:
        try:
            digests[path] = hashlib.sha256(path.read_bytes()).digest()
        except (OSError, ValueError):
            digests[path] = None
    return digests
