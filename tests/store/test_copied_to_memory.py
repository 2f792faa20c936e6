"""A copy of a store in memory has all its rows, and is independent of it."""

from __future__ import annotations

from contextlib import closing
from typing import Any, cast

import pytest

from iam_guard.store.protocol import SourceStore, Store
from iam_guard.store.schema import metadata
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.snapshot import copy_to_memory


def rows(store: SourceStore) -> dict[str, list[str]]:
    with store.read_transaction() as records:
        return {table.name: sorted(repr(dict(row)) for row in records.all(table)) for table in metadata.sorted_tables}


@pytest.fixture
def source(any_store: Store) -> SourceStore:
    return cast(SourceStore, any_store)


def test_copy_has_every_row(source: SourceStore) -> None:
    """Of each kind of store: the rows are equal, and there are rows."""
    with closing(copy_to_memory(source)) as copy:
        assert rows(copy) == rows(source)
        assert rows(copy)["identities"]
        assert copy.api_key("alicekey") == source.api_key("alicekey")
        assert copy.access_key("AKIAALICE") == source.access_key("AKIAALICE")


def test_change_of_copy_leaves_source_unchanged(source: SourceStore) -> None:
    before: dict[str, Any] = rows(source)
    with closing(copy_to_memory(source)) as copy:
        change = 'version: 1\naccounts: [{id: "111122223333", users: [{name: newcomer}]}]'
        assert apply_seed(copy, load_seed_text(change)).lines
        assert rows(copy) != before
        assert rows(source) == before
