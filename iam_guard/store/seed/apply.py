"""Applying a seed: one transaction that makes the store be as declared, and raises the epoch if anything changed.

What the seed names is declared completely; what it doesn't name stays, unless the caller says otherwise. A problem
anywhere leaves everything as it was. Rules T-3, T-9, P-8.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError

from iam_guard.store.engine import bump_epoch, lock_epoch, writing
from iam_guard.store.schema import accounts, policies, resources
from iam_guard.store.seed.apply_certificates import apply_certificates
from iam_guard.store.seed.apply_identities import apply_identities
from iam_guard.store.seed.apply_organization import apply_organization
from iam_guard.store.seed.apply_policies import apply_policies, delete_policies
from iam_guard.store.seed.apply_providers import apply_providers
from iam_guard.store.seed.apply_run import Run
from iam_guard.store.seed.conflicts import refuse_taken
from iam_guard.store.seed.principals import bind
from iam_guard.store.seed.problems import Problems
from iam_guard.store.seed.row_sync import rows_where, sync
from iam_guard.store.seed.seed_values import Seed
from iam_guard.store.sql_store import SqlStore


@dataclass(frozen=True, slots=True)
class Changes:
    """What applying a seed changed, a line each, such as `created user arn:aws:iam::111122223333:user/alice`."""

    lines: tuple[str, ...]
    epoch: int
    """The epoch after it; as before if nothing changed."""

    def __bool__(self) -> bool:
        return bool(self.lines)

    def __str__(self) -> str:
        return "\n".join(self.lines) or "no changes"


def apply_seed(store: SqlStore, seed: Seed, *, prune: bool = False, whole: bool = False) -> Changes:
    """Make the store be as the seed declares.

    `prune` removes what the seed doesn't name in the accounts that it names. `whole` takes the seed for all there is:
    other accounts, AWS managed policies and organizations go away too. Raises `SeedError`, and then changes nothing.
    """
    with writing(store.engine, patient=True) as connection:
        epoch = lock_epoch(connection)
        problems = Problems(seed.name)
        run = Run(connection, store, seed, prune or whole, whole, int(time.time()), problems)
        try:
            _apply(run)
        except IntegrityError:
            raise problems.fatal(1, "the seed conflicts with what is in the store beside it") from None
        problems.raise_any()
        return Changes(tuple(run.lines), bump_epoch(connection) if run.lines else epoch)


def _apply(run: Run) -> None:
    refuse_taken(run)
    _accounts(run)
    unused = apply_policies(run)
    apply_identities(run)
    apply_providers(run)
    apply_certificates(run)
    _resources(run)
    apply_organization(run)
    delete_policies(run, unused)


def _accounts(run: Run) -> None:
    table = accounts
    rows = run.connection.execute(table.select()).mappings().all() if run.whole else None
    existing = list(rows or rows_where(run.connection, table, table.c.id, run.account_ids))
    wanted = [
        {"id": account.id, "name": account.name, "email": account.email, "alias": account.alias, "created": run.now}
        for account in run.seed.accounts
    ]
    delta = sync(run.connection, table, wanted, existing)
    gone = [id for (id,) in delta.deleted]
    sync(run.connection, policies, (), list(rows_where(run.connection, policies, policies.c.account, gone)))
    for verb, keys in (("created", delta.created), ("updated", delta.updated), ("deleted", delta.deleted)):
        for (id,) in keys:
            run.note(verb, f"account {id}", delta.updated.get((id,), ()))


def _resources(run: Run) -> None:
    wanted: dict[str, dict[str, Any]] = {}
    for account in run.seed.accounts:
        for resource in account.resources:
            policy = resource.policy
            wanted[resource.arn] = {
                "arn": resource.arn,
                "account": account.id,
                "tags": dict(resource.tags),
                "text": policy and policy.text,
                "digest": policy and policy.digest,
                "bindings": {} if policy is None else bind(run, policy, resource.policy_line),
            }
    named = rows_where(run.connection, resources, resources.c.arn, wanted)
    beside = rows_where(run.connection, resources, resources.c.account, run.account_ids if run.prune else ())
    existing = {row["arn"]: row for row in (*named, *beside)}
    delta = sync(run.connection, resources, wanted.values(), existing.values())
    for (arn,) in delta.created:
        run.note("created", f"resource {arn}")
    for (arn,), fields in delta.updated.items():
        run.note("updated", f"resource {arn}", tuple(sorted({_PART.get(field, "policy") for field in fields})))
    for (arn,) in delta.deleted:
        run.note("deleted", f"resource {arn}")


_PART = {"tags": "tags", "account": "account"}
