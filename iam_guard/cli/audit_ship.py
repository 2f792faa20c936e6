"""`iam-guard audit ship`: a process of its own that follows a trail and ships its records to sinks.

Exit code 0: everything has arrived, or a signal said to stop. 1: something has not arrived, or was refused for good. 2:
usage, damage of the trail, or a sink that stopped for another reason.
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

from iam_guard.audit.consumer.start_position import Start, moment
from iam_guard.audit.consumer.subscription import AuditReader, Offset
from iam_guard.audit.export.export_formats import FORMS
from iam_guard.audit.shipping.destinations import FollowingSink, open_sinks
from iam_guard.audit.shipping.shipper import ShipperOptions
from iam_guard.audit.shipping.shippers import Shippers
from iam_guard.audit.shipping.sink_url import SinkUrl
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.cli.audit_sources import FILTER, FOLDER, KEYS, SINCE, believed_keys
from iam_guard.cli.options import JSON, STORE
from iam_guard.errors import InvalidInput
from iam_guard.model.usage import SinkUsage
from iam_guard.settings import load

TELL_SECONDS = 10.0
"""How often the state of a sink is told when nothing but its numbers changes."""


@click.command()
@click.argument("folder", type=FOLDER)
@click.option(
    "--to",
    "urls",
    multiple=True,
    metavar="URL",
    help="A sink, may be given several times; else the setting `audit_sinks`.",
)
@click.option("--name", help="The name of the only sink, for its offsets and in what is told.")
@click.option("--form", type=click.Choice(list(FORMS)), help="The form of the records, for sinks that do not say it.")
@FILTER
@SINCE
@click.option("--once", is_flag=True, help="End when everything that is signed has arrived.")
@click.option(
    "--seek",
    metavar="WHERE",
    help="Go elsewhere first, past damage say: `earliest`, `latest`, a time, or SHARD:SEQUENCE for one shard.",
)
@click.option(
    "--no-verify", is_flag=True, help="Ship also what is not signed, and believe what stands there; needs no key."
)
@KEYS
@STORE
@JSON
def ship(
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
    """Ship the records of the trail in FOLDER to sinks, at least once, until a signal says to stop."""
    settings = load()
    ring = None if no_verify else believed_keys(keys, store)
    chosen = _urls(urls or settings.audit_sinks, filters, {"name": name, "form": form, "since": since})
    sinks = open_sinks(chosen, webhook_secrets=settings.audit_webhook_secrets)
    if seek is not None:
        _seek(folder, ring, sinks, _place(seek))
    shippers = Shippers(folder, ring, sinks, manner=ShipperOptions(is_once=once, is_patient=False))
    tell = _Teller(is_json=as_json, is_error=any(sink.url.kind == "stdout" for sink in sinks))
    is_signalled = _watch(shippers, tell)
    sys.exit(_exit_code(shippers.usage(), is_once=once and not is_signalled))


def _urls(texts: Sequence[str], filters: tuple[str, ...], given: Mapping[str, str | None]) -> list[SinkUrl]:
    if not texts:
        raise click.UsageError("expected --to, or the setting IAM_GUARD_AUDIT_SINKS")
    if given["name"] is not None and len(texts) > 1:
        raise click.UsageError("--name is for one sink; write `#name=…` after each URL")
    defaults = {option: value for option, value in given.items() if value is not None}
    return [SinkUrl.parse(text, defaults=defaults, filters=filters) for text in texts]


def _place(text: str) -> Start | Offset:
    match text:
        case "earliest" | "latest":
            return text
    shard, colon, sequence = text.rpartition(":")
    if colon and sequence.isascii() and sequence.isdigit() and "T" in shard and shard.endswith("Z"):
        return Offset(shard, int(sequence))
    try:
        return moment(text, place="--seek")
    except InvalidInput:
        message = "expected `earliest`, `latest`, a time such as `2026-11-25T04:00:00Z`, or SHARD:SEQUENCE"
        raise InvalidInput(message, place="--seek") from None


def _seek(folder: Path, ring: KeyRing | None, sinks: Sequence[FollowingSink], place: Start | Offset) -> None:
    for sink in sinks:
        reader = AuditReader(folder, ring=ring)
        with reader.subscribe(sink.url.group, sink.url.since, verify=ring is not None) as subscription:
            subscription.seek(place)


def _watch(shippers: Shippers, tell: _Teller) -> bool:
    """Ship and tell, until all is done or a signal comes; True for the latter."""
    signals: list[int] = []

    def leave(number: int, frame: FrameType | None) -> None:
        signals.append(number)  # takes no lock: this thread may hold it, waiting where the signal came in

    before = {each: signal.signal(each, leave) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        shippers.start()
        while shippers.is_running and not signals:
            time.sleep(0.1)
            tell.changes(shippers.usage())
        shippers.close()
        tell.changes(shippers.usage(), is_last=True)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    return bool(signals)


class _Teller:
    """Returns how the sinks fare: when a state changes, now and then, and at the end."""

    def __init__(self, *, is_json: bool, is_error: bool) -> None:
        self._is_json = is_json
        self._is_error = is_error
        self._told: dict[str, SinkUsage] = {}
        self._quiet: dict[str, int] = {}

    def changes(self, usage: Mapping[str, SinkUsage], *, is_last: bool = False) -> None:
        for name, now in usage.items():
            before = self._told.get(name)
            waited = self._quiet[name] = self._quiet.get(name, 0) + 1
            is_news = before is None or (before.state, before.problem) != (now.state, now.problem)
            is_due = is_last or waited * 0.1 >= TELL_SECONDS
            if now.state != "waiting" and (is_news or (is_due and before is not None and before[1:5] != now[1:5])):
                self._told[name], self._quiet[name] = now, 0
                click.echo(self._line(name, now), err=self._is_error)

    def _line(self, name: str, now: SinkUsage) -> str:
        if self._is_json:
            return json.dumps({"sink": name} | now._asdict())
        told = [f"{now.delivered} delivered"]
        told += [] if now.lag is None else [f"lag {now.lag}"]
        told += [f"{now.refused} refused"] if now.refused else []
        told += [f"{now.failures} failures"] if now.failures else []
        return f"{name}: {now.state}, {', '.join(told)}" + ("" if now.problem is None else f": {now.problem}")


def _exit_code(usage: Mapping[str, SinkUsage], *, is_once: bool) -> int:
    if any(each.state == "stopped" for each in usage.values()):
        return 2
    is_short = any(each.state != "ended" for each in usage.values()) if is_once else False
    return 1 if is_short or any(each.refused for each in usage.values()) else 0
