"""Chunked bodies: AWS's published example, all packet boundaries, and tampering."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from awscrt import checksums as crt
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import ALGORITHM, ASYMMETRIC, SigV4Credential
from iam_guard.authn.signatures.chunked import MIN_CHUNK_SIZE, ChunkedBody
from iam_guard.authn.signatures.sigv4 import signing_key
from iam_guard.authn.signatures.sigv4a import is_asymmetric_signature
from iam_guard.errors import (
    IamGuardError,
    IncompleteSignature,
    MalformedRequest,
    RequestTooLarge,
    SignatureDoesNotMatch,
)
from iam_guard.model.credential import AccessKey
from tests.authn.chunking import Chunker, by_ecdsa, by_hmac, crc32
from tests.authn.signing import ALICE, Received, authenticated
from tests.tables import table

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", SECRET, active=True, principal=ALICE)
THEN = datetime(2013, 5, 24, tzinfo=UTC)
STAMP = "20130524T000000Z"
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CREDENTIAL = SigV4Credential("AKIAIOSFODNN7EXAMPLE", "20130524", "us-east-1", "s3", ("host",), "0" * 64, STAMP)
HMAC_KEY = signing_key(SECRET, "20130524", "us-east-1", "s3")
PRIVATE = ec.generate_private_key(ec.SECP256R1())


# --- the published example -----------------------------------------------------------------------------------------

SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
CHUNKS = [
    ("10000", "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648", b"a" * 65536),
    ("400", "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497", b"a" * 1024),
    ("0", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9", b""),
]
TRAILING_SEED = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
TRAILING_CHUNKS = [
    ("10000", "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2", b"a" * 65536),
    ("400", "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7", b"a" * 1024),
    ("0", "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992", b""),
]
TRAILER = (
    b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
    b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
)


def published(seed: str, chunks: Sequence[tuple[str, str, bytes]], *, has_trailer: bool) -> tuple[Received, bytes]:
    """Return the request of the example and its encoded body."""
    headers = {
        "content-encoding": "aws-chunked",
        "content-length": "66824",
        "host": "s3.amazonaws.com",
        "x-amz-content-sha256": SIGNED,
        "x-amz-date": STAMP,
        "x-amz-decoded-content-length": "66560",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
    }
    if has_trailer:
        headers |= {"x-amz-content-sha256": f"{SIGNED}-TRAILER", "x-amz-trailer": "x-amz-checksum-crc32c"}
        del headers["content-length"]
    scope = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
    names = ";".join(sorted(headers))
    authorization = f"{ALGORITHM} Credential={scope}, SignedHeaders={names}, Signature={seed}"
    pairs = [(name.encode(), value.encode()) for name, value in [*headers.items(), ("authorization", authorization)]]
    pieces = [
        f"{size};chunk-signature={each}\r\n".encode() + (content + b"\r\n" if content else b"")
        for size, each, content in chunks
    ]
    end = TRAILER if has_trailer else b"\r\n"
    request = HttpRequest("PUT", b"/examplebucket/chunkObject.txt", b"", tuple(pairs))
    return Received(request), b"".join(pieces) + end


@table(
    ("seed", "chunks", "has_trailer"),
    [(SEED, CHUNKS, False), (TRAILING_SEED, TRAILING_CHUNKS, True)],
    ids=["chunks", "with a trailer"],
)
def test_published_example_verifies(seed: str, chunks: Sequence[tuple[str, str, bytes]], has_trailer: bool) -> None:
    """The signatures of request, chunks and trailer are those of AWS's documentation."""
    one, body = published(seed, chunks, has_trailer=has_trailer)
    stated = f"{SIGNED}-TRAILER" if has_trailer else SIGNED
    decoder = ChunkedBody(one.request, stated, max_chunk=2**20, max_body_size=2**20)
    assert authenticated(one, access_key=KEY, now=THEN, chunks=decoder) == ALICE
    assert decoder.receive(body) == b"a" * 66560
    decoder.finish()
    assert decoder.length == 66560


# --- every way to cut it ------------------------------------------------------------------------------------------


def decoder(stated: str, length: int, trailer: str | None = None, *, max_chunk: int = 2**20) -> ChunkedBody:
    headers = [(b"x-amz-decoded-content-length", str(length).encode())]
    if trailer is not None:
        headers.append((b"x-amz-trailer", trailer.encode()))
    request = HttpRequest("PUT", b"/", b"", tuple(headers))
    made = ChunkedBody(request, stated, max_chunk=max_chunk, max_body_size=2**24)
    if "ECDSA" in stated:
        made.begin(
            CREDENTIAL._replace(algorithm=ASYMMETRIC),
            lambda signature, text: is_asymmetric_signature(PRIVATE.public_key(), signature, text),
        )
    else:
        made.begin(CREDENTIAL, lambda signature, text: signature == HMAC_KEY.signature(text))
    return made


