from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard.authn import api_key
from iam_guard.authn.credential import claimed_credential, extract
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import (
    ApiKeyCredential,
    NoCredential,
    SigV4Credential,
    TokenCredential,
    claim_of,
)
from iam_guard.errors import CredentialError, IamGuardError, RequestTooLarge
from tests.effort import effort
from tests.tables import table

SIGNATURE = "0123456789abcdef" * 4
CREDENTIAL = "Credential=AKIDEXAMPLE/20261124/us-east-1/docs/aws4_request"
SIGNED_HEADERS = "SignedHeaders=host;x-amz-date"
GOOD = f"AWS4-HMAC-SHA256 {CREDENTIAL}, {SIGNED_HEADERS}, Signature={SIGNATURE}"
STAMP = ("x-amz-date", "20261124T000000Z")
SECRET = "s3cretS3cretS3cretS3cretS3cretS3cret"
KEY = api_key.format_api_key("K7Q2EXAMPLE", SECRET)
SIGV4 = SigV4Credential(
    access_key_id="AKIDEXAMPLE",
    date="20261124",
    region="us-east-1",
    service="docs",
    signed_headers=("host", "x-amz-date"),
    signature=SIGNATURE,
    timestamp="20261124T000000Z",
)


def request(*headers: tuple[str, str], query: bytes = b"") -> HttpRequest:
    raw = tuple((name.encode(), value.encode("utf-8")) for name, value in headers)
    return HttpRequest("GET", b"/", query, raw)


def extracted(*headers: tuple[str, str], query: bytes = b"") -> object:
    return extract(request(*headers, query=query), max_header=64 * 1024)


def test_request_without_credential_has_none() -> None:
    """A missing credential is no error."""
    assert extracted(("host", "h"), ("cookie", "a=b"), query=b"x-amz-date=1&a=x-amz-signature=") == NoCredential()


@table(
    "text",
    [
        GOOD,
        GOOD.replace(", ", ","),
        GOOD.replace(", ", " ,\t "),
        GOOD.replace("SHA256 ", "SHA256   "),
        f"  {GOOD}\t",
        f"AWS4-HMAC-SHA256 Signature={SIGNATURE},{SIGNED_HEADERS},{CREDENTIAL}",
    ],
)
def test_signature_is_parsed_with_any_spacing(text: str) -> None:
    """Clients differ in white space and in the order of the three parts."""
    assert extracted(("authorization", text), STAMP) == SIGV4


@table(
    ("headers", "expected"),
    [
        ([("x-amz-date", "20261124T235959Z")], "20261124T235959Z"),
        ([("date", "20261124T235959Z")], "20261124T235959Z"),
        ([("date", "Tue, 24 Nov 2026 10:00:00 GMT")], "20261124T100000Z"),
        ([("date", "Tue, 24 Nov 2026 10:00:00 -0000")], "20261124T100000Z"),
        ([("date", "Tue, 24 Nov 2026 10:00:00 +0200")], "20261124T080000Z"),
        ([("date", "nonsense"), ("x-amz-date", "20261124T235959Z")], "20261124T235959Z"),
    ],
)
def test_time_of_signing_is_read_from_either_header(headers: list[tuple[str, str]], expected: str) -> None:
    """`X-Amz-Date` first, `Date` in either format if it is absent."""
    found = extracted(("authorization", GOOD), *headers)
    assert isinstance(found, SigV4Credential)
    assert found.timestamp == expected


@table("header", [("authorization", f"Bearer {KEY}"), ("authorization", f"bearer  {KEY} "), ("x-api-key", KEY)])
def test_api_key_is_read_from_either_header(header: tuple[str, str]) -> None:
    """A bearer credential or `X-Api-Key`."""
    assert extracted(header) == ApiKeyCredential("K7Q2EXAMPLE", api_key.digest_of(SECRET))


@table("header", ["Bearer e30.e30.c2ln", "bearer  e30.e30.c2ln ", "BEARER e30.e30.c2ln"])
def test_token_differs_from_api_key_by_its_dots(header: str) -> None:
    """Parsed by form only; it is never shown."""
    found = extracted(("authorization", header))
    assert found == TokenCredential("e30.e30.c2ln")
    assert "e30" not in repr(found)


def signed(**changed: str) -> list[tuple[str, str]]:
    """Return a valid Authorization header with parts changed; a part of `-` is omitted."""
    parts = {
        "Credential": CREDENTIAL.partition("=")[2],
        "SignedHeaders": SIGNED_HEADERS.partition("=")[2],
        "Signature": SIGNATURE,
        **changed,
    }
    text = ", ".join(f"{name}={value}" for name, value in parts.items() if value != "-")
    return [("authorization", f"AWS4-HMAC-SHA256 {text}"), STAMP]


def scoped(scope: str) -> list[tuple[str, str]]:
    return signed(Credential=scope)


