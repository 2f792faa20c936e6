"""An OIDC provider over real HTTP, independent of the tested code: people sign in there with a form.

It checks what a strict provider checks: client, redirect URI, PKCE, each code once. Its attributes are the switches
that let it misbehave; each request is recorded. Its issuer has an https URL, and its server an address at loopback.
"""

from __future__ import annotations

import base64
import hashlib
import html
import http.client
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from tests.authn.issuer import HASHES, QuietServer, SigningKey, encoded, signed

ISSUER = "https://id.example.com/tenant"
CLIENT, SECRET = "iam-guard-app", "s3cret of/the+client~"
PAGE = """<!doctype html><html lang="en"><head><title>{title}</title></head>
<body><main><h1>{title}</h1>{body}</main></body></html>"""
Params = dict[str, str]


class Answer(NamedTuple):
    """A response: status, body, and headers."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


class Received(NamedTuple):
    """A request that the provider received."""

    path: str
    params: Params
    headers: Mapping[str, str]


@dataclass
class OidcClientEntry:
    """What the provider knows about a client. Without `secret`, it is public."""

    secret: str | None
    redirect_uris: set[str]
    logout_redirect_uris: set[str] = field(default_factory=set)
    logout_uri: str = ""


@dataclass
class _Grant:
    client_id: str
    params: Params
    user: str
    is_used: bool = False


def without_none(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


class OidcProvider:
    """A provider with one client and the user `ann`. Changes with None as value remove a member."""

    def __init__(self, issuer: str = ISSUER, clock: Callable[[], float] = time.time) -> None:
        self.issuer = issuer
        self.address = ""
        self.clock = clock
        self.keys = [SigningKey("ES256")]
        self.clients: dict[str, OidcClientEntry] = {CLIENT: OidcClientEntry(SECRET, set())}
        self.users: dict[str, dict[str, Any]] = {"ann": {"sub": "ann-1", "email": "ann@corp.example"}}
        self.received: list[Received] = []
        self.signed_in = ""
        """The user who needs no form any more."""
        self.sid: str | None = "sid-1"
        self._grants: dict[str, _Grant] = {}
        self.behave()

    def behave(self) -> None:
        """Set all switches back."""
        self.document: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.answer: dict[str, Any] = {}
        """Of the token endpoint."""
        self.bodies: dict[str, Answer] = {}
        """Responses by the end of their path, instead of the right ones."""
        self.back: Callable[[Params], Params] = dict
        """Changes the parameters of the redirect to the client."""
        self.sign: Callable[[Mapping[str, Any]], str] = self._signed
        self.is_lenient = False
        """Whether codes are redeemed without any check."""
        self.answers = threading.Event()
        """If cleared, the paths in `hanging` do not answer."""
        self.answers.set()
        self.hanging: tuple[str, ...] = ()

    def rotate(self) -> None:
        """Sign with a new key from now on."""
        self.keys = [SigningKey(self.keys[-1].algorithm, f"key-{len(self.received)}")]

    @property
    def at(self) -> str:
        """The provider's entry in the setting `oidc_addresses`."""
        return f"{self.issuer}={self.address}"

    def count(self, path: str) -> int:
        return sum(request.path.endswith(path) for request in self.received)

    def last(self, path: str) -> Received:
        return [request for request in self.received if request.path.endswith(path)][-1]

    # --- discovery and tokens ----------------------------------------------------------------------------------------

    def discovery(self) -> dict[str, Any]:
        usual = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "end_session_endpoint": f"{self.address}/logout",
            "response_types_supported": ["code"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": True,
        }
        return without_none(usual | self.document)

    def id_token(self, grant: Mapping[str, Any]) -> str:
        """Return an ID token; `grant` has its audience, nonce, user and access token."""
        now = int(self.clock())
        usual = {
            "iss": self.issuer,
            **self.users[grant["user"]],
            "aud": grant["client_id"],
            "iat": now,
            "exp": now + 300,
            "nonce": grant.get("nonce"),
            "sid": self.sid,
            "at_hash": half_hash(self.keys[-1].algorithm, grant.get("access_token", "")),
        }
        return self.sign(without_none(usual | self.claims))

    def _signed(self, claims: Mapping[str, Any]) -> str:
        return signed(self.keys[-1], claims, self.header)

    # --- endpoints ---------------------------------------------------------------------------------------------------

    def respond(self, method: str, path: str, params: Params, headers: Mapping[str, str]) -> Answer:
        """Answer a request."""
        name = path.rpartition("/")[2]
        self.received.append(Received(path, params, headers))
        if name in self.hanging:
            self.answers.wait(60)
        if name in self.bodies:
            return self.bodies[name]
        match name:
            case "openid-configuration":
                return _json(self.discovery())
            case "jwks":
                return _json({"keys": [key.jwk() for key in self.keys]})
            case "authorize":
                return self._authorize(method, params)
            case "token":
                return self._token(params, headers)
            case "logout":
                return self._log_out(params)
        return Answer(404, b"")

    def _authorize(self, method: str, params: Params) -> Answer:
        client = self.clients.get(params.get("client_id", ""))
        if client is None or params.get("redirect_uri") not in client.redirect_uris:
            return _page("Unknown client", "", 400)
        user = params.pop("person", "") if method == "POST" else self.signed_in
        if not user:
            hidden = "".join(
                f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
                for name, value in params.items()
            )
            field = '<label>Name <input name="person"></label><button>Sign in</button>'
            return _page("Example Corp", f'<form method="post" action="/authorize">{hidden}{field}</form>')
        self.signed_in = user
        back = {"state": params.get("state", ""), "iss": self.issuer}
        if params.get("response_type") != "code" or "openid" not in params.get("scope", "").split():
            back["error"] = "invalid_request"
        elif user not in self.users:
            back["error"] = "access_denied"
        else:
            back["code"] = secrets.token_urlsafe(24)
            self._grants[back["code"]] = _Grant(params["client_id"], params, user)
        back = self.back(back)
        return Answer(303, b"", {"location": f"{params['redirect_uri']}?{urlencode(back)}"})

    def _token(self, params: Params, headers: Mapping[str, str]) -> Answer:
        grant = self._grants.get(params.get("code", ""))
        error = "" if self.is_lenient and grant else self._refusal(grant, params, headers)
        if error or grant is None:
            return _json({"error": error}, 401 if error == "invalid_client" else 400)
        grant.is_used = True
        access_token = secrets.token_urlsafe(24)
        facts = {**grant.params, "user": grant.user, "client_id": grant.client_id, "access_token": access_token}
        usual = {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": self.id_token(facts),
        }
        return _json(without_none(usual | self.answer))

    def _refusal(self, grant: _Grant | None, params: Params, headers: Mapping[str, str]) -> str:
        basic = headers.get("authorization", "").removeprefix("Basic ")
        name, _, secret = base64.b64decode(basic).decode().partition(":")
        client_id = unquote_plus(name) or params.get("client_id", "")
        client = self.clients.get(client_id)
        if client is None or (unquote_plus(secret) or params.get("client_secret")) != client.secret:
            return "invalid_client"
        if params.get("grant_type") != "authorization_code" or grant is None or grant.is_used:
            return "invalid_grant"
        digest = encoded(hashlib.sha256(params.get("code_verifier", "").encode()).digest())
        asked = grant.params
        is_same = grant.client_id == client_id and params.get("redirect_uri") == asked["redirect_uri"]
        is_proved = asked.get("code_challenge_method") == "S256" and asked.get("code_challenge") == digest
        return "" if is_same and is_proved else "invalid_grant"

    def _log_out(self, params: Params) -> Answer:
        self.signed_in = ""
        client = self.clients.get(params.get("client_id", ""))
        target = params.get("post_logout_redirect_uri", "")
        if client is None or target not in client.logout_redirect_uris:
            return _page("Signed out", "")
        return Answer(303, b"", {"location": target})

    # --- back-channel logout -----------------------------------------------------------------------------------------

    def logout_token(self, header: Mapping[str, Any] | None = None, **more: Any) -> str:
        now = int(self.clock())
        usual = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_urlsafe(16),
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
            "sub": "ann-1",
            "sid": self.sid,
        }
        return signed(self.keys[-1], without_none(usual | more), {"typ": "logout+jwt", **(header or {})})

    def send_logout(self, token: str) -> int:
        """Send a logout token to the client, and return the status of its answer."""
        parts = urlsplit(self.clients[CLIENT].logout_uri)
        connection = http.client.HTTPConnection(parts.netloc, timeout=30)
        headers = {"content-type": "application/x-www-form-urlencoded"}
        connection.request("POST", parts.path, urlencode({"logout_token": token}), headers)
        status = connection.getresponse().status
        connection.close()
        return status


def half_hash(algorithm: str, access_token: str) -> str:
    digest = hashlib.new(HASHES[algorithm[2:]].name, access_token.encode()).digest()
    return encoded(digest[: len(digest) // 2])


def _json(members: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(members).encode(), {"content-type": "application/json"})


def _page(title: str, body: str, status: int = 200) -> Answer:
    return Answer(status, PAGE.format(title=title, body=body).encode(), {"content-type": "text/html"})


def _handler(provider: OidcProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            params = dict(parse_qsl(f"{parts.query}&{body}".strip("&"), keep_blank_values=True))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = provider.respond(self.command, parts.path, params, headers)
            self.send_response(answer.status)
            for name, value in {**answer.headers, "content-length": str(len(answer.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = _respond  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None: ...

    return Handler


@contextmanager
def serving_provider(provider: OidcProvider) -> Iterator[OidcProvider]:
    """Serve a provider at loopback."""
    server = QuietServer(("127.0.0.1", 0), _handler(provider))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    provider.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield provider
    finally:
        provider.answers.set()
        server.shutdown()
        server.server_close()
        thread.join()
