"""Advisory: a signature for another region, or for the service `dogs`, was valid for a route of `docs`.

The hole: a signing key is derived for one day, region and service, so that it can be given to a part of a system with
only these permissions. Region and service of a signature were parsed but not compared, so such a key was valid for
every route. Now both must be the guard's, and the first action of a call must belong to the signed service.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore.auth
import pytest
from awscrt.auth import (
    AwsCredentialsProvider,
    AwsSignatureType,
    AwsSigningAlgorithm,
    AwsSigningConfig,
    aws_sign_request,
)
from awscrt.http import HttpHeaders, HttpRequest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from iam_guard import Guard, GuardMiddleware, GuardWsgiMiddleware, Service, aws_api, open_guard, permissions_endpoint
from iam_guard.errors import ConfigurationError
from tests.conftest import ADA, SEED

Signed = tuple[str, Mapping[str, str]]
"""The target of a request and its headers."""

WRONG_REGION = "Credential should be scoped to a valid region, not 'eu-west-1'. Expected 'us-east-1'."
WRONG_REGION_SET = "Credential should be scoped to a valid region set, expected one with 'us-east-1'."
WRONG_SERVICE = "Credential should be scoped to correct service: 'docs'. "

docs = Service("docs")
billing = Service("billing")
files = Service("files", signing_names=("files", "s3"))


@docs.requires("GetDocument", resource="document/{name}")
async def document(request: Request) -> Response:
    return PlainTextResponse("document")


@docs.requires("PutDocument", resource="document/{name}")
async def buy_document(request: Request) -> Response:
    billing.authorize("Charge")
    return PlainTextResponse("bought")


@billing.requires("Charge")
async def charge(request: Request) -> Response:
    return PlainTextResponse("charged")


@files.requires("GetFile", resource="file/{name}", unsigned_payload=True)
async def file(request: Request) -> Response:
    return PlainTextResponse("file")


@docs.requires("GetDocument", resource="document/{name}")
async def watch(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


def routes(guard: Guard) -> list[Any]:
    return [
        Mount("/aws", aws_api(guard)),
        Route("/documents/{name}", document),
        Route("/documents/{name}", buy_document, methods=["PUT"]),
        Route("/charges", charge),
        Route("/files/{name}", file),
        Route("/permissions", permissions_endpoint(docs), methods=["POST"]),
        WebSocketRoute("/watch/{name}", watch),
    ]


Open = Callable[..., Guard]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Open guards on a tenant whose `ada` may do everything."""
    (tmp_path / "iam.yaml").write_text(SEED.replace('"docs:*"', '"*"'))
    guards: list[Guard] = []

    def make(*services: Service, **settings: Any) -> Guard:
        guards.append(open_guard(tmp_path / "iam.yaml", services=services, **settings))
        return guards[-1]

    yield make
    for guard in guards:
        guard.close()


def signed(
    target: str,
    service: str = "docs",
    region: str = "us-east-1",
    *,
    method: str = "GET",
    body: bytes = b"",
    signer: type[botocore.auth.SigV4Auth] = botocore.auth.SigV4Auth,
) -> Signed:
    """Sign with HMAC, in the header or in the query."""
    request = AWSRequest(method, f"http://testserver{target}", data=body)
    signer(Credentials(*ADA), service, region).add_auth(request)
    return request.url.removeprefix("http://testserver"), dict(request.headers.items())


def signed_asymmetrically(target: str, service: str, regions: str, kind: AwsSignatureType) -> Signed:
    request = HttpRequest("GET", target, HttpHeaders([("host", "testserver")]))
    config = AwsSigningConfig(
        algorithm=AwsSigningAlgorithm.V4_ASYMMETRIC,
        signature_type=kind,
        credentials_provider=AwsCredentialsProvider.new_static(*ADA),
        region=regions,
        service=service,
        expiration_in_seconds=60 if kind is AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS else None,
    )
    aws_sign_request(request, config).result()
    return request.path, dict(request.headers)


def every_signature(service: str, region: str) -> Iterator[tuple[str, Signed]]:
    """Sign a request for a document in every form."""
    target = "/documents/7"
    yield "header", signed(target, service, region)
    yield "query", signed(target, service, region, signer=botocore.auth.SigV4QueryAuth)
    for kind in (AwsSignatureType.HTTP_REQUEST_HEADERS, AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS):
        yield f"SigV4A, {kind.name}", signed_asymmetrically(target, service, region, kind)


def client_of(guard: Guard) -> TestClient:
    return TestClient(GuardMiddleware(Starlette(routes=routes(guard)), guard=guard))


def ask(client: TestClient, request: Signed, method: str = "GET", **more: Any) -> tuple[int, str]:
    """Return the status and the error message."""
    answer = client.request(method, request[0], headers=request[1], **more)
    return answer.status_code, answer.json()["detail"] if answer.status_code != 200 else ""


def ask_wsgi(guard: Guard, request: Signed) -> int:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        docs.authorize("GetDocument")
        start_response("200 OK", [])
        return [b""]

    path, _, query = request[0].partition("?")
    headers = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in request[1].items()}
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query, "wsgi.input": io.BytesIO()}
    statuses: list[str] = []
    served: Any = GuardWsgiMiddleware(app, guard=guard)(
        {**environ, "HTTP_HOST": "testserver", **headers}, lambda status, *_: statuses.append(status)
    )
    list(served)
    return int(statuses[0][:3])


