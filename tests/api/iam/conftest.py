"""Fixtures of the IAM tests."""

from __future__ import annotations

import pytest


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce the cost of password digests."""
    monkeypatch.setattr("iam_guard.api.iam.passwords.MEMORY_KIB", 64)
    monkeypatch.setattr("iam_guard.api.iam.passwords.PASSES", 1)
