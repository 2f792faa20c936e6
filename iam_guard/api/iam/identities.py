"""Creating, listing, renaming and deleting users, groups and roles (rules G-77, G-78, R-11)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.iam.entities import NAME_MEMBER, find_identity, load_identity, named_columns, require_quota
from iam_guard.api.paging import Page, fetch_from, page_of_heavy_rows
from iam_guard.errors import DeleteConflict, EntityAlreadyExists
from iam_guard.store.identifiers import Kind, fold
from iam_guard.store.records import Row, Table
from iam_guard.store.schema import attachments, identities, inline_policies

InUse: TypeAlias = tuple[Table, str, str]
"""A table, its column that references an entity, and AWS's message while such a row exists."""

POLICIES_IN_USE: Sequence[InUse] = (
    (attachments, "identity_id", "Cannot delete entity, must detach all policies first."),
    (inline_policies, "identity_id", "Cannot delete entity, must delete policies first."),
)


def create_identity(call: ServiceCall, kind: Kind, parameters: Input, **columns: Any) -> Row:
    """Create a user, group or role. Raises `EntityAlreadyExists`, `LimitExceeded`."""
    name: str = parameters[NAME_MEMBER[kind]]
    require_free(call, kind, name)
    current = call.records.count(identities, account=call.account, kind=kind.value)
    require_quota(f"{kind.value}s per account", f"{kind.value.capitalize()}sPerAccount", current)
    return insert_identity(call, kind, parameters.get("Path", "/"), name, **columns)


def insert_identity(call: ServiceCall, kind: Kind, path: str, name: str, **columns: Any) -> Row:
    """Insert a user, group or role, and return its row."""
    common = {"description": "", "tags": {}, "trust_bindings": {}}
    call.records.insert(
        identities,
        id=call.new_id(kind.value, fold(name)),
        kind=kind.value,
        path=path,
        **named_columns(call, name),
        **(common | columns),
    )
    return load_identity(call, kind, name)


def require_free(call: ServiceCall, kind: Kind, name: str) -> None:
    """Raise `EntityAlreadyExists` if the name is taken, in any letter case (P-16)."""
    if find_identity(call, kind, name) is not None:
        raise EntityAlreadyExists(f"{kind.value.capitalize()} with name {name} already exists.")


def page_of_identities(call: ServiceCall, parameters: Input, kind: Kind, **where: Any) -> Page:
    """Return a page of users, groups or roles below the call's path and within `where`, sorted by name."""
    order = ("folded",)
    return page_of_heavy_rows(
        parameters,
        order,
        fetch_from(call, parameters, identities, order, account=call.account, kind=kind.value, **where),
        lambda rows: sum(len(row["trust_text"] or "") for row in rows),
    )


def rename(call: ServiceCall, row: Row, *, path: str | None, name: str | None) -> None:
    """Change the path or name of a user or group; the unique id stays (P-10). Raises `EntityAlreadyExists`."""
    name = row["name"] if name is None else name
    if fold(name) != row["folded"]:
        require_free(call, Kind(row["kind"]), name)
    values = {"path": row["path"] if path is None else path, "name": name, "folded": fold(name)}
    call.records.update(identities, values, id=row["id"])


def delete_unused(call: ServiceCall, row: Row, in_use: Sequence[InUse]) -> None:
    """Delete a user, group or role. Raises `DeleteConflict` for the first table that still references it."""
    for table, column, message in in_use:
        if call.records.count(table, **{column: row["id"]}):
            raise DeleteConflict(message)
    call.records.delete(identities, id=row["id"])
