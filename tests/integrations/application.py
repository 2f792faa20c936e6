"""The application that every adapter builds with its framework, behind the guard.

The contract (`tests.integrations.contract`) sends each row of `tests.integrations.scenarios` to it. Its routes
(`{path}` may contain slashes):

    GET       /health                         public; answers the text "ok"
    GET       /forgotten                      neither guarded nor public; answers SECRET
    WEBSOCKET /forgotten-socket               neither guarded nor public; accepts, sends SECRET, closes
    GET       /documents/{document_id}        GetDocument, asynchronous if possible; `answer(document_id)`
    PUT       /documents/{document_id}        PutDocument, synchronous; `answer(document_id)`
    DELETE    /documents/{document_id}        DeleteDocument with `conceal=True`; answers 204 without a body
    GET       /files/{path}                   GetDocument on `file/{path}`; `answer(path)`
    GET       /shared/{document_id}           GetDocument, resource=load_document; `answer(document_id)`
    GET       /by-hand/{document_id}          public; calls `docs.authorize("PutDocument", ARN + document_id)`, then
                                              `answer(document_id)`
    GET       /raising/{document_id}          GetDocument; raises RuntimeError(SECRET)
    GET, PUT  /class/{document_id}            Get- and PutDocument, methods of a class; `answer(document_id)`
    POST      /uploads/{document_id}          PutDocument; reads the body as a stream, answers `received(body)`
    GET       /streams/{document_id}          GetDocument; streams `STREAMED`, part by part
    GET       /background/{document_id}       GetDocument; answers `answer(document_id)`, then a background task of the
                                              framework calls `record_background_call()`
    WEBSOCKET /watch/{document_id}            GetDocument; accepts, sends the caller's ARN, closes
    GET       /who/{document_id}              GetDocument; asynchronous if possible; waits for
                                              `barrier.wait_async()` (or `wait()`), then `answer(document_id)`
    GET       /who-sync/{document_id}         the same, synchronous
    GET       /mounted/documents/{document_id}    a mounted application with the same handler,
    GET       /mounted/forgotten                  an unguarded one,
    WEBSOCKET /mounted/watch/{document_id}        and the same WebSocket

Guarded handlers use `document/{document_id}` as their resource unless another is given, and `docs` below. If the
framework can put CORS outside of the guard, it allows the origin `ORIGIN`, all methods and all headers. `build(None)`
has the same routes without the middleware.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from typing import Any, Final

from iam_guard import Resource, RouteMap, Service, current_decision, current_principal
from iam_guard.authn.api_key import format_api_key

ACME, GLOBEX = "111122223333", "444455556666"
ARN = f"arn:aws:docs:us-east-1:{ACME}:document/"
SECRET: Final = "secret content"
"""Content that no error response may contain."""
ORIGIN: Final = "https://front.example"
STREAMED: Final = (b"one ", b"two ", b"three")
CONCURRENT_CALLERS: Final = 100
"""The number of concurrent callers; each has an API key."""
MAX_BODY: Final = 16 * 1024
"""The setting `max_body` of the contract's guard; longer bodies are streamed."""

# --- helpers of handlers ---------------------------------------------------------------------------------------------

docs = Service("docs")
ran: list[str] = []
"""The documents of all handlers that ran."""
background_calls: list[str] = []
"""The results of background tasks."""


def answer(document_id: str) -> dict[str, str]:
    """Return the JSON response of a handler: the caller, the resource of the decision, and the document."""
    ran.append(document_id)
    decision = current_decision()
    assert decision is not None
    return {"caller": current_principal().arn, "resource": decision.request.resource, "document": document_id}


