"""Known signers: verify a repeated signature with one canonical request and one HMAC.

An entry is found by the Authorization header without its last 64 characters, the signature, and by the names of all
headers in order. From the same text follow the same access key, scope and signed headers; from the same names, that
there is one credential, that no header is repeated, and that the signature covers what it must. What is left to check
for each request is the time, the session token, the size, the hash of the body if it is stated, and the signature.

The canonical request is the first of those that the authenticator tries (`canonical`), for a path that needs no
encoding. A signature of another form, a presigned request, a chunked or unsigned body, SigV4A, and a signed public host
are left to the authenticator.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import TypeAlias

from iam_guard.authn.caller_cache import Caller
from iam_guard.authn.constant_time import same_bytes
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.known_callers import MAX_NAME, KnownCaller, KnownCallerCache
from iam_guard.authn.presented_credentials import ALGORITHM, TERMINATOR, SigV4Credential
from iam_guard.authn.signatures.canonical import named_headers, query_as_sent
from iam_guard.authn.signatures.signature_parts import TIMESTAMP, TIMESTAMP_LENGTH, parse_timestamp
from iam_guard.authn.signatures.signed_header import TOKEN_HEADER, signed_header
from iam_guard.authn.signatures.signed_query import MAX_TARGET, has_signature, is_too_long
from iam_guard.authn.signatures.sigv4 import SigningKey
from iam_guard.model.principal import Principal
from iam_guard.store.cache.generations import Held

SIGNED = f"{ALGORITHM} ".encode("ascii")
"""What an Authorization header with a signature of known signers starts with."""

_SIGNATURE, _UNSIGNED = slice(-64, None), slice(-64)
"""The signature in an Authorization header, and the header without it."""
_MAX_DATE_LENGTH = TIMESTAMP_LENGTH + 1  # one more than valid
_DATE_HEADER, _HASH_HEADER = b"x-amz-date", b"x-amz-content-sha256"
_is_plain_path = re.compile(rb"(?!.{%d})(?:(?:/[\w~-][\w.~-]*)+/?|/)" % (MAX_TARGET + 1)).fullmatch
"""Matches a path that has one form: without encoded bytes, empty segments, and segments that begin with a dot."""
_NEVER = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)

_Name: TypeAlias = tuple[bytes, ...]
"""The Authorization header without the signature, and the names of all headers in order."""


def _canonical_form(names: Sequence[bytes], line: bytes) -> bytes:
    """Return a canonical request in which `%b` stands for each value that a request determines."""
    headers = [name.replace(b"%", b"%%") + b":%b" for name in names]
    return b"\n".join((b"%b", b"%b", b"%b", *headers, b"", line.replace(b"%", b"%%"), b"%b"))


def _signed_form(scope: str) -> bytes:
    return f"{ALGORITHM}\n%b\n{scope}\n%b".encode("ascii")


@lru_cache(maxsize=1024)  # all requests of one second share an entry
def _window(date: bytes, day: bytes, skew: float) -> tuple[datetime, datetime]:
    """Return the times between which a timestamp is valid, however it is rounded, in a scope of that day."""
    text = date.decode("latin-1")
    if not date.startswith(day) or TIMESTAMP.fullmatch(text) is None:
        return _NEVER
    try:
        signed, tolerance = parse_timestamp(text), timedelta(seconds=skew - 1)
        return signed - tolerance, signed + tolerance
    except (ValueError, OverflowError):
        return _NEVER


class _KnownSigner(KnownCaller):
    """A caller who signs requests with these headers.

    The forms are filled with the values of a request: `canonical_form` with method, path, query, signed headers and the
    hash of the body, `signed_form` with the timestamp and the hash of the canonical request. With `any_scope`, region
    and service were not checked.
    """

    __slots__ = (
        "any_scope",
        "canonical_form",
        "day",
        "key",
        "signed_form",
        "skew",
        "states_hash",
        "token",
        "values_of",
    )

    def __init__(
        self,
        caller: Caller,
        key: SigningKey,
        generations: Held,
        credential: SigV4Credential,
        headers: Mapping[bytes, bytes],
        *,
        skew: float,
        any_scope: bool,
    ) -> None:
        super().__init__(caller, generations)
        names, _, line = named_headers(credential.signed_headers)
        self.key = key
        self.values_of: Callable[[Mapping[bytes, bytes]], tuple[bytes, ...]] = itemgetter(*names)
        self.canonical_form = _canonical_form(names, line)
        self.signed_form = _signed_form(credential.scope)
        self.day = credential.date.encode("ascii")
        self.skew = skew
        self.token = headers.get(TOKEN_HEADER)
        self.states_hash = _HASH_HEADER in headers
        self.any_scope = any_scope

    def may_sign(self, headers: Mapping[bytes, bytes], date: bytes, payload_hash: bytes, now: datetime) -> bool:
        """Return whether all but the signature is good."""
        first, last = _window(date, self.day, self.skew)
        if now <= first or now >= last or now >= self.expires:
            return False
        if self.token is not None and not same_bytes(headers[TOKEN_HEADER], self.token):
            return False
        return not self.states_hash or same_bytes(headers[_HASH_HEADER], payload_hash)


class _UnknownSigner:
    """Takes the place of a signer who is not known: as many bytes are hashed, and no signature is accepted."""

    principal = None

    def __init__(self) -> None:
        self.key = SigningKey(os.urandom(32))
        self.canonical_form = b"%b\n%b\n%b\n%b\n\n%b\n%b"
        self.signed_form = _signed_form(f"20000101/region/service/{TERMINATOR}")

    @staticmethod
    def values_of(headers: Mapping[bytes, bytes]) -> tuple[bytes, ...]:
        """Return the lines of the headers that the signature claims to cover, each once, and of their names."""
        line = headers[b"authorization"][:MAX_NAME].partition(b"SignedHeaders=")[2].partition(b",")[0]
        lines = [name + b":" + headers.get(name, b"") for name in {*line.split(b";")}]
        return b"\n".join(lines), line


class KnownSigners(KnownCallerCache[_Name, _KnownSigner]):
    """The known signers of a guard, safe to share between threads."""

    _unknown = _UnknownSigner()

    def principal(
        self,
        method: str,
        path: bytes,
        query: bytes,
        headers: Mapping[bytes, bytes],
        payload_hash: bytes,
        now: datetime,
        *,
        any_scope: bool = False,
    ) -> Principal | None:
        """Return the principal of a signed request if its signer is known and everything is good.

        `path` is as received. `headers` has every header of the request, none of which is repeated, and a value of the
        algorithm `ALGORITHM` for `authorization`. `payload_hash` is the SHA-256 of the body in lower-case hexadecimal.
        `any_scope` accepts a signature for any region and service.
        """
        size = sum(map(len, chain(headers, headers.values())))
        if size > self._max_header or _is_plain_path(path) is None:
            return None
        if query:
            if is_too_long(path, query) or has_signature(query):
                return None
            query = query_as_sent(query)
        authorization, date = headers[b"authorization"], headers.get(_DATE_HEADER, b"")[:_MAX_DATE_LENGTH]
        signer: _KnownSigner | _UnknownSigner
        known = self._current((authorization[_UNSIGNED], *headers))
        if known is not None and known.any_scope <= any_scope and known.may_sign(headers, date, payload_hash, now):
            signer = known
        else:
            signer = self._unknown
        values = signer.values_of(headers)
        parts = method.encode(), path, query, *values, payload_hash
        digest = hashlib.sha256(signer.canonical_form % parts).hexdigest().encode()
        signature = signer.key.signature(signer.signed_form % (date, digest))
        is_signed = same_bytes(authorization[_SIGNATURE], signature.encode())  # compared for every request
        if is_signed and (line := b" ".join(values)) == b" ".join(line.split()):
            return signer.principal
        return None

    def add(
        self, request: HttpRequest, credential: SigV4Credential, caller: Caller, *, skew: float, any_scope: bool
    ) -> None:
        """Add the signer of a request that was verified in full."""
        headers, key = self._headers(request), caller.signing_key
        if headers is None or not isinstance(key, SigningKey):
            return
        authorization = headers.get(b"authorization", b"")
        if len(authorization) > MAX_NAME or signed_header(request, authorization) != credential:
            return
        name = authorization[_UNSIGNED], *headers
        before = self._known.get(name)
        if before is not None and before.principal is caller.principal and before.any_scope <= any_scope:
            return
        generations = self._hold(caller)
        if generations is not None:
            known = _KnownSigner(caller, key, generations, credential, headers, skew=skew, any_scope=any_scope)
            self._add(name, known)
