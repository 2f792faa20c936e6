"""The time of a decision without cached data, in a store of 200,000 users, compared with one of 2,000.

Each call is for another user, in another account, about another resource, and polls the epoch: two statements. The
database is another process, so this is wall-clock time. Neither database has statistics.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.clock import Call, least
from benchmarks.row import Row, Skipped
from iam_guard.audit.trail import Trail
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import create_store
from tests.store.bulk_rows import fill, resource_arn, user_arn
from tests.store.databases import SEALING_KEY, Server, find_server

USERS, FEW_USERS = 200_000, 2_000
_ROUNDS = 300
"""Of one call each, since other work of the machine disturbs the server."""
_STEP = 1_009
"""A prime number above the users of an account, so that the next user is of another account, and none repeats."""


def measure() -> Iterator[Row]:
    """Measure on SQLite, and on PostgreSQL where there is a server."""
    with tempfile.TemporaryDirectory() as folder:
        urls = [f"sqlite:///{Path(folder, name)}.db" for name in ("many", "few")]
        yield _row("SQLite", *urls)
    server = find_server()
    if isinstance(server, str):
        raise Skipped(server)
    try:
        yield _row("PostgreSQL on the same machine", *_databases(server))
    finally:
        server.close()


def _databases(server: Server) -> tuple[str, str]:
    return server.create(), server.create()


def _row(database: str, many: str, few: str) -> Row:
    with ExitStack() as stack:
        calls = {
            "many": stack.enter_context(_cold(many, USERS)),
            "few": stack.enter_context(_cold(few, FEW_USERS)),
        }
        taken = least(calls, _ROUNDS, 0.0, timer=time.perf_counter)
    name = f"{database}, {USERS:,} users: a first decision"
    return Row(name, taken["many"] * 1e3, "ms", taken["many"] / taken["few"], f"{FEW_USERS:,} users")


@contextmanager
def _cold(url: str, users: int) -> Iterator[Call]:
    settings = Settings(sealing_keys=(SEALING_KEY,), cache_size=1)
    store = create_store(url, settings)
    fill(store, users)
    turn = 0
    guard = Guard(CachedStore(store, settings, clock=lambda: turn * settings.epoch_poll), Trail(None), settings)

    def decide() -> None:
        nonlocal turn
        turn += 1
        number = 1 + turn * _STEP % users
        decision = guard.decide(Principal.from_arn(user_arn(number)), "docs:GetDocument", resource_arn(number))
        if not decision.allowed:
            raise SystemExit(f"expected user {number} to be allowed, got {decision.outcome}: {decision.error}")

    yield decide
    guard.close()
