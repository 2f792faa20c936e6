"""The data of a decision is loaded once, from one epoch, for the right caller (loader.py, rule T-9)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import event
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from iam_guard import Guard, GuardMiddleware, Principal, Service
from iam_guard.audit.trail import Trail
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import open_store
from tests.audit.list_sink import ListSink
from tests.conftest import ADA as ADA_KEY
from tests.conftest import Sign

ACME = "111122223333"
ADA = Principal.from_arn(f"arn:aws:iam::{ACME}:user/ada")
RITA = Principal.from_arn(f"arn:aws:iam::{ACME}:user/rita")
DOCUMENT = f"arn:aws:docs:us-east-1:{ACME}:document/7"
NOTHING = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "x:Y", "Resource": "*"}})


def _policy(action: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}


def _seed(action: str) -> str:
    """Return a seed of two users in one group, with the same policies; a third user also has its own."""
    key = {"id": ADA_KEY[0], "secret": ADA_KEY[1]}
    users = [
        {"name": "ada", "groups": ["all"], "access_keys": [key]},
        {"name": "rita", "groups": ["all"]},
        {"name": "zoe", "inline": {"P": _policy("docs:Put")}},
    ]
    account = {"id": ACME, "groups": [{"name": "all", "inline": {"P": _policy(action)}}], "users": users}
    return json.dumps({"version": 1, "accounts": [account]})


class Counting:
    """A store proxy that records calls and delays them on request."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.calls: list[str] = []
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        def calls(*arguments: Any) -> Any:
            self.calls.append(name)
            time.sleep(self.seconds)
            return getattr(self.inner, name)(*arguments)

        return calls


class World:
    """A guard on a store that records calls, with a seed file that can be changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text(_seed("docs:*"))
        settings = Settings(epoch_poll=3600.0)
        self.store = Counting(open_store(str(path), settings))
        self.cached = CachedStore(self.store, settings)  # type: ignore[arg-type]
        self.guard = Guard(self.cached, Trail(ListSink()), settings)

    def allows(self, principal: Principal, action: str = "docs:Get") -> bool:
        return self.guard.decide(principal, action, DOCUMENT).allowed

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """Record the SQL statements and the starts of transactions."""
        engine = self.store.inner.engine
        found: list[str] = []

        def note(*arguments: Any) -> None:
            found.append(arguments[2])

        def begin(_: Any) -> None:
            found.append("BEGIN")

        event.listen(engine, "begin", begin)
        event.listen(engine, "before_cursor_execute", note)
        yield found
        event.remove(engine, "before_cursor_execute", note)
        event.remove(engine, "begin", begin)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "iam.json")
    yield made
    made.guard.close()


def test_cached_decision_queries_nothing(world: World) -> None:
    """Every further decision is a cache hit."""
    assert world.allows(ADA)
    world.store.calls.clear()
    before = world.guard.usage().caches["caller"].hits
    assert all(world.allows(ADA) for _ in range(5))
    assert world.store.calls == []
    assert world.guard.usage().caches["caller"].hits == before + 5
    assert world.guard.decide_from_cache(ADA, "docs:Get", DOCUMENT) is not None


def test_cold_principal_costs_one_statement(world: World) -> None:
    """Principal and policies in one query; account and resource are cached."""
    assert world.allows(ADA)
    with world.statements() as statements:
        assert world.allows(RITA)
    assert [statement.split()[0] for statement in statements] == ["BEGIN", "SELECT"]


def test_callers_with_same_policies_share_an_index(world: World) -> None:
    """Memory per principal stays small if groups and roles define permissions."""
    assert world.allows(ADA)
    layers = world.guard.usage().caches["layer"]
    assert world.allows(RITA)
    after = world.guard.usage().caches["layer"]
    assert (after.entries, after.hits) == (layers.entries, layers.hits + 1)
    first, second = (world.cached.principal(each).identity for each in (ADA, RITA))
    assert first
    assert all(one is other for one, other in zip(first, second, strict=True))
    assert not world.allows(replace(ADA, arn=f"arn:aws:iam::{ACME}:user/zoe"))
    assert world.guard.usage().caches["layer"].entries == layers.entries + 1


def test_prepared_policies_end_with_the_epoch(world: World) -> None:
    """T-5: a change applies to callers that were loaded before it."""
    assert world.allows(ADA)
    world.path.write_text(_seed("docs:Put"))
    assert world.allows(ADA)  # the store has not been polled yet
    world.guard.refresh()
    assert world.guard.decide_from_cache(ADA, "docs:Get", DOCUMENT) is None
    assert not world.allows(ADA)
    assert world.allows(ADA, "docs:Put")


def test_equal_callers_are_not_confused(world: World) -> None:
    """S-42: session policies, tags and session keys belong to the credential."""
    limited = replace(ADA, session_policies=(NOTHING,))
    for _ in range(3):
        assert world.allows(ADA)
        assert not world.allows(limited)
        assert not world.guard.decide(replace(ADA, userid="AIDAANOTHER"), "docs:Get", DOCUMENT).allowed  # P-6
    for number in range(300):  # objects that come and go have the identities of those before them
        assert world.allows(replace(ADA, session_policies=(NOTHING,) if number % 2 else None)) is (number % 2 == 0)


def test_concurrent_requests_load_a_caller_once(world: World, sign: Sign) -> None:
    """The others wait for the first."""
    docs = Service("docs")

    @docs.requires("Get", resource="document/{id}")
    async def get(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    app = Starlette(routes=[Route("/{id}", get)], middleware=[Middleware(GuardMiddleware, guard=world.guard)])
    headers = [(name.lower().encode(), value.encode()) for name, value in sign(ADA_KEY, "GET", "/7").items()]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/7",
        "raw_path": b"/7",
        "query_string": b"",
        "headers": [(b"host", b"testserver"), *headers],
        "client": ("10.1.2.3", 1234),
        "server": ("testserver", 80),
    }
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def all_at_once() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(1000):
                tasks.start_soon(app, dict(scope), receive, send)

    world.store.seconds = 0.05
    anyio.run(all_at_once)
    assert statuses == [200] * 1000
    calls = [call for call in world.store.calls if call not in ("changes", "refresh", "save_uses")]
    assert sorted(call for call in calls if call != "resource") == ["access_key", "decision_records", "resource_arns"]
