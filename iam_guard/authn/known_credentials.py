"""The known signers and API keys of a guard, and which of the two a request is for.

Without replay protection and client certificates only: the first refuses a good signature, the second adds a credential
that is not in a header.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from iam_guard.authn.caller_cache import Caller
from iam_guard.authn.credential import MAX_SIGNED_HEADERS
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.known_api_keys import KnownApiKeys
from iam_guard.authn.known_callers import CallerStore
from iam_guard.authn.presented_credentials import SigV4Credential
from iam_guard.authn.signatures.known_signers import SIGNED, KnownSigners
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings


class KnownCredentials:
    """What repeated requests are verified with; safe to share between threads."""

    def __init__(self, store: CallerStore, settings: Settings) -> None:
        self.signers = KnownSigners(store, settings.cache_size, min(settings.max_header, MAX_SIGNED_HEADERS))
        self.api_keys = KnownApiKeys(store, settings.cache_size, settings.max_header)

    def principal(
        self, request: HttpRequest, payload_hash: Callable[[], str], now: datetime, *, any_scope: bool
    ) -> Principal | None:
        """Return the principal of a request if its credential is known and everything is good.

        `payload_hash` is called for a signature only.
        """
        headers = dict(request.headers)
        if len(headers) != len(request.headers) or request.certificates:
            return None
        if headers.get(b"authorization", b"").startswith(SIGNED):
            digest = payload_hash().encode("ascii")
            return self.signers.principal(
                request.method, request.raw_path, request.query_string, headers, digest, now, any_scope=any_scope
            )
        return self.api_keys.principal(request.raw_path, request.query_string, headers, now)

    def add_signer(
        self, request: HttpRequest, credential: SigV4Credential, caller: Caller, *, skew: float, any_scope: bool
    ) -> None:
        """Add the signer of a request that was verified in full; not if another host than the received was signed."""
        described = caller.principal.credential
        if described is not None and described.host is None:
            self.signers.add(request, credential, caller, skew=skew, any_scope=any_scope)


def known_credentials(store: CallerStore, settings: Settings) -> KnownCredentials | None:
    """Return the known credentials of a guard; None if its settings leave every request to the authenticator."""
    if settings.cache_size < 1 or settings.replay_memory or settings.client_certificates:
        return None
    return KnownCredentials(store, settings)
