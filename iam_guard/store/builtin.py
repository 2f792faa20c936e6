"""What every store holds from the beginning: the epoch and AWS's own policies.

Must not live here: tables (`schema`), and anything that a user may declare (`seed`). Rules E-12, E-13, G-37.
"""

from __future__ import annotations

import hashlib
import json

from sqlalchemy import Connection

from iam_guard.store.identifiers import AWS_MANAGED, fold
from iam_guard.store.schema import control_policies, meta, policies, policy_versions

MANAGED = {
    # name: (unique id, description, statement)
    "AdministratorAccess": (
        "ANPAIWMBCKSKIEE64ZLYK",
        "Provides full access to AWS services and resources.",
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
    ),
}

FULL_ACCESS = {"SCP": "FullAWSAccess", "RCP": "RCPFullAWSAccess"}
"""The control policy of each type that is attached where nobody says otherwise."""

_CONTROL = {
    "SCP": {"Effect": "Allow", "Action": "*", "Resource": "*"},
    "RCP": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"},
}


def full_access_id(type: str) -> str:
    return "p-" + FULL_ACCESS[type]


def begin(connection: Connection, *, now: int) -> None:
    """Put the first rows into an empty schema."""
    connection.execute(meta.insert().values(id=1, epoch=1, created=now))
    for name, (id, description, statement) in MANAGED.items():
        text, digest = _document(statement)
        shared = {"id": id, "account": AWS_MANAGED, "path": "/", "name": name, "folded": fold(name)}
        policy = policies.insert().values(**shared, description=description, default_version=1, tags={}, created=now)
        connection.execute(policy)
        connection.execute(
            policy_versions.insert().values(policy_id=id, version=1, text=text, digest=digest, created=now)
        )
    for type, name in FULL_ACCESS.items():
        text, digest = _document(_CONTROL[type])
        shared = {"id": full_access_id(type), "type": type, "name": name, "folded": fold(name)}
        connection.execute(control_policies.insert().values(**shared, description="", text=text, digest=digest))


def _document(statement: dict[str, str]) -> tuple[str, str]:
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)
    return text, hashlib.sha256(text.encode()).hexdigest()
