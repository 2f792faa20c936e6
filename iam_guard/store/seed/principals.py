"""Binds the principals of a seed's policies to their unique ids (rules P-5, P-8)."""

from __future__ import annotations

from functools import partial

from sqlalchemy import and_, select

from iam_guard.policy.document import Document
from iam_guard.store.identifiers import fold
from iam_guard.store.principal_bindings import FoundIdentity, bound, invalid_principal
from iam_guard.store.schema import accounts, identities
from iam_guard.store.seed.apply_run import Run


def bind(run: Run, document: Document, line: int) -> dict[str, str]:
    """Return the unique id of each user and role named as principal; report those that won't exist as problems."""
    found = bound(document, run.store.partition, has_account=partial(_has_account, run), find=partial(_find, run))
    for text in found.unknown:
        run.problems.add(line, invalid_principal(text))
    return found.bindings


def _has_account(run: Run, account: str) -> bool:
    if account in run.account_ids:
        return True
    return run.connection.execute(select(accounts.c.id).where(accounts.c.id == account)).first() is not None


def _find(run: Run, account: str, kind: str, name: str) -> FoundIdentity | None:
    if account in run.account_ids:
        id = run.ids.get((account, kind, fold(name)))
        return None if id is None else (id, run.arns_by_id[id])
    this = and_(identities.c.account == account, identities.c.kind == kind, identities.c.folded == fold(name))
    row = run.connection.execute(select(identities).where(this)).mappings().one_or_none()
    return None if row is None else (str(row["id"]), run.arn(row["account"], kind, row["path"], row["name"]))
