"""Fixtures of the IAM tests."""

from __future__ import annotations

import pytest

from iam_guard.authn.people.passwords.passwords import shared_hasher
from tests.api.conftest import Running


@pytest.fixture
def cheap_passwords(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce the cost of password digests."""
    running.change(monkeypatch, passwords=shared_hasher(64, 1, for_writers=True))
