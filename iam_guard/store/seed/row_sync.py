"""Synchronizes the rows of a table with the desired ones: one statement each for deletes and inserts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Connection, Table, and_, bindparam

Key: TypeAlias = tuple[Any, ...]
Row: TypeAlias = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Delta:
    """The changed rows, by primary key; for updated rows, the changed columns."""

    created: tuple[Key, ...]
    updated: Mapping[Key, tuple[str, ...]]
    deleted: tuple[Key, ...]
    rows: tuple[Row, ...]
    """The changed rows, as they were before and are now."""


def sync(
    connection: Connection,
    table: Table,
    desired: Iterable[Row],
    existing: Iterable[Row],
    *,
    once: Collection[str] = ("created",),
) -> Delta:
    """Delete, update and insert rows, from `existing` to `desired`; columns in `once` are set on creation only."""
    key_names = [column.name for column in table.primary_key]
    before = {tuple(row[name] for name in key_names): row for row in existing}
    after = {tuple(row[name] for name in key_names): row for row in desired}
    deleted = [key for key in before if key not in after]
    created = [key for key in after if key not in before]
    updated = {
        key: fields for key, row in after.items() if key in before and (fields := _changes(row, before[key], once))
    }
    if deleted:
        this = and_(*(column == bindparam(f"key_{column.name}") for column in table.primary_key))
        names = [f"key_{name}" for name in key_names]
        connection.execute(table.delete().where(this), [dict(zip(names, key, strict=True)) for key in deleted])
    for key, fields in updated.items():
        pairs = zip(table.primary_key, key, strict=True)
        this = and_(*(column == value for column, value in pairs))
        connection.execute(table.update().where(this).values({field: after[key][field] for field in fields}))
    if created:
        connection.execute(table.insert(), [dict(after[key]) for key in created])
    rows = [*(before[key] for key in (*updated, *deleted)), *(after[key] for key in (*created, *updated))]
    return Delta(tuple(created), updated, tuple(deleted), tuple(rows))


def _changes(desired: Row, before: Row, once: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name, value in desired.items() if name not in once and before[name] != value)
