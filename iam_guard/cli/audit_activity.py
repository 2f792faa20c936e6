"""`iam-guard audit generate-policy` and `feed`: policies from a trail, and last-used times for a store."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import asdict
from datetime import datetime
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from iam_guard.analysis.activity import (
    Activity,
    ArnTemplates,
    Generalization,
    GeneratedPolicy,
    UnusedAccess,
    aggregate_activity,
    feed_uses,
    generate_policy,
    unused_access,
)
from iam_guard.analysis.activity.attached_policies import attached_policies_of
from iam_guard.analysis.activity.last_used_feed import GROUP, FeedResult
from iam_guard.audit.consumer.start_position import Start, moment
from iam_guard.audit.consumer.subscription import AuditReader
from iam_guard.cli.audit_sources import (
    FOLDER,
    KEYS,
    NO_VERIFY,
    SINCE,
    keys_for,
    records_of,
    terminal_safe,
    trusted_keys,
)
from iam_guard.cli.options import JSON, STORE
from iam_guard.cli.progress import progress
from iam_guard.settings import load
from iam_guard.store.open_store import open_database, open_store
from iam_guard.store.quotas import effective_quotas

_MAX_ACTIONS = 20
"""The maximum number of unused actions printed per service; JSON has all."""
_POLL_SECONDS = 1.0
"""Seconds between two polls of the trail."""


@click.command()
@click.argument("principal")
@click.option(
    "--trail",
    "trails",
    multiple=True,
    required=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="FOLDER|FILE",
    help="Read this trail (a folder, which is verified) or file of records; repeat to combine.",
)
@SINCE
@click.option("--until", metavar="TIME", help="End before this time.")
@click.option("--app", metavar="MODULE:APP", help="Use the ARN templates of this application or `Service`.")
@click.option("--exact", is_flag=True, help="List every resource, without ARN templates.")
@click.option(
    "--generalise-above",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Use a template only if it replaces more than N resources.",
)
@click.option(
    "--generalise-iam", is_flag=True, help="Use templates for write actions of IAM and similar services, too."
)
@click.option("--against", metavar="STORE", help="Compare with the principal's policies in this store.")
@NO_VERIFY
@KEYS
@STORE
@JSON
def generate_policy_command(
    principal: str,
    trails: tuple[Path, ...],
    since: str | None,
    until: str | None,
    app: str | None,
    exact: bool,
    generalise_above: int,
    generalise_iam: bool,
    against: str | None,
    no_verify: bool,
    keys: tuple[str, ...],
    store: str,
    as_json: bool,
) -> None:
    """Generate the least-privilege policy for the activity of PRINCIPAL, a user or role by its ARN or unique id.

    Policies are written to standard output, notes to standard error. Exit code 1 if the trail has gaps, so that the
    policy may be incomplete.
    """
    begin, end = _moment(since, "--since"), _moment(until, "--until")
    templates = ArnTemplates(_catalogues(app))
    broken: list[str] = []
    ring = keys_for(trails, keys, store, no_verify=no_verify)
    with records_of(trails, ring, broken, since=begin) as records:
        activity = aggregate_activity(records, principal, since=begin, until=end, templates=templates)
    generalising = Generalization(above=generalise_above, own=generalise_iam, is_off=exact)
    generated = generate_policy(activity, templates, generalising, effective_quotas(load().quotas))
    unused = None if against is None else _unused(activity, against, templates)
    if as_json:
        click.echo(json.dumps(_as_dict(activity, generated, unused, broken)))
    else:
        _print(activity, generated, unused, broken)
    sys.exit(2 if broken else 0 if activity.is_complete else 1)


def _moment(text: str | None, place: str) -> datetime | None:
    return None if text is None else moment(text, place=place)


def _catalogues(app: str | None) -> list[Any]:
    """Return the catalogues of an application; loads no web framework without one."""
    found: list[Any] = [] if app is None else import_module("iam_guard.cli.references").declared_catalogues(app)
    return found


def _unused(activity: Activity, against: str, templates: ArnTemplates) -> UnusedAccess:
    own = import_module("iam_guard.api.protocol.dispatch").own_actions()
    with closing(open_store(against, load())) as opened:
        return unused_access(activity, attached_policies_of(activity, opened), {*templates.actions, *own})


# --- output ------------------------------------------------------------------------------------------------------


def _as_dict(
    activity: Activity, generated: GeneratedPolicy, unused: UnusedAccess | None, broken: list[str]
) -> dict[str, Any]:
    return {
        "principal": activity.actor.name,
        "complete": activity.is_complete and not broken,
        "records": asdict(activity.seen),
        "policies": [document.to_dict() for document in generated.documents],
        "notes": [note._asdict() for note in generated.notes],
        "actions": [
            {
                "action": action.action,
                "allowed": asdict(action.allowed),
                "denied": asdict(action.denied),
                "refused": asdict(action.refused),
                "resources": len(action.resources) + len(action.patterns),
                "conditionKeys": sorted(action.keys),
            }
            for _, action in sorted(activity.actions.items())
        ],
        "callers": dict(activity.callers),
        "unused": None if unused is None else _unused_as_dict(unused),
        "broken": broken,
    }


def _unused_as_dict(unused: UnusedAccess) -> dict[str, Any]:
    grants = [grant._asdict() for grant in unused.grants]
    return {"services": list(unused.services), "actions": list(unused.actions), "grants": grants}


def _print(activity: Activity, generated: GeneratedPolicy, unused: UnusedAccess | None, broken: list[str]) -> None:
    for document in generated.documents:
        click.echo(document.to_json(indent=2))
    seen, requests = activity.seen, sum(action.count for action in activity.actions.values())
    span = f", {seen.first} to {seen.last}" if seen.count else ""
    lines = [f"{requests} requests of {activity.actor.name} in {seen.count} records{span}"]
    lines += [f"{note.about}: {note.text}" for note in generated.notes]
    lines += [] if unused is None else _unused_lines(unused)
    for line in lines + broken:
        click.echo(terminal_safe(line), err=True)


def _unused_lines(unused: UnusedAccess) -> Iterator[str]:
    for service in unused.services:
        yield f"unused service: {service}"
    for service, actions in groupby(unused.actions, key=lambda action: action.partition(":")[0]):
        names = [action.partition(":")[2] for action in actions]
        more = f" and {len(names) - _MAX_ACTIONS} more" if len(names) > _MAX_ACTIONS else ""
        yield f"unused actions of {service}: {', '.join(names[:_MAX_ACTIONS])}{more}"
    for grant in unused.grants:
        yield f"unused entry: {grant.action} in {grant.statement} of {grant.policy}"


# --- feeding a store -----------------------------------------------------------------------------------------------


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--group", default=GROUP, show_default=True, help="Set the consumer group; use one per store.")
@SINCE
@click.option("--again", is_flag=True, help="Start again at the earliest record.")
@click.option("--follow", "-f", is_flag=True, help="Wait for more records.")
@KEYS
@STORE
@JSON
def feed(
    folder: Path,
    group: str,
    since: str | None,
    again: bool,
    follow: bool,
    keys: tuple[str, ...],
    store: str,
    as_json: bool,
) -> None:
    """Write to the store when keys, users, roles and services were last used, according to the trail in FOLDER.

    Continues after the last record read; after restoring a store, use --again or --since. Times are never set back.
    """
    if again and since is not None:
        raise click.UsageError("expected --again or --since, got both")
    begin, ring = _moment(since, "--since"), trusted_keys(keys, store)
    start: Start = begin or "earliest"
    total = FeedResult()
    with (
        closing(open_database(store, load())) as opened,
        suppress(KeyboardInterrupt),
        AuditReader(folder, ring=ring).subscribe(group, start, follow=False) as subscription,
        progress("reading", is_quiet=follow),
    ):
        if again or begin is not None:
            subscription.seek(start)
        while True:
            fed = feed_uses(subscription, opened)
            total.records += fed.records
            total.uses += fed.uses
            if not follow:
                break
            time.sleep(_POLL_SECONDS)
    text = f"{total.records} records read, {total.uses} uses written to the store"
    click.echo(json.dumps(asdict(total)) if as_json else text)
