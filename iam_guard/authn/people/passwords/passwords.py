"""Password digests: argon2id in PHC form, with its cost parameters.

People choose guessable passwords, so each guess must be expensive: the default cost, 19 MiB and two passes, is OWASP's
minimum. Hashes use the processor and memory, so a process computes few at a time, in threads for that. Further ones
wait, or get `ServerBusy`.

Passwords are compared in Unicode's form NFKC, since keyboards differ in how they enter the same character. Digests that
were stored before that was done are of the text as typed, so a text that NFKC changes (`½`, `ª`, a no-break space) is
compared in both forms. Comparisons take the same time for an unknown person as for a known one, and for a digest of a
lower cost, so that the duration reveals none of this. An imported digest may have a higher cost, until its owner signs
in; then names that no person has must cost what names of people do (`person.similar_digest`).

All passwords of one owner share one salt. So the digest of a new password is computed once and compared with all former
ones, instead of 24 times; it reveals nothing, since salts of different owners differ. Former digests with other cost
parameters are compared at their own cost.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
import sys
import unicodedata
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from iam_guard.authn.constant_time import same
from iam_guard.errors import InvalidInput, ServerBusy, StoreUnavailable
from iam_guard.forking import on_fork
from iam_guard.settings import MIN_PASSWORD_MEMORY, PASSWORD_MEMORY, PASSWORD_PASSES

MAX_CHARACTERS: Final = 128
"""The maximum length of a password as typed: that of AWS's API."""
MAX_COST: Final = 256 * 1024
"""The maximum of memory in KiB times passes of an imported digest: seven times that of OWASP's minimum."""
MAX_LANES: Final = 16
_NO_SALT: Final = base64.b64encode(bytes(16)).decode().rstrip("=")
MAX_WAIT: Final = 30.0
"""Seconds that a comparison waits until fewer hashes are being computed."""

_Hash: TypeAlias = tuple[str, bytes, int, int, int]
"""What is hashed, its salt, and the cost: memory in KiB, passes, lanes."""
_SALT_BYTES: Final = 16
_DIGEST_BYTES: Final = 32
_HEADER = re.compile(
    r"(?P<header>\$argon2id\$v=19\$m=(?P<memory>\d{1,9}),t=(?P<passes>\d{1,4}),p=(?P<lanes>\d{1,2})"
    r"\$(?P<salt>[A-Za-z0-9+/]+)\$)[A-Za-z0-9+/]+"
)


def normalized(password: str) -> str:
    """Return the form in which passwords are compared: NFKC."""
    return unicodedata.normalize("NFKC", password)


class PasswordHasher:
    """Computes and compares digests, at most `parallel` at a time; 0: `default_parallel`. Thread-safe.

    All methods that hash raise `ServerBusy` after waiting too long, and `StoreUnavailable` for a damaged digest.
    """

    def __init__(
        self,
        memory_kib: int = PASSWORD_MEMORY,
        passes: int = PASSWORD_PASSES,
        lanes: int = 1,
        parallel: int = 0,
    ) -> None:
        self._cost = (memory_kib, passes, lanes)
        self._parallel = parallel or default_parallel()
        self._unknown_salt = secrets.token_bytes(_SALT_BYTES)
        salt = base64.b64encode(self._unknown_salt).decode("ascii").rstrip("=")
        self._unknown_digest = f"$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}$none"
        self.begin_in_child()
        on_fork(self)

    def begin_in_child(self) -> None:
        """Begin with new threads: the parent's don't exist here."""
        self._threads = ThreadPoolExecutor(self._parallel, "iam-guard-passwords")

    def digest(self, password: str, same_salt_as: str | None = None) -> str:
        """Return a password's digest; `same_salt_as` is the owner's current digest, whose salt is reused.

        Raises `InvalidInput` if it is too long to ever match.
        """
        if len(password) > MAX_CHARACTERS:
            raise InvalidInput(f"expected a password of at most {MAX_CHARACTERS} characters, got a longer one")
        salt = secrets.token_bytes(_SALT_BYTES) if same_salt_as is None else _salt_of(_parsed(same_salt_as))
        return self._derive_all([(normalized(password), salt, *self._cost)])[0]

    def matches(self, password: str, digest: str | None) -> bool:
        """Return whether a digest belongs to this password; False after the same time if there is no digest."""
        if len(password) > MAX_CHARACTERS:
            return False
        digest = self._unknown_digest if digest is None else digest
        match = _parsed(digest)
        salt, cost, forms = _salt_of(match), _cost_of(match), _forms(password)
        computed = self._derive_all([(text, salt, *cost) for text in forms] + self._rest(*cost) * len(forms))
        return sum(same(text, digest) for text in computed) > 0  # compares all, for a constant time

    def matches_any(self, password: str, digest: str, former: Collection[str]) -> bool:
        """Return whether one of the former digests belongs to this password; `digest` is the new one, with their salt.

        Former digests may be of the text as typed, or have another cost.
        """
        headers = {match["header"]: match for match in map(_parsed, former)}
        known = _parsed(digest)["header"]
        hashes = [
            (text, _salt_of(match), *_cost_of(match))
            for header, match in headers.items()
            for text in (_forms(password)[1:] if header == known else _forms(password))
        ]
        computed = [digest, *self._derive_all(hashes)]
        return sum(same(new, old) for new in computed for old in former) > 0  # compares all, for a constant time

    def is_outdated(self, digest: str) -> bool:
        """Return whether a digest has another cost than the current one, so that it should be computed again."""
        return _cost_of(_parsed(digest)) != self._cost

    def _rest(self, memory: int, passes: int, lanes: int) -> list[_Hash]:
        """Return a hash that takes the time by which the current cost exceeds that of a digest, if it does.

        Otherwise an unknown person would take longer. The duration is proportional to the memory and to the passes.
        """
        rest = (self._cost[0] * self._cost[1] - memory * passes) // self._cost[1]
        return [("", self._unknown_salt, rest, *self._cost[1:])] if rest >= MIN_PASSWORD_MEMORY else []

    def _derive_all(self, hashes: Sequence[_Hash]) -> list[str]:
        """Compute hashes in one of the threads, since the C library keeps the memory of a hash for each thread."""
        if not hashes:
            return []
        computed = self._threads.submit(lambda: [_derive(*arguments) for arguments in hashes])
        try:
            return computed.result(MAX_WAIT)
        except TimeoutError:
            if computed.cancel():
                raise ServerBusy("too many passwords are being compared") from None
            return computed.result()


