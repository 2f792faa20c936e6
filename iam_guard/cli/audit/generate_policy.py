"""`iam-guard audit generate-policy`: the policy for what a principal has done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
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
    generate_policy,
    unused_access,
)
from iam_guard.analysis.activity.attached_policies import attached_policies_of
from iam_guard.cli.kit.audit_sources import KEYS, NO_VERIFY, SINCE, keys_for, moment_of, records_of
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.cli.kit.terminal import terminal_safe
from iam_guard.settings import load_settings
from iam_guard.store.opening import open_store
from iam_guard.store.quotas import effective_quotas

_MAX_ACTIONS = 20
"""The maximum number of unused actions printed per service; JSON has all."""


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
@answering
def command(
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
) -> Answer:
    """Generate the least-privilege policy for the activity of PRINCIPAL, a user or role by its ARN or unique id.

    Policies are written to standard output, notes to standard error. Exit code 1 if the trail has gaps, so that the
    policy may be incomplete.
    """
    begin, end = moment_of(since, "--since"), moment_of(until, "--until")
    templates = ArnTemplates(_catalogues(app))
    broken: list[str] = []
    ring = keys_for(trails, keys, store, no_verify=no_verify)
    with records_of(trails, ring, broken, since=begin) as records:
        activity = aggregate_activity(records, principal, since=begin, until=end, templates=templates)
    generalising = Generalization(above=generalise_above, own=generalise_iam, is_off=exact)
    generated = generate_policy(activity, templates, generalising, effective_quotas(load_settings().quotas))
    unused = None if against is None else _unused(activity, against, templates)
    return Answer(
        _as_dict(activity, generated, unused, broken),
        [document.to_json(indent=2) for document in generated.documents],
        exit_code=2 if broken else 0 if activity.is_complete else 1,
        notes=map(terminal_safe, _notes(activity, generated, unused, broken)),
    )


def _catalogues(app: str | None) -> list[Any]:
    """Return the catalogues of an application; loads no web framework without one."""
    found: list[Any] = [] if app is None else import_module("iam_guard.cli.reference").declared_catalogues(app)
    return found


def _unused(activity: Activity, against: str, templates: ArnTemplates) -> UnusedAccess:
    own = import_module("iam_guard.api.protocol.dispatch").own_actions()
    with closing(open_store(against, load_settings())) as opened:
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


def _notes(
    activity: Activity, generated: GeneratedPolicy, unused: UnusedAccess | None, broken: list[str]
) -> Iterator[str]:
    seen, requests = activity.seen, sum(action.count for action in activity.actions.values())
    span = f", {seen.first} to {seen.last}" if seen.count else ""
    yield f"{requests} requests of {activity.actor.name} in {seen.count} records{span}"
    yield from (f"{note.about}: {note.text}" for note in generated.notes)
    yield from () if unused is None else _unused_lines(unused)
    yield from broken


def _unused_lines(unused: UnusedAccess) -> Iterator[str]:
    for service in unused.services:
        yield f"unused service: {service}"
    for service, actions in groupby(unused.actions, key=lambda action: action.partition(":")[0]):
        names = [action.partition(":")[2] for action in actions]
        more = f" and {len(names) - _MAX_ACTIONS} more" if len(names) > _MAX_ACTIONS else ""
        yield f"unused actions of {service}: {', '.join(names[:_MAX_ACTIONS])}{more}"
    for grant in unused.grants:
        yield f"unused entry: {grant.action} in {grant.statement} of {grant.policy}"
