"""Where lines go: a file, a stream, a list.

A sink takes whole lines and either keeps them or raises; it never swallows a failure.

Writing to a file from several processes: the file is opened for appending and each call is one `write`, which the
system carries out as a whole; so there is no lock between processes. A disk that fills up or a process that is killed
can still leave half a line at the end. Whoever writes next looks at the last byte and begins with a line break if it is
not one. Then exactly one line is broken, and `reader` names it. (Seen by a process in the middle of another's write,
this makes an empty line, which holds nothing.)
"""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import BinaryIO, Protocol

from iam_guard.errors import ConfigurationError
from iam_guard.forking import fork_safe_lock


class Sink(Protocol):
    """Takes lines, each with its line break at the end. Called from several threads at once."""

    def write(self, lines: bytes) -> None:
        """Keep whole lines; raise when that cannot be promised."""
        ...

    def close(self) -> None: ...


def open_sink(where: str) -> Sink | None:
    """Open what the setting `audit` names: empty for nowhere, `-` for standard output, else a file path.

    Raises `ConfigurationError` when the file cannot be opened.
    """
    if not where:
        return None
    if where == "-":
        return StreamSink()
    try:
        return FileSink(where)
    except OSError as error:
        raise ConfigurationError(f"the audit file cannot be opened: {error.strerror}", place=where) from error


class FileSink:
    """Appends to a file that it creates for its owner only, and follows when the file is rotated away."""

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
                raise OSError(errno.ENOSPC, "the audit file took a part of a line only")
            self._whole = size + len(lines)

    def sync(self) -> None:
        """Wait until the disk has what was written."""
        with self._lock:
            os.fsync(self._file)

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._file)

    def _open(self) -> os.stat_result:
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o600)
        self._whole = 0
        return os.fstat(self._file)

    def _follow_rotation(self) -> int:
        """Open the file anew when its name has come to mean another file, or none; give its size."""
        try:
            named = os.stat(self._path)
        except FileNotFoundError:
            named = None
        if named is None or not os.path.samestat(named, self._opened):
            before = self._file
            named = self._opened = self._open()
            os.close(before)
        return named.st_size

    def _ends_torn(self, size: int) -> bool:
        """Return whether the last byte is no line break. A file of the size that our last line left ends with that."""
        return size not in (0, self._whole) and os.pread(self._file, 1, size - 1) != b"\n"


class StreamSink:
    """Writes to a binary stream that belongs to somebody else, standard output by default; flushes after each call."""

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = sys.stdout.buffer if stream is None else stream
        self._lock = fork_safe_lock()

    def write(self, lines: bytes) -> None:
        with self._lock:
            self._stream.write(lines)
            self._stream.flush()

    def close(self) -> None:
        """Leave the stream to its owner."""


class ListSink:
    """Keeps the lines in memory, for tests."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, lines: bytes) -> None:
        self.lines.append(lines)

    def close(self) -> None:
        """Keep what was written."""

    @property
    def records(self) -> list[dict[str, object]]:
        """The lines, read back."""
        return [json.loads(line) for written in self.lines for line in written.splitlines()]
