"""Convert a WSGI environ to an ASGI scope.

The environ has a decoded path and merged headers; a signature covers neither. Most servers (gunicorn, waitress,
Werkzeug, uWSGI, mod_wsgi) have the raw path in `REQUEST_URI` or `RAW_URI`; it is used only if it decodes to the path
that the application routes by. Otherwise that path is encoded again, so that the verified path is always the served
one: a path that was sent in another form, or rewritten on its way, does not match its signature. Repeated headers
arrive joined by a comma, as in a signature, or not at all, depending on the server.

`X-Name` and `X_Name` have the same key (PEP 3333), so a caller could forge a proxy's header unless the server drops the
second (`WsgiBridge`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote_from_bytes

from iam_guard.authn.signatures.percent_decoding import unescaped
from iam_guard.errors import MalformedRequest

Environ = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]

_RAW_TARGETS: Final = ("REQUEST_URI", "RAW_URI")
_WITHOUT_PREFIX: Final = {"CONTENT_TYPE": b"content-type", "CONTENT_LENGTH": b"content-length"}
_PREFIX: Final = "HTTP_"
_CERTIFICATE: Final = "SSL_CLIENT_CERT"
"""The key of the client certificate in PEM, set by Apache and Werkzeug."""
_MAX_CACHED_LENGTH: Final = 128
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


def scope_of(environ: Mapping[str, Any]) -> Scope:
    """Return the scope of a request; never raises."""
    scheme = environ.get("wsgi.url_scheme", "http")
    address = environ.get("REMOTE_ADDR")
    path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "") or "/"
    served = path.encode("latin-1") if _is_latin(path) else None  # WSGI's strings are bytes
    return {
        "type": "http",
        "method": environ.get("REQUEST_METHOD", "GET"),
        "scheme": scheme,
        "path": path if served is None else served.decode("utf-8", "replace"),
        "raw_path": None if served is None else _raw_path(environ, served),
        "query_string": _bytes(environ.get("QUERY_STRING", "")),
        "headers": [*_headers(environ), *_host(environ, scheme)],
        "client": (address, 0) if address else None,
        "extensions": {"tls": {"client_cert_chain": [*_chain(environ)]}},
    }


def content_length(environ: Mapping[str, Any]) -> int | None:
    """Return the length of the body; None if it is read to its end.

    Raises `MalformedRequest` if the server does not terminate a chunked body, and for an invalid length.
    """
    text = environ.get("CONTENT_LENGTH")
    is_chunked = bool(environ.get("HTTP_TRANSFER_ENCODING"))
    if environ.get("wsgi.input_terminated") and (is_chunked or not text):
        return None
    if is_chunked:
        message = "expected a content length, got a chunked body from a server without `wsgi.input_terminated`"
        raise MalformedRequest(message, place="transfer-encoding")
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()):
        raise MalformedRequest("expected a length in decimal digits", place="content-length")
    return int(text)


def _raw_path(environ: Mapping[str, Any], served: bytes) -> bytes:
    """Return the raw path, if the server has it and it decodes to the served path."""
    for name in _RAW_TARGETS:
        raw = _path_in(environ.get(name))
        if raw is not None and unescaped(raw) == served:
            return raw
    return quote_from_bytes(served).encode("ascii")


def _path_in(target: object) -> bytes | None:
    """Return the path of a request target: `/path?query`, or an absolute URL, as sent to proxies."""
    if not isinstance(target, str):
        return None
    raw = _bytes(target).partition(b"?")[0]
    if raw.startswith(b"/"):
        return raw
    _, separator, rest = raw.partition(b"://")
    return b"/" + rest.partition(b"/")[2] if separator else None


def _headers(environ: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    headers = []
    for key, value in environ.items():
        name = _header_of(key) if len(key) <= _MAX_CACHED_LENGTH else _header_of.__wrapped__(key)
        if name is not None and (value or key not in _WITHOUT_PREFIX):
            headers.append((name, value.encode("latin-1", "replace")))
    return headers


@lru_cache(maxsize=1024)  # keys repeat
def _header_of(key: str) -> bytes | None:
    """Return the name of the header that a key of an environ stands for, or None."""
    if not key.startswith(_PREFIX):
        return _WITHOUT_PREFIX.get(key)
    name = _bytes(key[len(_PREFIX) :].replace("_", "-").lower())
    return None if name in _WITHOUT_PREFIX.values() else name


def _host(environ: Mapping[str, Any], scheme: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield a `host` header from the server's name if the client sent none (PEP 3333)."""
    if "HTTP_HOST" in environ or not environ.get("SERVER_NAME"):
        return
    port = environ.get("SERVER_PORT", "")
    is_plain = not port or port == _DEFAULT_PORTS.get(scheme)
    yield b"host", _bytes(environ["SERVER_NAME"] if is_plain else f"{environ['SERVER_NAME']}:{port}")


def _chain(environ: Mapping[str, Any]) -> Iterator[str]:
    """Yield the client certificate, then its chain."""
    if not environ.get(_CERTIFICATE):
        return
    yield environ[_CERTIFICATE]
    number = 0
    while certificate := environ.get(f"{_CERTIFICATE}_CHAIN_{number}"):
        yield certificate
        number += 1


def _is_latin(text: str) -> bool:
    return text.isascii() or max(text) <= "\xff"


def _bytes(text: str) -> bytes:
    return text.encode("latin-1", "replace")
