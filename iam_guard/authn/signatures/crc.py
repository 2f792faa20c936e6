"""CRC32C and CRC64NVME from the library of the extra `uploads`; loaded by `checksums` if it is installed.

Both functions are incremental: they take the next bytes and the checksum of all bytes before.
"""

from __future__ import annotations

from collections.abc import Callable

from iam_guard.imports import requires_extra

with requires_extra("uploads", "the checksum of an upload"):
    from anycrc import Model


crc32c: Callable[[bytes, int], int] = Model("CRC32-ISCSI").calc
"""CRC32C (Castagnoli)."""
crc64nvme: Callable[[bytes, int], int] = Model("CRC64-NVME").calc
"""CRC64 of the NVMe specification."""
