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

`RULES` has a row for each table that answers are read from; `cache_regions.names_of` returns the names of an answer.
INVARIANT: an answer stays the same after a change that invalidates none of its names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from sqlalchemy import Table

from iam_guard.store import schema
from iam_guard.store.change_feed import EVERYTHING
from iam_guard.store.identifiers import PREFIXES

MAX_NAMES: Final = 256
"""Maximum names of a change; one with more invalidates all callers of an account, or everything, instead."""

UNCACHED_TABLES: Final = frozenset(
    """
    access_key_uses access_previews analyzers archive_rules changes credential_reports findings
    former_passwords instance_profiles issuer_keys jobs login_profiles meta mfa_devices passkeys password_policies
    password_resets pending_sign_ins recovery_codes resource_statements saml_private_keys
    saml_providers server_certificates service_uses sign_in_failures sign_on_providers signing_certificates ssh_keys
    tool_sessions used_tokens
""".split()
)
"""No cached answer is read from these, except for the epoch; `resource_statements` change with `resources`."""

Names: TypeAlias = Iterable[str]
_Row: TypeAlias = Mapping[str, Any]


class _Records(Protocol):
    """The rows of the transaction (`records.Records`)."""

    def all(self, table: Table, *, columns: Sequence[str] = (), **where: Any) -> Sequence[Any]: ...

    def one(self, table: Table, **where: Any) -> Any: ...

    def count(self, table: Table, **where: Any) -> int: ...


_Rule: TypeAlias = Callable[[_Records, _Row], Names]


def trust_names(account: str | None) -> tuple[str, ...]:
    """Return the names that the admission of a federated session to a role of the account depends on."""
    return f"trust:{account}", "trust", f"account:{account}"


# --- the names that a change invalidates ---------------------------------------------------------------------------


class _Change(NamedTuple):
    """What changes of a table's rows invalidate. The rules get `columns` of a row; without a rule, nothing is invalid.

    An update that sets no column in `read` invalidates nothing. None: all columns are read.
    """

    columns: tuple[str, ...]
    insert: _Rule | None
    update: _Rule | None
    delete: _Rule | None
    read: frozenset[str] | None = None


def _everything(_records: _Records, _row: _Row) -> Names:
    return (EVERYTHING,)


def _certificates(_records: _Records, _row: _Row) -> Names:
    return ("certificates",)


def _credential(_records: _Records, row: _Row) -> Names:
    return (f"credential:{row['id']}",)


def _changed_key(records: _Records, row: _Row) -> Names:
    """Name also the sessions of federated users that depend on the key, and are found again once it is active."""
    yield f"credential:{row['id']}"
    for session in records.all(schema.federated_sessions, columns=("digest",), parent_key_id=row["id"]):
        yield f"session:{session['digest']}"


def _session(_records: _Records, row: _Row) -> Names:
    return (f"session:{row['digest']}",)


def _resource(_records: _Records, row: _Row) -> Names:
    return (f"resource:{row['arn']}",)


def _placed_account(_records: _Records, row: _Row) -> Names:
    return (f"account:{row['account']}",)


def _account(_records: _Records, row: _Row) -> Names:
    return f"account:{row['id']}", f"callers:{row['id']}"


def _salts(_records: _Records, row: _Row) -> Names:
    return (f"salts:{row['account']}",)


def _trust_of_account(_records: _Records, row: _Row) -> Names:
    return (f"trust:{row['account']}",)


def _member(_records: _Records, row: _Row) -> Names:
    return (f"identity:{row['user_id']}",)


def _holder(records: _Records, row: _Row) -> Names:
    return _users_of(records, row["identity_id"])


def _new_identity(_records: _Records, row: _Row) -> Names:
    yield f"newcomers:{row['account']}"
    if row["kind"] == "role":
        yield f"trust:{row['account']}"


def _identity(records: _Records, row: _Row) -> Names:
    """Name an identity or a group's members; a role's tags and trust policy also affect who can assume it."""
    yield from _users_of(records, row["id"])
    if row["kind"] == "role":
        yield f"trust:{row['account']}"


def _renamed_identity(records: _Records, row: _Row) -> Names:
    """Name also what names identities by their present ARNs: resource-based policies and trust policies (P-5)."""
    yield from _identity(records, row)
    yield from (f"newcomers:{row['account']}", f"bound:{row['id']}", "bound", "trust")


def _new_policy(_records: _Records, row: _Row) -> Names:
    return (f"policy:{row['id']}",)


def _policy(records: _Records, row: _Row) -> Names:
    return _policy_by_id(records, row["id"])


def _version(records: _Records, row: _Row) -> Names:
    return _policy_by_id(records, row["policy_id"])


def _policy_by_id(records: _Records, id: str) -> Iterator[str]:
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


def _control_policy(records: _Records, row: _Row) -> Names:
    for attached in records.all(schema.control_attachments, columns=("target",), policy_id=row["id"]):
        yield from _accounts_below(records, attached["target"])


def _control_target(records: _Records, row: _Row) -> Names:
    return _accounts_below(records, row["target"])


def _unit(records: _Records, row: _Row) -> Names:
    return _accounts_below(records, row["id"])


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


_NAME_COLUMNS: Final = frozenset({"account", "kind", "path", "name", "folded"})

