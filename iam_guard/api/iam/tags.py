"""Tags: parsing, merging and listing them (G-79, J).

Keys are case-insensitive: as in IAM, a new tag replaces one whose key differs only in case.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.authorization_targets import request_tags
from iam_guard.api.iam.output_members import tag_list
from iam_guard.api.operation import Digests, Handler, KeySource, Operation, Target, tag_permission
from iam_guard.api.paging import page_of_list
from iam_guard.errors import InvalidInput, LimitExceeded
from iam_guard.store.database.records import Row, Table
from iam_guard.store.quotas import QUOTAS

_MARKER_KEY_LENGTH = 48
_DUPLICATE = "Duplicate tag keys found. Please note that Tag keys are case insensitive."

Find = Callable[[ServiceCall, Input], Row]
"""Finds the call's entity, or raises `NoSuchEntity`."""


def new_tags(parameters: Input) -> dict[str, str]:
    """Return the tags of a new entity. Raises `InvalidInput`, `LimitExceeded`."""
    return merge_tags({}, parameters)


def merge_tags(stored: Mapping[str, str], parameters: Input) -> dict[str, str]:
    """Merge the tags of a call into stored ones. Raises `InvalidInput`, `LimitExceeded`."""
    tags = dict(stored)
    seen: set[str] = set()
    for tag in parameters.get("Tags", ()):
        key = tag["Key"]
        folded = key.lower()
        _refuse_system_tag(key)
        if folded in seen:
            raise InvalidInput(_DUPLICATE, place="Tags")
        seen.add(folded)
        tags = {name: value for name, value in tags.items() if name.lower() != folded}
        tags[key] = tag["Value"]
    if len(tags) > QUOTAS["tags per entity"]:
        raise LimitExceeded("The number of tags has reached the maximum limit.")
    return tags


def _refuse_system_tag(key: str) -> None:
    if key.lower().startswith("aws:"):
        raise InvalidInput("System tags cannot be added, updated or deleted by a customer.", place="Tags")


def tag_operations(
    entity: str, table: Table, target: Target, find: Find, *, find_modifiable: Find | None = None
) -> dict[str, Operation]:
    """Return the operations that list, set and remove the tags of one kind of entity.

    `find_modifiable` finds it for changes, if that differs.
    """
    find_to_change = find_modifiable or find
    return {
        f"List{entity}Tags": Operation(partial(_list_tags, find), target, reads=True),
        f"Tag{entity}": Operation(partial(_tag, table, find_to_change), target, (request_tags,)),
        f"Untag{entity}": Operation(partial(_untag, table, find_to_change), target, (request_tags,)),
    }


def create_operation(
    entity: str, handle: Handler, target: Target, *keys: KeySource, digests: Digests | None = None
) -> Operation:
    """Return the operation that creates an entity; with tags, it requires the permission to tag as well."""
    further = tag_permission(f"iam:Tag{entity}", target, request_tags)
    return Operation(handle, target, (*keys, request_tags), further=(further,), digests=digests)


def _tag(table: Table, find: Find, call: ServiceCall, parameters: Input) -> None:
    row = find(call, parameters)
    call.records.update(table, {"tags": merge_tags(row["tags"], parameters)}, **_key_of(table, row))


def _untag(table: Table, find: Find, call: ServiceCall, parameters: Input) -> None:
    """Remove tags by key; a missing key is no error."""
    row = find(call, parameters)
    for tag_key in parameters["TagKeys"]:
        _refuse_system_tag(tag_key)
    removed = {tag_key.lower() for tag_key in parameters["TagKeys"]}
    remaining = {name: value for name, value in row["tags"].items() if name.lower() not in removed}
    call.records.update(table, {"tags": remaining}, **_key_of(table, row))


def _list_tags(find: Find, call: ServiceCall, parameters: Input) -> Output:
    tags: list[dict[str, Any]] = tag_list(find(call, parameters)["tags"])
    page = page_of_list(parameters, tags, lambda tag: _sort_key(tag["Key"]))
    return {"Tags": page.rows, **page.members}


def _key_of(table: Table, row: Row) -> dict[str, Any]:
    return {column.name: row[column.name] for column in table.primary_key}


def _sort_key(key: str) -> tuple[str, str]:
    """Return a tag's sort key. Long keys are cut and hashed, since a marker has at most 320 characters."""
    rest = key[_MARKER_KEY_LENGTH:]
    return key[:_MARKER_KEY_LENGTH], hashlib.sha256(rest.encode()).hexdigest()[:16] if rest else ""
