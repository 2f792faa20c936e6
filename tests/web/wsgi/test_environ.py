"""What a WSGI server gives, in the form of a connection: nothing is verified that is not served (design 5)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.errors import MalformedRequest
from iam_guard.settings import Settings
from iam_guard.web.connection import Connection, http_request
from iam_guard.web.wsgi.environ import length_of, scope_of


def raw_path_of(served: bytes, **more: str) -> bytes:
    path: bytes = scope_of({"PATH_INFO": served.decode("latin-1"), **more})["raw_path"]
    return path


# --- the path ---


@pytest.mark.parametrize("name", ["REQUEST_URI", "RAW_URI"])
@pytest.mark.parametrize(
    "target",
    ["/a%2Fb", "/a%2fb", "/%61/b", "/a/b?version=%37", "http://testserver/a%2Fb?x=1", "/a/b?x?/c", "/a:b@c/%C3%A9"],
)
def test_the_path_is_taken_as_it_was_sent(name: str, target: str) -> None:
    """A signature covers the path as it was written, which servers tell in one of two ways."""
    raw = target.removeprefix("http://testserver").partition("?")[0].encode()
    assert raw_path_of(unquote_to_bytes(raw), **{name: target}) == raw


@pytest.mark.parametrize(
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
def test_a_target_of_another_path_is_not_believed(target: str) -> None:
    """Where the server, or what stands before, served something else, what is served is what must have been signed."""
    assert raw_path_of(b"/a/b", REQUEST_URI=target) == b"/a/b"


def test_a_server_that_does_not_tell_has_the_path_encoded_anew() -> None:
    """As clients of AWS write it; one that was written otherwise does not verify."""
    assert raw_path_of("/documents/é a*".encode()) == b"/documents/%C3%A9%20a%2A"


def test_the_prefix_of_a_mounted_application_is_part_of_the_path() -> None:
    """Clients sign the whole path."""
    environ = {"SCRIPT_NAME": "/app", "PATH_INFO": "/a", "REQUEST_URI": "/app/%61"}
    scope = scope_of(environ)
    assert (scope["path"], scope["raw_path"]) == ("/app/a", b"/app/%61")


@given(st.binary(max_size=30), st.one_of(st.none(), st.text(max_size=30)))
def test_what_is_verified_is_what_is_served(path: bytes, target: str | None) -> None:
    """The law behind it: whatever a server says, the verified path decodes to the one that is served."""
    more = {} if target is None else {"REQUEST_URI": target, "RAW_URI": quote_from_bytes(path, safe="/~:@")}
    assert unquote_to_bytes(raw_path_of(b"/" + path, **more)) == b"/" + path


def test_a_path_that_is_none_of_wsgis_is_read_as_the_application_reads_it() -> None:
    """Some frameworks write decoded text back into the environ."""
    request = http_request(scope_of({"PATH_INFO": "/日"}))
    assert request.raw_path == b"/%E6%97%A5"


def test_a_path_that_is_no_utf_8_is_refused_where_it_counts() -> None:
    """As over ASGI."""
    with pytest.raises(MalformedRequest):
        http_request(scope_of({"PATH_INFO": "/\xe9"}))


def test_no_path_at_all_is_the_root() -> None:
    """PEP 3333 lets a server leave it empty."""
    assert scope_of({})["raw_path"] == b"/"


# --- headers, host, connection ---


def test_headers_get_their_names_back() -> None:
    """Content headers have no prefix in an environ; what has one all the same is not theirs."""
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


@pytest.mark.parametrize(
    ("port", "scheme", "host"),
    [("80", "http", b"testserver"), ("443", "https", b"testserver"), ("8000", "http", b"testserver:8000")],
)
def test_a_client_that_names_no_host_means_the_server(port: str, scheme: str, host: bytes) -> None:
    """PEP 3333: the name of the server stands in."""
    environ = {"SERVER_NAME": "testserver", "SERVER_PORT": port, "wsgi.url_scheme": scheme}
    assert scope_of(environ)["headers"] == [(b"host", host)]


def test_the_facts_of_a_call_are_those_of_the_connection() -> None:
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


def test_a_unix_socket_has_no_address() -> None:
    """Nobody knows the caller's then."""
    assert Connection(Settings()).facts(scope_of({"REMOTE_ADDR": ""})).source_ip is None


def test_the_certificate_of_the_connection_is_read() -> None:
    """Apache and Werkzeug give it, with those that the client sent along."""
    environ = {"SSL_CLIENT_CERT": "one", "SSL_CLIENT_CERT_CHAIN_0": "two", "SSL_CLIENT_CERT_CHAIN_2": "no"}
    assert scope_of(environ)["extensions"] == {"tls": {"client_cert_chain": ["one", "two"]}}


# --- the length of the body ---


@pytest.mark.parametrize(
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
def test_the_length_of_a_body(environ: dict[str, Any], length: int | None) -> None:
    """None where it is to be read to its end, which only some servers mark."""
    assert length_of(environ) == length


@pytest.mark.parametrize(
    "environ",
    [{"HTTP_TRANSFER_ENCODING": "chunked"}, {"CONTENT_LENGTH": "-1"}, {"CONTENT_LENGTH": "x"}, {"CONTENT_LENGTH": "٣"}],
)
def test_a_length_that_nobody_knows_is_refused(environ: dict[str, Any]) -> None:
    """Reading on would wait for ever, or read the next request."""
    with pytest.raises(MalformedRequest):
        length_of(environ)
