"""Client certificates over real connections: TLS handshakes with own authorities, and headers of proxies.

The server is uvicorn, the clients are httpx and curl.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from cryptography import x509
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from iam_guard import GuardMiddleware, Service, aws_api, current_principal, open_guard, public
from iam_guard.errors import ConfigurationError
from iam_guard.settings import Settings
from iam_guard.web.connection import Connection
from tests.authn.authorities import SERVER, Party, authority, make
from tests.serving import serving
from tests.tables import table

ACCOUNT = "111122223333"
ROBOT = f"arn:aws:sts::{ACCOUNT}:assumed-role/Robot/beef"
TRUSTED_AUTHORITY, UNTRUSTED_AUTHORITY = authority("CN=Fleet"), authority("CN=Untrusted")
ISSUING = authority("CN=Issuing", TRUSTED_AUTHORITY)
GOOD = make("CN=robot-7", ISSUING, serial=0xBEEF)
DIRECT = make("CN=robot-7", TRUSTED_AUTHORITY, serial=0xBEEF)
UNTRUSTED = make("CN=robot-7", UNTRUSTED_AUTHORITY)
LOCALHOST = x509.DNSName("localhost")
ENVOY, NGINX = "x-forwarded-client-cert", "ssl-client-cert"
API_SECRET = "ritasecret0123456789abcdefghijklmnopqrst"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "rolesanywhere.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
        }
    ],
}
READS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:Get*", "Resource": "*"}]}
SEED: dict[str, Any] = {
    "version": 1,
    "accounts": [
        {
            "id": ACCOUNT,
            "name": "acme",
            "users": [
                {"name": "rita", "inline": {"R": READS}, "api_keys": [{"id": "RITA", "secret": API_SECRET}]},
            ],
            "roles": [{"name": "Robot", "trust": TRUST, "inline": {"Reads": READS}}],
            "trust_anchors": [{"name": "fleet", "certificates": TRUSTED_AUTHORITY.pem}],
            "certificate_profiles": [{"name": "robots", "roles": ["Robot"]}],
        }
    ],
}

docs = Service("docs")


@docs.requires("GetDocument", resource="document/{document_id}")
async def get_document(request: Request) -> Response:
    return PlainTextResponse(current_principal().arn)


@docs.requires("PutDocument", resource="document/{document_id}")
async def put_document(request: Request) -> Response:
    return PlainTextResponse(current_principal().arn)


@public
async def health(request: Request) -> Response:
    return PlainTextResponse(current_principal().arn)


Serve = Callable[..., AbstractContextManager[str]]
has_full_chain = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="Python before 3.13 reports only the leaf certificate"
)
BROUGHT = pytest.mark.parametrize(
    "party",
    [pytest.param(GOOD, id="with an intermediate authority", marks=has_full_chain), pytest.param(DIRECT, id="direct")],
)
"""Certificates that clients send in a handshake."""


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Serve an application with a guard of these settings, over TLS if the test requires it."""
    (tmp_path / "iam.yaml").write_text(json.dumps(SEED))
    (tmp_path / "authorities.pem").write_text(TRUSTED_AUTHORITY.pem + UNTRUSTED_AUTHORITY.pem)
    server = make("CN=localhost", UNTRUSTED_AUTHORITY, names=[LOCALHOST], usages=(SERVER,))
    (tmp_path / "server.pem").write_text(server.pem + server.key_pem)

    @contextmanager
    def start(*, tls: bool = False, **settings: Any) -> Iterator[str]:
        guard = open_guard(tmp_path / "iam.yaml", services=[docs], **settings)
        routes = [
            Route("/documents/{document_id}", get_document),
            Route("/documents/{document_id}", put_document, methods=["PUT"]),
            Route("/health", health),
            Mount("/iam", aws_api(guard)),
        ]
        app = Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=guard)])
        options: dict[str, Any] = {}
        if tls:
            options = {
                "http": _example().CertificateProtocol,
                "ssl_certfile": str(tmp_path / "server.pem"),
                "ssl_ca_certs": str(tmp_path / "authorities.pem"),
                "ssl_cert_reqs": ssl.CERT_OPTIONAL,
            }
        with serving(app, proxy_headers=False, **options) as url:
            yield url.replace("127.0.0.1", "localhost") if tls else url
        guard.close()

    return start