@cache
def shared_hasher(
    memory_kib: int = PASSWORD_MEMORY,
    passes: int = PASSWORD_PASSES,
    parallel: int = 0,
    *,
    for_writers: bool = False,
) -> PasswordHasher:
    """Return the hasher of this process for these settings, since the threads are those of the process.

    Operations of the API have one `for_writers`, with one thread: an account that changes passwords again and again
    does not delay people who sign in.
    """
    return PasswordHasher(memory_kib, passes, parallel=1 if for_writers else parallel)


def default_parallel() -> int:
    """Return how many hashes a process computes at a time: one processor is left to its other threads."""
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, processors - 1)


def unmatchable(digest: str | None) -> str | None:
    """Return a digest that no password has, with the cost of another one; None for None, and for a damaged one."""
    match = None if digest is None else _HEADER.fullmatch(digest)
    if match is None:
        return None
    memory, passes, lanes = _cost_of(match)
    is_possible = passes >= 1 and memory >= 8 * lanes >= 8
    return f"$argon2id$v=19$m={memory},t={passes},p={lanes}${_NO_SALT}$none" if is_possible else None


def imported_digest_problem(digest: str) -> str | None:
    """Return why a digest from another system can't be compared with passwords here; None if it can.

    A higher cost than `MAX_COST` would let one guess take the memory and time of many.
    """
    match = _HEADER.fullmatch(digest)
    if match is None:
        return (
            "expected an Argon2id digest in PHC form, version 19: passwords can't be compared with others, as bcrypt's"
        )
    (memory, passes, lanes), encoded = _cost_of(match), digest[len(match["header"]) :]
    try:
        salt, value = _salt_of(match), base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (StoreUnavailable, binascii.Error):
        return "expected salt and digest in base64"
    if len(value) != _DIGEST_BYTES or not 8 <= len(salt) <= 64:
        return f"expected {_DIGEST_BYTES} bytes of digest and 8 to 64 of salt"
    if not (1 <= lanes <= MAX_LANES and passes >= 1 and memory >= 8 * lanes and memory * passes <= MAX_COST):
        return f"expected 1 to {MAX_LANES} lanes, and a memory in KiB times passes of at most {MAX_COST}"
    return None


def _forms(password: str) -> list[str]:
    """Return what is compared: the normalized text, and the text as typed if it differs."""
    return list(dict.fromkeys((normalized(password), password)))


def _derive(text: str, salt: bytes, memory: int, passes: int, lanes: int) -> str:
    try:
        kdf = Argon2id(salt=salt, length=_DIGEST_BYTES, iterations=passes, lanes=lanes, memory_cost=memory)
    except ValueError:
        raise StoreUnavailable("expected the cost of a password digest, got something else") from None
    return kdf.derive_phc_encoded(text.encode("utf-8", "surrogatepass"))


def _parsed(digest: str) -> re.Match[str]:
    match = _HEADER.fullmatch(digest)
    if match is None:
        raise StoreUnavailable("expected a password digest in PHC form, got something else")
    return match


def _salt_of(match: re.Match[str]) -> bytes:
    text = match["salt"]
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise StoreUnavailable("expected a password digest in PHC form, got something else") from None


def _cost_of(match: re.Match[str]) -> tuple[int, int, int]:
    return int(match["memory"]), int(match["passes"]), int(match["lanes"])
