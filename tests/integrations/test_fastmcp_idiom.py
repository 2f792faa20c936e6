"""What only FastMCP has: lists, resources, prompts, names, refusals, caches."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

import pytest

from iam_guard import Guard, public
from iam_guard.errors import ConfigurationError
from tests.integrations.contract import needed
from tests.tables import table

needed("fastmcp", "iam_guard_fastmcp")

from fastmcp import Client, FastMCP  # noqa: E402
from fastmcp.exceptions import McpError, ToolError  # noqa: E402
from fastmcp.server.middleware import Middleware, MiddlewareContext  # noqa: E402
from fastmcp.server.middleware.caching import ResponseCachingMiddleware  # noqa: E402
from iam_guard_fastmcp import GuardTools  # noqa: E402
from mcp_types import INTERNAL_ERROR  # noqa: E402

from tests.integrations.fastmcp_library import (  # noqa: E402
    ACME,
    arn,
    docs,
    library,
    records,
    refused,
    run,
)
from tests.integrations.fastmcp_library import (  # noqa: E402
    guard as guard,
)

# --- lists -----------------------------------------------------------------------------------------------------------


async def lists_of(client: Client[Any]) -> dict[str, list[str]]:
    return {
        "tools": sorted(tool.name for tool in await client.list_tools()),
        "resources": sorted(str(resource.uri) for resource in await client.list_resources()),
        "templates": sorted(template.uri_template for template in await client.list_resource_templates()),
        "prompts": sorted(prompt.name for prompt in await client.list_prompts()),
    }


EVERYTHING: Final = {
    "tools": ["about", "get_document", "search", "wipe"],
    "resources": ["data://index"],
    "templates": ["data://documents/{name}"],
    "prompts": ["hidden", "summary"],
}
NOTHING: Final = {"tools": ["about"], "resources": [], "templates": [], "prompts": []}


@table(
    "name, expected",
    [
        ("ada", EVERYTHING),
        ("rita", {**EVERYTHING, "tools": ["about", "get_document", "search"], "prompts": ["summary"]}),
        ("nemo", NOTHING),
        (None, NOTHING),
    ],
)
def test_lists_show_what_the_caller_may_use(guard: Guard, name: str | None, expected: dict[str, list[str]]) -> None:
    """Each list has one audit record, and none for a denial of a call."""
    before = len(records(guard))
    assert run(library(guard, name), lists_of) == expected
    assert [record["eventName"] for record in records(guard)[before:]] == ["AskPermissions"] * 4


def test_list_action_lists_components_with_arguments(guard: Guard) -> None:
    """Rita may read all documents, but she has no permission for the list action."""
    server = library(guard, "rita", list_action="ListComponent")
    assert run(server, lists_of)["tools"] == ["about", "search"]
    assert run(server, lists_of)["templates"] == []


# --- resources and names ---------------------------------------------------------------------------------------------


@table(
    "uri, expected",
    [
        ("data://index", "index"),
        ("data://documents/plan", "plan"),
        ("data://documents/%70lan", "plan"),
        ("data://documents/a%20b", "a b"),
        ("data://documents/secret", "AccessDenied"),
        ("data://documents/%73ecret", "AccessDenied"),
        ("data://documents/secret#part", "AccessDenied"),
        ("data://documents/secret?x=1", "AccessDenied"),
        ("data://documents/%2e%2e%2fsecret", "InvalidInput"),
        ("data://documents/..%5Csecret", "InvalidInput"),
        ("data://documents/a%00", "InvalidInput"),
        ("data://documents/" + "a" * 2000, "InvalidInput"),
        ("data://documents/", None),
        ("data://nothing", None),
    ],
)
def test_resource_is_decided_by_its_canonical_uri(guard: Guard, uri: str, expected: str | None) -> None:
    """An encoded URI is the resource that the function reads."""

    async def read_it(client: Client[Any]) -> str:
        try:
            return str((await client.read_resource(uri))[0].text)
        except McpError as error:
            return str((error.error.data or {}).get("code"))

    assert run(library(guard, "rita"), read_it) == str(expected)


def test_template_does_not_read_under_the_name_of_another_resource(guard: Guard) -> None:
    """An encoding that only a template matches is not decided as the concrete resource, nor as another template."""
    server: FastMCP = FastMCP("collisions", middleware=[GuardTools(guard, service=docs, principal=arn("rita"))])

    @server.resource("data://documents/open")
    def concrete() -> str:
        return "concrete"

    @server.resource("data://documents/{name}")
    def template(name: str) -> str:
        return f"template {name}"

    @server.resource("data://documents/{first}/{second}")
    def pair(first: str, second: str) -> str:
        return f"pair {first} {second}"

    async def read_it(client: Client[Any]) -> list[str]:
        found = []
        for uri in ("open", "%6Fpen", "other", "a%2Fb", "a/b"):
            try:
                found.append(str((await client.read_resource(f"data://documents/{uri}"))[0].text))
            except McpError as error:
                found.append(error.error.message)
        return found

    first, second, *others = run(server, read_it)
    assert first == "concrete"
    assert second in ("concrete", "Resource not found: 'data://documents/%6Fpen'")
    assert others == ["template other", "template a/b", "pair a b"]
    resources = [item["resources"][0]["ARN"].partition("data://")[2] for item in records(guard)]
    assert resources[-2:] == ["documents/a%2Fb", "documents/a/b"]


@table(
    "name, code",
    [("search", None), ("a*b", None), ("${aws:username}", None), ("a/../b", "InvalidInput"), ("a\nb", "InvalidInput")],
)
def test_name_of_a_tool_is_literal(guard: Guard, name: str, code: str | None) -> None:
    """No name is a pattern, a variable or a path."""
    server: FastMCP = FastMCP("names", middleware=[GuardTools(guard, service=docs, principal=arn("ada"))])

    @server.tool(name=name)
    def odd() -> str:
        return "ran"

    async def call(client: Client[Any]) -> str | None:
        try:
            await client.call_tool(name)
        except McpError as error:
            return str(error.error.data["code"])
        return None

    assert run(server, call) == code
    if code is None:
        decided = [item for item in records(guard) if item["eventName"] == "CallTool"]
        assert decided[-1]["resources"][0]["ARN"] == f"arn:aws:docs:us-east-1:{ACME}:tool/{name}"


@table(
    "number, expected",
    [(8, "8 for rita"), ("08", "8 for rita"), (8.0, "8 for rita"), ("7", None), ("007", None), (7.0, None)],
)
def test_decision_has_the_validated_arguments(guard: Guard, number: Any, expected: str | None) -> None:
    """Document 7 is denied, however it is spelled."""

    async def call(client: Client[Any]) -> str | None:
        with contextlib.suppress(McpError):
            return str((await client.call_tool("get_document", {"number": number})).data)
        return None

    assert run(library(guard, "rita"), call) == expected


def test_invalid_arguments_are_not_decided(guard: Guard) -> None:
    async def call(client: Client[Any]) -> None:
        with pytest.raises(ToolError, match="number"):
            await client.call_tool("get_document", {"number": "seven"})

    run(library(guard, "rita"), call)
    assert not [item for item in records(guard) if item["eventName"] == "GetDocument"]


# --- refusals --------------------------------------------------------------------------------------------------------


def test_denial_is_an_error_with_the_sentence_of_aws(guard: Guard) -> None:
    error = refused(lambda client: client.call_tool("wipe"), library(guard, "rita")).error
    assert error.code == -32003
    assert error.message.startswith(f"User: {arn('rita')} is not authorized to perform: docs:CallTool on resource:")
    assert (error.data["code"], error.data["status"]) == ("AccessDenied", 403)
    denied = records(guard)[-1]
    assert (denied["errorCode"], denied["requestID"]) == ("AccessDenied", error.data["requestId"])


def test_concealed_denial_is_like_an_unknown_component(guard: Guard) -> None:
    """Tools, resources and prompts, decided by name and by a decorator."""

    async def errors(client: Client[Any]) -> list[str]:
        found = []
        for name, arguments in (("wipe", {}), ("get_document", {"number": 7}), ("unknown", {})):
            with pytest.raises(ToolError) as caught:
                await client.call_tool(name, arguments)
            found.append(str(caught.value).replace(name, "NAME"))
        for name in ("hidden", "unknown"):
            with pytest.raises(McpError) as denied:
                await client.get_prompt(name)
            found.append(denied.value.error.model_dump_json().replace(name, "NAME"))
        for uri in ("data://documents/secret", "data://unknown/secret"):
            with pytest.raises(McpError) as denied:
                await client.read_resource(uri)
            found.append(denied.value.error.model_dump_json().replace(uri, "URI"))
        return found

    found = run(library(guard, "rita", conceal=True), errors)
    assert found[:3] == ["Unknown tool: 'NAME'"] * 3
    assert found[3] == found[4]
    assert found[5] == found[6]


def test_swallowed_denial_is_no_success(guard: Guard) -> None:
    """Code around a guarded function can't turn its denial into a result (decision 18)."""
    server: FastMCP = FastMCP("swallowing", middleware=[GuardTools(guard, service=docs, principal=arn("rita"))])

    class Lenient(Middleware):
        async def on_call_tool(self, context: MiddlewareContext[Any], call_next: Any) -> Any:
            with contextlib.suppress(Exception):
                return await call_next(context)
            return await context.fastmcp_context.fastmcp.call_tool("about", run_middleware=False)

    server.add_middleware(Lenient())

    @server.tool
    @docs.requires("DeleteDocument", resource="document/{number}")
    def delete_document(number: int) -> str:
        return "deleted"

    @server.tool
    @public
    def about() -> str:
        return "fine"

    error = refused(lambda client: client.call_tool("delete_document", {"number": 7}), server).error
    assert error.data["code"] == "AccessDenied"


def test_cached_result_of_a_decorated_function_is_refused(guard: Guard) -> None:
    """A cache inside of the guard answers without the decorator."""
    server = library(guard, "ada")
    server.add_middleware(ResponseCachingMiddleware())

    async def call(client: Client[Any]) -> None:
        await client.call_tool("get_document", {"number": 8})
        with pytest.raises(McpError) as caught:
            await client.call_tool("get_document", {"number": 8})
        assert caught.value.error.data["code"] == "InternalFailure"
        assert await client.call_tool("search", {"text": "a"}) is not None
        assert await client.call_tool("search", {"text": "a"}) is not None

    run(server, call)


def test_cache_outside_of_the_guard_is_an_error(guard: Guard) -> None:
    server: FastMCP = FastMCP("cached", middleware=[ResponseCachingMiddleware(), GuardTools(guard, service=docs)])
    with pytest.raises(ConfigurationError, match="before `ResponseCachingMiddleware`"):
        asyncio.run(server.middleware[1].check(server))  # type: ignore[attr-defined]
    assert refused(lambda client: client.list_tools(), server).error.code == INTERNAL_ERROR
