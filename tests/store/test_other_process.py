"""Changes by another process are seen after `refresh` at once, otherwise within a second (T-1, T-5)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from iam_guard import Guard, Principal, open_guard
from iam_guard.settings import Settings
from iam_guard.store.opening import open_database
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.store.databases import SEALING_KEY, start

ALICE = Principal.from_arn("arn:aws:iam::111122223333:user/alice")
DOCUMENT = "arn:aws:docs:us-east-1:111122223333:document/7"
WITHIN_SECONDS = 1.0

WRITER = """
import sys
from iam_guard.settings import load_settings
from iam_guard.store.opening import open_database
from iam_guard.store.seed import apply_seed, load_seed_text
store = open_database(sys.argv[1], load_settings())
print("ready", flush=True)
for line in sys.stdin:
    print(apply_seed(store, load_seed_text(line)).epoch, flush=True)
store.close()
"""


def seed(action: str) -> str:
    """Return a seed, in one line, that allows Alice an action."""
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}
    users = [{"name": "alice", "inline": {"P": policy}}]
    return json.dumps({"version": 1, "accounts": [{"id": "111122223333", "users": users}]})


class Writer:
    """Another process that applies seeds to the store at `url`."""

    def __init__(self, url: str) -> None:
        self._process = start(WRITER, url)
        self._line()

    def apply(self, text: str) -> int:
        """Apply a seed in the process; return the epoch."""
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        return int(self._line())

    def close(self) -> None:
        _, _ = self._process.communicate(timeout=300)
        assert self._process.returncode == 0

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@pytest.fixture
def writer(database: str) -> Iterator[Writer]:
    opened = Writer(database)
    yield opened
    opened.close()


@contextmanager
def guard_on(url: str) -> Iterator[Guard]:
    """A guard with the default settings."""
    guard = open_guard(url, sealing_keys=[SEALING_KEY])
    try:
        yield guard
    finally:
        guard.close()


def test_change_by_another_process_is_seen_within_a_second(database: str, writer: Writer) -> None:
    """With the default settings, a grant and its revocation apply within a second (T-5)."""
    with guard_on(database) as guard:
        assert not guard.decide(ALICE, "docs:Get", DOCUMENT).allowed
        for action, allowed in (("docs:Get", True), ("docs:Put", False)):
            epoch = writer.apply(seed(action))
            time.sleep(WITHIN_SECONDS)
            decision = guard.decide(ALICE, "docs:Get", DOCUMENT)
            assert (decision.allowed, decision.epoch, decision.error) == (allowed, epoch, None)


def test_change_by_another_process_is_seen_after_refresh(database: str, writer: Writer) -> None:
    """`guard.refresh()` polls at once, whenever the next poll is due."""
    with guard_on(database) as guard:
        for number in range(10):
            epoch = writer.apply(seed("docs:Get" if number % 2 else "docs:Put"))
            guard.refresh()
            decision = guard.decide(ALICE, "docs:Get", DOCUMENT)
            assert (decision.allowed, decision.epoch, decision.error) == (bool(number % 2), epoch, None)


def test_own_write_is_seen_after_refresh(database: str, settings: Settings) -> None:
    """A writer in the same process calls `refresh` to read its own writes."""
    with guard_on(database) as guard:
        assert not guard.decide(ALICE, "docs:Get", DOCUMENT).allowed
        store = open_database(database, settings)
        apply_seed(store, load_seed_text(seed("docs:Get")))
        store.close()
        guard.refresh()
        assert guard.decide(ALICE, "docs:Get", DOCUMENT).allowed
