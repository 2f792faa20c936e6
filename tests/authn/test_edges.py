"""Differences between signers, servers and proxies: hosts, paths, queries, headers, times; for each signature type.

awscrt signs here, as in the newer SDKs; botocore and curl are in `test_clients`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from iam_guard.errors import CredentialError, IncompleteSignature, SignatureDoesNotMatch
from tests.authn.signing import ALICE, Received, authenticated, with_header
from tests.authn.test_vectors import ALGORITHMS, KEY, PLACES, THEN, received, signed_by_crt
from tests.tables import table

BOTH = [(algorithm, place) for algorithm in ALGORITHMS for place in PLACES]


def plain(
    target: str = "/a?b=c", host: str = "example.amazonaws.com", further: str = "", method: str = "GET"
) -> Received:
    return received(f"{method} {target} HTTP/1.1\nHost:{host}\n{further}\n")


def is_accepted(one: Received, **options: Any) -> bool:
    try:
        return authenticated(one, access_key=KEY, now=THEN, **options).arn == ALICE.arn
    except SignatureDoesNotMatch:
        return False


# --- hosts -------------------------------------------------------------------------------------------------------


@table(("algorithm", "place"), BOTH)
@table(
    ("signed", "sent", "public", "accepted"),
    [
        ("h:8443", "h:8443", (), True),
        ("h", "h:443", (), True),
        ("h", "h:80", (), True),
        ("h", "h:8443", (), False),
        ("h:443", "h", (), False),
        ("[::1]:8000", "[::1]:8000", (), True),
        ("api.example.com", "10.0.0.7:8000", (), False),
        ("api.example.com", "10.0.0.7:8000", ("api.example.com",), True),
        ("api.example.com", "10.0.0.7:8000", ("other.example.com", "api.example.com"), True),
        ("api.example.com:8443", "10.0.0.7:8000", ("api.example.com",), False),
        ("api.example.com:8443", "10.0.0.7:8000", ("api.example.com:8443",), True),
        ("evil.example.com", "10.0.0.7:8000", ("api.example.com",), False),
    ],
)
def test_signed_host_has_three_forms(
    algorithm: str, place: str, signed: str, sent: str, public: Sequence[str], accepted: bool
) -> None:
    """As received, without a default port, or one of `public_hosts` if a proxy rewrites it."""
    one = with_header(signed_by_crt(plain(host=signed), algorithm, place), b"host", sent.encode())
    assert is_accepted(one, public_hosts=public) is accepted


@table("name", [b"x-forwarded-host", b"forwarded", b"x-original-host"])
def test_forwarded_host_is_ignored(name: bytes) -> None:
    """Only the settings define our hosts."""
    one = with_header(signed_by_crt(plain(host="api.example.com"), "sigv4", "header"), b"host", b"10.0.0.7")
    assert not is_accepted(with_header(one, name, b"api.example.com"))


# --- paths and queries ---------------------------------------------------------------------------------------------


@table(("algorithm", "place"), BOTH)
@table("normalise", [True, False], ids=["normalised", "as it is"])
@table("path", ["/a//b", "/a/./b", "/a/../b", "//", "/%2e%2e/b", "/a%2Fb", "/a+b", "/a%20b", "/~a", "/%C3%BC"])
def test_path_is_signed_normalised_or_as_sent(algorithm: str, place: str, normalise: bool, path: str) -> None:
    """Both are accepted for every service but S3's; another path is not."""
    one = signed_by_crt(plain(path), algorithm, place, normalise=normalise)
    assert is_accepted(one)
    assert not is_accepted(replace(one, request=replace(one.request, raw_path=b"/elsewhere" + one.request.raw_path)))


@table(("algorithm", "place"), BOTH)
@table("path", ["/a//b", "/a/./b", "/a/../b", "/a%20b"])
def test_s3_path_is_signed_as_sent_only(algorithm: str, place: str, path: str) -> None:
    """S3's keys may have such segments, and each path is another object."""
    as_it_is = {"normalise": False, "use_double_uri_encode": False, "service": "s3", "signed_body_value": EMPTY}
    assert is_accepted(signed_by_crt(plain(path), algorithm, place, **as_it_is))
    otherwise = {**as_it_is, "normalise": True} if "%" not in path else {**as_it_is, "use_double_uri_encode": True}
    assert not is_accepted(signed_by_crt(plain(path), algorithm, place, **otherwise))


