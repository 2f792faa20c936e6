"""Browser sessions from their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from iam_guard.model.credential import BrowserSession, SwitchedRole
from iam_guard.model.principal import Credential, Issued, Principal
from iam_guard.store.database.records import Records, Row
from iam_guard.store.identifiers import iam_arn, session_arn
from iam_guard.store.schema import identities


def role_principal(partition: str, role: Row | Mapping[str, Any], session: str) -> Principal:
    """Return the session of a stored role, without a credential, as AssumeRole does (P-2, P-13)."""
    return Principal.from_arn(
        session_arn(partition, role["account"], role["name"], session),
        role_arn=iam_arn(partition, role["account"], "role", role["path"], role["name"]),
        userid=f"{role['id']}:{session}",
    )


def role_of_row(records: Records, partition: str, row: Row | Mapping[str, Any]) -> Principal | None:
    """Return the session of the role in a row, without a credential; None without a role that exists."""
    role = None if row["role_id"] is None else records.one(identities, id=row["role_id"], kind="role")
    return None if role is None else role_principal(partition, role, row["role_session"])


def session_of_row(
    row: Row | Mapping[str, Any], owner: Principal, role: Principal | None = None, epoch: int | None = None
) -> BrowserSession:
    """Return the session in a row.

    `owner` is its user or root user, and `role` the session of the role that it has switched to, both without a
    credential. Raises `ValueError` if the row has a role and the argument is missing, or the reverse.
    """
    if (role is None) != (row["role_id"] is None):
        raise ValueError("expected the role of a browser session")
    created, expires = _instant(row["created"]), _instant(row["expires"])
    mfa_at = None if row["mfa_at"] is None else _instant(row["mfa_at"])
    person = replace(owner, credential=Credential("session", row["id"], issued=Issued(created, expires, mfa_at=mfa_at)))
    switched = None if role is None else _switched(row, role)
    return BrowserSession(
        id=row["id"],
        digest=row["digest"],
        principal=person if role is None or switched is None else _in_role(row, role, switched),
        person=person,
        role=switched,
        created=created,
        seen=_instant(row["seen"]),
        expires=expires,
        mfa_at=mfa_at,
        methods=tuple(row["methods"]),
        task=row["task"],
        address=row["address"],
        user_agent=row["user_agent"],
        epoch=epoch,
    )


def _switched(row: Row | Mapping[str, Any], role: Principal) -> SwitchedRole:
    since, until = _instant(row["role_since"]), _instant(row["role_until"])
    return SwitchedRole(role.role_arn or "", role.account or "", row["role_label"], since, until)


def _in_role(row: Row | Mapping[str, Any], role: Principal, switched: SwitchedRole) -> Principal:
    """Return the role session; it was issued when the person switched, and has no MFA keys (S-15)."""
    return replace(role, credential=Credential("session", row["id"], issued=Issued(switched.since, switched.until)))


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
