"""Sinks for audit lines: a file or a stream. A sink stores whole lines or raises; it never swallows a failure.

Several processes may write to one file without a lock: it is opened with `O_APPEND`, and each call is a single `write`,
which the system performs atomically. A full disk or a killed process can leave a partial line at the end. The next
write checks the last byte and starts with a line break if it is not one, so exactly one line is broken, and `reader`
reports it. (If the check runs in the middle of another process's write, the result is an empty line, which is ignored.)
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import BinaryIO, Protocol

from iam_guard.errors import ConfigurationError
from iam_guard.forking import fork_safe_lock


class Sink(Protocol):
    """Store lines, each ending in a line break. Called from several threads at once."""

    def write(self, lines: bytes) -> None:
        """Store whole lines; raise if that fails."""
        ...

    def close(self) -> None: ...


def open_sink(target: str) -> Sink | None:
    """Open the sink that the setting `audit` names: empty for none, `-` for standard output, else a file path.

    Raises `ConfigurationError` when the file cannot be opened.
    """
    if not target:
        return None
    if target == "-":
        return StreamSink()
    try:
        return FileSink(target)
    except OSError as error:
        raise ConfigurationError(f"the audit file cannot be opened: {error.strerror}", place=target) from error


class FileSink:
    """Append to a file, created with mode 0600, and reopen it when it is rotated."""

    def __init__(self, path: str | Path) -> None:
        self._path = os.fspath(path)
        self._lock = fork_safe_lock()
        self._closed = False
        self._opened = self._open()

    def write(self, lines: bytes) -> None:
        with self._lock:
            if self._closed:
                raise OSError(errno.EBADF, "the audit file is closed")
            size = self._follow_rotation()
            if self._ends_torn(size):
                lines = b"\n" + lines
            if os.write(self._file, lines) != len(lines):
                raise OSError(errno.ENOSPC, "the audit file accepted only part of a line")
            self._written_size = size + len(lines)

    def sync(self) -> None:
        """Flush the written data to the disk."""
        with self._lock:
            os.fsync(self._file)

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._file)

    def _open(self) -> os.stat_result:
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o600)
        self._written_size = 0
        return os.fstat(self._file)

    def _follow_rotation(self) -> int:
        """Reopen the file if its path now names another file or none; return its size."""
        try:
            named = os.stat(self._path)
        except FileNotFoundError:
            named = None
        if named is None or not os.path.samestat(named, self._opened):
            previous = self._file
            named = self._opened = self._open()
            os.close(previous)
        return named.st_size

    def _ends_torn(self, size: int) -> bool:
        """Return whether the file ends in a partial line; reads only if another process has written since."""
        return size not in (0, self._written_size) and os.pread(self._file, 1, size - 1) != b"\n"


class StreamSink:
    """Write to a binary stream that it does not own, by default standard output; flush after each call."""

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = sys.stdout.buffer if stream is None else stream
        self._lock = fork_safe_lock()

    def write(self, lines: bytes) -> None:
        with self._lock:
            self._stream.write(lines)
            self._stream.flush()

    def close(self) -> None:
        """Leave the stream open."""
