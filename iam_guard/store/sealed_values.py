"""The sealed values of a store: are the sealing keys its own, and seal the values again with the first key.

A store has a canary, which only its own keys open. So a process with other keys does not start, instead of failing at
the first secret. A store without one, of an earlier version, is judged by the keys that its values were sealed with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Engine, func, select, true

from iam_guard.errors import ConfigurationError, StoreUnavailable
from iam_guard.store.database.engine import reading, writing
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import meta, sealed_columns, sealing_context
from iam_guard.store.sealing import Sealer

BATCH: Final = 500
"""Values that one transaction seals again."""
_CANARY: Final = b"iam_guard"


def check_sealing_keys(engine: Engine, sealer: Sealer) -> None:
    """Raise `ConfigurationError` for sealing keys that are not those of the store, `StoreUnavailable`."""
    with reading(engine) as connection:
        canary = connection.execute(select(meta.c.canary)).scalar_one_or_none()
        is_own = _knows_a_key(connection, sealer) if canary is None else _opens(sealer, canary)
    if not is_own:
        message = (
            "expected the sealing keys of this store, got others: restore them, or run `iam-guard reseal --lost-keys`"
        )
        raise ConfigurationError(message, place="sealing_keys")


def write_canary(engine: Engine, sealer: Sealer) -> None:
    """Write the canary of a store that has none. Raises as `check_sealing_keys`."""
    check_sealing_keys(engine, sealer)
    _write_canary(engine, sealer, meta.c.canary.is_(None))


def replace_canary(engine: Engine, sealer: Sealer) -> None:
    """Make the keys those of the store, whose own are lost. Raises `StoreUnavailable`."""
    _write_canary(engine, sealer, true())


def _write_canary(engine: Engine, sealer: Sealer, condition: ColumnElement[bool]) -> None:
    sealed = sealer.seal(_CANARY, sealing_context(meta.c.canary))
    with writing(engine, patient=True) as connection:
        connection.execute(meta.update().where(condition).values(canary=sealed))


def _opens(sealer: Sealer, canary: bytes) -> bool:
    try:
        return sealer.open(canary, sealing_context(meta.c.canary)) == _CANARY
    except StoreUnavailable:
        return False


def _knows_a_key(connection: Connection, sealer: Sealer) -> bool:
    """Return whether a value of the store was sealed with one of the keys, or none with another."""
    queries = (select(_bytes_of(column, sealer.KEY_NAME)).where(column.is_not(None)) for column in sealed_columns())
    names = {bytes(name) for query in queries for name in connection.execute(query.distinct()).scalars()}
    return not names or any(map(sealer.opens, names))


def _bytes_of(column: Column[bytes], place: slice) -> ColumnElement[bytes]:
    return func.substr(column, place.start + 1, place.stop - place.start)


@dataclass(slots=True)
class ResealedBatch:
    """The values of one transaction, by the names of their tables: sealed again, and sealed with an unknown key."""

    resealed: Counter[str] = field(default_factory=Counter)
    unopened: Counter[str] = field(default_factory=Counter)


def resealed_batches(store: RecordStore, batch: int = BATCH) -> Iterator[ResealedBatch]:
    """Seal everything that was sealed with another key again with the first one, one transaction for each batch.

    No cached answer changes by it. After an interruption, call it again. Raises `StoreIsReadOnly`, `StoreUnavailable`.
    """
    for column, names in sealed_columns().items():
        last: Any = None
        while True:
            done = ResealedBatch()
            with store.write_transaction() as records:
                rows = _sealed_before(records.connection, store.sealer, column, names, last, batch)
                for row in rows:
                    is_opened = _reseal(records.connection, store.sealer, column, row)
                    (done.resealed if is_opened else done.unopened)[column.table.name] += 1
            if not rows:
                break
            last = rows[-1][0]
            yield done


def _sealed_before(
    connection: Connection, sealer: Sealer, column: Column[bytes], names: tuple[str, ...], last: object, limit: int
) -> Sequence[Sequence[Any]]:
    """Return the next rows that are not sealed with the first key: primary key, value, and what names the row."""
    (key,) = column.table.primary_key
    other = column.is_not(None), _bytes_of(column, slice(0, len(sealer.header))) != sealer.header
    query = select(key, column, *(column.table.c[name] for name in names)).where(*other).order_by(key).limit(limit)
    return connection.execute(query if last is None else query.where(key > last)).all()


def _reseal(connection: Connection, sealer: Sealer, column: Column[bytes], row: Sequence[Any]) -> bool:
    """Seal the value of a row again; return False for one that the keys don't open."""
    (key,) = column.table.primary_key
    id, value, names = row[0], row[1], row[2:]
    context = sealing_context(column, *names)
    try:
        opened = sealer.open(bytes(value), context)
    except StoreUnavailable:
        return False
    sealed = {column.name: sealer.seal(opened, context)}
    connection.execute(column.table.update().where(key == id).values(sealed))
    return True
