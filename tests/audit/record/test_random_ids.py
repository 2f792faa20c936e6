"""Random ids from a pool: version 4 UUIDs, each handed out once, whatever threads and forks do."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.audit.record import random_ids
from iam_guard.audit.record.random_ids import BLOCK, new_id


@given(st.binary(min_size=16, max_size=16))
def test_ids_are_random_uuids(some: bytes) -> None:
    """122 random bits in the form of a version 4 UUID (RFC 9562)."""
    random = (some + bytes(16) + some[::-1] + b"\xff" * 16) * (BLOCK // 4)
    random_ids._pool.begin_in_child()
    with patch("os.urandom", return_value=random) as urandom:
        ids = [new_id() for _ in range(BLOCK)]
    urandom.assert_called_once_with(16 * BLOCK)
    random_ids._pool.begin_in_child()
    expected = [UUID(bytes=random[start : start + 16], version=4) for start in range(0, 16 * BLOCK, 16)]
    assert sorted(ids) == sorted(map(str, expected))
    assert {(UUID(one).version, UUID(one).variant) for one in ids} == {(4, RFC_4122)}


def test_threads_never_share_an_id() -> None:
    """Also while several of them fill the pool."""
    barrier = threading.Barrier(16)

    def take(_: int) -> list[str]:
        barrier.wait(60)
        return [new_id() for _ in range(20 * BLOCK)]

    previous = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(16) as pool:
            taken = [one for ids in pool.map(take, range(16)) for one in ids]
    finally:
        sys.setswitchinterval(previous)
    assert len(set(taken)) == len(taken) == 16 * 20 * BLOCK


def test_missing_randomness_is_an_error() -> None:
    """An id is never made up; the next call tries again."""
    random_ids._pool.begin_in_child()
    with patch("os.urandom", side_effect=OSError("no randomness")), pytest.raises(OSError, match="no randomness"):
        new_id()
    assert UUID(new_id()).version == 4


FORKING = """
import os, sys
from iam_guard.audit.record import random_ids
from iam_guard.audit.record.random_ids import new_id
if sys.argv[1] == "without hooks":  # as when a server written in C forks
    random_ids._Pool.begin_in_child, reset = lambda self: None, random_ids._Pool.begin_in_child
new_id()
children = []
for _ in range(3):
    children.append(os.fork())
    if not children[-1]:
        if sys.argv[1] == "without hooks":
            random_ids._Pool.begin_in_child = reset
        break
os.write(1, "".join(new_id() + "\\n" for _ in range(40)).encode())
for child in filter(None, children):
    os.waitpid(child, 0)
"""


@pytest.mark.forks
@pytest.mark.parametrize("hooks", ["with hooks", "without hooks"])
def test_forked_processes_never_share_an_id(hooks: str) -> None:
    """The parent's pool is not empty, and each child starts its own."""
    done = subprocess.run([sys.executable, "-c", FORKING, hooks], check=True, capture_output=True, timeout=300)
    ids = done.stdout.split()
    assert len(set(ids)) == len(ids) == 4 * 40
