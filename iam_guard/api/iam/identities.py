"""Creating, listing, renaming and deleting users, groups and roles (rules G-77, G-78, R-11)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.iam.entities import NAME_MEMBER, find_identity, require_room, the_identity
from iam_guard.api.paging import Page, page_of_heavy_rows
from iam_guard.errors import DeleteConflict, EntityAlreadyExists
from iam_guard.store.identifiers import Kind, fold
from iam_guard.store.records import Row, Table
from iam_guard.store.schema import attachments, identities, inline_policies

InUse: TypeAlias = tuple[Table, str, str]
"""A table, its column that points at an entity, and what AWS says while a row does."""

POLICIES_IN_USE: Sequence[InUse] = (
    (attachments, "identity_id", "Cannot delete entity, must detach all policies first."),
    (inline_policies, "identity_id", "Cannot delete entity, must delete policies first."),
)


def create_identity(call: ServiceCall, kind: Kind, given: Input, **columns: Any) -> Row:
    """Make a user, group or role as a call wants it. Raises `EntityAlreadyExists`, `LimitExceeded`."""
    name: str = given[NAME_MEMBER[kind]]
    require_free(call, kind, name)
    held = call.records.count(identities, account=call.account, kind=kind.value)
    require_room(f"{kind.value}s per account", f"{kind.value.capitalize()}sPerAccount", held)
    return insert_identity(call, kind, given.get("Path", "/"), name, **columns)


def insert_identity(call: ServiceCall, kind: Kind, path: str, name: str, **columns: Any) -> Row:
    """Put in a user, group or role, and give the row that it has now."""
    common = {"description": "", "tags": {}, "trust_bindings": {}}
    call.records.insert(
        identities,
        id=call.new_id(kind.value, fold(name)),
        account=call.account,
        kind=kind.value,
        path=path,
        name=name,
        folded=fold(name),
        created=call.now,
        **(common | columns),
    )
    return the_identity(call, kind, name)


def require_free(call: ServiceCall, kind: Kind, name: str) -> None:
    """Raise `EntityAlreadyExists` when somebody has the name, in any letter case (P-16)."""
    if find_identity(call, kind, name) is not None:
        raise EntityAlreadyExists(f"{kind.value.capitalize()} with name {name} already exists.")


def page_of_identities(call: ServiceCall, given: Input, kind: Kind, **where: Any) -> Page:
    """Make a page of users, groups or roles by name: those below the path of the call, and within `where`."""
    order = ("folded",)
    return page_of_heavy_rows(
        given,
        order,
        lambda after, limit: call.records.page(
            identities,
            order=order,
            after=after,
            limit=limit,
            path_prefix=given.get("PathPrefix"),
            account=call.account,
            kind=kind.value,
            **where,
        ),
        lambda rows: sum(len(row["trust_text"] or "") for row in rows),
    )


def rename(call: ServiceCall, row: Row, *, path: str | None, name: str | None) -> None:
    """Return a user or group another path or name; the unique id stays (P-10). Raises `EntityAlreadyExists`."""
    name = row["name"] if name is None else name
    if fold(name) != row["folded"]:
        require_free(call, Kind(row["kind"]), name)
    values = {"path": row["path"] if path is None else path, "name": name, "folded": fold(name)}
    call.records.update(identities, values, id=row["id"])


def delete_unused(call: ServiceCall, row: Row, in_use: Sequence[InUse]) -> None:
    """Delete a user, group or role. Raises `DeleteConflict` for the first table that still has something of it."""
    for table, column, sentence in in_use:
        if call.records.count(table, **{column: row["id"]}):
            raise DeleteConflict(sentence)
    call.records.delete(identities, id=row["id"])
