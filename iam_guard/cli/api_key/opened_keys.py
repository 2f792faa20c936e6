"""What the commands of `iam-guard api-key` share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import click

from iam_guard.administration.api_keys import ApiKeys
from iam_guard.authn.api_key import NewApiKey
from iam_guard.cli.kit.change_recording import recorded_store
from iam_guard.cli.kit.commands import Answer

DAYS = click.option(
    "--days", type=click.FloatRange(min=0, min_open=True), help="Set the days until the key expires; default: never."
)


@contextmanager
def opened_keys(store: str) -> Iterator[ApiKeys]:
    """Yield the API keys of a store; the operator's changes are recorded."""
    with recorded_store(store) as (opened, change_recorder):
        yield ApiKeys(opened, change_recorder)


def in_days(days: float | None) -> datetime | None:
    return None if days is None else datetime.now(UTC) + timedelta(days=days)


def created_key(created: NewApiKey) -> Answer:
    return Answer({"id": created.id, "key": created.text}, created.text)


def with_status(store: str, id: str, status: str) -> Answer:
    """Set the status of a key."""
    with opened_keys(store) as keys:
        keys.update(id, status)
    return Answer({"id": id, "status": status}, f"the API key {id} is {status.lower()}")
