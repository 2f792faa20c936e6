"""`iam-guard who-can`: which principals can perform an action on a resource."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click

from iam_guard.analysis.access.access_answers import Access, AccessVerdict
from iam_guard.analysis.access.who_can import who_can
from iam_guard.cli.access_table import CONTEXT, THROUGH_ROLES, Row, access_lines, answer_details, chain, given_context
from iam_guard.cli.kit.commands import ACCOUNT_ID, STORE, Answer, answering
from iam_guard.cli.kit.gc_tuning import relaxed_gc
from iam_guard.cli.kit.progress import progress
from iam_guard.cli.kit.reference_options import APP, REFERENCE, known_references
from iam_guard.cli.kit.terminal import quantity
from iam_guard.policy.grammar import shown
from iam_guard.settings import load_settings
from iam_guard.store.opening import open_store


@click.command()
@click.argument("action")
@click.argument("resource", default="*")
@CONTEXT
@click.option("--resource-account", type=ACCOUNT_ID, help="Set the account that owns the resource if its ARN has none.")
@THROUGH_ROLES
@APP
@REFERENCE
@click.option("--all", "with_denied", is_flag=True, help="Show denied principals, too.")
@STORE
@answering
@relaxed_gc()
def command(
    action: str,
    resource: str,
    context: tuple[str, ...],
    resource_account: str | None,
    through_roles: bool,
    app: str | None,
    reference_files: tuple[Path, ...],
    with_denied: bool,
    store: str,
) -> Answer:
    """List which principals can perform ACTION on RESOURCE (an ARN, `*`, or a pattern), and by which policy.

    Exit code 1 if no principal can. An unknown action of IAM, of STS or of the given services is an error.
    """
    settings, references = load_settings(), known_references(app, reference_files)
    with progress("searching"), closing(open_store(store, settings)) as opened:
        found = who_can(
            *(opened, action, resource),
            context=given_context(context),
            resource_account=resource_account,
            references=references,
            settings=settings,
            through_roles=through_roles,
        )
    listed = [access for access in found if with_denied or access.verdict is not AccessVerdict.DENIED]
    return Answer(
        [access.to_dict() for access in listed],
        [*access_lines([_row(access) for access in listed]), _counts(found)],
        exit_code=0 if any(access.verdict is not AccessVerdict.DENIED for access in found) else 1,
        indent=2,
    )


def _row(access: Access) -> Row:
    details = [*chain(access.principal, access.steps), *answer_details(access.answer)]
    return access.verdict, (shown(access.principal), access.kind), details


def _counts(found: Sequence[Access]) -> str:
    counts = [sum(access.verdict is verdict for access in found) for verdict in AccessVerdict]
    verdicts = ", ".join(f"{count} {verdict.value}" for count, verdict in zip(counts, AccessVerdict, strict=True))
    return f"{quantity(len(found), 'principal')}: {verdicts}"
