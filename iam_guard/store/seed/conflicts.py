"""Checks a seed against the store: names, addresses and ids of accounts that are in use or were deleted, and keys,
resources, aliases and certificates that belong to entities outside of the seed.

Names and addresses are unique among accounts. Those that are stored already stay, even if they are equal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Column, ColumnElement, RowMapping

from iam_guard.model.account import AccountState
from iam_guard.store.accounts.account_rows import folded_name
from iam_guard.store.identifiers import fold
from iam_guard.store.schema import (
    access_keys,
    accounts,
    api_keys,
    certificate_profiles,
    deleted_accounts,
    identities,
    resources,
    service_credentials,
    trust_anchors,
)
from iam_guard.store.seed.apply_run import Run


def check_conflicts(run: Run) -> None:
    """Raise `SeedError` for conflicts.

    With a seed that is the complete content of the store, only its own accounts can have equal names.
    """
    _check_accounts(run)
    if not run.whole:
        _check_owners(run)
    run.problems.raise_any()


def _check_accounts(run: Run) -> None:
    declared = run.seed.accounts
    lines = {account.id: account.line for account in declared}
    stored = {row["id"]: row for row in run.rows(accounts.c.id, lines)}
    for row in run.rows(deleted_accounts.c.id, lines):
        run.problems.add(lines[row["id"]], f"the account {row['id']} was deleted, and its id can't be used again")
    for id, row in stored.items():
        if row["state"] == AccountState.DELETING:
            run.problems.add(lines[id], f"the account {id} is being deleted")
    names = {account.id: folded_name(account.name) for account in declared}
    emails = {account.id: account.email.lower() for account in declared if account.email is not None}
    _check_unique(run, "name", accounts.c.folded, names, {id: row["folded"] for id, row in stored.items()})
    addresses = {id: row["email"] or "" for id, row in stored.items()}
    _check_unique(run, "e-mail address", accounts.c.email, emails, addresses)


def _check_unique(
    run: Run, what: str, column: ColumnElement[Any], declared: Mapping[str, str], stored: Mapping[str, str]
) -> None:
    """Report accounts whose new name or address another account has; both are compared in lower case."""
    owners: dict[str, set[str]] = defaultdict(set)
    declared_ids = set(run.account_ids)
    for id, value in declared.items():
        owners[value].add(id)
    new = {id: value for id, value in declared.items() if stored.get(id) != value}
    if not run.whole:
        for row in run.owners(column, set(new.values())):
            if row["id"] not in declared_ids:
                owners[row["value"]].add(row["id"])
    for account in run.seed.accounts:
        others = sorted(owners[new[account.id]] - {account.id}) if account.id in new else ()
        if others:
            run.problems.add(account.line, f"the account {others[0]} has the same {what} `{new[account.id]}`")


def _check_owners(run: Run) -> None:
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
    for row, line in _stored(run, service_credentials.c.id, api):
        run.problems.add(line, f"the API key `{row['id']}` is a service-specific credential")
    arns = {resource.arn: resource.line for account in accounts_of_seed for resource in account.resources}
    for row, line in _stored(run, resources.c.arn, arns):
        if row["account"] not in run.account_ids:
            run.problems.add(line, f"the resource `{row['arn']}` belongs to account {row['account']}")
    aliases = {account.alias: account.line for account in accounts_of_seed if account.alias}
    for row, line in _stored(run, accounts.c.alias, aliases):
        if row["id"] not in run.account_ids:
            run.problems.add(line, f"the alias `{row['alias']}` belongs to account {row['id']}")
    anchors = {anchor.id: anchor.line for account in accounts_of_seed for anchor in account.anchors}
    profiles = {profile.id: profile.line for account in accounts_of_seed for profile in account.profiles}
    for what, column, ids in (
        ("trust anchor", trust_anchors.c.id, anchors),
        ("certificate profile", certificate_profiles.c.id, profiles),
    ):
        for row, line in _stored(run, column, ids):
            if row["account"] not in run.account_ids:
                run.problems.add(line, f"the {what} `{row['id']}` belongs to another account")


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
