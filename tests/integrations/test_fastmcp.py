"""The scenario table as messages of MCP: each row through the in-memory transport and through a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pytest
from botocore.awsrequest import AWSRequest

from iam_guard import Guard, Principal, public
from tests.authn.issuer import Issuer, publishing
from tests.integrations.application import (
    ADA,
    ARN,
    EVE,
    GLOBEX,
    GUS,
    ISSUER,
    SECRET,
    answer,
    docs,
    load_document,
    ran,
    received,
)
from tests.integrations.contract import Caller, needed, opened, over
from tests.integrations.scenarios import SCENARIOS, OidcToken, Scenario, user
from tests.serving import serving

needed("fastmcp", "iam_guard_fastmcp")

from fastmcp import Client, FastMCP  # noqa: E402
from fastmcp.exceptions import McpError  # noqa: E402
from iam_guard_fastmcp import GuardTools, guarded_http_app  # noqa: E402

DOCUMENT: Final = "document/{document_id}"
TOOLS: Final = {
    ("GET", "documents"): "get_document",
    ("PUT", "documents"): "put_document",
    ("DELETE", "documents"): "delete_document",
    ("GET", "files"): "get_file",
    ("GET", "shared"): "get_shared",
    ("GET", "by-hand"): "by_hand",
    ("GET", "raising"): "raising",
    ("POST", "uploads"): "upload",
    ("GET", "health"): "health",
    ("GET", "forgotten"): "forgotten",
    ("GET", "nothing"): "nothing",
    ("GET", "mounted/documents"): "mounted_get_document",
    ("GET", "mounted/forgotten"): "mounted_forgotten",
    ("GET", "mounted/nothing"): "mounted_nothing",
}
"""The tool that stands for a route of the table."""
LACKS: Final = {
    "websocket": "MCP has no WebSockets",
    "cors": "CORS stays outside of the guard, as for other ASGI applications",
    "head": "messages are POST requests",
    "streaming": "a result is one message",
    "class_based": "components are functions",
    "background": "a task that outlives its message has no caller",
}
OTHERS: Final = {
    "an unknown method": "a message has no method",
    "OPTIONS, anonymous": "messages are POST requests",
    "a long body whose hash is stated": "a message is JSON",
    "a long body that was changed": "a message is JSON",
    "a long body without its hash": "the message of that size is a test of its own",
    "a presigned URL": "the signature of a presigned URL does not cover the message",
    "a presigned URL that was changed": "the signature of a presigned URL does not cover the message",
    "an encoded slash makes two segments": "an argument is not split into segments",
}


def component_server() -> FastMCP:
    server: FastMCP = FastMCP("components")

    @server.tool
    @docs.requires("GetDocument", resource=DOCUMENT)
    async def get_document(document_id: str) -> dict[str, str]:
        return answer(document_id)

    @server.tool
    def forgotten() -> str:
        return SECRET

    return server


def build(guard: Guard, principal: Principal | str | None = None, **options: Any) -> FastMCP:
    """Return the application of the table with tools."""
    server = component_server()
    server.add_middleware(GuardTools(guard, service=docs, principal=principal, **{"by_name": False, **options}))
    server.mount(component_server(), namespace="mounted")

    @server.tool
    @public
    async def health() -> str:
        return "ok"

    @server.tool
    @docs.requires("PutDocument", resource=DOCUMENT)
    def put_document(document_id: str) -> dict[str, str]:
        return answer(document_id)

    @server.tool
    @docs.requires("PutDocument", resource=DOCUMENT)
    def upload(document_id: str, content: str) -> dict[str, Any]:
        return received(content.encode())

    @server.tool
    @docs.requires("DeleteDocument", resource=DOCUMENT, conceal=True)
    async def delete_document(document_id: str) -> None:
        ran.append(document_id)

    @server.tool
    @docs.requires("GetDocument", resource="file/{path}")
    async def get_file(path: str) -> dict[str, str]:
        return answer(path)

    @server.tool
    @docs.requires("GetDocument", resource=load_document)
    async def get_shared(document_id: str) -> dict[str, str]:
        return answer(document_id)

    @server.tool
    @public
    def by_hand(document_id: str) -> dict[str, str]:
        docs.authorize("PutDocument", ARN + document_id)
        return answer(document_id)

    @server.tool
    @docs.requires("GetDocument", resource=DOCUMENT)
    async def raising(document_id: str) -> str:
        raise RuntimeError("a mistake")

    return server


def message_of(row: Scenario) -> dict[str, Any]:
    """Return the message that stands for a row."""
    parts = unquote(row.path).partition("?")[0].strip("/").split("/")
    names = [("/".join(parts[:count]), "/".join(parts[count:])) for count in (2, 1)]
    tool, value = next((TOOLS[row.method, name], rest) for name, rest in names if (row.method, name) in TOOLS)
    parameter = {"get_file": "path"}.get(tool, "document_id")
    arguments = {parameter: value} if value else {}
    arguments |= {"content": row.content.decode()} if tool == "upload" else {}
    return rpc("tools/call", name=tool, arguments=arguments)


def rpc(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def rows() -> Iterator[Any]:
    for row in SCENARIOS:
        reasons = [LACKS[need] for need in sorted(row.needs) if need in LACKS]
        reasons += [OTHERS[row.name]] if row.name in OTHERS else []
        marks = [pytest.mark.skip(reason="; ".join(reasons))] if reasons else []
        yield pytest.param(row, id=row.name, marks=marks)


ROWS: Final = list(rows())


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with publishing(Issuer(ISSUER)) as made:
        yield made


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Guard]:
    with opened(tmp_path_factory.mktemp("fastmcp"), issuer) as opened_guard:
        yield opened_guard


@contextlib.contextmanager
def served(server: FastMCP, guard: Guard, **options: Any) -> Iterator[str]:
    """Serve over HTTP, without the check at start-up, which would find the forgotten tool."""
    options = {"stateless_http": True, "json_response": True, "check_components": False, **options}
    with serving(guarded_http_app(server, guard, **options), lifespan="on") as address:
        yield address


@pytest.fixture(scope="module")
def caller(guard: Guard, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    audit = Path(guard.settings.audit)
    with served(build(guard), guard) as address:
        yield Caller(over(address), address, audit, issuer)


def summaries(records: list[dict[str, Any]]) -> list[str]:
    """Return what was decided; the client also lists the tools, for the schema of a result."""
    decided = [record for record in records if record["eventName"] != "AskPermissions"]
    return [f"{record['eventName']} {record.get('errorCode') or record['iamGuard']['outcome']}" for record in decided]


def http_row(row: Scenario) -> Scenario:
    """Return the request over HTTP that brings a row's message."""
    content = json.dumps(message_of(row)).encode()
    headers = {**row.headers, "content-type": "application/json", "accept": "application/json, text/event-stream"}
    sent = None if row.sent is None else content.replace(b"7", b"8")
    query = row.path.partition("?")[2]
    return replace(row, method="POST", path=f"/mcp?{query}".rstrip("?"), content=content, headers=headers, sent=sent)


