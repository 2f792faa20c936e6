"""A FastMCP server with guarded components, its callers, and ways to use it, for the tests of the adapter."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from iam_guard import Guard, Service, current_principal, open_guard, public
from iam_guard.audit.consumer.reader import read_records
from tests.integrations.contract import needed

needed("fastmcp", "iam_guard_fastmcp")

from fastmcp import Client, FastMCP  # noqa: E402
from fastmcp.exceptions import McpError  # noqa: E402
from iam_guard_fastmcp import GuardTools  # noqa: E402

from iam_guard.authn.api_key import format_api_key  # noqa: E402

ACME: Final = "111122223333"
CALLERS: Final = 100
docs = Service("docs")
Use = Callable[[Client[Any]], Coroutine[Any, Any, Any]]


def arn(name: str) -> str:
    return f"arn:aws:iam::{ACME}:user/{name}"


def key_of(name: str) -> dict[str, str]:
    key = format_api_key(f"KEY{name.upper()}", f"{name}secret".ljust(40, "0"))
    return {"authorization": f"Bearer {key}"}


def account() -> dict[str, Any]:
    resource = "arn:aws:docs:*:*:"
    statements: dict[str, list[tuple[str, str, str]]] = {
        "ada": [("Allow", "docs:*", "*")],
        "rita": [
            ("Allow", "docs:GetDocument", "*"),
            ("Deny", "docs:GetDocument", f"{resource}document/7"),
            ("Allow", "docs:CallTool", f"{resource}tool/search"),
            ("Allow", "docs:ReadResource", f"{resource}resource/data://*"),
            ("Deny", "docs:ReadResource", f"{resource}resource/data://documents/secret"),
            ("Allow", "docs:GetPrompt", f"{resource}prompt/summary"),
        ],
        "nemo": [("Allow", "other:*", "*")],
    }
    crowd = {f"c{number:03}": [("Allow", "docs:*", f"{resource}tool/who*")] for number in range(CALLERS)}
    factor = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    allowed = {"Effect": "Allow", "Action": "docs:*", "Resource": "*", "Condition": factor}
    users: list[dict[str, Any]] = [{"name": "mia", "inline": {"P": {"Version": "2012-10-17", "Statement": allowed}}}]
    for name, rows in {**statements, **crowd}.items():
        document = [{"Effect": effect, "Action": action, "Resource": target} for effect, action, target in rows]
        key = {"id": f"KEY{name.upper()}", "secret": f"{name}secret".ljust(40, "0")}
        inline = {"P": {"Version": "2012-10-17", "Statement": document}}
        users.append({"name": name, "inline": inline, "api_keys": [key]})
    return {"id": ACME, "name": "acme", "users": users}


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    (tmp_path / "iam.json").write_text(json.dumps({"version": 1, "accounts": [account()]}))
    audit = str(tmp_path / "audit.jsonl")
    with contextlib.closing(open_guard(tmp_path / "iam.json", services=[docs], audit=audit)) as opened:
        yield opened


def records(guard: Guard) -> list[dict[str, Any]]:
    return list(read_records(Path(guard.settings.audit)))


def library(guard: Guard, principal: str | None = None, **options: Any) -> FastMCP:
    """Return a server with guarded, unguarded and public components."""
    fixed = None if principal is None else arn(principal)
    server: FastMCP = FastMCP("library", middleware=[GuardTools(guard, service=docs, principal=fixed, **options)])

    @server.tool
    @docs.requires("GetDocument", resource="document/{number}")
    def get_document(number: int) -> str:
        return f"{number!r} for {current_principal().name}"

    @server.tool
    async def search(text: str) -> str:
        return f"{text} for {current_principal().name}"

    @server.tool
    async def wipe() -> str:
        return "wiped"

    @server.tool
    @public
    async def about() -> str:
        return "a library"

    @server.resource("data://index")
    async def index() -> str:
        return "index"

    @server.resource("data://documents/{name}")
    async def document(name: str) -> str:
        return name

    @server.prompt
    async def summary(text: str) -> str:
        return text

    @server.prompt
    async def hidden() -> str:
        return "hidden"

    return server


def refused(use: Use, server: Any, **options: Any) -> McpError:
    """Return the error of MCP that a request is refused with."""
    with pytest.raises(McpError) as caught:
        run(server, use, **options)
    return caught.value


def run(server: Any, use: Use, **options: Any) -> Any:
    """Use a server, or the one at an address, and return the result."""

    async def send() -> Any:
        async with Client(server, **options) as client:
            return await use(client)

    return asyncio.run(send())
