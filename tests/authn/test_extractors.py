"""The order of extractors: which credential counts when a request carries one, none, two, or a bad one (design 5).

Absent is not invalid; two kinds at once are refused; a bad one never falls through to another or to anonymous. The
table has every pair of kinds. Why it is so for client certificates too: `docs/decisions`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import pytest

from iam_guard.authn import api_key
from iam_guard.authn.credential_verifier import AnyCredential, Authenticator, Callers, claim_of, credential_of, extract
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import (
    ApiKeyCredential,
    CarriedCertificate,
    CertificateCredential,
    NoCredential,
    SigV4Credential,
    TokenCredential,
)
from iam_guard.errors import CredentialError, IncompleteSignature
from iam_guard.model.principal import PrincipalType
from tests.authn.authorities import NOW, authority, make

KEY = api_key.format_key("K7Q2EXAMPLE", "s3cretS3cretS3cretS3cretS3cretS3cret").encode()
SCOPE = f"AKIAEXAMPLE/{NOW:%Y%m%d}/us-east-1/docs/aws4_request"
DATE = f"{NOW:%Y%m%dT%H%M%SZ}".encode()
SIGNED = f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host;x-amz-date, Signature={'0' * 64}".encode()
PRESIGNED = (
    f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={SCOPE.replace('/', '%2F')}&X-Amz-Date={DATE.decode()}"
    f"&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature={'0' * 64}"
).encode()
JWT = b"Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlIn0.c2ln"
GOOD = make("CN=robot-7", authority())
CERTIFICATE = CarriedCertificate("tls", (GOOD.pem.encode(),), (), True)


@dataclass(frozen=True)
class Given:
    """What one kind of credential puts into a request; `alone` is what is read where nothing else is there."""

    headers: tuple[tuple[bytes, bytes], ...] = ()
    query: bytes = b""
    certificates: tuple[CarriedCertificate, ...] = ()
    alone: type[Any] | None = field(default=None)


KINDS: Mapping[str, Given] = {
    "a signature in the header": Given(((b"authorization", SIGNED), (b"x-amz-date", DATE)), alone=SigV4Credential),
    "a presigned query": Given(query=PRESIGNED),
    "a bearer API key": Given(((b"authorization", b"Bearer " + KEY),), alone=ApiKeyCredential),
    "an API key in its header": Given(((b"x-api-key", KEY),), alone=ApiKeyCredential),
    "a bearer token": Given(((b"authorization", JWT),), alone=TokenCredential),
    "a client certificate": Given(certificates=(CERTIFICATE,), alone=CertificateCredential),
    "a session token": Given(((b"x-amz-security-token", b"token"),)),
}
"""Without `alone`: nothing here takes it for a credential by itself, or it is a matter of another test what is."""

TOGETHER: Mapping[frozenset[str], type[Any]] = {
    frozenset({"a signature in the header", "a session token"}): SigV4Credential,  # S-1: of temporary credentials
}
"""The pairs that are one credential; every other pair is refused."""

PAIRS = [frozenset(pair) for pair in combinations(KINDS, 2)]


def request_of(*given: Given) -> HttpRequest:
    headers = ((b"host", b"localhost"), *(header for one in given for header in one.headers))
    query = b"&".join(one.query for one in given if one.query)
    return HttpRequest(
        "GET", b"/", query, headers, tuple(certificate for one in given for certificate in one.certificates)
    )


def read(*given: Given) -> AnyCredential:
    return extract(request_of(*given), max_header=65536)


def test_nothing_is_nobody() -> None:
    """Absent is not invalid: that is the anonymous caller."""
    assert read() == NoCredential()
    assert who().type is PrincipalType.ANONYMOUS


@pytest.mark.parametrize("kind", KINDS)
def test_one_is_read_or_refused_but_never_nobody(kind: str) -> None:
    given = KINDS[kind]
    if given.alone is not None:
        found = read(given)
        assert isinstance(found, given.alone)
        assert claim_of(found).kind == credential_of(request_of(given)).kind
        return
    with contextlib.suppress(CredentialError):
        assert not isinstance(read(given), NoCredential)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: " and ".join(sorted(pair)))
def test_two_are_refused(pair: frozenset[str]) -> None:
    """In whichever order they stand, and before any of them is looked at."""
    first, second = (KINDS[kind] for kind in sorted(pair))
    expected = TOGETHER.get(pair)
    for given in ((first, second), (second, first)):
        if expected is not None:
            assert isinstance(read(*given), expected)
            continue
        with pytest.raises(IncompleteSignature):
            read(*given)


@pytest.mark.parametrize("kind", [kind for kind, given in KINDS.items() if given.alone or given.headers])
def test_twice_the_same_is_refused(kind: str) -> None:
    """Nor does one of two equal ones count, or the first."""
    if kind == "a session token":
        kinds = [KINDS["a signature in the header"], KINDS[kind], KINDS[kind]]
    else:
        kinds = [KINDS[kind], KINDS[kind]]
    with pytest.raises(IncompleteSignature):
        read(*kinds)


def who(*given: Given) -> Any:
    """Sign in where no key and no certificate is known."""
    return Authenticator(
        find_access_key=lambda _: None,
        find_api_key=lambda _: None,
        skew=300,
        callers=Callers(),
    ).authenticate(
        request_of(*given),
        payload_hash=lambda: "0" * 64,
        now=NOW,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_one_is_never_anonymous(kind: str) -> None:
    """Each is of the right form or near it, and nobody knows it."""
    with pytest.raises(CredentialError):
        who(KINDS[kind])


BROKEN = {
    "a signature": Given(((b"authorization", SIGNED[:-1]), (b"x-amz-date", DATE))),
    "an API key": Given(((b"x-api-key", KEY[:-1] + b"!"),)),
    "an empty API key": Given(((b"x-api-key", b""),)),
    "an empty bearer token": Given(((b"authorization", b"Bearer "),)),
    "an empty header": Given(((b"authorization", b""),)),
    "another scheme": Given(((b"authorization", b"Basic YTpi"),)),
    "a certificate": Given(certificates=(CarriedCertificate("tls", (b"no PEM",), (), True),)),
    "a certificate from anybody": Given(certificates=(CERTIFICATE._replace(is_trusted=False),)),
    "an empty session token": Given(((b"x-amz-security-token", b""),)),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_one_is_refused_as_itself(kind: str) -> None:
    """And does not make room for a good one of another kind."""
    with pytest.raises(CredentialError):
        read(BROKEN[kind])
    for other, given in KINDS.items():
        if other not in ("a signature in the header", "a session token"):
            with pytest.raises(CredentialError):
                read(BROKEN[kind], given)
