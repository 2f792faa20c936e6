"""The API within an application: `app.mount("/iam", aws_api(guard))`, with a guard around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import httpx2
import pytest
from botocore.exceptions import ClientError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from iam_guard import Guard, GuardMiddleware, RouteMap, Service, aws_api, current_principal, open_guard
from iam_guard.audit.consumer.reader import read_records
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.web.asgi.routes import inventory, unguarded
from tests.conftest import ADA, RITA, SEED
from tests.serving import serving

docs = Service("docs")
ADMIN = f"""
version: 1
accounts:
  - id: "111122223333"
    name: acme
    users: [{{name: ada, attached: [AdministratorAccess], access_keys: [{{id: {ADA[0]}, secret: {ADA[1]}}}]}}]
"""


@docs.requires("GetDocument", resource="document/{document_id}")
async def get_document(request: Request) -> Response:
    return PlainTextResponse(current_principal().name)


async def health(request: Request) -> Response:
    return PlainTextResponse("well")


@pytest.fixture
def guard(tmp_path: Path, audit_file: Path) -> Iterator[Guard]:
    """A guard on a file, in which ada may do everything and rita may read documents."""
    url = f"sqlite:///{tmp_path}/iam.db"
    store = create_store(url, Settings())
    apply_seed(store, load_seed_text(SEED))
    apply_seed(store, load_seed_text(ADMIN))
    store.close()
    opened = open_guard(url, services=[docs], audit=str(audit_file), epoch_poll=3600.0)
    yield opened
    opened.close()


@pytest.fixture(params=["mounted", "within a mount", "behind a map", "beside, without a guard"])
def url(request: pytest.FixtureRequest, guard: Guard) -> Iterator[str]:
    """The application's address."""
    api = aws_api(guard)
    guarded = [Middleware(GuardMiddleware, guard=guard)]
    documents = Route("/documents/{document_id}", get_document)
    match request.param:
        case "mounted":
            app = Starlette(routes=[documents], middleware=guarded)
            app.mount("/iam", api)
        case "within a mount":
            app = Starlette(routes=[documents, Mount("/iam", routes=[Mount("", api)])], middleware=guarded)
        case "behind a map":
            routes = RouteMap()
            routes.public("GET", "/health")
            behind = [documents, Route("/health", health), Mount("/iam", routes=[Mount("", api)])]
            app = Starlette(routes=behind, middleware=[Middleware(GuardMiddleware, guard=guard, routes=routes)])
        case _:
            inner = Starlette(routes=[documents], middleware=guarded)
            app = Starlette(routes=[Mount("/iam", api), Mount("/", inner)])
    with serving(app) as address:
        if request.param == "behind a map":
            assert httpx2.get(f"{address}/health").status_code == 200  # the map is now before the mount
        yield address


@pytest.fixture(params=["", "/"])
def api_url(request: pytest.FixtureRequest, url: str) -> str:
    """The API's address as configured in clients."""
    if not request.param and "without a guard" in request.node.name:
        pytest.skip("Starlette redirects from the path of a mount, and no guard is there to know better")
    return f"{url}/iam{request.param}"


def client(url: str, key: tuple[str, str]) -> Any:
    return boto3.client(
        "iam", endpoint_url=url, aws_access_key_id=key[0], aws_secret_access_key=key[1], region_name="us-east-1"
    )


def test_boto3_manages_the_applications_users(api_url: str) -> None:
    """The mount path is part of the signed path."""
    made = client(api_url, ADA).create_user(UserName="zoe")["User"]
    assert made["Arn"] == "arn:aws:iam::111122223333:user/zoe"
    assert client(api_url, ADA).get_user(UserName="zoe")["User"]["UserId"] == made["UserId"]


def test_mounted_api_returns_errors_of_aws(url: str) -> None:
    """Invalid credentials and denials have the API's protocol, not the application's."""
    with pytest.raises(ClientError, match=r"InvalidClientTokenId.*security token included in the request is invalid"):
        client(f"{url}/iam/", ("AKIANOBODY", "x")).get_user()
    with pytest.raises(ClientError, match=r"SignatureDoesNotMatch"):
        client(f"{url}/iam/", (ADA[0], "wrong")).get_user()
    with pytest.raises(ClientError, match=r"AccessDenied.*rita is not authorized to perform: iam:CreateUser"):
        client(f"{url}/iam/", RITA).create_user(UserName="zoe")
    answer = httpx2.post(f"{url}/iam/", data={"Action": "GetUser", "Version": "2010-05-08"})
    assert (answer.status_code, answer.headers["content-type"]) == (403, "text/xml")
    assert "<Code>MissingAuthenticationToken</Code>" in answer.text


