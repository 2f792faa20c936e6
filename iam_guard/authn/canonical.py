"""The canonical request of Signature Version 4: the bytes that a client hashed and signed.

Where what is on the wire could have been signed in more than one canonical form, all of them are given and the
verifier takes the one that fits. Clients differ in this: botocore signs a URL's query as it stands, curl and AWS
decode and encode it anew; botocore drops dot segments and empty segments from the path before signing, curl keeps
empty ones. So path and query have the form *as sent* and the form *normalised*, one and the same for a well-formed
request. INVARIANT: all forms of one wire text mean the same to an application, and each form, read back, means just
that; otherwise a signature made for one meaning would be accepted for another. Hence `+` in a query stands for itself
or for a space but never for `%2B`, and S3's way of encoding a path is for S3's services alone: `/a%2520b`, encoded
once, is also `/a%20b` encoded twice. Of a path with dot segments a router thinks otherwise: what serves applications
refuses those (`refuse_dot_segments`).

A presigned request has signed its query without the signature in it, and some services' clients add the session token
after signing; what is left out of a form has no meaning to an application.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from typing import NamedTuple
from urllib.parse import quote_from_bytes

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.percent_decoding import unescaped
from iam_guard.authn.presented_credentials import SigV4Credential
from iam_guard.errors import MalformedRequest

S3_STYLE = frozenset({"s3", "s3express", "s3-object-lambda", "s3-outposts"})
"""The services whose clients sign a path as it stands, and presign without the body."""
_SIGNATURE, _SESSION_TOKEN = b"X-Amz-Signature", b"X-Amz-Security-Token"
_DEFAULT_PORTS = (b":80", b":443")
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
_IN_PATHS = _UNRESERVED + b"/"


class NamedHeaders(NamedTuple):
    """A list of signed headers: the names, in their order and as a set, and the list as it is signed."""

    names: tuple[bytes, ...]
    covered: frozenset[bytes]
    line: bytes


@lru_cache(maxsize=128)  # clients write the same few lists
def named_headers(signed_headers: tuple[str, ...]) -> NamedHeaders:
    """Return the names of signed headers as they are on the wire."""
    names = tuple([name.encode("ascii") for name in signed_headers])
    return NamedHeaders(names, frozenset(names), b";".join(names))


def canonical_requests(
    request: HttpRequest,
    credential: SigV4Credential,
    *,
    payload_hash: str,
) -> Iterator[bytes]:
    """Return every canonical request that may have been signed, lazily, the likeliest first.

    Every signed header must be in the request, and `host` among them.
    """
    names, _, line = named_headers(credential.signed_headers)
    by_name = request.by_name
    headers = [name + b":" + canonical_value(by_name[name]) for name in names]
    end = b"", line, payload_hash.encode("ascii")
    method = request.method.encode()
    paths = canonical_paths(request.raw_path, credential.service)
    query = _without(request.query_string, _SIGNATURE) if credential.is_presigned else request.query_string
    sent = _as_sent(query)
    yield b"\n".join((method, paths[0], sent, *headers, *end))

    at = names.index(b"host")
    hosts = _hosts(headers[at].removeprefix(b"host:"))
    queries = _with_normalised(query, sent)
    if credential.is_presigned and credential.session_token is not None:
        queries = (*queries, *canonical_queries(_without(query, _SESSION_TOKEN)))
    forms = product(hosts, paths, queries)
    next(forms)  # given already
    for host, path, query in forms:
        headers[at] = b"host:" + host
        yield b"\n".join((method, path, query, *headers, *end))


def canonical_paths(raw_path: bytes, service: str) -> Sequence[bytes]:
    """Return the forms of the path: for S3 as it is, else encoded once more, as sent and without dot segments."""
    path = raw_path or b"/"
    if service in S3_STYLE:
        return (path,)
    is_plain = not path.rstrip(_IN_PATHS)
    as_sent = path if is_plain else quote_from_bytes(path, safe="/~").encode("ascii")
    if b"//" not in as_sent and b"/." not in as_sent:
        return (as_sent,)
    return _distinct(_without_dot_segments(as_sent), as_sent)


def refuse_dot_segments(request: HttpRequest, credential: SigV4Credential) -> None:
    """Raise `MalformedRequest` for a signed path with segments that clients leave out of what they sign.

    The signature would be that of the path without them, and so of another route: `/files/../documents/8` is signed as
    `/documents/8` is. S3's clients leave nothing out.
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
    """Return the forms of the query, sorted by key and value: as sent, and with every component encoded anew."""
    return _with_normalised(query, _as_sent(query))


def _with_normalised(query: bytes, sent: bytes) -> Sequence[bytes]:
    if not query:
        return (b"",)
    pairs = [part.partition(b"=") for part in query.split(b"&")]
    normalised = [(_encoded_anew(key), b"=", _encoded_anew(value)) for key, equals, value in pairs if key or equals]
    return _distinct(sent, _joined(normalised))


def _without(query: bytes, name: bytes) -> bytes:
    """Leave a parameter out of a query; `signed_query` has seen to it that it stands there once, and written so."""
    return b"&".join([part for part in query.split(b"&") if part.partition(b"=")[0] != name])


def _as_sent(query: bytes) -> bytes:
    if not query:
        return b""
    return _joined([part.partition(b"=") for part in query.split(b"&")])


def _encoded_anew(component: bytes) -> bytes:
    if not component.rstrip(_UNRESERVED):
        return component
    return quote_from_bytes(unescaped(component.replace(b"+", b" ")), safe="-_.~").encode("ascii")


def _joined(pairs: list[tuple[bytes, bytes, bytes]]) -> bytes:
    """Sort by key and value, and join; a key without an equals sign has one from here on."""
    return b"&".join([key + b"=" + value for key, _, value in sorted(pairs)])


def canonical_value(values: Sequence[bytes]) -> bytes:
    """Trim the values of one header, make every run of white space one space, and join them in order."""
    if len(values) == 1:
        return b" ".join(values[0].split())
    return b",".join([b" ".join(value.split()) for value in values])


def _hosts(received: bytes) -> Iterator[bytes]:
    """Return the hosts that may have been signed; clients leave a default port out of what they sign."""
    yield received
    for port in _DEFAULT_PORTS:
        if received.endswith(port):
            yield received.removesuffix(port)


def _distinct(first: bytes, second: bytes) -> Sequence[bytes]:
    return (first,) if first == second else (first, second)