def chunker(stated: str) -> Chunker:
    if "ECDSA" in stated:
        return Chunker(STAMP, "20130524/s3/aws4_request", "0" * 64, by_ecdsa(PRIVATE), ASYMMETRIC)
    sign = by_hmac(SECRET, "20130524", "us-east-1", "s3", "aws4_request") if "HMAC" in stated else None
    return Chunker(STAMP, CREDENTIAL.scope, "0" * 64, sign)


KINDS = [
    SIGNED,
    f"{SIGNED}-TRAILER",
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
    UNSIGNED,
]
CHECKSUM = "x-amz-checksum-crc32"


def made(stated: str, chunks: Sequence[bytes]) -> tuple[ChunkedBody, bytes]:
    """Return a decoder and a body for it."""
    content = b"".join(chunks)
    trailer = [(CHECKSUM, crc32(content))] if stated.endswith("TRAILER") else []
    body = chunker(stated).encode(chunks, trailer)
    return decoder(stated, len(content), CHECKSUM if trailer else None), body


def through(decoding: ChunkedBody, parts: Sequence[bytes]) -> bytes:
    content = b"".join([decoding.receive(part) for part in parts])
    decoding.finish()
    return content


contents = st.lists(st.integers(0, 255).map(lambda byte: bytes([byte]) * MIN_CHUNK_SIZE), max_size=3).flatmap(
    lambda full: st.binary(max_size=40).map(lambda last: [*full, last] if last else full)
)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(KINDS), contents, st.lists(st.integers(0, 40_000), max_size=6))
def test_body_is_decoded_for_any_packet_sizes(stated: str, chunks: list[bytes], cuts: list[int]) -> None:
    """The network's packet boundaries do not matter."""
    decoding, body = made(stated, chunks)
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    parts = [body[begin:end] for begin, end in pairwise(places)]
    assert through(decoding, parts) == b"".join(chunks)


@table("stated", KINDS)
def test_body_is_decoded_byte_by_byte(stated: str) -> None:
    """Every state waits for the bytes it needs."""
    decoding, body = made(stated, [b"x" * MIN_CHUNK_SIZE, b"yz"])
    assert through(decoding, [bytes([byte]) for byte in body]) == b"x" * MIN_CHUNK_SIZE + b"yz"


@table("stated", [kind for kind in KINDS if kind != UNSIGNED])
def test_signed_chunk_is_withheld_until_verified(stated: str) -> None:
    """It is buffered up to its last byte."""
    decoding, body = made(stated, [b"x" * MIN_CHUNK_SIZE, b"yz"])
    head = body.index(b"\r\n") + 2
    assert decoding.receive(body[: head + MIN_CHUNK_SIZE + 1]) == b""
    assert decoding.receive(body[head + MIN_CHUNK_SIZE + 1 : head + MIN_CHUNK_SIZE + 2]) == b"x" * MIN_CHUNK_SIZE


