"""`iam-guard api-key create`."""

from __future__ import annotations

from typing import TextIO

import click

from iam_guard.cli.api_key.opened_keys import DAYS, created_key, in_days, opened_keys
from iam_guard.cli.kit.commands import STORE, Answer, answering


@click.command()
@click.argument("principal")
@DAYS
@click.option(
    "--session-policy",
    type=click.File("r", encoding="utf-8"),
    help="Limit the key with this session policy (JSON; `-` for standard input).",
)
@STORE
@answering
def command(principal: str, days: float | None, session_policy: TextIO | None, store: str) -> Answer:
    """Create a key for the user or role with the ARN PRINCIPAL; its text is shown only once."""
    policy = None if session_policy is None else session_policy.read()
    with opened_keys(store) as keys:
        return created_key(keys.create(principal, expires=in_days(days), session_policy=policy))
