"""A guard on an empty store, which writes its audit records to a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from iam_guard import Guard, open_guard


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    return tmp_path / "trail.jsonl"


@pytest.fixture
def guard(trail: Path) -> Iterator[Guard]:
    opened = open_guard("sqlite://", audit=str(trail), password_memory=64, epoch_poll=3600.0)
    yield opened
    opened.close()
