"""`iam-guard analyze unused`: roles, access keys, passwords and permissions that were not used for some time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from iam_guard.analysis.activity.last_used_feed import latest_uses
from iam_guard.analysis.findings.replacement_policies import RecommendedStep, replacement_policies
from iam_guard.analysis.findings.unused_findings import AGES, DEFAULT_AGE, ExcludedTag, UnusedFinding, unused_findings
from iam_guard.cli.kit.audit_sources import KEYS, NO_VERIFY, keys_for, records_of
from iam_guard.cli.kit.commands import ACCOUNT_ID, STORE, Answer, answering
from iam_guard.cli.kit.gc_tuning import relaxed_gc
from iam_guard.cli.kit.progress import progress
from iam_guard.cli.kit.reference_options import APP, REFERENCE, known_references
from iam_guard.cli.kit.terminal import quantity, terminal_safe
from iam_guard.policy.grammar import shown
from iam_guard.settings import load_settings
from iam_guard.store.credentials.last_used_rows import Use
from iam_guard.store.location import is_seed_file
from iam_guard.store.opening import open_store
from iam_guard.store.protocol import SourceStore

Steps = dict[str, list[RecommendedStep]]


@click.command()
@click.option(
    "--age",
    type=click.IntRange(*AGES),
    default=DEFAULT_AGE,
    show_default=True,
    metavar="DAYS",
    help="Report what was not used in this number of days.",
)
@click.option(
    "--trail",
    "trails",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="FOLDER|FILE",
    help="Add the uses in this trail (a folder, which is verified) or file of records; repeat to combine.",
)
@click.option(
    "--exclude-account", "accounts", type=ACCOUNT_ID, multiple=True, metavar="ID", help="Leave out an account."
)
@click.option("--exclude-tag", "tags", multiple=True, metavar="KEY[=VALUE]", help="Leave out users and roles by tag.")
@click.option("--recommend", is_flag=True, help="Add the policies that allow only what was used; proved to be right.")
@APP
@REFERENCE
@NO_VERIFY
@KEYS
@STORE
@answering
@relaxed_gc()
def command(
    age: int,
    trails: tuple[Path, ...],
    accounts: tuple[str, ...],
    tags: tuple[str, ...],
    recommend: bool,
    app: str | None,
    reference_files: tuple[Path, ...],
    no_verify: bool,
    keys: tuple[str, ...],
    store: str,
) -> Answer:
    """Find roles, access keys, passwords and permissions that were not used for some time.

    Exit code 0 if there are none, 1 if there are any, 2 if a trail could not be read completely.
    """
    settings, references = load_settings(), known_references(app, reference_files)
    broken: list[str] = []
    uses = _uses(trails, broken, keys, store, no_verify=no_verify)
    with closing(open_store(store, settings)) as opened, progress("analysing"):
        found = unused_findings(
            *(opened, None),
            now=int(time.time()),
            age=age,
            excluded_accounts=accounts,
            excluded_tags=[*map(_tag, tags)],
            references=references,
            uses=uses,
        )
        steps = _steps(found, opened, uses) if recommend else {}
    seed = "a seed is new whenever it is read, so nothing in it was unused for long: use a database"
    return Answer(
        _members(found, steps, recommend=recommend),
        _lines(found, steps),
        exit_code=2 if broken else 1 if found else 0,
        warnings=[*([seed] if is_seed_file(store) else []), *map(terminal_safe, broken)],
        indent=2,
    )


def _uses(trails: Sequence[Path], broken: list[str], keys: Sequence[str], store: str, *, no_verify: bool) -> list[Use]:
    if not trails:
        return []
    with records_of(trails, keys_for(trails, keys, store, no_verify=no_verify), broken) as records:
        return latest_uses(records)


def _tag(text: str) -> ExcludedTag:
    key, has_value, value = text.partition("=")
    return key, value if has_value else None


def _steps(found: Sequence[UnusedFinding], store: SourceStore, uses: Sequence[Use]) -> Steps:
    """Return the recommended steps by principal."""
    permissions = [finding for finding in found if finding.kind == "UnusedPermission"]
    steps = {}
    for principal, group in groupby(permissions, key=lambda finding: finding.resource):
        first, *others = group
        steps[principal] = replacement_policies(first, store, *others, uses=uses)
    return steps


def _members(found: Sequence[UnusedFinding], steps: Steps, *, recommend: bool) -> dict[str, Any]:
    members: dict[str, Any] = {"findings": [finding.to_dict() for finding in found]}
    if recommend:
        members["recommendations"] = [
            {"resource": principal, "recommendedSteps": [step.to_dict() for step in listed]}
            for principal, listed in steps.items()
        ]
    return members


def _lines(found: Sequence[UnusedFinding], steps: Steps) -> Iterator[str]:
    for principal, findings in groupby(found, key=lambda finding: finding.resource):
        yield from (shown(_sentence(finding)) for finding in findings)
        for step in steps.get(principal, ()):
            groups = f" of group {' and '.join(step.groups)}" if step.groups else ""
            if step.document is None:
                yield shown(f"  to end it, detach the policy {step.existing_policy}{groups}")
            else:
                yield shown(f"  to end it, replace the policy {step.existing_policy}{groups} with")
                yield from (f"    {shown(line)}" for line in step.document.splitlines())
    yield f"{quantity(len(found), 'finding')}"


def _sentence(finding: UnusedFinding) -> str:
    last = finding.to_dict()["lastAccessed"]
    when = "was never used" if last is None else f"was last used at {last}"
    match finding.kind:
        case "UnusedIAMRole":
            return f"{finding.resource} {when}"
        case "UnusedIAMUserAccessKey":
            return f"{finding.resource}: the access key {finding.access_key_id} {when}"
        case "UnusedIAMUserPassword":
            return f"{finding.resource}: the password {when}"
    if not finding.actions:
        return f"{finding.resource}: the permissions for {finding.service} {when.replace('was', 'were', 1)}"
    return f"{finding.resource}: unused actions {', '.join(name for name, _ in finding.actions)}"
