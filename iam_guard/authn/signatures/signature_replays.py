"""Replay protection: accept each signature once (a setting, off by default).

AWS accepts a signature repeatedly while its timestamp is within the clock skew, so an attacker who reads a request can
replay it. This cache records a SHA-256 of access key id and signature for each verified request, until the signature is
too old anyway. For ECDSA only the first of its two numbers counts, since the second can be negated by an attacker.

At most `maxsize` signatures are recorded; when all of them are still in the window, further requests are refused, since
an unrecorded one could be replayed. Only holders of keys can fill the cache. It is per process: each of several
processes accepts a signature once.
"""

from __future__ import annotations

import hashlib
import heapq
from datetime import datetime

from iam_guard.authn.presented_credentials import ASYMMETRIC, SigV4Credential
from iam_guard.authn.signatures.sigv4a import first_number
from iam_guard.errors import DecisionUnavailable, SignatureDoesNotMatch
from iam_guard.forking import fork_safe_lock


class SignatureReplays:
    """The recently used signatures, safe to share between threads."""

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        self._seen: set[bytes] = set()
        self._by_end: list[tuple[float, bytes]] = []
        self._lock = fork_safe_lock()

    def __len__(self) -> int:
        return len(self._seen)

    def check(self, credential: SigV4Credential, *, now: datetime, skew: float) -> None:
        """Record a verified signature.

        Raises `SignatureDoesNotMatch` if it was used before, `DecisionUnavailable` if the cache is full.
        """
        mark = _mark(credential)
        end = datetime.fromisoformat(credential.timestamp).timestamp() + skew + 1
        with self._lock:
            while self._by_end and self._by_end[0][0] < now.timestamp():
                self._seen.discard(heapq.heappop(self._by_end)[1])
            if mark in self._seen:
                raise SignatureDoesNotMatch("expected a new signature for each request, got one that was used before")
            if len(self._seen) >= self._maxsize:
                raise DecisionUnavailable("the replay cache is full, so the request is denied")
            self._seen.add(mark)
            heapq.heappush(self._by_end, (end, mark))


def _mark(credential: SigV4Credential) -> bytes:
    is_asymmetric = credential.algorithm == ASYMMETRIC
    signature = first_number(credential.signature) if is_asymmetric else credential.signature
    return hashlib.sha256(f"{credential.access_key_id}/{signature}".encode("ascii")).digest()
