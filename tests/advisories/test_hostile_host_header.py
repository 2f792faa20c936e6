"""Advisory: the sign-in pages must not use the host that a client names.

A link to reset a password that is built from it leads to the attacker, with the token. A redirect or a cookie for that
host may end in a shared cache. So all links are paths, and the host only decides which forms and cookies are refused.
"""

from __future__ import annotations

import queue
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlencode, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from iam_guard import GuardMiddleware
from iam_guard.authn.tokens.session_cookie import csrf_token
from iam_guard.console.sign_in_app import sign_in_pages
from tests.console.site import PASSWORD, Site
from tests.serving import serving

EVIL = "evil.example"
FORM_COOKIE = "A" * 43
Sent: TypeAlias = "queue.Queue[tuple[str, str]]"


@pytest.fixture
def sent() -> Sent:
    return queue.Queue()


@pytest.fixture
def server(tmp_path: Path, sent: Sent) -> Iterator[str]:
    """Serve the pages, without a trusted proxy, and yield their host and port."""
    site = Site(tmp_path)
    pages = sign_in_pages(site.guard, send_reset=lambda email, link: sent.put((email, link)))
    app = GuardMiddleware(Starlette(routes=[Mount("/signin", pages)]), guard=site.guard)
    with serving(app, proxy_headers=False) as url:
        yield urlsplit(url).netloc
    site.guard.close()


def ask(server: str, target: str, headers: list[tuple[str, str]], **fields: str) -> tuple[int, str]:
    """Send a request, a form if there are fields, as it is; return the status, and the response as text."""
    body = urlencode({"csrf_token": csrf_token(FORM_COOKIE), **fields}) if fields else ""
    lines = [f"{'POST' if fields else 'GET'} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    lines += [f"cookie: iam-guard-dev-form={FORM_COOKIE}; __Host-iam-guard-form={FORM_COOKIE}", "connection: close"]
    lines += ["content-type: application/x-www-form-urlencoded", f"content-length: {len(body)}", "", body]
    host, _, port = server.partition(":")
    answer = b""
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1"))
        while part := connection.recv(65_536):
            answer += part
    return int(answer.split(b" ", 2)[1]), answer.decode()


def hosts(server: str) -> list[list[tuple[str, str]]]:
    """Return headers that name another host, or several."""
    own = ("host", server)
    return [
        [("host", EVIL)],
        [("host", f"{EVIL}:80")],
        [("host", f"localhost.{EVIL}")],
        [("host", f"localhost@{EVIL}")],
        [("host", f"{server}@{EVIL}")],
        [("host", f"{server}/{EVIL}")],
        [("host", f"{server}, {EVIL}")],
        [("host", f"[::1].{EVIL}")],
        [("host", "")],
        [],
        [own, ("host", EVIL)],
        [("host", EVIL), own],
        [own, own],
        [own, ("x-forwarded-host", EVIL)],
        [own, ("x-forwarded-proto", "https")],
        [own, ("forwarded", f"host={EVIL};proto=https")],
        [own, ("x-host", EVIL), ("x-original-host", EVIL), ("x-http-host-override", EVIL)],
        [own, ("x-original-url", f"//{EVIL}/"), ("x-rewrite-url", f"//{EVIL}/")],
    ]


SIGN_IN = {"account": "acme", "username": "ada", "password": PASSWORD}
TARGETS = ("/signin/", f"http://{EVIL}/signin/", f"//{EVIL}/signin/", "/signin/mfa/", "/signin/sessions", "/signin/out")


def test_answers_do_not_contain_the_host(server: str) -> None:
    """No page, no redirect, and no cookie of another scheme; other pages than those of loopback have no form."""
    for headers in hosts(server):
        for target in TARGETS:
            for fields in ({}, SIGN_IN):
                status, answer = ask(server, target, headers, **fields)
                assert EVIL not in answer, (headers, target)
                assert "__Host-" not in answer
                assert status in (200, 303, 400, 404), (headers, target)
                for location in re.findall(r"(?im)^location: (\S*)", answer):
                    assert location.startswith("/signin/")
                if headers and headers[0] != ("host", server):
                    assert ("<form" in answer, "iam-guard-dev=" in answer) == (False, False), (headers, target)


def test_form_is_compared_with_the_host_of_the_request(server: str) -> None:
    """Not with that of a proxy that is not trusted."""
    own = ("host", server)
    for headers, status in (
        ([own, ("origin", f"http://{server}")], 303),
        ([own, ("origin", f"http://{EVIL}")], 400),
        ([own, ("x-forwarded-host", EVIL), ("origin", f"http://{EVIL}")], 400),
        ([own, ("x-forwarded-proto", "https"), ("origin", f"https://{server}")], 400),
        ([own, ("origin", f"http://{server}"), ("origin", f"http://{EVIL}")], 400),
        ([own, ("origin", f"http://{EVIL}"), ("origin", f"http://{server}")], 400),
        ([own, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], 400),
        ([("host", EVIL), ("origin", f"http://{EVIL}")], 400),
        ([own, ("host", EVIL), ("origin", f"http://{EVIL}")], 400),
        ([("host", EVIL), own, ("origin", f"http://{EVIL}")], 400),
    ):
        assert ask(server, "/signin/", headers, **SIGN_IN)[0] == status, headers


def test_link_of_a_reset_is_a_path(server: str, sent: Sent) -> None:
    """The application adds its address, which no request can choose."""
    refused = 0
    for headers in hosts(server):
        status, answer = ask(server, "/signin/forgot", headers, email="root@acme.example")
        refused += status == 400
        assert "token=" not in answer
    assert refused > 5
    email, link = sent.get(timeout=60)
    assert email == "root@acme.example"
    assert re.fullmatch(r"/signin/reset\?token=[\w-]{43}", link)
    assert sent.empty()
