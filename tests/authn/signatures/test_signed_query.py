"""Presigned requests: the format of a signature in the query, its lifetime, and botocore's presigned URLs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from unittest import mock
from urllib.parse import parse_qsl, quote, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from iam_guard.authn.credential import extract
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import NoCredential, SigV4Credential
from iam_guard.errors import CredentialError, IncompleteSignature, SignatureDoesNotMatch
from tests.authn.signing import ALICE, KEY_ID, NOW, SECRET, STAMP, Received, authenticated, with_header
from tests.tables import table

SIGNATURE = "0123456789abcdef" * 4
SCOPE = f"{KEY_ID}/20261124/eu-west-1/docs/aws4_request"
GOOD = {
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": SCOPE,
    "X-Amz-Date": STAMP,
    "X-Amz-Expires": "600",
    "X-Amz-SignedHeaders": "host",
    "X-Amz-Signature": SIGNATURE,
}
ECDSA = {
    **GOOD,
    "X-Amz-Algorithm": "AWS4-ECDSA-P256-SHA256",
    "X-Amz-Credential": f"{KEY_ID}/20261124/docs/aws4_request",
    "X-Amz-Region-Set": "eu-*,us-east-1",
    "X-Amz-Signature": "30" * 70,
}


def query(parameters: dict[str, str], *, without: str = "", more: str = "", **changed: str) -> bytes:
    """Return the query; `X_Amz_Date="…"` changes a parameter."""
    everything = {**parameters, **{name.replace("_", "-"): value for name, value in changed.items()}}
    pairs = [f"{name}={quote(value, safe='')}" for name, value in everything.items() if name != without]
    return ("&".join(pairs) + more).encode()


def read(text: bytes, *headers: tuple[bytes, bytes]) -> object:
    return extract(HttpRequest("GET", b"/", text, ((b"host", b"h"), *headers)), max_header=64 * 1024)


def test_presigned_query_is_parsed() -> None:
    """Every part of the signature, and its lifetime."""
    assert read(query(GOOD, more="&a=b")) == SigV4Credential(
        KEY_ID, "20261124", "eu-west-1", "docs", ("host",), SIGNATURE, STAMP, is_presigned=True, expires=600
    )
    assert read(query(ECDSA, X_Amz_Security_Token="a+b/c=")) == SigV4Credential(
        KEY_ID,
        "20261124",
        "eu-*,us-east-1",
        "docs",
        ("host",),
        "30" * 70,
        STAMP,
        "a+b/c=",
        "AWS4-ECDSA-P256-SHA256",
        is_presigned=True,
        expires=600,
    )


def test_presigned_query_without_expires_is_parsed() -> None:
    """Some SDKs omit `X-Amz-Expires`, and AWS's STS accepts that."""
    found = read(query(GOOD, without="X-Amz-Expires"))
    assert isinstance(found, SigV4Credential)
    assert found.expires is None


