"""The stored trust in client certificates, and the import of revocation lists.

The latest list of each certificate authority is kept, under the trust anchor that it was imported for.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from cryptography.x509 import AuthorityKeyIdentifier, CertificateRevocationList
from sqlalchemy import Connection

from iam_guard.errors import InvalidInput, NoSuchEntity
from iam_guard.model.certificates import extension_of, read_revocation_list
from iam_guard.model.result import CallResult, ChangeRecorder, NoChangeRecorder
from iam_guard.model.trust import ALL_NAMES, CertificateProfile, CertificateTrust, TrustAnchor
from iam_guard.store.database import queries
from iam_guard.store.database.records import Row
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import revocation_lists, trust_anchors


def read_trust(connection: Connection) -> CertificateTrust:
    """Return all enabled trust anchors and profiles, from one transaction."""
    epoch = int(connection.execute(queries.epoch()).scalar_one())
    anchors = connection.execute(queries.anchors()).mappings().all()
    profiles = connection.execute(queries.profiles()).mappings().all()
    lists: dict[str, list[str]] = defaultdict(list)
    for anchor_id, text in connection.execute(queries.anchors_lists()):
        lists[anchor_id].append(text)
    policy_ids = {id for row in profiles for id in row["policy_ids"]}
    found = connection.execute(queries.default_texts(policy_ids)) if policy_ids else ()
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
    managed = [texts[id] for id in row["policy_ids"] if id in texts]
    inline = [] if row["session_policy"] is None else [row["session_policy"]]
    is_limited = row["session_policy"] is not None or bool(row["policy_ids"])
    mappings = row["mappings"]
    return CertificateProfile(
        row["id"],
        row["account"],
        row["name"],
        tuple(row["roles"]),
        row["seconds"],
        (*inline, *managed) if is_limited else None,
        ALL_NAMES if mappings is None else {field: tuple(names) for field, names in mappings.items()},
        len(managed) == len(row["policy_ids"]),
    )


class RevocationListSummary(NamedTuple):
    anchor: str
    issuer: str
    issued: datetime
    next_update: datetime | None
    revoked: int


class RevocationLists:
    """Manages the revocation lists of a store. Thread-safe."""

    def __init__(self, store: RecordStore, change_recorder: ChangeRecorder | None = None) -> None:
        self._store = store
        self._change_recorder = change_recorder or NoChangeRecorder()

    def put(self, anchor: str, text: str) -> None:
        """Import a list (PEM) for a trust anchor, by its id; replaces an older one of the same authority.

        Raises `NoSuchEntity`; `StoreIsReadOnly`; `InvalidInput` for an unusable list, or one older than the current
        one, so that no revocation is undone by mistake; `RecordUnavailable` if it was imported but not audited.
        """
        self._change_recorder.prepare()
        revocation_list = read_revocation_list(text)
        with self._store.write_transaction() as records:
            trust_anchor = records.one(trust_anchors, id=anchor)
            if trust_anchor is None:
                raise NoSuchEntity(f"The trust anchor {anchor[:64]} cannot be found.")
            key = {"anchor_id": anchor, "authority": authority_of(revocation_list)}
            stored = records.one(revocation_lists, **key)
            if stored is None:
                records.insert(revocation_lists, **key, text=text, created=int(time.time()))
            elif revocation_list.last_update_utc < read_revocation_list(stored["text"]).last_update_utc:
                raise InvalidInput("expected a revocation list that is not older than the current one")
            else:
                records.update(revocation_lists, {"text": text}, **key)
        issuer = revocation_list.issuer.rfc4514_string()
        parameters = {"trustAnchorId": anchor, "issuer": issuer, "revoked": len(revocation_list)}
        owner, epoch = trust_anchor["account"], records.epoch
        self._change_recorder.record(
            CallResult(action="iam-guard:PutRevocationList", owner=owner, parameters=parameters, epoch=epoch)
        )

    def list(self) -> list[RevocationListSummary]:
        """Return the lists by trust anchor and authority."""
        with self._store.read_transaction() as records:
            rows = records.all(revocation_lists, order=("anchor_id", "authority"))
        return [_summary(row) for row in rows]


def authority_of(revocation_list: CertificateRevocationList) -> str:
    """Return the identifier of the authority that issued a list: a hash of its name and key."""
    key = extension_of(revocation_list, AuthorityKeyIdentifier)
    key_id = b"" if key is None else key.key_identifier or b""
    return hashlib.sha256(revocation_list.issuer.public_bytes() + key_id).hexdigest()


def _summary(row: Row) -> RevocationListSummary:
    parsed = read_revocation_list(row["text"])
    issuer = parsed.issuer.rfc4514_string()
    return RevocationListSummary(row["anchor_id"], issuer, parsed.last_update_utc, parsed.next_update_utc, len(parsed))