def test_application_around_the_mount_is_guarded(url: str) -> None:
    """Its endpoints answer unauthenticated requests in the application's format."""
    answer = httpx2.get(f"{url}/documents/7")
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


def test_mounted_call_is_recorded_once(url: str, guard: Guard, audit_file: Path) -> None:
    """One decision record and one result record; the guard around adds none."""
    client(f"{url}/iam/", ADA).create_user(UserName="zoe")
    with pytest.raises(ClientError):
        client(f"{url}/iam/", (ADA[0], "wrong")).get_user()
    names = [(each["eventSource"], each["eventName"], each.get("errorCode")) for each in read_records(audit_file)]
    assert names == [
        ("iam.amazonaws.com", "CreateUser", None),
        ("iam.amazonaws.com", "CreateUser", None),
        ("iam-guard", "Authenticate", "SignatureDoesNotMatch"),
    ]


def test_mounted_api_counts_as_guarded(guard: Guard) -> None:
    """The application starts, and `iam-guard routes` lists the API."""
    app = Starlette(routes=[Mount("/iam", aws_api(guard))])
    assert unguarded(app) == []
    assert [endpoint.guards for endpoint in inventory(app)] == [("custom guard",)]


def test_route_before_the_mount_is_guarded(guard: Guard) -> None:
    """The route that handles the request counts, not its path prefix."""

    @docs.requires("GetDocument", resource="document/{document_id}")
    async def shadow(request: Request) -> Response:
        return PlainTextResponse("seen")

    routes = [Route("/iam/{document_id}", shadow, methods=["GET"]), Mount("/iam", aws_api(guard))]
    with serving(Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=guard)])) as url:
        assert httpx2.get(f"{url}/iam/7").status_code == 401
        assert client(f"{url}/iam/", ADA).get_user()["User"]["UserName"] == "ada"


def test_rewritten_path_is_not_exposed(guard: Guard) -> None:
    """A middleware that rewrites the API's requests gets no response without a decision."""

    async def secret(request: Request) -> Response:
        return PlainTextResponse("secret")

    class Rewriting:
        def __init__(self, app: object) -> None:
            self.app = app

        async def __call__(self, scope: dict[str, object], receive: object, send: object) -> None:
            if scope["type"] == "http":
                scope["path"] = "/secret"
            await self.app(scope, receive, send)  # type: ignore[operator]

    app = Starlette(
        routes=[Route("/secret", secret), Mount("/iam", aws_api(guard))],
        middleware=[Middleware(GuardMiddleware, guard=guard, check_routes=False), Middleware(Rewriting)],
    )
    with serving(app) as url:
        answer = httpx2.get(f"{url}/iam/")
        assert (answer.status_code, "secret" in answer.text) == (500, False)


def test_issuer_documents_are_public_below_the_mount(url: str, guard: Guard) -> None:
    """S-37: whatever guard is around."""
    guard.settings = replace(guard.settings, issuer_url=f"{url}/iam")
    issuer = client(f"{url}/iam/", ADA).enable_outbound_web_identity_federation()["IssuerIdentifier"]
    assert issuer.startswith(f"{url}/iam/")
    discovery = httpx2.get(f"{issuer}/.well-known/openid-configuration")
    assert (discovery.status_code, discovery.json()["issuer"]) == (200, issuer)
    keys = httpx2.get(discovery.json()["jwks_uri"])
    assert {key["alg"] for key in keys.json()["keys"]} == {"RS256", "ES384"}
    assert keys.headers["cache-control"] == "public, max-age=3600"
    assert httpx2.head(discovery.json()["jwks_uri"]).status_code == 200
    assert httpx2.post(discovery.json()["jwks_uri"]).status_code != 200
    assert httpx2.get(f"{url}/documents/7/.well-known/jwks.json").status_code != 200
