"""Fixtures of the destination tests: an HTTP receiver, and a batch of records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from iam_guard.audit.consumer.subscription import AuditReader, Delivery
from tests.audit.shipping.receivers import Receiver, run_receiver
from tests.audit.trails import RING, written


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with run_receiver() as found:
        yield found


@pytest.fixture
def batch(tmp_path: Path) -> Sequence[Delivery]:
    """Return the records of a small trail."""
    written(tmp_path / "trail", 10)
    with AuditReader(tmp_path / "trail", ring=RING).subscribe(follow=False) as subscription:
        return list(subscription)
