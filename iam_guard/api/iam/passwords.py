"""Password digests: argon2id, with its cost parameters. Pure except for the salt.

People choose guessable passwords, so each guess must be expensive: 19 MiB and two passes, OWASP's minimum, take about
25 ms. More would delay all writers, which wait for each other.

All passwords of one owner share one salt. So the digest of a new password is computed once and compared with all former
ones, instead of 24 times; it reveals nothing, since salts of different owners differ. Former digests with other cost
parameters are compared at their own cost.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Collection

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from iam_guard.authn.constant_time import same
from iam_guard.errors import StoreUnavailable

MEMORY_KIB = 19 * 1024
PASSES = 2
LANES = 1
SALT_BYTES = 16
DIGEST_BYTES = 32

_HEADER = re.compile(
    r"(?P<header>\$argon2id\$v=19\$m=(?P<memory>\d+),t=(?P<passes>\d+),p=(?P<lanes>\d+)\$(?P<salt>[A-Za-z0-9+/]+)\$)"
    r"[A-Za-z0-9+/]+"
)


def password_digest(password: str, *, same_salt_as: str | None = None) -> str:
    """Return a password's digest in PHC form; `same_salt_as` is the owner's current digest, whose salt is reused."""
    salt = secrets.token_bytes(SALT_BYTES) if same_salt_as is None else _salt_of(_parsed(same_salt_as))
    return _derive(password, salt, MEMORY_KIB, PASSES, LANES)


def matches_digest(password: str, digest: str) -> bool:
    """Return whether a digest belongs to this password."""
    _parsed(digest)
    try:
        Argon2id.verify_phc_encoded(password.encode(), digest)
    except InvalidKey:
        return False
    return True


def matches_any(password: str, digest: str, former: Collection[str]) -> bool:
    """Return whether one of the former digests belongs to this password; `digest` is the new one, with their salt."""
    own = _parsed(digest)["header"]
    differing = {match["header"]: match for match in map(_parsed, former) if match["header"] != own}
    computed = [digest] + [
        _derive(password, _salt_of(match), int(match["memory"]), int(match["passes"]), int(match["lanes"]))
        for match in differing.values()
    ]
    return sum(same(new, old) for new in computed for old in former) > 0  # compares all, for a constant time


def _derive(password: str, salt: bytes, memory: int, passes: int, lanes: int) -> str:
    kdf = Argon2id(salt=salt, length=DIGEST_BYTES, iterations=passes, lanes=lanes, memory_cost=memory)
    return kdf.derive_phc_encoded(password.encode())


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
