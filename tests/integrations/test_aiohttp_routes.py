"""Routes and bodies of aiohttp: sub-applications, domains, views, static files, forms, uploads; the start-up."""

from __future__ import annotations

import gzip
import io
import json
import ssl
from collections.abc import Awaitable, Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.contract import needed

needed("aiohttp", "iam_guard_aiohttp")

from aiohttp import ClientPayloadError, web  # noqa: E402
from iam_guard_aiohttp import check_routes, inventory, inventory_of, route_map_of, setup  # noqa: E402

from iam_guard import Guard, RouteMap, Service, current_principal, open_guard, public  # noqa: E402
from iam_guard.errors import ConfigurationError, IamGuardError  # noqa: E402
from tests.aiohttp_serving import ask, by_aiohttp, signed_at, start  # noqa: E402
from tests.authn.authorities import SERVER, Party, make  # noqa: E402
from tests.conftest import ADA, RITA, SEED, Sign  # noqa: E402
from tests.integrations.application import SECRET, answer, docs, received  # noqa: E402
from tests.tables import table  # noqa: E402
from tests.web.asgi.test_client_certificates import (  # noqa: E402
    DIRECT,
    LOCALHOST,
    ROBOT,
    TRUSTED_AUTHORITY,
    UNTRUSTED_AUTHORITY,
    get,
)
from tests.web.asgi.test_client_certificates import SEED as SEED_OF_CERTIFICATES  # noqa: E402
from tests.web.asgi.test_streaming_body import CONTENT, chunked  # noqa: E402

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
DOCUMENT = "document/{document_id}"


def one_route(guard: Guard, handler: Any, *, method: str = "GET", **options: Any) -> web.Application:
    app = web.Application()
    app.router.add_route(method, "/documents/{document_id}", handler)
    setup(app, guard=guard, check_routes=False, **options)
    return app


@docs.requires("GetDocument", resource=DOCUMENT)
async def document(request: web.Request) -> web.Response:
    return web.json_response(answer(request.match_info["document_id"]))


@public
async def health(request: web.Request) -> web.Response:
    return web.Response(text="ok")


async def forgotten(request: web.Request) -> web.Response:
    return web.Response(text=SECRET)


# --- routes ----------------------------------------------------------------------------------------------------------


class Half(web.View):
    @docs.requires("GetDocument", resource=DOCUMENT)
    async def get(self) -> web.Response:
        return web.Response(text=current_principal().name)

    async def delete(self) -> web.Response:
        return web.Response(text=SECRET)


def mixed(guard: Guard | None, folder: Path, routes: RouteMap | None = None) -> web.Application:
    """Return an application with every kind of route."""
    sub, domain, app = web.Application(), web.Application(), web.Application()
    sub.router.add_view("/half/{document_id}", Half)
    domain.router.add_get("/documents/{document_id}", forgotten)
    app.add_domain("api.example.com", domain)
    app.add_subapp("/sub", sub)
    app.router.add_get(r"/numbers/{document_id:\d{1,3}}", document)
    app.router.add_static("/static", folder)
    app.router.add_get("/health", health)
    app.router.add_post("/forgotten", forgotten)
    if guard is not None:
        setup(app, guard=guard, check_routes=False, routes=routes)
    return app


READS = "docs:GetDocument on document/{document_id}"
ROWS: list[tuple[str, tuple[str, ...], str | None, tuple[str, ...]]] = [
    ("/documents/{document_id}", ("HEAD",), "api.example.com", ()),
    ("/documents/{document_id}", ("GET",), "api.example.com", ()),
    ("/sub/half/{document_id}", ("DELETE",), None, ()),
    ("/sub/half/{document_id}", ("GET",), None, (READS,)),
    ("/numbers/{document_id}", ("HEAD",), None, (READS,)),
    ("/numbers/{document_id}", ("GET",), None, (READS,)),
    ("/static/{filename}", ("GET",), None, ()),
    ("/static/{filename}", ("HEAD",), None, ()),
    ("/health", ("HEAD",), None, ("public",)),
    ("/health", ("GET",), None, ("public",)),
    ("/forgotten", ("POST",), None, ()),
]


def test_inventory_has_every_route(guard: Guard, tmp_path: Path) -> None:
    """Of sub-applications, domains, views and static files; with and without a map."""
    app = mixed(guard, tmp_path)
    assert [(row.path, row.methods, row.host, row.guards) for row in inventory(app)] == ROWS
    assert inventory_of(app) == inventory(app) == inventory(mixed(None, tmp_path))
    assert (inventory_of(guard), route_map_of(app), route_map_of(guard)) == (None, None, None)
    with pytest.raises(ConfigurationError, match=r"POST /forgotten \(forgotten\)"):
        check_routes(app)
    routes = full_map()
    mapped = mixed(guard, tmp_path, routes)
    assert route_map_of(mapped) is routes
    check_routes(mapped)