@table("name", ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature"])
def test_incomplete_presigned_query_is_refused(name: str) -> None:
    """All missing parts are named."""
    with pytest.raises(IncompleteSignature) as caught:
        read(query({name: GOOD[name]}))
    others = [each for each in GOOD if each not in (name, "X-Amz-Expires")]
    assert all(f"AWS query-string parameters must include '{other}'." in caught.value.message for other in others)
    assert caught.value.message.endswith("Re-examine the query-string parameters.")


def test_other_amz_parameters_are_no_signature() -> None:
    """`X-Amz-Date` and the like alone belong to the application."""
    assert read(b"X-Amz-Date=1&X-Amz-Expires=2&x-amz-acl=private&Signature=x") == NoCredential()


NOT_SUPPORTED = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
REFUSED = [
    # Signature Version 2
    (b"AWSAccessKeyId=AKID&Signature=c2ln&Expires=1", "IncompleteSignature", NOT_SUPPORTED),
    (b"awsaccesskeyid=AKID", "IncompleteSignature", NOT_SUPPORTED),
    (b"AWS%41ccessKeyId=AKID", "IncompleteSignature", NOT_SUPPORTED),
    (query(GOOD, more="&AWSAccessKeyId=AKID"), "IncompleteSignature", NOT_SUPPORTED),
    # twice, or otherwise than signers write it
    *(
        (query(GOOD, more=f"&{name}={value}"), "IncompleteSignature", "once, got one twice")
        for name, value in GOOD.items()
    ),
    (query(GOOD, more="&x-amz-signature="), "IncompleteSignature", "once, got one twice"),
    (query(GOOD, more="&X%2DAmz-Date=1"), "IncompleteSignature", "once, got one twice"),
    (query(GOOD, more="&x-amz-acl=a&X-Amz-Acl=b"), "IncompleteSignature", "once, got one twice"),
    (query(GOOD).replace(b"X-Amz-Signature", b"x-amz-signature"), "IncompleteSignature", "`X-Amz-Signature` with this"),
    (query(GOOD).replace(b"X-Amz-Sig", b"X-Amz%2DSig"), "IncompleteSignature", "not percent-encoded"),
    # its parts
    (query(GOOD, without="X-Amz-Date"), "IncompleteSignature", "must include 'X-Amz-Date'. Re-examine"),
    (query(GOOD, X_Amz_Signature=""), "IncompleteSignature", "must include 'X-Amz-Signature'. Re-examine"),
    (query(GOOD, X_Amz_Algorithm="AWS4-HMAC-SHA512"), "IncompleteSignature", "X-Amz-Algorithm only supports"),
    (query(GOOD, X_Amz_Algorithm="AWS4-ECDSA-P256-SHA256"), "IncompleteSignature", "must include 'X-Amz-Region-Set'"),
    (query(ECDSA, X_Amz_Credential=SCOPE), "IncompleteSignature", "exactly 4 slash-delimited elements"),
    (query(ECDSA, X_Amz_Region_Set="eu-[a-z]"), "IncompleteSignature", "expected a comma-separated set"),
    (query(ECDSA, X_Amz_Region_Set="a," * 40 + "b"), "IncompleteSignature", "expected a comma-separated set"),
    (query(ECDSA, X_Amz_Signature="30" * 73), "IncompleteSignature", "16 to 144 hexadecimal"),
    (query(ECDSA, X_Amz_Signature="3" * 71), "IncompleteSignature", "16 to 144 hexadecimal"),
    (query(GOOD, X_Amz_Signature=SIGNATURE.upper()), "IncompleteSignature", "64 hexadecimal"),
    (query(GOOD, X_Amz_Credential="a/b"), "IncompleteSignature", "exactly 5 slash-delimited elements"),
    (query(GOOD, X_Amz_SignedHeaders="Host"), "IncompleteSignature", "lower case"),
    (query(GOOD, X_Amz_Date="Tue, 24 Nov 2026 10:00:00 GMT"), "IncompleteSignature", "ISO-8601 'basic format'"),
    (query(GOOD, X_Amz_Security_Token="é"), "IncompleteSignature", "printable ASCII"),
    # how long
    (query(GOOD, X_Amz_Expires="soon"), "SignatureDoesNotMatch", "X-Amz-Expires should be a number"),
    (query(GOOD, X_Amz_Expires=""), "SignatureDoesNotMatch", "X-Amz-Expires should be a number"),
    (query(GOOD, X_Amz_Expires="1.5"), "SignatureDoesNotMatch", "X-Amz-Expires should be a number"),
    (query(GOOD, X_Amz_Expires="٦"), "IncompleteSignature", "printable ASCII"),
    (query(GOOD, X_Amz_Expires="-1"), "SignatureDoesNotMatch", "X-Amz-Expires must be non-negative"),
    (query(GOOD, X_Amz_Expires="0"), "SignatureDoesNotMatch", "at least 1 second"),
    (query(GOOD, X_Amz_Expires="604801"), "SignatureDoesNotMatch", "must be less than 604800 seconds"),
]


@table(("text", "code", "sentence"), REFUSED)
def test_malformed_presigned_query_is_refused(text: bytes, code: str, sentence: str) -> None:
    """Signature Version 2, repeated parameters, missing or malformed parts."""
    with pytest.raises(CredentialError) as caught:
        read(text)
    assert caught.value.code == code
    assert sentence in caught.value.message
    assert SIGNATURE not in str(caught.value)


def test_presigned_query_with_second_credential_is_refused() -> None:
    """Neither is verified."""
    for header in ((b"authorization", b"AWS4-HMAC-SHA256 x"), (b"authorization", b"Bearer x"), (b"x-api-key", b"x")):
        with pytest.raises(IncompleteSignature, match="got several"):
            read(query(GOOD), header)
    with pytest.raises(IncompleteSignature, match="in the query"):
        read(query(GOOD), (b"x-amz-security-token", b"t"))


# --- what botocore presigns --------------------------------------------------------------------------------------


def presigned(
    url: str = "http://127.0.0.1:8000/documents/42?b=2&a=1",
    *,
    method: str = "GET",
    body: bytes = b"",
    expires: int = 600,
    service: str = "docs",
    token: str | None = None,
    signer: type[botocore.auth.SigV4QueryAuth] = botocore.auth.SigV4QueryAuth,
    headers: dict[str, str] | None = None,
) -> Received:
    """Presign with botocore, without the body, which is sent later."""
    request = AWSRequest(method, url, headers=headers or {})
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        signer(Credentials(KEY_ID, SECRET, token), service, "eu-west-1", expires=expires).add_auth(request)
    parts = urlsplit(request.url)
    host = parts.netloc.encode()
    sent = tuple((name.lower().encode(), value.encode()) for name, value in request.headers.items())
    return Received(HttpRequest(method, parts.path.encode(), parts.query.encode(), ((b"host", host), *sent)), body)


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=6).map(lambda text: quote(text, safe="-_.~"))
urls = st.builds(
    lambda path, pairs: f"http://127.0.0.1:8000/{path}?" + "&".join(f"{name}={value}" for name, value in pairs),
    st.lists(words, max_size=3).map("/".join),
    st.lists(st.tuples(words.filter(bool), words), max_size=3, unique_by=lambda pair: pair[0]),
)


