"""Applies a seed: one transaction that brings the store to the declared state, and increments the epoch on a change.

An entity in the seed is declared completely; entities that are not in the seed stay, unless `prune` or `whole` is set.
Any problem rolls everything back. Rules T-3, T-9, P-8.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.exc import IntegrityError

from iam_guard.model.saml_metadata import METADATA_VALIDITY
from iam_guard.policy.problems import Problems
from iam_guard.store.accounts.account_rows import folded_name
from iam_guard.store.cache.change_feed import EVERYTHING, record_change
from iam_guard.store.database.engine import lock_epoch, writing
from iam_guard.store.identifiers import PREFIXES, entity_digest, fold
from iam_guard.store.policies.resource_statements import statement_rows
from iam_guard.store.schema import (
    accounts,
    oidc_providers,
    policies,
    resource_statements,
    resources,
    saml_providers,
)
from iam_guard.store.seed.apply_certificates import apply_certificates
from iam_guard.store.seed.apply_identities import apply_identities
from iam_guard.store.seed.apply_organization import apply_organization
from iam_guard.store.seed.apply_policies import apply_policies, delete_policies
from iam_guard.store.seed.apply_run import Run
from iam_guard.store.seed.apply_sign_on import apply_sign_on
from iam_guard.store.seed.conflicts import check_conflicts
from iam_guard.store.seed.row_sync import sync
from iam_guard.store.seed.seed_values import Seed
from iam_guard.store.sql_store import SqlStore

MAX_LETTERS: Final = 8192
"""The maximum number of characters of the changes that one audit record lists."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes by a seed, one line each, such as `created user arn:aws:iam::111122223333:user/alice`."""

    lines: tuple[str, ...]
    epoch: int
    """The epoch afterwards; unchanged if nothing changed."""

    def __bool__(self) -> bool:
        return bool(self.lines)

    def __str__(self) -> str:
        return "\n".join(self.lines) or "no changes"


def apply_seed(store: SqlStore, seed: Seed, *, prune: bool = False, whole: bool = False) -> Changes:
    """Bring the store to the state that the seed declares.

    `prune` deletes what is not in the seed from the accounts in the seed. `whole` treats the seed as the complete
    content: other accounts, AWS managed policies and organizations are deleted too. Raises `SeedError`, and then
    changes nothing.
    """
    with writing(store.engine, patient=True) as connection:
        epoch = lock_epoch(connection)
        problems = Problems(seed.name)
        run = Run(connection, store, seed, prune or whole, whole, int(time.time()), problems)
        apply_run(run)
        if run.lines:
            epoch = record_change(connection, (EVERYTHING,)).after.epoch
        return Changes(tuple(run.lines), epoch)


def apply_run(run: Run) -> None:
    """Apply the seed of a run within its transaction. Raises `SeedError`; then the transaction must be rolled back."""
    try:
        _apply(run)
    except IntegrityError:
        raise run.problems.fatal(1, "the seed conflicts with other content of the store") from None
    run.problems.raise_any()


def _apply(run: Run) -> None:
    check_conflicts(run)
    _accounts(run)
    unused = apply_policies(run)
    apply_identities(run)
    _oidc_providers(run)
    _saml_providers(run)
    apply_sign_on(run)
    apply_certificates(run)
    _resources(run)
    apply_organization(run)
    delete_policies(run, unused)


def _accounts(run: Run) -> None:
    table = accounts
    rows = run.connection.execute(table.select()).mappings().all() if run.whole else None
    existing = rows or run.rows(table.c.id, run.account_ids)
    kept = {} if run.whole else {row["id"]: row["requires_mfa"] for row in existing}
    desired = [
        {
            "id": account.id,
            "name": account.name,
            "folded": folded_name(account.name),
            "email": account.email and account.email.lower(),
            "alias": account.alias,
            "created": run.now,
            "requires_mfa": kept.get(account.id) if account.requires_mfa is None else account.requires_mfa,
        }
        for account in run.seed.accounts
    ]
    delta = sync(run.connection, table, desired, existing)
    deleted_ids = [id for (id,) in delta.deleted]
    sync(run.connection, policies, (), run.rows(policies.c.account, deleted_ids))
    run.record_delta(delta, lambda key: f"account {key}", folded="name", requires_mfa="second factor required")


