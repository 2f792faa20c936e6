from __future__ import annotations

from unittest import mock
from urllib.parse import parse_qsl

from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import SigV4Credential
from iam_guard.authn.signatures import canonical
from iam_guard.authn.signatures.canonical import canonical_paths, canonical_queries, canonical_requests, canonical_value
from tests.tables import table


@table(
    ("wire", "forms"),
    [
        (b"", [b"/"]),
        (b"/", [b"/"]),
        (b"/a/b", [b"/a/b"]),
        (b"/a/", [b"/a/"]),
        (b"/a%20b", [b"/a%2520b"]),
        (b"/a+b~c:d@e", [b"/a%2Bb~c%3Ad%40e"]),
        (b"/a%2Fb%2e", [b"/a%252Fb%252e"]),
        ("/ሴ".encode(), [b"/%E1%88%B4"]),
        (b"//", [b"/", b"//"]),
        (b"//a//b//", [b"/a/b/", b"//a//b//"]),
        (b"/a/./b", [b"/a/b", b"/a/./b"]),
        (b"/a/../b", [b"/b", b"/a/../b"]),
        (b"/a/..", [b"/", b"/a/.."]),
        (b"/a/.", [b"/a", b"/a/."]),
        (b"/../../a", [b"/a", b"/../../a"]),
        (b"/a/..b/.c/...", [b"/a/..b/.c/..."]),
    ],
)
def test_path_is_encoded_again(wire: bytes, forms: list[bytes]) -> None:
    """Normalised as botocore does, and as sent if that differs."""
    assert list(canonical_paths(wire, "docs")) == forms


@table("service", ["s3", "s3express", "s3-object-lambda", "s3-outposts"])
@table("wire", [b"/a%20b", b"//a/./b/..", b"/a+b", b"/"])
def test_s3_path_is_used_as_sent(service: str, wire: bytes) -> None:
    """S3's keys may contain dot segments and empty segments."""
    assert list(canonical_paths(wire, service)) == [wire]


@table(
    ("wire", "forms"),
    [
        (b"", [b""]),
        (b"a", [b"a="]),
        (b"a=", [b"a="]),
        (b"b=2&a=1", [b"a=1&b=2"]),
        (b"a=2&a=1&A=3", [b"A=3&a=1&a=2"]),
        (b"a-=1&a=2", [b"a=2&a-=1"]),
        (b"a=b=c", [b"a=b=c", b"a=b%3Dc"]),
        (b"a=b%20c", [b"a=b%20c"]),
        (b"a=b+c", [b"a=b+c", b"a=b%20c"]),
        (b"a=b%2Bc", [b"a=b%2Bc"]),
        (b"a=%2f%7e", [b"a=%2f%7e", b"a=%2F~"]),
        (b"a=x/y:z", [b"a=x/y:z", b"a=x%2Fy%3Az"]),
        (b"a=1&&b", [b"=&a=1&b=", b"a=1&b="]),
        (b"=v", [b"=v"]),
        (b"a=%", [b"a=%", b"a=%25"]),
        (b"a=%zz", [b"a=%zz", b"a=%25zz"]),
        ("ሴ=bar".encode(), ["ሴ=bar".encode(), b"%E1%88%B4=bar"]),
    ],
)
def test_query_has_forms_as_sent_and_reencoded(wire: bytes, forms: list[bytes]) -> None:
    """botocore signs a URL's query as sent; curl, Go and AWS re-encode it."""
    assert list(canonical_queries(wire)) == forms


@table(
    ("values", "canonical"),
    [
        ([b"a"], b"a"),
        ([b""], b""),
        ([b"  a   b \t c  "], b"a b c"),
        ([b'"a   b"'], b'"a b"'),
        ([b"b", b" a ", b"b"], b"b,a,b"),
        ([b"a, b"], b"a, b"),
        ([b"a\r\n  b"], b"a b"),
        ([b"\xc3\xa9"], b"\xc3\xa9"),
    ],
)
def test_header_value_is_trimmed_and_joined(values: list[bytes], canonical: bytes) -> None:
    """Runs of white space become one space; repeated headers keep their order."""
    assert canonical_value(values) == canonical


CREDENTIAL = SigV4Credential(
    access_key_id="AKIDEXAMPLE",
    date="20150830",
    region="us-east-1",
    service="service",
    signed_headers=("host", "x-amz-date"),
    signature="0" * 64,
    timestamp="20150830T123600Z",
)


def hosts(received: bytes) -> list[bytes]:
    request = HttpRequest("GET", b"/", b"", ((b"host", received), (b"x-amz-date", b"20150830T123600Z")))
    canonical = canonical_requests(request, CREDENTIAL, payload_hash="e3b0")
    return [text.split(b"\n")[3].removeprefix(b"host:") for text in canonical]


def test_hosts_with_default_port_have_two_forms() -> None:
    """The received host, then without a default port."""
    assert hosts(b"h:8000") == [b"h:8000"]
    assert hosts(b"h:443") == [b"h:443", b"h"]
    assert hosts(b"h:80") == [b"h:80", b"h"]
    assert hosts(b"[::1]") == [b"[::1]"]


