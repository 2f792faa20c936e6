"""Signatures that were seen, so that each is good once (a setting, off by default).

AWS itself lets a signature be sent again for as long as its time is within the window; whoever could read a request
could send it a second time. What is remembered is a SHA-256 of the access key id and the signature of each request that
verified, until its time is out of the window, when it is refused for its age. Of an ECDSA signature it is the first of
its two numbers: from one good signature anybody can make a second one, which differs in the other number alone.

Bounded: `maxsize` signatures. Where all of them are still within the window a further request is refused, for what has
not been remembered could be sent again; only holders of keys can fill it, since only verified signatures count. It
belongs to one process: each of several processes accepts a signature once.
"""

from __future__ import annotations

import hashlib
import heapq
from datetime import datetime

from iam_guard.authn.presented_credentials import ASYMMETRIC, SigV4Credential
from iam_guard.authn.sigv4a import first_number
from iam_guard.errors import DecisionUnavailable, SignatureDoesNotMatch
from iam_guard.forking import fork_safe_lock


class SignatureReplays:
    """The signatures of the last minutes, safe to share between threads."""

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        self._seen: set[bytes] = set()
        self._by_end: list[tuple[float, bytes]] = []
        self._lock = fork_safe_lock()

    def __len__(self) -> int:
        return len(self._seen)

    def refuse_again(self, credential: SigV4Credential, *, now: datetime, skew: float) -> None:
        """Remember a signature that has verified. Raises `SignatureDoesNotMatch` where it was seen before.

        Raises `DecisionUnavailable` where no further one can be remembered.
        """
        mark = _mark(credential)
        end = datetime.fromisoformat(credential.timestamp).timestamp() + skew + 1
        with self._lock:
            self._forget_before(now.timestamp())
            if mark in self._seen:
                raise SignatureDoesNotMatch("the signature was used before: expected each request to be signed anew")
            if len(self._seen) >= self._maxsize:
                raise DecisionUnavailable("no further signature can be remembered, so the request is denied")
            self._seen.add(mark)
            heapq.heappush(self._by_end, (end, mark))

    def _forget_before(self, moment: float) -> None:
        while self._by_end and self._by_end[0][0] < moment:
            self._seen.discard(heapq.heappop(self._by_end)[1])


def _mark(credential: SigV4Credential) -> bytes:
    is_asymmetric = credential.algorithm == ASYMMETRIC
    signature = first_number(credential.signature) if is_asymmetric else credential.signature
    return hashlib.sha256(f"{credential.access_key_id}/{signature}".encode("ascii")).digest()