NEEDS_CREDENTIAL = "Authorization header requires 'Credential' parameter."
NEEDS_SIGNATURE = "Authorization header requires 'Signature' parameter."
NEEDS_HEADERS = "Authorization header requires 'SignedHeaders' parameter."
NEEDS_DATE = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
NEEDS_ALL = f"{NEEDS_CREDENTIAL} {NEEDS_SIGNATURE} {NEEDS_HEADERS}"
BAD_TOKEN = "The security token included in the request is invalid."

REFUSED = [
    # unsupported schemes
    ([("authorization", "")], "MissingAuthenticationToken", "scheme"),
    ([("authorization", "Basic dXNlcjpwYXNz")], "MissingAuthenticationToken", "scheme"),
    ([("authorization", 'Digest username="u"')], "MissingAuthenticationToken", "scheme"),
    ([("authorization", GOOD.lower())], "MissingAuthenticationToken", "scheme"),
    (
        [("authorization", "AWS AKIDEXAMPLE:c2ln")],
        "IncompleteSignature",
        "is not supported. Please use AWS4-HMAC-SHA256",
    ),
    ([("authorization", GOOD.replace("SHA256", "SHA512")), STAMP], "IncompleteSignature", "is not supported"),
    # more than one
    ([("authorization", GOOD), ("authorization", GOOD), STAMP], "IncompleteSignature", "several"),
    ([("authorization", GOOD), ("x-api-key", KEY), STAMP], "IncompleteSignature", "several"),
    ([("authorization", f"Bearer {KEY}"), ("x-api-key", KEY)], "IncompleteSignature", "several"),
    ([("x-api-key", KEY), ("x-api-key", KEY)], "IncompleteSignature", "several"),
    # a signature lacks a part
    ([("authorization", "AWS4-HMAC-SHA256")], "IncompleteSignature", f"{NEEDS_ALL} {NEEDS_DATE}"),
    ([("authorization", "AWS4-HMAC-SHA256  "), STAMP], "IncompleteSignature", NEEDS_ALL),
    (signed(Credential="-"), "IncompleteSignature", NEEDS_CREDENTIAL),
    (signed(Signature="-"), "IncompleteSignature", NEEDS_SIGNATURE),
    (signed(SignedHeaders="-"), "IncompleteSignature", NEEDS_HEADERS),
    (signed(SignedHeaders="", Signature=""), "IncompleteSignature", f"{NEEDS_SIGNATURE} {NEEDS_HEADERS}"),
    ([("authorization", GOOD)], "IncompleteSignature", NEEDS_DATE),
    # or has one too many, or a broken one
    ([("authorization", f"{GOOD}, Signature={SIGNATURE}"), STAMP], "IncompleteSignature", "each once, got `Signature`"),
    ([("authorization", f"{GOOD}, Region=x"), STAMP], "IncompleteSignature", "each once, got `Region`"),
    ([("authorization", f"{GOOD},"), STAMP], "IncompleteSignature", "missing equal-sign"),
    ([("authorization", f"AWS4-HMAC-SHA256 {CREDENTIAL} {SIGNED_HEADERS}"), STAMP], "IncompleteSignature", "requires"),
    ([("authorization", GOOD + "é"), STAMP], "IncompleteSignature", "printable ASCII"),
    ([("authorization", GOOD.replace("docs", "do\x1bcs")), STAMP], "IncompleteSignature", "printable ASCII"),
    ([("authorization", GOOD + "\r\nx"), STAMP], "IncompleteSignature", "printable ASCII"),
    ([("authorization", GOOD), ("x-amz-date", "\n")], "IncompleteSignature", "printable ASCII"),
    (signed(Signature=SIGNATURE.upper()), "IncompleteSignature", "64 hexadecimal"),
    (signed(Signature=SIGNATURE[1:]), "IncompleteSignature", "64 hexadecimal"),
    (signed(Signature=SIGNATURE + "00"), "IncompleteSignature", "64 hexadecimal"),
    (signed(SignedHeaders="x-amz-date;host"), "IncompleteSignature", "sorted"),
    (signed(SignedHeaders="Host;x-amz-date"), "IncompleteSignature", "lower case"),
    (signed(SignedHeaders="host;host"), "IncompleteSignature", "each once"),
    (signed(SignedHeaders=";host"), "IncompleteSignature", "each once"),
    (signed(SignedHeaders="host;"), "IncompleteSignature", "each once"),
    # the scope
    (scoped("AKIDEXAMPLE"), "IncompleteSignature", "exactly 5 slash-delimited elements"),
    (scoped("AKIDEXAMPLE/20261124/us-east-1/docs"), "IncompleteSignature", "exactly 5"),
    (scoped("AKIDEXAMPLE/20261124/us-east-1/docs/x/aws4_request"), "IncompleteSignature", "exactly 5"),
    (scoped("AKIDEXAMPLE/20261124/us-east-1/docs/aws5_request"), "SignatureDoesNotMatch", "valid terminator"),
    (scoped("AKIDEXAMPLE/2026-11-24/us-east-1/docs/aws4_request"), "IncompleteSignature", "8 digits"),
    (scoped("AKIDEXAMPLE/٢٠٢٦١١٢٤/us-east-1/docs/aws4_request"), "IncompleteSignature", "ASCII"),
    (scoped("AKIDEXAMPLE/20261124//docs/aws4_request"), "IncompleteSignature", "region and a service"),
    (scoped("AKIDEXAMPLE/20261124/us-east-1//aws4_request"), "IncompleteSignature", "region and a service"),
    (scoped("AKIDEXAMPLE/20261124/us east/docs/aws4_request"), "IncompleteSignature", "region and a service"),
    (scoped("AK/20261124/us-east-1/docs/aws4_request"), "InvalidClientTokenId", BAD_TOKEN),
    (scoped("/20261124/us-east-1/docs/aws4_request"), "InvalidClientTokenId", BAD_TOKEN),
    (scoped("A" * 129 + "/20261124/us-east-1/docs/aws4_request"), "InvalidClientTokenId", BAD_TOKEN),
    # the time
    ([("authorization", GOOD), STAMP, STAMP], "IncompleteSignature", "expected one header, got 2"),
    ([("authorization", GOOD), ("date", "x"), ("date", "x")], "IncompleteSignature", "expected one header, got 2"),
    *(
        (
            [("authorization", GOOD), (name, text)],
            "IncompleteSignature",
            "Date must be in ISO-8601 'basic format'. Got ",
        )
        for name, text in [
            ("x-amz-date", ""),
            ("x-amz-date", "2026-11-24T00:00:00Z"),
            ("x-amz-date", "20261124T000000"),
            ("x-amz-date", "20261324T000000Z"),
            ("x-amz-date", "20261124T250000Z"),
            ("x-amz-date", "00000101T000000Z"),
            ("x-amz-date", "Tue, 24 Nov 2026 10:00:00 GMT"),
            ("date", "yesterday"),
            ("date", "Tue, 42 Nov 2026 10:00:00 GMT"),
            ("date", "Tue, 24 Nov 2026 10:00:00 GMT (" + "x" * 64 + ")"),
            ("date", "Fri, 31 Dec 9999 23:00:00 -2300"),
            ("date", "Tue, 01 Jan 0999 00:00:00 GMT"),
        ]
    ),
    # API keys
    ([("authorization", "Bearer")], "InvalidClientTokenId", BAD_TOKEN),
    ([("authorization", "Bearer ")], "InvalidClientTokenId", BAD_TOKEN),
    ([("authorization", f"Bearer {KEY[:-1]}0")], "InvalidClientTokenId", BAD_TOKEN),
    ([("authorization", f"Bearer {KEY} {KEY}")], "InvalidClientTokenId", BAD_TOKEN),
    ([("authorization", "Bearer eyJhbGciOiJub25lIn0.e30")], "InvalidClientTokenId", BAD_TOKEN),
    ([("authorization", "Bearer a.b.c.d.e")], "InvalidClientTokenId", BAD_TOKEN),
    ([("x-api-key", "e30.e30.c2ln")], "InvalidClientTokenId", BAD_TOKEN),
    ([("x-api-key", "")], "InvalidClientTokenId", BAD_TOKEN),
    ([("x-api-key", f"Bearer {KEY}")], "InvalidClientTokenId", BAD_TOKEN),
    ([("x-api-key", KEY + "é")], "IncompleteSignature", "ASCII"),
    # half a credential
    ([("x-amz-security-token", "t")], "IncompleteSignature", "a signature with the session token"),
]


