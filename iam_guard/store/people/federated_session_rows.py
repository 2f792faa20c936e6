"""Browser sessions without a stored person, from their rows, and what such a session depends on.

A role session depends on its role, and a federated user on the access key that requested it (S-51). Both are compared
by unique id, since names can be reused (P-6). INVARIANT: a row without its role or key is no session, never one of the
account's root user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeAlias

from iam_guard.model.credential import BrowserSession, FederatedOrigin, Session
from iam_guard.model.principal import Credential, Issued, PrincipalType
from iam_guard.store.credentials.session_tokens import session_of_array
from iam_guard.store.database.records import Records, Row
from iam_guard.store.identifiers import iam_arn, root_arn, session_arn
from iam_guard.store.schema import access_keys, identities

_Columns: TypeAlias = Mapping[str, Any] | Row


def with_present_owner(records: Records, partition: str, session: Session) -> Session | None:
    """Return a session of a role or federated user, with the present ARN of the federating user (P-10).

    None if what it depends on is gone, inactive or another one, and for every other session.
    """
    caller = session.principal
    if caller.type is PrincipalType.ASSUMED_ROLE:
        role = records.one(identities, id=role_id_of(session), kind="role")
        return session if role is not None and _is_of_role(session, partition, role) else None
    key = None if session.parent_key_id is None else records.one(access_keys, id=session.parent_key_id)
    user = None if key is None or key["user_id"] is None else records.one(identities, id=key["user_id"], kind="user")
    return None if key is None else _of_key(session, partition, key, user)


def role_id_of(session: Session) -> str:
    """Return the unique id of the role of a role session (P-13)."""
    return (session.principal.userid or "").partition(":")[0]


def find_federated_session(records: Records, partition: str, row: _Columns) -> BrowserSession | None:
    """Return the session in a row; None if what it depends on is gone, or if it can't be read."""
    stored = _stored_session(row)
    session = None if stored is None else with_present_owner(records, partition, stored)
    return None if session is None else _browser_session(row, session)


def joined_federated_session(partition: str, row: _Columns) -> BrowserSession | None:
    """Return the session in a row of `queries.federated_session`, as `find_federated_session` does."""
    session = _stored_session(row)
    if session is None:
        return None
    if session.principal.type is PrincipalType.ASSUMED_ROLE:
        role = {name: row[f"role_{name}"] for name in ("id", "account", "path", "name")}
        found = session if role["name"] is not None and _is_of_role(session, partition, role) else None
    else:
        key = {name: row[f"key_{name}"] for name in ("id", "account", "status", "user_id")}
        user = {name: row[f"user_{name}"] for name in ("id", "account", "path", "name")}
        found = _of_key(session, partition, key, None if user["name"] is None else user)
    return None if found is None else _browser_session(row, found, row["epoch"])


def _is_of_role(session: Session, partition: str, role: _Columns) -> bool:
    """Return whether this is the role of a session: the same unique id, account and ARN."""
    caller = session.principal
    return (
        caller.account == role["account"]
        and caller.userid == f"{role['id']}:{caller.name}"
        and caller.role_arn == iam_arn(partition, role["account"], "role", role["path"], role["name"])
        and caller.arn == session_arn(partition, role["account"], role["name"], caller.name)
    )


def _of_key(session: Session, partition: str, key: _Columns, user: _Columns | None) -> Session | None:
    """Return the session of a federated user if this is its parent key, active, and of the same user."""
    caller = session.principal
    if caller.type is not PrincipalType.FEDERATED_USER or key["status"] != "Active":
        return None
    if key["id"] is None or key["id"] != session.parent_key_id or key["account"] != caller.account:
        return None
    if session.parent_user_id is None or session.parent_user_id != (key["user_id"] or key["account"]):
        return None
    if key["user_id"] is None:
        owner = root_arn(partition, key["account"])
    elif user is not None and user["id"] == key["user_id"] and user["account"] == key["account"]:
        owner = iam_arn(partition, user["account"], "user", user["path"], user["name"])
    else:
        return None
    return replace(session, principal=replace(caller, user_arn=owner))


def _stored_session(row: _Columns) -> Session | None:
    """Return the session in `terms`; None if another version wrote them, or if they contradict the other columns."""
    try:
        session = session_of_array(row["terms"])
    except (ValueError, TypeError, AttributeError):
        return None
    caller = session.principal
    is_role = caller.type is PrincipalType.ASSUMED_ROLE
    depends_on = (role_id_of(session) if is_role else None, None if is_role else session.parent_key_id)
    if (row["role_id"], row["parent_key_id"]) != depends_on or caller.account != row["account"]:
        return None
    return session


def _browser_session(row: _Columns, session: Session, epoch: int | None = None) -> BrowserSession:
    """Return the browser session of a role session or federated user.

    `aws:TokenIssueTime` is that of the session, so that revoking older sessions of a role ends it (S-50).
    """
    created, expires = _time(row["created"]), _time(row["expires"])
    is_role = session.principal.type is PrincipalType.ASSUMED_ROLE
    parent = (None, None) if is_role else (session.parent_key_id, session.parent_user_id)
    terms = Issued(
        session.issued, expires, session.transitive_tag_keys, session.source_identity, session.mfa_at, parent[0]
    )
    principal = replace(session.principal, credential=Credential("session", row["id"], issued=terms))
    return BrowserSession(
        id=row["id"],
        digest=row["digest"],
        principal=principal,
        person=principal,
        role=None,
        created=created,
        seen=_time(row["seen"]),
        expires=expires,
        mfa_at=session.mfa_at,
        methods=(row["method"],),
        task=None,
        address=row["address"],
        user_agent=row["user_agent"],
        federation=FederatedOrigin(row["method"], row["provider"], *parent),
        epoch=epoch,
    )


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
