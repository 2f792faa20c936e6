"""The private file with the API keys of an import: a crash neither loses a key nor lists one that is not valid.

The keys of a batch go through three steps, each on disk before the next one begins:

    1. `stage`    they are written to a second file, whose name ends with `.pending`
    2.            the transaction that stores their digests commits
    3. `commit`   they are appended to the file, and the second file is emptied

So the file has only keys that the store has. What a crash leaves in the second file is sorted out by `recover`: keys
that the store has are appended, and all others were never valid.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from iam_guard.audit.append_file import AppendFile, sync_folder
from iam_guard.authn import api_key
from iam_guard.errors import ConfigurationError, IamGuardError

_PLACE = "api_keys"


class UserKey(NamedTuple):
    """A new key of a user; its text is a secret."""

    account: str
    user: str
    id: str
    text: str

    def __repr__(self) -> str:
        return f"UserKey({self.user!r}, {self.id!r})"


class ApiKeyFile:
    """The file, locked for this process: JSON lines with `account`, `user` and `api_key`. Close it.

    Raises `ConfigurationError` if it can't be written, is used by another process, or others may read it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._pending_path = self._path.with_name(f"{self._path.name}.pending")
        for own in (self._path, self._pending_path):
            if own.is_symlink():
                raise self._error("expected a file, got a symbolic link")
        try:
            self._file = AppendFile(self._path)
        except OSError as error:
            raise self._error(f"cannot be opened: {error.strerror}") from None
        try:
            _require_private(self._file.descriptor, self._error)
            fcntl.flock(self._file.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._pending = os.open(self._pending_path, flags, 0o600)
        except BlockingIOError:
            self._file.close()
            raise self._error("is used by another import") from None
        except OSError as error:
            self._file.close()
            raise self._error(f"cannot be opened: {error.strerror}") from None
        except IamGuardError:
            self._file.close()
            raise
        try:
            _require_private(self._pending, self._error)
            sync_folder(self._path.absolute().parent)
        except BaseException:
            self._close_files()
            raise
        self._staged = b""

    def recover(self, stored: Callable[[Collection[str]], Collection[str]]) -> int:
        """Append the pending keys that the store has; return their number. `stored` returns which of the ids it has."""
        pending = _complete_lines(_content(self._pending))
        content = _content(self._file.descriptor)
        if pending:
            content = b"".join(_complete_lines(content))
            os.ftruncate(self._file.descriptor, len(content))  # a torn line is pending still
            self._file.size = len(content)
        elif content and not content.endswith(b"\n"):
            self._file.append(b"\n")
        keys = {self._id_of(line): line for line in pending}
        listed = {line.strip() for line in content.splitlines()}
        missing = [keys[id] for id in sorted(stored(keys)) if keys[id].strip() not in listed] if keys else []
        self._append(b"".join(missing))
        return len(missing)

    def stage(self, keys: Sequence[UserKey]) -> None:
        """Write the keys of a batch to the second file: the last step before its transaction commits."""
        lines = [json.dumps({"account": key.account, "user": key.user, "api_key": key.text}) for key in keys]
        self._staged = "".join(f"{line}\n" for line in lines).encode()
        try:
            os.ftruncate(self._pending, 0)
            rest, offset = memoryview(self._staged), 0
            while rest:
                count = os.pwrite(self._pending, rest, offset)
                rest, offset = rest[count:], offset + count
            os.fsync(self._pending)
        except OSError as error:
            raise self._error(f"cannot be written: {error.strerror}") from None

    def commit(self) -> None:
        """Append the staged keys, since their transaction has committed."""
        self._append(self._staged)
        self._staged = b""

    def close(self) -> None:
        """Close the file, and remove the second one if it is empty."""
        if not os.fstat(self._pending).st_size:
            self._pending_path.unlink(missing_ok=True)
        self._close_files()

    def _append(self, data: bytes) -> None:
        try:
            if data:
                self._file.append(data)
                self._file.sync()
            os.ftruncate(self._pending, 0)
        except OSError as error:
            message = f"cannot be written: {error.strerror}: run the import again, which lists the remaining keys"
            raise self._error(message) from None

    def _id_of(self, line: bytes) -> str:
        try:
            return api_key.parse(json.loads(line)["api_key"]).id
        except (ValueError, KeyError, TypeError, IamGuardError):
            raise self._error("expected lines with API keys in the file that ends with `.pending`") from None

    def _close_files(self) -> None:
        os.close(self._pending)
        self._file.close()

    def _error(self, message: str) -> ConfigurationError:
        return ConfigurationError(f"the file for API keys `{self._path}`: {message}", place=_PLACE)


def _require_private(descriptor: int, error: Callable[[str], ConfigurationError]) -> None:
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode) or mode & 0o077:
        raise error("expected a regular file that only its owner can read (mode 0600)")


def _content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _complete_lines(content: bytes) -> list[bytes]:
    return [line for line in content.splitlines(keepends=True) if line.endswith(b"\n")]
