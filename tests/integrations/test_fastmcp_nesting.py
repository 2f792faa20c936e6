"""Calls inside of calls: nested tools, mounted and proxied servers, callbacks, tasks, and calls past the middleware."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from iam_guard import Guard, Principal, Service, current_principal, public
from iam_guard.errors import ConfigurationError
from iam_guard.model.principal import Credential, Issued
from tests.integrations.contract import needed
from tests.tables import table

needed("fastmcp", "iam_guard_fastmcp")

from fastmcp import Client, Context, FastMCP  # noqa: E402
from fastmcp.client.elicitation import ElicitResult  # noqa: E402
from fastmcp.exceptions import McpError, ToolError  # noqa: E402
from fastmcp.server import create_proxy  # noqa: E402
from fastmcp.server.transforms import ToolTransform  # noqa: E402
from fastmcp.server.transforms.search import RegexSearchTransform  # noqa: E402
from fastmcp.tools import Tool  # noqa: E402
from fastmcp.tools.tool_transform import ArgTransformConfig, ToolTransformConfig  # noqa: E402
from iam_guard_fastmcp import GuardTools  # noqa: E402

from tests.integrations.fastmcp_library import arn, docs, library, records, refused, run  # noqa: E402
from tests.integrations.fastmcp_library import guard as guard  # noqa: E402


def outer_server(guard: Guard, name: str = "rita", **options: Any) -> FastMCP:
    return FastMCP("outer", middleware=[GuardTools(guard, service=docs, principal=arn(name), **options)])


def test_nested_call_is_decided_for_the_same_caller(guard: Guard) -> None:
    """A tool that calls another one, with and without the middleware, and that catches the denial."""
    server = library(guard, "rita")

    @server.tool
    @public
    async def nested(tool: str, arguments: dict[str, Any], context: Context, past: bool = False) -> str:
        called = await context.fastmcp.call_tool(tool, arguments, run_middleware=not past)
        return str(called.content[0].text) + f" via {current_principal().name}"

    @server.tool
    @public
    async def lenient(context: Context) -> str:
        with contextlib.suppress(Exception):
            await context.fastmcp.call_tool("wipe")
        return "less"

    async def calls(client: Client[Any]) -> list[Any]:
        found = []
        for tool, arguments in (("search", {"text": "a"}), ("wipe", {}), ("get_document", {"number": 7})):
            for past in (False, True):
                try:
                    result = await client.call_tool("nested", {"tool": tool, "arguments": arguments, "past": past})
                    found.append(result.data)
                except McpError as error:
                    found.append(error.error.data["code"])
        found.append((await client.call_tool("lenient")).data)
        return found

    assert run(server, calls) == [
        "a for rita via rita",
        "a for rita via rita",
        "AccessDenied",
        "wiped via rita",  # a call by name past the middleware is the server's own
        "AccessDenied",
        "AccessDenied",
        "less",
    ]


def mounted(guard: Guard, *, inner_guard: bool) -> FastMCP:
    inner = library(guard, "ada") if inner_guard else FastMCP("inner")
    if not inner_guard:
        inner.mount(library_without_guard())
    server = outer_server(guard)
    server.mount(inner, namespace="inner")
    return server


def library_without_guard() -> FastMCP:
    server: FastMCP = FastMCP("innermost")

    @server.tool
    @docs.requires("GetDocument", resource="document/{number}")
    def get_document(number: int) -> str:
        return f"{number!r} for {current_principal().name}"

    @server.tool
    async def search(text: str) -> str:
        return f"{text} for {current_principal().name}"

    @server.tool
    @public
    def about() -> str:
        return "a library"

    @server.resource("data://files/{number}")
    @docs.requires("GetDocument", resource="document/{number}")
    def file(number: int) -> str:
        return f"file {number}"

    return server


@table("inner_guard", [False, True])
def test_mounted_server_is_decided_for_the_caller(guard: Guard, inner_guard: bool) -> None:
    """The decorator of a mounted function decides; a name is the one in the outer server."""

    async def calls(client: Client[Any]) -> list[Any]:
        found: list[Any] = [sorted(tool.name for tool in await client.list_tools())]
        for tool, arguments in (("get_document", {"number": 8}), ("get_document", {"number": 7}), ("about", {})):
            try:
                found.append((await client.call_tool(f"inner_{tool}", arguments)).data)
            except McpError as error:
                found.append(error.error.data["code"])
        with pytest.raises(McpError, match="tool/inner_search"):
            await client.call_tool("inner_search", {"text": "a"})
        return found

    names = ["inner_about", "inner_get_document"]
    assert run(mounted(guard, inner_guard=inner_guard), calls) == [names, "8 for rita", "AccessDenied", "a library"]


def test_resource_of_a_mounted_server_is_decided_by_its_function(guard: Guard) -> None:
    async def reads(client: Client[Any]) -> list[str]:
        templates = await client.list_resource_templates()
        found = [template.uri_template for template in templates]
        for number in ("8", "7", "%37", "07"):
            try:
                found.append((await client.read_resource(f"data://inner/files/{number}"))[0].text)
            except McpError as error:
                found.append(str(error.error.data["code"]))
        return found

    expected = ["data://inner/files/{number}", "file 8", "AccessDenied", "AccessDenied", "AccessDenied"]
    assert run(mounted(guard, inner_guard=False), reads) == expected


def backend() -> FastMCP:
    server: FastMCP = FastMCP("backend")

    @server.tool
    def read_file(number: int) -> str:
        return f"file {number!r}"

    @server.tool
    def drop() -> str:
        return "dropped"

    return server


def test_proxied_components_are_decided_by_name_or_map(guard: Guard) -> None:
    """A row of the map decides with the arguments as sent."""
    rows = {"tool/read_file": docs.requirement("GetDocument", resource="document/{number}")}
    server = outer_server(guard, components=rows)
    server.mount(create_proxy(backend()))

    async def calls(client: Client[Any]) -> list[Any]:
        found: list[Any] = [sorted(tool.name for tool in await client.list_tools())]
        for arguments in ({"number": 8}, {"number": 7}, {"number": "7"}, {"number": 7.0}, {"number": "07"}, {}):
            try:
                found.append((await client.call_tool("read_file", arguments)).content[0].text)
            except McpError as error:
                found.append(error.error.data["code"])
        with pytest.raises(McpError, match="tool/drop"):
            await client.call_tool("drop")
        return found

    found = run(server, calls)
    assert found[:4] == [["read_file"], "file 8", "AccessDenied", "AccessDenied"]
    assert found[4] == "InvalidInput"
    assert found[6] == "InternalFailure"
    assert found[5] == "file 7"  # a text of its own; the backend makes a number of it


def test_undeclared_argument_is_no_parameter_of_a_row(guard: Guard) -> None:
    """A client can't choose the account of an ARN by an argument that the tool doesn't have."""
    resource = "arn:aws:docs:us-east-1:{account}:document/{number}"
    server = outer_server(guard, components={"tool/read_file": docs.requirement("GetDocument", resource=resource)})
    server.mount(create_proxy(backend()))

    async def call(client: Client[Any]) -> None:
        with contextlib.suppress(McpError, ToolError):
            await client.call_tool("read_file", {"number": 7, "account": "444455556666"})

    run(server, call)
    decided = [item for item in records(guard) if item["eventName"] == "GetDocument"]
    assert [item["resources"][0]["ARN"] for item in decided] == ["arn:aws:docs:us-east-1:111122223333:document/7"]


def test_version_of_a_tool_has_its_own_guard(guard: Guard) -> None:
    """The guard of the requested version decides, not that of the newest."""
    server = outer_server(guard)

    @server.tool(name="show", version="1.0")
    async def old() -> str:
        return "old"

    @server.tool(name="show", version="2.0")
    @public
    async def new() -> str:
        return "new"

    async def calls(client: Client[Any]) -> list[Any]:
        found = [(await client.call_tool("show")).data]
        with pytest.raises(McpError, match="tool/show"):
            await client.call_tool("show", version="1.0")
        return found

    assert run(server, calls) == ["new"]


def test_searched_tools_are_those_of_the_caller(guard: Guard) -> None:
    """The synthetic tools of a search find and call only what the caller may use."""
    server = outer_server(guard)
    server.mount(library_without_guard())
    server.add_transform(RegexSearchTransform())
    tools = next(item for item in server.middleware if isinstance(item, GuardTools))
    allowed = {"tool/search_tools": "public", "tool/call_tool": "public"}
    server.middleware[server.middleware.index(tools)] = GuardTools(
        guard, service=docs, principal=arn("nemo"), components=allowed
    )

    async def calls(client: Client[Any]) -> str:
        found = str((await client.call_tool("search_tools", {"pattern": ".*"})).content)
        with pytest.raises(ToolError, match="Unknown tool"):
            await client.call_tool("call_tool", {"name": "search", "arguments": {"text": "a"}})
        return found

    found = run(server, calls)
    assert "about" in found
    assert "get_document" not in found


def test_row_of_a_local_function_needs_a_decorator(guard: Guard) -> None:
    """The arguments of a row are not validated, and a function gets validated ones."""
    server = outer_server(guard, components={"tool/drop": docs.requirement("Drop", resource="document/{number}")})

    @server.tool
    def drop(number: int) -> str:
        return "dropped"

    error = refused(lambda client: client.call_tool("drop", {"number": 7}), server).error
    assert error.data["code"] == "InternalFailure"


def test_transformed_tool_is_decided_with_the_arguments_of_its_function(guard: Guard) -> None:
    server = outer_server(guard)
    server.mount(library_without_guard())
    renamed = ToolTransformConfig(name="read", arguments={"number": ArgTransformConfig(name="which")})
    server.add_transform(ToolTransform({"get_document": renamed}))

    async def calls(client: Client[Any]) -> list[Any]:
        assert "read" in [tool.name for tool in await client.list_tools()]
        found = [(await client.call_tool("read", {"which": 8})).data]
        with pytest.raises(McpError) as caught:
            await client.call_tool("read", {"which": 7})
        return [*found, caught.value.error.data["code"]]

    assert run(server, calls) == ["8 for rita", "AccessDenied"]


def test_function_that_transforms_a_public_tool_is_not_public(guard: Guard) -> None:
    """It may do more than the tool that it stands for."""
    server = outer_server(guard)
    inner = library_without_guard()

    async def more() -> str:
        return "more"

    about = asyncio.run(inner.get_tool("about"))
    assert about is not None
    server.add_tool(Tool.from_tool(about, name="changed", transform_fn=more))
    server.add_tool(Tool.from_tool(about, name="renamed"))

    async def calls(client: Client[Any]) -> str:
        with pytest.raises(McpError, match="tool/changed"):
            await client.call_tool("changed")
        return str((await client.call_tool("renamed")).data)

    assert run(server, calls) == "a library"


def test_callbacks_keep_the_caller_and_tasks_have_none(guard: Guard) -> None:
    """Elicitation, sampling, and a task that outlives its message."""
    server = outer_server(guard, "ada")
    outlived: list[str] = []
    started: list[asyncio.Task[None]] = []

    @server.tool
    async def asks(context: Context) -> str:
        before = current_principal().name
        answer = await context.elicit("sure?", response_type=bool)
        return f"{before} {answer.action} {current_principal().name}"

    @server.tool
    async def starts() -> str:
        over = asyncio.Event()

        async def later() -> None:
            await over.wait()
            try:
                outlived.append(current_principal().name)
            except ConfigurationError as error:
                outlived.append(str(error))

        started.append(asyncio.create_task(later()))
        asyncio.get_running_loop().call_later(0.1, over.set)
        return "started"

    async def calls(client: Client[Any]) -> str:
        answered = (await client.call_tool("asks")).data
        await client.call_tool("starts")
        await started[0]
        return str(answered)

    async def accept(*args: Any) -> ElicitResult[Any]:
        return ElicitResult(action="accept", content={"value": True})

    assert run(server, calls, elicitation_handler=accept, mode="legacy") == "ada accept ada"
    assert outlived == ["the call is over: code that runs after the response has no caller"]


def test_completion_is_for_components_that_the_caller_may_use(guard: Guard) -> None:
    completed: list[str] = []

    async def suggestions(name: str) -> list[str]:
        server = library(guard, name)

        @server.completion
        def complete(ref: Any, argument: Any, context: Any) -> list[str]:
            completed.append(current_principal().name)
            return ["one"]

        async with Client(server) as client:
            reference = {"type": "ref/prompt", "name": "summary"}
            found = await client.complete(reference, {"name": "text", "value": ""})
            return list(found.values)

    assert [asyncio.run(suggestions(name)) for name in ("rita", "nemo")] == [["one"], []]
    assert completed == ["rita"]


def test_missing_second_factor_is_in_the_error(guard: Guard) -> None:
    """As `insufficient_user_authentication` over HTTP (RFC 9470)."""
    now = datetime.now(UTC)
    issued = Issued(now - timedelta(minutes=1), now + timedelta(hours=1))
    principal = replace(Principal.from_arn(arn("mia")), credential=Credential("session", "bs-1", issued=issued))
    for caller, hint in ((principal, "insufficient_user_authentication"), (Principal.from_arn(arn("mia")), None)):
        server: FastMCP = FastMCP("second", middleware=[GuardTools(guard, service=docs, principal=caller)])
        server.mount(library_without_guard())
        error = refused(lambda client: client.call_tool("search", {"text": "a"}), server).error
        assert (error.data["code"], error.data.get("error")) == ("AccessDenied", hint)


@table(
    "options, message",
    [
        ({"by_name": False}, "neither guarded nor public: ANY tool/search"),
        ({"components": {"tool/missing": "public"}}, "expected components of the server, got `tool/missing`"),
        ({"service": Service("other")}, "expected the service `other`"),
    ],
)
def test_check_reports_mistakes(guard: Guard, options: dict[str, Any], message: str) -> None:
    tools = GuardTools(guard, **{"service": docs, **options})
    server: FastMCP = FastMCP("checked", middleware=[tools])
    server.mount(library_without_guard())
    with pytest.raises(ConfigurationError, match=message):
        asyncio.run(tools.check(server))


def test_check_accepts_a_guarded_server(guard: Guard) -> None:
    server = mounted(guard, inner_guard=True)
    tools = next(item for item in server.middleware if isinstance(item, GuardTools))
    asyncio.run(tools.check(server))
    guards = {endpoint.path: endpoint.guards for endpoint in asyncio.run(tools.inventory(server))}
    assert guards["tool/inner_get_document"] == ("docs:GetDocument on document/{number}",)
    assert guards["tool/inner_about"] == ("public",)
    assert guards["tool/inner_search"] == ("docs:CallTool on tool/{name}",)


def test_function_without_guard_around_it_is_refused(guard: Guard) -> None:
    """A server without the middleware has no caller."""
    with pytest.raises(ToolError, match="no guarded call"):
        run(library_without_guard(), lambda client: client.call_tool("get_document", {"number": 8}))
    assert records(guard) == []