EMPTY = hashlib.sha256(b"").hexdigest()


@table(("algorithm", "place"), BOTH)
@table("query", ["a=1&b=2", "b=2&a=1", "a=1&a=2&a=0", "a", "a=", "A=1&a=2", "x=%2F", "x=%20", "x=~", "a=b%3Dc"])
def test_query_is_signed_sorted(algorithm: str, place: str, query: str) -> None:
    """In whichever order it was sent; added and removed parameters are detected."""
    one = signed_by_crt(plain(f"/d?{query}"), algorithm, place)
    assert is_accepted(one)
    for changed in (one.request.query_string + b"&z=1", b"z&" + one.request.query_string):
        assert not is_accepted(replace(one, request=replace(one.request, query_string=changed)))
    moved = b"&".join(reversed(one.request.query_string.split(b"&")))
    assert is_accepted(replace(one, request=replace(one.request, query_string=moved)))


# --- headers and times ---------------------------------------------------------------------------------------------


@table(("algorithm", "place"), BOTH)
def test_header_values_are_trimmed_folded_and_joined(algorithm: str, place: str) -> None:
    """White space becomes one space; values of one name are joined in order, with commas."""
    one = signed_by_crt(plain(further="X-Many:b\nX-Many:a\nX-Space:a b c\n"), algorithm, place)
    assert is_accepted(one)
    assert is_accepted(with_header(one, b"x-space", b"  a \t b\r\n   c "))
    assert is_accepted(with_header(one, b"x-many", b"b,a"))
    for values in ([b"a", b"b"], [b"b"], [b"b", b"a", b"a"], [b"b, a"]):
        assert not is_accepted(with_header(one, b"x-many", *values))
    assert not is_accepted(with_header(one, b"x-space", b"abc"))


@table(("algorithm", "place"), BOTH)
def test_repeated_unique_header_is_refused(algorithm: str, place: str) -> None:
    """Host, time, token, region set: server and verifier could use different ones."""
    one = signed_by_crt(plain(), algorithm, place)
    names = ["host", *(["x-amz-date"] if place == "header" else [])]
    names += ["x-amz-region-set"] if (algorithm, place) == ("sigv4a", "header") else []
    for name in names:
        values = list(one.request.values(name.encode()))
        with pytest.raises(IncompleteSignature, match="expected one header"):
            authenticated(with_header(one, name.encode(), *values, *values), access_key=KEY, now=THEN)


@table("algorithm", ALGORITHMS)
def test_unsigned_date_header_of_presigned_is_refused(algorithm: str) -> None:
    """The time is that of the query; an unsigned AWS header is refused, `Date` is ignored."""
    one = signed_by_crt(plain(), algorithm, "query")
    assert is_accepted(with_header(one, b"date", b"Tue, 24 Nov 1986 10:00:00 GMT"))
    with pytest.raises(SignatureDoesNotMatch, match="'X-Amz-Date' must be a 'SignedHeader'"):
        authenticated(with_header(one, b"x-amz-date", b"20150830T123600Z"), access_key=KEY, now=THEN)


@table(("algorithm", "place"), BOTH)
@table("days", [1, -1, 365])
def test_scope_of_another_day_is_refused(algorithm: str, place: str, days: int) -> None:
    """The key of another day signs nothing."""
    one = signed_by_crt(plain(), algorithm, place)
    other = f"{20150830 + days}".encode()
    if place == "query":
        query = one.request.query_string.replace(b"%2F20150830%2F", b"%2F" + other + b"%2F")
        one = replace(one, request=replace(one.request, query_string=query))
    else:
        [text] = one.request.values(b"authorization")
        one = with_header(one, b"authorization", text.replace(b"/20150830/", b"/" + other + b"/"))
    with pytest.raises(CredentialError, match="Date in Credential scope does not match"):
        authenticated(one, access_key=KEY, now=THEN)
