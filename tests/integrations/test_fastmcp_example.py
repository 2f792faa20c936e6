"""The example of the FastMCP adapter: what its tenants see of each other, over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from iam_guard import open_guard
from tests.integrations.contract import needed

needed("fastmcp", "iam_guard_fastmcp")
from fastmcp import Client  # noqa: E402
from fastmcp.client.transports import StreamableHttpTransport  # noqa: E402
from fastmcp.exceptions import McpError  # noqa: E402

from tests.integrations.test_examples import KEYS, example  # noqa: E402
from tests.serving import serving  # noqa: E402


def test_fastmcp_tenants_see_only_their_own_documents() -> None:
    """Over HTTP with the client of FastMCP; another tenant's document does not exist."""
    module = example("fastmcp")
    guard = open_guard(module.HERE / "iam.yaml", services=[module.docs])

    async def ask(address: str, who: str) -> list[Any]:
        headers = {"authorization": f"Bearer {KEYS[who]}"}
        async with Client(StreamableHttpTransport(f"{address}/mcp", headers=headers)) as session:
            found: list[Any] = [sorted(tool.name for tool in await session.list_tools())]
            for tool, arguments in (("get_document", {"number": 7}), ("search", {"text": "plan"})):
                try:
                    found.append((await session.call_tool(tool, arguments)).data)
                except McpError as error:
                    found.append(error.error.data["code"])
            return found

    with contextlib.closing(guard), serving(module.create(guard), lifespan="on") as address:
        everything = ["about", "get_document", "put_document", "search"]
        assert asyncio.run(ask(address, "ada")) == [everything, "the plan", [7]]
        assert asyncio.run(ask(address, "rita")) == [["about", "get_document", "search"], "the plan", [7]]
        assert asyncio.run(ask(address, "gus")) == [everything, "NoSuchEntity", []]
