"""The published vectors: every signature of AWS's own suites verifies, and none after tampering.

For the data and its sources see `tests/cases/signing`.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from awscrt.auth import (
    AwsCredentialsProvider,
    AwsSignatureType,
    AwsSigningAlgorithm,
    AwsSigningConfig,
    aws_sign_request,
)
from awscrt.http import HttpHeaders
from awscrt.http import HttpRequest as CrtRequest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from iam_guard.authn.credential import extract
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import SigV4Credential
from iam_guard.authn.signatures.canonical import canonical_requests, canonical_value
from iam_guard.authn.signatures.sigv4 import signing_key, string_to_sign
from iam_guard.authn.signatures.sigv4a import public_key
from iam_guard.errors import IamGuardError
from iam_guard.model.credential import AccessKey, Session
from tests.authn.known_records import KnownFirst, MemoryRecords
from tests.authn.signing import ALICE, Received, authenticated, with_header
from tests.tables import table

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
THEN = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
KEY = AccessKey("AKIDEXAMPLE", SECRET, active=True, principal=ALICE)
DATA = Path(__file__).resolve().parent.parent / "cases" / "signing"


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


SUITE, CRT_SUITE = rows("sigv4_suite.jsonl"), rows("crt_suite.jsonl")


def received(text: str) -> Received:
    """Parse a request in the suites' format: with spaces in the target and folded header values."""
    head, _, body = text.partition("\n\n")
    first, *lines = head.replace("\n ", "\0 ").split("\n")
    method, _, rest = first.partition(" ")
    path, _, query = rest.rpartition(" ")[0].encode().partition(b"?")
    headers = [line.partition(":") for line in lines]
    pairs = tuple((name.lower().encode(), value.replace("\0", "\r\n").encode()) for name, _, value in headers)
    return Received(HttpRequest(method, path, query, pairs), body.encode())


def session_of(token: str) -> Session:
    """Return a session with the suites' key for the suites' token."""
    end = THEN.replace(year=2016)
    return Session(KEY.id, SECRET, ALICE, issued=THEN, expires=end, parent_key_id="AKIDEXAMPLE")


def verified(one: Received) -> Any:
    return authenticated(one, access_key=KEY, now=THEN, open_session=session_of)


def test_vectors_are_present() -> None:
    """Otherwise the tests below would check nothing."""
    assert len(SUITE) >= 34
    assert {(row["algorithm"], row["placement"]) for row in CRT_SUITE} == {
        ("sigv4a", "header"),
        ("sigv4a", "query"),
        ("sigv4", "query"),
    }


@table("row", SUITE, ids=lambda row: row["name"])
def test_classic_suite_verifies(row: dict[str, Any]) -> None:
    """Canonical request, string to sign and signature are the published ones."""
    one = with_header(received(row["signed"]), b"authorization", row["authorization"].encode())  # one .sreq has another
    credential = extract(one.request, max_header=64 * 1024)
    assert isinstance(credential, SigV4Credential)
    digest = hashlib.sha256(one.body).hexdigest()
    forms = list(canonical_requests(one.request, credential, payload_hash=digest))
    assert row["canonical"].encode() in forms
    text = string_to_sign(credential, row["canonical"].encode())
    assert text.decode() == row["string_to_sign"]
    assert row["authorization"].endswith(signing_key(SECRET, "20150830", "us-east-1", "service").signature(text))
    assert verified(one).arn == ALICE.arn


@table("row", CRT_SUITE, ids=lambda row: f"{row['algorithm']}-{row['placement']}-{row['name']}")
def test_newer_suite_verifies(row: dict[str, Any]) -> None:
    """SigV4A in header and query, and SigV4 in the query; no other secret verifies."""
    one = received(row["signed"])
    assert verified(one).arn == ALICE.arn
    other = replace(KEY, secret=SECRET + "x")
    with pytest.raises(IamGuardError):
        authenticated(one, access_key=other, now=THEN, open_session=lambda _: None)


def test_public_key_equals_published_one() -> None:
    """The key pair that AWS's own tests derive from the example's secret."""
    numbers = public_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "AKIAIOSFODNN7EXAMPLE").public_numbers()
    assert f"{numbers.x:064x}" == "18b7d04643359f6ec270dcbab8dce6d169d66ddc9778c75cfb08dfdb701637ab"
    assert f"{numbers.y:064x}" == "fa36b35e4fe67e3112261d2e17a956ef85b06e44712d2850bcd3c2161e9993f2"


# --- the same requests, signed by awscrt in each way --------------------------------------------------------------

ALGORITHMS = {"sigv4": AwsSigningAlgorithm.V4, "sigv4a": AwsSigningAlgorithm.V4_ASYMMETRIC}
PLACES = {
    "header": AwsSignatureType.HTTP_REQUEST_HEADERS,
    "query": AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS,
}
# awscrt signs a path with spaces or raw UTF-8 as if it were sent so; on the wire it has none.
WAYS = [(algorithm, place, normalise) for algorithm in ALGORITHMS for place in PLACES for normalise in (True, False)]


def signed_by_crt(one: Received, algorithm: str, place: str, *, normalise: bool = True, **further: Any) -> Received:
    """Sign a request of the suite with awscrt."""
    left_out = {b"authorization", b"x-amz-date", b"x-amz-security-token"}
    pairs = [(name.decode(), value.decode()) for name, value in one.request.headers if name not in left_out]
    target = one.request.raw_path + (b"?" + one.request.query_string if one.request.query_string else b"")
    http = HttpHeaders([(name, " ".join(value.split())) for name, value in pairs])
    request = CrtRequest(one.request.method, target.decode(), http, io.BytesIO(one.body))
    config = AwsSigningConfig(
        algorithm=ALGORITHMS[algorithm],
        signature_type=PLACES[place],
        credentials_provider=AwsCredentialsProvider.new_static(KEY.id, SECRET, further.pop("token", None)),
        region=further.pop("region", "us-east-1"),
        service=further.pop("service", "service"),
        date=THEN,
        should_normalize_uri_path=normalise,
        expiration_in_seconds=600 if place == "query" else None,
        **further,
    )
    aws_sign_request(request, config).result()
    path, _, query = request.path.encode().partition(b"?")
    headers = tuple((name.lower().encode(), value.encode()) for name, value in request.headers)
    return Received(HttpRequest(request.method, path, query, headers), one.body)


