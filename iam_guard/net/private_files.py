"""Key files: created atomically, readable by their owner only, never overwriting an existing file by accident."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from iam_guard.errors import ConfigurationError

logger = logging.getLogger("iam_guard")


def create_private_file(path: Path, content: bytes) -> bool:
    """Create a file with mode 0600; return False if it exists already."""
    draft = _draft(path, content)
    try:
        os.link(draft, path)  # atomic, and never overwrites another process's key
    except FileExistsError:
        return False
    except OSError as error:
        raise _cannot_create(path, error) from None
    finally:
        draft.unlink(missing_ok=True)
    return True


def replace_private_file(path: Path, content: bytes) -> None:
    """Replace a file atomically by one with mode 0600."""
    draft = _draft(path, content)
    try:
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise _cannot_create(path, error) from None


def read_private_file(path: Path, what: str, remedy: str, *, place: str) -> list[str]:
    """Return the lines of a file that are neither empty nor a comment.

    `what` and `remedy` are parts of the error message. Logs a warning if other users of the machine can read the file.
    """
    try:
        text = path.read_text("ascii")
        if os.name == "posix" and path.stat().st_mode & 0o077:
            logger.warning("the %s file `%s` can be read by other users of this machine", what, path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not ASCII text"
        raise ConfigurationError(f"cannot read the {what} file `{path}` ({reason}): {remedy}", place=place) from None
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _draft(path: Path, content: bytes) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise _cannot_create(path, error) from None
    return draft


def _cannot_create(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"cannot create the key file `{path}`: {error.strerror}", place=str(path))
