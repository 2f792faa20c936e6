"""Fixtures of the STS tests: each test starts without counted wrong codes, since all use the same device names."""

from __future__ import annotations

import pytest

from iam_guard.api.sts import mfa_codes
from iam_guard.api.sts.mfa_codes import WrongCodes


@pytest.fixture(autouse=True)
def no_wrong_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mfa_codes, "WRONG_CODES", WrongCodes())
