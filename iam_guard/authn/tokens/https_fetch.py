"""Requests to OIDC issuers over HTTPS: fetch discovery documents and key sets, send forms to token endpoints.

No redirects, no proxy from the environment, no cookies; certificates are always verified, size and time are limited.
The address must be public unless the settings name it: the host is resolved here and the connection goes to the checked
address, which prevents DNS rebinding. Plain HTTP is accepted only for loopback addresses in the settings.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from iam_guard.errors import ConfigurationError, IdentityProviderUnavailable, InvalidIdentityToken
from iam_guard.imports import requires_extra
from iam_guard.net.trusted_addresses import is_loopback, trusting

with requires_extra("oidc", "an OIDC provider"):
    import httpcore2

    from iam_guard.net.connections import DeadlineBackend

MAX_BODY: Final = 256 * 1024

_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "iam-guard"}
_NOT_IN_URLS: Final = frozenset(' "<>\\^`{|}')
_FORM_STATUSES: Final = frozenset({200, 400, 401})
"""What a token endpoint answers with a body that says why (RFC 6749 5.2)."""


_FAILURES: Final = (
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProtocolError,
    OSError,
    UnicodeError,  # of a name that is no host's
)


class FormAnswer(NamedTuple):
    """What an issuer answers to a form. The body is secret."""

    status: int
    body: bytes

    def __repr__(self) -> str:
        return f"FormAnswer({self.status})"


class Fetcher:
    """An HTTPS client for issuers, safe to share between threads. `addresses` maps an issuer to its private address.

    Raises `ConfigurationError` for an invalid address and for a CA file without certificates.
    """

    def __init__(self, addresses: Mapping[str, str], *, ca_file: str = "", timeout: float = 5.0) -> None:
        for address in addresses.values():
            _check_address(address)
        self._addresses = {issuer: address.rstrip("/") for issuer, address in addresses.items()}
        self._timeout = timeout
        self._context = trusting(ca_file, place="oidc_ca_file")

    def fetch(self, url: str, issuer: str) -> bytes:
        """Return the body at a URL of the issuer.

        Raises `IdentityProviderUnavailable` if the issuer does not respond, `InvalidIdentityToken` for a refused URL.
        """
        return self._exchange("GET", url, issuer, _HEADERS, None, frozenset({200})).body

    def send_form(self, url: str, issuer: str, form: str, headers: Mapping[str, str]) -> FormAnswer:
        """Send an encoded form to a URL of the issuer; it may answer with status 400 or 401. Raises as `fetch` does."""
        kind = {"content-type": "application/x-www-form-urlencoded"}
        sent = {**{name.lower(): value for name, value in headers.items()}, **_HEADERS, **kind}
        return self._exchange("POST", url, issuer, sent, form.encode("ascii"), _FORM_STATUSES)

    def check_url(self, url: str, issuer: str) -> None:
        """Raise `InvalidIdentityToken` for a URL of the issuer that a browser must not be sent to either."""
        _check_url(url, is_private=issuer in self._addresses)

    def _exchange(
        self,
        method: str,
        url: str,
        issuer: str,
        headers: Mapping[str, str],
        content: bytes | None,
        statuses: frozenset[int],
    ) -> FormAnswer:
        address = self._addresses.get(issuer)
        if address is not None:
            base = issuer.rstrip("/")
            url = address + url.removeprefix(base) if url.startswith(base + "/") else url
        _check_url(url, is_private=address is not None)
        backend = DeadlineBackend(time.monotonic() + self._timeout, only_public=address is None)
        try:
            with (
                httpcore2.ConnectionPool(self._context, network_backend=backend) as pool,
                pool.stream(method, url, headers=list(headers.items()), content=content) as response,
            ):
                if response.status not in statuses:
                    raise _unreachable(f"status {response.status}")
                return FormAnswer(response.status, _body(response))
        except _FAILURES as error:
            raise _unreachable(type(error).__name__) from None


def _body(response: httpcore2.Response) -> bytes:
    body = bytearray()
    for part in response.iter_stream():
        body += part
        if len(body) > MAX_BODY:
            raise _unreachable(f"more than {MAX_BODY} bytes")
    return bytes(body)


def _unreachable(reason: str) -> IdentityProviderUnavailable:
    return IdentityProviderUnavailable(f"the identity provider cannot be reached: {reason}")


def _check_url(url: str, *, is_private: bool) -> None:
    """Raise `InvalidIdentityToken` unless the URL is plain HTTPS, or HTTP at loopback for an issuer of the settings."""
    try:
        parts = urlsplit(url)
        is_text = url.isascii() and url.isprintable() and not set(url) & _NOT_IN_URLS
        is_plain = parts.hostname and parts.username is None and parts.password is None and is_text
        is_secure = parts.scheme == "https" or (is_private and parts.scheme == "http" and is_loopback(parts.hostname))
        if is_plain and is_secure and (parts.port or 1) > 0:
            return
    except ValueError:
        pass
    raise InvalidIdentityToken("expected an HTTPS URL from the identity provider")


def _check_address(address: str) -> None:
    try:
        _check_url(address, is_private=True)
    except InvalidIdentityToken:
        message = f"expected an address such as https://10.0.0.1:6443, or http:// at loopback, got `{address[:200]}`"
        raise ConfigurationError(message, place="oidc_addresses") from None
