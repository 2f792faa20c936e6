"""Binding the principals that a policy names to the unique ids they have now (rules P-5, P-8).

Must not live here: the walk over the policy, how a bound policy is read again (`bindings`).
"""

from __future__ import annotations

from sqlalchemy import and_, select

from iam_guard.model.arn import Arn
from iam_guard.policy.document import Document
from iam_guard.store.bindings import bound, invalid_principal
from iam_guard.store.identifiers import fold
from iam_guard.store.schema import accounts, identities
from iam_guard.store.seed.run import Run


def bind(run: Run, document: Document, line: int) -> dict[str, str]:
    """Give the unique id of each user and role named as principal; one that a hosted account lacks is a problem."""
    found = bound(document, lambda arn: _is_hosted(run, arn), lambda text, arn: _id_of(run, text, arn))
    for text in found.unknown:
        run.problems.add(line, invalid_principal(text))
    return found.bindings


def _is_hosted(run: Run, arn: Arn) -> bool:
    if arn.partition != run.store.partition:
        return False
    if arn.account in run.account_ids:
        return True
    return run.connection.execute(select(accounts.c.id).where(accounts.c.id == arn.account)).first() is not None


def _id_of(run: Run, text: str, arn: Arn) -> str | None:
    return run.arns.get(text) if arn.account in run.account_ids else _stored(run, arn)


def _stored(run: Run, arn: Arn) -> str | None:
    kind, _, rest = arn.resource.partition("/")
    name = rest.rsplit("/", 1)[-1]
    this = and_(identities.c.account == arn.account, identities.c.kind == kind, identities.c.folded == fold(name))
    row = run.connection.execute(select(identities).where(this)).mappings().one_or_none()
    if row is None or run.arn(row["account"], kind, row["path"], row["name"]) != str(arn):
        return None
    return str(row["id"])