@settings(max_examples=200, deadline=None)
@given(urls, st.sampled_from(["GET", "PUT", "DELETE"]), st.integers(1, 604_800))
def test_botocore_presigned_url_is_accepted(url: str, method: str, expires: int) -> None:
    """Until the second of its expiry, and not before its time."""
    one = presigned(url, method=method, expires=expires)
    principal = authenticated(one)
    assert principal == ALICE
    assert principal.credential is not None
    assert (principal.credential.kind, principal.credential.service) == ("sigv4", "docs")
    assert authenticated(one, now=NOW + timedelta(seconds=expires)) == ALICE
    assert authenticated(one, now=NOW - timedelta(seconds=300)) == ALICE
    for late in (timedelta(seconds=expires + 1), timedelta(days=8), timedelta(seconds=-301)):
        with pytest.raises(SignatureDoesNotMatch, match=r"Signature (expired|not yet current)"):
            authenticated(one, now=NOW + late)


def test_expired_presigned_url_has_aws_message() -> None:
    """Counted from `X-Amz-Date`, without clock skew."""
    with pytest.raises(SignatureDoesNotMatch) as caught:
        authenticated(presigned(expires=90), now=NOW + timedelta(seconds=91))
    assert caught.value.message == (
        "Signature expired: 20261124T123015Z is now earlier than 20261124T123016Z (20261124T123146Z - 1.5 min.)"
    )