def full_map() -> RouteMap:
    routes = RouteMap(services=[docs])
    routes.requires("GET", "/documents/{document_id}", "docs:GetDocument", resource=DOCUMENT, host="api.example.com")
    routes.requires("DELETE", "/sub/half/{document_id}", "docs:DeleteDocument", resource=DOCUMENT)
    routes.requires("GET", "/static/{filename}", "docs:GetDocument", resource="file/{filename}")
    routes.public("POST", "/forgotten")
    return routes


@table(
    ("method", "path", "host", "statuses"),
    [  # the last two: without a map, and with one
        ("GET", "/sub/half/7", "testserver", (200, 200)),
        ("DELETE", "/sub/half/7", "testserver", (500, 403)),
        ("HEAD", "/sub/half/7", "testserver", (405, 405)),
        ("POST", "/sub/half/7", "testserver", (405, 405)),
        ("GET", "/numbers/007", "testserver", (200, 200)),
        ("GET", "/numbers/x", "testserver", (404, 404)),
        ("GET", "/documents/7", "api.example.com", (500, 200)),
        ("GET", "/documents/7", "testserver", (404, 404)),
        ("GET", "/static/file.txt", "testserver", (500, 200)),
        ("HEAD", "/static/file.txt", "testserver", (500, 200)),
        ("POST", "/forgotten", "testserver", (500, 200)),
        ("GET", "/forgotten", "testserver", (405, 405)),
    ],
)
def test_each_kind_of_route_is_decided(
    guard: Guard, tmp_path: Path, method: str, path: str, host: str, statuses: tuple[int, int]
) -> None:
    (tmp_path / "static").mkdir(exist_ok=True)
    (tmp_path / "static" / "file.txt").write_text("text")
    for routes, status in zip((None, full_map()), statuses, strict=True):
        app = mixed(guard, tmp_path / "static", routes)
        found = ask(app, method, path, signed_at(host, method, path, RITA))
        assert found.status == status, found
        assert found.headers["x-amzn-requestid"]


