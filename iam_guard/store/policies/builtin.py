"""The initial rows of every store: the epoch and the AWS managed policies (rules E-12, E-13, G-37)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, RowMapping, select

from iam_guard.store.cache.change_feed import add_row
from iam_guard.store.identifiers import AWS_MANAGED, PREFIXES, derived_id, fold
from iam_guard.store.policies.task_policies import PATH, TASK_POLICIES
from iam_guard.store.schema import control_policies, meta, policies, policy_versions

READ_ONLY_ACTIONS = """
    access-analyzer:Get* access-analyzer:List* access-analyzer:Validate* iam:Generate* iam:Get* iam:List*
    iam:Simulate* identitystore:Describe* identitystore:Get* identitystore:List* organizations:Describe*
    organizations:List* sso:Describe* sso:Get* sso:List* sts:GetAccessKeyInfo sts:GetCallerIdentity
""".split()
"""The read-only actions of the services that this package implements. A service prefix can't be a wildcard (G-61), so
there is no `*:Get*`; an application's own read-only actions need a policy of their own."""


class ManagedPolicy(NamedTuple):
    id: str
    path: str
    description: str
    statements: Sequence[Mapping[str, object]]


MANAGED: Mapping[str, ManagedPolicy] = {
    "AdministratorAccess": ManagedPolicy(
        "ANPAIWMBCKSKIEE64ZLYK",
        "/",
        "Provides full access to AWS services and resources.",
        ({"Effect": "Allow", "Action": "*", "Resource": "*"},),
    ),
    "IAMFullAccess": ManagedPolicy(
        "ANPAI7XKCFMBPM3QQRRVQ",
        "/",
        "Provides full access to IAM.",
        ({"Effect": "Allow", "Action": "iam:*", "Resource": "*"},),
    ),
    "PowerUserAccess": ManagedPolicy(
        "ANPAJYRXTHIB4FOVS3ZXS",
        "/",
        "Provides full access to everything but the management of users, groups, roles and organizations.",
        (
            {"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"},
            {
                "Effect": "Allow",
                "Action": [
                    "iam:CreateServiceLinkedRole",
                    "iam:DeleteServiceLinkedRole",
                    "iam:ListRoles",
                    "organizations:DescribeOrganization",
                ],
                "Resource": "*",
            },
        ),
    ),
    "SignInLocalDevelopmentAccess": ManagedPolicy(
        derived_id(PREFIXES["policy"], "aws:SignInLocalDevelopmentAccess"),
        "/",
        "Provides permissions to use tools through AWS Sign-In, with credentials of people who sign in.",
        (
            {
                "Effect": "Allow",
                "Action": ["signin:AuthorizeOAuth2Access", "signin:CreateOAuth2Token"],
                "Resource": "arn:*:signin:*:*:oauth2/public-client/*",
            },
        ),
    ),
    "ReadOnlyAccess": ManagedPolicy(
        "ANPAILL3HVNFSB6DCOWYQ",
        "/",
        "Provides read-only access to AWS services and resources.",
        ({"Effect": "Allow", "Action": READ_ONLY_ACTIONS, "Resource": "*"},),
    ),
    **{
        name: ManagedPolicy(derived_id(PREFIXES["policy"], f"aws:{name}"), PATH, task.description, task.statements)
        for name, task in TASK_POLICIES.items()
    },
}
"""Name -> policy."""

FULL_ACCESS = {"SCP": "FullAWSAccess", "RCP": "RCPFullAWSAccess"}
"""The control policy of each type that is attached by default."""

_CONTROL: Mapping[str, Mapping[str, object]] = {
    "SCP": {"Effect": "Allow", "Action": "*", "Resource": "*"},
    "RCP": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"},
}


def full_access_id(type: str) -> str:
    return "p-" + FULL_ACCESS[type]


def insert_initial_rows(connection: Connection, *, now: int) -> None:
    """Insert the initial rows into an empty schema."""
    connection.execute(meta.insert().values(id=1, epoch=1, created=now))
    add_row(connection, 1)
    for type, name in FULL_ACCESS.items():
        text, digest = _document((_CONTROL[type],))
        shared = {"id": full_access_id(type), "type": type, "name": name, "folded": fold(name)}
        connection.execute(control_policies.insert().values(**shared, description="", text=text, digest=digest))
    insert_missing_policies(connection, now=now)


def insert_missing_policies(connection: Connection, *, now: int) -> None:
    """Insert the AWS managed policies that an older store does not contain yet, and new versions of those it has."""
    found = connection.execute(select(policies).where(policies.c.account == AWS_MANAGED)).mappings()
    stored = {row["folded"]: row for row in found}
    for name, policy in MANAGED.items():
        text, digest = _document(policy.statements)
        row = stored.get(fold(name))
        if row is None:
            key = {"id": policy.id, "account": AWS_MANAGED, "path": policy.path, "name": name, "folded": fold(name)}
            values = {"description": policy.description, "default_version": 1, "tags": {}, "created": now}
            connection.execute(policies.insert().values(**key, **values))
            _insert_version(connection, policy.id, 1, text, digest, now)
        elif _digest_of(connection, row) != digest:
            version = row["default_version"] + 1
            _insert_version(connection, row["id"], version, text, digest, now)
            changed = policies.update().where(policies.c.id == row["id"]).values(default_version=version)
            connection.execute(changed)


def _insert_version(connection: Connection, id: str, number: int, text: str, digest: str, now: int) -> None:
    version = {"policy_id": id, "version": number, "text": text, "digest": digest, "created": now}
    connection.execute(policy_versions.insert().values(**version))


def _digest_of(connection: Connection, policy: RowMapping) -> str:
    """Return the digest of the default version of a policy."""
    is_default = policy_versions.c.policy_id == policy["id"], policy_versions.c.version == policy["default_version"]
    return str(connection.execute(select(policy_versions.c.digest).where(*is_default)).scalar_one())


def _document(statements: Sequence[Mapping[str, object]]) -> tuple[str, str]:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=2)
    return text, hashlib.sha256(text.encode()).hexdigest()