def received(body: bytes) -> dict[str, Any]:
    """Return the response of an upload handler."""
    ran.append("upload")
    return {"caller": current_principal().arn, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def record_background_call() -> None:
    """Record the caller of a background task, and whether it may put a document."""
    background_calls.append(f"{current_principal().arn} {docs.decide('PutDocument', ARN + '7').allowed}")


def load_document(document_id: str) -> Resource | None:
    """Return a document of acme with its tags and its resource-based policy; None for a missing one."""
    sharing: dict[str, Any] = {"plan": {"AWS": f"arn:aws:iam::{GLOBEX}:user/gus"}, "open": "*", "private": None}
    if document_id not in sharing:
        return None
    principal = sharing[document_id]
    statement = {"Effect": "Allow", "Principal": principal, "Action": "docs:GetDocument", "Resource": "*"}
    policy = None if principal is None else json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return Resource(ARN + document_id, ACME, {"kind": "report"}, policy)


DOCUMENT: Final = "document/{document_id}"


def scenario_map(
    *names: str,
    document: str = "{document_id}",
    files: str = "/files/<path:path>",
    file: str = "file/{path}",
    shared: str = "/shared/{document_id}",
) -> RouteMap:
    """Return the route map that replaces the decorators; `names` are the routes with GetDocument.

    `document` is the application's spelling of the parameter in these; elsewhere it is `{document_id}`, as both are
    equivalent.
    """
    routes = RouteMap(services=[docs])
    for name in names:
        routes.requires("GET", f"/{name}/{document}", "docs:GetDocument", resource=DOCUMENT)
    for method, name in (("PUT", "documents"), ("PUT", "class"), ("POST", "uploads")):
        routes.requires(method, f"/{name}/{{document_id}}", "docs:PutDocument", resource=DOCUMENT)
    routes.requires("DELETE", "/documents/{document_id}", "docs:DeleteDocument", resource=DOCUMENT, conceal=True)
    routes.requires("GET", files, "docs:GetDocument", resource=file)
    routes.requires("GET", shared, "docs:GetDocument", resource=load_document)
    routes.public("GET", "/health")
    routes.public("GET", "/by-hand/{document_id}")
    return routes


class Barrier:
    """A barrier where handlers wait until `size` of them have arrived, so that they run at the same time."""

    def __init__(self) -> None:
        self.size = 1
        self._arrived = 0
        self._changed = threading.Condition()

    def reset(self, size: int) -> None:
        """Set the size, and start with no arrivals."""
        with self._changed:
            self.size, self._arrived = size, 0

    def wait(self) -> None:
        """Wait for the other handlers, in a thread."""
        with self._changed:
            self._arrived += 1
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._arrived >= self.size, 60), "the others did not come"

    async def wait_async(self) -> None:
        """Wait for the other handlers, in a coroutine."""
        with self._changed:
            self._arrived += 1
        deadline = time.monotonic() + 60
        while self._arrived < self.size:
            assert time.monotonic() < deadline, "the others did not come"
            await asyncio.sleep(0.001)


barrier = Barrier()

# --- callers -----------------------------------------------------------------------------------------------------

ADA = ("AKIATESTADA000000001", "ada-secret-0123456789abcdefghijklmnopqrs")
RITA = ("AKIATESTRITA00000001", "rita-secret-0123456789abcdefghijklmnopqr")
EVE = ("AKIATESTEVE000000001", "eve-secret-0123456789abcdefghijklmnopqrs")
GUS = ("AKIATESTGUS000000001", "gus-secret-0123456789abcdefghijklmnopqrs")
RITAS_API_KEY = format_api_key("RITA", "ritasecret0123456789abcdefghijklmnopqrst")
ISSUER = "https://id.example.com/tenant"
READER = f"arn:aws:iam::{ACME}:role/Reader"


def api_key_of(number: int) -> str:
    """Return the API key of one of the concurrent callers."""
    return format_api_key(f"CROWD{number:03}", f"crowd{number:03}secret".ljust(40, "0"))


def _policy(*statements: tuple[str, str, str]) -> dict[str, Any]:
    rows = [{"Effect": effect, "Action": action, "Resource": resource} for effect, action, resource in statements]
    return {"P": {"Version": "2012-10-17", "Statement": rows}}


def _user(name: str, key: tuple[str, str], *statements: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    return {"name": name, "access_keys": [dict(zip(("id", "secret"), key, strict=True))],
            "inline": _policy(*statements), **more}  # fmt: skip


def seed() -> str:
    """Return the seed of the contract's guard."""
    reads, everything = ("Allow", "docs:Get*", "*"), ("Allow", "docs:*", "*")
    rita = {"api_keys": [{"id": "RITA", "secret": "ritasecret0123456789abcdefghijklmnopqrst"}]}
    crowd = [
        {"name": f"caller-{number:03}", "inline": _policy(reads),
         "api_keys": [{"id": f"CROWD{number:03}", "secret": f"crowd{number:03}secret".ljust(40, "0")}]}
        for number in range(CONCURRENT_CALLERS)
    ]  # fmt: skip
    trust = {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
             "Principal": {"Federated": f"arn:aws:iam::{ACME}:oidc-provider/id.example.com/tenant"}}  # fmt: skip
    acme = {
        "id": ACME, "name": "acme",
        "users": [
            _user("ada", ADA, everything), _user("rita", RITA, reads, **rita),
            _user("eve", EVE, ("Allow", "docs:GetDocument", ARN + "open-*"), ("Deny", "docs:*", ARN + "open-secret")),
            *crowd,
        ],
        "roles": [{"name": "Reader", "trust": {"Version": "2012-10-17", "Statement": [trust]},
                   "inline": _policy(reads)}],
        "oidc_providers": [{"url": ISSUER, "client_ids": ["app"]}],
    }  # fmt: skip
    globex = {"id": GLOBEX, "name": "globex", "users": [_user("gus", GUS, everything)]}
    return json.dumps({"version": 1, "accounts": [acme, globex]})


def resources(arn: str) -> Resource | None:
    """Resolve resources like an application's database; it raises for one document, which can't be decided."""
    if arn == ARN + "doubt":
        raise OSError(SECRET)
    return None
