"""`iam-guard audit ship`: a separate process that follows a trail and ships its records to sinks.

Exit code 0: everything was delivered, or a signal stopped the process. 1: records were not delivered, or were rejected
permanently. 2: usage error, damaged trail, or a sink that stopped for another reason.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

import click

from iam_guard.audit.consumer.start_position import Start, parse_start
from iam_guard.audit.consumer.subscription import AuditReader, Offset
from iam_guard.audit.export import FORMS
from iam_guard.audit.shipping.destinations import ConfiguredSink, open_sinks
from iam_guard.audit.shipping.shipper import ShipperOptions
from iam_guard.audit.shipping.shippers import Shippers
from iam_guard.audit.shipping.sink_url import SinkUrl
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.cli.kit.audit_sources import FILTER, FOLDER, KEYS, SINCE, trusted_keys
from iam_guard.cli.kit.commands import JSON, STORE
from iam_guard.errors import InvalidInput
from iam_guard.model.usage import SinkUsage
from iam_guard.settings import load_settings

REPORT_SECONDS = 10.0
"""The interval of reports on a sink if only its numbers change."""


@click.command()
@click.argument("folder", type=FOLDER)
@click.option(
    "--to",
    "urls",
    multiple=True,
    metavar="URL",
    help="Ship to this sink; repeat for more; default: the setting `audit_sinks`.",
)
@click.option("--name", help="Name the only sink, for its offsets and reports.")
@click.option("--form", type=click.Choice(list(FORMS)), help="Set the record format of sinks that specify none.")
@FILTER
@SINCE
@click.option("--once", is_flag=True, help="Stop when all signed records are delivered.")
@click.option(
    "--seek",
    metavar="WHERE",
    help="Start at another position, such as after a damaged part: `earliest`, `latest`, a time, or SHARD:SEQUENCE.",
)
@click.option("--no-verify", is_flag=True, help="Skip verification, and ship unsigned records, too; requires no key.")
@KEYS
@STORE
@JSON
def command(
    folder: Path,
    urls: tuple[str, ...],
    name: str | None,
    form: str | None,
    filters: tuple[str, ...],
    since: str | None,
    once: bool,
    seek: str | None,
    no_verify: bool,
    keys: tuple[str, ...],
    store: str,
    as_json: bool,
) -> None:
    """Ship the records of the trail in FOLDER to sinks, at least once each, until stopped by a signal."""
    settings = load_settings()
    ring = None if no_verify else trusted_keys(keys, store)
    chosen = _urls(urls or settings.audit_sinks, filters, {"name": name, "form": form, "since": since})
    sinks = open_sinks(chosen, webhook_secrets=settings.audit_webhook_secrets)
    if seek is not None:
        _seek(folder, ring, sinks, _place(seek))
    shippers = Shippers(folder, ring, sinks, options=ShipperOptions(is_once=once, retries_after_damage=False))
    reporter = _Reporter(is_json=as_json, is_error=any(sink.url.kind == "stdout" for sink in sinks))
    is_signalled = _watch(shippers, reporter)
    sys.exit(_exit_code(shippers.usage(), is_once=once and not is_signalled))


def _urls(texts: Sequence[str], filters: tuple[str, ...], options: Mapping[str, str | None]) -> list[SinkUrl]:
    if not texts:
        raise click.UsageError("expected --to, or the setting IAM_GUARD_AUDIT_SINKS")
    if options["name"] is not None and len(texts) > 1:
        raise click.UsageError("expected one sink with --name, write `#name=…` after each URL instead")
    defaults = {option: value for option, value in options.items() if value is not None}
    return [SinkUrl.parse(text, defaults=defaults, filters=filters) for text in texts]


def _place(text: str) -> Start | Offset:
    shard, colon, sequence = text.rpartition(":")
    if colon and sequence.isascii() and sequence.isdigit() and "T" in shard and shard.endswith("Z"):
        return Offset(shard, int(sequence))
    try:
        return parse_start(text, place="--seek")
    except InvalidInput:
        message = "expected `earliest`, `latest`, a time such as `2026-11-25T04:00:00Z`, or SHARD:SEQUENCE"
        raise InvalidInput(message, place="--seek") from None


def _seek(folder: Path, ring: KeyRing | None, sinks: Sequence[ConfiguredSink], place: Start | Offset) -> None:
    for sink in sinks:
        reader = AuditReader(folder, ring=ring)
        with reader.subscribe(sink.url.group, sink.url.since, verify=ring is not None) as subscription:
            subscription.seek(place)


def _watch(shippers: Shippers, reporter: _Reporter) -> bool:
    """Ship and report until everything is delivered (False) or a signal arrives (True)."""
    signals: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        signals.append(number)  # takes no lock: the interrupted thread may hold it

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        shippers.start()
        while shippers.is_running and not signals:
            time.sleep(0.1)
            reporter.report(shippers.usage())
        shippers.close()
        reporter.report(shippers.usage(), is_last=True)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return bool(signals)


class _Reporter:
    """Prints the state of the sinks when it changes, at intervals, and at the end."""

    def __init__(self, *, is_json: bool, is_error: bool) -> None:
        self._is_json = is_json
        self._is_error = is_error
        self._reported: dict[str, SinkUsage] = {}
        self._quiet: dict[str, int] = {}

    def report(self, usage: Mapping[str, SinkUsage], *, is_last: bool = False) -> None:
        for name, now in usage.items():
            before = self._reported.get(name)
            waited = self._quiet[name] = self._quiet.get(name, 0) + 1
            is_change = before is None or (before.state, before.problem) != (now.state, now.problem)
            is_due = is_last or waited * 0.1 >= REPORT_SECONDS
            if now.state != "waiting" and (is_change or (is_due and before is not None and before[1:5] != now[1:5])):
                self._reported[name], self._quiet[name] = now, 0
                click.echo(self._line(name, now), err=self._is_error)

    def _line(self, name: str, now: SinkUsage) -> str:
        if self._is_json:
            return json.dumps({"sink": name} | now._asdict())
        parts = [f"{now.delivered} delivered"]
        parts += [] if now.lag is None else [f"lag {now.lag}"]
        parts += [f"{now.refused} refused"] if now.refused else []
        parts += [f"{now.failures} failures"] if now.failures else []
        return f"{name}: {now.state}, {', '.join(parts)}" + ("" if now.problem is None else f": {now.problem}")


def _exit_code(usage: Mapping[str, SinkUsage], *, is_once: bool) -> int:
    if any(sink.state == "stopped" for sink in usage.values()):
        return 2
    is_short = is_once and any(sink.state != "ended" for sink in usage.values())
    return 1 if is_short or any(sink.refused for sink in usage.values()) else 0
