"""CRC32C and CRC64NVME from the library of the extra `uploads`; loaded by `checksums` if it is installed.

Both functions are incremental: they take the next bytes and the checksum of all bytes before.
"""

from __future__ import annotations

from anycrc import Model

_CRC32C, _CRC64NVME = Model("CRC32-ISCSI"), Model("CRC64-NVME")


def crc32c(data: bytes, before: int) -> int:
    """Return the CRC32C (Castagnoli) of the bytes so far."""
    checksum: int = _CRC32C.calc(data, before)
    return checksum


def crc64nvme(data: bytes, before: int) -> int:
    """Return the CRC64 of the NVMe specification of the bytes so far."""
    checksum: int = _CRC64NVME.calc(data, before)
    return checksum
