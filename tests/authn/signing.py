"""Real clients for the tests of authentication: botocore signs, urllib3 and httpx send the request.

The bytes that a client wrote to its socket are parsed with h11, as in a server, into the tested `HttpRequest`.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from unittest import mock
from urllib.parse import urlsplit

import botocore.auth
import h11
import httpx2
import urllib3
import urllib3.connection
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from iam_guard.authn import api_key as keys_of
from iam_guard.authn.caller_cache import CallerCache
from iam_guard.authn.credential_verifier import Authenticator
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.signatures.accepted_scope import AcceptedScope
from iam_guard.authn.signatures.chunked import ChunkedBody
from iam_guard.authn.signatures.signature_replays import SignatureReplays
from iam_guard.model.credential import AccessKey, ApiKey, Session
from iam_guard.model.principal import Principal
from iam_guard.store.protocol import AccountRecord

NOW = datetime(2026, 11, 24, 12, 30, 15, tzinfo=UTC)


def active_account(principal: Principal) -> AccountRecord:
    """Return the record of an account that accepts its credentials."""
    return AccountRecord(0, principal.account or "", exists=True)


STAMP = "20261124T123015Z"
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ALICE = Principal.from_arn("arn:aws:iam::123456789012:user/alice", userid="AIDAEXAMPLE")
ACCESS_KEY = AccessKey(KEY_ID, SECRET, active=True, principal=ALICE)
API_SECRET = "s3cretS3cretS3cretS3cretS3cretS3cret"
API_TEXT = keys_of.format_api_key("K7Q2EXAMPLE", API_SECRET)
API_KEY = ApiKey("K7Q2EXAMPLE", keys_of.digest_of(API_SECRET), active=True, principal=ALICE)
EMPTY_HASH = hashlib.sha256(b"").hexdigest()

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Received:
    """A request as the server receives it."""

    request: HttpRequest
    body: bytes = b""


def sign(
    method: str = "GET",
    url: str = "http://127.0.0.1:8000/documents/42",
    *,
    headers: Headers = (),
    params: object = None,
    body: bytes = b"",
    service: str = "docs",
    region: str = "eu-west-1",
    key_id: str = KEY_ID,
    secret: str = SECRET,
    token: str | None = None,
    signer: type[botocore.auth.SigV4Auth] = botocore.auth.SigV4Auth,
    now: datetime = NOW,
) -> AWSRequest:
    """Sign a request with botocore."""
    request = AWSRequest(method, url, data=body, params=params)
    for name, value in headers:
        request.headers.add_header(name, value)
    with mock.patch("botocore.auth.get_current_datetime", return_value=now.replace(tzinfo=None)):
        signer(Credentials(key_id, secret, token), service, region).add_auth(request)
    return request


def send(signed: AWSRequest) -> Received:
    """Send a request with urllib3, botocore's client, and parse what it wrote."""
    prepared = signed.prepare()
    parts = urlsplit(prepared.url)
    headers = urllib3.HTTPHeaderDict(prepared.headers)
    for name in set(signed.headers):
        headers.discard(name)
        for value in signed.headers.get_all(name):
            headers.add(name, value)
    written: list[bytes] = []
    with urllib3.HTTPConnectionPool(parts.hostname, parts.port) as pool:
        pool.ConnectionCls = type("Connection", (_Connection,), {"written": written})
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        pool.urlopen(prepared.method, target, body=prepared.body, headers=headers, retries=False)
    return read(b"".join(written))


class _Connection(urllib3.connection.HTTPConnection):
    written: list[bytes]

    def connect(self) -> None:
        self.sock = _Socket(self.written)


class _Socket:
    """A socket that records what is written to it and responds with 200."""

    def __init__(self, written: list[bytes]) -> None:
        self.sendall = written.append

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def settimeout(self, _: object) -> None: ...

    def close(self) -> None: ...


def send_with_httpx(signed: AWSRequest) -> Received:
    """Return the request as httpx would send it."""
    prepared = signed.prepare()
    built = httpx2.Request(prepared.method, prepared.url, headers=list(signed.headers.items()), content=prepared.body)
    path, _, query = built.url.raw_path.partition(b"?")
    headers = tuple((name.lower(), value) for name, value in built.headers.raw)
    return Received(HttpRequest(built.method, path, query, headers), built.content)


def read(raw: bytes) -> Received:
    """Parse received bytes as uvicorn does."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(raw)
    event, body = connection.next_event(), b""
    assert isinstance(event, h11.Request)
    while isinstance(data := connection.next_event(), h11.Data):
        body += bytes(data.data)
    path, _, query = event.target.partition(b"?")
    return Received(HttpRequest(event.method.decode(), path, query, tuple(event.headers)), body)


def authenticated(
    received: Received,
    *,
    access_key: AccessKey | None = ACCESS_KEY,
    api_key: ApiKey | None = None,
    now: datetime = NOW,
    callers: CallerCache | None = None,
    public_hosts: Sequence[str] = (),
    max_header: int = 64 * 1024,
    open_session: Callable[[str], Session | None] | None = None,
    accepted: AcceptedScope | None = None,
    any_scope: bool = False,
    unsigned_payload: bool = False,
    chunks: ChunkedBody | None = None,
    replays: SignatureReplays | None = None,
) -> Principal:
    """Authenticate a request with a store of one access key and one API key."""
    return Authenticator(
        find_access_key=lambda key_id: access_key if access_key and access_key.id == key_id else None,
        find_api_key=lambda key_id: api_key if api_key and api_key.id == key_id else None,
        find_account=active_account,
        skew=300,
        callers=CallerCache() if callers is None else callers,
        public_hosts=public_hosts,
        max_header=max_header,
        open_session=open_session,
        accepted=accepted,
        replays=replays,
    ).authenticate(
        received.request,
        payload_hash=lambda: hashlib.sha256(received.body).hexdigest(),
        now=now,
        unsigned_payload=unsigned_payload,
        chunks=chunks,
        any_scope=any_scope,
    )


def with_header(received: Received, name: bytes, *values: bytes) -> Received:
    """Replace all values of a header; without values it is removed."""
    others = [item for item in received.request.headers if item[0] != name]
    headers = tuple(others + [(name, value) for value in values])
    return replace(received, request=replace(received.request, headers=headers))
