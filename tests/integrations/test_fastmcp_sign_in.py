"""The official MCP client finds the issuer, registers, signs in, and calls a tool with its token (RFC 9728, 8707)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from iam_guard import Guard, Service, current_principal, open_guard
from iam_guard.errors import ConfigurationError
from tests.authn.issuer import Issuer
from tests.integrations.contract import needed
from tests.serving import serving
from tests.tables import table

needed("fastmcp", "iam_guard_fastmcp")

import httpx2  # noqa: E402
from fastmcp import FastMCP  # noqa: E402
from iam_guard_fastmcp import GuardTools, guarded_http_app  # noqa: E402
from mcp.client.auth import OAuthClientProvider  # noqa: E402
from mcp.client.client import Client  # noqa: E402
from mcp.client.streamable_http import streamable_http_client  # noqa: E402
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken  # noqa: E402

from tests.integrations.fastmcp_library import guard as guard  # noqa: E402
from tests.integrations.fastmcp_library import library  # noqa: E402

ACME: Final = "111122223333"
BACK: Final = "http://localhost:3000/callback"
SERVER: Final = "https://mcp.example.com/mcp"
docs = Service("docs")


class AuthorizationServer(Issuer):
    """An issuer that registers clients, and issues access tokens for the resource that a client names."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.clients = 0

    def app(self) -> Starlette:
        places = {"authorization_endpoint": "authorize", "token_endpoint": "token", "registration_endpoint": "register"}
        document = {
            "issuer": self.name,
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "jwks_uri": self._at("jwks"),
            **{place: self._at(path) for place, path in places.items()},
        }

        async def configuration(_: Request) -> JSONResponse:
            return JSONResponse(document)

        async def jwks(_: Request) -> JSONResponse:
            return JSONResponse({"keys": [key.jwk() for key in self.keys]})

        path = urlsplit(self.name).path.rstrip("/")
        return Starlette(
            routes=[
                Route(f"/.well-known/oauth-authorization-server{path}", configuration),
                Route(f"{path}/.well-known/openid-configuration", configuration),
                Route(f"{path}/jwks", jwks),
                Route(f"{path}/register", self._register, methods=["POST"]),
                Route(f"{path}/token", self._token, methods=["POST"]),
            ]
        )

    def _at(self, path: str) -> str:
        return f"{self.name.rstrip('/')}/{path}"

    async def _register(self, request: Request) -> JSONResponse:
        self.clients += 1
        return JSONResponse({**await request.json(), "client_id": f"registered-{self.clients}"}, 201)

    async def _token(self, request: Request) -> JSONResponse:
        form = dict(parse_qsl((await request.body()).decode()))
        token = self.token({"typ": "at+jwt"}, aud=form["resource"], azp=form["client_id"])
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": 600})


class Storage:
    """The memory of a client."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class PublicNames(httpx2.AsyncHTTPTransport):
    """Send requests for public hosts to the servers at loopback."""

    def __init__(self, addresses: dict[str, str]) -> None:
        super().__init__()
        self._addresses = addresses

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        address = urlsplit(self._addresses[request.url.host])
        url = request.url.copy_with(scheme="http", host=address.hostname, port=address.port)
        there = httpx2.Request(
            request.method, url, headers=request.headers, stream=request.stream, extensions=request.extensions
        )
        return await super().handle_async_request(there)


async def signed_in_call(addresses: dict[str, str]) -> tuple[str, str]:
    """Call the tool `who` with the official client, and return the answer and the client's token."""
    answered: dict[str, str] = {}

    async def redirect(url: str) -> None:  # a person approves at once
        answered.update(dict(parse_qsl(urlsplit(url).query)))

    async def come_back() -> AuthorizationCodeResult:
        return AuthorizationCodeResult(code="code-1", state=answered["state"])

    storage = Storage()
    metadata = OAuthClientMetadata.model_validate({"client_name": "test", "redirect_uris": [BACK]})
    auth = OAuthClientProvider(SERVER, metadata, storage, redirect, come_back)
    async with (
        httpx2.AsyncClient(transport=PublicNames(addresses), auth=auth) as http,
        Client(streamable_http_client(SERVER, http_client=http)) as client,
    ):
        result: Any = await client.call_tool("who", {})
    assert storage.tokens is not None
    return result.content[0].text, storage.tokens.access_token


@contextlib.contextmanager
def guarding(path: Path, server: AuthorizationServer, address: str, audience: str) -> Iterator[Guard]:
    name = server.name.removeprefix("https://")
    trusts = {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::{ACME}:oidc-provider/{name}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{name}:sub": "ann", f"{name}:aud": audience}},
    }
    allows = {"Effect": "Allow", "Action": "docs:CallTool", "Resource": "*"}
    version = {"Version": "2012-10-17"}
    role = {"name": "Tools", "trust": version | {"Statement": trusts}, "inline": {"P": version | {"Statement": allows}}}
    provider = {"url": server.name, "client_ids": [audience]}
    account = {"id": ACME, "name": "acme", "roles": [role], "oidc_providers": [provider]}
    (path / "iam.json").write_text(json.dumps({"version": 1, "accounts": [account]}))
    settings: dict[str, Any] = {
        "oidc_addresses": (f"{server.name}={address}{urlsplit(server.name).path}",),
        "oidc_roles": (f"{server.name} sub=ann arn:aws:iam::{ACME}:role/Tools",),
        "oidc_timeout": 60.0,
    }
    with contextlib.closing(open_guard(path / "iam.json", services=[docs], **settings)) as opened:
        yield opened


@table("issuer", ["https://id.example.com", "https://id.example.com/tenant"])
@table("resource", ["https://mcp.example.com/mcp", "https://mcp.example.com"])
def test_official_client_signs_in(issuer: str, resource: str, tmp_path: Path) -> None:
    """The client registers itself at the issuer, so its id is not registered with the account's provider.

    The role's trust policy compares the audience, since no one knows the ids of such clients.
    """
    authorization = AuthorizationServer(issuer)
    with (
        serving(authorization.app()) as address,
        guarding(tmp_path, authorization, address, resource) as guard,
    ):
        server: FastMCP = FastMCP("tools", middleware=[GuardTools(guard, service=docs)])

        @server.tool
        async def who() -> str:
            return current_principal().arn

        app = guarded_http_app(server, guard, resource_url=resource, issuers=[issuer])
        with serving(app, lifespan="on") as tools:
            answer, token = asyncio.run(signed_in_call({"id.example.com": address, "mcp.example.com": tools}))
    assert answer == f"arn:aws:sts::{ACME}:assumed-role/Tools/ann"
    assert (token.count("."), authorization.clients) == (2, 1)


@table(
    "place, issuers, match",
    [
        ("https://mcp.example.com/mcp", [], "expected the URL of an issuer"),
        ("https://mcp.example.com/mcp", ["id.example.com"], "got `id.example.com`"),
        ("mcp.example.com", ["https://id.example.com"], "got `mcp.example.com`"),
    ],
)
def test_metadata_needs_urls(guard: Guard, place: str, issuers: list[str], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        guarded_http_app(library(guard), guard, resource_url=place, issuers=issuers)
