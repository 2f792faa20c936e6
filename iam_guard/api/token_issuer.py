"""An account as an issuer of identity tokens: its keys, one ring for each algorithm, kept sealed (rule S-37).

Keys are made when the account enables outbound federation, and go when it disables it. A ring turns by itself: when its
newest key is `TURNS_AFTER` old, a token that is asked for has a new one made; that is published at once and signs
`PUBLISHED_BEFORE` later, so that whoever fetches the keys now and then has it before the first token. The one before
stays published until the next turn, long after its last token has expired. INVARIANT: what is published is read from
the seal, which is bound to issuer and key: who can write to the database alone cannot have a key published. Must not
live here: JOSE (`token_signing`), what tokens say (`sts/identity_tokens`), how the keys are fetched
(`api/protocol/issuer_endpoints`).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple

from iam_guard.api.call import ServiceCall
from iam_guard.errors import NotSupported, StoreUnavailable
from iam_guard.store.records import Records, Row
from iam_guard.store.schema import accounts, issuer_keys
from iam_guard.store.sealing import Sealer

ALGORITHMS: Final = ("RS256", "ES384")
TURNS_AFTER: Final = 90 * 86400
PUBLISHED_BEFORE: Final = 86400

_NO_ADDRESS = (
    "Outbound web identity federation is not supported here: nobody has set issuer_url, the address at which services "
    "elsewhere find this API."
)
_NO_LIBRARY = "Outbound web identity federation is not supported here: the extra iam-guard[oidc] is not installed."


class IdentityTokenKey(NamedTuple):
    """A key that signs. Its private half never shows."""

    id: str
    algorithm: str
    private: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"IdentityTokenKey({self.id!r}, {self.algorithm!r})"


def issuer_of(call: ServiceCall) -> str | None:
    """Return the account's issuer; None where it has not enabled outbound federation."""
    account = call.records.one(accounts, id=call.account)
    return None if account is None else account["outbound_issuer"]


def open_issuer(call: ServiceCall) -> str:
    """Make the account an issuer, each time another one. Raises `NotSupported` where nobody could verify its tokens."""
    if not call.issuer_url:
        raise NotSupported(_NO_ADDRESS)
    issuer = f"{call.issuer_url}/{uuid.uuid4()}"
    call.records.update(accounts, {"outbound_issuer": issuer}, id=call.account)
    for algorithm in ALGORITHMS:
        _add_key(call, issuer, algorithm)
    return issuer


def close_issuer(call: ServiceCall) -> None:
    """Take its keys from the account: no token that it signed is good any more."""
    call.records.update(accounts, {"outbound_issuer": None}, id=call.account)
    call.records.delete(issuer_keys, account=call.account)


def key_that_signs(call: ServiceCall, issuer: str, algorithm: str) -> IdentityTokenKey:
    """Return the key that signs now, and turn the ring where it is time."""
    rows = _ring(call.records, issuer, algorithm)
    if not rows or rows[-1]["created"] <= call.now - TURNS_AFTER:
        for row in rows[:-1]:
            call.records.delete(issuer_keys, id=row["id"])
        _add_key(call, issuer, algorithm)
        rows = _ring(call.records, issuer, algorithm)
    known = [row for row in rows if row["created"] <= call.now - PUBLISHED_BEFORE]
    row = known[-1] if known else rows[0]
    return IdentityTokenKey(row["id"], algorithm, _opened(call.sealer, row)["private"])


def published_keys(records: Records, sealer: Sealer, issuer: str) -> list[Mapping[str, Any]]:
    """Return the public halves of an issuer's keys as JSON Web Keys; none where there is no such issuer."""
    rows = records.all(issuer_keys, order=("created", "id"), issuer=issuer)
    return [_opened(sealer, row)["public"] for row in rows]


def token_library() -> Any:
    """Return `signed_tokens`. Raises `NotSupported` where the extra is missing."""
    try:
        return import_module("iam_guard.api.token_signing")
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "joserfc":
            raise
        raise NotSupported(_NO_LIBRARY) from None


def _ring(records: Records, issuer: str, algorithm: str) -> Sequence[Row]:
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


def _opened(sealer: Sealer, row: Row) -> Mapping[str, Any]:
    opened = sealer.open(row["sealed"], _context(row["issuer"], row["algorithm"], row["id"]))
    try:
        halves: Mapping[str, Any] = json.loads(opened)
    except ValueError:
        raise StoreUnavailable("a key of an issuer cannot be read") from None
    return halves


def _context(issuer: str, algorithm: str, key_id: str) -> bytes:
    return f"issuer-key:{issuer}:{algorithm}:{key_id}".encode()
