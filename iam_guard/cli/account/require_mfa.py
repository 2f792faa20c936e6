"""`iam-guard account require-mfa`."""

from __future__ import annotations

import click

from iam_guard.authn.people.passwords.stored_passwords import require_second_factor
from iam_guard.cli.kit.change_recording import recorded_store
from iam_guard.cli.kit.commands import ACCOUNT, STORE, Answer, answering
from iam_guard.model.result import CallResult
from iam_guard.store.identifiers import root_arn


@click.command()
@ACCOUNT
@click.option("--off", "is_off", is_flag=True, help="Stop requiring it.")
@STORE
@answering
def command(account: str, is_off: bool, store: str) -> Answer:
    """Require a second factor of all people of ACCOUNT (12 digits) who sign in with a password.

    A person without one adds it at its next sign-in. Sessions that have begun go on; `iam-guard account sessions`
    ends them.
    """
    with recorded_store(store) as (opened, change_recorder):
        change_recorder.prepare()
        with opened.write_transaction() as records:
            require_second_factor(records, account, is_required=not is_off)
        parameters = {"accountId": account, "required": not is_off}
        change_recorder.record(
            CallResult(
                action="iam-guard:RequireMFA",
                resource=root_arn(opened.partition, account),
                owner=account,
                parameters=parameters,
                epoch=records.epoch,
            )
        )
    return Answer(parameters, f"the account {account} {'requires no' if is_off else 'requires a'} second factor")
