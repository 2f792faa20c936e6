"""Records to standard output, a line each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from iam_guard.audit.consumer.subscription import Delivery
from iam_guard.audit.export.export_formats import FORMS, Form
from iam_guard.audit.shipping.destination import Gone, formed
from iam_guard.audit.shipping.sink_url import SinkUrl
from iam_guard.audit.sinks import StreamSink
from iam_guard.errors import ConfigurationError


class StandardOutput:
    """Writes lines; they have arrived when the other end of a pipe can have them."""

    def __init__(self, form: Form, stream: StreamSink | None = None) -> None:
        self._form = form
        self._stream = stream or StreamSink()

    def send(self, batch: Sequence[Delivery]) -> None:
        """Write the batch; `Gone` where nobody reads any more."""
        try:
            self._stream.write("".join(f"{formed(self._form, each.record)}\n" for each in batch).encode("ascii"))
        except (OSError, ValueError) as error:  # the pipe is broken, the stream is closed
            raise Gone(f"standard output is closed ({type(error).__name__})") from None

    def close(self) -> None:
        """Leave the stream to its owner."""


def connector(url: SinkUrl) -> Callable[[], StandardOutput]:
    """Return what opens standard output."""
    if url.url.path or url.url.netloc:
        raise ConfigurationError("expected nothing but options after `stdout:`", place="audit_sinks")
    form = FORMS[url.form]
    return lambda: StandardOutput(form)
