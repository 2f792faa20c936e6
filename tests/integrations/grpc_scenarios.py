"""The scenario table for gRPC: the calls of `tests.integrations.scenarios`, and the rows without a meaning.

A signed row is sent with the API key of the same user, since gRPC calls can't be signed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import unquote

import grpc
from botocore.awsrequest import AWSRequest

from iam_guard.authn.api_key import format_api_key
from tests.integrations.application import ADA, EVE, GUS, RITA, RITAS_API_KEY, seed
from tests.integrations.scenarios import SCENARIOS, OidcToken, Scenario, user

API_KEYS: Final = {
    "ada": format_api_key("ADAS", "adasecret00123456789abcdefghijklmnopqrst"),
    "eve": format_api_key("EVES", "evesecret00123456789abcdefghijklmnopqrst"),
    "gus": format_api_key("GUSS", "gussecret00123456789abcdefghijklmnopqrst"),
    "rita": RITAS_API_KEY,
}
_NAMES = {ADA[0]: "ada", RITA[0]: "rita", EVE[0]: "eve", GUS[0]: "gus"}

LACKING: Final[Mapping[str, str]] = {
    "a presigned URL": "a call has no query",
    "a presigned URL that was changed": "a call has no query",
    "an encoded slash makes two segments": "the field of a message has no encoding",
    "an encoded slash in such a parameter": "the field of a message has no encoding",
    "HEAD, anonymous": "every call is a POST",
    "HEAD": "every call is a POST",
    "OPTIONS, anonymous": "every call is a POST",
    "a preflight request": "no browser calls gRPC itself",
    "a browser may read an error": "no browser calls gRPC itself",
    "a signed body that was changed": "messages are not signed",
    "a long body whose hash is stated": "messages are not signed",
    "a long body that was changed": "messages are not signed",
    "a long body without its hash": "messages are not signed",
    "a class": "every service is a class",
    "another method of the class": "every service is a class",
    "a background task": "gRPC has none",
    "a mounted application": "gRPC has none",
    "a mounted application, anonymous": "gRPC has none",
    "an undecided endpoint of a mounted application": "gRPC has none",
    "an unknown path of a mounted application": "gRPC has none",
    "a WebSocket of a mounted application": "gRPC has none",
}
"""The rows without a meaning for gRPC, and why."""

_REFUSED: Final = {"code": "IncompleteSignature", "records": ("Authenticate IncompleteSignature",)}
_WATCH: Final = ("GetDocuments Allowed", "GetDocument Allowed")
CHANGED: Final[Mapping[str, Mapping[str, Any]]] = {
    "a bad signature": _REFUSED,
    "a bad signature at a public endpoint": _REFUSED,
    "an unknown access key": _REFUSED,
    "a WebSocket with a bad signature": _REFUSED,
    "a concealed resource, allowed": {"body": None},
    "a streamed response": {"body": None},
    "a WebSocket": {"records": _WATCH, "messages": (user("rita"),)},
    "a WebSocket, anonymous": {"records": ("GetDocuments AccessDenied",)},
    "a WebSocket of a denied caller": {"records": ("GetDocuments AccessDenied",)},
}
"""What differs from the row: what a signature leads to, and two decisions of the bidirectional stream."""

_PATHS: Final = {
    "GET /health": "Health", "GET /forgotten": "Forgotten", "WEBSOCKET /forgotten-socket": "ForgottenStream",
    "GET /documents": "GetDocument", "PUT /documents": "PutDocument", "DELETE /documents": "DeleteDocument",
    "GET /files": "GetFile", "GET /shared": "GetShared", "GET /by-hand": "ByHand", "GET /raising": "Raise",
    "POST /uploads": "Upload", "GET /streams": "Stream", "WEBSOCKET /watch": "Watch",
}  # fmt: skip
_STATUSES: Final = {
    101: grpc.StatusCode.OK, 200: grpc.StatusCode.OK, 204: grpc.StatusCode.OK,
    400: grpc.StatusCode.INVALID_ARGUMENT, 401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED, 404: grpc.StatusCode.NOT_FOUND, 405: grpc.StatusCode.UNIMPLEMENTED,
    500: grpc.StatusCode.INTERNAL, 503: grpc.StatusCode.UNAVAILABLE,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GrpcScenario:
    """A row as a call: `fields` are those of each message, `metadata` includes the credential."""

    row: Scenario
    method: str
    fields: Mapping[str, Any]
    status: grpc.StatusCode
    subject: str | None
    """The subject of the token to send."""
    metadata: tuple[tuple[str, str], ...]


def grpc_seed() -> str:
    """Return the seed of the contract, in which every user has an API key."""
    document = json.loads(seed())
    for account in document["accounts"]:
        for person in account["users"]:
            key = API_KEYS.get(person["name"])
            if key is not None and "api_keys" not in person:
                _, name, secret = key.split("_")[:3]
                person["api_keys"] = [{"id": name, "secret": secret[:40]}]
    return json.dumps(document)


def _metadata(row: Scenario) -> tuple[tuple[str, str], ...]:
    """Return the credential of a row; for a correct signature, the API key of its user."""
    if row.by is None or isinstance(row.by, OidcToken):
        return ()
    request = AWSRequest("GET" if row.method == "WEBSOCKET" else row.method, "http://testserver" + row.path)
    row.by(request)
    sent = {name.lower(): str(value) for name, value in request.headers.items()}
    signed = re.match(r"AWS4-HMAC-SHA256 Credential=(\w+)/", sent.get("authorization", ""))
    if signed is not None and CHANGED.get(row.name) is not _REFUSED and "x-api-key" not in sent:
        sent = {"authorization": f"Bearer {API_KEYS[_NAMES[signed[1]]]}"}
    return tuple(sent.items())


def _translated(row: Scenario) -> GrpcScenario:
    changed = replace(row, **CHANGED.get(row.name, {}))
    _, name, *rest = row.path.partition("?")[0].split("/")
    method = _PATHS.get(f"{row.method} /{name}", "Nothing")
    value = unquote("/".join(rest))
    fields: dict[str, Any] = {"path" if method == "GetFile" else "document_id": value}
    if row.content:
        fields["content"] = row.content
    http = row.status if isinstance(row.status, int) else row.status[0]
    status = _STATUSES[http]
    if method == "Nothing":
        status = grpc.StatusCode.UNIMPLEMENTED
    elif http == 500 and row.code is None:
        status = grpc.StatusCode.UNKNOWN  # what gRPC answers for an exception of a handler
    subject = row.by.subject if isinstance(row.by, OidcToken) else None
    return GrpcScenario(changed, method, fields, status, subject, _metadata(row))


GRPC_SCENARIOS: Final = tuple(_translated(row) for row in SCENARIOS if row.name not in LACKING)