def _example() -> Any:
    path = Path(__file__).resolve().parents[3] / "examples" / "mutual_tls" / "certificate_protocol.py"
    spec = importlib.util.spec_from_file_location("certificate_protocol", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def context_of(party: Party | None, folder: Path) -> ssl.SSLContext:
    """Trust the server's authority, and bring a certificate with all between it and its root."""
    context = ssl.create_default_context(cadata=UNTRUSTED_AUTHORITY.pem)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the test authority has minimal extensions
    if party is not None:
        own = folder / f"{party.certificate.serial_number:x}.pem"
        own.write_text("".join(Party(each, None).pem for each in party.chain) + party.key_pem)
        context.load_cert_chain(own)
    return context


def get(url: str, party: Party | None, folder: Path, **more: Any) -> httpx2.Response:
    with httpx2.Client(verify=context_of(party, folder)) as client:
        return client.get(f"{url}/documents/plan", **more)


# --- TLS -----------------------------------------------------------------------------------------------------------


@BROUGHT
def test_tls_certificate_authenticates_the_caller(serve: Serve, tmp_path: Path, party: Party) -> None:
    """The handshake includes the intermediate authority; several requests on one connection have the same caller."""
    with (
        serve(tls=True, client_certificates=["tls"]) as url,
        httpx2.Client(verify=context_of(party, tmp_path)) as client,
    ):
        answers = [client.get(f"{url}/documents/plan") for _ in range(3)]
        assert [answer.text for answer in answers] == [ROBOT] * 3
        assert client.put(f"{url}/documents/plan").status_code == 403
        form = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
        assert f"<Arn>{ROBOT}</Arn>" in client.post(f"{url}/iam/", data=form).text


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
@BROUGHT
def test_curl_certificate_authenticates_the_caller(serve: Serve, tmp_path: Path, party: Party) -> None:
    context_of(party, tmp_path)
    own, roots = tmp_path / "beef.pem", tmp_path / "authorities.pem"
    with serve(tls=True, client_certificates=["tls"]) as url:
        command = ["curl", "-s", "--cacert", str(roots), "--cert", str(own), f"{url}/documents/plan"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ROBOT


def test_missing_certificate_is_anonymous(serve: Serve, tmp_path: Path) -> None:
    """Missing is not invalid: a public endpoint answers."""
    with serve(tls=True, client_certificates=["tls"]) as url:
        answer = get(url, None, tmp_path)
        assert (answer.status_code, answer.json()["code"]) == (401, "MissingAuthenticationToken")
        with httpx2.Client(verify=context_of(None, tmp_path)) as client:
            assert client.get(f"{url}/health").text == "anonymous"


def test_certificate_without_trust_anchor_is_rejected(serve: Serve, tmp_path: Path) -> None:
    """The server accepted the handshake, but no trust anchor matches; a public endpoint does not answer either."""
    with serve(tls=True, client_certificates=["tls"]) as url:
        answer = get(url, UNTRUSTED, tmp_path)
        assert (answer.status_code, answer.json()["code"]) == (401, "UntrustedCertificate")
        with httpx2.Client(verify=context_of(UNTRUSTED, tmp_path)) as client:
            assert client.get(f"{url}/health").status_code == 401


def test_certificate_is_ignored_without_the_setting(serve: Serve, tmp_path: Path) -> None:
    """A terminator may request certificates from all clients; signatures and keys still identify the caller."""
    key = {"X-Api-Key": _api_key()}
    with serve(tls=True) as url:
        assert get(url, GOOD, tmp_path).json()["code"] == "MissingAuthenticationToken"
        assert get(url, GOOD, tmp_path, headers=key).text.endswith(":user/rita")
    with serve(tls=True, client_certificates=["tls"]) as url:
        answer = get(url, GOOD, tmp_path, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (401, "IncompleteSignature")
        assert get(url, None, tmp_path, headers=key).text.endswith(":user/rita")


def _api_key() -> str:
    from iam_guard.authn.api_key import format_api_key

    return format_api_key("RITA", API_SECRET)


def test_certificate_of_a_proxy_is_not_the_callers(serve: Serve, tmp_path: Path) -> None:
    """A trusted proxy's own certificate does not authenticate the callers behind it."""
    settings = {"client_certificates": ["tls", ENVOY], "trusted_proxies": ["127.0.0.0/8", "::1/128"]}
    with serve(tls=True, **settings) as url:
        assert get(url, GOOD, tmp_path).json()["code"] == "MissingAuthenticationToken"
        forwarded = get(url, UNTRUSTED, tmp_path, headers={ENVOY: f"Chain={_whole(GOOD)}"})
        assert forwarded.text == ROBOT


# --- headers -------------------------------------------------------------------------------------------------------


def _whole(party: Party) -> str:
    return quote("".join(Party(each, None).pem for each in party.chain), safe="")


@pytest.mark.parametrize(
    ("header", "value"),
    [(ENVOY, f'Hash={GOOD.fingerprint};Chain="{_whole(GOOD)}";Subject="CN=robot-7"'), (NGINX, _whole(GOOD))],
)
def test_trusted_proxy_forwards_a_certificate(serve: Serve, header: str, value: str) -> None:
    with serve(client_certificates=[header], trusted_proxies=["127.0.0.1/32"]) as url:
        assert httpx2.get(f"{url}/documents/plan", headers={header: value}).text == ROBOT
        form = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
        assert ROBOT in httpx2.post(f"{url}/iam/", data=form, headers={header: value}).text
        empty = httpx2.get(f"{url}/health", headers={header: ""})
        assert empty.text == "anonymous"  # how a proxy reports that there is none


@pytest.mark.parametrize("proxies", [[], ["192.0.2.0/24"]], ids=["no proxy is trusted", "another one is"])
@pytest.mark.parametrize("value", [_whole(GOOD), "", "x"])
def test_forwarded_certificate_without_proxy_is_rejected(serve: Serve, proxies: list[str], value: str) -> None:
    """A copied certificate proves nothing: it is neither accepted nor treated as anonymous."""
    with serve(client_certificates=[NGINX], trusted_proxies=proxies) as url:
        for path in ("/documents/plan", "/health"):
            answer = httpx2.get(f"{url}{path}", headers={NGINX: value})
            assert (answer.status_code, answer.json()["code"]) == (401, "IncompleteSignature")


def test_forwarding_headers_do_not_make_a_trusted_proxy(serve: Serve) -> None:
    """The peer address of the connection counts, not its headers."""
    with serve(client_certificates=[NGINX], trusted_proxies=["192.0.2.0/24"]) as url:
        headers = {NGINX: _whole(GOOD), "X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1"}
        assert httpx2.get(f"{url}/documents/plan", headers=headers).status_code == 401


def test_unconfigured_certificate_header_is_ignored(serve: Serve) -> None:
    with serve(client_certificates=[NGINX], trusted_proxies=["127.0.0.1/32"]) as url:
        answer = httpx2.get(f"{url}/documents/plan", headers={ENVOY: f"Chain={_whole(GOOD)}"})
        assert answer.json()["code"] == "MissingAuthenticationToken"


def test_repeated_certificate_header_is_rejected(serve: Serve) -> None:
    """A caller's header to which the proxy has added its own."""
    with serve(client_certificates=[NGINX], trusted_proxies=["127.0.0.1/32"]) as url:
        headers = [(NGINX, _whole(GOOD)), (NGINX.upper(), _whole(UNTRUSTED))]
        assert httpx2.get(f"{url}/documents/plan", headers=headers).json()["code"] == "IncompleteSignature"


def test_forwarded_certificate_with_api_key_is_rejected(serve: Serve) -> None:
    with serve(client_certificates=[NGINX], trusted_proxies=["127.0.0.1/32"]) as url:
        headers = {NGINX: _whole(GOOD), "X-Api-Key": _api_key()}
        assert httpx2.get(f"{url}/documents/plan", headers=headers).json()["code"] == "IncompleteSignature"


# --- certificates in a scope ---------------------------------------------------------------------------------------


def scope_of(**changes: Any) -> dict[str, Any]:
    base = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "headers": []}
    return {**base, "client": ("203.0.113.9", 5000), "scheme": "https", **changes}


@table(
    "extensions",
    [
        {},
        {"tls": None},
        {"tls": {}},
        {"tls": {"client_cert_chain": None}},
        {"tls": {"client_cert_chain": []}},
        {"tls": {"client_cert_chain": iter(())}},
    ],
)
def test_server_without_tls_extension_has_no_certificate(extensions: dict[str, Any]) -> None:
    connection = Connection(Settings(client_certificates=("tls",)))
    assert connection.request(scope_of(extensions=extensions)).certificates == ()
    assert connection.request(scope_of()).certificates == ()


def test_certificate_chain_may_be_any_iterable() -> None:
    connection = Connection(Settings(client_certificates=("tls",)))
    (found,) = connection.request(scope_of(extensions={"tls": {"client_cert_chain": iter([GOOD.pem])}})).certificates
    assert (found.source, found.values, found.is_trusted) == ("tls", (GOOD.pem.encode(),), True)


def test_connection_without_address_is_not_a_proxy() -> None:
    """As over a Unix socket."""
    connection = Connection(Settings(client_certificates=(NGINX,), trusted_proxies=("127.0.0.1/32",)))
    (found,) = connection.request(scope_of(client=None, headers=[(NGINX.encode(), b"x")])).certificates
    assert not found.is_trusted


@table("source", ["", "X-Client-Cert", "authorization", "x-api-key", "x-amz-security-token", "a b"])
def test_unknown_certificate_source_is_rejected(source: str) -> None:
    with pytest.raises(ConfigurationError):
        Settings(client_certificates=(source,))
