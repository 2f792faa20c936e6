"""The client of OIDC providers: discovery, authorization requests, and codes for tokens, over real HTTP."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from authlib.oauth2 import client as authlib_client

from iam_guard.authn.people.sign_on.oidc_client import MAX_LOGOUT_URL, OidcClient
from iam_guard.authn.people.sign_on.sign_on_providers import SignOnProvider
from iam_guard.authn.tokens.https_fetch import MAX_BODY, Fetcher
from iam_guard.authn.tokens.issuer_keys import Intervals
from iam_guard.errors import IamGuardError, IdentityProviderUnavailable, InvalidIdentityToken
from tests.authn.people.oidc_provider import CLIENT, ISSUER, SECRET, Answer, OidcProvider, serving_provider
from tests.tables import table

SITE = "https://app.example.com"
REDIRECT = f"{SITE}/signin/oidc/callback/so-1"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636, appendix B
REGISTRATION = SignOnProvider(
    id="so-1",
    account="111122223333",
    name="Example Corp",
    kind="oidc",
    provider="arn:aws:iam::111122223333:oidc-provider/id.example.com/tenant",
    issuer=ISSUER,
    client_id=CLIENT,
    client_secret=SECRET,
    scopes=("openid", "email"),
    roles=(),
    trusts_mfa=False,
)


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    made = OidcProvider()
    made.clients[CLIENT].redirect_uris.add(REDIRECT)
    made.signed_in = "ann"
    with serving_provider(made):
        yield made


class Clock:
    """A monotonic clock that the test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def client_of(provider: OidcProvider, clock: Clock | None = None, timeout: float = 30.0) -> OidcClient:
    fetcher = Fetcher({provider.issuer: provider.address}, timeout=timeout)
    return OidcClient(fetcher, SITE, Intervals(900.0, 15.0), clock=clock or Clock())


def code_of(client: OidcClient, provider: OidcProvider, registration: SignOnProvider = REGISTRATION) -> str:
    """Return a code, as a browser that is signed in at the provider brings it back."""
    url = client.authorization_url(registration, state="s", nonce="n", verifier=VERIFIER)
    params = {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}
    answer = provider.respond("GET", "/authorize", params, {})
    return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


def test_authorization_request_has_pkce_state_and_nonce(provider: OidcProvider) -> None:
    """The parameters of OpenID Connect Core 3.1.2.1 and RFC 7636, each once; an endpoint's own query is kept."""
    provider.document = {"authorization_endpoint": f"{provider.address}/authorize?p=people"}
    url = client_of(provider).authorization_url(REGISTRATION, state="a+b", nonce="c d", verifier=VERIFIER)
    assert url.startswith(f"{provider.address}/authorize?")
    assert parse_qs(urlsplit(url).query, strict_parsing=True) == {
        "p": ["people"],
        "response_type": ["code"],
        "client_id": [CLIENT],
        "redirect_uri": [REDIRECT],
        "scope": ["openid email"],
        "state": ["a+b"],
        "nonce": ["c d"],
        "code_challenge": ["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"],
        "code_challenge_method": ["S256"],
    }


@table(
    "methods, secret, in_header",
    [
        (["client_secret_basic", "client_secret_post"], SECRET, True),
        (None, SECRET, True),
        (["private_key_jwt", "client_secret_post"], SECRET, False),
        (["client_secret_post"], SECRET, False),
        (["none"], None, False),
    ],
)
def test_code_is_redeemed_as_discovery_says(methods: list[str] | None, secret: str | None, in_header: bool) -> None:
    """With the secret in the header or in the form, or as a public client; the PKCE verifier and redirect URI too."""
    made = OidcProvider()
    made.clients[CLIENT].redirect_uris.add(REDIRECT)
    made.clients[CLIENT].secret = secret
    made.signed_in, made.document = "ann", {"token_endpoint_auth_methods_supported": methods}
    with serving_provider(made) as provider:
        client = client_of(provider)
        registration = replace(REGISTRATION, client_secret=secret)
        tokens = client.redeem(registration, code_of(client, provider, registration), VERIFIER)
        request = provider.last("token")
    assert tokens.id_token.count(".") == 2
    assert tokens.access_token
    assert ("authorization" in request.headers) is in_header
    assert request.params.get("client_secret") == (None if in_header else secret)
    assert SECRET not in repr((tokens, registration))
    assert tokens.id_token not in repr(tokens)
    assert "Authorization" not in authlib_client.DEFAULT_HEADERS  # they are shared by all clients


