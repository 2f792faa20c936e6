"""API keys: their text form, how one is made, and what of it is kept.

    igk_<id>_<secret>_<check>        igk_Q3ZK7XH2M5TB4WVA_0Lr8…Zq1_1Xk0Ab

The prefix lets secret scanners find a leaked key, the id is public and finds the record in the store, the secret is
what the caller proves to know, and the check (CRC-32 of everything before it, base 62) lets a scanner or a look at the
text alone tell a key from a typing error. `SCANNER_PATTERN` is the form to give to a scanner.

Only the SHA-256 of the secret is kept. A slow hash protects what people invent; a generated secret has 256 bits, which
no number of guesses exhausts, and a slow hash on every request would be paid by us alone.
"""

from __future__ import annotations

import base64
import hashlib
import re
import string
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

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
    """A key just made. `text` is shown to its owner once; `id` and `digest` are kept."""

    id: str
    text: str = field(repr=False)
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ParsedApiKey:
    """A key as a caller gave it: of the right form, not yet known to be good."""

    id: str
    digest: bytes = field(repr=False)


def generate(random_bytes: Callable[[int], bytes], id: str | None = None) -> NewApiKey:
    """Make a key; `random_bytes` is `secrets.token_bytes` or its like, `id` is random where none is given."""
    id = base64.b32encode(random_bytes(10)).decode("ascii") if id is None else id
    secret = _base62(int.from_bytes(random_bytes(_SECRET_BYTES)), _SECRET_DIGITS)
    return NewApiKey(id, format_key(id, secret), digest_of(secret))


def format_key(id: str, secret: str) -> str:
    """Write the text of a key; raise `InvalidInput` for an id or secret that no key may have."""
    if _ID.fullmatch(id) is None:
        raise InvalidInput("expected an API key id of 4 to 32 letters and digits", place="id")
    if _SECRET.fullmatch(secret) is None:
        raise InvalidInput("expected an API key secret of 32 to 128 letters and digits", place="secret")
    return f"igk_{id}_{secret}_{_check(id, secret)}"


def parse(text: str) -> ParsedApiKey:
    """Read the text of a key; raise `InvalidClientTokenId` for anything else, a mistyped key included."""
    if _KEY.fullmatch(text) is None:
        raise InvalidClientTokenId()
    _, id, secret, check = text.split("_")
    if check != _check(id, secret):
        raise InvalidClientTokenId()
    return ParsedApiKey(id, digest_of(secret))


def digest_of(secret: str) -> bytes:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode("ascii")).digest()


def _check(id: str, secret: str) -> str:
    return _base62(zlib.crc32(f"igk_{id}_{secret}".encode("ascii")), _CHECK_DIGITS)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))
