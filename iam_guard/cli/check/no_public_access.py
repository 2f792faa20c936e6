"""`iam-guard check no-public-access`."""

from __future__ import annotations

from typing import TextIO

import click

from iam_guard.analysis.checks.policy_checks import check_no_public_access
from iam_guard.cli.check.check_options import CheckAnswer, checking
from iam_guard.cli.check.policy_answer import POLICY, CheckedFile, policy_answer
from iam_guard.model.decision import PolicyType


@click.command()
@click.argument("policy", type=POLICY)
@click.option(
    "--resource-type",
    default="AWS::S3::Bucket",
    show_default=True,
    help="Set the type of resource that has the policy.",
)
@checking
def command(policy: TextIO, resource_type: str) -> CheckAnswer:
    """Prove that POLICY, a resource-based policy, does not allow everyone.

    Exit code 1 if it does, with a request of such a caller; 2 if that could not be decided.
    """
    text = policy.read()
    result = check_no_public_access(text, resource_type)
    return policy_answer(result, CheckedFile(policy.name, text, PolicyType.RESOURCE))
