"""The rows of last uses: of keys and browser sessions, and of each action by a user or role (R-33, R-34).

No decision depends on them, so writing them does not change the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import Column, Connection, Table, bindparam, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from iam_guard.store.schema import (
    access_key_uses,
    access_keys,
    api_keys,
    browser_sessions,
    federated_sessions,
    identities,
    service_credentials,
    service_uses,
)

MAX_ACTIONS: Final = 5000
"""Actions recorded for one user or role; action names may come from callers and could fill the store."""


class KeyUse(NamedTuple):
    """An access key signed a request; `at` is in whole seconds since 1970."""

    access_key_id: str
    at: int
    region: str
    service: str


class ApiKeyUse(NamedTuple):
    """An API key authenticated a request; `at` is in whole seconds since 1970."""

    api_key_id: str
    at: int


class SessionUse(NamedTuple):
    """A browser session authenticated a request; `at` is in whole seconds since 1970."""

    session_id: str
    at: int


class ServiceUse(NamedTuple):
    """A user or role attempted an action; `identity_id` is the unique id, `action` is without the service."""

    identity_id: str
    service: str
    action: str
    at: int
    region: str


Use: TypeAlias = KeyUse | ApiKeyUse | SessionUse | ServiceUse

_INSERT: Final = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def write_uses(connection: Connection, uses: Sequence[Use]) -> None:
    """Write the uses that are newer than the stored ones, except those of deleted keys, users and roles.

    The transaction must lock out other writers, or one of these may be deleted meanwhile.
    """
    _write_keys(connection, [use for use in uses if isinstance(use, KeyUse)])
    _write_api_keys(connection, [use for use in uses if isinstance(use, ApiKeyUse)])
    _write_sessions(connection, [use for use in uses if isinstance(use, SessionUse)])
    _write_services(connection, [use for use in uses if isinstance(use, ServiceUse)])


def _write_keys(connection: Connection, uses: Sequence[KeyUse]) -> None:
    stored = _stored_ids(connection, access_keys.c.id, (use.access_key_id for use in uses))
    _upsert(connection, access_key_uses, [use._asdict() for use in uses if use.access_key_id in stored])


def _write_api_keys(connection: Connection, uses: Sequence[ApiKeyUse]) -> None:
    """Record the use in the key's own row, or in that of the service-specific credential."""
    if not uses:
        return
    for table in (api_keys, service_credentials):
        stored = _stored_ids(connection, table.c.id, (use.api_key_id for use in uses))
        rows = [{"key": use.api_key_id, "now": use.at} for use in uses if use.api_key_id in stored]
        if rows:
            now: Any = bindparam("now")
            is_older = or_(table.c.used.is_(None), table.c.used < now)
            connection.execute(table.update().where(table.c.id == bindparam("key"), is_older).values(used=now), rows)


def _write_sessions(connection: Connection, uses: Sequence[SessionUse]) -> None:
    if not uses:
        return
    now: Any = bindparam("now")
    rows = [{"session": use.session_id, "now": use.at} for use in uses]
    for table in (browser_sessions, federated_sessions):
        is_older = table.c.seen < now
        connection.execute(table.update().where(table.c.id == bindparam("session"), is_older).values(seen=now), rows)


def _write_services(connection: Connection, uses: Sequence[ServiceUse]) -> None:
    stored = _stored_ids(connection, identities.c.id, (use.identity_id for use in uses))
    owner = service_uses.c.identity_id
    counted = select(owner).where(owner.in_(stored)).group_by(owner).having(func.count() >= MAX_ACTIONS)
    full = set(connection.execute(counted).scalars())
    recorded = _recorded_actions(connection, [use for use in uses if use.identity_id in full])
    rows = [
        use._asdict()
        for use in uses
        if use.identity_id in stored - full or (use.identity_id, use.service, use.action) in recorded
    ]
    _upsert(connection, service_uses, rows)


def _recorded_actions(connection: Connection, uses: Sequence[ServiceUse]) -> set[tuple[Any, ...]]:
    """Return identity, service and action of the uses that have a row already."""
    if not uses:
        return set()
    ids, actions = {use.identity_id for use in uses}, {use.action for use in uses}
    found = select(*service_uses.primary_key).where(
        service_uses.c.identity_id.in_(ids), service_uses.c.action.in_(actions)
    )
    return {tuple(row) for row in connection.execute(found)}


def _stored_ids(connection: Connection, column: Column[Any], ids: Iterable[str]) -> set[str]:
    return set(connection.execute(select(column).where(column.in_(set(ids)))).scalars())


def _upsert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows, or replace older ones with the same key."""
    if not rows:
        return
    insert: Any = _INSERT[connection.dialect.name](table)
    values = {column.name: insert.excluded[column.name] for column in table.columns if not column.primary_key}
    upsert = insert.on_conflict_do_update(
        index_elements=list(table.primary_key), set_=values, where=table.c.at < insert.excluded.at
    )
    connection.execute(upsert, rows)