def caller_of(row: Scenario) -> str | None:
    """Return the ARN of a row's caller; None for an anonymous one."""
    if row.by is None or isinstance(row.by, OidcToken):
        return None
    request = AWSRequest("POST", "http://testserver/", data=b"")
    row.by(request)
    callers = {ADA[0]: user("ada"), EVE[0]: user("eve"), GUS[0]: user("gus", GLOBEX)}
    credential = str(request.headers.get("authorization"))
    return next((arn for key, arn in callers.items() if key in credential), user("rita"))


def check_result(row: Scenario, document: dict[str, Any]) -> None:
    """Compare the JSON-RPC response, or the HTTP refusal, with the expected result of a row."""
    assert SECRET not in json.dumps(document)
    if "result" not in document:
        problem = document["error"]["data"] if "error" in document else document
        assert problem["code"] == row.code, problem
        return
    result = document["result"]
    assert row.code is None, result
    assert result.get("isError", False) is (row.status in (404, 500)), result
    if isinstance(row.body, dict):
        found = result["structuredContent"]
        assert {name: found.get(name) for name in row.body} == dict(row.body)


@pytest.mark.parametrize("row", ROWS)
def test_http_message_has_the_expected_result(caller: Caller, row: Scenario) -> None:
    """Over HTTP, an anonymous message is answered with 401 before it is read."""
    ran.clear()
    caller.records()
    answered = caller.ask(http_row(row))
    recorded = summaries(caller.records())
    if row.by is None:
        assert answered.status == 401
        assert recorded == ["Connect MissingAuthenticationToken"]
        return
    check_result(row, json.loads(answered.body))
    assert recorded in (list(row.records), list(row.records_instead or row.records))
    if row.code is not None:
        assert ran == []


@pytest.mark.parametrize("row", ROWS)
def test_in_memory_message_has_the_expected_result(guard: Guard, caller: Caller, row: Scenario) -> None:
    """The caller is the fixed principal, or anonymous without one."""
    if any(record.split()[0] in ("Authenticate", "AssumeRoleWithWebIdentity") for record in row.records):
        pytest.skip("there is no authentication without HTTP")
    ran.clear()
    caller.records()
    message = message_of(row)

    async def send() -> dict[str, Any]:
        async with Client(build(guard, caller_of(row))) as client:
            try:
                called = await client.call_tool_mcp(message["params"]["name"], message["params"]["arguments"])
                return {"result": called.model_dump(by_alias=True)}
            except McpError as error:
                return {"error": error.error.model_dump()}

    check_result(row, asyncio.run(send()))
    assert summaries(caller.records()) == list(row.records)
    if row.code is not None:
        assert ran == []
