"""Verify OIDC tokens: parse the text, check its times and the issuer's signature.

The modules that fetch keys and check signatures are imported with the first token, since most guards never receive one.
The parts are `oidc_token`, `jws`, `issuer_keys` and `https_fetch`; `federation` maps a token to a role session.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from importlib import import_module
from typing import Protocol

from iam_guard.authn.tokens.oidc_token import ALGORITHMS, TOKEN_TYPES, Token, check_times, read_token
from iam_guard.errors import ConfigurationError
from iam_guard.forking import fork_safe_lock
from iam_guard.settings import Settings


class _Signatures(Protocol):
    def check_signature(self, token: Token, account: str | None = None) -> None: ...


class TokenVerifier:
    """A token verifier for the settings, safe to share between threads. Fetches an issuer's keys if they are missing.

    `fetch` returns the body at a URL of an issuer; by default it is an HTTPS client for the settings. Raises
    `ConfigurationError` for an invalid setting.
    """

    def __init__(self, settings: Settings, fetch: Callable[[str, str], bytes] | None = None) -> None:
        self._settings = settings
        self._fetch = fetch
        self._algorithms = frozenset(settings.oidc_algorithms)
        unknown = sorted(self._algorithms - ALGORITHMS.keys())
        if unknown:
            expected = ", ".join(sorted(ALGORITHMS))
            message = f"expected algorithms among {expected}, got `{unknown[0]}`"
            raise ConfigurationError(message, place="oidc_algorithms")
        self._addresses = issuer_addresses(settings)
        self._lock = fork_safe_lock()
        self._signatures: _Signatures | None = None
        if settings.oidc_addresses or settings.oidc_ca_file:
            self.prepare()  # report invalid settings now, not with each token

    def read(self, text: str, *, types: Collection[str] = TOKEN_TYPES, is_event: bool = False) -> Token:
        """Parse a token of one of these types without verifying it. Raises `InvalidIdentityToken`."""
        return read_token(text, algorithms=self._algorithms, types=types, is_event=is_event)

    def verify(self, token: Token, now: float, account: str | None = None) -> None:
        """Check the times of a token and the signature of its issuer, which must be registered.

        If the issuer's keys must be fetched, the requests for an `account` have a share of the places for waiting.
        Raises `InvalidIdentityToken`, `ExpiredIdentityToken`, `IdentityProviderUnavailable`.
        """
        check_times(token, now=now, leeway=self._settings.oidc_leeway)
        self.prepare().check_signature(token, account)

    def prepare(self) -> _Signatures:
        """Import the modules now. Raises `ConfigurationError` if they are not installed or configured wrongly."""
        with self._lock:
            if self._signatures is None:
                self._signatures = self._load()
            return self._signatures

    def clear(self) -> None:
        """Drop the cached keys of issuers, for example after a key was compromised."""
        with self._lock:
            self._signatures = None

    def _load(self) -> _Signatures:
        settings = self._settings
        keys, fetch = (import_module(f"iam_guard.authn.tokens.{name}") for name in ("issuer_keys", "https_fetch"))
        get = self._fetch
        if get is None:
            get = fetch.Fetcher(self._addresses, ca_file=settings.oidc_ca_file, timeout=settings.oidc_timeout).fetch
        intervals = keys.Intervals(settings.oidc_refresh, settings.oidc_cooldown, settings.oidc_max_staleness)
        signatures: _Signatures = keys.IssuerKeys(get, intervals)
        return signatures


def issuer_addresses(settings: Settings) -> dict[str, str]:
    """Return the private addresses of issuers. Raises `ConfigurationError`."""
    return dict(map(_address, settings.oidc_addresses))


def _address(text: str) -> tuple[str, str]:
    issuer, equals, address = text.partition("=")
    if not equals or not issuer.startswith("https://") or not address:
        message = f"expected `https://issuer.example=ADDRESS`, got `{text[:200]}`"
        raise ConfigurationError(message, place="oidc_addresses")
    return issuer, address
