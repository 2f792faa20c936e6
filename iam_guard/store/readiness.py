"""Checks that a database has a store that this process can use: when it is opened, and when its file was replaced."""

from __future__ import annotations

from sqlalchemy import Engine

from iam_guard.errors import ConfigurationError
from iam_guard.store import migrations
from iam_guard.store.sealed_values import check_sealing_keys
from iam_guard.store.sealing import Sealer


def has_usable_store(engine: Engine, sealer: Sealer) -> bool:
    """Return whether the database has a store, of the current schema; False for none of our tables.

    Raises `ConfigurationError` for a store that this process can't use, and `StoreUnavailable`.
    """
    if migrations.is_current(engine):
        check_sealing_keys(engine, sealer)
        return True
    if migrations.has_store(engine):
        raise ConfigurationError("expected a store with the current schema: run `iam-guard init`", place="store")
    return False


def require_store(engine: Engine, sealer: Sealer) -> None:
    """Raise `ConfigurationError` for a database without a usable store."""
    if not has_usable_store(engine, sealer):
        raise ConfigurationError("expected a store, got none", place="store")
