"""CRC32C and CRC64NVME, by the library of the extra `uploads`; loaded by `checksums` where it is installed.

Both functions carry a check on: they take further bytes and the check of all bytes before.
"""

from __future__ import annotations

from anycrc import Model

_CRC32C, _CRC64NVME = Model("CRC32-ISCSI"), Model("CRC64-NVME")


def crc32c(data: bytes, before: int) -> int:
    """Return the CRC32C (Castagnoli) of the bytes so far."""
    following: int = _CRC32C.calc(data, before)
    return following


def crc64nvme(data: bytes, before: int) -> int:
    """Return the CRC64 of the NVMe specification of the bytes so far."""
    following: int = _CRC64NVME.calc(data, before)
    return following
