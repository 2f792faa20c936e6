from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard.authn.credential import extract
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import SigV4Credential
from iam_guard.authn.signatures.payload_hash import check_payload, stated_payload
from iam_guard.authn.signatures.sigv4 import (
    SigningKey,
    check_coverage,
    check_time,
    derived_key,
    is_signed_with,
    signing_key,
)
from iam_guard.errors import CredentialError, IncompleteSignature, SignatureDoesNotMatch
from tests.tables import table

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
DATE = ("X-Amz-Date", "20150830T123600Z")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
FORM_HASH = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"
TOKEN = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"
NO_HEADERS: list[tuple[str, str]] = []

# AWS's published signing vectors: name, method, target, further headers in wire order, body, signature.
VECTORS = [
    ("get-vanilla", "GET", "/", NO_HEADERS, "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("post-vanilla", "POST", "/", NO_HEADERS, "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ("get-utf8", "GET", "/ሴ", NO_HEADERS, "", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    (
        "get-relative-normalized",
        "GET",
        "/example/..",
        NO_HEADERS,
        "",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    (
        "get-slashes-normalized",
        "GET",
        "//example//",
        NO_HEADERS,
        "",
        "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
    ),
    (
        "get-slash-dot-slash-unnormalized",
        "GET",
        "/./",
        NO_HEADERS,
        "",
        "68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145",
    ),
    (
        "get-vanilla-empty-query-key",
        "GET",
        "/?Param1=value1",
        NO_HEADERS,
        "",
        "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
    ),
    (
        "get-vanilla-query-order-key-case",
        "GET",
        "/?Param2=value2&Param1=value1",
        NO_HEADERS,
        "",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    (
        "get-vanilla-query-order-encoded",
        "GET",
        "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
        NO_HEADERS,
        "",
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    ),
    (
        "get-vanilla-utf8-query",
        "GET",
        "/?ሴ=bar",
        NO_HEADERS,
        "",
        "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
    ),
    (
        "get-header-key-duplicate",
        "GET",
        "/",
        [("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")],
        "",
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    (
        "get-header-value-order",
        "GET",
        "/",
        [("My-Header1", value) for value in ("value4", "value1", "value3", "value2")],
        "",
        "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
    ),
    (
        "get-header-value-trim",
        "GET",
        "/",
        [("My-Header1", " value1"), ("My-Header2", ' "a   b   c"')],
        "",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    (
        "post-x-www-form-urlencoded",
        "POST",
        "/",
        [FORM, ("Content-Length", "13"), ("X-Amz-Content-Sha256", FORM_HASH)],
        "Param1=value1",
        "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
    ),
    (
        "get-vanilla-with-session-token",
        "GET",
        "/",
        [("X-Amz-Security-Token", TOKEN)],
        "",
        "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
    ),
]


def vector(method: str, target: str, headers: list[tuple[str, str]], signature: str) -> HttpRequest:
    """Return the signed request of a published vector."""
    everything = [("Host", "example.amazonaws.com"), DATE, *headers]
    names = ";".join(sorted({name.lower() for name, _ in everything}))
    scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
    authorization = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"
    path, _, query = target.encode().partition(b"?")
    raw = [(name.lower().encode(), value.encode()) for name, value in [*everything, ("Authorization", authorization)]]
    return HttpRequest(method, path, query, tuple(raw))


def credential_in(request: HttpRequest) -> SigV4Credential:
    found = extract(request, max_header=64 * 1024)
    assert isinstance(found, SigV4Credential)
    return found


@table(
    ("method", "target", "headers", "body", "signature"), [row[1:] for row in VECTORS], ids=[row[0] for row in VECTORS]
)
def test_published_vectors_verify_with_their_secret(
    method: str, target: str, headers: list[tuple[str, str]], body: str, signature: str
) -> None:
    """AWS's own signatures are accepted, with no other secret."""
    request = vector(method, target, headers, signature)
    credential = credential_in(request)
    check_coverage(request, credential)
    body_hash = hashlib.sha256(body.encode()).hexdigest()
    assert (stated_payload(request, credential) or body_hash) == body_hash
    for secret in (SECRET, SECRET + "x"):
        key = signing_key(secret, credential.date, credential.region, credential.service)
        assert is_signed_with(key, request, credential, payload_hash=body_hash) is (secret == SECRET)


def test_signing_key_equals_published_one() -> None:
    """The example of AWS's documentation for deriving a key."""
    key = derived_key(SECRET, "20150830", "us-east-1", "iam")
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


# --- time --------------------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 24, 0, 15, tzinfo=UTC)
PLAIN = vector("GET", "/", [], VECTORS[0][5])


def signed_at(moment: datetime) -> SigV4Credential:
    stamp = moment.strftime("%Y%m%dT%H%M%SZ")
    return credential_in(PLAIN)._replace(timestamp=stamp, date=stamp[:8])


@table("seconds", [-300, -299, 0, 299, 300])
def test_time_within_clock_skew_is_accepted(seconds: int) -> None:
    """Both ends are inclusive; fractions of a second do not count."""
    check_time(signed_at(NOW + timedelta(seconds=seconds)), now=NOW + timedelta(microseconds=999_999), skew=300)


@table(("skew", "early", "late"), [(0.0, 0, 0), (0.5, 0, 0), (1.0, 1, 1), (1.5, 1, 1), (2.0, 2, 2), (2.5, 2, 2)])
@table("microsecond", [0, 1, 500_000, 999_999])
def test_narrow_clock_skew_is_exact_to_the_second(skew: float, early: int, late: int, microsecond: int) -> None:
    """Whole seconds are compared, whatever fractions clock and setting have."""
    accepted = [seconds for seconds in range(-5, 6) if _is_accepted(seconds, microsecond, skew)]
    assert accepted == list(range(-early, late + 1))


def _is_accepted(seconds: int, microsecond: int, skew: float) -> bool:
    try:
        check_time(signed_at(NOW + timedelta(seconds=seconds)), now=NOW.replace(microsecond=microsecond), skew=skew)
    except SignatureDoesNotMatch:
        return False
    return True


def test_old_signature_has_aws_message() -> None:
    """SDKs correct their clock by this message."""
    with pytest.raises(SignatureDoesNotMatch) as caught:
        check_time(signed_at(datetime(2026, 11, 24, tzinfo=UTC)), now=NOW, skew=300)
    assert caught.value.message == (
        "Signature expired: 20261124T000000Z is now earlier than 20261124T001000Z (20261124T001500Z - 5 min.)"
    )


def test_future_signature_has_aws_message() -> None:
    """SDKs correct their clock by this message."""
    with pytest.raises(SignatureDoesNotMatch) as caught:
        check_time(signed_at(datetime(2026, 11, 24, 0, 30, 1, tzinfo=UTC)), now=NOW, skew=900)
    assert caught.value.message == (
        "Signature not yet current: 20261124T003001Z is still later than 20261124T003000Z (20261124T001500Z + 15 min.)"
    )


@table("stamp", ["00010101T000000Z", "99991231T235959Z"])
def test_extreme_dates_are_refused(stamp: str) -> None:
    """No date makes the arithmetic overflow."""
    with pytest.raises(SignatureDoesNotMatch, match="Signature"):
        check_time(credential_in(PLAIN)._replace(timestamp=stamp, date=stamp[:8]), now=NOW, skew=300)


def test_scope_of_another_day_is_refused() -> None:
    """Also around midnight."""
    with pytest.raises(SignatureDoesNotMatch) as caught:
        check_time(signed_at(NOW)._replace(date="20261123"), now=NOW, skew=300)
    assert caught.value.message == (
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        "'20261123' != '20261124', from '20261124T001500Z'."
    )


# --- coverage ----------------------------------------------------------------------------------------------------


def covering(names: str, *headers: str) -> tuple[HttpRequest, SigV4Credential]:
    request = HttpRequest("GET", b"/", b"", tuple((name.encode(), b"x") for name in headers))
    return request, credential_in(PLAIN)._replace(signed_headers=tuple(names.split(";")))


@table(
    ("names", "headers"),
    [
        ("host", ["host"]),
        ("host", ["host", "content-type", "x-amzn-trace-id", "x-forwarded-for"]),
        ("host;x-amz-meta", ["host", "x-amz-meta", "x-amz-meta"]),
        ("host", ["host", "x-amz-security-token", "x-amz-cf-id"]),
        ("content-length;host", ["content-length", "host"]),
    ],
)
def test_signature_over_host_and_amz_headers_is_accepted(names: str, headers: list[str]) -> None:
    """Content-type need not be signed, nor headers that proxies add."""
    check_coverage(*covering(names, *headers))


@table(
    ("names", "headers", "error", "sentence"),
    [
        ("x-amz-date", ["host", "x-amz-date"], SignatureDoesNotMatch, "'Host' must be a 'SignedHeader'"),
        ("x-amz-date", ["x-amz-date"], SignatureDoesNotMatch, "'Host' must be a 'SignedHeader'"),
        ("host", ["host", "x-amz-date"], SignatureDoesNotMatch, "'X-Amz-Date' must be a 'SignedHeader'"),
        ("host", ["host", "x-amz-é"], SignatureDoesNotMatch, "must be a 'SignedHeader'"),
        ("host;x-amz-date", ["host"], SignatureDoesNotMatch, "signed header `x-amz-date` is not in the request"),
        ("host", [], SignatureDoesNotMatch, "signed header `host` is not in the request"),
        ("host", ["host", "host"], IncompleteSignature, "got several"),
    ],
)
def test_signature_with_wrong_coverage_is_refused(
    names: str, headers: list[str], error: type[CredentialError], sentence: str
) -> None:
    """`host` and all `x-amz-*` headers must be signed; signed headers must be present."""
    with pytest.raises(error, match=sentence):
        check_coverage(*covering(names, *headers))


# --- body --------------------------------------------------------------------------------------------------------


def declaring(*values: bytes) -> HttpRequest:
    return HttpRequest("GET", b"/", b"", tuple((b"x-amz-content-sha256", value) for value in values))


def test_stated_body_hash_is_signed() -> None:
    """Without one the received body is hashed."""
    assert stated_payload(declaring(), credential_in(PLAIN)) is None
    assert stated_payload(declaring(b" " + FORM_HASH.encode()), credential_in(PLAIN)) == FORM_HASH
    check_payload(FORM_HASH, hashlib.sha256(b"Param1=value1").hexdigest())


@table(
    "values",
    [
        [b"UNSIGNED-PAYLOAD"],
        [b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"],
        [b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"],
        [b""],
        [FORM_HASH.encode()[1:]],
        [FORM_HASH.upper().encode()],
        [FORM_HASH.encode(), FORM_HASH.encode()],
        [b"\xff" * 64],
    ],
)
def test_unsigned_or_malformed_body_hash_is_refused(values: list[bytes]) -> None:
    """The signature must cover the body."""
    with pytest.raises(IncompleteSignature, match=r"SHA-256 of the body|expected one value"):
        stated_payload(declaring(*values), credential_in(PLAIN))


def test_body_with_another_hash_is_refused() -> None:
    """The signature covers the stated hash only."""
    with pytest.raises(SignatureDoesNotMatch, match="does not match what was computed"):
        check_payload(FORM_HASH, hashlib.sha256(b"Param1=value2").hexdigest())


# --- what shows --------------------------------------------------------------------------------------------------


def test_credential_repr_hides_signature() -> None:
    """A credential can be logged: its repr has no secrets."""
    credential = credential_in(PLAIN)
    assert "AKIDEXAMPLE" in repr(credential)
    assert credential.signature not in repr(credential)


@settings(max_examples=200)
@given(st.binary(max_size=64), st.binary(max_size=300))
def test_signing_key_equals_hmac(key: bytes, text: bytes) -> None:
    """Also repeatedly: its hashes are copied before use."""
    expected = hmac.new(key, text, hashlib.sha256).hexdigest()
    signing = SigningKey(key)
    assert signing.signature(text) == expected
    assert signing.signature(b"another") != expected
    assert signing.signature(text) == expected