def test_signature_for_another_scope_is_rejected(opened: Open, subtests: pytest.Subtests) -> None:
    """Over ASGI and WSGI, with and without services in `open_guard`."""
    for services in ([docs, billing], []):
        guard = opened(*services)
        client = client_of(guard)
        for scope, words in (
            (("docs", "us-east-1"), ""),
            (("docs", "eu-west-1"), (WRONG_REGION, WRONG_REGION_SET)),
            (("dogs", "us-east-1"), "Credential should be scoped to correct service: "),
            (("billing", "us-east-1"), WRONG_SERVICE),
            (("docs", "us-east-1.x"), "Credential should be scoped to a valid region"),
            (("DOCS", "us-east-1"), "Credential should be scoped to correct service: "),
        ):
            for form, request in every_signature(*scope):
                if "SigV4A" in form and "." in scope[1]:
                    continue  # which awscrt does not sign
                with subtests.test(services=services, scope=scope, form=form):
                    status, message = ask(client, request)
                    assert (status, message.startswith(words)) == (401 if words else 200, True), message
                    assert ask_wsgi(guard, request) == status


def test_error_without_services_names_the_declared_action(opened: Open) -> None:
    """It contains only what the application declares."""
    assert ask(client_of(opened()), signed("/documents/7", "dogs")) == (401, WRONG_SERVICE)
    message = ask(client_of(opened(docs, billing)), signed("/documents/7", "dogs"))
    assert message == (401, "Credential should be scoped to correct service: 'billing' or 'docs'. ")


def test_additional_regions_are_accepted(opened: Open, subtests: pytest.Subtests) -> None:
    """Those of the setting `regions`; of a set of regions one is enough."""
    client = client_of(opened(docs, regions=["eu-west-1", "eu-north-1"]))
    for region, expected in (
        ("us-east-1", 200),
        ("eu-west-1", 200),
        ("eu-north-1", 200),
        ("eu-west-2", 401),
        ("eu-west-", 401),
    ):
        for form, request in every_signature("docs", region):
            with subtests.test(region=region, form=form):
                assert ask(client, request)[0] == expected
    kind = AwsSignatureType.HTTP_REQUEST_HEADERS
    for regions, expected in (("*", 200), ("ap-*,eu-north-*", 200), ("ap-*", 401), ("us-west-2,eu-*", 200)):
        with subtests.test(regions=regions):
            assert ask(client, signed_asymmetrically("/documents/7", "docs", regions, kind))[0] == expected


def test_regions_setting_rejects_patterns(opened: Open, subtests: pytest.Subtests) -> None:
    for name in ("*", "eu-*", "", "eu west"):
        with subtests.test(name=name), pytest.raises(ConfigurationError, match="name of a region"):
            opened(docs, regions=[name])


def test_signed_region_sets_no_condition_value(opened: Open, audit_file: Path) -> None:
    """Callers choose a region, so policies must not see it."""
    client = client_of(opened(docs, regions=["eu-west-1"], audit=str(audit_file)))
    assert ask(client, signed("/documents/7", "docs", "eu-west-1"))[0] == 200
    assert '"awsRegion":"us-east-1"' in audit_file.read_text()


def test_wrong_scope_looks_up_no_key(opened: Open) -> None:
    """Known and unknown keys get the same error."""
    client = client_of(opened(docs))
    target, headers = signed("/documents/7", "dogs")
    unknown = {**headers, "Authorization": headers["Authorization"].replace(ADA[0], "AKIATESTNONE00000001")}
    assert ask(client, (target, headers)) == ask(client, (target, unknown)) == (401, WRONG_SERVICE)


def test_handler_may_authorize_other_services_later(opened: Open) -> None:
    """Only the route's own action must belong to the signed service."""
    for guard in (opened(docs, billing), opened()):
        client = client_of(guard)
        assert ask(client, signed("/documents/7", "docs", method="PUT"), "PUT") == (200, "")
        assert ask(client, signed("/documents/7", "billing", method="PUT"), "PUT")[0] == 401
        assert ask(client, signed("/charges", "docs"))[0] == 401
        assert ask(client, signed("/charges", "billing")) == (200, "")


def test_permission_queries_are_limited_to_signed_service(opened: Open) -> None:
    client = client_of(opened())
    body = b'{"questions": [{"action": "docs:GetDocument"}]}'
    for service, expected in (("docs", 200), ("dogs", 401)):
        request = signed("/permissions", service, method="POST", body=body)
        assert ask(client, request, "POST", content=body)[0] == expected


def test_websocket_signed_for_another_scope_is_closed(opened: Open, subtests: pytest.Subtests) -> None:
    client = client_of(opened(docs))
    for scope, is_accepted in (
        (("docs", "us-east-1"), True),
        (("docs", "eu-west-1"), False),
        (("dogs", "us-east-1"), False),
    ):
        with subtests.test(scope=scope):
            target, headers = signed("/watch/7", *scope)
            try:
                with client.websocket_connect(target, headers=dict(headers)):
                    found = True
            except WebSocketDisconnect:
                found = False
            assert found is is_accepted


def test_service_may_have_other_signing_names(opened: Open) -> None:
    """S3 clients sign for `s3`, whatever the name of the application's service."""
    client = client_of(opened(docs, files))
    assert ask(client, signed("/files/7", "s3")) == (200, "")
    assert ask(client, signed("/files/7", "files")) == (200, "")
    assert ask(client, signed("/documents/7", "s3"))[0] == 401
    assert ask(client, signed("/files/7", "docs"))[0] == 401


def test_own_api_accepts_any_region_and_its_services(opened: Open) -> None:
    """AWS clients sign for the region of their profile."""
    client = client_of(opened(docs))
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    for scope, expected in ((("sts", "eu-west-1"), 200), (("sts", "us-east-1"), 200), (("docs", "us-east-1"), 403)):
        target, headers = signed("/aws/", *scope, method="POST", body=body)
        assert client.post(target, headers=headers, content=body).status_code == expected
