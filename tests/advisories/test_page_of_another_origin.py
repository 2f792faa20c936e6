"""Advisory: only pages of exactly the trusted origins may write with the session cookie, or read its CSRF token.

`trusted_origins` names the application's own pages at other hosts of its site. It must not trust what looks like them,
the sign-in pages must not trust them at all, and WebSockets only if they are listed for these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.testclient import TestClient, WebSocketDenialResponse

from iam_guard import GuardMiddleware, csrf_token_endpoint
from iam_guard.authn.tokens.session_cookie import COOKIE, csrf_token
from iam_guard.console.sign_in_app import sign_in_pages
from iam_guard.errors import ConfigurationError
from iam_guard.settings import Settings
from tests.signed_in import CHANGES, HOST, RITA, ROUTES, SAME_ORIGIN, SignedIn, signed_in
from tests.tables import table

APP, LIVE, LOCAL = "https://app.docs.example", "https://live.docs.example:8443", "http://localhost:5173"
TRUSTED = (APP, LOCAL, "wss://live.docs.example:8443")
SAME_SITE = {"sec-fetch-site": "same-site"}
LIKE_IT = [
    "null",
    "",
    "https://app.docs.example:8443",
    "https://app.docs.example:443",
    "https://app.docs.example.",
    "https://app.docs.example/",
    "https://app.docs.example.evil.example",
    "https://evil-app.docs.example",
    "https://x.app.docs.example",
    "https://docs.example.evil",
    "https://rita@app.docs.example",
    "https://app.docs.example@evil.example",
    "https://App.docs.example",
    "HTTPS://app.docs.example",
    "http://app.docs.example",
    "wss://app.docs.example",
    "app.docs.example",
    "https://app.docs.example https://app.docs.example",
    "https://app.docs.example, https://app.docs.example",
    "http://localhost",
    "http://localhost:51730",
    "http://127.0.0.1:5173",
    LIVE,
    "wss://live.docs.example:8443",
]


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[SignedIn]:
    with signed_in(tmp_path, sign_in_url="/signin", trusted_origins=TRUSTED) as made:
        yield made


def client_of(harness: SignedIn) -> TestClient:
    routes = [route for route in ROUTES if getattr(route, "path", "") != "/signin"]
    routes += [Route("/csrf-token", csrf_token_endpoint()), Mount("/signin", sign_in_pages(harness.guard))]
    app = Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=harness.guard)])
    client = TestClient(app, base_url=f"https://{HOST}", follow_redirects=False)
    client.headers.clear()
    return client


def test_trusted_origin_writes_with_the_cookie(harness: SignedIn) -> None:
    """With and without the session's token; browsers before `Sec-Fetch-Site` have the `Origin` alone."""
    for origin in (APP, LOCAL):
        for headers in ({"origin": origin}, {"origin": origin, **SAME_SITE}, {"origin": origin, **harness.csrf}):
            for method in CHANGES:
                answer = harness.answer(method, "/documents/7", headers)
                assert (answer.status_code, answer.json()) == (200, RITA), (method, headers)


def test_origin_that_looks_trusted_writes_nothing(harness: SignedIn) -> None:
    for origin in LIKE_IT:
        for more in ({}, SAME_SITE):
            answer = harness.answer("POST", "/documents/7", {"origin": origin, **more})
            assert answer.status_code == 403, (origin, more)


def test_change_of_a_trusted_origin_has_no_second_meaning(harness: SignedIn) -> None:
    """Across sites, without or with several origins, and with a token of another session it is refused."""
    other = csrf_token(harness.issue())
    refused: list[Mapping[str, str]] = [
        SAME_SITE,
        {"origin": APP, "sec-fetch-site": "cross-site"},
        {"origin": APP, "sec-fetch-site": "none"},
        {"origin": APP, "sec-fetch-site": "same-site, same-site"},
        {"origin": APP, "x-csrf-token": other},
        {"origin": APP, "x-csrf-token": ""},
        {"origin": APP, "x-csrf-token": "0" * 64, **SAME_SITE},
        {"referer": f"{APP}/page"},
    ]
    for headers in refused:
        assert harness.answer("POST", "/documents/7", headers).status_code == 403, headers
    client = harness.client()
    for name, values in (("origin", [APP, APP]), ("origin", [APP, "https://evil.example"])):
        headers = [*harness.cookie.items(), *((name, value) for value in values)]
        assert client.post("/documents/7", headers=headers).status_code == 403
    assert harness.answer("POST", "/", {"origin": LIVE}).json() == "anonymous"


