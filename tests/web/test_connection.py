"""The facts of a connection: what a caller can and cannot forge (E.3, E.5)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.audit.record.record import request_parameters
from iam_guard.errors import MalformedRequest
from iam_guard.model.request import Call
from iam_guard.settings import Settings
from iam_guard.web.connection import MAX_HEADERS, Connection
from tests.tables import table

PROXIES = ("10.0.0.0/8", "2001:db8:ffff::/48")
CALLER = "203.0.113.7"


def facts(*headers: tuple[str, str], trusted: tuple[str, ...] = PROXIES, **scope: Any) -> Call:
    """Return the facts of a call that came with these headers, by default from the proxy 10.0.0.1."""
    asgi_scope = {"type": "http", "method": "GET", "path": "/", "client": ("10.0.0.1", 1), "scheme": "http", **scope}
    asgi_scope["headers"] = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return Connection(Settings(trusted_proxies=trusted)).facts(asgi_scope)


def forwarded(*values: str) -> list[tuple[str, str]]:
    return [("x-forwarded-for", value) for value in values]


# --- callers without a trusted proxy ---


@table("value", ["198.51.100.1", "10.0.0.9", "127.0.0.1", "", "nonsense", "10.0.0.1, 198.51.100.1"])
@table("trusted", [(), PROXIES])
def test_forwarding_headers_count_only_from_trusted_proxies(value: str, trusted: tuple[str, ...]) -> None:
    """A caller that connects directly can send any headers."""
    headers = [*forwarded(value), ("x-forwarded-proto", "https"), ("x-real-ip", value), ("forwarded", f"for={value}")]
    call = facts(*headers, trusted=trusted, client=(CALLER, 4711))
    assert call.source_ip == CALLER
    assert call.secure is False


def test_trusted_proxy_sets_only_x_forwarded_for() -> None:
    """Other forwarding headers are not read, as no proxy removes all of them."""
    call = facts(("x-real-ip", "198.51.100.1"), ("forwarded", "for=198.51.100.1"), ("true-client-ip", "198.51.100.1"))
    assert call.source_ip == "10.0.0.1"


# --- callers behind a trusted proxy ---


@table(
    ("chain", "expected"),
    [
        pytest.param([CALLER], CALLER, id="one"),
        pytest.param([f"198.51.100.1, {CALLER}"], CALLER, id="the caller wrote one before"),
        pytest.param([f"10.0.0.5, {CALLER}"], CALLER, id="the caller claims to be a proxy"),
        pytest.param(["198.51.100.1", CALLER], CALLER, id="the caller wrote a header of its own"),
        pytest.param([f"{CALLER}, 10.0.0.2, 10.3.4.5"], CALLER, id="a chain of proxies"),
        pytest.param([CALLER, "10.0.0.2", "10.3.4.5"], CALLER, id="a chain in several headers"),
        pytest.param([f"unknown, {CALLER}"], CALLER, id="nonsense before"),
        pytest.param([f",,,{CALLER}"], CALLER, id="commas before"),
        pytest.param([f"  {CALLER}\t"], CALLER, id="white space"),
        pytest.param(["2001:db8::7"], "2001:db8::7", id="IPv6"),
        pytest.param(["2001:DB8:0:0::7"], "2001:db8::7", id="IPv6 in another spelling"),
        pytest.param(["[2001:db8::7]"], "2001:db8::7", id="IPv6 in brackets"),
        pytest.param([f"{CALLER}, 2001:db8:ffff::1"], CALLER, id="a proxy on IPv6"),
        pytest.param(["10.0.0.9, 10.0.0.8"], "10.0.0.9", id="only proxies"),
        pytest.param([f"{CALLER}:5678"], CALLER, id="a port"),
        pytest.param(["[2001:db8::7]:443"], "2001:db8::7", id="a port after brackets"),
        pytest.param([f"198.51.100.1:1, {CALLER}:2, 10.0.0.2:3"], CALLER, id="ports in a chain"),
        pytest.param([f"::ffff:{CALLER}"], CALLER, id="IPv4 mapped"),
        pytest.param([f"{CALLER}, ::ffff:10.0.0.2"], CALLER, id="a proxy's IPv4, mapped"),
    ],
)
def test_forwarding_chain_is_read_from_its_end(chain: list[str], expected: str) -> None:
    """The first address that is not a trusted proxy is the caller's; the caller may have written those before."""
    assert facts(*forwarded(*chain)).source_ip == expected


@table(
    "value",
    ["", " ", ",", f"{CALLER},", "unknown", "_hidden", "unix:", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4:",
     "1.2.3.4:x",      "1.2.3.4:99999999", "[::1", "::1]", "[1.2.3.4", "[[::1]]", "::1:", "1.2.3.4/32",
     "٣.1.1.1".encode().decode("latin-1"),
     f"{CALLER}, unknown, 10.0.0.2"],
)  # fmt: skip
def test_invalid_forwarding_entry_has_no_address(value: str) -> None:
    """A proxy's address would look like an internal caller, so the key is absent (K-2)."""
    assert facts(*forwarded(value)).source_ip is None