@table(("algorithm", "place", "normalise"), WAYS)
@table("row", SUITE, ids=lambda row: row["name"])
def test_awscrt_signature_is_accepted(row: dict[str, Any], algorithm: str, place: str, normalise: bool) -> None:
    """Both algorithms, in header and query, with the path normalised and as sent."""
    one = signed_by_crt(received(row["signed"]), algorithm, place, normalise=normalise)
    principal = verified(one)
    assert principal.arn == ALICE.arn
    assert principal.credential is not None
    assert (principal.credential.region, principal.credential.service) == ("us-east-1", "service")


@table("algorithm", ALGORITHMS)
@table("place", PLACES)
@table("omitted", [False, True], ids=["signed", "not signed"])
def test_session_token_is_accepted_signed_or_not(algorithm: str, place: str, omitted: bool) -> None:
    """With both algorithms; some clients add the token after signing."""
    plain = received("GET /a?b=c HTTP/1.1\nHost:example.amazonaws.com\n\n")
    one = signed_by_crt(plain, algorithm, place, token="some+token/==", omit_session_token=omitted)
    opened: list[str] = []

    def open_session(token: str) -> Session:
        opened.append(token)
        return session_of(token)

    principal = authenticated(one, access_key=KEY, now=THEN, open_session=open_session)
    assert principal.credential is not None
    assert principal.credential.kind == "sts"
    assert set(opened) == {"some+token/=="}


# --- tampered with -----------------------------------------------------------------------------------------------

SIGNED = [
    *(with_header(received(row["signed"]), b"authorization", row["authorization"].encode()) for row in SUITE),
    *(received(row["signed"]) for row in CRT_SUITE),
]


def flipped(data: st.DataObject, text: bytes) -> bytes:
    at = data.draw(st.integers(0, len(text) * 8 - 1))
    return text[: at // 8] + bytes([text[at // 8] ^ (1 << at % 8)]) + text[at // 8 + 1 :]


def tampered(data: st.DataObject, one: Received) -> Received:
    """Flip one bit of what was signed, or of the signature."""
    request = one.request
    credential = extract(request, max_header=64 * 1024)
    assert isinstance(credential, SigV4Credential)
    names = [*credential.signed_headers, *([] if credential.is_presigned else ["authorization"])]
    parts = ["method", "path", *(["query"] if request.query_string else []), *(["body"] if one.body else []), *names]
    part = data.draw(st.sampled_from(parts))
    match part:
        case "method":
            return replace(
                one, request=replace(request, method=flipped(data, request.method.encode()).decode("latin-1"))
            )
        case "path":
            return replace(one, request=replace(request, raw_path=flipped(data, request.raw_path)))
        case "query":
            return replace(one, request=replace(request, query_string=flipped(data, request.query_string)))
        case "body":
            return replace(one, body=flipped(data, one.body))
        case _:
            values = list(request.values(part.encode()))
            at = data.draw(st.integers(0, len(values) - 1))
            values[at] = flipped(data, values[at])
            return with_header(one, part.encode(), *values)


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(SIGNED), st.data())
def test_published_vector_with_flipped_bit_is_refused(one: Received, data: st.DataObject) -> None:
    """In method, path, query, signed header, body, credential or signature (issue E)."""
    changed = tampered(data, one)
    assume(_said(changed) != _said(one))
    with pytest.raises(IamGuardError) as caught:
        verified(changed)
    assert caught.value.fault == "sender"


KNOWN = KnownFirst(MemoryRecords(KEY), open_session=session_of, size=1000)
for _one in SIGNED:
    KNOWN.verify(_one, THEN)
IS_KNOWN = [one for one in SIGNED if KNOWN.attempt(one, THEN) is not None]


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(IS_KNOWN), st.data())
def test_known_signer_of_vector_with_flipped_bit_is_refused(one: Received, data: st.DataObject) -> None:
    """The fast path leaves it to the authenticator, which refuses it."""
    changed = tampered(data, one)
    assume(_said(changed) != _said(one))
    assert KNOWN.attempt(changed, THEN) is None
    with pytest.raises(IamGuardError):
        KNOWN.verify(changed, THEN)


def test_vectors_in_plain_form_are_known() -> None:
    """Otherwise the test above would check nothing; the others are encoded, repeated, presigned or asymmetric."""
    assert len(IS_KNOWN) > 10
    for one in IS_KNOWN:
        assert KNOWN.attempt(one, THEN) == KNOWN.verify(one, THEN)


def _said(one: Received) -> object:
    """Return what an application can read from a request, without white space in headers and dot segments."""
    headers = {name: canonical_value(values) for name, values in one.request.by_name.items()}
    kept: list[bytes] = []
    for segment in one.request.raw_path.split(b"/"):
        kept = kept[:-1] if segment == b".." else kept + [segment] * (segment not in (b"", b"."))
    query = sorted(parse_qsl(one.request.query_string.decode("latin-1"), keep_blank_values=True))
    path = kept, bool(kept) and one.request.raw_path.endswith(b"/")
    return one.request.method, path, [pair for pair in query if pair != ("", "")], headers, one.body
