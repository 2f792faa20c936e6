"""FastMCP over HTTP: the caller of each message is that of its request, in every kind of session."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware as StarletteMiddleware
from starlette.routing import Mount

from iam_guard import Guard, GuardMiddleware, current_principal, public
from iam_guard.errors import ConfigurationError
from tests.integrations.application import Barrier
from tests.integrations.contract import needed
from tests.serving import serving
from tests.tables import table

needed("fastmcp", "iam_guard_fastmcp")

from fastmcp import Client, Context, FastMCP  # noqa: E402
from fastmcp.client.transports import StreamableHttpTransport  # noqa: E402
from iam_guard_fastmcp import GuardTools, guarded_http_app  # noqa: E402
from mcp_types import ToolListChangedNotification  # noqa: E402

from tests.integrations.fastmcp_library import CALLERS, arn, docs, key_of, library, records, refused, run  # noqa: E402
from tests.integrations.fastmcp_library import guard as guard  # noqa: E402

STATEFUL = {"authorization": "", "content-type": "application/json", "accept": "application/json, text/event-stream"}
barrier = Barrier()


@contextlib.contextmanager
def served(server: FastMCP, guard: Guard, **options: Any) -> Iterator[str]:
    with serving(guarded_http_app(server, guard, **options), lifespan="on") as address:
        yield f"{address}/mcp"


def as_caller(address: str, name: str) -> StreamableHttpTransport:
    return StreamableHttpTransport(address, headers=key_of(name))


def meeting(guard: Guard) -> FastMCP:
    """Return a server whose tools answer when all callers have come."""
    server: FastMCP = FastMCP("meeting", middleware=[GuardTools(guard, service=docs)])

    @server.tool
    async def who() -> str:
        await barrier.wait_async()
        return current_principal().arn

    @server.tool
    def who_sync() -> str:
        barrier.wait()
        return current_principal().arn

    return server


MODES = [{}, {"stateless_http": True}, {"stateless_http": True, "json_response": True}]


@table("mode, protocol", [(MODES[0], "legacy"), (MODES[1], "auto"), (MODES[2], "legacy")])
def test_concurrent_callers_are_kept_apart(guard: Guard, mode: dict[str, Any], protocol: str) -> None:
    """A hundred callers at the same time, in handlers on the event loop and in threads."""

    async def call_all(address: str, tool: str, callers: int) -> list[str]:
        async def call(number: int) -> str:
            async with Client(as_caller(address, f"c{number:03}"), timeout=120, mode=protocol) as client:
                return str((await client.call_tool(tool)).data)

        return await asyncio.gather(*(call(number) for number in range(callers)))

    with served(meeting(guard), guard, **mode) as address:
        for tool, callers in (("who", CALLERS), ("who_sync", 4)):
            barrier.reset(callers)
            found = asyncio.run(call_all(address, tool, callers))
            assert found == [arn(f"c{number:03}") for number in range(callers)]


@table("mode", MODES)
def test_lists_over_http_are_those_of_the_caller(guard: Guard, mode: dict[str, Any]) -> None:
    async def names(client: Client[Any]) -> list[str]:
        return sorted(tool.name for tool in await client.list_tools())

    with served(library(guard), guard, **mode) as address:
        assert run(as_caller(address, "ada"), names) == ["about", "get_document", "search", "wipe"]
        assert run(as_caller(address, "nemo"), names) == ["about"]
        error = refused(lambda client: client.call_tool("wipe"), as_caller(address, "rita")).error
        assert error.data["code"] == "AccessDenied"


def rpc(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


HELLO = rpc("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "test", "version": "1"})
CALL = rpc("tools/call", name="search", arguments={"text": "a"})


def open_session(address: str, name: str) -> dict[str, str]:
    """Open a session, and return the headers for its messages."""
    headers = STATEFUL | key_of(name)
    opened = httpx.post(address, json=HELLO, headers=headers)
    assert opened.status_code == 200, opened.text
    headers |= {"mcp-session-id": opened.headers["mcp-session-id"]}
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert httpx.post(address, json=ready, headers=headers).status_code == 202
    return headers


def test_session_belongs_to_the_caller_that_opened_it(guard: Guard) -> None:
    """Another caller's message, stream and end of the session are answered as for an unknown session."""
    with served(library(guard), guard, json_response=True) as address:
        headers = open_session(address, "ada")
        assert "a for ada" in httpx.post(address, json=CALL, headers=headers).text
        for other in (key_of("rita"), key_of("nemo")):
            stolen = headers | other
            assert httpx.post(address, json=CALL, headers=stolen).status_code == 404
            assert httpx.get(address, headers=stolen).status_code == 404
            assert httpx.delete(address, headers=stolen).status_code == 404
        anonymous = {name: value for name, value in headers.items() if name != "authorization"}
        assert httpx.post(address, json=CALL, headers=anonymous).status_code == 401
        assert "a for ada" in httpx.post(address, json=CALL, headers=headers).text
    assert {item["userIdentity"].get("arn") for item in records(guard) if item["eventName"] == "CallTool"} == {
        arn("ada")
    }


