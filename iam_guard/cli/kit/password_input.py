"""Read a password from standard input or a terminal without echo.

Never from an argument, which other users of the machine could read. It is neither printed nor recorded.
"""

from __future__ import annotations

import getpass
import sys
import warnings

from iam_guard.errors import ConfigurationError, InvalidInput

_MAX_BYTES = 64 * 1024
"""The maximum length of the line that is read, far beyond that of a password."""


def read_password(*, from_stdin: bool) -> str:
    """Return the first line of standard input, or what is entered twice on a terminal.

    Raises `ConfigurationError` without a terminal unless `from_stdin`, and `InvalidInput`.
    """
    if sys.stdin.isatty():
        return _prompted_password()
    if not from_stdin:
        raise ConfigurationError("expected a terminal, or --stdin to read the password from standard input")
    line = sys.stdin.buffer.readline(_MAX_BYTES)
    try:
        return line.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise InvalidInput("expected text in UTF-8", place="password") from None


def _prompted_password() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)  # it would be shown
        try:
            password, repeated = getpass.getpass("New password: "), getpass.getpass("The same again: ")
        except getpass.GetPassWarning:
            raise ConfigurationError("expected a terminal that can hide the password, or --stdin") from None
    if password != repeated:
        raise InvalidInput("expected the same password twice", place="password")
    return password
