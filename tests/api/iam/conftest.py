"""What tests of single themes share."""

from __future__ import annotations

import pytest


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the digest of a password cost next to nothing, for nobody guesses here."""
    monkeypatch.setattr("iam_guard.api.iam.passwords.MEMORY_KIB", 64)
    monkeypatch.setattr("iam_guard.api.iam.passwords.PASSES", 1)
