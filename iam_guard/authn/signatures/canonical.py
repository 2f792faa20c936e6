"""The canonical request of Signature Version 4: the bytes that a client hashed and signed.

Clients canonicalize differently: botocore signs the query as sent, curl and AWS decode and re-encode it; botocore
removes dot segments and empty segments from the path, curl keeps empty ones. So path and query have two forms, *as
sent* and *normalised* (equal for a well-formed request), and the verifier tries all combinations.

INVARIANT: all forms of one received request mean the same to an application, and no other request has one of these
forms; otherwise a signature for one request would be accepted for another. So `+` in a query is itself or a space but
never `%2B`, and S3's path encoding is for S3's services only: `/a%2520b`, encoded once, is also `/a%20b` encoded twice.
Routers interpret dot segments differently, so applications refuse them (`refuse_dot_segments`).

The query of a presigned request was signed without its signature, and some clients add the session token after signing;
neither parameter has a meaning to an application.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from typing import NamedTuple
from urllib.parse import quote_from_bytes

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import SigV4Credential
from iam_guard.authn.signatures.percent_decoding import unescaped
from iam_guard.errors import MalformedRequest

S3_STYLE = frozenset({"s3", "s3express", "s3-object-lambda", "s3-outposts"})
"""The services whose clients sign the path as sent, and presign without the body."""
_SIGNATURE, _SESSION_TOKEN = b"X-Amz-Signature", b"X-Amz-Security-Token"
_DEFAULT_PORTS = (b":80", b":443")
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
_IN_PATHS = _UNRESERVED + b"/"


class NamedHeaders(NamedTuple):
    """The signed headers: names in order and as a set, and the line that is signed."""

    names: tuple[bytes, ...]
    covered: frozenset[bytes]
    line: bytes


@lru_cache(maxsize=128)  # clients send the same few lists
def named_headers(signed_headers: tuple[str, ...]) -> NamedHeaders:
    names = tuple([name.encode("ascii") for name in signed_headers])
    return NamedHeaders(names, frozenset(names), b";".join(names))


def canonical_requests(request: HttpRequest, credential: SigV4Credential, *, payload_hash: str) -> Iterator[bytes]:
    """Yield every canonical request that may have been signed, the likeliest first.

    All signed headers must be in the request and include `host`.
    """
    names, _, line = named_headers(credential.signed_headers)
    by_name = request.by_name
    headers = [name + b":" + canonical_value(by_name[name]) for name in names]
    end = b"", line, payload_hash.encode("ascii")
    method = request.method.encode()
    paths = canonical_paths(request.raw_path, credential.service)
    query = _without(request.query_string, _SIGNATURE) if credential.is_presigned else request.query_string
    sent = query_as_sent(query) if query else b""
    yield b"\n".join((method, paths[0], sent, *headers, *end))

    at = names.index(b"host")
    hosts = _hosts(headers[at].removeprefix(b"host:"))
    queries = canonical_queries(query)
    if credential.is_presigned and credential.session_token is not None:
        queries = (*queries, *canonical_queries(_without(query, _SESSION_TOKEN)))
    forms = product(hosts, paths, queries)
    next(forms)  # yielded above
    for host, path, query in forms:
        headers[at] = b"host:" + host
        yield b"\n".join((method, path, query, *headers, *end))


def canonical_paths(raw_path: bytes, service: str) -> Sequence[bytes]:
    """Return the forms of the path: for S3 as sent, else encoded once more, with and without dot segments."""
    path = raw_path or b"/"
    if service in S3_STYLE:
        return (path,)
    is_plain = not path.rstrip(_IN_PATHS)
    as_sent = path if is_plain else quote_from_bytes(path, safe="/~").encode("ascii")
    if b"//" not in as_sent and b"/." not in as_sent:
        return (as_sent,)
    return _distinct(_without_dot_segments(as_sent), as_sent)


def refuse_dot_segments(request: HttpRequest, credential: SigV4Credential) -> None:
    """Raise `MalformedRequest` for a signed path with dot segments, which clients remove before signing.

    The signature would be valid for another route: `/files/../documents/8` is signed as `/documents/8`. S3's clients
    remove nothing.
    """
    path = request.raw_path
    if b"/." not in path or credential.service in S3_STYLE or {b".", b".."}.isdisjoint(path.split(b"/")):
        return
    raise MalformedRequest("expected a signed path without the segments `.` and `..`", place="path")


def _without_dot_segments(path: bytes) -> bytes:
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    end = b"/" if kept and path.endswith(b"/") else b""
    return b"/" + b"/".join(kept) + end


def canonical_queries(query: bytes) -> Sequence[bytes]:
    """Return the forms of the query, sorted by key and value: as sent, and with every component re-encoded."""
    if not query:
        return (b"",)
    pairs = [part.partition(b"=") for part in query.split(b"&")]
    normalised = [(_reencoded(key), b"=", _reencoded(value)) for key, equals, value in pairs if key or equals]
    return _distinct(_joined(pairs), _joined(normalised))


def _without(query: bytes, name: bytes) -> bytes:
    """Remove a parameter from a query; `signed_query` has checked that it occurs once and with this spelling."""
    return b"&".join([part for part in query.split(b"&") if part.partition(b"=")[0] != name])


def _reencoded(component: bytes) -> bytes:
    if not component.rstrip(_UNRESERVED):
        return component
    return quote_from_bytes(unescaped(component.replace(b"+", b" ")), safe="-_.~").encode("ascii")


def query_as_sent(query: bytes) -> bytes:
    """Return the first form of a query: its parameters as sent, sorted by key and value."""
    return _joined([part.partition(b"=") for part in query.split(b"&")])


def _joined(pairs: list[tuple[bytes, bytes, bytes]]) -> bytes:
    """Sort by key and value, and join; a key without an equals sign gets one."""
    return b"&".join([key + b"=" + value for key, _, value in sorted(pairs)])


def canonical_value(values: Sequence[bytes]) -> bytes:
    """Return the values of a header joined in order, trimmed and with each run of white space as one space."""
    if len(values) == 1:
        return _collapsed(values[0])
    return b",".join(map(_collapsed, values))


_SHORT = 512
_OTHER_SPACES = b"\t\n\r\x0b\x0c"
_TO_SPACES = bytes.maketrans(_OTHER_SPACES, b" " * len(_OTHER_SPACES))


def _collapsed(value: bytes) -> bytes:
    """Return a value, trimmed and with each run of white space as one space; of a long one, without a list of words."""
    if len(value) <= _SHORT:
        return b" ".join(value.split())
    if len(value.translate(None, _OTHER_SPACES)) < len(value):
        value = value.translate(_TO_SPACES)
    value = value.strip(b" ")
    while b"  " in value:
        value = value.replace(b"  ", b" ")
    return value


def _hosts(received: bytes) -> Iterator[bytes]:
    """Yield the hosts that may have been signed; clients omit a default port."""
    yield received
    for port in _DEFAULT_PORTS:
        if received.endswith(port):
            yield received.removesuffix(port)


def _distinct(first: bytes, second: bytes) -> Sequence[bytes]:
    return (first,) if first == second else (first, second)
