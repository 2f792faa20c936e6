"""The rows of what was used last: of an access key where and for what, of an API key when, of a user or role each
action (R-33, R-34).

No decision depends on them, so writing them leaves the epoch alone.
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
    identities,
    service_credentials,
    service_uses,
)

MAX_ACTIONS: Final = 5000
"""Actions noted of one user or role: their names may come from callers, and would fill the store otherwise."""


class KeyUse(NamedTuple):
    """An access key signed a request; `at` is in whole seconds since 1970."""

    access_key_id: str
    at: int
    region: str
    service: str


class ApiKeyUse(NamedTuple):
    """An API key signed in; `at` is in whole seconds since 1970."""

    api_key_id: str
    at: int


class ServiceUse(NamedTuple):
    """A user or role attempted an action; `identity_id` is the unique id, `action` is without the service."""

    identity_id: str
    service: str
    action: str
    at: int
    region: str


Use: TypeAlias = KeyUse | ApiKeyUse | ServiceUse

_INSERT: Final = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def write_uses(connection: Connection, uses: Sequence[Use]) -> None:
    """Write what is newer than what is there; keys, users and roles that are no more are left out.

    The transaction must keep other writers out, or one of them may be deleted meanwhile.
    """
    _write_keys(connection, [use for use in uses if isinstance(use, KeyUse)])
    _write_api_keys(connection, [use for use in uses if isinstance(use, ApiKeyUse)])
    _write_services(connection, [use for use in uses if isinstance(use, ServiceUse)])


def _write_keys(connection: Connection, uses: Sequence[KeyUse]) -> None:
    known = _known(connection, access_keys.c.id, (use.access_key_id for use in uses))
    _put(connection, access_key_uses, [use._asdict() for use in uses if use.access_key_id in known])


def _write_api_keys(connection: Connection, uses: Sequence[ApiKeyUse]) -> None:
    """Record it in the key's own row, or in that of the service-specific credential which it is."""
    if not uses:
        return
    for table in (api_keys, service_credentials):
        known = _known(connection, table.c.id, (use.api_key_id for use in uses))
        rows = [{"key": use.api_key_id, "now": use.at} for use in uses if use.api_key_id in known]
        if rows:
            now: Any = bindparam("now")
            is_older = or_(table.c.used.is_(None), table.c.used < now)
            connection.execute(table.update().where(table.c.id == bindparam("key"), is_older).values(used=now), rows)


def _write_services(connection: Connection, uses: Sequence[ServiceUse]) -> None:
    known = _known(connection, identities.c.id, (use.identity_id for use in uses))
    held = _held(connection, known)
    full = {id for id in known if held.get(id, 0) >= MAX_ACTIONS}
    _put(connection, service_uses, [use._asdict() for use in uses if use.identity_id in known - full])
    _renew(connection, [use for use in uses if use.identity_id in full])


def _known(connection: Connection, column: Column[Any], ids: Iterable[str]) -> set[str]:
    return set(connection.execute(select(column).where(column.in_(set(ids)))).scalars())


def _held(connection: Connection, ids: set[str]) -> dict[str, int]:
    owner = service_uses.c.identity_id
    counted = select(owner, func.count()).where(owner.in_(ids)).group_by(owner)
    return {str(id): int(number) for id, number in connection.execute(counted)}


def _put(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Put rows in, or in the place of older ones with the same key."""
    if not rows:
        return
    put: Any = _INSERT[connection.dialect.name](table)
    values = {column.name: put.excluded[column.name] for column in table.columns if not column.primary_key}
    newer = put.on_conflict_do_update(
        index_elements=list(table.primary_key), set_=values, where=table.c.at < put.excluded.at
    )
    connection.execute(newer, rows)


def _renew(connection: Connection, uses: Sequence[ServiceUse]) -> None:
    """Renew rows that are there, and put no other in."""
    if not uses:
        return
    columns = service_uses.c
    at: Any = bindparam("now")
    renewed = service_uses.update().where(
        columns.identity_id == bindparam("who"),
        columns.service == bindparam("which"),
        columns.action == bindparam("what"),
        columns.at < at,
    )
    connection.execute(
        renewed.values(at=at, region=bindparam("there")),
        [
            {"who": use.identity_id, "which": use.service, "what": use.action, "now": use.at, "there": use.region}
            for use in uses
        ],
    )
