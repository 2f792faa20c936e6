"""Fills a store with many users by a few statements, to test query plans and measure decisions.

There are as many accounts, roles, policies, resources and keys as users, and a fiftieth as many groups. The rows that
decisions read are the same as from a seed; the keys are not valid.
"""

from __future__ import annotations

from sqlalchemy import text

from iam_guard.store.database.engine import writing
from iam_guard.store.schema import access_keys
from iam_guard.store.sql_store import SqlStore, access_key_context

USERS_OF_AN_ACCOUNT = 1_000
_FIRST_ACCOUNT = 500_000_000_000
_DOCUMENT = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow",%s"Action":"%s","Resource":"*"}]}'
_DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def account_of(number: int) -> str:
    """Return the account of the entities with this number."""
    return str(_FIRST_ACCOUNT + number // USERS_OF_AN_ACCOUNT)


def user_arn(number: int) -> str:
    return f"arn:aws:iam::{account_of(number)}:user/user{number}"


def role_arn(number: int) -> str:
    return f"arn:aws:iam::{account_of(number)}:role/role{number}"


def resource_arn(number: int) -> str:
    """Return the ARN of a resource; its policy names the user of the same number."""
    return f"arn:aws:docs:us-east-1:{account_of(number)}:document/{number}"


def fill(store: SqlStore, users: int) -> None:
    """Insert users and the other entities into an empty store."""
    to_json = "CAST({} AS JSON)" if store.engine.dialect.name == "postgresql" else "{}"
    with writing(store.engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL search_path TO iam_guard"))
            connection.execute(text(_TRUSTED))
        for table, rows in _ROWS:
            rows = rows.replace("<numbers>", _NUMBERS.format(users)).replace("<bindings>", to_json.format(_BINDINGS))
            rows = rows.replace("<account>", _ACCOUNT).replace("<i>", "CAST(i AS VARCHAR)")
            values = {name: value for name, value in _VALUES.items() if f":{name}" in rows}
            connection.execute(text(f"INSERT INTO {table} {rows}"), values)


def analyze(store: SqlStore) -> None:
    """Update the table statistics, as the database's own maintenance does sooner or later."""
    with writing(store.engine) as connection:
        connection.execute(text("ANALYZE"))


def create_access_key(store: SqlStore, user_id: str | None) -> tuple[str, str]:
    """Create a valid access key of a user, or of the root user; return id and secret."""
    id, secret = f"AKIAGOOD{user_id or 'ROOT'}", "a-secret"
    sealed = store.sealer.seal(secret.encode(), access_key_context(id))
    values = {
        "id": id,
        "account": account_of(1),
        "user_id": user_id,
        "sealed": sealed,
        "status": "Active",
        "created": 0,
    }
    with writing(store.engine) as connection:
        connection.execute(access_keys.insert(), values | {"status": "Active"})
    return id, secret


_TRUSTED = (
    "SELECT set_config('session_replication_role', 'replica', true) FROM pg_roles"
    " WHERE rolname = current_user AND rolsuper"
)
"""Turns off the foreign key checks in this transaction, which take most of the time."""
_NUMBERS = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT i FROM n) AS numbers"
_ACCOUNT = f"CAST({_FIRST_ACCOUNT} + i / {USERS_OF_AN_ACCOUNT} AS VARCHAR)"
_BINDINGS = "'{\"arn:aws:iam::' || <account> || '\\:user/user' || <i> || '\":\"AIDA' || <i> || '\"}'"
_VALUES: dict[str, object] = {
    "allow": _DOCUMENT % ("", "docs:Get*"),
    "trust": _DOCUMENT % ('"Principal":"*",', "sts:AssumeRole"),
    "open": _DOCUMENT % ('"Principal":{"AWS":"arn:aws:iam::500000000000:user/user1"},', "docs:Get*"),
    "digest": _DIGEST,
    "nothing": b"",
}


def _identities(prefix: str, kind: str, every: int) -> tuple[str, str]:
    columns = "id, account, kind, path, name, folded, description, boundary_id, tags, trust_text, trust_bindings"
    named = f"'{prefix}' || <i>, <account>, '{kind}', '/', '{kind}' || <i>, '{kind}' || <i>, '', 'ANPA' || <i>"
    rows = f"{named}, '{{\"team\":\"blue\"}}', :trust, '{{}}', 0 FROM <numbers> WHERE i % {every} = 0"
    return f"identities ({columns}, created)", f"SELECT {rows}"


def _memberships(number: int) -> tuple[str, str]:
    """Return the INSERT that adds each user to the group of its fifty, or to a following one."""
    group = f"i - i % 50 + {50 * number}"
    found = f"FROM <numbers> JOIN identities ON identities.id = 'AGPA' || CAST({group} AS VARCHAR)"
    return "memberships (user_id, group_id)", f"SELECT 'AIDA' || <i>, identities.id {found}"


_ROWS = (
    ("accounts (id, name, created)", "VALUES ('999900000000', 'management', 0), ('500000000000', '', 0)"),
    ("accounts (id, name, created)", "SELECT CAST(500000000000 + i AS VARCHAR), '', 0 FROM <numbers>"),
    (
        "organizations (id, management_account, scps_enabled, rcps_enabled)",
        "VALUES ('o-exampleorg', '999900000000', true, true)",
    ),
    (
        "units (id, organization_id, parent_id, name, folded)",
        "VALUES ('r-ab12', 'o-exampleorg', NULL, '', ''), ('ou-ab12-1', 'o-exampleorg', 'r-ab12', 'a', 'a')",
    ),
    ("placements (account, unit_id)", "SELECT id, 'ou-ab12-1' FROM accounts WHERE id < '999900000000'"),
    (
        "control_attachments (policy_id, target, unit_id)",
        "SELECT control_policies.id, units.id, units.id FROM control_policies CROSS JOIN units",
    ),
    (
        "control_attachments (policy_id, target, account)",
        "SELECT control_policies.id, accounts.id, accounts.id FROM control_policies CROSS JOIN accounts",
    ),
    (
        "policies (id, account, path, name, folded, description, default_version, tags, created)",
        "SELECT 'ANPA' || <i>, <account>, '/', 'policy' || <i>, 'policy' || <i>, '', 1, '{}', 0 FROM <numbers>",
    ),
    (
        "policy_versions (policy_id, version, text, digest, created)",
        "SELECT 'ANPA' || <i>, 1, :allow, :digest, 0 FROM <numbers>",
    ),
    _identities("AIDA", "user", 1),
    _identities("AROA", "role", 1),
    _identities("AGPA", "group", 50),
    *(_memberships(number) for number in range(3)),
    (
        "inline_policies (identity_id, folded, name, text, digest)",
        "SELECT id, 'own', 'Own', :allow, :digest FROM identities",
    ),
    ("attachments (identity_id, policy_id)", "SELECT id, boundary_id FROM identities"),
    (
        "attachments (identity_id, policy_id)",
        "SELECT 'AIDA' || <i>, 'ANPA' || CAST(1 + i % 7 AS VARCHAR) FROM <numbers> WHERE i > 7",
    ),
    (
        "access_keys (id, account, user_id, sealed, status, created)",
        "SELECT 'AKIA' || <i>, <account>, 'AIDA' || <i>, :nothing, 'Active', 0 FROM <numbers>",
    ),
    (
        "api_keys (id, identity_id, digest, status, created)",
        "SELECT 'key' || <i>, 'AIDA' || <i>, :nothing, 'Active', 0 FROM <numbers>",
    ),
    (
        "service_credentials (id, account, user_id, service, alias, digest, status, created, session_policy)",
        "SELECT 'ACCA' || <i>, <account>, 'AIDA' || <i>, 'docs', <i>, :digest, 'Active', 0, :allow FROM <numbers>",
    ),
    (
        "login_profiles (owner, account, user_id, digest, reset_required, created, changed)",
        "SELECT 'AIDA' || <i>, <account>, 'AIDA' || <i>, :digest, false, 0, 0 FROM <numbers>",
    ),
    (
        "resources (arn, account, tags, text, digest, bindings)",
        "SELECT 'arn:aws:docs:us-east-1:' || <account> || '\\:document/' || <i>, <account>, '{}', :open,"
        " :digest, <bindings> FROM <numbers>",
    ),
)
