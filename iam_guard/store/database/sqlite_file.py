"""The file of an SQLite store: whether the file at its path is still the one that was opened, and what replaces it.

A process with open connections goes on with a file that was deleted or replaced: it would read old policies, and
acknowledge changes that no other process sees. So each transaction compares the file at the path with the opened one,
by device and inode, and a change compares them again after its commit. Once they differ, the file is *lost*: nothing is
read or written until `reopened` has found a usable store at the path.

    state     file at the path     transactions    connections
    open      the opened one       run             the opened file
    lost      another one, or      refused         none; those in use are closed when they are returned
              none

SQLite's log (`-wal`) and its index (`-shm`) belong to one file, but are found by name: SQLite would apply the log of
the former file to the new one. So no connection is opened while the file is lost, and the log is deleted first, after
its changes were copied into the former file. A process that has opened the new file before that has damaged it: it is
used again when that process has ended.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from contextlib import suppress
from typing import Final, NamedTuple

_LOGS: Final = ("-wal", "-shm")
_SHARED_LOCK: Final = (0x40000002, 510)
"""Start and length of the bytes that each connection to a file in WAL mode has locked."""
_LOST: Final = "its file was deleted or replaced"


class Identity(NamedTuple):
    """The identity of a file, which renaming keeps."""

    device: int
    inode: int


class StoreFile:
    """The file of one engine. Thread-safe, but for connections: `sqlite` opens one at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.opened: Identity | None = None
        """The file that the connections of the engine have opened; None before the first, and while it is lost."""
        self.number = 0
        """How many other files were opened before this one."""
        self.reopening = threading.Lock()
        self._is_lost = False
        self._logs: dict[str, Identity] = {}

    def begin_in_child(self) -> None:
        """Drop the parent's lock."""
        self.reopening = threading.Lock()

    def is_present(self) -> bool:
        """Return whether the opened file is at the path. Raises `sqlite3.OperationalError` if that is unknown."""
        return not self._is_lost and self.opened in (None, self._at_path())

    def require_present(self) -> None:
        """Raise `sqlite3.OperationalError` if the opened file is not at the path."""
        if not self.is_present():
            raise sqlite3.OperationalError(_LOST)
        if len(self._logs) < len(_LOGS):  # which exist from the first transaction on
            self.record_logs()

    def record_opened(self) -> None:
        """Record the first file that was opened. Raises `sqlite3.OperationalError` if that is replaced."""
        if self.opened is None and not self._is_lost:
            self.opened = self._at_path()
        self.require_present()

    def record_logs(self) -> None:
        """Record the log of the opened file."""
        found = ((log, _identity(log)) for log in self._log_paths())
        self._logs = {log: identity for log, identity in found if identity is not None}

    def lose(self) -> None:
        """Refuse all transactions until `adopt`."""
        self._is_lost, self.opened = True, None

    def adopt(self, other: StoreFile) -> None:
        """Use the file that another engine has opened."""
        self.opened, self.number = other.opened, self.number + 1
        self._logs, self._is_lost = {}, False

    def delete_log(self) -> None:
        """Delete the log of the lost file, before another one is opened at the path.

        Raises `sqlite3.OperationalError` if another process has opened that one already.
        """
        logs = [log for log in self._log_paths() if log in self._logs and _identity(log) == self._logs[log]]
        if logs and not delete_unused(self.path, logs):
            message = "its file was replaced, and another process uses it with the log of the former file"
            raise sqlite3.OperationalError(message)

    def _at_path(self) -> Identity | None:
        return _identity(self.path)

    def _log_paths(self) -> list[str]:
        real = os.path.realpath(self.path)
        return [real + suffix for suffix in _LOGS]


def create_file(path: str) -> None:
    """Create an empty file that its owner alone may read; SQLite would apply the umask. Raises `OSError`.

    The log of a deleted file is deleted, which SQLite would apply to the new one.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    real = os.path.realpath(path)
    delete_unused(path, [real + suffix for suffix in _LOGS])


def _identity(path: str) -> Identity | None:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise sqlite3.OperationalError(error.strerror) from None
    return Identity(found.st_dev, found.st_ino)


def delete_unused(path: str, logs: list[str]) -> bool:
    """Delete logs unless a process has a connection to the file at the path; return False then.

    The calling process must have none: to close a file releases all locks that a process has on it.
    """
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        file = None
    except OSError as error:
        raise sqlite3.OperationalError(error.strerror) from None
    try:
        if file is not None:
            start, length = _SHARED_LOCK
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
        for log in logs:
            with suppress(FileNotFoundError):
                os.unlink(log)
    except (BlockingIOError, PermissionError):
        return False
    finally:
        if file is not None:
            os.close(file)
    return True
