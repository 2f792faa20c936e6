"""The application that every adapter builds, in the idiom of its framework and with the guard in front of it.

The contract (`tests.integrations.contract`) sends each row of `tests.integrations.scenarios` to it. Its routes (a
`{path}` in braces may have slashes in it):

    GET       /health                         public; answers the text "ok"
    GET       /forgotten                      neither guarded nor public; answers SECRET
    WEBSOCKET /forgotten-socket               neither guarded nor public; accepts, sends SECRET, closes
    GET       /documents/{document_id}        GetDocument, asynchronous where the framework can; `answer(document_id)`
    PUT       /documents/{document_id}        PutDocument, synchronous; `answer(document_id)`
    DELETE    /documents/{document_id}        DeleteDocument with `conceal=True`; answers 204 without a body
    GET       /files/{path}                   GetDocument on `file/{path}`; `answer(path)`
    GET       /shared/{document_id}           GetDocument, resource=load_document; `answer(document_id)`
    GET       /by-hand/{document_id}          public; calls `docs.authorize("PutDocument", ARN + document_id)`, then
                                              `answer(document_id)`
    GET       /raising/{document_id}          GetDocument; raises RuntimeError(SECRET)
    GET, PUT  /class/{document_id}            Get- and PutDocument, methods of a class; `answer(document_id)`
    POST      /uploads/{document_id}          PutDocument; reads the body as it comes, answers `received(body)`
    GET       /streams/{document_id}          GetDocument; streams `STREAMED`, part by part
    GET       /background/{document_id}       GetDocument; answers `answer(document_id)`, then a background task of the
                                              framework calls `tell()`
    WEBSOCKET /watch/{document_id}            GetDocument; accepts, sends the caller's ARN, closes
    GET       /who/{document_id}              GetDocument; asynchronous where the framework can; waits for
                                              `meeting.come_async()` (or `come()`), then `answer(document_id)`
    GET       /who-sync/{document_id}         the same, synchronous
    GET       /mounted/documents/{document_id}    what is mounted: an application of its own, with the same handler,
    GET       /mounted/forgotten                  one that nobody guards,
    WEBSOCKET /mounted/watch/{document_id}        and the same WebSocket

Guarded handlers use `document/{document_id}` as their resource unless it says otherwise, and `docs` below. Where the
framework can place CORS outside of the guard, it allows the origin `ORIGIN`, all methods and all headers. A build
without a guard (`build(None)`) has the same routes, and nothing in front of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from typing import Any, Final

from iam_guard import Resource, RouteMap, Service, current_decision, current_principal
from iam_guard.authn.api_key import format_key

ACME, GLOBEX = "111122223333", "444455556666"
ARN = f"arn:aws:docs:us-east-1:{ACME}:document/"
SECRET: Final = "for nobody's eyes"
"""Never in an answer that refuses."""
ORIGIN: Final = "https://front.example"
STREAMED: Final = (b"one ", b"two ", b"three")
CROWD: Final = 100
"""How many callers come at the same time; each has an API key."""
HELD: Final = 16 * 1024
"""Bytes of a signed body that the guard of the contract holds; a longer one passes through."""

# --- what handlers use ---------------------------------------------------------------------------------------------

docs = Service("docs")
ran: list[str] = []
"""The documents of all handlers that ran."""
told: list[str] = []
"""What background tasks said."""


def answer(document_id: str) -> dict[str, str]:
    """Return what a handler answers, as JSON: the caller, the resource of the decision, and the document it serves."""
    ran.append(document_id)
    decision = current_decision()
    assert decision is not None
    return {"caller": current_principal().arn, "resource": decision.request.resource, "document": document_id}


def received(body: bytes) -> dict[str, Any]:
    """Return what the handler of an upload answers."""
    ran.append("upload")
    return {"caller": current_principal().arn, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def tell() -> None:
    """Say in a background task who its caller is, and what they may not do."""
    told.append(f"{current_principal().arn} {docs.decide('PutDocument', ARN + '7').allowed}")


def load_document(document_id: str) -> Resource | None:
    """Return a document of acme with its tags and its resource-based policy; None for one that is not there."""
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
    """Say of routes what decorators say otherwise; `names` are those where a document is got.

    `document` is how the application spells the parameter there; elsewhere it is `{document_id}`, for both spellings
    are the same.
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


class Meeting:
    """Where handlers wait until `size` of them are there, so that they are sure to run at the same time."""

    def __init__(self) -> None:
        self.size = 1
        self._there = 0
        self._changed = threading.Condition()

    def begin(self, size: int) -> None:
        """Wait for so many from now on."""
        with self._changed:
            self.size, self._there = size, 0

    def come(self) -> None:
        """Wait for the others; for threads."""
        with self._changed:
            self._there += 1
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._there >= self.size, 60), "the others did not come"

    async def come_async(self) -> None:
        """Wait for the others; for coroutines."""
        with self._changed:
            self._there += 1
        deadline = time.monotonic() + 60
        while self._there < self.size:
            assert time.monotonic() < deadline, "the others did not come"
            await asyncio.sleep(0.001)


meeting = Meeting()

# --- who calls -----------------------------------------------------------------------------------------------------

ADA = ("AKIATESTADA000000001", "ada-secret-0123456789abcdefghijklmnopqrs")
RITA = ("AKIATESTRITA00000001", "rita-secret-0123456789abcdefghijklmnopqr")
EVE = ("AKIATESTEVE000000001", "eve-secret-0123456789abcdefghijklmnopqrs")
GUS = ("AKIATESTGUS000000001", "gus-secret-0123456789abcdefghijklmnopqrs")
RITAS_API_KEY = format_key("RITA", "ritasecret0123456789abcdefghijklmnopqrst")
ISSUER = "https://id.example.com/tenant"
READER = f"arn:aws:iam::{ACME}:role/Reader"


def api_key_of(number: int) -> str:
    """Return the API key of one of the crowd."""
    return format_key(f"CROWD{number:03}", f"crowd{number:03}secret".ljust(40, "0"))


def _policy(*statements: tuple[str, str, str]) -> dict[str, Any]:
    rows = [{"Effect": effect, "Action": action, "Resource": resource} for effect, action, resource in statements]
    return {"P": {"Version": "2012-10-17", "Statement": rows}}


def _user(name: str, key: tuple[str, str], *statements: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    return {"name": name, "access_keys": [dict(zip(("id", "secret"), key, strict=True))],
            "inline": _policy(*statements), **more}  # fmt: skip


def seed() -> str:
    """Return the seed of the guard that the application is built with."""
    reads, everything = ("Allow", "docs:Get*", "*"), ("Allow", "docs:*", "*")
    rita = {"api_keys": [{"id": "RITA", "secret": "ritasecret0123456789abcdefghijklmnopqrst"}]}
    crowd = [
        {"name": f"caller-{number:03}", "inline": _policy(reads),
         "api_keys": [{"id": f"CROWD{number:03}", "secret": f"crowd{number:03}secret".ljust(40, "0")}]}
        for number in range(CROWD)
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
    """Stand for the application's own tables, which cannot be reached for one document: nobody can decide about it."""
    if arn == ARN + "doubt":
        raise OSError(SECRET)
    return None