@table(("headers", "code", "sentence"), REFUSED)
def test_malformed_credential_is_refused(headers: list[tuple[str, str]], code: str, sentence: str) -> None:
    """With AWS's code, never as anonymous."""
    with pytest.raises(CredentialError) as caught:
        extracted(*headers)
    assert caught.value.code == code
    assert sentence in caught.value.message
    assert SIGNATURE not in str(caught.value)
    assert SECRET not in str(caught.value)


FLOODS = [
    "AWS4-HMAC-SHA256 " + "," * 2**20,
    "AWS4-HMAC-SHA256 " + "Credential=," * 2**16,
    "Bearer " + "igk_" * 2**18,
    "A" * 2**20,
    " " * 2**20,
    "AWS4-HMAC-SHA256 Credential=" + "a/" * 2**19,
    f"AWS4-HMAC-SHA256 {CREDENTIAL}, SignedHeaders=" + "a;" * 2**19,
]


@table("text", FLOODS)
def test_long_header_is_refused_quickly(text: str) -> None:
    """A mebibyte of Authorization costs less than 5 ms."""
    flood = request(("authorization", text))
    assert claimed_credential(flood)[0] in {"sigv4", "api-key", "unknown"}

    def refuse() -> None:
        claimed_credential(flood)
        with pytest.raises(RequestTooLarge):
            extract(flood, max_header=64 * 1024)

    assert effort(refuse) < 5


