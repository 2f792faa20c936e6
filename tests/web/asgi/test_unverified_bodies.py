"""The cost of a body before its caller is known: memory, lookups, time."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from iam_guard import Guard, GuardMiddleware, Service, aws_api, open_guard
from iam_guard.audit.consumer.reader import read_records
from iam_guard.errors import ServerBusy
from iam_guard.web import body_budget, key_lookups
from iam_guard.web.body_budget import MAX_UNVERIFIED, PIECE, reserved_bytes
from tests.conftest import ADA, SEED

docs = Service("docs")
UNKNOWN = ("AKIAUNKNOWN000000001", "x" * 40)
PART = b"x" * 16_384
MANY = 16
LONG = PART * MANY
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@docs.requires("PutDocument", resource="document/{document_id}")
async def digest(request: Request) -> Response:
    return JSONResponse({"sha256": hashlib.sha256(await request.body()).hexdigest(), "held": reserved_bytes()})


@dataclass
class Client:
    """One request: the bytes read of its body, the response, and the maximum of reserved bytes."""

    app: Any
    method: str = "PUT"
    taken: int = 0
    held: int = 0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    async def send(
        self, path: str, headers: Mapping[str, str], parts: AsyncIterator[bytes] | None = None, query: bytes = b""
    ) -> Client:
        source = _sent([]) if parts is None else parts

        async def receive() -> Any:
            part = await anext(source, None)
            if part is None:
                return {"type": "http.request", "body": b"", "more_body": False}
            self.taken += len(part)
            self.held = max(self.held, reserved_bytes())
            return {"type": "http.request", "body": part, "more_body": True}

        async def send(message: Any) -> None:
            self.status = message.get("status", self.status)
            self.headers |= {name.decode(): value.decode() for name, value in message.get("headers", ())}
            self.body += message.get("body", b"")

        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
        }
        scope |= {"path": path, "raw_path": path.encode(), "query_string": query, "root_path": "", "headers": raw}
        await self.app(scope | {"client": ("127.0.0.1", 1), "server": ("testserver", 80)}, receive, send)
        return self


async def _sent(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def _stalling(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    await asyncio.Event().wait()


def signed(
    path: str,
    body: bytes,
    key: tuple[str, str] = ADA,
    *,
    service: str = "docs",
    states: bool = False,
    method: str = "PUT",
    **more: str,
) -> dict[str, str]:
    """Sign a body, whose hash the request states or leaves out."""
    stated = {"X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest()} if states else {}
    request = AWSRequest(method, f"http://testserver{path}", data=body, headers={**more, **stated})
    SigV4Auth(Credentials(*key), service, "us-east-1").add_auth(request)
    length = {"Transfer-Encoding": "chunked"}
    return {"Host": "testserver", **length, **{str(name): str(value) for name, value in request.headers.items()}}


@pytest.fixture
def opened(tmp_path: Path, audit_file: Path) -> Iterator[Callable[..., Guard]]:
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED)
    guards: list[Guard] = []

    def open_one(**settings: Any) -> Guard:
        guards.append(open_guard(str(seed), audit=str(audit_file), **settings))
        return guards[-1]

    yield open_one
    for guard in guards:
        guard.close()


def application(guard: Guard) -> Starlette:
    routes = [Route("/documents/{document_id}", digest, methods=["PUT"])]
    return Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=guard)])


def put(guard: Guard, headers: Mapping[str, str], parts: list[bytes], path: str = "/documents/7") -> Client:
    return asyncio.run(Client(application(guard)).send(path, headers, _sent(parts)))


# --- memory ----------------------------------------------------------------------------------------------------------


def test_long_body_of_unknown_key_is_not_buffered(opened: Callable[..., Guard], subtests: pytest.Subtests) -> None:
    """With and without a route and a stated hash; and with a wrong signature over a stated hash."""
    guard = opened()
    path = "/documents/7"
    cases = {
        "unknown key": (path, signed(path, LONG, UNKNOWN)),
        "unknown key, stated hash": (path, signed(path, LONG, UNKNOWN, states=True)),
        "unknown key, no route": ("/nowhere", signed("/nowhere", LONG, UNKNOWN)),
        "wrong signature over a stated hash": (path, signed(path, LONG, (ADA[0], "wrong"), states=True)),
    }
    for name, (where, headers) in cases.items():
        with subtests.test(name):
            found = put(guard, headers, [PART] * MANY, where)
            assert found.status == 401
            assert json.loads(found.body)["code"] in ("InvalidClientTokenId", "SignatureDoesNotMatch")
            assert found.taken <= MAX_UNVERIFIED + len(PART)


def test_long_body_of_known_key_reaches_the_handler(opened: Callable[..., Guard]) -> None:
    """Complete; the reservation is released with the response."""
    guard = opened()
    for states in (False, True):
        found = put(guard, signed("/documents/7", LONG, states=states), [PART] * MANY)
        assert found.status == 200, found.body
        answer = json.loads(found.body)
        assert answer["sha256"] == hashlib.sha256(LONG).hexdigest()
        assert answer["held"] == len(LONG) - MAX_UNVERIFIED
        assert reserved_bytes() == 0


def test_announced_length_over_limit_is_rejected_unread(opened: Callable[..., Guard]) -> None:
    """Before the first byte, for every caller."""
    guard = opened(max_body=1_000_000)
    headers = signed("/documents/7", b"") | {"Content-Length": "1000001"}
    found = put(guard, headers, [PART])
    assert (found.status, found.taken) == (413, 0)
    assert put(guard, headers | {"Content-Length": "0x10"}, [PART]).status == 400


def test_bodies_over_the_budget_get_503(opened: Callable[..., Guard], audit_file: Path) -> None:
    """The budget is shared by all connections; rejected bodies are released."""
    guard = opened(max_body=len(LONG), max_bodies=len(LONG) + PIECE)
    headers = signed("/documents/7", LONG)

    async def run() -> tuple[Client, Client]:
        app = application(guard)
        first = asyncio.create_task(Client(app).send("/documents/7", headers, _stalling(*[PART] * MANY)))
        while reserved_bytes() < len(LONG) - MAX_UNVERIFIED:
            await asyncio.sleep(0)
        second = await Client(app).send("/documents/7", headers, _sent([PART] * MANY))
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        third = await Client(app).send("/documents/7", headers, _sent([PART] * MANY))
        return second, third

    second, third = asyncio.run(run())
    assert (second.status, second.headers["retry-after"]) == (503, "1")
    assert third.status == 200
    assert reserved_bytes() == 0
    assert [each.get("errorCode") for each in read_records(audit_file)] == ["ServiceUnavailable", None]


def test_reservation_collected_while_another_is_made_is_released() -> None:
    """The garbage collector may run in the thread that holds the lock."""
    lost = body_budget.Reservation(10**9)
    lost.resize(MAX_UNVERIFIED + 10)
    with body_budget._RESERVED.lock:
        del lost
    assert reserved_bytes() == 0


def test_many_small_parts_are_joined(opened: Callable[..., Guard]) -> None:
    """Parts of two bytes take no more memory than their bytes."""
    guard = opened()
    body = b"ab" * 20_000
    found = put(guard, signed("/documents/7", body), [b"ab"] * 20_000)
    assert found.status == 200
    assert json.loads(found.body)["sha256"] == hashlib.sha256(body).hexdigest()


# --- time ------------------------------------------------------------------------------------------------------------


def test_slow_body_gets_408(
    opened: Callable[..., Guard], audit_file: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    """One that never starts, one that stops, and one that stops after its key is known."""
    monkeypatch.setattr(body_budget, "_MIN_BYTES_PER_SECOND", 10**9)
    guard = opened(body_timeout=0.02)
    cases: dict[str, list[bytes]] = {"nothing": [], "a little": [b"x"], "most": [PART] * 5}
    for name, parts in cases.items():
        with subtests.test(name):
            headers = signed("/documents/7", LONG)
            found = asyncio.run(Client(application(guard)).send("/documents/7", headers, _stalling(*parts)))
            assert found.status == 408
            assert list(read_records(audit_file))[-1]["errorCode"] == "RequestTimeout"
            assert reserved_bytes() == 0


# --- lookups ----------------------------------------------------------------------------------------------------------


class _Hanging:
    """A store whose look-ups of access keys wait, and how many do."""

    def __init__(self, guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.most = self.waiting = 0
        self._lock = threading.Lock()
        self._found = guard.store.behind.access_key  # type: ignore[attr-defined]
        monkeypatch.setattr(guard.store.behind, "access_key", self.access_key)  # type: ignore[attr-defined]

    def access_key(self, access_key_id: str) -> Any:
        with self._lock:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        self.go.wait(60)
        with self._lock:
            self.waiting -= 1
        return self._found(access_key_id)


def _unknown(number: int) -> dict[str, str]:
    return signed("/documents/7", b"", (f"AKIAUNKNOWN{number:09}", "x" * 40))


def test_unknown_keys_beyond_eight_lookups_get_503(
    opened: Callable[..., Guard], monkeypatch: pytest.MonkeyPatch, audit_file: Path
) -> None:
    """A known key is served meanwhile, also if the store has changed since."""
    monkeypatch.setattr(key_lookups, "MAX_WAIT", 0.05)
    guard = opened()
    app = application(guard)

    async def run() -> tuple[list[Client], Client]:
        ada = signed("/documents/7", b"abc")
        assert (await Client(app).send("/documents/7", ada, _sent([b"abc"]))).status == 200
        store = _Hanging(guard, monkeypatch)
        flood = [asyncio.create_task(Client(app).send("/documents/7", _unknown(number))) for number in range(20)]
        async with asyncio.timeout(60):
            while store.waiting < key_lookups.MAX_LOOKUPS or sum(request.done() for request in flood) < 12:
                await asyncio.sleep(0.01)
        assert store.most == key_lookups.MAX_LOOKUPS
        known = await Client(app).send("/documents/7", ada, _sent([b"abc"]))
        store.go.set()
        return await asyncio.gather(*flood), known

    clients, known = asyncio.run(run())
    assert known.status == 200
    assert sorted(client.status for client in clients) == [401] * 8 + [503] * 12
    assert {client.headers.get("retry-after") for client in clients if client.status == 503} == {"1"}
    codes = [each.get("errorCode") for each in read_records(audit_file)]
    assert codes.count("ServiceUnavailable") == 12


def test_unknown_keys_wait_while_lookups_finish(opened: Callable[..., Guard], monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred keys at once with a slow store are all looked up: a cold start rejects none."""
    guard = opened()
    app = application(guard)
    found = guard.store.behind.access_key  # type: ignore[attr-defined]

    def slowly(access_key_id: str) -> Any:
        time.sleep(0.01)
        return found(access_key_id)

    monkeypatch.setattr(guard.store.behind, "access_key", slowly)  # type: ignore[attr-defined]

    async def run() -> list[Client]:
        return await asyncio.gather(*(Client(app).send("/documents/7", _unknown(number)) for number in range(100)))

    assert {client.body for client in asyncio.run(run()) if client.status != 401} == set()


