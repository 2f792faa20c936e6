"""`iam-guard analyze external`: the access to resources and roles of callers outside of a zone of trust."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import click

from iam_guard.analysis.findings.external_access import ExternalFinding, external_findings
from iam_guard.analysis.findings.shared_resources import (
    SharedResource,
    ZoneOfTrust,
    read_shared_resources,
    read_zones,
)
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.cli.kit.gc_tuning import relaxed_gc
from iam_guard.cli.kit.progress import progress
from iam_guard.cli.kit.terminal import quantity
from iam_guard.model.arn import is_account_id
from iam_guard.policy.grammar import shown
from iam_guard.settings import load_settings
from iam_guard.store.opening import open_store
from iam_guard.store.protocol import SourceStore


@click.command()
@click.option(
    "--zone",
    default="account",
    show_default=True,
    metavar="account|organization|ACCOUNT_ID",
    help="Trust the account of each resource, its organization, or one account, whose resources are analysed alone.",
)
@STORE
@answering
@relaxed_gc()
def command(zone: str, store: str) -> Answer:
    """Find which resources and roles callers from outside of their account can access.

    Each finding is a sentence, with a request that is allowed, and a verified fix. Exit code 0 if there is none, 1 if
    there is any, 2 if a policy could not be analysed.
    """
    if zone not in ("account", "organization") and not is_account_id(zone):
        message = f"expected `account`, `organization` or an account id of 12 digits, got `{zone}`"
        raise click.BadParameter(message, param_hint="--zone")
    settings = load_settings()
    with closing(open_store(store, settings)) as opened:
        resources, zones = _read(opened, zone)
    with progress("analysing", lambda: len(resources), unit="resources") as advance:
        found = list(_findings(resources, zones, advance))
    exit_code = 2 if any(finding.error for finding in found) else 1 if found else 0
    return Answer({"findings": [finding.to_dict() for finding in found]}, _lines(found), exit_code, indent=2)


def _read(store: SourceStore, zone: str) -> tuple[Sequence[SharedResource], dict[str, ZoneOfTrust]]:
    """Read the resources to analyse, and the zone of trust of each account, from one state of the store."""
    with store.at_once():
        zones = read_zones(store, organization=zone == "organization")
        if is_account_id(zone) and zone not in zones:
            raise click.BadParameter(f"the account `{zone}` is not in the store", param_hint="--zone")
        accounts = [zone] if is_account_id(zone) else None
        return list(read_shared_resources(store, accounts)), zones


def _findings(
    resources: Sequence[SharedResource], zones: dict[str, ZoneOfTrust], advance: Callable[[int], None]
) -> Iterator[ExternalFinding]:
    for resource in resources:
        yield from external_findings(resource, zones[resource.account])
        advance(1)


def _lines(found: Sequence[ExternalFinding]) -> Iterator[str]:
    for finding in found:
        kind, colour = _KINDS[finding.error is not None, finding.is_public]
        yield f"{click.style(f'{kind:8}', fg=colour)}  {shown(finding.sentence)}"
        if finding.fix is not None:
            yield f"          to end it, {shown(finding.fix.sentence)}"
    public = sum(finding.is_public for finding in found)
    yield f"{quantity(len(found), 'finding')}, {public} public"


_KINDS = {
    (False, True): ("public", "red"),
    (False, False): ("external", "yellow"),
    (True, False): ("unknown", "red"),
    (True, True): ("unknown", "red"),
}
