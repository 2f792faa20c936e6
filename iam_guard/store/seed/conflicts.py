"""Checks for access keys, API keys, resources and aliases of a seed that belong to entities outside of the seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Column, RowMapping

from iam_guard.store.identifiers import fold
from iam_guard.store.schema import access_keys, accounts, api_keys, identities, resources
from iam_guard.store.seed.apply_run import Run


def check_conflicts(run: Run) -> None:
    """Raise `SeedError` for conflicts; a seed that is the complete content of the store has none."""
    if run.whole:
        return
    accounts_of_seed = run.seed.accounts
    declared = [identity for account in accounts_of_seed for identity in account.identities]
    root_keys = [key for account in accounts_of_seed for key in account.root_keys]
    keys = [*(key for identity in declared for key in identity.access_keys), *root_keys]
    for row, line in _stored(run, access_keys.c.id, {key.id: key.line for key in keys}):
        if not _belongs_to_seed(run, row["user_id"], row["account"]):
            run.problems.add(line, f"the access key `{row['id']}` belongs to another principal")
    api = {key.id: key.line for identity in declared for key in identity.api_keys}
    for row, line in _stored(run, api_keys.c.id, api):
        if not _belongs_to_seed(run, row["identity_id"], ""):
            run.problems.add(line, f"the API key `{row['id']}` belongs to another principal")
    arns = {resource.arn: resource.line for account in accounts_of_seed for resource in account.resources}
    for row, line in _stored(run, resources.c.arn, arns):
        if row["account"] not in run.account_ids:
            run.problems.add(line, f"the resource `{row['arn']}` belongs to account {row['account']}")
    aliases = {account.alias: account.line for account in accounts_of_seed if account.alias}
    for row, line in _stored(run, accounts.c.alias, aliases):
        if row["id"] not in run.account_ids:
            run.problems.add(line, f"the alias `{row['alias']}` belongs to account {row['id']}")
    run.problems.raise_any()


def _stored(run: Run, column: Column[Any], lines: Mapping[str, int]) -> Iterator[tuple[RowMapping, int]]:
    """Yield the stored rows with one of these values, and the line of the seed that has it."""
    for row in run.rows(column, lines):
        yield row, lines[row[column.key]]


def _belongs_to_seed(run: Run, owner: str | None, account: str) -> bool:
    """Return whether the seed declares this owner: an identity, or (None) the root user of the account."""
    if owner is None:
        return account in run.account_ids
    (row,) = run.rows(identities.c.id, [owner])
    if row["account"] not in run.account_ids:
        return False
    declared = next(account for account in run.seed.accounts if account.id == row["account"]).identities
    key = (row["kind"], row["folded"])
    return run.prune or any((identity.kind.value, fold(identity.name)) == key for identity in declared)
