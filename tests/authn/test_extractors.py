"""Requests with no, one, two or invalid credentials.

A missing credential is no error; two kinds at once are refused; an invalid one never falls back to another or to
anonymous. The table has every pair of kinds. For the reasons, also about client certificates, see `docs/decisions`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import pytest

from iam_guard.authn import api_key
from iam_guard.authn.caller_cache import CallerCache
from iam_guard.authn.credential import claimed_credential, extract
from iam_guard.authn.credential_verifier import Authenticator
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import (
    AnyCredential,
    ApiKeyCredential,
    CertificateCredential,
    NoCredential,
    ReceivedCertificate,
    SigV4Credential,
    TokenCredential,
    claim_of,
)
from iam_guard.errors import CredentialError, IncompleteSignature
from iam_guard.model.principal import PrincipalType
from tests.authn.authorities import NOW, authority, make
from tests.authn.signing import active_account
from tests.tables import table

KEY = api_key.format_api_key("K7Q2EXAMPLE", "s3cretS3cretS3cretS3cretS3cretS3cret").encode()
SCOPE = f"AKIAEXAMPLE/{NOW:%Y%m%d}/us-east-1/docs/aws4_request"
DATE = f"{NOW:%Y%m%dT%H%M%SZ}".encode()
SIGNED = f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host;x-amz-date, Signature={'0' * 64}".encode()
PRESIGNED = (
    f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={SCOPE.replace('/', '%2F')}&X-Amz-Date={DATE.decode()}"
    f"&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature={'0' * 64}"
).encode()
JWT = b"Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlIn0.c2ln"
GOOD = make("CN=robot-7", authority())
CERTIFICATE = ReceivedCertificate("tls", (GOOD.pem.encode(),), (), True)


@dataclass(frozen=True)
class Sent:
    """The parts of a request for one kind of credential; `alone` is the parsed type without other credentials."""

    headers: tuple[tuple[bytes, bytes], ...] = ()
    query: bytes = b""
    certificates: tuple[ReceivedCertificate, ...] = ()
    alone: type[Any] | None = field(default=None)


KINDS: Mapping[str, Sent] = {
    "a signature in the header": Sent(((b"authorization", SIGNED), (b"x-amz-date", DATE)), alone=SigV4Credential),
    "a presigned query": Sent(query=PRESIGNED),
    "a bearer API key": Sent(((b"authorization", b"Bearer " + KEY),), alone=ApiKeyCredential),
    "an API key in its header": Sent(((b"x-api-key", KEY),), alone=ApiKeyCredential),
    "a bearer token": Sent(((b"authorization", JWT),), alone=TokenCredential),
    "a client certificate": Sent(certificates=(CERTIFICATE,), alone=CertificateCredential),
    "a session token": Sent(((b"x-amz-security-token", b"token"),)),
}
"""Without `alone`: nothing here takes it for a credential by itself, or it is a matter of another test what is."""

TOGETHER: Mapping[frozenset[str], type[Any]] = {
    frozenset({"a signature in the header", "a session token"}): SigV4Credential,  # S-1: of temporary credentials
}
"""The pairs that are one credential; every other pair is refused."""

PAIRS = [frozenset(pair) for pair in combinations(KINDS, 2)]


def request_of(*sent: Sent) -> HttpRequest:
    headers = ((b"host", b"localhost"), *(header for one in sent for header in one.headers))
    query = b"&".join(one.query for one in sent if one.query)
    return HttpRequest(
        "GET", b"/", query, headers, tuple(certificate for one in sent for certificate in one.certificates)
    )


def read(*sent: Sent) -> AnyCredential:
    return extract(request_of(*sent), max_header=65536)


def test_request_without_credential_is_anonymous() -> None:
    """A missing credential is no error."""
    assert read() == NoCredential()
    assert who().type is PrincipalType.ANONYMOUS


@table("kind", KINDS)
def test_one_credential_is_never_anonymous(kind: str) -> None:
    sent = KINDS[kind]
    if sent.alone is not None:
        found = read(sent)
        assert isinstance(found, sent.alone)
        assert claim_of(found).kind == claimed_credential(request_of(sent)).kind
        return
    with contextlib.suppress(CredentialError):
        assert not isinstance(read(sent), NoCredential)


@table("pair", PAIRS, ids=lambda pair: " and ".join(sorted(pair)))
def test_two_credentials_are_refused(pair: frozenset[str]) -> None:
    """In any order, before either is verified."""
    first, second = (KINDS[kind] for kind in sorted(pair))
    expected = TOGETHER.get(pair)
    for sent in ((first, second), (second, first)):
        if expected is not None:
            assert isinstance(read(*sent), expected)
            continue
        with pytest.raises(IncompleteSignature):
            read(*sent)


@table("kind", [kind for kind, sent in KINDS.items() if sent.alone or sent.headers])
def test_repeated_credential_is_refused(kind: str) -> None:
    """Also two equal ones."""
    if kind == "a session token":
        kinds = [KINDS["a signature in the header"], KINDS[kind], KINDS[kind]]
    else:
        kinds = [KINDS[kind], KINDS[kind]]
    with pytest.raises(IncompleteSignature):
        read(*kinds)


def who(*sent: Sent) -> Any:
    """Authenticate with a store without keys and certificates."""
    return Authenticator(
        find_access_key=lambda _: None,
        find_api_key=lambda _: None,
        find_account=active_account,
        skew=300,
        callers=CallerCache(),
    ).authenticate(
        request_of(*sent),
        payload_hash=lambda: "0" * 64,
        now=NOW,
    )


@table("kind", KINDS)
def test_invalid_credential_is_never_anonymous(kind: str) -> None:
    """Each is well-formed or nearly so, and unknown."""
    with pytest.raises(CredentialError):
        who(KINDS[kind])


BROKEN = {
    "a signature": Sent(((b"authorization", SIGNED[:-1]), (b"x-amz-date", DATE))),
    "an API key": Sent(((b"x-api-key", KEY[:-1] + b"!"),)),
    "an empty API key": Sent(((b"x-api-key", b""),)),
    "an empty bearer token": Sent(((b"authorization", b"Bearer "),)),
    "an empty header": Sent(((b"authorization", b""),)),
    "another scheme": Sent(((b"authorization", b"Basic YTpi"),)),
    "a certificate": Sent(certificates=(ReceivedCertificate("tls", (b"no PEM",), (), True),)),
    "a certificate from an untrusted client": Sent(certificates=(CERTIFICATE._replace(is_trusted=False),)),
    "an empty session token": Sent(((b"x-amz-security-token", b""),)),
}


@table("kind", BROKEN)
def test_malformed_credential_beside_valid_one_is_refused(kind: str) -> None:
    """A valid one of another kind does not replace it."""
    with pytest.raises(CredentialError):
        read(BROKEN[kind])
    for other, sent in KINDS.items():
        if other not in ("a signature in the header", "a session token"):
            with pytest.raises(CredentialError):
                read(BROKEN[kind], sent)
