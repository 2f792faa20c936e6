"""Tags: reading them from an input, laying them over those that an entity has, listing them (rules G-79, J).

Keys are the same without regard to case: a new tag replaces one whose key differs by case only, as IAM does. Must not
live here: which entities have tags (`operations`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.output_members import tag_list
from iam_guard.api.operation import Handler
from iam_guard.api.paging import page_of_list
from iam_guard.errors import InvalidInput, LimitExceeded
from iam_guard.store.quotas import QUOTAS
from iam_guard.store.records import Row, Table

_MARKED = 48
_DUPLICATE = "Duplicate tag keys found. Please note that Tag keys are case insensitive."

Find = Callable[[ServiceCall, Input], Row]
"""Finds the entity that a call names, or raises `NoSuchEntity`."""


def given_tags(given: Input) -> dict[str, str]:
    """Read the tags of something that is to be made. Raises `InvalidInput`, `LimitExceeded`."""
    return merged({}, given)


def merged(stored: Mapping[str, str], given: Input) -> dict[str, str]:
    """Lay the tags of a call over those that are there. Raises `InvalidInput`, `LimitExceeded`."""
    tags = dict(stored)
    seen: set[str] = set()
    for tag in given.get("Tags", ()):
        key = tag["Key"]
        folded = key.lower()
        _refuse_system_tag(key)
        if folded in seen:
            raise InvalidInput(_DUPLICATE, place="Tags")
        seen.add(folded)
        tags = {other: value for other, value in tags.items() if other.lower() != folded}
        tags[key] = tag["Value"]
    if len(tags) > QUOTAS["tags per entity"]:
        raise LimitExceeded("The number of tags has reached the maximum limit.")
    return tags


def _refuse_system_tag(key: str) -> None:
    if key.lower().startswith("aws:"):
        raise InvalidInput("System tags cannot be added, updated or deleted by a customer.", place="Tags")


def tag_handler(table: Table, key: str, find: Find) -> Handler:
    """Make the operation that tags an entity; `key` is the table's primary key."""

    def tag(call: ServiceCall, given: Input) -> None:
        row = find(call, given)
        call.records.update(table, {"tags": merged(row["tags"], given)}, **{key: row[key]})

    return tag


def untag_handler(table: Table, key: str, find: Find) -> Handler:
    """Make the operation that removes tags by their keys; a key that is not there is no error."""

    def untag(call: ServiceCall, given: Input) -> None:
        row = find(call, given)
        for each in given["TagKeys"]:
            _refuse_system_tag(each)
        gone = {each.lower() for each in given["TagKeys"]}
        kept = {name: value for name, value in row["tags"].items() if name.lower() not in gone}
        call.records.update(table, {"tags": kept}, **{key: row[key]})

    return untag


def list_handler(find: Find) -> Handler:
    """Make the operation that lists the tags of an entity."""

    def list_tags(call: ServiceCall, given: Input) -> Output:
        tags: list[dict[str, Any]] = tag_list(find(call, given)["tags"])
        page = page_of_list(given, tags, lambda tag: _place_of(tag["Key"]))
        return {"Tags": page.rows, **page.members}

    return list_tags


def _place_of(key: str) -> tuple[str, str]:
    """Return where a tag stands in its list: its key, of which a long one is cut, since a marker has 320 characters."""
    rest = key[_MARKED:]
    return key[:_MARKED], hashlib.sha256(rest.encode()).hexdigest()[:16] if rest else ""