def test_reads_are_as_before(harness: SignedIn) -> None:
    """A trusted origin may cause reads as any page of the site; what another site embeds is refused."""
    for headers, status in (
        ({"origin": APP, **SAME_SITE}, 200),
        ({"origin": "https://evil.docs.example", **SAME_SITE}, 200),
        ({"origin": APP, "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}, 403),
    ):
        assert harness.answer("GET", "/documents/7", headers).status_code == status, headers


def test_websockets_need_an_entry_of_their_own(harness: SignedIn) -> None:
    for origin, is_open in ((LIVE, True), (APP, False), (LOCAL, False), ("wss://live.docs.example:8443", False)):
        client = harness.client()
        headers = {**harness.cookie, "origin": origin, **SAME_SITE}
        if is_open:
            with client.websocket_connect("wss://docs.example/watch/7", headers=headers) as socket:
                assert socket.receive_text() == RITA
        else:
            with pytest.raises(WebSocketDenialResponse), client.websocket_connect("/watch/7", headers=headers):
                pass
    upgrade = {"origin": APP, "upgrade": "websocket", "connection": "upgrade"}
    assert harness.answer("GET", "/documents/7", upgrade).status_code == 403
    assert harness.answer("GET", "/documents/7", {**upgrade, "origin": LIVE}).status_code == 200


def test_sign_in_pages_trust_no_other_origin(harness: SignedIn) -> None:
    """Even with the token of the session, which a trusted origin can read."""
    client = client_of(harness)
    for origin, status in ((APP, 400), (LOCAL, 400), (f"https://{HOST}", 200)):
        form = {"csrf_token": csrf_token(harness.token)}
        answer = client.post("/signin/out", data=form, headers={**harness.cookie, "origin": origin})
        assert answer.status_code == status, origin
    assert "access-control-allow-origin" not in answer.headers


def test_token_is_for_own_and_trusted_origins(harness: SignedIn) -> None:
    """Never stored; the headers of CORS name exactly the origin that asked, if it is trusted."""
    client = client_of(harness)
    for headers, is_shared in (
        ({"origin": APP, **SAME_SITE}, True),
        ({"origin": LOCAL}, True),
        (SAME_ORIGIN, False),
        ({}, False),
        ({"origin": f"https://{HOST}"}, False),
    ):
        answer = client.get("/csrf-token", headers={**harness.cookie, **headers})
        assert (answer.status_code, answer.json()) == (200, {"csrf_token": csrf_token(harness.token)}), headers
        assert answer.headers["cache-control"] == "no-store"
        assert {"Origin", "Cookie"} <= {name.strip() for name in answer.headers["vary"].split(",")}
        assert answer.headers.get("access-control-allow-origin") == (headers["origin"] if is_shared else None)
        assert answer.headers.get("access-control-allow-credentials") == ("true" if is_shared else None)


def test_token_is_not_for_other_origins(harness: SignedIn) -> None:
    client = client_of(harness)
    others: list[Mapping[str, str]] = [*({"origin": origin} for origin in LIKE_IT), SAME_SITE]
    others += [{"origin": APP, "sec-fetch-site": "cross-site"}, {"origin": "https://evil.docs.example", **SAME_SITE}]
    for headers in others:
        answer = client.get("/csrf-token", headers={**harness.cookie, **headers})
        assert answer.status_code == 403, headers
        assert csrf_token(harness.token) not in answer.text
        assert "access-control-allow-origin" not in answer.headers
    preflight = {"origin": APP, "access-control-request-method": "GET"}
    assert "access-control-allow-origin" not in client.options("/csrf-token", headers=preflight).headers


def test_token_needs_a_session(harness: SignedIn) -> None:
    """401, which a page of a trusted origin can read, to go to the sign-in page."""
    client, task = client_of(harness), harness.issue(task="factor")
    cookies: list[dict[str, str]] = [{}, {"cookie": f"{COOKIE}={'A' * 43}"}, {"cookie": f"{COOKIE}={task}"}]
    for cookie in cookies:
        answer = client.get("/csrf-token", headers={**cookie, "origin": APP, "accept": "text/html"})
        assert (answer.status_code, answer.json()["code"]) == (401, "MissingAuthenticationToken")
        assert answer.headers["access-control-allow-origin"] == APP
        assert answer.headers["cache-control"] == "no-store"
    key = harness.guard.api_keys.create(RITA)
    answer = client.get("/csrf-token", headers={**harness.cookie, "authorization": f"Bearer {key.text}"})
    assert answer.status_code == 401


@table(
    "origin",
    [
        "null",
        "*",
        "https://*.example.com",
        "https://app.example.com/",
        "https://app.example.com:443",
        "https://app.example.com:0",
        "https://app.example.com:65536",
        "https://rita@app.example.com",
        "https://App.example.com",
        "https://.example.com",
        "http://app.example.com",
        "ws://app.example.com",
        "http://localhost.example.com",
        "http://localhost:80",
        "http://[::2]",
        "app.example.com",
        "https://",
        "",
    ],
)
def test_setting_has_exact_origins_only(origin: str) -> None:
    with pytest.raises(ConfigurationError, match="expected an origin as browsers send it") as caught:
        Settings(trusted_origins=(origin,))
    assert caught.value.place == "trusted_origins"


def test_exact_origins_are_accepted() -> None:
    accepted: Any = (*TRUSTED, "https://a", "https://app.example.com:65535", "http://[::1]:3000", "ws://127.0.0.1:1")
    assert Settings(trusted_origins=accepted).trusted_origins == accepted
