"""`iam-guard resource-policy put|get|delete|list`: the resource-based policies of an application's resources."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TextIO

import click

from iam_guard.cli.change_recording import recorded_store
from iam_guard.cli.options import JSON, STORE
from iam_guard.store.resource_policies import ListedPolicy, ResourcePolicies

_ACCOUNT = click.option("--account", help="Set the account that owns the resource if its ARN has none.")


@click.group("resource-policy")
def resource_policy() -> None:
    """Put, get, delete and list the resource-based policies of an application's resources."""


@resource_policy.command()
@click.argument("arn")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@_ACCOUNT
@STORE
@JSON
def put(arn: str, file: TextIO, account: str | None, store: str, as_json: bool) -> None:
    """Attach the policy in FILE (JSON; `-` for standard input) to the resource ARN, replacing any other."""
    with recorded_store(store) as (opened, change_recorder):
        ResourcePolicies(opened, change_recorder).put(arn, file.read(), account=account)
    click.echo(json.dumps({"arn": arn}) if as_json else f"put the policy of {arn}")


@resource_policy.command()
@click.argument("arn")
@STORE
@JSON
def get(arn: str, store: str, as_json: bool) -> None:
    """Print the policy of the resource ARN; exit code 1 if it has none."""
    with recorded_store(store) as (opened, _):
        text = ResourcePolicies(opened).get(arn)
    if as_json:
        click.echo(json.dumps({"arn": arn, "policy": text}))
    elif text is not None:
        click.echo(text)
    sys.exit(0 if text is not None else 1)


@resource_policy.command()
@click.argument("arn")
@STORE
@JSON
def delete(arn: str, store: str, as_json: bool) -> None:
    """Delete the policy of the resource ARN."""
    with recorded_store(store) as (opened, change_recorder):
        ResourcePolicies(opened, change_recorder).delete(arn)
    click.echo(json.dumps({"arn": arn}) if as_json else f"deleted the policy of {arn}")


@resource_policy.command("list")
@click.option("--account", help="List only resources of this account.")
@STORE
@JSON
def list_(account: str | None, store: str, as_json: bool) -> None:
    """List the resources that have a policy."""
    with recorded_store(store) as (opened, _):
        listed = list(_all(ResourcePolicies(opened), account))
    if as_json:
        click.echo(json.dumps([policy._asdict() for policy in listed]))
        return
    for policy in listed:
        click.echo(f"{policy.account}  {policy.arn}")


def _all(policies: ResourcePolicies, account: str | None) -> Iterator[ListedPolicy]:
    after: str | None = None
    while page := policies.list(account=account, after=after):
        yield from page
        after = page[-1].arn
