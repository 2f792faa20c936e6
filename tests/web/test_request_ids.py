"""Request ids from a pool: version 4 UUIDs, each handed out once, whatever threads and forks do."""

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

from iam_guard.web import request_ids
from iam_guard.web.request_ids import BLOCK, new_request_id

SIZE = 18
"""Bytes of randomness of each id; two of them are not used."""


@given(st.lists(st.binary(min_size=SIZE, max_size=SIZE), min_size=1, max_size=4))
def test_ids_are_random_uuids(some: list[bytes]) -> None:
    """122 random bits in the form of a version 4 UUID (RFC 9562)."""
    random = (b"".join(some) * BLOCK)[: BLOCK * SIZE]
    request_ids._pool.begin_in_child()
    with patch("os.urandom", return_value=random) as urandom:
        ids = [new_request_id() for _ in range(BLOCK)]
    urandom.assert_called_once_with(BLOCK * SIZE)
    assert not request_ids._pool.ids
    assert {(str(UUID(one)) == one, UUID(one).version, UUID(one).variant) for one in ids} == {(True, 4, RFC_4122)}
    drawn = [random[start : start + SIZE].hex() for start in range(0, BLOCK * SIZE, SIZE)]
    for one, digits in zip(ids, drawn[-1:] + drawn[:-1], strict=True):
        assert int(one[19], 16) == 8 + int(digits[19], 16) % 4
        assert all(one[at] == digits[at] for at in range(36) if at not in REPLACED)


REPLACED = (8, 13, 14, 18, 19, 23)


def test_threads_never_share_an_id() -> None:
    """Also while several of them fill the pool."""
    barrier = threading.Barrier(16)

    def take(_: int) -> list[str]:
        barrier.wait(60)
        return [new_request_id() for _ in range(20 * BLOCK)]

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
    request_ids._pool.begin_in_child()
    with patch("os.urandom", side_effect=OSError("no randomness")), pytest.raises(OSError, match="no randomness"):
        new_request_id()
    assert UUID(new_request_id()).version == 4


FORKING = """
import os
from iam_guard.web.request_ids import new_request_id
new_request_id()
children = []
for _ in range(3):
    children.append(os.fork())
    if not children[-1]:
        break
os.write(1, "".join(new_request_id() + "\\n" for _ in range(40)).encode())
for child in filter(None, children):
    os.waitpid(child, 0)
"""


@pytest.mark.forks
def test_forked_processes_never_share_an_id() -> None:
    """The parent's pool is not empty, and each child starts its own."""
    done = subprocess.run([sys.executable, "-c", FORKING], check=True, capture_output=True, timeout=300)
    ids = done.stdout.split()
    assert len(set(ids)) == len(ids) == 4 * 40
