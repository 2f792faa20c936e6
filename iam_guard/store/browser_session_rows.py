"""Browser sessions from their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from iam_guard.model.credential import BrowserSession
from iam_guard.model.principal import Credential, Issued, Principal
from iam_guard.store.records import Row


def session_of_row(row: Row | Mapping[str, Any], owner: Principal, epoch: int | None = None) -> BrowserSession:
    """Return the session in a row; `owner` is its user or root user, without a credential."""
    created, expires = _instant(row["created"]), _instant(row["expires"])
    mfa_at = None if row["mfa_at"] is None else _instant(row["mfa_at"])
    credential = Credential("session", row["id"], issued=Issued(created, expires, mfa_at=mfa_at))
    return BrowserSession(
        row["id"],
        row["digest"],
        replace(owner, credential=credential),
        created,
        _instant(row["seen"]),
        expires,
        mfa_at,
        tuple(row["methods"]),
        row["task"],
        row["address"],
        row["user_agent"],
        epoch,
    )


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
