"""The conversion of WSGI environs: the verified path is always the served one."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.errors import MalformedRequest
from iam_guard.settings import Settings
from iam_guard.web.connection import Connection
from iam_guard.web.wsgi.environ import content_length, scope_of
from tests.tables import table


def raw_path_of(served: bytes, **more: str) -> bytes:
    path: bytes = scope_of({"PATH_INFO": served.decode("latin-1"), **more})["raw_path"]
    return path


# --- the path ---


@table("name", ["REQUEST_URI", "RAW_URI"])
@table(
    "target",
    ["/a%2Fb", "/a%2fb", "/%61/b", "/a/b?version=%37", "http://testserver/a%2Fb?x=1", "/a/b?x?/c", "/a:b@c/%C3%A9"],
)
def test_raw_path_is_used(name: str, target: str) -> None:
    """A signature covers the raw path, which servers have in one of two variables."""
    raw = target.removeprefix("http://testserver").partition("?")[0].encode()
    assert raw_path_of(unquote_to_bytes(raw), **{name: target}) == raw


@table(
    "target",
    [
        "/other",
        "/a//b",
        "/a/../a/b",
        "*",
        "",
        "testserver:443",
        "//a/b",
        "http://testserver",
        "/a/b/",
        "/a/b#c",
        "日本",
    ],
)
def test_raw_path_of_another_path_is_ignored(target: str) -> None:
    """If the server or a proxy rewrote the path, the served path must be the signed one."""
    assert raw_path_of(b"/a/b", REQUEST_URI=target) == b"/a/b"


def test_path_without_raw_path_is_encoded_again() -> None:
    """As AWS clients encode it; a path encoded otherwise does not match its signature."""
    assert raw_path_of("/documents/é a*".encode()) == b"/documents/%C3%A9%20a%2A"


def test_prefix_of_a_mount_is_part_of_the_path() -> None:
    """Clients sign the complete path."""
    environ = {"SCRIPT_NAME": "/app", "PATH_INFO": "/a", "REQUEST_URI": "/app/%61"}
    scope = scope_of(environ)
    assert (scope["path"], scope["raw_path"]) == ("/app/a", b"/app/%61")


@given(st.binary(max_size=30), st.one_of(st.none(), st.text(max_size=30)))
def test_verified_path_decodes_to_the_served_path(path: bytes, target: str | None) -> None:
    """For any variables of the server."""
    more = {} if target is None else {"REQUEST_URI": target, "RAW_URI": quote_from_bytes(path, safe="/~:@")}
    assert unquote_to_bytes(raw_path_of(b"/" + path, **more)) == b"/" + path


def test_decoded_path_in_the_environ_is_accepted() -> None:
    """Some frameworks write decoded text to the environ."""
    request = Connection(Settings()).request(scope_of({"PATH_INFO": "/日"}))
    assert request.raw_path == b"/%E6%97%A5"


def test_path_with_invalid_utf8_is_rejected() -> None:
    """As over ASGI."""
    with pytest.raises(MalformedRequest):
        Connection(Settings()).request(scope_of({"PATH_INFO": "/\xe9"}))


def test_empty_path_is_the_root() -> None:
    """PEP 3333 allows an empty path."""
    assert scope_of({})["raw_path"] == b"/"


# --- headers, host, connection ---


def test_header_names_are_restored() -> None:
    """Content headers have no `HTTP_` prefix in an environ; prefixed ones are others."""
    environ = {
        "HTTP_X_AMZ_DATE": "20260101T000000Z",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "3",
        "HTTP_CONTENT_LENGTH": "9",
        "HTTP_HOST": "testserver",
        "HTTP_COOKIE": "é",
    }
    assert scope_of(environ)["headers"] == [
        (b"x-amz-date", b"20260101T000000Z"),
        (b"content-type", b"text/plain"),
        (b"content-length", b"3"),
        (b"host", b"testserver"),
        (b"cookie", b"\xe9"),
    ]


@table(
    ("port", "scheme", "host"),
    [("80", "http", b"testserver"), ("443", "https", b"testserver"), ("8000", "http", b"testserver:8000")],
)
def test_missing_host_is_the_server_name(port: str, scheme: str, host: bytes) -> None:
    """PEP 3333."""
    environ = {"SERVER_NAME": "testserver", "SERVER_PORT": port, "wsgi.url_scheme": scheme}
    assert scope_of(environ)["headers"] == [(b"host", host)]


def test_facts_are_those_of_the_connection() -> None:
    """Address, scheme and agent; a proxy that is not trusted is the caller."""
    environ = {
        "REMOTE_ADDR": "203.0.113.7",
        "HTTP_X_FORWARDED_FOR": "10.0.0.1",
        "HTTP_USER_AGENT": "curl",
        "wsgi.url_scheme": "https",
        "REQUEST_METHOD": "PUT",
        "PATH_INFO": "/a",
    }
    call = Connection(Settings()).facts(scope_of(environ))
    assert (call.source_ip, call.secure, call.user_agent, call.method, call.path) == (
        "203.0.113.7",
        True,
        "curl",
        "PUT",
        "/a",
    )


def test_unix_socket_has_no_address() -> None:
    assert Connection(Settings()).facts(scope_of({"REMOTE_ADDR": ""})).source_ip is None


def test_client_certificate_of_the_connection_is_read() -> None:
    """Apache and Werkzeug provide it with its chain."""
    environ = {"SSL_CLIENT_CERT": "one", "SSL_CLIENT_CERT_CHAIN_0": "two", "SSL_CLIENT_CERT_CHAIN_2": "no"}
    assert scope_of(environ)["extensions"] == {"tls": {"client_cert_chain": ["one", "two"]}}


# --- the length of the body ---


@table(
    ("environ", "length"),
    [
        ({}, 0),
        ({"CONTENT_LENGTH": ""}, 0),
        ({"CONTENT_LENGTH": "7"}, 7),
        ({"wsgi.input_terminated": True}, None),
        ({"wsgi.input_terminated": True, "CONTENT_LENGTH": "7"}, 7),
        ({"wsgi.input_terminated": True, "CONTENT_LENGTH": "7", "HTTP_TRANSFER_ENCODING": "chunked"}, None),
    ],
)
def test_content_length_of_each_server(environ: dict[str, Any], length: int | None) -> None:
    """None for a body that is read to its end, which only some servers mark."""
    assert content_length(environ) == length


@table(
    "environ",
    [{"HTTP_TRANSFER_ENCODING": "chunked"}, {"CONTENT_LENGTH": "-1"}, {"CONTENT_LENGTH": "x"}, {"CONTENT_LENGTH": "٣"}],
)
def test_unknown_length_is_rejected(environ: dict[str, Any]) -> None:
    """Reading would block, or read the next request."""
    with pytest.raises(MalformedRequest):
        content_length(environ)
