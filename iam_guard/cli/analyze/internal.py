"""`iam-guard analyze internal`: the users and roles that can access resources of their account or organization."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import click

from iam_guard.analysis.findings.external_conditions import condition_sentence
from iam_guard.analysis.findings.internal_access import InternalAccess, InternalFinding
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.cli.kit.gc_tuning import relaxed_gc
from iam_guard.cli.kit.progress import progress
from iam_guard.cli.kit.reference_options import APP, REFERENCE, known_references
from iam_guard.cli.kit.terminal import quantity
from iam_guard.policy.grammar import shown
from iam_guard.settings import load_settings
from iam_guard.store.opening import open_store

_KINDS = {"INTRA_ACCOUNT": "account", "INTRA_ORG": "organization"}


@click.command()
@click.argument("resources", nargs=-1, required=True, metavar="RESOURCES")
@click.option(
    "--zone",
    type=click.Choice(["organization", "account"]),
    default="organization",
    show_default=True,
    help="Look for principals in the organization of each resource, or in its account only.",
)
@APP
@REFERENCE
@STORE
@answering
@relaxed_gc()
def command(
    resources: tuple[str, ...],
    zone: str,
    app: str | None,
    reference_files: tuple[Path, ...],
    store: str,
) -> Answer:
    """Find which users and roles of its account and organization can access RESOURCES.

    All types of policies count together. An action with a wildcard stands for actions that no policy names; an
    application or a reference names them all. Exit code 0 if there is no access, 1 if there is any.
    """
    settings, references = load_settings(), known_references(app, reference_files)
    found: list[InternalFinding] = []
    with (
        closing(open_store(store, settings)) as opened,
        progress("analysing", lambda: len(resources), unit="resources") as advance,
    ):
        access = InternalAccess(opened, references=references, settings=settings)
        for resource in dict.fromkeys(resources):
            found.extend(access.findings(resource))
            advance(1)
    if zone == "account":
        found = [finding for finding in found if finding.access_type == "INTRA_ACCOUNT"]
    return Answer({"findings": [finding.to_dict() for finding in found]}, _lines(found), 1 if found else 0, indent=2)


def _lines(found: Sequence[InternalFinding]) -> Iterator[str]:
    for finding in found:
        actions = ", ".join(finding.actions)
        sentence = f"{finding.principal} can call {actions} on {finding.resource}"
        yield f"{_KINDS[finding.access_type]:12}  {shown(sentence + condition_sentence(finding.condition))}"
    count = len({finding.principal for finding in found})
    yield f"{quantity(len(found), 'finding')}, {quantity(count, 'principal')}"
