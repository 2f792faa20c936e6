"""Which rows of the store are a person's, and what of them the person may see.

`PERSONAL_TABLES` has a row for each table with rows that belong to one user or root user: they are exported and erased.
`NAMING_TABLES` may name a person in rows of others. `IMPERSONAL_TABLES` says why nothing of the other tables is a
person's. A new table must be in one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from iam_guard.store import schema
from iam_guard.store.identifiers import root_arn
from iam_guard.store.records import Records, Row, Table, row_arn


@dataclass(frozen=True, slots=True)
class StoredPerson:
    """A user, or the root user of an account, for whom `id` and `name` are None."""

    account: str
    arn: str
    id: str | None = None
    name: str | None = None

    @classmethod
    def of_user(cls, partition: str, row: Row) -> StoredPerson:
        """Return the user in a row of `identities`."""
        return cls(row["account"], row_arn(partition, row), row["id"], row["name"])

    @classmethod
    def of_root(cls, partition: str, account: str) -> StoredPerson:
        return cls(account, root_arn(partition, account))


Wheres: TypeAlias = list[dict[str, Any]]
"""Conditions of rows; those of any of them."""


class PersonalTable(NamedTuple):
    """How the rows of a person are found, and the columns that are exported: never a secret, nor a digest of one."""

    table: Table
    wheres: Callable[[Records, StoredPerson], Wheres]
    columns: tuple[str, ...]


def _of_person(_records: Records, person: StoredPerson) -> Wheres:
    return [{"account": person.account, "user_id": person.id}]


def _of_user(_records: Records, person: StoredPerson) -> Wheres:
    return [] if person.id is None else [{"user_id": person.id}]


def _of_identity(_records: Records, person: StoredPerson) -> Wheres:
    return [] if person.id is None else [{"identity_id": person.id}]


def _itself(_records: Records, person: StoredPerson) -> Wheres:
    return [] if person.id is None else [{"id": person.id, "kind": "user"}]


def _devices(_records: Records, person: StoredPerson) -> Wheres:
    owner = {"for_root": True} if person.id is None else {"user_id": person.id}
    return [{"account": person.account, **owner}]


def _passwords(_records: Records, person: StoredPerson) -> Wheres:
    return [{"owner": person.id or person.account}]


def _of_keys(column: str) -> Callable[[Records, StoredPerson], Wheres]:
    return lambda records, person: [
        {column: records.values_of(schema.access_keys, "id", account=person.account, user_id=person.id)}
    ]


def _tools(_records: Records, person: StoredPerson) -> Wheres:
    """Find the sessions of the person, and those of roles that it approved."""
    approved = {"person_account": person.account, "person_id": person.id}
    return [approved] if person.id is None else [approved, {"identity_id": person.id}]


_ROWS: Final = (
    PersonalTable(schema.access_key_uses, _of_keys("access_key_id"), ("access_key_id", "at", "region", "service")),
    PersonalTable(
        schema.federated_sessions,
        _of_keys("parent_key_id"),
        ("id", "userid", "created", "seen", "expires", "method", "address", "user_agent"),
    ),
    PersonalTable(schema.access_keys, _of_person, ("id", "status", "created")),
    PersonalTable(
        schema.api_keys, _of_identity, ("id", "status", "created", "expires", "used", "replaces", "session_policy")
    ),
    PersonalTable(schema.former_passwords, _passwords, ("number",)),
    PersonalTable(schema.login_profiles, _of_person, ("created", "changed", "used", "reset_required")),
    PersonalTable(schema.mfa_devices, _devices, ("serial", "path", "name", "created", "enabled", "tags")),
    PersonalTable(
        schema.passkeys, _of_person, ("serial", "name", "created", "used", "transports", "is_discoverable", "is_synced")
    ),
    PersonalTable(schema.recovery_codes, _of_person, ("created", "used")),
    PersonalTable(schema.password_resets, _of_person, ("created", "expires", "made_by")),
    PersonalTable(
        schema.browser_sessions,
        _of_person,
        (
            *("id", "created", "seen", "expires", "mfa_at", "methods", "task", "address", "user_agent"),
            *("role_id", "role_session", "role_label", "role_since", "role_until"),
        ),
    ),
    PersonalTable(
        schema.tool_sessions,
        _tools,
        (
            *("id", "owner", "client_id", "region", "redirect_uri", "approved_by", "user_agent"),
            *("created", "expires", "used", "revoked", "reason"),
        ),
    ),
    PersonalTable(schema.signing_certificates, _of_person, ("id", "body", "fingerprint", "status", "created")),
    PersonalTable(schema.ssh_keys, _of_user, ("id", "body", "fingerprint", "status", "created")),
    PersonalTable(
        schema.service_credentials,
        _of_user,
        ("id", "service", "user_name", "alias", "status", "created", "expires", "used", "session_policy"),
    ),
    PersonalTable(schema.service_uses, _of_identity, ("service", "action", "at", "region")),
    PersonalTable(schema.memberships, _of_user, ("group_id",)),
    PersonalTable(schema.inline_policies, _of_identity, ("name",)),
    PersonalTable(schema.attachments, _of_identity, ("policy_id",)),
    PersonalTable(
        schema.identities,
        _itself,
        ("id", "path", "name", "description", "boundary_id", "tags", "created", "max_signin_session_duration"),
    ),
)
PERSONAL_TABLES: Final[Mapping[str, PersonalTable]] = {row.table.name: row for row in _ROWS}
"""The tables with a person's own rows, in the order in which they are erased."""

NAMING_TABLES: Final[Mapping[str, str]] = {
    "access_previews": "previews and their findings that name the person are exported and erased",
    "accounts": "the root user's e-mail address is exported; it is erased with the account",
    "archive_rules": "rules that name the person are reported, since they decide about findings of others, too",
    "certificate_profiles": "session policies that name the person are reported",
    "control_policies": "policies that name the person are reported",
    "credential_reports": "the person's line is exported; the report is erased, and generated anew on request",
    "findings": "findings about the person are exported and erased",
    "jobs": "jobs about the person are exported and erased",
    "policy_versions": "policies that name the person are reported",
    "pseudonym_salts": "those of the person are erased; they mean nothing to it",
    "resources": "resources whose policy names the person are exported; the policy then has the unique id",
    "sign_in_failures": "the person's failures are exported and erased; those of a known browser expire",
}
"""Tables that may name a person in rows of others -> what is done there."""

IMPERSONAL_TABLES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("analyzers", "policies", "units", "organizations", "placements", "control_attachments"), "shared"),
    "changes": "what changed, by unique id, for a limited number of changes",
    "deleted_accounts": "ids of accounts",
    "instance_profiles": "of roles",
    "issuer_keys": "of an account",
    "meta": "the state of the store",
    "oidc_providers": "of an account",
    "password_policies": "of an account",
    "pending_sign_ins": "sealed, and deleted after minutes; no user signs in with a provider",
    "resource_statements": "an index of `resources`, by unique id",
    "revocation_lists": "of an authority",
    "saml_private_keys": "of a provider",
    "saml_providers": "of an account",
    "server_certificates": "of an account",
    "sign_on_providers": "of an account",
    "trust_anchors": "of an account",
    "used_tokens": "digests of tokens, until they expire",
}
"""Tables without anything of a user -> why."""
