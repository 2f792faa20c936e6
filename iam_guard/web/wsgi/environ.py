"""A WSGI environ, brought into the form of a connection that the enforcement point reads: an ASGI scope.

What a server gives is a decoded path and merged headers, and a signature covers neither. The path as it was sent is in
`REQUEST_URI` or `RAW_URI` of most servers (gunicorn, waitress, Werkzeug, uWSGI, mod_wsgi); it counts only where it
decodes to the very path that the application routes on. Else that path is encoded anew, so that what is verified is
always what is served: a path that was sent in another form, or changed on its way, has a signature that does not match.
Repeated headers arrive joined by a comma, as a signature has them, or not at all; both are the server's affair.

`X-Name` and `X_Name` are one name here (PEP 3333), so that a caller could write what only a proxy may write: whoever
believes headers of proxies has to know that the server drops the second (`WsgiBridge`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote_from_bytes

from iam_guard.authn.percent_decoding import unescaped
from iam_guard.errors import MalformedRequest

Environ = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]

_RAW_TARGETS: Final = ("REQUEST_URI", "RAW_URI")
_WITHOUT_PREFIX: Final = {"CONTENT_TYPE": b"content-type", "CONTENT_LENGTH": b"content-length"}
_PREFIX: Final = "HTTP_"
_CERTIFICATE: Final = "SSL_CLIENT_CERT"
"""Where Apache and Werkzeug put the certificate of the connection, in PEM."""
_LONGEST_REMEMBERED: Final = 128
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


def length_of(environ: Mapping[str, Any]) -> int | None:
    """Return how long the body is; None for one that is to be read to its end.

    Raises `MalformedRequest` where the server does not tell where a body in chunks ends, and for what is no length.
    """
    text = environ.get("CONTENT_LENGTH")
    is_chunked = bool(environ.get("HTTP_TRANSFER_ENCODING"))
    if environ.get("wsgi.input_terminated") and (is_chunked or not text):
        return None
    if is_chunked:
        message = "expected the length of the body: the server does not tell where one in chunks ends"
        raise MalformedRequest(message, place="transfer-encoding")
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()):
        raise MalformedRequest("expected a length in decimal digits", place="content-length")
    return int(text)


def _raw_path(environ: Mapping[str, Any], served: bytes) -> bytes:
    """Return the path as it was sent, where the server tells and it is the path that is served."""
    for name in _RAW_TARGETS:
        raw = _path_in(environ.get(name))
        if raw is not None and unescaped(raw) == served:
            return raw
    return quote_from_bytes(served).encode("ascii")


def _path_in(target: object) -> bytes | None:
    """Return the path of a request's target: `/path?query`, or a whole URL, which HTTP has for proxies."""
    if not isinstance(target, str):
        return None
    raw = _bytes(target).partition(b"?")[0]
    if raw.startswith(b"/"):
        return raw
    _, separator, rest = raw.partition(b"://")
    return b"/" + rest.partition(b"/")[2] if separator else None


def _headers(environ: Mapping[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    for key, value in environ.items():
        if key.startswith(_PREFIX):
            name = _name_of(key)
            if name not in _WITHOUT_PREFIX.values():
                yield name, _bytes(value)
        elif key in _WITHOUT_PREFIX and value:
            yield _WITHOUT_PREFIX[key], _bytes(value)


def _name_of(key: str) -> bytes:
    return _read_name(key) if len(key) <= _LONGEST_REMEMBERED else _read_name.__wrapped__(key)


@lru_cache(maxsize=1024)  # clients send the same headers again and again
def _read_name(key: str) -> bytes:
    return _bytes(key[len(_PREFIX) :].replace("_", "-").lower())


def _host(environ: Mapping[str, Any], scheme: str) -> Iterator[tuple[bytes, bytes]]:
    """Name the server where the client did not, as PEP 3333 has it."""
    if "HTTP_HOST" in environ or not environ.get("SERVER_NAME"):
        return
    port = environ.get("SERVER_PORT", "")
    is_plain = not port or port == _DEFAULT_PORTS.get(scheme)
    yield b"host", _bytes(environ["SERVER_NAME"] if is_plain else f"{environ['SERVER_NAME']}:{port}")


def _chain(environ: Mapping[str, Any]) -> Iterator[str]:
    """Return the certificate of the connection's client, then those that it sent along."""
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