def test_message_of_a_session_is_decided_for_its_own_request(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the check of sessions, another caller's message would still be decided for that caller."""
    monkeypatch.setattr("mcp.server.streamable_http_manager.authorization_context", lambda user: None)
    with served(library(guard), guard, json_response=True) as address:
        headers = open_session(address, "ada")
        assert "a for rita" in httpx.post(address, json=CALL, headers=headers | key_of("rita")).text
        denied = httpx.post(address, json=CALL, headers=headers | key_of("nemo")).json()
        assert denied["error"]["data"]["code"] == "AccessDenied"
        assert arn("nemo") in denied["error"]["message"]


def test_message_without_credential_is_unauthorized(guard: Guard) -> None:
    """Clients find the issuers by the challenge (RFC 9728)."""
    place = {"resource_url": "https://mcp.example.com/mcp", "issuers": ["https://id.example.com"]}
    with served(library(guard), guard, stateless_http=True, **place) as address:
        answer = httpx.post(address, json=CALL, headers={"accept": STATEFUL["accept"]})
        assert (answer.status_code, answer.json()["code"]) == (401, "MissingAuthenticationToken")
        metadata = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
        assert f'resource_metadata="{metadata}"' in answer.headers["www-authenticate"]
        document = httpx.get(address.removesuffix("/mcp") + "/.well-known/oauth-protected-resource/mcp").json()
        assert document["resource"] == "https://mcp.example.com/mcp"
        assert document["authorization_servers"] == ["https://id.example.com"]
    denied = records(guard)[-1]
    assert (denied["eventName"], denied["errorCode"]) == ("Connect", "MissingAuthenticationToken")


def test_fixed_principal_is_not_the_caller_over_http(guard: Guard) -> None:
    """Served without the middleware for HTTP, a server for STDIO refuses every message."""
    server = library(guard, "ada")
    with serving(server.http_app(stateless_http=True, json_response=True), lifespan="on") as address:
        answer = httpx.post(f"{address}/mcp", json=CALL, headers=STATEFUL).json()
        assert answer["error"]["data"]["code"] == "InternalFailure"
    with served(server, guard, stateless_http=True, json_response=True) as address:
        answer = httpx.post(address, json=CALL, headers=STATEFUL | key_of("nemo")).json()
        assert answer["error"]["data"]["code"] == "AccessDenied"


def test_stream_of_a_session_carries_notifications(guard: Guard) -> None:
    """A changed list is reported over the stream, and the list of the caller is read again."""
    server = library(guard)

    @server.tool
    @public
    async def add(context: Context) -> str:
        @server.tool
        @public
        def added() -> str:
            return current_principal().name

        await context.send_notification(ToolListChangedNotification())
        return "done"

    async def use(address: str) -> list[str]:
        changed = asyncio.Event()

        async def handle(message: Any) -> None:
            if isinstance(message, ToolListChangedNotification):
                changed.set()

        transport = as_caller(address, "nemo")
        async with Client(transport, message_handler=handle, mode="legacy") as client:
            await client.call_tool("add")
            await asyncio.wait_for(changed.wait(), 30)
            return [tool.name for tool in await client.list_tools()] + [(await client.call_tool("added")).data]

    with served(server, guard) as address:
        assert sorted(asyncio.run(use(address))) == ["about", "add", "added", "nemo"]


@table("is_guarded", [False, True])
def test_mounted_app_decides_for_the_caller(guard: Guard, is_guarded: bool) -> None:
    """Inside of an application without and with a guard of its own."""
    inner = guarded_http_app(library(guard), guard, stateless_http=True, json_response=True)
    middleware = [StarletteMiddleware(GuardMiddleware, guard=guard)] if is_guarded else []
    app = Starlette(routes=[Mount("/inner", app=inner)], middleware=middleware, lifespan=inner.lifespan)
    with serving(app, lifespan="on") as address:
        for name, expected in (("rita", "a for rita"), ("nemo", "AccessDenied")):
            answer = httpx.post(f"{address}/inner/mcp", json=CALL, headers=STATEFUL | key_of(name))
            assert (answer.status_code, expected in answer.text) == (200, True)
        answer = httpx.post(f"{address}/inner/mcp", json=CALL, headers={"accept": STATEFUL["accept"]})
        assert answer.status_code == 401


def test_app_needs_the_middleware_of_the_same_guard(guard: Guard) -> None:
    with pytest.raises(ConfigurationError, match="expected `GuardTools`"):
        guarded_http_app(FastMCP("bare"), guard)
    with pytest.raises(ConfigurationError, match="streamable-http"):
        guarded_http_app(library(guard), guard, transport="sse")


def test_custom_route_needs_a_guard(guard: Guard) -> None:
    server = library(guard)

    @server.custom_route("/open", methods=["GET"])
    async def unguarded(request: Any) -> Any: ...

    async def start() -> None:
        app = guarded_http_app(server, guard)
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "lifespan.startup"}

        async def send(message: Any) -> None:
            sent.append(message)

        with contextlib.suppress(ConfigurationError):
            await app({"type": "lifespan", "app": app, "state": {}}, receive, send)
        assert sent[0]["type"] == "lifespan.startup.failed"
        assert "/open" in sent[0]["message"]

    asyncio.run(start())
