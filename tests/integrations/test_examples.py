"""The example of each adapter: what its tenants see of each other, over a real connection."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from iam_guard import open_guard
from iam_guard.authn.api_key import format_key
from tests.integrations.contract import Sent, needed, over
from tests.serving import serving
from tests.tables import table

ROOT = Path(__file__).resolve().parents[2]
KEYS = {
    "ada": format_key("ADA1", "adasecret0123456789abcdefghijklmnopqrstuv"),
    "rita": format_key("RITA", "ritasecret0123456789abcdefghijklmnopqrst"),
    "gus": format_key("GUS1", "gussecret0123456789abcdefghijklmnopqrstuv"),
}


def example(framework: str) -> Any:
    """Import the example as a program in its folder."""
    path = ROOT / "integrations" / framework / "example" / f"{framework}_service.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@table("framework", ["fastapi", "litestar"])
def test_tenants_see_only_their_own_documents(framework: str) -> None:
    """Written by one caller, read by another of the same tenant, concealed from the other tenant."""
    needed(framework, f"iam_guard_{framework}")
    module = example(framework)
    guard = open_guard(module.HERE / "iam.yaml", services=[module.docs])
    with serving(module.create(guard)) as address:
        send = over(address)

        def ask(who: str | None, method: str, path: str, body: object = None) -> tuple[int, Any]:
            headers = {"authorization": f"Bearer {KEYS[who]}"} if who else {}
            content = b"" if body is None else json.dumps(body).encode()
            answer = send(Sent(method, path, {**headers, "content-type": "application/json"}, content))
            return answer.status, answer.messages or (json.loads(answer.body) if answer.status == 200 else None)

        written = {"text": "new", "account": "111122223333"}
        checks: list[tuple[Callable[[], tuple[int, Any]], tuple[int, Any]]] = [
            (lambda: ask("rita", "GET", "/documents"), (200, [7])),
            (lambda: ask("gus", "GET", "/documents"), (200, [])),
            (lambda: ask(None, "GET", "/documents"), (401, None)),
            (lambda: ask("rita", "PUT", "/documents/8", {"text": "no"}), (403, None)),
            (
                lambda: ask("ada", "PUT", "/documents/8", {"text": "new"}),
                (200, written),
            ),
            (lambda: ask("rita", "GET", "/documents/8"), (200, written)),
            (lambda: ask("gus", "GET", "/documents/8"), (404, None)),
            (lambda: ask("gus", "PUT", "/documents/8", {"text": "mine"}), (403, None)),
            (lambda: ask("rita", "GET", "/documents/9"), (404, None)),
            (lambda: ask("rita", "WEBSOCKET", "/documents/8/watch"), (101, ("new",))),
            (lambda: ask("gus", "WEBSOCKET", "/documents/8/watch"), (404, None)),
        ]
        for check, expected in checks:
            assert check() == expected
    guard.close()


@table("framework", ["fastapi", "litestar"])
def test_key_in_the_docstring_is_in_the_seed(framework: str) -> None:
    """The command in the docstring works."""
    text = (ROOT / "integrations" / framework / "example" / f"{framework}_service.py").read_text(encoding="utf-8")
    assert KEYS["rita"] in text


def test_fastmcp_tenants_see_only_their_own_documents() -> None:
    """Over HTTP with the client of FastMCP; another tenant's document does not exist."""
    needed("fastmcp", "iam_guard_fastmcp")
    client, transports = import_module("fastmcp").Client, import_module("fastmcp.client.transports")
    module = example("fastmcp")
    guard = open_guard(module.HERE / "iam.yaml", services=[module.docs])

    async def ask(address: str, who: str) -> list[Any]:
        headers = {"authorization": f"Bearer {KEYS[who]}"}
        async with client(transports.StreamableHttpTransport(f"{address}/mcp", headers=headers)) as session:
            found: list[Any] = [sorted(tool.name for tool in await session.list_tools())]
            for tool, arguments in (("get_document", {"number": 7}), ("search", {"text": "plan"})):
                try:
                    found.append((await session.call_tool(tool, arguments)).data)
                except import_module("fastmcp.exceptions").McpError as error:
                    found.append(error.error.data["code"])
            return found

    with contextlib.closing(guard), serving(module.create(guard), lifespan="on") as address:
        everything = ["about", "get_document", "put_document", "search"]
        assert asyncio.run(ask(address, "ada")) == [everything, "the plan", [7]]
        assert asyncio.run(ask(address, "rita")) == [["about", "get_document", "search"], "the plan", [7]]
        assert asyncio.run(ask(address, "gus")) == [everything, "NoSuchEntity", []]
