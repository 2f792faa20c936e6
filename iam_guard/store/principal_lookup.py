"""Binds the principals of a policy that is saved to stored users and roles of any account (rules P-5, P-8)."""

from __future__ import annotations

from functools import cache

from iam_guard.errors import PolicyError
from iam_guard.policy.document import Document
from iam_guard.store.identifiers import fold, iam_arn
from iam_guard.store.principal_bindings import FoundIdentity, bound, invalid_principal
from iam_guard.store.records import Records
from iam_guard.store.schema import accounts, identities


def bind_principals(records: Records, document: Document, *, partition: str) -> dict[str, str]:
    """Return the unique ids of the users and roles that a policy names by an ARN, also by one of a session.

    Raises `PolicyError`, with AWS's message, for a principal that is not in this store.
    """

    @cache
    def has_account(account: str) -> bool:
        return records.one(accounts, id=account) is not None

    def find(account: str, kind: str, name: str) -> FoundIdentity | None:
        row = records.one(identities, account=account, kind=kind, folded=fold(name))
        return None if row is None else (row["id"], iam_arn(partition, row["account"], kind, row["path"], row["name"]))

    found = bound(document, partition, has_account=has_account, find=find)
    if found.unknown:
        sentence = invalid_principal(found.unknown[0])
        raise PolicyError(sentence, sentence=sentence, finding="INVALID_PRINCIPAL_FORMAT")
    return found.bindings
