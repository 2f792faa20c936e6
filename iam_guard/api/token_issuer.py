"""An account as an issuer of identity tokens: its sealed signing keys, one series per algorithm (S-37).

Keys are created when the account enables outbound federation, and deleted when it disables it. Rotation: when the
newest key is `ROTATION_SECONDS` old, the next token request creates a new one. It is published at once and signs
`PUBLISH_LEAD_SECONDS` later, so that verifiers that cache the key set have it before its first token. Its predecessor
stays published until the next rotation, long after its last token has expired. INVARIANT: published keys are read from
sealed values, which are bound to issuer and key id, so write access to the database alone can't publish a key.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple

from iam_guard.api.call import ServiceCall
from iam_guard.errors import ConfigurationError, NotSupported, StoreUnavailable
from iam_guard.store.database.records import Records, Row
from iam_guard.store.schema import accounts, issuer_keys, sealing_context
from iam_guard.store.sealing import Sealer

ALGORITHMS: Final = ("RS256", "ES384")
ROTATION_SECONDS: Final = 90 * 86400
PUBLISH_LEAD_SECONDS: Final = 86400

_NO_ISSUER_URL = (
    "Outbound web identity federation is not supported here: the setting issuer_url, the public address of this API, "
    "is not set."
)
_NO_LIBRARY = "Outbound web identity federation is not supported here: the extra `oidc` of iam_guard is not installed."


class IdentityTokenKey(NamedTuple):
    """A signing key. Its representation leaves out the private half."""

    id: str
    algorithm: str
    private: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"IdentityTokenKey({self.id!r}, {self.algorithm!r})"


def issuer_of(call: ServiceCall) -> str | None:
    """Return the account's issuer; None if outbound federation is disabled."""
    issuer: str | None = call.account_value("outbound_issuer")
    return issuer


def enable_issuer(call: ServiceCall) -> str:
    """Create an issuer with a new random name. Raises `NotSupported` if `issuer_url` or the library is missing."""
    if not call.server.issuer_url:
        raise NotSupported(_NO_ISSUER_URL)
    issuer = f"{call.server.issuer_url}/{uuid.uuid4()}"
    call.records.update(accounts, {"outbound_issuer": issuer}, id=call.account)
    for algorithm in ALGORITHMS:
        _add_key(call, issuer, algorithm)
    return issuer


def disable_issuer(call: ServiceCall) -> None:
    """Delete the account's issuer and keys; tokens signed with them become invalid."""
    call.records.update(accounts, {"outbound_issuer": None}, id=call.account)
    call.records.delete(issuer_keys, account=call.account)


def current_signing_key(call: ServiceCall, issuer: str, algorithm: str) -> IdentityTokenKey:
    """Return the current signing key; rotate the keys when due."""
    rows = _key_rows(call.records, issuer, algorithm)
    if not rows or rows[-1]["created"] <= call.now - ROTATION_SECONDS:
        for row in rows[:-1]:
            call.records.delete(issuer_keys, id=row["id"])
        _add_key(call, issuer, algorithm)
        rows = _key_rows(call.records, issuer, algorithm)
    published = [row for row in rows if row["created"] <= call.now - PUBLISH_LEAD_SECONDS]
    row = published[-1] if published else rows[0]
    return IdentityTokenKey(row["id"], algorithm, _unsealed(call.sealer, row)["private"])


def published_keys(records: Records, sealer: Sealer, issuer: str) -> list[Mapping[str, Any]]:
    """Return the public halves of an issuer's keys as JSON Web Keys; empty for an unknown issuer."""
    rows = records.all(issuer_keys, order=("created", "id"), issuer=issuer)
    return [_unsealed(sealer, row)["public"] for row in rows]


def token_library() -> Any:
    """Import `token_signing`. Raises `NotSupported` if the extra is missing."""
    try:
        return import_module("iam_guard.api.token_signing")
    except ConfigurationError:
        raise NotSupported(_NO_LIBRARY) from None


def _key_rows(records: Records, issuer: str, algorithm: str) -> Sequence[Row]:
    return records.all(issuer_keys, order=("created", "id"), issuer=issuer, algorithm=algorithm)


def _add_key(call: ServiceCall, issuer: str, algorithm: str) -> None:
    pair = token_library().new_key_pair(algorithm)
    content = json.dumps({"private": pair.private, "public": pair.public}).encode()
    call.records.insert(
        issuer_keys,
        id=pair.id,
        account=call.account,
        issuer=issuer,
        algorithm=algorithm,
        sealed=call.sealer.seal(content, _context(issuer, algorithm, pair.id)),
        created=call.now,
    )


def _unsealed(sealer: Sealer, row: Row) -> Mapping[str, Any]:
    content = sealer.open(row["sealed"], _context(row["issuer"], row["algorithm"], row["id"]))
    try:
        halves: Mapping[str, Any] = json.loads(content)
    except ValueError:
        raise StoreUnavailable("expected an issuer key in JSON, got something else") from None
    return halves


def _context(issuer: str, algorithm: str, key_id: str) -> bytes:
    return sealing_context(issuer_keys.c.sealed, issuer, algorithm, key_id)
