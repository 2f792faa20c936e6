"""The Redis server of the examples of workers.

The examples use the standard port on this machine. Without a server, they are skipped; in CI, they fail.
"""

from __future__ import annotations

import os

import pytest
import redis

URL = "redis://127.0.0.1:6379/0"


def needed_redis() -> None:
    """Skip the test without a Redis server; fail in CI."""
    client = redis.Redis.from_url(URL, socket_connect_timeout=5)
    try:
        client.ping()
    except redis.RedisError as error:
        message = f"no Redis server answers at {URL}: {type(error).__name__}"
        if "CI" in os.environ:
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    finally:
        client.close()
