"""Fixtures of the IAM tests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.api.conftest import Running


@pytest.fixture
def cheap_passwords(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce the cost of password digests."""
    settings = replace(running.guard.settings, password_memory=64, password_passes=1)
    monkeypatch.setattr(running.guard, "settings", settings)