DOCUMENTS: dict[str, Any] = {
    "another issuer": {"issuer": "https://evil.example.com/tenant"},
    "issuer with a slash": {"issuer": ISSUER + "/"},
    "multi-tenant issuer": {"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"},
    "no issuer": {"issuer": None},
    "issuer in a list": {"issuer": [ISSUER]},
    "no authorization endpoint": {"authorization_endpoint": None},
    "plain authorization endpoint": {"authorization_endpoint": "http://id.example.com/authorize"},
    "script as endpoint": {"authorization_endpoint": "javascript:alert(1)"},
    "endpoint with a user": {"authorization_endpoint": "https://app.example.com@evil.example.com/"},
    "endpoint with a line": {"authorization_endpoint": "https://id.example.com/\r\nset-cookie: a=b"},
    "endpoint with a fragment": {"authorization_endpoint": "https://id.example.com/#a"},
    "long endpoint": {"authorization_endpoint": "https://id.example.com/" + "a" * 2000},
    "no token endpoint": {"token_endpoint": None},
    "plain token endpoint": {"token_endpoint": "http://10.0.0.1/token"},
    "number as token endpoint": {"token_endpoint": 7},
    "script to sign out": {"end_session_endpoint": "javascript:alert(1)"},
    "methods in a string": {"token_endpoint_auth_methods_supported": "client_secret_basic"},
}


def test_discovery_document_is_refused(provider: OidcProvider, subtests: pytest.Subtests) -> None:
    """Another issuer, and endpoints that are no HTTPS URLs."""
    for name, document in DOCUMENTS.items():
        provider.document = document
        with subtests.test(name), pytest.raises(InvalidIdentityToken):
            client_of(provider).endpoints(ISSUER)


