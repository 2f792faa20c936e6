"""Opens a store by its setting: a database URL, or the path of a seed file.

The modules that read seeds are imported only for seeds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path

from sqlalchemy import Engine

from iam_guard.errors import ConfigurationError
from iam_guard.settings import Settings
from iam_guard.store import migrations
from iam_guard.store.database.engine import closed_on_error, make_engine, reading
from iam_guard.store.database.postgresql_schema import use_own_schema
from iam_guard.store.database.sqlite import create_store_file
from iam_guard.store.database.time_limits import BUSY_SECONDS, within
from iam_guard.store.location import database_file, is_in_memory, is_seed_file, is_sqlite, missing_store
from iam_guard.store.migrations.schema_move import move_to_schema
from iam_guard.store.protocol import SourceStore
from iam_guard.store.quotas import effective_quotas
from iam_guard.store.readiness import has_usable_store
from iam_guard.store.sealed_values import replace_canary, write_canary
from iam_guard.store.sealing import create_key_file, default_key_file, load_sealer
from iam_guard.store.sql_store import SqlStore


def open_store(url_or_path: str, settings: Settings, *, create: bool = False) -> SourceStore:
    """Open a store: `*.yaml`, `*.yml`, `*.json` is a seed file to follow, everything else a database URL.

    `create` creates a missing database as `create_store` does; a store in memory always is. Raises `ConfigurationError`
    for a store that is not ready, `SeedError`, `StoreUnavailable`.
    """
    if is_seed_file(url_or_path):
        followed: SourceStore = import_module("iam_guard.store.seed.seed_follower").FollowedSeedStore(
            url_or_path, settings
        )
        return followed
    return open_database(url_or_path, settings, create=create)


def open_candidate_store(url_or_path: str, present: SourceStore, settings: Settings) -> SourceStore:
    """Open the candidate for shadow mode: a change file becomes an overlay of `present`, others are a whole store.

    Raises as `open_store` does, and `SeedError` for an invalid change file. The caller must close `present` afterwards.
    """
    if is_seed_file(url_or_path):
        change_files = import_module("iam_guard.store.seed.change_files")
        if change_files.is_change_file(url_or_path):
            candidate: SourceStore = change_files.open_overlay(present, url_or_path)
            return candidate
    return open_store(url_or_path, settings)


def open_database(url: str, settings: Settings, *, create: bool = False) -> SqlStore:
    """Open a database. Raises `ConfigurationError` if it is missing or has another schema, `StoreUnavailable`."""
    opened = None if is_in_memory(url) else _existing_store(url, settings)
    if opened is not None:
        return opened
    if create or is_in_memory(url):
        return create_store(url, settings)
    raise missing_store(url)


def _existing_store(url: str, settings: Settings) -> SqlStore | None:
    """Open a database; None if there is no file, or none of our tables."""
    path = database_file(url)
    if path is not None and _is_new(path):
        return None
    sealer, quotas = load_sealer(settings, url), effective_quotas(settings.quotas)
    engine = _connected_engine(url, settings)
    with closed_on_error(engine):
        if has_usable_store(engine, sealer):
            return SqlStore(engine, sealer, partition=settings.partition, quotas=quotas)
    engine.dispose()
    return None


def check_store(url: str, settings: Settings) -> None:
    """Check that a store can be opened and written to, or created, without creating anything.

    Raises as `open_database` does.
    """
    path = database_file(url)
    if path is None or not _is_new(path):
        opened = _existing_store(url, settings)
        if opened is not None:
            with closing(opened):
                opened.epoch()
                with opened.write_transaction():
                    pass  # raises for a read-only store, at its lock
        return
    key_file = default_key_file(url)
    if settings.sealing_keys or settings.sealing_key_file or (key_file is not None and _exists(key_file)):
        load_sealer(settings, url)
    with _usable(path):
        os.scandir(path.parent).close()
    if not os.access(path.parent, os.W_OK):
        raise ConfigurationError(f"cannot open the store `{path}`: its directory is read-only", place="store")


def create_store(url: str, settings: Settings) -> SqlStore:
    """Create the sealing key of a new SQLite file, create or upgrade the schema, and open the store."""
    quotas = effective_quotas(settings.quotas)  # an error of the settings creates no file
    path, key_file = database_file(url), default_key_file(url)
    has_own_key = settings.sealing_keys or settings.sealing_key_file
    if path is not None and key_file is not None and not has_own_key and _is_new(path):
        create_key_file(key_file)
    sealer = load_sealer(settings, url)
    if path is not None and _is_new(path):
        with _usable(path):
            create_store_file(str(path))
    engine = _connected_engine(url, settings)
    with closed_on_error(engine):
        migrations.upgrade(engine)
        if not is_in_memory(url):  # which no other process opens
            write_canary(engine, sealer)
    return SqlStore(engine, sealer, partition=settings.partition, quotas=quotas)


def accept_sealing_keys(url: str, settings: Settings) -> None:
    """Make the configured sealing keys those of a store whose own are lost: secrets sealed with these stay unusable.

    Raises as `open_database` does.
    """
    path = database_file(url)
    if path is not None and _is_new(path):
        raise missing_store(url)
    engine = _connected_engine(url, settings)
    with closed_on_error(engine):
        if not migrations.is_current(engine):
            raise ConfigurationError("expected a store with the current schema", place="store")
        replace_canary(engine, load_sealer(settings, url))
    engine.dispose()


def _connected_engine(url: str, settings: Settings) -> Engine:
    """Return an engine with its first connection, which has a longer timeout than later ones."""
    limits = {"pool_size": settings.store_pool_size, "overflow": settings.store_pool_overflow}
    engine = make_engine(url, timeout=settings.store_timeout, **limits)
    with closed_on_error(engine), within(BUSY_SECONDS):
        with reading(engine):
            pass  # it answers
        use_own_schema(engine, settings.postgresql_schema)
    return engine


def move_to_own_schema(url: str, settings: Settings) -> str | None:
    """Upgrade a store on PostgreSQL, and move it into the schema of the settings; return the former one, if another.

    Raises as `open_database` does, and `ConfigurationError` while other processes use the store.
    """
    own = settings.postgresql_schema
    if not own or is_sqlite(url):
        expected = "a store on PostgreSQL" if own else "the name of a schema"
        raise ConfigurationError(f"expected {expected} to move it to, got none", place="postgresql_schema")
    create_store(url, settings).close()
    engine = _connected_engine(url, settings)
    try:
        return move_to_schema(engine, own)
    finally:
        engine.dispose()


def _exists(path: Path) -> bool:
    with _usable(path):
        return path.exists()


def _is_new(path: Path) -> bool:
    return not _exists(path) or path.stat().st_size == 0


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    """Raise `ConfigurationError` for an error of the operating system."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"cannot open the store `{path}`: {error.strerror}", place="store") from None