def test_start_fails_with_an_unguarded_route(guard: Guard, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And with a row of the map without a route, a misspelt parameter, and a service that the guard doesn't have."""
    app = web.Application()
    app.router.add_post("/forgotten", forgotten)
    setup(app, guard=guard)
    with pytest.raises(ConfigurationError, match=r"neither guarded nor public: POST /forgotten"):
        start(app)
    routes = RouteMap(services=[docs])
    routes.public("GET", "/nothing")
    with pytest.raises(ConfigurationError, match="no such route"):
        check_routes(mixed(guard, tmp_path, routes))
    for handler, message in (
        (docs.requires("GetDocument", resource="document/{documnt_id}")(forgotten), "documnt_id"),
        (Service("other").requires("GetThing")(forgotten), "other"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            check_routes(one_route(guard, handler))


def test_row_of_routes_that_differ_in_a_pattern_is_refused(guard: Guard) -> None:
    """It would be for two handlers; one handler may have several patterns."""
    routes = RouteMap(services=[docs])
    routes.requires("GET", "/documents/{document_id}", "docs:GetDocument", resource=DOCUMENT)
    for second, is_refused in ((forgotten, False), (health, True)):
        app = web.Application()
        app.router.add_get(r"/documents/{document_id:\d+}", forgotten)
        app.router.add_get(r"/documents/{document_id:[a-z]{2}}", second)
        setup(app, guard=guard, routes=routes)
        with pytest.raises(ConfigurationError, match="several routes") if is_refused else nullcontext():
            check_routes(app)


@table(
    ("has_domain", "signed", "sent", "status"),
    [
        (False, "api.example.com", "10.0.0.1", 200),
        (True, "api.example.com", "10.0.0.1", 400),
        (True, "api.example.com", "api.example.com", 200),
        (False, "other.example.com", "10.0.0.1", 401),
    ],
)
def test_handler_gets_the_signed_host(tmp_path: Path, has_domain: bool, signed: str, sent: str, status: int) -> None:
    """Behind a proxy that changes it; aiohttp has routed by the other, so both must lead to the same handler."""

    @docs.requires("GetDocument", resource=DOCUMENT)
    async def host(request: web.Request) -> web.Response:
        return web.Response(text=request.host)

    (tmp_path / "iam.yaml").write_text(SEED)
    with closing(open_guard(tmp_path / "iam.yaml", services=[docs], public_hosts=["api.example.com"])) as guard:
        app, domain = web.Application(), web.Application()
        app.router.add_get("/documents/{document_id}", host)
        domain.router.add_get("/documents/{document_id}", host)
        if has_domain:
            app.add_domain("api.example.com", domain)
        setup(app, guard=guard)
        found = ask(app, "GET", "/documents/7", signed_at(signed, "GET", "/documents/7", RITA) | {"host": sent})
    assert found.status == status, found.body
    assert status != 200 or found.body == b"api.example.com"


@pytest.mark.parametrize(("party", "status"), [(DIRECT, 200), (None, 401)], ids=["with", "without"])
def test_certificate_of_the_connection_is_a_credential(tmp_path: Path, party: Party | None, status: int) -> None:
    """With aiohttp's own TLS."""
    (tmp_path / "iam.yaml").write_text(json.dumps(SEED_OF_CERTIFICATES))
    server = make("CN=localhost", UNTRUSTED_AUTHORITY, names=[LOCALHOST], usages=(SERVER,))
    (tmp_path / "server.pem").write_text(server.pem + server.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    context.load_verify_locations(cadata=TRUSTED_AUTHORITY.pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    with closing(open_guard(tmp_path / "iam.yaml", services=[docs], client_certificates=["tls"])) as guard:
        app = one_route(guard, document)
        with by_aiohttp(app, ssl_context=context) as address:
            found = get(address.replace("127.0.0.1", "localhost"), party, tmp_path)
    assert found.status_code == status
    assert status != 200 or found.json()["caller"] == ROBOT


# --- bodies ----------------------------------------------------------------------------------------------------------


@docs.requires("PutDocument", resource=DOCUMENT)
async def form(request: web.Request) -> web.Response:
    fields = await request.post()
    file = fields["file"]
    assert isinstance(file, web.FileField)
    return web.json_response({"name": fields["name"], **received(file.file.read())})


def test_signed_form_is_verified(guard: Guard, sign: Sign) -> None:
    """A multipart form with a file that aiohttp writes to disk; a changed one is refused."""
    boundary = "b" * 20
    part = f"--{boundary}\r\ncontent-disposition: form-data; name="
    content = (
        f'{part}"name"\r\n\r\nada\r\n{part}"file"; filename="f"\r\n\r\n{"x" * 2**21}\r\n--{boundary}--\r\n'.encode()
    )
    kind = {"content-type": f"multipart/form-data; boundary={boundary}"}
    headers = sign(ADA, "POST", "/documents/7", body=content, headers=kind)
    for data, status in ((content, 200), (content.replace(b"ada", b"eve"), 401)):
        app = web.Application(client_max_size=2**23)
        app.router.add_post("/documents/{document_id}", form)
        setup(app, guard=guard)
        found = ask(app, "POST", "/documents/7", headers, io.BytesIO(data))
        assert found.status == status, found.body
        assert status == 401 or b'"name": "ada"' in found.body


@docs.requires("PutDocument", resource=DOCUMENT)
async def upload(request: web.Request) -> web.Response:
    return web.json_response({**received(await request.read()), "length": request.content_length})


def test_compressed_signed_body_needs_the_bytes_as_sent(guard: Guard, sign: Sign) -> None:
    """aiohttp decompresses bodies before the guard reads them, unless that is turned off."""
    content = gzip.compress(b"text")
    headers = sign(ADA, "POST", "/documents/7", body=content, headers={"content-encoding": "gzip"})
    for options, status in (({}, 401), ({"handler_args": {"auto_decompress": False}}, 200)):
        app = web.Application(**options)
        app.router.add_post("/documents/{document_id}", upload)
        setup(app, guard=guard)
        assert ask(app, "POST", "/documents/7", headers, content).status == status


@table("changes", [(), (b"z" * 10, b"q" * 10)], ids=["as sent", "changed"])
def test_upload_in_signed_chunks_is_decoded(guard: Guard, changes: tuple[bytes, ...]) -> None:
    """Its chunks are verified one by one, and the handler gets the content and its length."""
    headers, pieces = chunked("/documents/7")
    app = one_route(guard, upload, method="PUT")
    sent = b"".join(pieces).replace(*changes) if changes else b"".join(pieces)
    headers = {name: value for name, value in headers.items() if name.lower() != "transfer-encoding"}
    found = ask(app, "PUT", "/documents/7", headers, sent)
    if changes:
        assert found.status == 401
    else:
        size = sum(map(len, CONTENT))
        assert json.loads(found.body) | {"size": size, "length": size} == json.loads(found.body)


@table("swallows", [False, True])
def test_response_that_has_started_breaks_off(guard: Guard, swallows: bool) -> None:
    """If the body turns out to be changed only after that, even if the handler ignores it."""

    @docs.requires("PutDocument", resource=DOCUMENT)
    async def echo(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            async for part in request.content.iter_any():
                await response.write(part)
        except IamGuardError:
            if not swallows:
                raise
        return response

    headers, pieces = chunked("/documents/7")
    headers = {name: value for name, value in headers.items() if name.lower() != "transfer-encoding"}
    content = b"".join(pieces).replace(b"z" * 10, b"q" * 10)
    with pytest.raises(ClientPayloadError):
        ask(one_route(guard, echo, method="PUT"), "PUT", "/documents/7", headers, content)
