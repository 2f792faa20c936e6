"""The sink `stdout`: writes a line for each record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from iam_guard.audit.consumer.subscription import Delivery
from iam_guard.audit.export import FORMS, Form
from iam_guard.audit.shipping.destination import Gone, format_record
from iam_guard.audit.shipping.sink_url import SinkUrl, sink_error
from iam_guard.audit.sinks import StreamSink


@dataclass(slots=True)
class StandardOutput:
    """Writes lines to standard output; a batch is confirmed when it is written."""

    form: Form
    stream: StreamSink = field(default_factory=StreamSink)

    def send(self, batch: Sequence[Delivery]) -> None:
        """Write the batch; raise `Gone` if the pipe is broken or the stream closed."""
        try:
            self.stream.write("".join(f"{format_record(self.form, item.record)}\n" for item in batch).encode("ascii"))
        except (OSError, ValueError) as error:  # a broken pipe, a closed stream
            raise Gone(f"standard output is closed ({type(error).__name__})") from None

    def close(self) -> None:
        """Do nothing: the stream belongs to the process."""


def connector(url: SinkUrl) -> Callable[[], StandardOutput]:
    """Return a factory of the destination."""
    if url.url.path or url.url.netloc:
        raise sink_error("expected only options after `stdout:`")
    form = FORMS[url.form]
    return lambda: StandardOutput(form)
