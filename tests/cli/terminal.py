"""Run a command of `iam-guard` with a terminal of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import IO


def in_terminal(
    *arguments: str, folder: Path, columns: int = 80, stdout: IO[bytes] | None = None, **variables: str
) -> str:
    """Return what `python ARGUMENTS` writes to a terminal of that width; its exit code must be 0 or 1.

    With a file as `stdout`, only standard error is the terminal.
    """
    reading, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=stdout or terminal,
        stderr=terminal,
        env=inherited | {"TERM": "xterm-256color"} | variables,
    )
    os.close(terminal)
    written = b""
    with contextlib.suppress(OSError):  # Linux reports the end of a terminal as an error
        while part := os.read(reading, 65536):
            written += part
    os.close(reading)
    assert process.wait(300) in (0, 1), written
    return written.decode().replace("\r\n", "\n")