def test_wait_for_a_lookup_ends_without_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or after the total limit; while lookups finish, it is longer than the limit for progress."""
    now = time.monotonic()
    monkeypatch.setattr(key_lookups._Progress, "last", now + 1_000)
    monkeypatch.setattr(key_lookups, "MAX_TOTAL_WAIT", 60.0)
    key_lookups._check_wait(now - 2 * key_lookups.MAX_WAIT)
    with pytest.raises(ServerBusy):
        key_lookups._check_wait(now - key_lookups.MAX_TOTAL_WAIT)
    monkeypatch.setattr(key_lookups._Progress, "last", now - key_lookups.MAX_WAIT)
    with pytest.raises(ServerBusy):
        key_lookups._check_wait(now)


# --- our own API -----------------------------------------------------------------------------------------------------

CREATE = b"Action=CreateUser&Version=2010-05-08&UserName=zoe&x="


async def _api(guard: Guard, headers: Mapping[str, str], parts: list[bytes], query: bytes = b"") -> Client:
    return await Client(aws_api(guard), "POST").send("/", headers, _sent(parts), query)


def api(guard: Guard, headers: Mapping[str, str], parts: list[bytes], query: bytes = b"") -> Client:
    return asyncio.run(_api(guard, headers, parts, query))


def test_api_buffers_no_long_body_of_unknown_caller(opened: Callable[..., Guard], subtests: pytest.Subtests) -> None:
    """Unsigned, of an unknown key, or with a wrong signature over a stated hash; each with its error."""
    guard = opened()
    cases = {
        "MissingAuthenticationToken": {"Host": "testserver", "Transfer-Encoding": "chunked", **FORM},
        "InvalidClientTokenId": signed("/", LONG, UNKNOWN, service="iam", method="POST", **FORM),
        "SignatureDoesNotMatch": signed(
            "/", LONG, (ADA[0], "wrong"), service="iam", states=True, method="POST", **FORM
        ),
    }
    for code, headers in cases.items():
        with subtests.test(code):
            found = api(guard, headers, [CREATE, *[PART] * MANY])
            assert f"<Code>{code}</Code>" in found.body.decode()
            assert found.status == 403
            assert found.taken <= MAX_UNVERIFIED + len(PART)


def test_api_limits_fields_of_anonymous_callers(opened: Callable[..., Guard], monkeypatch: pytest.MonkeyPatch) -> None:
    """In the body or the query; operations without credentials still work."""
    guard = opened()
    headers = {"Host": "testserver", "Transfer-Encoding": "chunked", **FORM}
    token = b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=x&RoleSessionName=ab&WebIdentityToken=abcd"
    assert b"ValidationError" in api(guard, headers, [token]).body
    many = b"&x=%41" * 101
    for body, query in ((token + many, b""), (token, many[1:])):
        found = api(guard, headers, [body], query)
        assert b"<Code>MissingAuthenticationToken</Code>" in found.body


def test_api_handles_long_calls_in_a_thread(opened: Callable[..., Guard], monkeypatch: pytest.MonkeyPatch) -> None:
    """Forms of megabytes and answers with thousands of results don't block the event loop."""
    from iam_guard.api.protocol.query import QueryCodec

    guard = opened()
    threads: dict[str, threading.Thread] = {}
    for name in ("parse", "response"):
        original = getattr(QueryCodec, name)

        def recording(self: Any, *args: Any, name: str = name, original: Any = original) -> Any:
            threads[name] = threading.current_thread()
            return original(self, *args)

        monkeypatch.setattr(QueryCodec, name, recording)
    body = b"Action=GetCallerIdentity&Version=2011-06-15&x=" + b"%41" * 5_000
    found = api(guard, signed("/", body, service="sts", method="POST", **FORM), [body])
    assert found.status == 200, found.body
    assert threading.main_thread() not in threads.values()
    assert set(threads) == {"parse", "response"}
