"""A request of aiohttp as the guard reads it, and as the application gets it: with the verified body."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from aiohttp import ClientError, StreamReader, hdrs, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError

from iam_guard import Guard
from iam_guard.adapters import CurrentCall, GuardedAsyncRequest
from iam_guard.errors import MalformedRequest

_ENDED: Final = (OSError, ClientError, web.RequestPayloadError, HttpProcessingError)
"""What aiohttp raises for a body that ends before it is complete."""


class _Unpaused(BaseProtocol):
    """The protocol of a body that is read part by part, so that it never has to pause its connection."""

    def pause_reading(self) -> None:
        """Do nothing: the next part is only received when the application reads."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Do nothing."""


class _VerifiedBody(StreamReader):
    """The body of a request whose signature covers it: each part is verified before the application reads it."""

    def __init__(self, receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(_Unpaused(loop), 2**16, loop=loop)
        self._receive = receive

    async def _wait(self, func_name: str) -> None:
        """Receive the next part, instead of waiting until the parser feeds one."""
        message = await self._receive()
        if message["type"] != "http.request":
            raise ConnectionResetError("the body ended before it was complete")
        self.feed_data(message.get("body", b""))
        if not message.get("more_body", False):
            self.feed_eof()


def receive_of(request: web.Request) -> Callable[[], Awaitable[MutableMapping[str, Any]]]:
    """Return an ASGI `receive` of the body as aiohttp reads it."""

    async def receive() -> MutableMapping[str, Any]:
        content = request.content
        try:
            part = await content.readany()
        except _ENDED:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": not content.at_eof()}

    return receive


def scope_of(request: web.Request) -> MutableMapping[str, Any]:
    """Return the ASGI scope of a request, with its headers as received, and the path by which it was routed."""
    url = request.rel_url
    is_handshake = request.method == "GET" and request.headers.get(hdrs.UPGRADE, "").strip().lower() == "websocket"
    scope: dict[str, Any] = {
        "type": "websocket" if is_handshake and not request.can_read_body else "http",
        "method": request.method,
        "scheme": request.scheme,
        "path": url.path,
        "raw_path": url.raw_path.encode("utf-8", "surrogateescape"),
        "query_string": url.raw_query_string.encode("utf-8", "surrogateescape"),
        "headers": [(name.lower(), value) for name, value in request.raw_headers],
        "client": (request.remote, 0) if request.remote else None,
    }
    tls: Any = request.get_extra_info("ssl_object") if request.secure else None
    own = None if tls is None else tls.getpeercert(binary_form=True)
    if own is not None:
        chain = tls.get_verified_chain() if hasattr(tls, "get_verified_chain") else [own]  # since Python 3.13
        certificates = [ssl.DER_cert_to_PEM_cert(certificate) for certificate in chain]
        scope["extensions"] = {"tls": {"client_cert_chain": certificates}}
    return scope


def check_host(request: web.Request, guarded: GuardedAsyncRequest, guard: Guard) -> None:
    """Raise `MalformedRequest` for a URL as target, as for a proxy, whose host is not that of the header.

    aiohttp would report the host of the URL, which no signature covers.
    """
    target, host = request.raw_path, request.headers.get(hdrs.HOST, "")
    if not target.startswith("/") and not f"{target.partition('://')[2]}/".startswith(f"{host}/"):
        error = MalformedRequest("expected a path as the target, or a URL with the host of the header", place="path")
        guard.trail.record_authentication(error, guarded.facts, "unknown", None)
        raise error


async def served_request(
    request: web.Request, guarded: GuardedAsyncRequest, call: CurrentCall, *, has_body: bool
) -> web.Request:
    """Return the request for the application: with the verified body, and with the signed host.

    Raises `MalformedRequest` if another route would match with that host.
    """
    has_body &= guarded.replaces_body
    if not has_body and not guarded.changes_headers:
        return request
    served = request.clone()
    if guarded.changes_headers:
        headers = [(name.decode(), value.decode("utf-8", "replace")) for name, value in call.scope["headers"]]
        served = request.clone(headers=headers)
    if has_body:
        served._payload = _VerifiedBody(guarded.receive)
    credential, match = call.principal.credential, request.match_info
    if credential is not None and credential.host is not None and match.http_exception is None:
        resolved = await match.apps[0].router.resolve(served)
        if resolved.route is not match.route:
            raise MalformedRequest("expected the same route for the signed host and the header `Host`", place="host")
    return served
