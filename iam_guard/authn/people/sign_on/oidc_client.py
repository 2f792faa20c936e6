"""The client of OIDC providers with Authlib: discovery, the authorization request, and the code for tokens.

The only module that uses Authlib, which composes and reads the messages of OAuth 2.0; all requests go through
`https_fetch`. Always with PKCE (`S256`). The client authenticates as the discovery document says, with its secret in
the header if there is a choice; without a secret, it is public.

Each provider has a redirect address of its own, so that the code of one is never sent to another (mix-up). One that was
added before keeps the common address while it names itself in each answer (RFC 9207).

Discovery documents are cached, and so are failures to fetch them, so that people who sign in can't make us flood a
provider. Errors quote nothing that a provider sent but its error codes.
"""

from __future__ import annotations

import re
import shlex
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple
from urllib.parse import quote_plus, urlencode

from cachetools import LRUCache

from iam_guard.authn.constant_time import same
from iam_guard.authn.people.sign_on.sign_on_providers import SignOnProvider, redirect_uri
from iam_guard.authn.tokens.oidc_token import MAX_LENGTH, read_members
from iam_guard.errors import (
    IamGuardError,
    IdentityProviderUnavailable,
    InvalidIdentityToken,
    OwnRedirectRequired,
)
from iam_guard.forking import fork_safe_lock
from iam_guard.imports import requires_extra

with requires_extra("sign-on", "sign-on by OIDC"):
    from authlib.oauth2 import OAuth2Client, OAuth2Error

    from iam_guard.authn.tokens.https_fetch import Fetcher
    from iam_guard.authn.tokens.issuer_keys import DISCOVERY, MAX_ISSUERS, Intervals

MAX_ENDPOINT: Final = 2000
MAX_LOGOUT_URL: Final = 6000
"""Characters of a URL that browsers and proxies commonly accept."""
MAX_CODE: Final = 8000
_ERROR_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_BASIC, _POST, _NONE = "client_secret_basic", "client_secret_post", "none"
_FAILURES: Final = (IdentityProviderUnavailable, InvalidIdentityToken)


@dataclass(frozen=True, slots=True)
class OidcEndpoints:
    """What a provider's discovery document says about signing in and out."""

    authorization: str
    token: str
    end_session: str | None
    announces_issuer: bool
    """Whether each of its answers names the issuer (RFC 9207)."""
    has_basic: bool
    """Whether clients authenticate in the header (`client_secret_basic`), not in the form (`client_secret_post`)."""


@dataclass(frozen=True, slots=True)
class OidcTokens:
    """The tokens of a code."""

    id_token: str = field(repr=False)
    access_token: str | None = field(repr=False)


class _Cached(NamedTuple):
    """A provider's endpoints, or why there are none, at a time of the clock."""

    endpoints: OidcEndpoints | None
    failure: IamGuardError | None
    at: float


