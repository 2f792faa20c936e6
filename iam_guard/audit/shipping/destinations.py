"""Factories of sink destinations by URL; the driver of a kind is imported when a sink of that kind is configured.

The table of kinds is in `sink_url`. Configuration errors are raised when the trail is opened, not later in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import NamedTuple

from iam_guard.audit.shipping.destination import SinkDestination
from iam_guard.audit.shipping.sink_url import SinkUrl, sink_error

Connect = Callable[[], SinkDestination]
"""Creates a destination, in the thread that ships to it; it connects at the first batch."""


class ConfiguredSink(NamedTuple):
    """A sink and the factory of its destination."""

    url: SinkUrl
    connect: Connect


def open_sinks(urls: Iterable[SinkUrl], *, webhook_secrets: Sequence[str] = ()) -> list[ConfiguredSink]:
    """Load the drivers of the sinks; raise `ConfigurationError` for an invalid sink and for a duplicate name."""
    sinks = [ConfiguredSink(url, _connector(url, webhook_secrets)) for url in urls]
    names = [sink.url.name for sink in sinks]
    for name in names:
        if names.count(name) > 1:
            raise sink_error(f"expected unique names, got two sinks named `{name}`: set the option `name` of one")
    return sinks


def _connector(url: SinkUrl, webhook_secrets: Sequence[str]) -> Connect:
    module = import_module(f"iam_guard.audit.shipping.to_{url.kind}")
    connect: Connect = module.connector(url, webhook_secrets) if url.kind == "webhook" else module.connector(url)
    return connect
