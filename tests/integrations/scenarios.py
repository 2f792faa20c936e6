"""The requirements for every web framework: one table of requests and their expected results.

Every adapter builds the application of `tests.integrations.application`; `tests.integrations.contract` sends each row
with the framework's test client and to a real server. `needs` of a row are optional features of frameworks; an adapter
declares the ones that it lacks, with a reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.integrations.application import ACME, ADA, EVE, GLOBEX, GUS, MAX_BODY, ORIGIN, RITA, RITAS_API_KEY, STREAMED

# --- credentials -----------------------------------------------------------------------------------------

Credential = Callable[[AWSRequest], None]
"""Adds a credential to the headers or the URL of a request."""


def signature(key: tuple[str, str]) -> Credential:
    return lambda request: botocore.auth.SigV4Auth(Credentials(*key), "docs", "us-east-1").add_auth(request)


def presigned(key: tuple[str, str]) -> Credential:
    return lambda request: botocore.auth.SigV4QueryAuth(Credentials(*key), "docs", "us-east-1").add_auth(request)


def headers(**values: str) -> Credential:
    def add(request: AWSRequest) -> None:
        for name, value in values.items():
            request.headers[name.replace("_", "-")] = value

    return add


def together(*credentials: Credential) -> Credential:
    def add(request: AWSRequest) -> None:
        for credential in credentials:
            credential(request)

    return add


def bearer(text: str) -> Credential:
    return headers(authorization=f"Bearer {text}")


def _then(text: str, credential: Credential) -> Credential:
    """Change the URL after it was signed."""

    def add(request: AWSRequest) -> None:
        credential(request)
        request.url += text

    return add


class OidcToken:
    """A token of the contract's identity provider for one subject."""

    def __init__(self, subject: str) -> None:
        self.subject = subject


# --- the table -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scenario:
    """One request and its expected result.

    `path` is the raw path. `status` may be a tuple if frameworks differ. An error has the `code` and the format of
    RFC 9457. `body` are members of the JSON response, or the complete text. `records` are the audit records, each as
    `eventName errorCode-or-outcome`. An accepted WebSocket has status 101 and `messages`.
    """

    name: str
    method: str
    path: str
    by: Credential | OidcToken | None
    status: int | tuple[int, ...]
    code: str | None = None
    body: Mapping[str, Any] | str | None = None
    records: tuple[str, ...] = ()
    records_instead: tuple[str, ...] = ()
    """The alternative records, as servers split bodies differently."""
    needs: frozenset[str] = frozenset()
    content: bytes = b""
    sent: bytes | None = None
    """The sent body, if it is not the signed one."""
    headers: Mapping[str, str] = field(default_factory=dict)
    answered: Mapping[str, str] = field(default_factory=dict)
    """Headers of the response."""
    messages: tuple[str, ...] = ()
    background_call: str | None = None
    """The expected result of the background task."""


def user(name: str, account: str = ACME) -> str:
    return f"arn:aws:iam::{account}:user/{name}"


def served(name: str, document: str, resource: str | None = None, account: str = ACME) -> dict[str, str]:
    """Return the members of `answer`."""
    return {"caller": user(name, account), "document": document,
            "resource": f"arn:aws:docs:us-east-1:{account}:{resource or 'document/' + document}"}  # fmt: skip


def _needs(*names: str) -> frozenset[str]:
    return frozenset(names)


