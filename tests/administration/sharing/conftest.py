"""A guard for tests of shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from iam_guard import Guard
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from tests.administration.sharing.sharing_parts import declared, reset


@pytest.fixture(scope="module")
def opened() -> Iterator[Guard]:
    store = create_store("sqlite://", Settings())
    guard = guard_with_store(store, Settings(epoch_poll=3600.0), services=[declared()])
    yield guard
    guard.close()


@pytest.fixture
def guard(opened: Guard) -> Guard:
    """A guard of two accounts, without policies of resources."""
    reset(opened)
    return opened
