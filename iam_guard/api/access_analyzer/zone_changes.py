"""Which changes of the store concern the users, roles and accounts of a zone of trust (`store.invalidation`).

Changes in other accounts must not cause an analysis: a store has many tenants.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from iam_guard.analysis.findings.shared_resources import ZoneOfTrust
from iam_guard.store.database.records import Records
from iam_guard.store.schema import access_keys, identities

MAX_NAMES: Final = 2_000
"""Names of changes that are looked at one by one; more of them concern every zone."""
_OF_ACCOUNTS: Final = ("callers:", "newcomers:", "trust:")


def concerns_zone(records: Records, zone: ZoneOfTrust, names: Collection[str]) -> bool:
    """Return whether these names are of users, roles, groups or accounts of the zone.

    The name of a policy comes with those of its holders, that of a deleted or renamed principal with its account's.
    """
    if len(names) > MAX_NAMES or concerns_accounts(zone, names):
        return True
    if any(not zone.accounts.isdisjoint(ends(names, entry)) for entry in _OF_ACCOUNTS):
        return True
    ids = sorted(ends(names, "identity:"))
    return bool(ids) and any(
        row["account"] in zone.accounts for row in records.all(identities, columns=("account",), id=ids)
    )


def concerns_accounts(zone: ZoneOfTrust, names: Collection[str]) -> bool:
    """Return whether an account of the zone changed, or joined or left its organization."""
    accounts = set(ends(names, "account:"))
    return bool(accounts) if zone.organization is not None else not zone.accounts.isdisjoint(accounts)


def concerns_keys(records: Records, zone: ZoneOfTrust, names: Collection[str]) -> bool:
    """Return whether an access key of the zone changed, or any was deleted."""
    ids = set(ends(names, "credential:"))
    rows = records.all(access_keys, columns=("id", "account"), id=sorted(ids)) if ids else []
    return len(rows) < len(ids) or any(row["account"] in zone.accounts for row in rows)


def ends(names: Collection[str], beginning: str) -> Iterator[str]:
    """Yield what follows a beginning, in the names that have it."""
    return (name.removeprefix(beginning) for name in names if name.startswith(beginning))