RULES: Final[Mapping[str, _Change]] = {
    "accounts": _Change(("id",), _account, _account, _everything, frozenset({"id", "state"})),
    "deleted_accounts": _Change(("id",), _account, _account, _account),
    "identities": _Change(
        ("id", "account", "kind"),
        _new_identity,
        _identity,
        _renamed_identity,
        _NAME_COLUMNS
        | {"id", "boundary_id", "tags", "trust_text", "trust_digest", "trust_bindings", "max_session_duration"},
    ),
    "memberships": _Change(("user_id",), _member, _member, _member),
    "inline_policies": _Change(("identity_id",), _holder, _holder, _holder),
    "attachments": _Change(("identity_id",), _holder, _holder, _holder),
    "policies": _Change(
        ("id",), _new_policy, _policy, _policy, frozenset({"id", "account", "path", "name", "default_version"})
    ),
    # a new version becomes the default when the policy's row changes
    "policy_versions": _Change(("policy_id",), None, _version, _version),
    "access_keys": _Change(("id",), _credential, _changed_key, _credential),
    "api_keys": _Change(
        ("id",),
        _credential,
        _credential,
        _credential,
        frozenset({"id", "identity_id", "digest", "status", "expires", "session_policy"}),
    ),
    "service_credentials": _Change(("id",), _credential, _credential, _credential),
    "browser_sessions": _Change(
        ("digest",),
        _session,
        _session,
        _session,
        frozenset({"digest", "id", "account", "user_id", "created", "expires", "mfa_at", "methods", "task"})
        | {"role_id", "role_session", "role_label", "role_since", "role_until"},
    ),
    "federated_sessions": _Change(
        ("digest",),
        _session,
        _session,
        _session,
        frozenset({"digest", "id", "account", "role_id", "parent_key_id", "terms", "method", "provider", "expires"}),
    ),
    "resources": _Change(("arn",), _resource, _resource, _resource),
    # separate rows place accounts into units
    "organizations": _Change(
        ("id",),
        None,
        _everything,
        _everything,
        frozenset({"id", "management_account", "scps_enabled", "rcps_enabled"}),
    ),
    "units": _Change(("id",), None, _unit, _unit, frozenset({"id", "organization_id", "parent_id"})),
    "placements": _Change(("account",), _placed_account, _placed_account, _placed_account),
    "control_policies": _Change(
        ("id",),
        None,
        _control_policy,
        _control_policy,
        frozenset({"id", "organization_id", "type", "name", "text", "digest"}),
    ),
    "control_attachments": _Change(("target",), _control_target, _control_target, _control_target),
    "oidc_providers": _Change(("account",), _trust_of_account, _trust_of_account, _trust_of_account),
    "trust_anchors": _Change((), _certificates, _certificates, _certificates),
    "revocation_lists": _Change((), _certificates, _certificates, _certificates),
    "certificate_profiles": _Change((), _certificates, _certificates, _certificates),
    # a salt is never changed, and a new one is in no cached answer
    "pseudonym_salts": _Change(("account",), None, _salts, _salts),
}
"""Table -> what its changes invalidate."""


class Invalidation:
    """Collects the names that the changes of one transaction invalidate.

    Call its methods before the change, while the old rows can be read.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()

    def add_insert(self, records: _Records, table: Table, values: _Row) -> None:
        """Add the names that a new row invalidates."""
        rule = self._rule_of(table)
        if rule is not None and rule.insert is not None:
            self.add_names(rule.insert(records, values))

    def add_update(self, records: _Records, table: Table, values: _Row, where: _Row) -> None:
        """Add the names that an update of these rows to these values invalidates."""
        rule = self._rule_of(table)
        if rule is None or rule.update is None or (rule.read is not None and rule.read.isdisjoint(values)):
            return
        moved = {column: values[column] for column in rule.columns if column in values}
        is_renamed = table is schema.identities and not _NAME_COLUMNS.isdisjoint(values)
        update = _renamed_identity if is_renamed else rule.update
        for row in self._rows(records, table, rule, where):
            self.add_names(update(records, row))
            if moved:
                self.add_names(update(records, {**row, **moved}))

    def add_delete(self, records: _Records, table: Table, where: _Row) -> None:
        """Add the names that the deletion of these rows invalidates."""
        rule = self._rule_of(table)
        if rule is not None and rule.delete is not None:
            for row in self._rows(records, table, rule, where):
                self.add_names(rule.delete(records, row))

    def _rule_of(self, table: Table) -> _Change | None:
        """Return what changes of a table invalidate; None if no answer depends on it, or all are invalid already."""
        if EVERYTHING in self.names or table.name in UNCACHED_TABLES:
            return None
        return RULES.get(table.name, _UNKNOWN)

    @staticmethod
    def _rows(records: _Records, table: Table, rule: _Change, where: _Row) -> Iterable[Any]:
        """Return the changed rows, without a query if the conditions contain all columns that the rules need."""
        if all(isinstance(where.get(column), str) for column in rule.columns):
            return (where,)
        return records.all(table, columns=rule.columns, **where)

    def add_names(self, names: Names) -> None:
        """Add names; more than `MAX_NAMES` become that of everything."""
        self.names.update(names)
        if len(self.names) > MAX_NAMES or EVERYTHING in self.names:
            self.names = {EVERYTHING}


_UNKNOWN: Final = _Change((), _everything, _everything, _everything)
"""A table without a rule: any change invalidates everything."""
