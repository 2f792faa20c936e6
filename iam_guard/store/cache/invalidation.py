"""Which cached answers a change of rows invalidates (rule T-9).

A name stands for something that answers depend on:

    identity:ID       a user or role, by unique id: its policies, boundary and tags, and those of its groups
    callers:ACCOUNT   all users, roles and root of an account
    newcomers:ACCOUNT users and roles that do not exist, or not with that ARN
    account:ACCOUNT   an account: its organization path, SCPs and RCPs
    resource:ARN      a resource: its owner, tags and policy
    bound:ID          the present ARN of a user or role in the resource-based policies that name it, by unique id;
                      `bound`: that of any
    credential:ID     an access key or API key
    newkeys           access keys and API keys that do not exist
    session:DIGEST    a browser session
    trust:ACCOUNT     the trust policies of an account's roles, and its OIDC providers; `trust`: those of all accounts
    certificates      trust anchors, revocation lists and profiles
    salts:ACCOUNT     the salts of pseudonyms of an account
    policy:ID         a managed policy, by unique id
    *                 everything

Each table declares the names that its rows invalidate (`schema.facts`); `_SEARCHES` has those that stand for names
that depend on other rows. `cache_regions.names_of` returns the names of an answer.
INVARIANT: an answer stays the same after a change that invalidates none of its names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, Protocol, TypeAlias

from sqlalchemy import Table

from iam_guard.store import schema
from iam_guard.store.cache.change_feed import EVERYTHING
from iam_guard.store.identifiers import PREFIXES
from iam_guard.store.schema.facts import facts_of

MAX_NAMES: Final = 256
"""Maximum names of a change; one with more invalidates all callers of an account, or everything, instead."""

Names: TypeAlias = Iterable[str]
_Row: TypeAlias = Mapping[str, Any]


class _Records(Protocol):
    """The rows of the transaction (`records.Records`)."""

    def all(self, table: Table, *, columns: Sequence[str] = (), **where: Any) -> Sequence[Any]: ...

    def one(self, table: Table, **where: Any) -> Any: ...

    def count(self, table: Table, **where: Any) -> int: ...


def trust_names(account: str | None) -> tuple[str, ...]:
    """Return the names that the admission of a federated session to a role of the account depends on."""
    return f"trust:{account}", "trust", f"account:{account}"


# --- the names that a change invalidates ---------------------------------------------------------------------------


def _holders_of(records: _Records, id: str) -> Iterator[str]:
    """Name everything that the policy is attached to, as a policy or as a boundary."""
    yield f"policy:{id}"
    if records.count(schema.certificate_profiles):
        yield "certificates"
    holders = records.all(schema.attachments, columns=("identity_id",), policy_id=id)
    bounded = records.all(schema.identities, columns=("id",), boundary_id=id)
    if len(holders) + len(bounded) > MAX_NAMES:
        policy = records.one(schema.policies, id=id)
        yield EVERYTHING if policy is None or not policy["account"].isdigit() else f"callers:{policy['account']}"
        return
    for row in holders:
        yield from _users_of(records, row["identity_id"])
    for row in bounded:
        yield f"identity:{row['id']}"


def _users_of(records: _Records, id: str) -> Iterator[str]:
    """Name a user or role, or the members of a group."""
    if not id.startswith(PREFIXES["group"]):
        yield f"identity:{id}"
        return
    members = records.all(schema.memberships, columns=("user_id",), group_id=id)
    if len(members) <= MAX_NAMES:
        yield from (f"identity:{row['user_id']}" for row in members)
    elif (group := records.one(schema.identities, id=id)) is not None:
        yield f"callers:{group['account']}"


def _accounts_below(records: _Records, target: str) -> Iterator[str]:
    """Name an account, or the accounts in a unit and in the units below it."""
    if target.isdigit():
        yield f"account:{target}"
        return
    units = [target]
    while units:
        for row in records.all(schema.placements, columns=("account",), unit_id=units):
            yield f"account:{row['account']}"
        units = [row["id"] for row in records.all(schema.units, columns=("id",), parent_id=units)]


def _accounts_with_policy(records: _Records, id: str) -> Iterator[str]:
    """Name the accounts that a control policy is attached to, or to a unit above them."""
    for attached in records.all(schema.control_attachments, columns=("target",), policy_id=id):
        yield from _accounts_below(records, attached["target"])


def _sessions_of_key(records: _Records, id: str) -> Iterator[str]:
    """Name the sessions of federated users that depend on an access key, and are found again once it is active."""
    for session in records.all(schema.federated_sessions, columns=("digest",), parent_key_id=id):
        yield f"session:{session['digest']}"


def _trust_of_kind(_records: _Records, kind_and_account: str) -> Iterator[str]:
    """Name what a role's tags and trust policy affect: who can assume it."""
    kind, _, account = kind_and_account.partition(":")
    if kind == "role":
        yield f"trust:{account}"


_SEARCHES: Final[Mapping[str, Callable[[_Records, str], Iterator[str]]]] = {
    "users": _users_of,
    "holders": _holders_of,
    "below": _accounts_below,
    "attached": _accounts_with_policy,
    "sessions": _sessions_of_key,
    "trust-of": _trust_of_kind,
}
"""Kind of a declared name -> what returns the names that it stands for."""


def _names(records: _Records, declared: str, row: _Row) -> Iterator[str]:
    """Yield the names that a table declares, for one row."""
    for template in declared.split():
        name = template.format_map(row)
        kind, _, value = name.partition(":")
        search = _SEARCHES.get(kind)
        yield from (name,) if search is None else search(records, value)


@cache
def _columns(names: str) -> tuple[str, ...]:
    """Return the columns in declared names."""
    return tuple(dict.fromkeys(re.findall(r"{(\w+)}", names)))


class Invalidation:
    """Collects the names that the changes of one transaction invalidate.

    Call its methods before the change, while the old rows can be read.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()

    def add_insert(self, records: _Records, table: Table, values: _Row) -> None:
        """Add the names that a new row invalidates."""
        if EVERYTHING not in self.names:
            self.add_names(_names(records, facts_of(table).on_insert, values))

    def add_update(self, records: _Records, table: Table, values: _Row, where: _Row) -> None:
        """Add the names that an update of these rows to these values invalidates."""
        facts = facts_of(table)
        if not values.keys() <= set(facts.unread.split()):
            names = facts.names if values.keys().isdisjoint(facts.key.split()) else facts.on_delete
            self._add(records, table, names, where, {name: values[name] for name in _columns(names) if name in values})

    def add_delete(self, records: _Records, table: Table, where: _Row) -> None:
        """Add the names that the deletion of these rows invalidates."""
        self._add(records, table, facts_of(table).on_delete, where, {})

    def _add(self, records: _Records, table: Table, names: str, where: _Row, moved: _Row) -> None:
        """Add declared names for the changed rows, also with the values that they are moved to.

        There is no query if the conditions contain all columns of the names.
        """
        if not names or EVERYTHING in self.names:
            return
        columns = _columns(names)
        is_known = all(isinstance(where.get(column), str) for column in columns)
        for row in (where,) if is_known else records.all(table, columns=columns, **where):
            self.add_names(_names(records, names, row))
            if moved:
                self.add_names(_names(records, names, {**row, **moved}))

    def add_names(self, names: Names) -> None:
        """Add names; more than `MAX_NAMES` become that of everything."""
        self.names.update(names)
        if len(self.names) > MAX_NAMES or EVERYTHING in self.names:
            self.names = {EVERYTHING}
