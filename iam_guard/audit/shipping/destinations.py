"""From the URL of a sink to what opens its destination; a driver is loaded here, when it is chosen.

`ROWS` is the table of kinds. Everything that can be wrong about a sink without asking the other side is found here,
when the trail is opened, and not in a thread later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import NamedTuple

from iam_guard.audit.shipping.destination import SinkDestination
from iam_guard.audit.shipping.sink_url import SinkUrl
from iam_guard.errors import ConfigurationError

Connect = Callable[[], SinkDestination]
"""Makes a destination, in the thread that ships to it; it is connected when something is sent."""


class FollowingSink(NamedTuple):
    """A sink that can be shipped to."""

    url: SinkUrl
    connect: Connect


class KindRow(NamedTuple):
    """One kind of sink: the module with its `connector`, the extra that it needs, and what that brings."""

    module: str
    extra: str = ""
    drivers: frozenset[str] = frozenset()


ROWS: Mapping[str, KindRow] = {
    "stdout": KindRow("to_stdout"),
    "file": KindRow("to_file"),
    "webhook": KindRow("to_webhook", "webhook", frozenset({"httpcore2"})),
    "otlp": KindRow("to_otlp", "otlp", frozenset({"opentelemetry", "requests", "google"})),
    "nats": KindRow("to_nats", "nats", frozenset({"nats"})),
}


def open_sinks(urls: Iterable[SinkUrl], *, webhook_secrets: Sequence[str] = ()) -> list[FollowingSink]:
    """Load what the sinks need; raise `ConfigurationError` for one that cannot be, and for a name that comes twice."""
    sinks = [FollowingSink(url, _connector(url, webhook_secrets)) for url in urls]
    names = [sink.url.name for sink in sinks]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"two sinks have the name `{name}`, give one a `name`", place="audit_sinks")
    return sinks


def _connector(url: SinkUrl, webhook_secrets: Sequence[str]) -> Connect:
    row = ROWS[url.kind]
    try:
        module = import_module(f"iam_guard.audit.shipping.{row.module}")
    except ModuleNotFoundError as missing:
        if str(missing.name).partition(".")[0] not in row.drivers:
            raise
        message = f"a sink `{url.kind}` needs the extra `{row.extra}`: pip install 'iam-guard[{row.extra}]'"
        raise ConfigurationError(message, place="audit_sinks") from None
    connect: Connect = module.connector(url, webhook_secrets) if url.kind == "webhook" else module.connector(url)
    return connect
