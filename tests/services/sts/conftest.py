"""Each test begins with no wrong code shown: devices have the same names in all of them."""

from __future__ import annotations

import pytest

from iam_guard.services.sts import shown_codes
from iam_guard.services.sts.wrong_codes import WrongCodes


@pytest.fixture(autouse=True)
def no_wrong_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown_codes, "WRONG_CODES", WrongCodes())