BODIES: dict[str, Answer] = {
    "not JSON": Answer(200, b"<html>"),
    "a list": Answer(200, b"[]"),
    "NaN": Answer(200, b'{"issuer": NaN}'),
    "a member twice": Answer(200, b'{"issuer": "a", "issuer": "b"}'),
    "deep": Answer(200, b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"),
    "too long": Answer(200, b" " * (MAX_BODY + 1)),
    "redirect": Answer(302, b"", {"location": "http://169.254.169.254/"}),
    "error": Answer(500, b"{}"),
    "not found": Answer(404, b"{}"),
}


def test_answers_that_are_no_documents_are_refused(provider: OidcProvider, subtests: pytest.Subtests) -> None:
    """Whatever a provider answers to the request for its document, or to a code, becomes one of two errors."""
    client = client_of(provider)
    client.endpoints(ISSUER)
    for name, body in BODIES.items():
        with subtests.test(name):
            provider.bodies = {"openid-configuration": body, "token": body}
            for work in (
                lambda: client_of(provider).endpoints(ISSUER),
                lambda: client.redeem(REGISTRATION, "c", VERIFIER),
            ):
                with pytest.raises((InvalidIdentityToken, IdentityProviderUnavailable)):
                    work()


@table(
    "status, answer, reason",
    [
        (400, {"error": "invalid_grant", "error_description": SECRET}, "answered with `invalid_grant`"),
        (400, {"error": f"<{SECRET}>"}, "an error without a valid code"),
        (200, {"error": "", "id_token": "a.b.c"}, "an error without a valid code"),
        (400, {"error": ["a"]}, "expected strings"),
        (400, {"id_token": "a.b.c"}, "answered with status 400"),
        (401, {}, "answered with status 401"),
        (200, {}, "expected an ID token"),
        (200, {"access_token": "a"}, "expected an ID token"),
        (200, {"id_token": None}, "expected an ID token"),
        (200, {"id_token": {"a": "b"}}, "expected strings"),
        (200, {"id_token": "a" * 20_001}, "at most 20000"),
        (200, {"id_token": "a.b.c", "access_token": 7}, "expected strings"),
        (302, {}, "status 302"),
        (201, {"id_token": "a.b.c"}, "status 201"),
        (503, {"error": "temporarily_unavailable"}, "status 503"),
    ],
)
def test_refused_code_has_a_reason_without_secrets(status: int, answer: dict[str, Any], reason: str) -> None:
    """The reason has the error code of the provider at most."""
    with serving_provider(OidcProvider()) as provider:
        provider.bodies["token"] = Answer(status, json.dumps(answer).encode(), {"location": "/elsewhere"})
        with pytest.raises(IamGuardError, match=reason) as caught:
            client_of(provider).redeem(REGISTRATION, "the-code", VERIFIER)
    assert isinstance(caught.value, InvalidIdentityToken | IdentityProviderUnavailable)
    assert not any(secret in str(caught.value) for secret in (SECRET, "the-code", VERIFIER))


def test_unusual_expiry_in_an_answer_is_ignored(provider: OidcProvider) -> None:
    """Authlib would convert it, and fail."""
    client = client_of(provider)
    for value in ("soon", [], 1e300, None):
        provider.answer = {"expires_in": value, "expires_at": value, "token_type": value}
        assert client.redeem(REGISTRATION, code_of(client, provider), VERIFIER).id_token


def test_document_is_fetched_once_and_used_in_outages(provider: OidcProvider) -> None:
    """A failure is remembered for the cooldown, and a former document is used while there is no new one."""
    clock = Clock()
    client = client_of(provider, clock)
    provider.bodies["openid-configuration"] = Answer(500, b"")
    for _ in range(3):
        with pytest.raises(IdentityProviderUnavailable, match="status 500"):
            client.endpoints(ISSUER)
    assert provider.count("openid-configuration") == 1
    provider.bodies = {}
    clock.now += 15
    first = client.endpoints(ISSUER)
    assert client.endpoints(ISSUER) is first
    assert provider.count("openid-configuration") == 2
    provider.bodies["openid-configuration"] = Answer(500, b"")
    clock.now += 900
    assert [client.endpoints(ISSUER) for _ in range(3)] == [first] * 3
    assert provider.count("openid-configuration") == 3
    provider.bodies, provider.document = {}, {"issuer": "https://evil.example.com"}
    clock.now += 15
    with pytest.raises(InvalidIdentityToken):  # no outage
        client.endpoints(ISSUER)


def test_slow_provider_ends_at_the_deadline(provider: OidcProvider) -> None:
    """For the document and for the code."""
    provider.hanging = ("openid-configuration",)
    provider.answers.clear()
    with pytest.raises(IdentityProviderUnavailable):
        client_of(provider, timeout=0.2).endpoints(ISSUER)
    provider.hanging = ("token",)
    with pytest.raises(IdentityProviderUnavailable):
        client_of(provider, timeout=1.0).redeem(REGISTRATION, "c", VERIFIER)


def test_token_endpoint_must_be_public(caplog: pytest.LogCaptureFixture) -> None:
    """Without an entry in `oidc_addresses`, no form goes to a private address, nor to plain HTTP."""
    caplog.set_level(logging.DEBUG)
    fetcher = Fetcher({}, timeout=5)
    for url in ("https://127.0.0.1/token", "https://localhost/token", "https://[::1]/token"):
        with pytest.raises(IdentityProviderUnavailable, match="ConnectError"):
            fetcher.send_form(url, "https://id.example.com", f"client_secret={VERIFIER}", {})
    for url in ("http://127.0.0.1/token", "https://a..b/token\n", "ftp://id.example.com/"):
        with pytest.raises(InvalidIdentityToken):
            fetcher.send_form(url, "https://id.example.com", "a=b", {})
    with pytest.raises(IdentityProviderUnavailable):
        fetcher.send_form("https://a..b/token", "https://id.example.com", "a=b", {})
    assert VERIFIER not in caplog.text


@table(
    "endpoint, token, url",
    [
        ("https://id.example.com/out", "a.b.c", "https://id.example.com/out?client_id=iam-guard-app&{back}{hint}a.b.c"),
        (
            "https://id.example.com/?a=b",
            "a.b.c",
            "https://id.example.com/?a=b&client_id=iam-guard-app&{back}{hint}a.b.c",
        ),
        (
            "https://id.example.com/out",
            "a" * MAX_LOGOUT_URL,
            "https://id.example.com/out?client_id=iam-guard-app&{back}",
        ),
        (None, "a.b.c", None),
    ],
)
def test_logout_url_has_the_id_token_unless_too_long(endpoint: str | None, token: str, url: str | None) -> None:
    """The client's id too, with which a provider finds the registered addresses."""
    back = "post_logout_redirect_uri=https%3A%2F%2Fapp.example.com%2Fsignin%2F"
    with serving_provider(OidcProvider()) as provider:
        provider.document["end_session_endpoint"] = endpoint
        made = client_of(provider).logout_url(REGISTRATION, token, "https://app.example.com/signin/")
    assert made == (url and url.format(back=back, hint="&id_token_hint="))
