"""Calls of the API while another session holds the write lock, or the database server hangs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from botocore.exceptions import ClientError

from iam_guard.api.protocol.api_workers import WRITERS, ApiWorkers
from iam_guard.api.protocol.app import aws_api
from iam_guard.errors import StoreUnavailable
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.cache.change_feed import record_change
from iam_guard.store.database.engine import make_engine, writing
from iam_guard.store.database.time_limits import queued_for, waited
from iam_guard.store.opening import create_store
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.api.conftest import ADMIN_KEY, SEED, Client, Running
from tests.api.test_on_postgresql import on_postgresql
from tests.serving import serving
from tests.store.databases import SEALING_KEY, store_engine
from tests.store.proxy import Proxy

ENDS = 12.0
"""Seconds within which a call that waits for a second must be over on the busiest machine."""


@contextmanager
def api_on(url: str) -> Iterator[Client]:
    """Serve the API on a database, and return its administrator's client."""
    settings = Settings(sealing_keys=(SEALING_KEY,), epoch_poll=0.1, store_timeout=2.0)
    with closing(create_store(url, settings)) as store:
        apply_seed(store, load_seed_text(SEED))
        guard = guard_with_store(store, settings)
        with closing(guard), serving(aws_api(guard)) as address:
            yield Running(address, guard, store, None).client(ADMIN_KEY)  # type: ignore[arg-type]


@pytest.fixture(params=["file", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "file":
        yield f"sqlite:///{tmp_path}/iam-guard.db"
    else:
        with on_postgresql() as url:
            yield url


def refusal_of(client: Client, name: str) -> tuple[str, float]:
    """Create a user; return the error code (empty for a success), and the duration."""
    began = time.monotonic()
    try:
        client.create_user(UserName=name)
    except ClientError as refused:
        return refused.response["Error"]["Code"], time.monotonic() - began
    return "", time.monotonic() - began


def test_blocked_writers_fail_and_readers_do_not_wait(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten writers get an error; readers are served; afterwards all works as before."""
    monkeypatch.setattr("iam_guard.store.database.engine.BUSY_SECONDS", 1.0)
    monkeypatch.setattr("iam_guard.api.protocol.api_workers.MAX_WRITER_WAIT", 1.0)
    with api_on(database) as client, ThreadPoolExecutor(10) as threads:
        client.get_user(UserName="admin")
        engine = store_engine(database)
        with writing(engine) as connection:
            record_change(connection, ())
            writers = [threads.submit(refusal_of, client, f"user{number}") for number in range(10)]
            while not any(writer.done() for writer in writers):
                assert client.get_user(UserName="admin")["User"]["UserName"] == "admin"
            refusals = [writer.result() for writer in writers]
        engine.dispose()
        assert [code for code, _ in refusals] == ["ServiceUnavailable"] * 10
        assert max(seconds for _, seconds in refusals) < ENDS
        assert refusal_of(client, "afterwards")[0] == ""


def test_calls_fail_while_the_database_hangs() -> None:
    """Reads and writes get AWS's error, and work again afterwards."""
    with on_postgresql() as url, closing(Proxy(url)) as proxy, api_on(proxy.url) as client:
        client.get_user(UserName="admin")
        proxy.hang()
        try:
            for call in (lambda: client.get_user(UserName="admin"), lambda: client.create_user(UserName="eve")):
                began = time.monotonic()
                with pytest.raises(ClientError) as refused:
                    call()
                assert refused.value.response["Error"]["Code"] == "ServiceUnavailable"
                assert time.monotonic() - began < ENDS
        finally:
            proxy.resume()
        until = time.monotonic() + ENDS
        while refusal_of(client, "afterwards")[0] == "ServiceUnavailable":
            assert time.monotonic() < until


def test_writer_slot_wait_counts_towards_the_lock_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One time limit in all."""
    monkeypatch.setattr("iam_guard.store.database.engine.BUSY_SECONDS", 60.0)
    engine = make_engine(f"sqlite:///{tmp_path}/store.db")
    began = time.monotonic()
    with writing(engine), ThreadPoolExecutor(1) as thread:

        def change() -> None:
            with queued_for(60.0), writing(engine):
                pass

        with pytest.raises(StoreUnavailable):
            thread.submit(change).result()
    engine.dispose()
    assert time.monotonic() - began < 30


def test_writer_slot_wait_is_passed_to_the_store() -> None:
    call: Any = SimpleNamespace(parameters={}, changes=True)

    def wait(_: object) -> float:
        time.sleep(0.05)
        return waited()

    async def run() -> list[float]:
        workers, found = ApiWorkers(), list[float]()

        async def perform() -> None:
            found.append(await workers.run_call(call, wait))

        async with anyio.create_task_group() as calls:
            for _ in range(WRITERS + 1):
                calls.start_soon(perform)
        return sorted(found)

    assert anyio.run(run)[-1] >= 0.05
