"""The door to tokens of OIDC providers: a text in, a token out that its issuer has signed and that is good now.

What it takes to fetch keys and to check signatures is loaded with the first token, for most guards never see one. Must
not live here: the parts (`oidc_token`, `jws`, `issuer_keys`, `https_fetch`), who may do what with a token
(`federation`).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Protocol

from iam_guard.authn.oidc_token import Token, check_times, read_token
from iam_guard.errors import ConfigurationError
from iam_guard.forking import fork_safe_lock
from iam_guard.settings import Settings

KNOWN_ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)


class _Signatures(Protocol):
    def check_signature(self, token: Token) -> None: ...


class TokenVerifier:
    """Verifies by the settings. Safe to share between threads; touches the network where an issuer's keys are missing.

    `fetch` gives the body at a URL on behalf of an issuer; without it, it is fetched as the settings say. Raises
    `ConfigurationError` for a setting that cannot be.
    """

    def __init__(self, settings: Settings, fetch: Callable[[str, str], bytes] | None = None) -> None:
        self._settings = settings
        self._fetch = fetch
        self._algorithms = frozenset(settings.oidc_algorithms)
        unknown = sorted(self._algorithms - KNOWN_ALGORITHMS)
        if unknown:
            known = ", ".join(sorted(KNOWN_ALGORITHMS))
            raise ConfigurationError(f"expected algorithms among {known}, got `{unknown[0]}`", place="oidc_algorithms")
        self._addresses = dict(map(_address, settings.oidc_addresses))
        self._lock = fork_safe_lock()
        self._signatures: _Signatures | None = None
        if settings.oidc_addresses or settings.oidc_ca_file:
            self.prepare()  # what cannot be is found out now, and not with each token

    def read(self, text: str) -> Token:
        """Read a token, not yet known to be good. Raises `InvalidIdentityToken`."""
        return read_token(text, algorithms=self._algorithms)

    def verify(self, token: Token, now: float) -> None:
        """Refuse a token that is not of this time or not signed by its issuer, which must be a registered one.

        Raises `InvalidIdentityToken`, `ExpiredIdentityToken`, `IdentityProviderUnavailable`.
        """
        check_times(token, now=now, leeway=self._settings.oidc_leeway)
        self._loaded().check_signature(token)

    def prepare(self) -> None:
        """Load what it takes now. Raises `ConfigurationError` where it is not installed, or set up wrongly."""
        self._loaded()

    def forget(self) -> None:
        """Forget what is known of issuers, as after a key of theirs was given away: they are asked anew."""
        with self._lock:
            self._signatures = None

    def _loaded(self) -> _Signatures:
        with self._lock:
            if self._signatures is None:
                self._signatures = self._load()
            return self._signatures

    def _load(self) -> _Signatures:
        chosen = self._settings
        try:
            keys, fetch = (import_module(f"iam_guard.authn.{name}") for name in ("issuer_keys", "https_fetch"))
        except ModuleNotFoundError:
            message = "expected what tokens need, install it with `pip install iam-guard[oidc]`"
            raise ConfigurationError(message) from None
        how = self._fetch
        if how is None:
            how = fetch.Fetcher(self._addresses, ca_file=chosen.oidc_ca_file, timeout=chosen.oidc_timeout).fetch
        intervals = keys.Intervals(chosen.oidc_refresh, chosen.oidc_cooldown, chosen.oidc_max_staleness)
        signatures: _Signatures = keys.IssuerKeys(how, intervals)
        return signatures


def _address(text: str) -> tuple[str, str]:
    issuer, equals, address = text.partition("=")
    if not equals or not issuer.startswith("https://") or not address:
        message = f"expected `https://issuer.example=ADDRESS`, got `{text[:200]}`"
        raise ConfigurationError(message, place="oidc_addresses")
    return issuer, address
