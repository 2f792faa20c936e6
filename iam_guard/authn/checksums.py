"""The checksums that a body in chunks can carry in its trailer, by the trailer's name.

Those of the standard library are there always. CRC32C and CRC64NVME, which the newer SDKs prefer, are computed by a
library of the extra `uploads` (`crc`), loaded when the first such body comes; without the extra such a body is refused,
never taken unchecked.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Final, Protocol

from iam_guard.authn.constant_time import same
from iam_guard.errors import MalformedRequest

PREFIX: Final = "x-amz-checksum-"
_CRC_LIBRARY: Final = "anycrc"


class Checksum(Protocol):
    """What is computed as the body comes."""

    def update(self, data: bytes, /) -> None:
        """Take further bytes in."""

    def digest(self) -> bytes:
        """Return the checksum of all bytes so far."""


class _Crc:
    """A cyclic redundancy check that is carried on from one part to the next."""

    __slots__ = ("_next", "_size", "_value")

    def __init__(self, following: Callable[[bytes, int], int], size: int) -> None:
        self._next = following
        self._size = size
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._next(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def _from_library(name: str, size: int) -> Checksum:
    if find_spec(_CRC_LIBRARY) is None:
        message = f"the checksum {name} needs the extra `uploads` to be installed: expected crc32, sha1 or sha256"
        raise MalformedRequest(message, place="x-amz-trailer")
    following: Callable[[bytes, int], int] = getattr(import_module("iam_guard.authn.crc"), name)
    return _Crc(following, size)


CHECKSUMS: Mapping[str, Callable[[], Checksum]] = {
    f"{PREFIX}crc32": lambda: _Crc(zlib.crc32, 4),
    f"{PREFIX}crc32c": lambda: _from_library("crc32c", 4),
    f"{PREFIX}crc64nvme": lambda: _from_library("crc64nvme", 8),
    f"{PREFIX}sha1": lambda: hashlib.sha1(usedforsecurity=False),
    f"{PREFIX}sha256": hashlib.sha256,
}


def checksum_of(trailer: str) -> Checksum:
    """Begin the checksum that a trailer will have. Raises `MalformedRequest` for one that nobody here can compute."""
    begin = CHECKSUMS.get(trailer)
    if begin is None:
        known = ", ".join(name.removeprefix(PREFIX) for name in CHECKSUMS)
        message = f"expected a trailer {PREFIX} with one of {known}, got `{trailer[:64]}`"
        raise MalformedRequest(message, place="x-amz-trailer")
    return begin()


def check_checksum(trailer: str, text: str, computed: Checksum) -> None:
    """Refuse a body that has another checksum than its trailer says, in base64."""
    if not same(text, base64.b64encode(computed.digest())):
        name = trailer.removeprefix(PREFIX).upper()
        raise MalformedRequest(f"The {name} you specified did not match the calculated checksum.", place=trailer)