# --- tampered with -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stated", KINDS)
@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_body_with_flipped_bit_is_refused(stated: str, data: st.DataObject) -> None:
    """Sizes, signatures, content, line breaks, trailer: withheld content is never returned (issue E).

    White space around a trailer's value, and the case of its name and of a size, are insignificant.
    """
    decoding, body = made(stated, [b"x" * MIN_CHUNK_SIZE, b"yz"])
    at = data.draw(st.integers(0, len(body) * 8 - 1) | st.integers((len(body) - 400) * 8, len(body) * 8 - 1))
    changed = body[: at // 8] + bytes([body[at // 8] ^ (1 << at % 8)]) + body[at // 8 + 1 :]
    if _means_the_same(changed, body, at // 8):
        return
    with pytest.raises(IamGuardError) as caught:
        through(decoding, [changed])
    assert isinstance(caught.value, (SignatureDoesNotMatch, MalformedRequest, RequestTooLarge))


def _means_the_same(changed: bytes, body: bytes, at: int) -> bool:
    """Return whether a trailer's name changed in letter case only, which is allowed."""
    line = body.rfind(b"\n", 0, at) + 1
    is_name = body[line : line + 6] == b"x-amz-" and b":" not in body[line:at]
    return is_name and changed.lower() == body.lower()


def test_moved_omitted_or_repeated_chunk_is_refused() -> None:
    """Each signature covers the previous one."""
    first, second = b"1" * MIN_CHUNK_SIZE, b"2" * MIN_CHUNK_SIZE
    pieces = chunker(SIGNED).pieces([first, second])
    end = b"\r\n"
    for wrong in ([1, 0, 2], [0, 0, 1, 2], [0, 2], [1, 2], [2], [0, 1]):
        for length in (MIN_CHUNK_SIZE, 2 * MIN_CHUNK_SIZE, 3 * MIN_CHUNK_SIZE, 0):
            decoding = decoder(SIGNED, length)
            with pytest.raises(IamGuardError):
                through(decoding, [b"".join(pieces[each] for each in wrong) + end])
    assert through(decoder(SIGNED, 2 * MIN_CHUNK_SIZE), [b"".join(pieces) + end]) == first + second


def test_chunk_of_another_request_is_refused() -> None:
    """The chain starts with the request's signature."""
    decoding, _ = made(SIGNED, [b"x"])
    other = Chunker(STAMP, CREDENTIAL.scope, "1" * 64, chunker(SIGNED).sign)
    with pytest.raises(SignatureDoesNotMatch):
        decoding.receive(other.encode([b"x"]))


@table("stated", KINDS)
def test_truncated_body_is_refused(stated: str) -> None:
    """At any position, by `finish`."""
    chunks = [b"x" * MIN_CHUNK_SIZE, b"yz"]
    _, body = made(stated, chunks)
    for end in [0, 5, 100, MIN_CHUNK_SIZE, *range(len(body) - 60, len(body))]:
        decoding, _ = made(stated, chunks)
        with pytest.raises(MalformedRequest, match="ended before"):
            through(decoding, [body[:end]])


BODIES = [
    (b"zz\r\n", "size of a chunk"),
    (b"\r\n", "size of a chunk"),
    (b"-1\r\n", "size of a chunk"),
    (b"0x1\r\n", "size of a chunk"),
    (b"1;a=b\r\n", "size of a chunk"),
    (b"1;chunk-signature=" + b"0" * 64 + b"\r\n", "size of a chunk"),
    (b"1" * 600, "size of a chunk"),
    (b"ffffffffffffffff\r\n", "expected 3 bytes, as announced, got more"),
    (b"4\r\nabcd\r\n", "expected 3 bytes, as announced, got more"),
    (b"3\r\nabcd\r\n", "line break after a chunk"),
    (b"2\r\nab\r\n0\r\n", "expected 3 bytes, as announced, got 2"),
    (b"2\r\nab\r\n1\r\nc\r\n", f"at least {MIN_CHUNK_SIZE} bytes"),
    (b"3\r\nabc\r\n0\r\n\r\n\r\n", "that `x-amz-trailer` announced"),
    (b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\nx", "the end of the body, got more"),
    (b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n0\r\n\r\n", "the end of the body, got more"),
    (b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwh==\r\n\r\n", "The CRC32 you specified did not match"),
    (b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:\r\n\r\n", "The CRC32 you specified did not match"),
    (b"3\r\nabc\r\n0\r\nx-amz-checksum-sha1:NSRBwg==\r\n\r\n", "that `x-amz-trailer` announced"),
    (b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\nx-a:b\r\n\r\n", "that `x-amz-trailer` announced"),
    (b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n", "each name once"),
    (b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\nx-amz-trailer-signature:0\r\n\r\n", "announced"),
    (b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32\r\n\r\n", "names and values"),
    (b"3\r\nabc\r\n0\r\n" + b"x" * 5000, "a trailer of at most"),
]


@table(("body", "sentence"), BODIES, ids=lambda value: value[:40] if isinstance(value, bytes) else "")
def test_malformed_body_is_refused(body: bytes, sentence: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(MalformedRequest, match=sentence):
        through(decoder(UNSIGNED, 3, CHECKSUM), [body])


def test_signed_chunk_needs_signature_and_limited_size() -> None:
    """The limit is an argument."""
    with pytest.raises(MalformedRequest, match="its signature if chunks are signed"):
        decoder(SIGNED, 3).receive(b"3\r\nabc\r\n")
    head = f"{MIN_CHUNK_SIZE:x};chunk-signature={'0' * 64}\r\n".encode()
    with pytest.raises(RequestTooLarge, match="signed chunks of at most 100 bytes"):
        decoder(SIGNED, MIN_CHUNK_SIZE, max_chunk=100).receive(head)


@table(
    ("headers", "stated", "error", "sentence"),
    [
        ([], SIGNED, MalformedRequest, "length of the content"),
        ([("x-amz-decoded-content-length", "x")], SIGNED, MalformedRequest, "length of the content"),
        ([("x-amz-decoded-content-length", "-1")], SIGNED, MalformedRequest, "length of the content"),
        ([("x-amz-decoded-content-length", "1")] * 2, SIGNED, MalformedRequest, "length of the content"),
        ([("x-amz-decoded-content-length", "101")], SIGNED, RequestTooLarge, "at most 100 bytes"),
        ([("x-amz-decoded-content-length", "1"), ("x-amz-trailer", CHECKSUM)], SIGNED, MalformedRequest, "a trailer"),
        ([("x-amz-decoded-content-length", "1")], UNSIGNED, MalformedRequest, "name of one checksum"),
        ([("x-amz-decoded-content-length", "1"), ("x-amz-trailer", "x-a")], UNSIGNED, MalformedRequest, "one checksum"),
        (
            [("x-amz-decoded-content-length", "1"), ("x-amz-trailer", f"{CHECKSUM},x-amz-checksum-sha1")],
            UNSIGNED,
            MalformedRequest,
            "name of one checksum",
        ),
        (
            [("x-amz-decoded-content-length", "1"), ("x-amz-trailer", "x-amz-checksum-md9")],
            UNSIGNED,
            MalformedRequest,
            "with one of crc32, crc32c, crc64nvme, sha1, sha256, got `x-amz-checksum-md9`",
        ),
    ],
)
def test_invalid_announcing_headers_are_refused(
    headers: list[tuple[str, str]], stated: str, error: type[IamGuardError], sentence: str
) -> None:
    """Before a byte of the body is read."""
    request = HttpRequest("PUT", b"/", b"", tuple((name.encode(), value.encode()) for name, value in headers))
    with pytest.raises(error, match=sentence):
        ChunkedBody(request, stated, max_chunk=100, max_body_size=100)


def test_decoder_before_begin_refuses_bytes() -> None:
    """Without a verified request there is no chain."""
    request = HttpRequest("PUT", b"/", b"", ((b"x-amz-decoded-content-length", b"1"),))
    with pytest.raises(SignatureDoesNotMatch):
        ChunkedBody(request, SIGNED, max_chunk=100, max_body_size=100).receive(b"1")


@table("stated", [f"STREAMING-AWS4-{kind}-SHA256-PAYLOAD" for kind in ("HMAC", "ECDSA-P256")])
def test_chunks_need_the_algorithm_of_the_request(stated: str) -> None:
    """Chunked bodies are accepted only with a decoder."""
    one, _ = published(SEED, CHUNKS, has_trailer=False)
    decoding = decoder(SIGNED, 1)
    headers = [pair for pair in one.request.headers if pair[0] != b"x-amz-content-sha256"]
    request = HttpRequest("PUT", b"/", b"", (*headers, (b"x-amz-content-sha256", stated.encode())))
    with pytest.raises(IncompleteSignature if "ECDSA" in stated else SignatureDoesNotMatch):
        authenticated(Received(request), access_key=KEY, now=THEN, chunks=decoding)
    with pytest.raises(IncompleteSignature, match="not accepted here"):
        authenticated(Received(request), access_key=KEY, now=THEN)


# --- checksums ---------------------------------------------------------------------------------------------------

IN_BASE64 = {
    "crc32": lambda content: crc32(content),
    "crc32c": lambda content: _base64(crt.crc32c(content).to_bytes(4, "big")),
    "crc64nvme": lambda content: _base64(crt.crc64nvme(content).to_bytes(8, "big")),
    "sha1": lambda content: _base64(hashlib.sha1(content, usedforsecurity=False).digest()),
    "sha256": lambda content: _base64(hashlib.sha256(content).digest()),
}


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize("name", IN_BASE64)
@settings(max_examples=25, deadline=None)
@given(contents)
def test_checksums_equal_other_implementations(name: str, chunks: list[bytes]) -> None:
    """Compared with hashlib, zlib and awscrt; other content has another checksum."""
    content = b"".join(chunks)
    trailer = f"x-amz-checksum-{name}"
    body = chunker(UNSIGNED).encode(chunks, [(trailer, IN_BASE64[name](content))])
    assert through(decoder(UNSIGNED, len(content), trailer), [body]) == content
    other = chunker(UNSIGNED).encode(chunks, [(trailer, IN_BASE64[name](content + b"."))])
    with pytest.raises(MalformedRequest, match="did not match the calculated checksum"):
        through(decoder(UNSIGNED, len(content), trailer), [other])


def test_checksums_of_missing_library_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never accepted unchecked."""
    from iam_guard.authn.signatures import checksums

    monkeypatch.setattr(checksums, "find_spec", lambda _: None)
    for name in ("crc32c", "crc64nvme"):
        with pytest.raises(MalformedRequest, match=f"got {name}, which requires the extra `uploads`"):
            decoder(UNSIGNED, 1, f"x-amz-checksum-{name}")
    decoder(UNSIGNED, 1, CHECKSUM)
