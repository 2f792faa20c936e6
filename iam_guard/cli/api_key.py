"""`iam-guard api-key create|list|activate|deactivate|rotate|delete`: the API keys of users and roles.

The text of a key is printed only once, to standard output.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TextIO

import click

from iam_guard.administration.api_keys import ApiKeys, ListedApiKey
from iam_guard.authn.api_key import NewApiKey
from iam_guard.cli.change_recording import recorded_store
from iam_guard.cli.options import JSON, STORE

_DAYS = click.option(
    "--days", type=click.FloatRange(min=0, min_open=True), help="Set the days until the key expires; default: never."
)


@click.group("api-key")
def keys() -> None:
    """Create, list, activate, deactivate, rotate and delete API keys of users and roles."""


@keys.command()
@click.argument("principal")
@_DAYS
@click.option(
    "--session-policy",
    type=click.File("r", encoding="utf-8"),
    help="Limit the key with this session policy (JSON; `-` for standard input).",
)
@STORE
@JSON
def create(principal: str, days: float | None, session_policy: TextIO | None, store: str, as_json: bool) -> None:
    """Create a key for the user or role with the ARN PRINCIPAL; its text is shown only once."""
    policy = None if session_policy is None else session_policy.read()
    with _keys(store) as keys:
        created = keys.create(principal, expires=_in_days(days), session_policy=policy)
    _show(created, as_json)


@keys.command("list")
@click.argument("principal", required=False)
@STORE
@JSON
def list_keys(principal: str | None, store: str, as_json: bool) -> None:
    """List the keys of PRINCIPAL, or all keys, without their texts."""
    with _keys(store) as keys:
        listed = list(_all(keys, principal))
    if as_json:
        click.echo(json.dumps([_as_row(key) for key in listed]))
        return
    for key in listed:
        ends = "never" if key.expires is None else f"{key.expires:%Y-%m-%dT%H:%MZ}"
        used = "never" if key.used is None else f"{key.used:%Y-%m-%dT%H:%MZ}"
        click.echo(f"{key.id}  {key.status:8}  expires {ends}  used {used}  {key.principal}")


@keys.command()
@click.argument("id")
@STORE
@JSON
def activate(id: str, store: str, as_json: bool) -> None:
    """Activate the key ID."""
    _update(id, "Active", store, as_json=as_json)


@keys.command()
@click.argument("id")
@STORE
@JSON
def deactivate(id: str, store: str, as_json: bool) -> None:
    """Deactivate the key ID until it is activated again."""
    _update(id, "Inactive", store, as_json=as_json)


@keys.command()
@click.argument("id")
@_DAYS
@click.option(
    "--overlap-hours", type=click.FloatRange(min=0), help="Set the hours until the old key expires; default: never."
)
@STORE
@JSON
def rotate(id: str, days: float | None, overlap_hours: float | None, store: str, as_json: bool) -> None:
    """Create another key with the owner and scope of the key ID; both are valid until the old one expires."""
    overlap = None if overlap_hours is None else timedelta(hours=overlap_hours)
    with _keys(store) as keys:
        created = keys.rotate(id, expires=_in_days(days), overlap=overlap)
    _show(created, as_json)


@keys.command("delete")
@click.argument("id")
@STORE
@JSON
def delete_key(id: str, store: str, as_json: bool) -> None:
    """Delete the key ID."""
    with _keys(store) as keys:
        keys.delete(id)
    click.echo(json.dumps({"id": id}) if as_json else f"deleted the API key {id}")


def _update(id: str, status: str, store: str, *, as_json: bool) -> None:
    with _keys(store) as keys:
        keys.update(id, status)
    click.echo(json.dumps({"id": id, "status": status}) if as_json else f"the API key {id} is {status.lower()}")


def _in_days(days: float | None) -> datetime | None:
    return None if days is None else datetime.now(UTC) + timedelta(days=days)


def _show(created: NewApiKey, as_json: bool) -> None:
    click.echo(json.dumps({"id": created.id, "key": created.text}) if as_json else created.text)


def _as_row(key: ListedApiKey) -> dict[str, str | None]:
    return {
        "id": key.id,
        "principal": key.principal,
        "status": key.status,
        "created": key.created.isoformat(),
        "expires": None if key.expires is None else key.expires.isoformat(),
        "used": None if key.used is None else key.used.isoformat(),
        "session_policy": key.session_policy,
        "replaces": key.replaces,
    }


def _all(keys: ApiKeys, principal: str | None) -> Iterator[ListedApiKey]:
    after: str | None = None
    while page := keys.list(principal, after=after):
        yield from page
        after = page[-1].id


@contextmanager
def _keys(store: str) -> Iterator[ApiKeys]:
    with recorded_store(store) as (opened, change_recorder):
        yield ApiKeys(opened, change_recorder)
