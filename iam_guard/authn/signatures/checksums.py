"""The checksum algorithms for trailers of chunked bodies, by trailer name.

CRC32C and CRC64NVME, which newer SDKs prefer, need the extra `uploads` (`crc`), loaded on first use; without the extra
such a body is refused, never accepted unchecked.
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
    """An incremental checksum, with the interface of `hashlib`."""

    def update(self, data: bytes, /) -> None:
        """Add the next bytes."""

    def digest(self) -> bytes:
        """Return the checksum of all bytes so far."""


class _Crc:
    __slots__ = ("_add", "_size", "_value")

    def __init__(self, add: Callable[[bytes, int], int], size: int) -> None:
        self._add = add
        self._size = size
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._add(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def _from_library(name: str, size: int) -> Checksum:
    if find_spec(_CRC_LIBRARY) is None:
        message = f"expected crc32, sha1 or sha256, got {name}, which requires the extra `uploads`"
        raise MalformedRequest(message, place="x-amz-trailer")
    add: Callable[[bytes, int], int] = getattr(import_module("iam_guard.authn.signatures.crc"), name)
    return _Crc(add, size)


CHECKSUMS: Mapping[str, Callable[[], Checksum]] = {
    f"{PREFIX}crc32": lambda: _Crc(zlib.crc32, 4),
    f"{PREFIX}crc32c": lambda: _from_library("crc32c", 4),
    f"{PREFIX}crc64nvme": lambda: _from_library("crc64nvme", 8),
    f"{PREFIX}sha1": lambda: hashlib.sha1(usedforsecurity=False),
    f"{PREFIX}sha256": hashlib.sha256,
}


def checksum_of(trailer: str) -> Checksum:
    """Return a new checksum for a trailer. Raises `MalformedRequest` for an unsupported algorithm."""
    factory = CHECKSUMS.get(trailer)
    if factory is None:
        supported = ", ".join(name.removeprefix(PREFIX) for name in CHECKSUMS)
        message = f"expected a trailer {PREFIX} with one of {supported}, got `{trailer[:64]}`"
        raise MalformedRequest(message, place="x-amz-trailer")
    return factory()


def check_checksum(trailer: str, text: str, computed: Checksum) -> None:
    """Raise `MalformedRequest` unless the trailer's base64 text is the computed checksum."""
    if not same(text, base64.b64encode(computed.digest())):
        name = trailer.removeprefix(PREFIX).upper()
        raise MalformedRequest(f"The {name} you specified did not match the calculated checksum.", place=trailer)