@given(st.lists(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30), max_size=4))
def test_caller_cannot_choose_its_address(written: list[str]) -> None:
    """The proxy appends the real address, in its own header or in the last one."""
    assert facts(*forwarded(*written, CALLER)).source_ip == CALLER
    joined = [*written[:-1], f"{written[-1]}, {CALLER}"] if written else [CALLER]
    assert facts(*forwarded(*joined)).source_ip == CALLER


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=60), max_size=5), st.text(max_size=20))
def test_facts_never_raise(written: list[str], host: str) -> None:
    facts(*forwarded(*written), *(("x-forwarded-proto", value) for value in written))
    facts(*forwarded(*written), client=(host, 0))


# --- the connection itself ---


@table(
    ("client", "expected"),
    [
        (None, None),
        (("", 0), None),
        (("/run/app.sock", 0), None),
        (("testclient", 50000), None),
        (["192.0.2.1", 1], "192.0.2.1"),
        (("2001:db8::7", 1), "2001:db8::7"),
        (("::ffff:192.0.2.1", 1), "192.0.2.1"),
    ],
)
def test_peer_address_of_a_connection(client: Any, expected: str | None) -> None:
    """A Unix socket has no address, and is not a trusted proxy."""
    assert facts(*forwarded("198.51.100.1"), client=client).source_ip == expected


def test_ipv4_mapped_proxy_is_trusted() -> None:
    """A dual-stack socket shows IPv4 peers as mapped IPv6 addresses."""
    assert facts(*forwarded(CALLER), client=("::ffff:10.0.0.1", 1)).source_ip == CALLER


@table(
    ("scheme", "protocols", "secure"),
    [
        ("http", [], False),
        ("https", [], True),
        ("wss", [], True),
        ("ws", [], False),
        ("http", ["https"], True),
        ("http", ["HTTPS"], True),
        ("ws", ["wss"], True),
        ("https", ["http"], False),
        ("http", ["https, http"], False),
        ("http", ["http, https"], True),
        ("http", ["https", "http"], False),
        ("http", [""], False),
        ("http", ["on"], False),
    ],
)
def test_secure_transport_of_a_connection(scheme: str, protocols: list[str], secure: bool) -> None:
    """`aws:SecureTransport` follows the nearest trusted proxy."""
    assert facts(*(("x-forwarded-proto", protocol) for protocol in protocols), scheme=scheme).secure is secure


def test_user_agent_and_referer_come_from_their_headers() -> None:
    """K-1: the two keys that a caller may set; absent without their headers (K-2)."""
    call = facts(("user-agent", "curl/8"), ("referer", "https://a.example/\xe9"))
    assert (call.user_agent, call.referer) == ("curl/8", "https://a.example/\xe9")
    bare = facts()
    assert (bare.user_agent, bare.referer, bare.host) == (None, None, None)


def test_first_of_repeated_headers_counts() -> None:
    assert facts(("host", "a.example"), ("user-agent", "curl/8"), ("host", "b.example")).host == "a.example"


def test_headers_over_the_limit_are_not_read() -> None:
    """Their request is rejected, and its audit record has nothing of them."""
    padding = [(f"x-{number}", "") for number in range(MAX_HEADERS - 1)]
    call = facts(*padding, ("host", "a.example"), ("user-agent", "curl/8"), ("host", "b.example"))
    assert (call.host, call.user_agent) == ("a.example", None)


def test_encoded_question_mark_stays_in_the_path() -> None:
    """Audit records keep the URL up to the first `?`, so it stays encoded; the query is never recorded."""
    call = Connection(Settings()).facts(scope(path="/a?b/c?d", raw_path=b"/a%3Fb/c%3Fd", query_string=b"token=x"))
    assert request_parameters(call) == {"method": "GET", "path": "/a%3Fb/c%3Fd"}


# --- what a signature covers ---


def scope(**changes: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/a b/ü", "query_string": b"", "headers": [], **changes}


@table(
    ("changes", "raw_path", "query"),
    [
        ({"raw_path": b"/a%20b/%C3%BC"}, b"/a%20b/%C3%BC", b""),
        ({"raw_path": b"/a%20b?x=1", "query_string": b"x=1"}, b"/a%20b", b"x=1"),
        ({}, b"/a%20b/%C3%BC", b""),
        ({"raw_path": None}, b"/a%20b/%C3%BC", b""),
        ({"path": "/a?b", "query_string": b"x=1"}, b"/a%3Fb", b"x=1"),
    ],
)
def test_raw_path_of_each_server(changes: dict[str, Any], raw_path: bytes, query: bytes) -> None:
    """Some servers omit `raw_path`, some include the query in it."""
    request = Connection(Settings()).request(scope(**changes))
    assert (request.raw_path, request.query_string) == (raw_path, query)


def test_header_names_are_lower_case() -> None:
    """For servers that don't convert them."""
    by_name = (
        Connection(Settings())
        .request(scope(headers=[(b"X-Api-Key", b"k"), (b"x-api-key", b"l"), (b"Host", b"h")]))
        .by_name
    )
    assert {name: list(values) for name, values in by_name.items()} == {b"x-api-key": [b"k", b"l"], b"host": [b"h"]}
    assert Connection(Settings()).request(scope(headers=[(b"X-Api-Key", b"k")])).by_name == {b"x-api-key": (b"k",)}


@table("path", [b"/%ff", b"/\xff", b"/%C3", b"/%ed%a0%80"])
def test_path_with_invalid_utf8_is_rejected(path: bytes) -> None:
    """Servers decode such a path differently."""
    with pytest.raises(MalformedRequest):
        Connection(Settings()).request(scope(raw_path=path))