_Get = partial(Scenario, method="GET")
_Socket = partial(Scenario, method="WEBSOCKET", needs=_needs("websocket"))
_ADA, _RITA, _EVE, _GUS = signature(ADA), signature(RITA), signature(EVE), signature(GUS)
_READ, _WRITTEN = ("GetDocument Allowed",), ("PutDocument Allowed",)
_DENIED, _UNDECIDED = "AccessDenied", ("UndecidedEndpoint InternalFailure",)
_SIGN_IN, _UNKNOWN, _MISMATCH = "MissingAuthenticationToken", "InvalidClientTokenId", "SignatureDoesNotMatch"
LONG: Final = bytes(range(256)) * (16 * MAX_BODY // 256)
"""A body longer than `MAX_BODY`."""
_HASH = {"x-amz-content-sha256": hashlib.sha256(LONG).hexdigest()}
_FAULT = "InternalFailure"

SCENARIOS: Final[tuple[Scenario, ...]] = (
    # access
    _Get("a public endpoint", path="/health", by=None, status=200, body="ok"),
    _Get("a caller whom the policies allow", path="/documents/7", by=_RITA, status=200,
         body=served("rita", "7"), records=_READ),
    _Get("an anonymous caller", path="/documents/7", by=None, status=401, code=_SIGN_IN,
         records=("GetDocument AccessDenied",)),
    Scenario("a caller whom no policy allows", "PUT", "/documents/7", _RITA, 403, code=_DENIED,
             records=("PutDocument AccessDenied",)),
    _Get("a caller whom a statement denies", path="/documents/open-secret", by=_EVE, status=403, code=_DENIED,
         records=("GetDocument AccessDenied",)),
    Scenario("a synchronous handler", "PUT", "/documents/7", _ADA, 200, body=served("ada", "7"), records=_WRITTEN),
    _Get("a short resource is of the caller's account", path="/documents/7", by=_GUS, status=200,
         body=served("gus", "7", account=GLOBEX), records=_READ),
    # authentication
    _Get("a bad signature", path="/documents/7", by=signature((ADA[0], "wrong" * 8)), status=401, code=_MISMATCH,
         records=("Authenticate SignatureDoesNotMatch",)),
    _Get("a bad signature at a public endpoint", path="/health", by=signature((ADA[0], "wrong" * 8)), status=401,
         code=_MISMATCH, records=("Authenticate SignatureDoesNotMatch",)),
    _Get("an unknown access key", path="/documents/7", by=signature(("AKIATESTNOBODY000001", ADA[1])), status=401,
         code=_UNKNOWN, records=("Authenticate InvalidClientTokenId",)),
    _Get("a presigned URL", path="/documents/7?version=2", by=presigned(RITA), status=200, body=served("rita", "7"),
         records=_READ),
    _Get("a presigned URL that was changed", path="/documents/7", by=_then("&extra=1", presigned(RITA)), status=401,
         code=_MISMATCH, records=("Authenticate SignatureDoesNotMatch",)),
    _Get("an API key", path="/documents/7", by=bearer(RITAS_API_KEY), status=200, body=served("rita", "7"),
         records=_READ),
    _Get("an API key in the header x-api-key", path="/documents/7", by=headers(x_api_key=RITAS_API_KEY), status=200,
         body=served("rita", "7"), records=_READ),
    _Get("a mistyped API key", path="/documents/7", by=bearer(RITAS_API_KEY[:-1] + "!"), status=401, code=_UNKNOWN,
         records=("Authenticate InvalidClientTokenId",)),
    _Get("a token of an identity provider", path="/documents/7", by=OidcToken("ann"), status=200,
         body={"document": "7", "caller": f"arn:aws:sts::{ACME}:assumed-role/Reader/ann"},
         records=("AssumeRoleWithWebIdentity Allowed", *_READ)),
    _Get("two credentials at once", path="/documents/7", by=together(_RITA, headers(x_api_key=RITAS_API_KEY)),
         status=401, code="IncompleteSignature", records=("Authenticate IncompleteSignature",)),
    _Get("an unknown scheme", path="/documents/7", by=headers(authorization="Basic cml0YTpzZWNyZXQ="),
         status=401, code=_SIGN_IN, records=("Authenticate MissingAuthenticationToken",)),
    # resources
    _Get("a star in a path is literal", path="/documents/open-%2A", by=_EVE, status=200,
         body=served("eve", "open-*"), records=_READ),
    _Get("a star in a path is not a wildcard", path="/documents/%2A", by=_EVE, status=403, code=_DENIED,
         records=("GetDocument AccessDenied",)),
    _Get("letters and spaces in a path", path="/documents/%C3%A9%20a", by=_RITA, status=200,
         body=served("rita", "é a"), records=_READ),
    _Get("an encoded slash makes two segments", path="/documents/a%2Fb", by=_RITA, status=404,
         needs=_needs("segments")),
    _Get("a parameter that has slashes in it", path="/files/a/b", by=_RITA, status=200,
         body=served("rita", "a/b", "file/a/b"), records=_READ, needs=_needs("path")),
    _Get("an encoded slash in such a parameter", path="/files/a%2Fb", by=_RITA, status=200,
         body=served("rita", "a/b", "file/a/b"), records=_READ, needs=_needs("path", "raw_path")),
    _Get("encoded dot segments in such a parameter", path="/files/a/%2e%2e/b", by=_RITA, status=400,
         code="InvalidInput", records=("GetDocument InvalidInput",), needs=_needs("path")),
    _Get("an encoded backslash in such a parameter", path="/files/a/..%5Cb", by=bearer(RITAS_API_KEY), status=400,
         code="InvalidInput", records=("GetDocument InvalidInput",), needs=_needs("path")),
    # cross-account and missing resources
    _Get("a resource shared across accounts", path="/shared/plan", by=_GUS, status=200,
         body={**served("gus", "plan"), "caller": user("gus", GLOBEX)}, records=_READ),
    _Get("a resource that is not shared", path="/shared/private", by=_GUS, status=403, code=_DENIED,
         records=("GetDocument AccessDenied",)),
    _Get("a public resource", path="/shared/open", by=None, status=200,
         body={"document": "open"}, records=_READ),
    _Get("a missing resource", path="/shared/missing", by=_RITA, status=404, code="NoSuchEntity",
         records=("GetDocument NoSuchEntity",)),
    _Get("a missing resource, anonymous", path="/shared/missing", by=None, status=401, code=_SIGN_IN,
         records=("GetDocument MissingAuthenticationToken",)),
    Scenario("a concealed denial", "DELETE", "/documents/7", _RITA, 404, code="NoSuchEntity",
             records=("DeleteDocument AccessDenied",)),
    Scenario("a concealed denial, anonymous", "DELETE", "/documents/7", None, 404, code="NoSuchEntity",
             records=("DeleteDocument AccessDenied",)),
    Scenario("a concealed resource, allowed", "DELETE", "/documents/7", _ADA, 204, body="",
             records=("DeleteDocument Allowed",)),
    # errors
    _Get("an undecided endpoint", path="/forgotten", by=_ADA, status=500, code=_FAULT, records=_UNDECIDED),
    _Get("an undecided endpoint, anonymous", path="/forgotten", by=None, status=500, code=_FAULT, records=_UNDECIDED),
    _Get("an error while deciding", path="/documents/doubt", by=_ADA, status=503, code="ServiceUnavailable",
         records=("GetDocument ServiceUnavailable",)),
    _Get("a handler that raises", path="/raising/7", by=_RITA, status=500, records=_READ),
    _Get("a handler that raises, anonymous", path="/raising/7", by=None, status=401, code=_SIGN_IN,
         records=("GetDocument AccessDenied",)),
    _Get("a denial in the handler", path="/by-hand/7", by=_RITA, status=403, code=_DENIED,
         records=("PutDocument AccessDenied",)),
    _Get("a decision in the handler", path="/by-hand/7", by=_ADA, status=200, body=served("ada", "7"),
         records=_WRITTEN),
    # unknown methods and paths
    _Get("an unknown path", path="/nothing", by=None, status=404),
    _Get("an unknown path, signed", path="/nothing", by=_RITA, status=404),
    Scenario("an unknown method", "POST", "/documents/7", None, 405),
    Scenario("HEAD, anonymous", "HEAD", "/documents/7", None, 401, records=("GetDocument AccessDenied",),
             needs=_needs("head")),
    Scenario("HEAD", "HEAD", "/documents/7", _RITA, 200, body="", records=_READ, needs=_needs("head")),
    Scenario("OPTIONS, anonymous", "OPTIONS", "/documents/7", None, (200, 204, 401, 405)),
    Scenario("a preflight request", "OPTIONS", "/documents/7", None, (200, 204), needs=_needs("cors"),
             headers={"origin": ORIGIN, "access-control-request-method": "PUT"},
             answered={"access-control-allow-origin": ORIGIN}),
    _Get("a browser may read an error", path="/documents/7", by=None, status=401, code=_SIGN_IN,
         headers={"origin": ORIGIN}, answered={"access-control-allow-origin": ORIGIN},
         records=("GetDocument AccessDenied",), needs=_needs("cors")),
    # bodies
    Scenario("a signed body", "POST", "/uploads/7", _ADA, 200, content=b"\0short", body={"size": 6}, records=_WRITTEN),
    Scenario("a signed body that was changed", "POST", "/uploads/7", _ADA, 401, code=_MISMATCH, content=b"a",
             sent=b"b", records=("Authenticate SignatureDoesNotMatch",)),
    Scenario("a long body whose hash is stated", "POST", "/uploads/7", _ADA, 200, content=LONG, headers=_HASH,
             body={"size": len(LONG), "sha256": _HASH["x-amz-content-sha256"]}, records=_WRITTEN,
             needs=_needs("streaming")),
    Scenario("a long body that was changed", "POST", "/uploads/7", _ADA, 401, code=_MISMATCH, content=LONG,
             sent=LONG[:-1] + b"!", headers=_HASH, records=(*_WRITTEN, "Authenticate SignatureDoesNotMatch"),
             records_instead=("Authenticate SignatureDoesNotMatch",),
             needs=_needs("streaming")),
    Scenario("a long body without its hash", "POST", "/uploads/7", _ADA, 413, code="RequestEntityTooLarge",
             content=LONG, records=("Authenticate RequestEntityTooLarge",)),
    Scenario("a body of a denied caller", "POST", "/uploads/7", _RITA, 403, code=_DENIED, content=b"short",
             records=("PutDocument AccessDenied",)),
    _Get("a streamed response", path="/streams/7", by=_RITA, status=200, body=b"".join(STREAMED).decode(),
         records=_READ, needs=_needs("streaming")),
    _Get("a streamed response, anonymous", path="/streams/7", by=None, status=401, code=_SIGN_IN,
         records=("GetDocument AccessDenied",), needs=_needs("streaming")),
    # other kinds of endpoint
    _Get("a class", path="/class/7", by=_RITA, status=200, body=served("rita", "7"), records=_READ,
         needs=_needs("class_based")),
    Scenario("another method of the class", "PUT", "/class/7", _RITA, 403, code=_DENIED,
             records=("PutDocument AccessDenied",), needs=_needs("class_based")),
    _Get("a background task", path="/background/7", by=_RITA, status=200, body=served("rita", "7"),
         records=(*_READ, "PutDocument AccessDenied"), background_call=f"{user('rita')} False",
         needs=_needs("background")),
    _Get("a mounted application", path="/mounted/documents/7", by=_RITA, status=200, body=served("rita", "7"),
         records=_READ, needs=_needs("mount")),
    _Get("a mounted application, anonymous", path="/mounted/documents/7", by=None, status=401, code=_SIGN_IN,
         records=("GetDocument AccessDenied",), needs=_needs("mount")),
    _Get("an undecided endpoint of a mounted application", path="/mounted/forgotten", by=_ADA, status=500, code=_FAULT,
         records=_UNDECIDED, needs=_needs("mount")),
    _Get("an unknown path of a mounted application", path="/mounted/nothing", by=_RITA, status=404,
         needs=_needs("mount")),
    # WebSockets
    _Socket("a WebSocket", path="/watch/7", by=_RITA, status=101, messages=(user("rita"),), records=_READ),
    _Socket("a WebSocket, anonymous", path="/watch/7", by=None, status=401, code=_SIGN_IN,
            records=("GetDocument AccessDenied",)),
    _Socket("a WebSocket of a denied caller", path="/watch/private", by=_EVE, status=403, code=_DENIED,
            records=("GetDocument AccessDenied",)),
    _Socket("a WebSocket with a bad signature", path="/watch/7", by=signature((ADA[0], "wrong" * 8)), status=401,
            code=_MISMATCH, records=("Authenticate SignatureDoesNotMatch",)),
    _Socket("an undecided WebSocket", path="/forgotten-socket", by=_ADA, status=500, code=_FAULT,
            records=_UNDECIDED),
    _Socket("a WebSocket of a mounted application", path="/mounted/watch/7", by=_RITA, status=101,
            messages=(user("rita"),), records=_READ, needs=_needs("websocket", "mount")),
)  # fmt: skip
"""All rows; their names are the ids of the tests."""