def _oidc_providers(run: Run) -> None:
    """Apply OIDC providers (G-77, P-1); attributes that a seed can't define, such as thumbprints, stay."""
    existing = run.rows(oidc_providers.c.account, run.account_ids)
    ids = {(row["account"], row["url"]): row["id"] for row in existing}
    desired: dict[str, dict[str, Any]] = {}
    for account in run.seed.accounts:
        for oidc_provider in account.oidc_providers:
            names = f"{account.id}/oidc-provider/{oidc_provider.url}"
            id = ids.get((account.id, oidc_provider.url)) or run.store.ids(PREFIXES["oidc-provider"], names)
            desired[id] = {
                "id": id,
                "account": account.id,
                "url": oidc_provider.url,
                "client_ids": list(oidc_provider.client_ids),
                "thumbprints": [],
                "tags": dict(oidc_provider.tags),
                "created": run.now,
            }
    considered = [row for row in existing if row["id"] in desired or run.prune]
    delta = sync(run.connection, oidc_providers, desired.values(), considered, once=("created", "thumbprints"))
    arns = {row["id"]: run.arn(row["account"], "oidc-provider", "/", row["url"]) for row in existing}
    arns |= {id: run.arn(row["account"], "oidc-provider", "/", row["url"]) for id, row in desired.items()}
    run.record_delta(delta, lambda key: f"OIDC provider {arns[key]}", client_ids="client ids")


def _saml_providers(run: Run) -> None:
    """Apply SAML providers (G-77, P-1); attributes that a seed can't define, such as private keys, stay."""
    existing = run.rows(saml_providers.c.account, run.account_ids)
    stored = {(row["account"], row["folded"]): row for row in existing}
    desired: dict[str, dict[str, Any]] = {}
    for account in run.seed.accounts:
        for provider in account.saml_providers:
            folded = fold(provider.name)
            row = stored.get((account.id, folded))
            is_known = row is not None and row["document"] == provider.document
            names = f"{account.id}/saml-provider/{folded}"
            id = row["id"] if row is not None else run.store.ids(PREFIXES["saml-provider"], names)
            ends = row["valid_until"] if row is not None and is_known else run.now + METADATA_VALIDITY
            desired[id] = {
                "id": id,
                "account": account.id,
                "name": provider.name,
                "folded": folded,
                "document": provider.document,
                "entity_digest": entity_digest(provider.entity_id),
                "valid_until": ends if provider.valid_until is None else provider.valid_until,
                "tags": dict(provider.tags),
                "created": run.now,
            }
    considered = [row for row in existing if row["id"] in desired or run.prune]
    delta = sync(run.connection, saml_providers, desired.values(), considered)
    arns = {row["id"]: run.arn(row["account"], "saml-provider", "/", row["name"]) for row in existing}
    arns |= {id: run.arn(row["account"], "saml-provider", "/", row["name"]) for id, row in desired.items()}
    columns = dict.fromkeys(("document", "entity_digest", "valid_until"), "metadata")
    run.record_delta(delta, lambda key: f"SAML provider {arns[key]}", **columns)


def _resources(run: Run) -> None:
    desired: dict[str, dict[str, Any]] = {}
    for account in run.seed.accounts:
        for resource in account.resources:
            policy = resource.policy
            desired[resource.arn] = {
                "arn": resource.arn,
                "account": account.id,
                "text": policy and policy.text,
                "digest": policy and policy.digest,
                "bindings": {} if policy is None else run.bind(policy, resource.policy_line),
                "listed_digest": policy and policy.digest,
                "tags": dict(resource.tags),
            }
    declared = run.rows(resources.c.arn, desired)
    pruned = run.rows(resources.c.account, run.account_ids if run.prune else ())
    existing = {row["arn"]: row for row in (*declared, *pruned)}
    delta = sync(run.connection, resources, desired.values(), existing.values())
    named = [row for values in desired.values() for row in statement_rows(values)]
    sync(run.connection, resource_statements, named, run.rows(resource_statements.c.arn, desired))
    policy_columns = dict.fromkeys(("text", "digest", "bindings", "listed_digest"), "policy")
    run.record_delta(delta, lambda arn: f"resource {arn}", **policy_columns)


def listed_changes(lines: Sequence[str]) -> dict[str, object]:
    """Return changes for an audit record: at most `MAX_LETTERS` characters one by one, the rest counted."""
    kept: list[str] = []
    remaining = MAX_LETTERS
    for line in lines:
        remaining -= len(line) + 3
        if remaining < 0:
            return {"changes": kept, "omittedChanges": len(lines) - len(kept)}
        kept.append(line)
    return {"changes": kept}