def test_presigned_url_without_expires_lasts_clock_skew() -> None:
    """Five minutes, the setting `clock_skew`."""
    request = AWSRequest("GET", "http://127.0.0.1:8000/d")
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        signer = botocore.auth.SigV4QueryAuth(Credentials(KEY_ID, SECRET), "docs", "eu-west-1")
        with mock.patch.dict(signer.__dict__, {"_expires": 1}):
            request.context["timestamp"] = STAMP
            signer._modify_request_before_signing(request)
        request.url = request.url.replace("&X-Amz-Expires=1", "")
        text = signer.string_to_sign(request, signer.canonical_request(request))
        signer._inject_signature_to_request(request, signer.signature(text, request))
    parts = urlsplit(request.url)
    one = Received(HttpRequest("GET", b"/d", parts.query.encode(), ((b"host", b"127.0.0.1:8000"),)))
    assert b"Expires" not in one.request.query_string
    assert authenticated(one, now=NOW + timedelta(seconds=300)) == ALICE
    with pytest.raises(SignatureDoesNotMatch, match="Signature expired"):
        authenticated(one, now=NOW + timedelta(seconds=301))


def test_presigned_body_is_checked() -> None:
    """Except for S3 the signature covers the body's hash; here of an empty body."""
    one = presigned(method="POST")
    assert authenticated(one) == ALICE
    with pytest.raises(SignatureDoesNotMatch):
        authenticated(replace(one, body=b"a=c"))
    with pytest.raises(SignatureDoesNotMatch):
        authenticated(replace(one, body=b"a=c"), unsigned_payload=True)


def test_presigned_url_with_unsigned_amz_header_is_refused() -> None:
    """AWS's services would obey these headers, so they must be signed."""
    with pytest.raises(SignatureDoesNotMatch, match="'X-Amz-Acl' must be a 'SignedHeader'"):
        authenticated(with_header(presigned(), b"x-amz-acl", b"public-read"))


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_presigned_url_with_flipped_bit_is_refused(data: st.DataObject) -> None:
    """Path, query, signature: all of it is signed, but `%2f` equals `%2F`."""
    one = presigned(url="http://127.0.0.1:8000/documents/42?version=7&name=a%20b")
    text = one.request.query_string
    at = data.draw(st.integers(0, len(text) * 8 - 1))
    changed = text[: at // 8] + bytes([text[at // 8] ^ (1 << at % 8)]) + text[at // 8 + 1 :]
    assume(parse_qsl(changed.decode("latin-1")) != parse_qsl(text.decode("latin-1")))
    with pytest.raises(CredentialError):
        authenticated(replace(one, request=replace(one.request, query_string=changed)))


def test_s3_presigned_url_does_not_cover_the_body() -> None:
    """S3's clients do not state it; the route must accept unsigned bodies."""
    one = presigned(method="PUT", body=b"anything", service="s3", signer=botocore.auth.S3SigV4QueryAuth)
    with pytest.raises(SignatureDoesNotMatch):
        authenticated(one)
    assert authenticated(one, unsigned_payload=True) == ALICE
    assert authenticated(replace(one, body=b"another"), unsigned_payload=True) == ALICE
    other = presigned(method="PUT", body=b"anything", service="docs", signer=botocore.auth.S3SigV4QueryAuth)
    with pytest.raises(SignatureDoesNotMatch):
        authenticated(other, unsigned_payload=True)


def test_body_hash_in_the_query_is_used() -> None:
    """`X-Amz-Content-Sha256` equals the header and is signed with the query."""
    plain = "http://127.0.0.1:8000/d?X-Amz-Content-Sha256="
    one = presigned(plain + "UNSIGNED-PAYLOAD", method="PUT", body=b"x", signer=botocore.auth.S3SigV4QueryAuth)
    assert authenticated(one, unsigned_payload=True) == ALICE
    with pytest.raises(IncompleteSignature, match="not accepted here"):
        authenticated(one)
    twice = presigned(plain + "UNSIGNED-PAYLOAD", headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    with pytest.raises(IncompleteSignature, match="expected one value, got 2"):
        authenticated(twice, unsigned_payload=True)
