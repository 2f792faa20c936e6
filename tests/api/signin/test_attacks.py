"""Attacks on the way from the browser to credentials: each is refused, and a good tool is not."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
import requests
from starlette.testclient import TestClient

from iam_guard.authn.people.sessions.tool_sessions import CROSS_DEVICE, SAME_DEVICE
from tests.api.signin.conftest import ACME, ADMIN_KEY, PASSWORD, Office
from tests.api.signin.test_tokens import CODE_EXPIRED, INVALID, TOKEN_EXPIRED, error_of
from tests.api.signin.tool import Tool
from tests.tables import table

SITE = "http://localhost"


class Browser:
    """A browser that is signed in, without a network."""

    def __init__(self, office: Office, name: str = "ada") -> None:
        self.client = TestClient(office.app, base_url=SITE, follow_redirects=False)
        if name:
            answer = self.send("/signin/", {"account": "acme", "username": name, "password": PASSWORD})
            assert answer.status_code == 303, answer.text

    def send(self, path: str, fields: dict[str, str], **headers: str) -> Any:
        """Fill in the form of a page, with its hidden fields."""
        page = self.client.get(path)
        found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text)
        data = {name: unescape(value) for name, value in found if name in ("csrf_token", "next")} | fields
        return self.client.post(path, data=data, headers={"origin": SITE} | headers)


def query(tool: Tool, **changes: Any) -> str:
    """Return what the CLI opens; None removes a parameter."""
    parameters = {
        "response_type": "code",
        "client_id": tool.client_id,
        "state": tool.state,
        "code_challenge_method": "SHA-256",
        "scope": "openid",
        "redirect_uri": tool.redirect,
        "code_challenge": tool.challenge,
        **changes,
    }
    return urlencode({name: value for name, value in parameters.items() if value is not None})


def code_in(answer: Any) -> str:
    assert answer.status_code == 303, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))["code"]


@pytest.fixture
def browser(office: Office) -> Browser:
    return Browser(office)


def test_good_tool_gets_a_code(office: Office, browser: Browser) -> None:
    tool = office.tool()
    answer = browser.send(f"/v1/authorize?{query(tool)}", {"decision": "allow"})
    assert answer.headers["location"].startswith(f"{tool.redirect}?code=")
    assert answer.headers["location"].endswith(f"&state={tool.state}")
    assert tool.redeem(code_in(answer)).status_code == 200


CALLBACKS = [
    "http://127.0.0.1.evil.example:80/oauth/callback",
    "http://127.0.0.1@evil.example/oauth/callback",
    "http://user@127.0.0.1:80/oauth/callback",
    "http://127.0.0.1:80@evil.example/oauth/callback",
    "http://127.0.0.1:80#@evil.example/oauth/callback",
    "http://127.0.0.1:80/oauth/callback/../../other",
    "http://127.0.0.1:80/oauth/callback?next=x",
    "http://127.0.0.1:80/oauth/callback#x",
    "http://127.0.0.1:80/other",
    "http://127.0.0.1:80/oauth/callback/",
    "http://127.0.0.1/oauth/callback",
    "http://127.0.0.1:0/oauth/callback",
    "http://127.0.0.1:65536/oauth/callback",
    "http://127.0.0.1:080/oauth/callback",
    "http://127.0.0.1:\u0661\u0662/oauth/callback",
    "http://localhost:80/oauth/callback",
    "http://[::1]:80/oauth/callback",
    "http://127.1:80/oauth/callback",
    "http://2130706433:80/oauth/callback",
    "http://0.0.0.0:80/oauth/callback",
    "https://127.0.0.1:80/oauth/callback",
    "HTTP://127.0.0.1:80/oauth/callback",
    "http://127.0.0.1:80\\@evil.example/oauth/callback",
    "http://127.0.0.1:80/oauth/callback\n",
    "javascript:alert(1)//127.0.0.1:80/oauth/callback",
    "//127.0.0.1:80/oauth/callback",
    "https://evil.example/v1/sessions/confirmation",
    f"{SITE}/v1/sessions/confirmation",
    "",
]
CONFIRMATIONS = [
    "http://evil.example/v1/sessions/confirmation",
    "http://localhost.evil.example/v1/sessions/confirmation",
    "https://localhost/v1/sessions/confirmation",
    "http://localhost:81/v1/sessions/confirmation",
    "http://localhost/v1/sessions/confirmation?x=1",
    "http://localhost/v1/sessions/confirmation/",
    "http://127.0.0.1:80/oauth/callback",
]
REQUESTS: dict[str, dict[str, Any]] = {
    **{f"same device to {place!a}": {"redirect_uri": place} for place in CALLBACKS},
    **{f"other device to {place!a}": {"client_id": CROSS_DEVICE, "redirect_uri": place} for place in CONFIRMATIONS},
    "challenge plain": {"code_challenge_method": "plain"},
    "challenge by the name of the RFC": {"code_challenge_method": "S256"},
    "challenge without method": {"code_challenge_method": None},
    "no challenge": {"code_challenge": None},
    "empty challenge": {"code_challenge": ""},
    "short challenge": {"code_challenge": "A" * 42},
    "padded challenge": {"code_challenge": "A" * 43 + "="},
    "implicit grant": {"response_type": "token"},
    "code and token": {"response_type": "code token"},
    "no response type": {"response_type": None},
    "more scopes": {"scope": "openid profile"},
    "no scope": {"scope": None},
    "unknown client": {"client_id": "arn:aws:signin:::devtools/other"},
    "client with more": {"client_id": f"{SAME_DEVICE}x"},
    "no client": {"client_id": None},
    "no state": {"state": None},
    "state with a line break": {"state": "a\r\nSet-Cookie: x=1"},
    "long state": {"state": "x" * 513},
}


@table("name", REQUESTS)
def test_request_of_no_tool_is_neither_shown_nor_redirected(office: Office, browser: Browser, name: str) -> None:
    page = f"/v1/authorize?{query(office.tool(), **REQUESTS[name])}"
    shown = browser.client.get(page)
    assert shown.status_code == 400
    assert 'name="decision"' not in shown.text
    for decision in ("allow", "deny"):
        token = re.search(r'name="csrf_token" value="(\w+)"', browser.client.get("/signin/sessions").text)
        assert token is not None
        data = {"csrf_token": token[1], "decision": decision}
        answer = browser.client.post(page, data=data, headers={"origin": SITE})
        assert (answer.status_code, "location" in answer.headers) == (400, False)


def test_repeated_parameter_is_refused(office: Office, browser: Browser) -> None:
    """What is checked must be what is used."""
    evil = quote("http://evil.example/oauth/callback", safe="")
    for page in (f"{query(office.tool())}&redirect_uri={evil}", f"redirect_uri={evil}&{query(office.tool())}"):
        assert browser.client.get(f"/v1/authorize?{page}").status_code == 400


FORGED: dict[str, Callable[[str], tuple[dict[str, str], dict[str, str]]]] = {
    "no token": lambda _: ({"decision": "allow"}, {"origin": SITE}),
    "wrong token": lambda _: ({"decision": "allow", "csrf_token": "0" * 64}, {"origin": SITE}),
    "another site": lambda token: ({"decision": "allow", "csrf_token": token}, {"origin": "http://evil.example"}),
    "cross-site": lambda token: ({"decision": "allow", "csrf_token": token}, {"sec-fetch-site": "cross-site"}),
    "same site": lambda token: ({"decision": "allow", "csrf_token": token}, {"sec-fetch-site": "same-site"}),
    "no decision": lambda token: ({"csrf_token": token}, {"origin": SITE}),
    "another decision": lambda token: ({"decision": "ALLOW", "csrf_token": token}, {"origin": SITE}),
}


@table("name", FORGED)
def test_approval_takes_a_form_of_our_own_page(office: Office, browser: Browser, name: str) -> None:
    page = f"/v1/authorize?{query(office.tool())}"
    token = re.search(r'name="csrf_token" value="(\w+)"', browser.client.get(page).text)
    assert token is not None
    data, headers = FORGED[name](token[1])
    answer = browser.client.post(page, data=data, headers=headers)
    assert "location" not in answer.headers
    assert browser.client.get(page + "&decision=allow").status_code == 200  # a link never approves


def test_token_of_another_browser_does_not_approve(office: Office, browser: Browser) -> None:
    page = f"/v1/authorize?{query(office.tool())}"
    token = re.search(r'name="csrf_token" value="(\w+)"', Browser(office, "cleo").client.get(page).text)
    assert token is not None
    data = {"decision": "allow", "csrf_token": token[1]}
    assert browser.client.post(page, data=data, headers={"origin": SITE}).status_code == 400


def test_pages_cannot_be_framed_or_sent_elsewhere(office: Office, browser: Browser) -> None:
    tool = office.tool()
    answer = browser.client.get(f"/v1/authorize?{query(tool)}")
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' http://127.0.0.1:41234;" in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"


def test_person_must_sign_in_and_comes_back(office: Office) -> None:
    outsider = Browser(office, "")
    page = f"/v1/authorize?{query(office.tool())}"
    answer = outsider.client.get(page)
    assert answer.headers["location"].startswith("/signin/?next=%2Fsignin%2Fv1%2Fauthorize%3F")
    fields = {"account": "acme", "username": "ada", "password": PASSWORD}
    back = outsider.send(answer.headers["location"], fields)
    assert back.status_code == 303
    assert 'name="decision"' in outsider.client.get(back.headers["location"]).text


def test_denied_tool_gets_an_error(office: Office, browser: Browser) -> None:
    tool = office.tool()
    answer = browser.send(f"/v1/authorize?{query(tool)}", {"decision": "deny"})
    assert answer.headers["location"] == f"{tool.redirect}?error=access_denied&state={tool.state}"


def test_person_without_permission_cannot_approve(office: Office) -> None:
    answer = Browser(office, "bob").send(f"/v1/authorize?{query(office.tool())}", {"decision": "allow"})
    assert answer.status_code == 400
    assert "Your policies do not allow this" in answer.text


def cross_device(office: Office) -> Tool:
    return office.tool(client_id=CROSS_DEVICE, redirect=f"{SITE}/v1/sessions/confirmation")


def test_code_for_another_device_is_shown_once_to_its_browser(office: Office, browser: Browser) -> None:
    tool = cross_device(office)
    answer = browser.send(f"/v1/authorize?{query(tool)}", {"decision": "allow"})
    place = answer.headers["location"]
    page = browser.client.get(place)
    shown = re.search(r'id="code">([^<]+)<', page.text)
    assert shown is not None
    given = dict(parse_qsl(base64.b64decode(unescape(shown[1])).decode()))
    assert given["state"] == tool.state
    assert page.headers["referrer-policy"] == "no-referrer"
    assert Browser(office, "cleo").client.get(place).status_code == 400
    assert Browser(office, "").client.get(place).status_code == 400
    assert tool.redeem(given["code"]).status_code == 200
    assert browser.client.get(place).status_code == 400


# --- at the token ------------------------------------------------------------------------------------------------


REDEMPTIONS: dict[str, tuple[dict[str, Any], tuple[int, str, str]]] = {
    "verifier of another run": ({"codeVerifier": "y" * 64}, INVALID),
    "another redirect": ({"redirectUri": "http://127.0.0.1:41235/oauth/callback"}, INVALID),
    "another client": ({"clientId": CROSS_DEVICE}, INVALID),
    "no verifier": ({"codeVerifier": None}, INVALID),
    "no redirect": ({"redirectUri": None}, INVALID),
    "no code": ({"code": None}, INVALID),
    "short verifier": ({"codeVerifier": "y" * 42}, INVALID),
    "unknown code": ({"code": "A" * 43}, CODE_EXPIRED),
    "long code": ({"code": "A" * 513}, INVALID),
    "unknown client": ({"clientId": "arn:aws:signin:::devtools/other"}, INVALID),
    "unknown grant": ({"grantType": "client_credentials"}, INVALID),
    "grant of a token": ({"grantType": "refresh_token"}, INVALID),
}


@table("name", REDEMPTIONS)
def test_code_with_anything_else_gives_nothing(office: Office, name: str) -> None:
    changes, expected = REDEMPTIONS[name]
    tool = office.tool()
    assert error_of(tool.redeem(office.code(tool), **changes)) == expected


PROOFS: dict[str, Callable[[Tool], str | None]] = {
    "none": lambda _: None,
    "of another address": lambda tool: tool.proof(htu="https://evil.example/v1/token"),
    "of another method": lambda tool: tool.proof(htm="GET"),
    "without signature": lambda tool: tool.proof(header={"alg": "none"}),
    "with a foreign key": lambda tool: tool.proof(header={"jwk": Tool(tool.url).jwk}),
}


@table("name", PROOFS)
def test_code_without_a_good_proof_gives_nothing_and_stays(office: Office, name: str) -> None:
    tool = office.tool()
    code = office.code(tool)
    assert error_of(tool.redeem(code, PROOFS[name](tool))) == INVALID
    assert tool.redeem(code).status_code == 200


def test_proof_counts_once(office: Office) -> None:
    tool, got = office.signed_in()
    proof = tool.proof()
    assert tool.refresh(got["refreshToken"], proof).status_code == 200
    assert error_of(tool.refresh(got["refreshToken"], proof)) == INVALID


def test_refresh_with_another_key_gives_nothing_and_ends_nothing(office: Office) -> None:
    """A stolen refresh token alone is worth nothing, and no way to end the session of its owner."""
    tool, got = office.signed_in()
    thief = office.tool()
    assert error_of(thief.refresh(got["refreshToken"])) == INVALID
    again = tool.refresh(got["refreshToken"]).json()
    for _ in range(2):
        assert error_of(thief.refresh(got["refreshToken"])) == INVALID
    assert tool.refresh(again["refreshToken"]).status_code == 200


def test_changed_refresh_token_gives_nothing_and_ends_nothing(office: Office) -> None:
    tool, got = office.signed_in()
    token = got["refreshToken"]
    inside = f"{token[:40]}{'B' if token[40] == 'A' else 'A'}{token[41:]}"
    for changed in (token[:-1], token + "A", token.swapcase(), token + "=", "ASOR", token[4:], inside):
        if changed != token:
            assert error_of(tool.refresh(changed)) in (TOKEN_EXPIRED, INVALID)
    assert tool.refresh(token).status_code == 200


def test_token_of_one_client_is_not_for_the_other(office: Office) -> None:
    tool, got = office.signed_in()
    assert error_of(tool.refresh(got["refreshToken"], clientId=CROSS_DEVICE)) == INVALID


BODIES = [b"", b"{}", b"[]", b"{", b'{"clientId": 1}', b"\xff", b'{"clientId":"a","clientId":"b"}', b"{" * 10_000]


@table("body", BODIES)
def test_odd_body_is_an_error_of_the_client(office: Office, body: bytes) -> None:
    answer = requests.post(
        f"{office.url}/v1/token", data=body, headers={"content-type": "application/json"}, timeout=30
    )
    assert 400 <= answer.status_code < 500
    assert "message" in json.loads(answer.content)


def test_long_body_of_an_unknown_caller_is_refused(office: Office) -> None:
    body = json.dumps({"refreshToken": "x" * 2_000_000})
    answer = requests.post(
        f"{office.url}/v1/token", data=body, headers={"content-type": "application/json"}, timeout=30
    )
    assert 400 <= answer.status_code < 500


def test_unsigned_operation_on_sessions_is_refused(office: Office) -> None:
    for path in ("/list-sessions", "/get-session", "/v1/revoke?x-amz-client-auth-method=iam"):
        answer = requests.post(f"{office.url}{path}", json={}, timeout=30)
        assert answer.status_code == 403
        assert answer.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"


def test_credentials_of_a_tool_make_no_others(office: Office) -> None:
    """What needs a long-term key, or a browser, is not for them."""
    _, got = office.signed_in()
    sts = office.client("sts", got)
    for call in (sts.get_session_token, lambda: sts.get_federation_token(Name="bob")):
        with pytest.raises(Exception, match="Cannot call Get"):
            call()


def test_session_of_a_user_without_key_and_sign_in_is_refused(office: Office) -> None:
    """Only the sign-in of a tool replaces the key that the session of a user ends with."""
    _, got = office.signed_in()
    store = office.guard.store
    session = store.open_session(got["accessToken"]["sessionToken"])
    assert session is not None
    plain = replace(session, principal=replace(session.principal, session={}))
    forged = {"accessToken": {**got["accessToken"], "sessionToken": store.seal_session(plain)}}
    with pytest.raises(Exception, match="InvalidClientTokenId"):
        office.client("sts", forged).get_caller_identity()


def test_admin_of_the_account_revokes_any_session_of_it(office: Office) -> None:
    tool, got = office.signed_in(None)
    signin = office.client("signin", ADMIN_KEY)
    [session] = signin.list_sessions(principalArn=f"arn:aws:iam::{ACME}:root")["items"]
    signin.batch_revoke_sessions(principalArn=session["principalArn"], sessionArns=[session["sessionArn"]])
    assert error_of(tool.refresh(got["refreshToken"])) == TOKEN_EXPIRED
