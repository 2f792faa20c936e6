"""Applies the OIDC providers of a seed (rules G-77, P-1).

The attributes of a stored provider that a seed can't define, such as its thumbprints, stay.
"""

from __future__ import annotations

from typing import Any

from iam_guard.store.identifiers import PREFIXES
from iam_guard.store.schema import oidc_providers
from iam_guard.store.seed.apply_run import Run
from iam_guard.store.seed.row_sync import sync


def apply_providers(run: Run) -> None:
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
