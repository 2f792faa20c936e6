"""Binding the principals of a policy that is saved to the rows there are: whose unique id each ARN is (rules P-5, P-8).

A principal of any account of this store is looked up. Must not live here: the walk over the policy and how it is read
again (`bindings`), seeds, which name principals that they make themselves (`seed/principals`).
"""

from __future__ import annotations

from functools import cache

from iam_guard.errors import PolicyError
from iam_guard.model.arn import Arn
from iam_guard.policy.document import Document
from iam_guard.store.bindings import bound, invalid_principal
from iam_guard.store.identifiers import fold, iam_arn
from iam_guard.store.records import Records
from iam_guard.store.schema import accounts, identities


def bind_principals(records: Records, document: Document, *, partition: str) -> dict[str, str]:
    """Give the unique id of each user and role that a policy names.

    Raises `PolicyError`, with AWS's sentence, for one that an account of this store lacks.
    """

    @cache
    def is_account_of_ours(account: str) -> bool:
        return records.one(accounts, id=account) is not None

    def id_of(text: str, arn: Arn) -> str | None:
        kind, _, rest = arn.resource.partition("/")
        row = records.one(identities, account=arn.account, kind=kind, folded=fold(rest.rpartition("/")[2]))
        is_it = row is not None and iam_arn(partition, row["account"], kind, row["path"], row["name"]) == text
        return row["id"] if row is not None and is_it else None

    found = bound(document, lambda arn: arn.partition == partition and is_account_of_ours(arn.account), id_of)
    if found.unknown:
        sentence = invalid_principal(found.unknown[0])
        raise PolicyError(sentence, sentence=sentence, finding="INVALID_PRINCIPAL_FORMAT")
    return found.bindings
