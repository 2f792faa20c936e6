"""Records to a file, a line each; a batch has arrived when the disk has it.

The file is made for its owner only and is followed when it is rotated away. After a half line that a crash or a full
disk has left it goes on with a line break: then one line is broken, which is what readers of such files can bear.
Cutting it off instead would make them begin anew, as they do with a file that became shorter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote

from iam_guard.audit.append_file import sync_folder
from iam_guard.audit.consumer.subscription import Delivery
from iam_guard.audit.export.export_formats import FORMS, Form
from iam_guard.audit.shipping.destination import Unreachable, formed
from iam_guard.audit.shipping.sink_url import SinkUrl
from iam_guard.audit.sinks import FileSink
from iam_guard.errors import ConfigurationError


class LineFile:
    """Appends to one file, which is opened with the first batch."""

    def __init__(self, path: Path, form: Form) -> None:
        self._path = path
        self._form = form
        self._file: FileSink | None = None

    def send(self, batch: Sequence[Delivery]) -> None:
        """Write the batch and wait for the disk."""
        lines = "".join(f"{formed(self._form, each.record)}\n" for each in batch).encode("ascii")
        try:
            if self._file is None:
                self._file = FileSink(self._path)
            self._file.write(lines)
            self._file.sync()
            sync_folder(self._path.parent)  # it may have been rotated away, and be a new one
        except OSError as error:
            self.close()
            raise Unreachable(f"the file cannot be written: {error.strerror or type(error).__name__}") from None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def connector(url: SinkUrl) -> Callable[[], LineFile]:
    """Return what opens the file; raise `ConfigurationError` where its folder is not there."""
    path, form = Path(unquote(url.url.path)), FORMS[url.form]
    if url.url.netloc or path.is_dir() or not path.parent.is_dir():
        raise ConfigurationError("expected `file:` and a path in a folder that is there", place="audit_sinks")
    return lambda: LineFile(path, form)
