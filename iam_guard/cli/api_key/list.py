"""`iam-guard api-key list`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from iam_guard.administration.api_keys import ApiKeys, ListedApiKey
from iam_guard.cli.api_key.opened_keys import opened_keys
from iam_guard.cli.kit.commands import STORE, Answer, answering


@click.command()
@click.argument("principal", required=False)
@STORE
@answering
def command(principal: str | None, store: str) -> Answer:
    """List the keys of PRINCIPAL, or all keys, without their texts."""
    with opened_keys(store) as keys:
        listed = list(_all(keys, principal))
    return Answer([_row(key) for key in listed], map(_line, listed))


def _all(keys: ApiKeys, principal: str | None) -> Iterator[ListedApiKey]:
    after: str | None = None
    while page := keys.list(principal, after=after):
        yield from page
        after = page[-1].id


def _line(key: ListedApiKey) -> str:
    ends = "never" if key.expires is None else f"{key.expires:%Y-%m-%dT%H:%MZ}"
    used = "never" if key.used is None else f"{key.used:%Y-%m-%dT%H:%MZ}"
    return f"{key.id}  {key.status:8}  expires {ends}  used {used}  {key.principal}"


def _row(key: ListedApiKey) -> dict[str, str | None]:
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
