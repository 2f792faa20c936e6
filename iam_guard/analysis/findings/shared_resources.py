"""The resources of a store whose policy can let callers from outside in, and the zones of trust (rules AA-4, AA-8).

These are the resources with a resource-based policy, and the roles, with their trust policy. All are read in a few
queries, whatever their number.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from iam_guard.errors import InvalidInput
from iam_guard.model.arn import Arn
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.store.database.records import PRESENT, Records, Row, row_arn
from iam_guard.store.identifiers import fold
from iam_guard.store.policies.principal_bindings import current_text
from iam_guard.store.protocol import SourceStore, StoredPolicy
from iam_guard.store.schema import accounts as account_table
from iam_guard.store.schema import identities, placements, resources, units

_BATCH = 400
"""The maximum number of values of one query."""
_ACCOUNTS = 16
"""The number of accounts whose organization policies one query loads."""

Levels: TypeAlias = tuple[tuple[StoredPolicy, ...], ...]
"""Organization policies by level, root first."""


@dataclass(frozen=True, slots=True)
class SharedResource:
    """A resource with a policy that can let others in: `RESOURCE` of a resource, or `TRUST` of a role.

    `account` owns it. `rcps` are the resource control policies that limit access to it; None if there are none.
    """

    arn: str
    account: str
    kind: PolicyType
    policy: StoredPolicy
    rcps: Levels | None = None


@dataclass(frozen=True, slots=True)
class ZoneOfTrust:
    """The callers that are not external: those of some accounts, and of an organization by its id (rule AA-4).

    `accounts` of an organization are all its members.
    """

    accounts: frozenset[str]
    organization: str | None = None


def read_zones(store: SourceStore, *, organization: bool = False) -> dict[str, ZoneOfTrust]:
    """Return the zone of trust of each account of the store: the account, or the organization that it is in."""
    with store.read_transaction() as records:
        zones = {row["id"]: ZoneOfTrust(frozenset({row["id"]})) for row in records.all(account_table, columns=("id",))}
        if not organization:
            return zones
        organizations = {row["id"]: row["organization_id"] for row in records.all(units)}
        members: dict[str, set[str]] = {}
        for row in records.all(placements):
            members.setdefault(organizations[row["unit_id"]], set()).add(row["account"])
    for name, accounts in members.items():
        zone = ZoneOfTrust(frozenset(accounts), name)
        zones.update(dict.fromkeys(accounts, zone))
    return zones


def read_shared_resources(
    store: SourceStore, accounts: Collection[str] | None = None, arns: Collection[str] | None = None
) -> Iterator[SharedResource]:
    """Yield the resources and roles with a policy, by ARN; those of some accounts, or with some ARNs.

    They are of one state of the store. Raises `StoreUnavailable`.
    """
    partition = store.partition
    with store.at_once():
        with store.read_transaction() as records:
            rows = _resource_rows(records, accounts, arns)
            roles = _role_rows(records, partition, accounts, arns)
            arn_of = _arns_by_id(records, partition, [*rows, *roles], is_complete=arns is None)
        levels = _rcps(store, {row["account"] for row in (*rows, *roles)})
    found = [_resource(row, arn_of, levels) for row in rows]
    found += [_role(row, partition, arn_of, levels) for row in roles]
    yield from sorted(found, key=lambda resource: resource.arn)


def _resource(row: Row, arn_of: Callable[[str], str | None], levels: Mapping[str, Levels | None]) -> SharedResource:
    policy = _policy(row["arn"], PolicyType.RESOURCE, row["text"], row["digest"], row["bindings"], arn_of)
    return SharedResource(row["arn"], row["account"], PolicyType.RESOURCE, policy, levels[row["account"]])


def _role(
    row: Row, partition: str, arn_of: Callable[[str], str | None], levels: Mapping[str, Levels | None]
) -> SharedResource:
    arn = row_arn(partition, row)
    policy = _policy(arn, PolicyType.TRUST, row["trust_text"], row["trust_digest"], row["trust_bindings"], arn_of)
    return SharedResource(arn, row["account"], PolicyType.TRUST, policy, levels[row["account"]])


def _policy(
    arn: str,
    kind: PolicyType,
    text: str,
    digest: str,
    bindings: Mapping[str, str] | None,
    arn_of: Callable[[str], str | None],
) -> StoredPolicy:
    """Return a policy with the current ARNs of the principals that it names (rule P-5)."""
    present = current_text(text, bindings or {}, arn_of)
    if present is not text:
        return StoredPolicy.of(arn, kind, None, present)
    return StoredPolicy(PolicyRef(arn, kind, None, digest), text)


# --- rows --------------------------------------------------------------------------------------------------------


def _resource_rows(records: Records, accounts: Collection[str] | None, arns: Collection[str] | None) -> list[Row]:
    columns = ("arn", "account", "text", "digest", "bindings")
    if arns is None and accounts is None:
        return records.all(resources, columns=columns, text=PRESENT)
    name, listed = ("account", accounts) if arns is None else ("arn", arns)
    rows = [
        row
        for batch in _batches(listed or ())
        for row in records.all(resources, columns=columns, text=PRESENT, **{name: batch})
    ]
    return [row for row in rows if accounts is None or row["account"] in accounts]


def _role_rows(
    records: Records, partition: str, accounts: Collection[str] | None, arns: Collection[str] | None
) -> list[Row]:
    columns = ("id", "account", "kind", "path", "name", "trust_text", "trust_digest", "trust_bindings")
    where: dict[str, Any] = {"kind": "role", "trust_text": PRESENT}
    if arns is None and accounts is None:
        return records.all(identities, columns=columns, **where)
    if arns is None:
        batches = _batches(accounts or ())
        return [row for batch in batches for row in records.all(identities, columns=columns, account=batch, **where)]
    names = {fold(name) for arn in arns if (name := _role_name(arn)) is not None}
    rows = [row for batch in _batches(names) for row in records.all(identities, columns=columns, folded=batch, **where)]
    wanted = frozenset(arns)
    of_accounts = [row for row in rows if accounts is None or row["account"] in accounts]
    return [row for row in of_accounts if row_arn(partition, row) in wanted]


def _role_name(arn: str) -> str | None:
    try:
        parsed = Arn.parse(arn)
    except InvalidInput:
        return None
    is_role = parsed.service == "iam" and parsed.resource.startswith("role/")
    return parsed.resource.rpartition("/")[2] if is_role else None


def _arns_by_id(
    records: Records, partition: str, rows: Iterable[Row], *, is_complete: bool
) -> Callable[[str], str | None]:
    """Return the lookup of current ARNs by the unique ids that the policies are bound to."""
    columns = ("id", "account", "kind", "path", "name")
    if is_complete:
        found = records.all(identities, columns=columns)
    else:
        bindings = [row["bindings" if "bindings" in row else "trust_bindings"] or {} for row in rows]
        ids = {id for bound in bindings for id in bound.values()}
        found = [row for batch in _batches(ids) for row in records.all(identities, columns=columns, id=batch)]
    return {row["id"]: row_arn(partition, row) for row in found}.get


def _batches(values: Collection[str]) -> Iterator[list[str]]:
    ordered = sorted(values)
    for start in range(0, len(ordered), _BATCH):
        yield ordered[start : start + _BATCH]


def _rcps(store: SourceStore, accounts: Collection[str]) -> dict[str, Levels | None]:
    """Return the resource control policies of each account (rule E-11)."""
    ordered = sorted(accounts)
    found: dict[str, Levels | None] = {}
    for start in range(0, len(ordered), _ACCOUNTS):
        loaded = store.decision_records(None, ordered[start : start + _ACCOUNTS], None).accounts
        found.update({id: record.rcps for id, record in loaded.items()})
    return found
