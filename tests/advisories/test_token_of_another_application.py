"""Advisory: a token for another application of the same identity provider was accepted.

The hole: an MCP server with a public `resource_url` accepted each token whose audience was registered with the
account's provider. So another application, which users gave their tokens to, could use them at the MCP server. RFC
8707 binds a token to the resource that it was issued for, and MCP requires it. Now `resource_url`, and the setting
`oidc_audiences` of any application, refuse tokens that are not for it, also if another application of the same guard
has just accepted them. The audience must still be registered with the provider of the role's account. Its client
(`azp`) need not be, since MCP clients register themselves with the identity provider.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from iam_guard import Guard, GuardMiddleware, Service, current_principal, open_guard
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import InvalidIdentityToken
from tests.authn.issuer import Issuer, publishing
from tests.integrations.contract import needed
from tests.serving import serving
from tests.tables import table

needed("fastmcp", "iam_guard_fastmcp")

from fastmcp import FastMCP  # noqa: E402
from iam_guard_fastmcp import GuardTools, guarded_http_app  # noqa: E402

ACME: Final = "111122223333"
MCP: Final = "https://mcp.example.com/mcp"
DOCS: Final = "https://docs.example.com"
BILLING: Final = "billing"
"""The client id of another application of the same company."""
HOST: Final = "id.example.com/tenant"
CALL: Final = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "who", "arguments": {}}}
TYPES: Final = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
docs = Service("docs")


def seed(client_ids: list[str]) -> str:
    trusts = {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::{ACME}:oidc-provider/{HOST}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{HOST}:sub": "ann"}},
    }
    allows = {"Effect": "Allow", "Action": "docs:*", "Resource": "*"}
    document = {"Version": "2012-10-17"}
    role = {
        "name": "Reader",
        "trust": {**document, "Statement": trusts},
        "inline": {"P": {**document, "Statement": allows}},
    }
    provider = {"url": f"https://{HOST}", "client_ids": client_ids}
    account = {"id": ACME, "name": "acme", "roles": [role], "oidc_providers": [provider]}
    return json.dumps({"version": 1, "accounts": [account]})


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with publishing(Issuer()) as made:
        yield made


@contextlib.contextmanager
def guarding(path: Path, issuer: Issuer, client_ids: list[str], **settings: Any) -> Iterator[Guard]:
    (path / "iam.json").write_text(seed(client_ids))
    rules = (f"{issuer.name} sub=ann arn:aws:iam::{ACME}:role/Reader",)
    chosen = {"oidc_addresses": (issuer.at,), "oidc_roles": rules, "oidc_timeout": 60.0, **settings}
    with contextlib.closing(open_guard(path / "iam.json", services=[docs], **chosen)) as guard:
        yield guard


@docs.requires("GetDocument", resource="document/7")
async def document(request: Request) -> PlainTextResponse:
    return PlainTextResponse(current_principal().arn)


def application(guard: Guard, **options: Any) -> Starlette:
    return Starlette(routes=[Route("/", document)], middleware=[Middleware(GuardMiddleware, guard=guard, **options)])


def tools(guard: Guard) -> Any:
    """Return an MCP server at the public address `MCP`."""
    server: FastMCP = FastMCP("tools", middleware=[GuardTools(guard, service=docs)])

    @server.tool
    async def who() -> str:
        return current_principal().arn

    place = {"resource_url": MCP, "issuers": [f"https://{HOST}"]}
    return guarded_http_app(server, guard, stateless_http=True, json_response=True, **place)


def status_at_tools(address: str, token: str) -> tuple[int, str]:
    """Call the tool, and return the status with the error of the answer."""
    sent = {**TYPES, "authorization": f"Bearer {token}"}
    answer = httpx.post(f"{address}/mcp", json=CALL, headers=sent)
    return answer.status_code, answer.json().get("code", "")


def status_at_pages(address: str, token: str) -> tuple[int, str]:
    answer = httpx.get(address, headers={"authorization": f"Bearer {token}"})
    return answer.status_code, "" if answer.status_code == 200 else answer.json()["code"]


GOOD: Final = (200, "")
REFUSED: Final = (401, "InvalidIdentityToken")
TOKENS: Final[list[tuple[dict[str, Any], tuple[int, str]]]] = [
    ({"aud": BILLING}, REFUSED),
    ({"aud": [BILLING, "account"]}, REFUSED),
    ({"aud": BILLING, "azp": "{ours}"}, REFUSED),
    ({"aud": BILLING, "azp": BILLING}, REFUSED),
    ({"aud": "unknown", "azp": "registered-itself"}, REFUSED),
    ({"aud": "{ours}/"}, REFUSED),
    ({"aud": "{ours}"}, GOOD),
    ({"aud": [BILLING, "{ours}"]}, GOOD),
    ({"aud": "{ours}", "azp": BILLING}, GOOD),
    ({"aud": "{ours}", "azp": "registered-itself"}, GOOD),
    ({"aud": ["{ours}", "account"], "azp": "registered-itself"}, GOOD),
]


def filled(claims: dict[str, Any], ours: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(json.dumps(claims).replace("{ours}", ours))
    return values


def test_mcp_server_refuses_tokens_of_other_applications(issuer: Issuer, tmp_path: Path) -> None:
    with guarding(tmp_path, issuer, [MCP, DOCS, BILLING]) as guard, serving(tools(guard), lifespan="on") as address:
        for claims, expected in TOKENS:
            assert status_at_tools(address, issuer.token(**filled(claims, MCP))) == expected, claims


def test_setting_refuses_tokens_of_other_applications(issuer: Issuer, tmp_path: Path) -> None:
    with (
        guarding(tmp_path, issuer, [MCP, DOCS, BILLING], oidc_audiences=(DOCS,)) as guard,
        serving(application(guard)) as address,
    ):
        for claims, expected in TOKENS:
            token = issuer.token(**filled(claims, DOCS))
            assert status_at_pages(address, token) == expected, claims
            sent = HttpRequest("GET", b"/", b"", ((b"authorization", f"Bearer {token}".encode()),))
            with contextlib.nullcontext() if expected == GOOD else pytest.raises(InvalidIdentityToken):
                guard.authenticate(sent, payload_hash=lambda: "")  # a request of no middleware


def test_accepted_token_does_not_enter_another_application(issuer: Issuer, tmp_path: Path) -> None:
    """One guard has both applications, and caches the sessions of tokens."""
    with (
        guarding(tmp_path, issuer, [MCP, DOCS], oidc_audiences=(DOCS,)) as guard,
        serving(application(guard)) as pages,
        serving(tools(guard), lifespan="on") as mcp,
    ):
        for_docs, for_mcp = issuer.token(aud=DOCS), issuer.token(aud=MCP)
        for _ in range(2):
            assert (status_at_pages(pages, for_docs), status_at_tools(mcp, for_docs)) == (GOOD, REFUSED)
            assert (status_at_pages(pages, for_mcp), status_at_tools(mcp, for_mcp)) == (REFUSED, GOOD)


@table(
    "client_ids, claims",
    [
        ([BILLING], {"aud": MCP}),  # the account has not registered the audience
        ([BILLING], {"aud": [MCP, BILLING]}),
        (["registered-itself"], {"aud": MCP, "azp": "registered-itself"}),
    ],
)
def test_audience_must_be_registered_with_the_provider(
    issuer: Issuer, tmp_path: Path, client_ids: list[str], claims: dict[str, Any]
) -> None:
    with guarding(tmp_path, issuer, client_ids) as guard, serving(tools(guard), lifespan="on") as address:
        assert status_at_tools(address, issuer.token(**claims)) == REFUSED


def test_without_the_rule_registered_clients_are_accepted(issuer: Issuer, tmp_path: Path) -> None:
    """As at AWS: the audience, and the client if the token names it, must be registered."""
    with guarding(tmp_path, issuer, [DOCS, BILLING]) as guard, serving(application(guard)) as address:
        at: Callable[..., tuple[int, str]] = lambda **claims: status_at_pages(address, issuer.token(**claims))  # noqa: E731
        assert [at(aud=BILLING), at(aud=DOCS, azp=BILLING)] == [GOOD, GOOD]
        assert at(aud=DOCS, azp="registered-itself") == REFUSED
