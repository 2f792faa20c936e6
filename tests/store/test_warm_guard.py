"""A guard that is warm on PostgreSQL answers as a new one; `tests/laws/test_fast_path.py` has the law."""

from __future__ import annotations

import logging
from contextlib import closing

import pytest

from tests.laws.fast_path.comparison import Comparison
from tests.laws.fast_path.histories import History


def test_warm_guard_answers_as_a_new_one(postgresql: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever was sent and changed before, by itself or by another process."""
    with closing(History(1, postgresql)) as history, caplog.at_level(logging.CRITICAL, "iam_guard"):
        comparison = Comparison(history)
        for _ in range(8):
            comparison.round(10, 4)
            history.change()
