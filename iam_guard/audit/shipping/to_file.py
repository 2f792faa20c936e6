"""The sink `file`: appends a line for each record; a batch is confirmed when it is synced to disk.

The file is readable by its owner only, and reopened after rotation. After an incomplete line, left by a crash or a full
disk, writing continues with a line break: readers tolerate one malformed line, but start over if a file is truncated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from iam_guard.audit.append_file import sync_folder
from iam_guard.audit.consumer.subscription import Delivery
from iam_guard.audit.export import FORMS, Form
from iam_guard.audit.shipping.destination import Unreachable, format_record
from iam_guard.audit.shipping.sink_url import SinkUrl, sink_error
from iam_guard.audit.sinks import FileSink


@dataclass(slots=True)
class LineFile:
    """Appends to one file, opened with the first batch."""

    path: Path
    form: Form
    _file: FileSink | None = None

    def send(self, batch: Sequence[Delivery]) -> None:
        """Write the batch and sync it to disk."""
        lines = "".join(f"{format_record(self.form, item.record)}\n" for item in batch).encode("ascii")
        try:
            if self._file is None:
                self._file = FileSink(self.path)
            self._file.write(lines)
            self._file.sync()
            sync_folder(self.path.parent)  # the file may be new after a rotation
        except OSError as error:
            self.close()
            raise Unreachable(f"the file cannot be written: {error.strerror or type(error).__name__}") from None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def connector(url: SinkUrl) -> Callable[[], LineFile]:
    """Return a factory of the destination; raise `ConfigurationError` if the file's folder doesn't exist."""
    path, form = Path(unquote(url.url.path)), FORMS[url.form]
    if url.url.netloc or path.is_dir() or not path.parent.is_dir():
        raise sink_error("expected `file:` and a path in an existing folder")
    return lambda: LineFile(path, form)