@table("text", FLOODS)
def test_long_header_takes_linear_time(text: str) -> None:
    """Also if the limit is set high."""

    def refuse() -> None:
        with pytest.raises(CredentialError):
            extract(request(("authorization", text)), max_header=2**22)

    assert effort(refuse, rounds=1) < 500


def test_limit_applies_to_all_headers_together() -> None:
    """Names and values of all headers count, to the byte."""
    one = request(("abc", "defg"), ("h", "i"))
    assert extract(one, max_header=9) == NoCredential()
    with pytest.raises(RequestTooLarge):
        extract(one, max_header=8)


@table(
    ("headers", "query", "expected"),
    [
        ([("authorization", GOOD)], b"", ("sigv4", "AKIDEXAMPLE")),
        ([("authorization", f" {GOOD}")], b"", ("sigv4", "AKIDEXAMPLE")),
        ([("authorization", "AWS4-HMAC-SHA256 Credential=a")], b"", ("sigv4", None)),
        ([("authorization", " " * 9000 + GOOD)], b"", ("sigv4", "AKIDEXAMPLE")),
        ([("authorization", GOOD.replace(" ", " " * 9000, 1))], b"", ("sigv4", "AKIDEXAMPLE")),
        ([("authorization", f"Bearer\t{KEY}")], b"", ("api-key", "K7Q2EXAMPLE")),
        ([("authorization", f"Bearer {KEY}")], b"", ("api-key", "K7Q2EXAMPLE")),
        ([("authorization", "Bearer e30.e30.")], b"", ("oidc", None)),
        ([("authorization", "Bearer e30.e30")], b"", ("api-key", None)),
        ([("x-api-key", KEY)], b"", ("api-key", "K7Q2EXAMPLE")),
        ([("authorization", "Basic e30")], b"", ("unknown", None)),
        ([], b"X-Amz-Signature=0", ("sigv4", None)),
        ([], b"X-Amz-Credential=AKIDEXAMPLE%2F20261124%2Fx", ("sigv4", "AKIDEXAMPLE")),
        ([], b"x-amz-Credential=%20", ("sigv4", None)),
        ([], b"AWSAccessKeyId=AKIDEXAMPLE&Signature=c2ln", ("unknown", None)),
        ([("authorization", GOOD.replace("HMAC", "ECDSA-P256"))], b"", ("sigv4", "AKIDEXAMPLE")),
        ([("host", "h")], b"a=b", ("none", None)),
    ],
)
def test_claim_is_read_unverified(
    headers: list[tuple[str, str]], query: bytes, expected: tuple[str, str | None]
) -> None:
    """What the audit trail and the caches use before verification."""
    received = request(*headers, query=query)
    assert claimed_credential(received) == expected


pieces = st.sampled_from(
    f"AWS4-HMAC-SHA256|Credential=|SignedHeaders=|Signature=|aws4_request|AKIDEXAMPLE|20261124|host|{SIGNATURE}|"
    f"Bearer |igk_|{KEY}|AWS | |,|=|/|;|\t|\xff".encode("latin-1").split(b"|")
)
blanks = st.sampled_from([b"", b" ", b"\t", b" \t ", b" " * 2000])
near_misses = st.tuples(
    blanks,
    st.sampled_from([b"AWS4-HMAC-SHA256", b"Bearer", b"bearer"]),
    blanks,
    st.sampled_from([GOOD[17:], KEY]),
    blanks,
).map(lambda parts: b"".join(part if isinstance(part, bytes) else part.encode() for part in parts))
header_texts = st.one_of(st.binary(max_size=60), st.lists(pieces, max_size=14).map(b"".join), near_misses)
header_names = st.sampled_from([b"authorization", b"x-api-key", b"x-amz-date", b"date", b"x-amz-security-token"])


@settings(max_examples=500)
@given(
    st.lists(st.tuples(header_names, header_texts), max_size=4)
    | near_misses.map(lambda text: [(b"authorization", text), (b"x-amz-date", b"20261124T000000Z")]),
    st.binary(max_size=60),
)
def test_any_request_is_parsed_or_refused(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    """Any bytes have a credential, none, or an `IamGuardError`."""
    received = HttpRequest("GET", b"/", query, tuple(headers))
    claimed = claimed_credential(received)
    try:
        found = extract(received, max_header=64 * 1024)
    except IamGuardError:
        return
    assert claim_of(found) == claimed
