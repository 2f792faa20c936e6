"""API keys: text form, generation and parsing.

    igk_<id>_<secret>_<check>        igk_Q3ZK7XH2M5TB4WVA_0Lr8…Zq1_1Xk0Ab

The prefix lets secret scanners find a leaked key (`SCANNER_PATTERN`), the public id is the store's key, and the check
(CRC-32 of everything before it, base 62) detects typing errors without the store.

Only the SHA-256 of the secret is stored. A slow hash protects passwords that people choose; a generated secret of 256
bits cannot be guessed, and a slow hash on every request would only cost time.
"""

from __future__ import annotations

import base64
import hashlib
import re
import string
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from iam_guard.authn.presented_credentials import ApiKeyCredential
from iam_guard.errors import InvalidClientTokenId, InvalidInput

SCANNER_PATTERN = r"igk_[A-Za-z0-9]{4,32}_[A-Za-z0-9]{32,128}_[A-Za-z0-9]{6}"

_KEY = re.compile(SCANNER_PATTERN)
_ID = re.compile(r"[A-Za-z0-9]{4,32}")
_SECRET = re.compile(r"[A-Za-z0-9]{32,128}")
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_BYTES, _SECRET_DIGITS = 32, 43  # 62**43 > 2**256: every secret has the same length and 256 bits
_CHECK_DIGITS = 6  # 62**6 > 2**32


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A new key. `text` is shown to its owner once; `id` and `digest` are stored."""

    id: str
    text: str = field(repr=False)
    digest: bytes = field(repr=False)


def generate_api_key(random_bytes: Callable[[int], bytes], id: str | None = None) -> NewApiKey:
    """Generate a key; `random_bytes` is usually `secrets.token_bytes`, `id` is random by default."""
    id = base64.b32encode(random_bytes(10)).decode("ascii") if id is None else id
    secret = _base62(int.from_bytes(random_bytes(_SECRET_BYTES)), _SECRET_DIGITS)
    return NewApiKey(id, format_api_key(id, secret), digest_of(secret))


def format_api_key(id: str, secret: str) -> str:
    """Return the text of a key. Raises `InvalidInput` for an invalid id or secret."""
    if _ID.fullmatch(id) is None:
        raise InvalidInput("expected an API key id of 4 to 32 letters and digits", place="id")
    if _SECRET.fullmatch(secret) is None:
        raise InvalidInput("expected an API key secret of 32 to 128 letters and digits", place="secret")
    return f"igk_{id}_{secret}_{_check(id, secret)}"


def parse(text: str) -> ApiKeyCredential:
    """Parse the text of a key. Raises `InvalidClientTokenId` for a malformed or mistyped key."""
    if _KEY.fullmatch(text) is None:
        raise InvalidClientTokenId()
    _, id, secret, check = text.split("_")
    if check != _check(id, secret):
        raise InvalidClientTokenId()
    return ApiKeyCredential(id, digest_of(secret))


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("ascii")).digest()


def _check(id: str, secret: str) -> str:
    return _base62(zlib.crc32(f"igk_{id}_{secret}".encode("ascii")), _CHECK_DIGITS)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))
