"""Known API keys: accept a repeated key by the hash of the header that presents it.

An entry is found by the SHA-256 of the header's value, of which the key is a part, and by the names of all headers in
order: they imply that there is one credential, in which header it is, and that no header is repeated. The text of a key
is never stored. What is left to check for each request is the size, the expiry, and that the query has no signature.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from itertools import chain
from typing import TypeAlias

from iam_guard.authn.caller_cache import Caller
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.known_callers import KnownCaller, KnownCallerCache
from iam_guard.authn.signatures.signed_query import has_signature
from iam_guard.model.principal import Principal

_BEARER = b"Bearer igk_"  # not that of other tokens, which are longer to hash

_MAX_PRESENTED = 256
"""The header of a known key is shorter, in bytes."""

_Name: TypeAlias = tuple[bytes, ...]
"""The hash of the header with the key, and the names of all headers in order."""


class KnownApiKeys(KnownCallerCache[_Name, KnownCaller]):
    """The known API keys of a guard, safe to share between threads."""

    def principal(self, path: bytes, query: bytes, headers: Mapping[bytes, bytes], now: datetime) -> Principal | None:
        """Return the principal of a request with an API key that is known and valid.

        `path` is as received. `headers` has every header of the request, none of which is repeated.
        """
        presented = headers.get(b"authorization")
        if presented is None:
            presented = headers.get(b"x-api-key")
        elif not presented.startswith(_BEARER):
            return None
        if presented is None or b"%" in path or not path.isascii() or (query and has_signature(query)):
            return None
        if len(b"".join(chain(headers, headers.values()))) > self._max_header:
            return None
        known = self._current((_hash(presented), *headers))
        return None if known is None or known.expires <= now else known.principal

    def add(self, request: HttpRequest, caller: Caller) -> None:
        """Add the API key of a request that was verified in full."""
        headers = self._headers(request)
        presented = None if headers is None else headers.get(b"authorization", headers.get(b"x-api-key"))
        if headers is None or presented is None or len(presented) >= _MAX_PRESENTED:
            return
        name = _hash(presented), *headers
        before = self._known.get(name)
        if before is not None and before.principal is caller.principal:
            return
        generations = self._hold(caller)
        if generations is not None:
            self._add(name, KnownCaller(caller, generations))


def _hash(presented: bytes) -> bytes:
    """Return the SHA-256 of a header that presents a key; of the beginning of one too long for a key."""
    return hashlib.sha256(presented[:_MAX_PRESENTED]).digest()
