"""Digests of passwords: argon2id, and the one place where its cost is chosen. Pure but for the salt.

A password is what people invent, so guessing it must cost something each time: 19 MiB and two passes, the least that
OWASP advises, take about 25 ms. Writers wait for each other meanwhile, and more would be paid by all of them.

All passwords that one owner ever had share one salt. So the digest of a new one is computed once and compared with all
former ones, instead of 24 times; it tells nobody anything, for salts of different owners differ. Where the cost was
chosen anew since, what is older is compared at its own cost.
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


def password_digest(password: str, *, beside: str | None = None) -> str:
    """Make what is kept of a password, in PHC form; `beside` is the owner's present digest, whose salt it takes."""
    salt = secrets.token_bytes(SALT_BYTES) if beside is None else _salt_of(_read(beside))
    return _derive(password, salt, MEMORY_KIB, PASSES, LANES)


def is_password(password: str, digest: str) -> bool:
    """Return whether a digest was made from this password."""
    _read(digest)
    try:
        Argon2id.verify_phc_encoded(password.encode(), digest)
    except InvalidKey:
        return False
    return True


def is_one_of(password: str, digest: str, former: Collection[str]) -> bool:
    """Return whether one of the former digests was made from this password; `digest` is its own, made beside them."""
    own = _read(digest)["header"]
    others = {found["header"]: found for found in map(_read, former) if found["header"] != own}
    computed = [digest] + [
        _derive(password, _salt_of(found), int(found["memory"]), int(found["passes"]), int(found["lanes"]))
        for found in others.values()
    ]
    return sum(same(each, other) for each in computed for other in former) > 0  # all of them, found or not


def _derive(password: str, salt: bytes, memory: int, passes: int, lanes: int) -> str:
    kdf = Argon2id(salt=salt, length=DIGEST_BYTES, iterations=passes, lanes=lanes, memory_cost=memory)
    return kdf.derive_phc_encoded(password.encode())


def _read(digest: str) -> re.Match[str]:
    found = _HEADER.fullmatch(digest)
    if found is None:
        raise StoreUnavailable("the stored digest of a password cannot be read")
    return found


def _salt_of(found: re.Match[str]) -> bytes:
    text = found["salt"]
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise StoreUnavailable("the stored digest of a password cannot be read") from None
