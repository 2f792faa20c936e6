"""What the store knows of client certificates: read for verifying, and the revocation lists that are imported.

Of each authority the latest list is kept, under the trust anchor that it was imported for.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from cryptography.x509 import AuthorityKeyIdentifier, CertificateRevocationList, ExtensionNotFound
from sqlalchemy import Connection

from iam_guard.errors import InvalidInput, NoSuchEntity
from iam_guard.model.certificates import read_revocation_list
from iam_guard.model.result import CallResult, ChangeRecorder, NoChangeRecorder
from iam_guard.model.trust import ALL_NAMES, CertificateProfile, CertificateTrust, TrustAnchor
from iam_guard.store import queries
from iam_guard.store.protocol import RecordStore
from iam_guard.store.records import Row
from iam_guard.store.schema import (
    revocation_lists,
    trust_anchors,
)


def read_trust(connection: Connection) -> CertificateTrust:
    """Return everything that is enabled, in one transaction."""
    epoch = int(connection.execute(queries.epoch()).scalar_one())
    anchors = connection.execute(queries.anchors()).mappings().all()
    profiles = connection.execute(queries.profiles()).mappings().all()
    lists: dict[str, list[str]] = defaultdict(list)
    for anchor_id, text in connection.execute(queries.anchors_lists()):
        lists[anchor_id].append(text)
    named = {id for row in profiles for id in row["policy_ids"]}
    found = connection.execute(queries.default_texts(named)) if named else ()
    texts = {str(id): str(text) for id, text in found}
    return CertificateTrust(
        epoch,
        tuple(
            TrustAnchor(row["id"], row["account"], row["name"], row["certificates"], tuple(lists[row["id"]]))
            for row in anchors
        ),
        tuple(_profile(row, texts) for row in profiles),
    )


def _profile(row: Row, texts: Mapping[str, str]) -> CertificateProfile:
    named = [texts[id] for id in row["policy_ids"] if id in texts]
    inline = [] if row["session_policy"] is None else [row["session_policy"]]
    is_limited = row["session_policy"] is not None or bool(row["policy_ids"])
    mappings = row["mappings"]
    return CertificateProfile(
        row["id"],
        row["account"],
        row["name"],
        tuple(row["roles"]),
        row["seconds"],
        (*inline, *named) if is_limited else None,
        ALL_NAMES if mappings is None else {field: tuple(names) for field, names in mappings.items()},
        len(named) == len(row["policy_ids"]),
    )


# --- revocation lists ------------------------------------------------------------------------------------------------


class KnownRevocationList(NamedTuple):
    """What is told of a list that was imported."""

    anchor: str
    issuer: str
    issued: datetime
    next_update: datetime | None
    revoked: int


class RevocationLists:
    """The revocation lists that a store holds. Safe to share between threads."""

    def __init__(self, store: RecordStore, change_recorder: ChangeRecorder | None = None) -> None:
        self._store = store
        self._change_recorder = change_recorder or NoChangeRecorder()

    def put(self, anchor: str, text: str) -> None:
        """Import a list (PEM) for a trust anchor, by its id, in the place of an older one of the same authority.

        Raises `NoSuchEntity`, `StoreIsReadOnly`, and `InvalidInput` for a list that cannot be used or is older than the
        present one, for what was revoked once must not come back by mistake; `RecordUnavailable` where it is imported
        and cannot be recorded.
        """
        self._change_recorder.prepare()
        read = read_revocation_list(text)
        with self._store.changing() as records:
            trusted = records.one(trust_anchors, id=anchor)
            if trusted is None:
                raise NoSuchEntity(f"The trust anchor {anchor[:64]} cannot be found.")
            authority = authority_of(read)
            known = records.one(revocation_lists, anchor_id=anchor, authority=authority)
            if known is None:
                values: dict[str, Any] = {"anchor_id": anchor, "authority": authority}
                records.insert(revocation_lists, **values, text=text, created=int(time.time()))
            elif read.last_update_utc < read_revocation_list(known["text"]).last_update_utc:
                raise InvalidInput("expected a revocation list that is not older than the present one")
            else:
                records.update(revocation_lists, {"text": text}, anchor_id=anchor, authority=authority)
        told = {"trustAnchorId": anchor, "issuer": read.issuer.rfc4514_string(), "revoked": len(read)}
        owner, epoch = trusted["account"], records.epoch
        self._change_recorder.record(
            CallResult(action="iam-guard:PutRevocationList", owner=owner, parameters=told, epoch=epoch)
        )

    def list(self) -> list[KnownRevocationList]:
        """Tell the lists of all trust anchors."""
        with self._store.viewing() as records:
            rows = records.all(revocation_lists, order=("anchor_id", "authority"))
        return [_told(row) for row in rows]


def authority_of(read: CertificateRevocationList) -> str:
    """Return what tells the authority of a list from others: its name and its key."""
    try:
        key = read.extensions.get_extension_for_class(AuthorityKeyIdentifier).value.key_identifier or b""
    except ExtensionNotFound:
        key = b""
    return hashlib.sha256(read.issuer.public_bytes() + key).hexdigest()


def _told(row: Row) -> KnownRevocationList:
    read = read_revocation_list(row["text"])
    issuer = read.issuer.rfc4514_string()
    return KnownRevocationList(row["anchor_id"], issuer, read.last_update_utc, read.next_update_utc, len(read))
