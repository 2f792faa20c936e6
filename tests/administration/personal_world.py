"""A store in which one user has a row in every table, with secrets in all columns that are not exported."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Integer, LargeBinary, Table, select

from iam_guard.store import schema
from iam_guard.store.database.records import Records
from iam_guard.store.schema.facts import facts_of
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore

ACME, UMBRELLA = "111122223333", "444455556666"
ALICE, ALICE2 = f"arn:aws:iam::{ACME}:user/staff/alice", f"arn:aws:iam::{ACME}:user/alice2"
NAMESAKE = f"arn:aws:iam::{UMBRELLA}:user/staff/alice"
DOCUMENT, NOTE = f"arn:aws:docs:us-east-1:{ACME}:document/7", f"arn:aws:docs:us-east-1:{ACME}:note/8"
SECRET = "planted"
_ALLOW = {"Effect": "Allow", "Action": "docs:*", "Resource": "*"}
_numbers = count(1)

SEED: dict[str, Any] = {
    "version": 1,
    "accounts": [
        {
            "id": ACME,
            "name": "acme",
            "root": {"email": "root@acme.example"},
            "policies": [
                {"name": "Own", "document": {"Version": "2012-10-17", "Statement": [_ALLOW]}},
                {
                    "name": "About",
                    "document": {
                        "Version": "2012-10-17",
                        "Statement": [{"Effect": "Deny", "Action": "iam:*", "Resource": [ALICE, f"{ALICE}2"]}],
                    },
                },
            ],
            "groups": [{"name": "staff"}],
            "users": [
                {
                    "name": "alice",
                    "path": "/staff/",
                    "groups": ["staff"],
                    "attached": ["Own"],
                    "boundary": "Own",
                    "tags": {"team": "blue"},
                    "inline": {"Mine": {"Version": "2012-10-17", "Statement": [_ALLOW]}},
                },
                {"name": "alice2", "inline": {"Docs": {"Version": "2012-10-17", "Statement": [_ALLOW]}}},
            ],
            "roles": [
                {
                    "name": "work",
                    "trust": {
                        "Version": "2012-10-17",
                        "Statement": [
                            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": [ALICE, ALICE2]}}
                        ],
                    },
                }
            ],
            "resources": [
                {
                    "arn": DOCUMENT,
                    "policy": {
                        "Version": "2012-10-17",
                        "Statement": [{**_ALLOW, "Resource": DOCUMENT, "Principal": {"AWS": [ALICE, ALICE2]}}],
                    },
                },
                {
                    "arn": NOTE,
                    "policy": {
                        "Version": "2012-10-17",
                        "Statement": [
                            {**_ALLOW, "Resource": NOTE, "Principal": {"AWS": f"arn:aws:iam::{ACME}:root"}},
                            {**_ALLOW, "Effect": "Deny", "Resource": NOTE, "NotPrincipal": {"AWS": ALICE}},
                        ],
                    },
                },
            ],
        },
        {"id": UMBRELLA, "name": "umbrella", "users": [{"name": "alice", "path": "/staff/"}]},
    ],
}


def seeded(store: SqlStore) -> SqlStore:
    apply_seed(store, load_seed_text(json.dumps(SEED)))
    return store


def id_of(store: SqlStore, account: str, name: str) -> str:
    with store.read_transaction() as records:
        row = records.one(schema.identities, account=account, kind="user", folded=name)
    assert row is not None
    return str(row["id"])


def plant(records: Records, account: str, user_id: str | None) -> None:
    """Insert a row of a user, or of the root user, into each table of `PERSONAL_TABLES` that has none yet."""
    owner = {"account": account, "user_id": user_id}
    key_id = f"AKIA{next(_numbers):016}"
    insert_filled(records, schema.access_keys, **owner, id=key_id, status="Active")
    insert_filled(records, schema.access_key_uses, access_key_id=key_id)
    insert_filled(
        records, schema.federated_sessions, account=account, role_id=None, parent_key_id=key_id, terms=[SECRET]
    )
    insert_filled(records, schema.login_profiles, **owner, owner=user_id or account)
    insert_filled(records, schema.former_passwords, owner=user_id or account)
    insert_filled(records, schema.mfa_devices, **owner, for_root=user_id is None)
    for table in (schema.passkeys, schema.recovery_codes, schema.password_resets):
        insert_filled(records, table, **owner)
    insert_filled(records, schema.browser_sessions, **owner, role_id=None)
    insert_filled(records, schema.signing_certificates, **owner, status="Active")
    tool = {"account": account, "terms": [SECRET] * 12}
    insert_filled(records, schema.tool_sessions, **tool, identity_id=user_id, person_account=account, person_id=user_id)
    if user_id is None:
        return
    work = records.all(schema.identities, kind="role", account=account)
    insert_filled(
        records, schema.tool_sessions, **tool, identity_id=work[0]["id"], person_account=account, person_id=user_id
    )
    insert_filled(records, schema.api_keys, identity_id=user_id, status="Active")
    insert_filled(records, schema.ssh_keys, user_id=user_id, status="Active")
    insert_filled(records, schema.service_credentials, **owner, status="Active")
    insert_filled(records, schema.service_uses, identity_id=user_id)


def plant_others(records: Records, store: SqlStore) -> None:
    """Insert rows of others that name alice, and the same about alice2."""
    analyzer = {"account": ACME, "name": "a", "type": "ACCOUNT", "configuration": {}, "tags": {}, "created": 1000}
    records.insert(schema.analyzers, id="analyzer", **analyzer)
    for name, arn in (("alice", ALICE), ("alice2", ALICE2)):
        insert_filled(records, schema.findings, analyzer_id="analyzer", resource=arn, content={"error": None})
        external = {"details": [{"principal": {"AWS": arn}}], "error": None}
        insert_filled(records, schema.findings, analyzer_id="analyzer", resource=DOCUMENT, content=external)
        insert_filled(records, schema.jobs, account=ACME, parameters={"Arn": arn}, result={})
        insert_filled(records, schema.password_resets, account=ACME, user_id=id_of(store, ACME, "alice2"), made_by=arn)
        archive = {"filter": {"resource": {"eq": [arn]}}, "created": 1, "updated": 1}
        records.insert(schema.archive_rules, analyzer_id="analyzer", name=f"rule of {name[-1]}", **archive)
    content = f"user,arn,password_enabled\r\nalice,{ALICE},true\r\nalice2,{ALICE2},false\r\n"
    records.insert(schema.credential_reports, account=ACME, content=content, created=1000)


def insert_filled(records: Records, table: Table, **known: Any) -> None:
    facts = facts_of(table)
    shown = set(table.columns.keys()) if facts.owner is None else set(facts.exported.split())
    values: dict[str, Any] = {}
    for column in table.columns:
        text = f"{'shown' if column.name in shown else SECRET}-{next(_numbers)}"
        match column.type:
            case LargeBinary():
                values[column.name] = text.encode()
            case JSON():
                values[column.name] = {"made": text}
            case Boolean():
                values[column.name] = False
            case BigInteger() | Integer():
                values[column.name] = 2_000_000_000
            case _:
                values[column.name] = text
    records.insert(table, **values | known)


def dumped(store: SqlStore) -> dict[str, list[dict[str, Any]]]:
    """Return all rows of the store by table."""
    with store.engine.connect() as connection:
        return {
            name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for name, table in schema.metadata.tables.items()
            if name not in ("changes", "meta")
        }
