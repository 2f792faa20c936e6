"""A WSGI application without a framework that reports its endpoints to the guard."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from iam_guard import GuardWsgiMiddleware, Service, current_principal, open_guard, public
from iam_guard.web.call_context import current_call

docs = Service("docs")
closed: list[str] = []
"""The caller at each `close` of a response."""


@docs.requires("GetDocument", resource="document/{document_id}")
def get(environ: Any, document_id: str) -> Iterable[bytes]:
    names = [name for name in environ if name.startswith("HTTP_X_PROXY")]
    return [json.dumps({"caller": current_principal().name, "document": document_id, "names": names}).encode()]


@docs.requires("PutDocument", resource="document/{document_id}")
def put(environ: Any, document_id: str) -> Iterable[bytes]:
    digest, size = hashlib.sha256(), 0
    while part := environ["wsgi.input"].read(1000):
        digest.update(part)
        size += len(part)
    headers = {name: environ[name] for name in ("CONTENT_LENGTH", "HTTP_CONTENT_ENCODING") if name in environ}
    return [json.dumps({"size": size, "sha256": digest.hexdigest(), **headers}).encode()]


@docs.requires("PutDocument", resource="document/{document_id}", unsigned_payload=True)
def put_unsigned(environ: Any, document_id: str) -> Iterable[bytes]:
    return [environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))]


@docs.requires("PutDocument", resource="document/{document_id}")
def swallow(environ: Any, document_id: str) -> Iterable[bytes]:
    try:
        environ["wsgi.input"].read(10**9)
    except Exception:  # noqa: BLE001  what a careless handler does
        return [b"stored"]
    return [b"stored"]


@docs.requires("PutDocument", resource="document/{document_id}")
def echo(environ: Any, document_id: str) -> Iterable[bytes]:
    return iter(lambda: environ["wsgi.input"].read(1000), b"")


@docs.requires("GetDocument", resource="document/{document_id}")
def stream(environ: Any, document_id: str) -> Iterable[bytes]:
    return _Streamed()


class _Streamed:
    """A response whose parts are generated after the handler has returned, with `close`."""

    def __iter__(self) -> Iterator[bytes]:
        for number in range(3):
            yield f"{current_principal().name} {number}\n".encode()

    def close(self) -> None:
        closed.append(current_principal().name)


@public
def health(environ: Any) -> Iterable[bytes]:
    return [b"ok"]


@public
def asks(environ: Any) -> Iterable[bytes]:
    return [current_principal().arn.encode()]


def forgotten(environ: Any) -> Iterable[bytes]:
    closed.clear()
    return [b"secret content"]


HANDLERS: dict[str, Callable[..., Iterable[bytes]]] = {
    "health": health,
    "asks": asks,
    "forgotten": forgotten,
    "documents": get,
    "uploads": put,
    "unsigned": put_unsigned,
    "swallowing": swallow,
    "echo": echo,
    "streams": stream,
}


def application(environ: Any, start_response: Any) -> Iterable[bytes]:
    """Route by the first segment, and report the handler to the guard."""
    kind, _, rest = environ["PATH_INFO"].encode("latin-1").decode().lstrip("/").partition("/")
    handler = HANDLERS.get(kind)
    parameters = {"document_id": unquote(rest)} if rest else {}
    current_call().matched(handler, parameters)
    if handler is None:
        start_response("404 Not Found", [("content-type", "text/plain")])
        return [b"nothing here"]
    parts = handler(environ, **parameters)
    start_response("200 OK", [("content-type", "text/plain")])
    return parts


def served() -> GuardWsgiMiddleware:
    """Return the application with a guard on the seed that the environment names; for servers in other processes."""
    guard = open_guard(os.environ["IAM_GUARD_TEST_SEED"], max_body=1024 * 16)
    return GuardWsgiMiddleware(application, guard=guard)
