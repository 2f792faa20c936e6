"""What the logout of an OIDC provider finds: the sign-on providers of its client, and rows by its names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import Select, bindparam, select

from iam_guard.store.database.queries import storable
from iam_guard.store.database.records import Records, Row
from iam_guard.store.schema import oidc_providers, sign_on_providers

_OF_CLIENT: Final[Select[Any]] = (
    select(sign_on_providers.c.id, sign_on_providers.c.account)
    .join(oidc_providers, oidc_providers.c.id == sign_on_providers.c.oidc_provider_id)
    .where(
        sign_on_providers.c.client_id.in_(bindparam("client_ids", expanding=True)),
        oidc_providers.c.url == bindparam("url"),
    )
)
_ACCOUNT: Final = _OF_CLIENT.with_only_columns(sign_on_providers.c.account).limit(1)


def sign_ons_of_client(records: Records, issuer: str, client_ids: Collection[str]) -> Sequence[Row]:
    """Return id and account of the sign-on providers of all accounts for an issuer, with one of these clients."""
    return records.connection.execute(_OF_CLIENT, _values(issuer, client_ids)).mappings().all()


def account_with_client(records: Records, issuer: str, client_ids: Collection[str]) -> str | None:
    """Return the account of one of these sign-on providers; None without one."""
    account: str | None = records.connection.execute(_ACCOUNT, _values(issuer, client_ids)).scalar()
    return account


def names_at_provider(issuer: str | None, subject: str | None, session: str | None) -> dict[str, str | None]:
    """Return the columns by which the logout of an identity provider finds rows: digests of its names.

    The names themselves may be too long for an index, and are those of a person.
    """
    names = {"subject_digest": subject, "session_digest": session}
    return {
        column: None if name is None else hashlib.sha256(json.dumps([issuer, column, name]).encode()).hexdigest()
        for column, name in names.items()
    }


def _values(issuer: str, client_ids: Collection[str]) -> dict[str, Any]:
    url = issuer.removeprefix("https://") if issuer.startswith("https://") else ""
    return {"client_ids": [storable(id) for id in client_ids], "url": storable(url)}
