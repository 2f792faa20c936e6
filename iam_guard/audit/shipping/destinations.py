"""Factories of sink destinations by URL; the driver of a kind is imported when a sink of that kind is configured.

`SINK_KINDS` is the table of kinds. Configuration errors are raised when the trail is opened, not later in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import NamedTuple

from iam_guard.audit.shipping.destination import SinkDestination
from iam_guard.audit.shipping.sink_url import SinkUrl
from iam_guard.errors import ConfigurationError

Connect = Callable[[], SinkDestination]
"""Creates a destination, in the thread that ships to it; it connects at the first batch."""


class ConfiguredSink(NamedTuple):
    """A sink and the factory of its destination."""

    url: SinkUrl
    connect: Connect


class SinkKind(NamedTuple):
    """One kind of sink: the module with its `connector`, the required extra, and the packages of that extra."""

    module: str
    extra: str = ""
    drivers: frozenset[str] = frozenset()


SINK_KINDS: Mapping[str, SinkKind] = {
    "stdout": SinkKind("to_stdout"),
    "file": SinkKind("to_file"),
    "webhook": SinkKind("to_webhook", "webhook", frozenset({"httpcore2"})),
    "otlp": SinkKind("to_otlp", "otlp", frozenset({"opentelemetry", "requests", "google"})),
    "nats": SinkKind("to_nats", "nats", frozenset({"nats"})),
}


def open_sinks(urls: Iterable[SinkUrl], *, webhook_secrets: Sequence[str] = ()) -> list[ConfiguredSink]:
    """Load the drivers of the sinks; raise `ConfigurationError` for an invalid sink and for a duplicate name."""
    sinks = [ConfiguredSink(url, _connector(url, webhook_secrets)) for url in urls]
    names = [sink.url.name for sink in sinks]
    for name in names:
        if names.count(name) > 1:
            message = f"expected unique names, got two sinks named `{name}`: set the option `name` of one"
            raise ConfigurationError(message, place="audit_sinks")
    return sinks


def _connector(url: SinkUrl, webhook_secrets: Sequence[str]) -> Connect:
    row = SINK_KINDS[url.kind]
    try:
        module = import_module(f"iam_guard.audit.shipping.{row.module}")
    except ModuleNotFoundError as missing:
        if str(missing.name).partition(".")[0] not in row.drivers:
            raise
        message = f"a sink `{url.kind}` requires the extra `{row.extra}`: pip install 'iam-guard[{row.extra}]'"
        raise ConfigurationError(message, place="audit_sinks") from None
    connect: Connect = module.connector(url, webhook_secrets) if url.kind == "webhook" else module.connector(url)
    return connect