def test_canonical_request_has_published_form() -> None:
    """Method, path, query, headers, a blank line, header names, hash."""
    request = HttpRequest(
        "GET", b"/", b"b=2&a=1", ((b"x-amz-date", b" 20150830T123600Z"), (b"host", b"example.com"), (b"other", b"x"))
    )
    [canonical] = canonical_requests(request, CREDENTIAL, payload_hash="e3b0")
    assert canonical == (b"GET\n/\na=1&b=2\nhost:example.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\ne3b0")


def test_further_forms_are_lazy() -> None:
    """The first form nearly always verifies; the query is re-encoded only if it does not."""
    request = HttpRequest("GET", b"/a", b"a=b+c", ((b"host", b"h"), (b"x-amz-date", b"20150830T123600Z")))
    with mock.patch.object(canonical, "_reencoded", side_effect=AssertionError):
        forms = canonical_requests(request, CREDENTIAL, payload_hash="e3b0")
        assert b"\na=b+c\n" in next(forms)
    forms = canonical_requests(request, CREDENTIAL, payload_hash="e3b0")
    assert [form.split(b"\n")[2] for form in forms] == [b"a=b+c", b"a=b%20c"]


def test_forms_of_host_path_and_query_are_combined() -> None:
    """Each once, the query changing first."""
    request = HttpRequest("GET", b"/a//b", b"a=b+c", ((b"host", b"h:80"), (b"x-amz-date", b"20150830T123600Z")))
    forms = canonical_requests(request, CREDENTIAL, payload_hash="e3b0")
    assert [tuple(form.split(b"\n")[1:4]) for form in forms] == [
        (path, query, b"host:" + host)
        for host in (b"h:80", b"h")
        for path in (b"/a/b", b"/a//b")
        for query in (b"a=b+c", b"a=b%20c")
    ]


@table("byte", range(256))
def test_reserved_bytes_are_encoded(byte: int) -> None:
    """Letters, digits and `-._~` are kept, as in RFC 3986; in a path the slash too."""
    text = bytes([byte, byte])
    unreserved = text.decode("latin-1").isascii() and (text.isalnum() or text in {b"--", b"..", b"__", b"~~"})
    encoded = text if unreserved else b"%%%02X" % byte * 2
    if text != b"//":
        assert canonical_paths(b"/x" + text, "docs")[0] == b"/x" + encoded
    if text not in {b"++", b"%%", b"==", b"&&"}:
        assert canonical_queries(b"a=" + text)[-1] == b"a=" + encoded


wires = st.text("ab/.%2Fe50+&=;~:", max_size=10).map(str.encode)
QUERY_TOKENS = [b"a", b"+", b"%2B", b"%2b", b"%20", b"%2520", b"%252B", b"%25", b"%", b"=", b"%3D", b"&", b"%26", b"/"]
PATH_TOKENS = [b"a", b"/", b".", b"..", b"%2e", b"%252e", b"%2F", b"%252F", b"%20", b"%2520", b"+", b"%2B", b"/"]


def twins(tokens: list[bytes]) -> st.SearchStrategy[tuple[bytes, bytes]]:
    """Two texts that differ in one token, in the order, or not at all."""
    token = st.sampled_from(tokens)
    changed = st.tuples(st.lists(token, max_size=3), token, token, st.lists(token, max_size=3)).map(
        lambda parts: (b"".join([*parts[0], parts[1], *parts[3]]), b"".join([*parts[0], parts[2], *parts[3]]))
    )
    moved = st.lists(token, max_size=5).flatmap(lambda parts: st.tuples(st.just(parts), st.permutations(parts)))
    return changed | moved.map(lambda both: (b"".join(both[0]), b"".join(both[1])))


@settings(max_examples=1000)
@given(twins(QUERY_TOKENS))
def test_queries_with_a_common_form_are_equivalent(pair: tuple[bytes, bytes]) -> None:
    """INVARIANT: a signature for one query is never valid for a different one."""
    one, other = pair
    if set(canonical_queries(one)) & set(canonical_queries(other)):
        assert _meaning(one) == _meaning(other)


@given(wires)
def test_every_form_of_a_query_keeps_its_meaning(wire: bytes) -> None:
    """INVARIANT: canonicalization does not change the meaning."""
    for form in canonical_queries(wire):
        assert _meaning(form) == _meaning(wire)


def _meaning(query: bytes) -> list[tuple[str, str]]:
    pairs = parse_qsl(query.decode(), keep_blank_values=True)
    return sorted(pair for pair in pairs if pair != ("", ""))


@settings(max_examples=1000)
@given(twins(PATH_TOKENS))
def test_paths_with_a_common_form_are_equivalent(pair: tuple[bytes, bytes]) -> None:
    """INVARIANT: they differ in dot segments at most."""
    one, other = b"/" + pair[0], b"/" + pair[1]
    if set(canonical_paths(one, "docs")) & set(canonical_paths(other, "docs")):
        assert _resolved(one) == _resolved(other)


def _resolved(path: bytes) -> list[bytes]:
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        kept = kept[:-1] if segment == b".." else kept + [segment] * (segment not in (b"", b"."))
    return [*kept, b"/"] if kept and path.endswith(b"/") else kept
