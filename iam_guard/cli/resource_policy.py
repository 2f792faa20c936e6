"""`iam-guard resource-policy put|get|delete|list|share|unshare|shares`: policies of an application's resources."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import import_module
from typing import TextIO

import click

from iam_guard.administration.sharing import ResourceSharing
from iam_guard.cli.change_recording import recorded_store
from iam_guard.cli.options import ACCOUNT_ID, JSON, STORE
from iam_guard.cli.reference_options import APP, catalogues_of_app
from iam_guard.model.result import ChangeRecorder
from iam_guard.policy.share_statements import Share
from iam_guard.store.policies.resource_policies import ListedPolicy, ResourcePolicies
from iam_guard.store.protocol import SourceStore

_ACCOUNT = click.option(
    "--account", type=ACCOUNT_ID, help="Set the account that owns the resource if its ARN has none."
)

_WITH_ACCOUNT = click.option("--with-account", type=ACCOUNT_ID, metavar="ID", help="Name the account.")
_WITH_PRINCIPAL = click.option("--with-principal", metavar="ARN", help="Name the user, role or session.")


@click.group("resource-policy")
def resource_policy() -> None:
    """Put, get, delete and list the policies of an application's resources, and share resources."""


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
@click.option("--account", type=ACCOUNT_ID, help="List only resources of this account.")
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


# --- sharing -----------------------------------------------------------------------------------------------------


@resource_policy.command()
@click.argument("arn")
@click.argument("actions", nargs=-1, required=True)
@_WITH_ACCOUNT
@_WITH_PRINCIPAL
@click.option("--public", is_flag=True, help="Share with everyone, also with anonymous callers.")
@click.option("--external", is_flag=True, help="Accept an account that is not in the store.")
@click.option("--wildcards", is_flag=True, help="Accept actions with wildcards.")
@_ACCOUNT
@APP
@STORE
@JSON
def share(
    arn: str,
    actions: Sequence[str],
    with_account: str | None,
    with_principal: str | None,
    public: bool,
    external: bool,
    wildcards: bool,
    account: str | None,
    app: str | None,
    store: str,
    as_json: bool,
) -> None:
    """Allow an account, a principal or everyone some ACTIONS on the resource ARN, in addition to those it has."""
    with recorded_store(store) as (opened, change_recorder):
        made = _sharing(opened, change_recorder, app).share(
            arn,
            with_account=with_account,
            with_principal=with_principal,
            public=public,
            actions=actions,
            wildcards=wildcards,
            external=external,
            account=account,
        )
    click.echo(json.dumps(_share_json(made)) if as_json else _share_line(made))


@resource_policy.command()
@click.argument("arn")
@click.argument("actions", nargs=-1)
@_WITH_ACCOUNT
@_WITH_PRINCIPAL
@click.option("--public", is_flag=True, help="End the share with everyone.")
@_ACCOUNT
@STORE
@JSON
def unshare(
    arn: str,
    actions: Sequence[str],
    with_account: str | None,
    with_principal: str | None,
    public: bool,
    account: str | None,
    store: str,
    as_json: bool,
) -> None:
    """Take ACTIONS on the resource ARN from a grantee, or all without ACTIONS; print what still applies to it."""
    with recorded_store(store) as (opened, change_recorder):
        remaining = _sharing(opened, change_recorder).unshare(
            arn,
            with_account=with_account,
            with_principal=with_principal,
            public=public,
            actions=actions or None,
            account=account,
        )
    _print_shares(remaining, as_json=as_json)


@resource_policy.command()
@click.argument("arn")
@STORE
@JSON
def shares(arn: str, store: str, as_json: bool) -> None:
    """Print who has which actions by the policy of the resource ARN."""
    with recorded_store(store) as (opened, change_recorder):
        found = _sharing(opened, change_recorder).shares_of(arn)
    _print_shares(found, as_json=as_json)


def _sharing(opened: SourceStore, change_recorder: ChangeRecorder, app: str | None = None) -> ResourceSharing:
    analysis = import_module("iam_guard.factory").share_analysis
    policies = ResourcePolicies(opened, change_recorder)
    return ResourceSharing(policies, catalogues_of_app(app), analysis=analysis)


def _print_shares(found: Sequence[Share], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_share_json(share) for share in found]))
        return
    for share in found:
        click.echo(_share_line(share))


def _share_json(share: Share) -> dict[str, object]:
    return asdict(share) | {"actions": list(share.actions)}


def _share_line(share: Share) -> str:
    kind = "" if share.kind == "AWS" else f"{share.kind} "
    marks = ["under conditions"] * share.has_condition + ["written by hand"] * share.is_written_by_hand
    return f"{kind}{share.grantee}  {' '.join(share.actions)}" + (f"  ({', '.join(marks)})" if marks else "")