class OidcClient:
    """A client of all sign-on providers; safe to share between threads. Browsers come back to `site_url`."""

    def __init__(
        self,
        fetcher: Fetcher,
        site_url: str,
        intervals: Intervals = Intervals(),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetcher = fetcher
        self._site_url = site_url
        self._intervals = intervals
        self._clock = clock
        self._cached: LRUCache[str, _Cached] = LRUCache(MAX_ISSUERS)
        self._lock = fork_safe_lock()

    def endpoints(self, issuer: str) -> OidcEndpoints:
        """Return the endpoints of an issuer, which must be registered.

        Raises `IdentityProviderUnavailable`, and `InvalidIdentityToken` for a document that is refused.
        """
        with self._lock:
            cached = self._cached.get(issuer)
        if cached is None or self._is_old(cached):
            cached = self._fetch(issuer, cached)
            with self._lock:
                self._cached[issuer] = cached
        if cached.failure is not None:
            raise type(cached.failure)(cached.failure.message)
        if cached.endpoints is None:
            raise IdentityProviderUnavailable("the identity provider has no endpoints")
        return cached.endpoints

    def authorization_url(self, provider: SignOnProvider, *, state: str, nonce: str, verifier: str) -> str:
        """Return the URL at the provider that a browser signs in at.

        Raises `OwnRedirectRequired`, and as `endpoints` does.
        """
        endpoint = self._endpoints_of(provider).authorization
        request = OAuth2Client(
            None,
            provider.client_id,
            scope=" ".join(provider.scopes),
            redirect_uri=redirect_uri(self._site_url, provider),
            code_challenge_method="S256",
        )
        url, _ = request.create_authorization_url(endpoint, state, verifier, nonce=nonce)
        return str(url)

    def code_of(self, provider: SignOnProvider, answer: Mapping[str, str], state: str) -> str:
        """Return the code of an answer, the parameters that a browser brought back (RFC 6749 4.1.2, RFC 9207).

        Raises `InvalidIdentityToken` for an answer to another request, of another provider, or without a code, and as
        `authorization_url` does.
        """
        if not state or not same(answer.get("state", ""), state):
            raise InvalidIdentityToken("expected the state of this browser's sign-in")
        unnamed = "" if self._endpoints_of(provider).announces_issuer else provider.issuer
        if answer.get("iss", unnamed) != provider.issuer:
            raise InvalidIdentityToken("expected an answer of the provider that the sign-in began with")
        if "error" in answer:
            raise InvalidIdentityToken(f"the provider answered with {_error_code(answer['error'])}")
        code = answer.get("code", "")
        if not 0 < len(code) <= MAX_CODE or not code.isascii() or not code.isprintable():
            raise InvalidIdentityToken(f"expected a code of at most {MAX_CODE} characters")
        return code

    def redeem(self, provider: SignOnProvider, code: str, verifier: str) -> OidcTokens:
        """Exchange a code for tokens, which are not verified.

        Raises `InvalidIdentityToken` if the provider refuses the code, and as `authorization_url` does.
        """
        endpoints = self._endpoints_of(provider)
        method = _NONE if provider.client_secret is None else _BASIC if endpoints.has_basic else _POST
        request = OAuth2Client(
            _TokenRequest(self._fetcher, provider.issuer),
            provider.client_id,
            provider.client_secret,
            token_endpoint_auth_method=method,
            redirect_uri=redirect_uri(self._site_url, provider),
        )
        request.register_client_auth_method((_BASIC, _with_secret_in_header))
        try:
            answer = request.fetch_token(
                endpoints.token, grant_type="authorization_code", code=code, code_verifier=verifier
            )
        except OAuth2Error as error:
            raise InvalidIdentityToken(f"the token endpoint answered with {_error_code(error.error)}") from None
        id_token, access_token = answer.get("id_token"), answer.get("access_token")
        if id_token is None:
            raise InvalidIdentityToken("expected an ID token from the token endpoint")
        return OidcTokens(id_token, access_token)

    def logout_url(self, provider: SignOnProvider, id_token: str, back: str) -> str | None:
        """Return the URL at which a browser signs out of the provider too (OpenID Connect RP-Initiated Logout 1.0).

        `back` is where the provider then sends it. None without such an endpoint. A long ID token is left out: the
        provider asks the person then. Raises as `endpoints` does.
        """
        endpoint = self.endpoints(provider.issuer).end_session
        if endpoint is None:
            return None
        query = {"client_id": provider.client_id, "post_logout_redirect_uri": back}
        start = endpoint + ("&" if "?" in endpoint else "?")
        url = start + urlencode({**query, "id_token_hint": id_token})
        return url if len(url) <= MAX_LOGOUT_URL else start + urlencode(query)

    def _endpoints_of(self, provider: SignOnProvider) -> OidcEndpoints:
        """Return the endpoints of a provider that has a redirect address of its own, or names itself in its answers.

        Raises `OwnRedirectRequired`, and as `endpoints` does.
        """
        found = self.endpoints(provider.issuer)
        if not provider.has_common_redirect or found.announces_issuer:
            return found
        own = redirect_uri(self._site_url, replace(provider, has_common_redirect=False))
        command = shlex.join(("iam-guard", "account", "sign-on", "own-redirect", provider.account, provider.name))
        raise OwnRedirectRequired(
            f"the sign-on provider {provider.id} of the account {provider.account} "
            "shares its redirect address with others, and its identity provider does not announce that it names itself "
            f"in its answers (RFC 9207): register {own} there, then run `{command}`",
            place=own,
        )

    def _is_old(self, cached: _Cached) -> bool:
        lifetime = self._intervals.refresh if cached.failure is None else self._intervals.cooldown
        return self._clock() - cached.at >= lifetime

    def _fetch(self, issuer: str, former: _Cached | None) -> _Cached:
        """Fetch the endpoints; while the provider can't be reached, the former ones are used."""
        try:
            document = self._fetcher.fetch(issuer.rstrip("/") + DISCOVERY, issuer)
            return _Cached(self._endpoints(document, issuer), None, self._clock())
        except _FAILURES as failure:
            is_outage = isinstance(failure, IdentityProviderUnavailable)
            if is_outage and former is not None and former.endpoints is not None:
                since = self._clock() - self._intervals.refresh + self._intervals.cooldown  # when to try again
                return _Cached(former.endpoints, None, since)
            return _Cached(None, failure, self._clock())

    def _endpoints(self, document: bytes, issuer: str) -> OidcEndpoints:
        """Read a discovery document (OpenID Connect Discovery 4.3). Raises `InvalidIdentityToken`."""
        try:
            members = read_members(document)
        except ValueError:
            raise InvalidIdentityToken("expected a JSON object as the discovery document") from None
        if members.get("issuer") != issuer:
            raise InvalidIdentityToken("expected the registered URL as the issuer in the discovery document")
        methods = members.get("token_endpoint_auth_methods_supported", [_BASIC])
        if not isinstance(methods, list):
            raise InvalidIdentityToken("expected a list of methods to authenticate clients")
        return OidcEndpoints(
            self._url(members, "authorization_endpoint", issuer),
            self._url(members, "token_endpoint", issuer),
            self._url(members, "end_session_endpoint", issuer) if "end_session_endpoint" in members else None,
            members.get("authorization_response_iss_parameter_supported", False) is not False,
            _BASIC in methods or _POST not in methods,
        )

    def _url(self, members: Mapping[str, Any], name: str, issuer: str) -> str:
        url = members.get(name)
        if not isinstance(url, str) or len(url) > MAX_ENDPOINT or "#" in url:
            raise InvalidIdentityToken(f"expected an HTTPS URL as `{name}` in the discovery document")
        try:
            self._fetcher.check_url(url, issuer)
        except InvalidIdentityToken:
            raise InvalidIdentityToken(f"expected an HTTPS URL as `{name}` in the discovery document") from None
        return url


def _error_code(value: object) -> str:
    """Return an error code of a provider for the audit trail; a text that is none could be anything."""
    return f"`{value}`" if isinstance(value, str) and _ERROR_CODE.fullmatch(value) else "an error without a valid code"


class _TokenRequest:
    """What Authlib needs of an HTTP client: one request, and its answer."""

    def __init__(self, fetcher: Fetcher, issuer: str) -> None:
        self._fetcher = fetcher
        self._issuer = issuer
        self._answer: dict[str, str] = {}
        self.status_code = 0

    def post(self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: Any) -> _TokenRequest:
        """Send the form, with what authenticates the client."""
        own = dict(headers)  # Authlib's are shared by all its clients, and `prepare` adds the secret
        url, own, form = auth.prepare("POST", url, own, urlencode(data))
        answer = self._fetcher.send_form(url, self._issuer, form, own)
        self.status_code = answer.status
        self._answer = _token_answer(answer.body)
        if answer.status != 200 and "error" not in self._answer:
            self.raise_for_status()
        return self

    def json(self) -> dict[str, str]:
        """Return the members of the answer that are used."""
        return self._answer

    def raise_for_status(self) -> None:
        """Raise `InvalidIdentityToken`, which is recorded instead of an error of Authlib's."""
        raise InvalidIdentityToken(f"the token endpoint answered with status {self.status_code}")


def _token_answer(body: bytes) -> dict[str, str]:
    """Return what is used of a token endpoint's answer. Raises `InvalidIdentityToken`."""
    try:
        members = read_members(body)
    except ValueError:
        raise InvalidIdentityToken("expected a JSON object from the token endpoint") from None
    used = {name: members[name] for name in ("id_token", "access_token", "error") if members.get(name) is not None}
    if not all(isinstance(value, str) for value in used.values()):
        raise InvalidIdentityToken("expected strings as the tokens of the token endpoint")
    if len(used.get("id_token", "")) > MAX_LENGTH:
        raise InvalidIdentityToken(f"expected an ID token of at most {MAX_LENGTH} characters")
    return used


def _with_secret_in_header(
    client: Any, method: str, url: str, headers: dict[str, str], form: str
) -> tuple[str, dict[str, str], str]:
    """Authenticate a client in the header. Encoded as RFC 6749 2.3.1 says, which Authlib's own function is not."""
    text = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    return url, {**headers, "Authorization": f"Basic {b64encode(text.encode('ascii')).decode('ascii')}"}, form
