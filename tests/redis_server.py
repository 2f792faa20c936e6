"""The Redis server of the tests of workers.

`IAM_GUARD_TEST_REDIS` is its URL, by default the standard port on this machine. Without a server, the tests are
skipped; in CI, they fail.
"""

from __future__ import annotations

import os

import pytest
import redis

VARIABLE = "IAM_GUARD_TEST_REDIS"


def redis_url() -> str:
    """Return the URL of a server that answers; skip the test without one."""
    url = os.environ.get(VARIABLE, "redis://127.0.0.1:6379/0")
    client = redis.Redis.from_url(url, socket_connect_timeout=5)
    try:
        client.ping()
    except redis.RedisError as error:
        if "CI" in os.environ:
            pytest.fail(f"no Redis server answers at {VARIABLE}: {type(error).__name__}", pytrace=False)
        pytest.skip(f"no Redis server answers at {VARIABLE}: {type(error).__name__}")
    finally:
        client.close()
    return url
