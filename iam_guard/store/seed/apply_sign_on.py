"""Applies the sign-on providers of a seed, after the identity providers that they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping

from iam_guard.errors import InvalidInput
from iam_guard.store.identifiers import fold
from iam_guard.store.people.sign_on_settings import ID_PREFIX, checked_client_id, sign_on_secret_context
from iam_guard.store.schema import oidc_providers, saml_providers, sign_on_providers
from iam_guard.store.seed.apply_run import Run
from iam_guard.store.seed.row_sync import sync
from iam_guard.store.seed.seed_values import SeedSignOnProvider


def apply_sign_on(run: Run) -> None:
    """Create, change and prune sign-on providers."""
    if not any(account.sign_on_providers for account in run.seed.accounts) and not run.prune:
        return
    existing = run.rows(sign_on_providers.c.account, run.account_ids)
    stored = {(row["account"], row["folded"]): row for row in existing}
    owners = {
        **{(row["account"], "oidc", row["url"]): row for row in run.rows(oidc_providers.c.account, run.account_ids)},
        **{(row["account"], "saml", row["name"]): row for row in run.rows(saml_providers.c.account, run.account_ids)},
    }
    desired: dict[str, dict[str, Any]] = {}
    for account in run.seed.accounts:
        for provider in account.sign_on_providers:
            kind, name = ("saml", provider.saml or "") if provider.oidc is None else ("oidc", provider.oidc)
            owner = owners.get((account.id, kind, name))
            if owner is None:
                run.problems.add(provider.line, f"no {kind.upper()} provider `{name[:200]}` in account {account.id}")
                continue
            row = _row(run, account.id, provider, owner, stored.get((account.id, fold(provider.name))))
            desired[row["id"]] = row
    considered = [row for row in existing if row["id"] in desired or run.prune]
    delta = sync(run.connection, sign_on_providers, desired.values(), considered)
    rows: list[Mapping[Any, Any]] = [*existing, *desired.values()]
    names = {row["id"]: f"{row['name']} of account {row['account']}" for row in rows}
    run.record_delta(
        delta,
        lambda key: f"sign-on provider {names[key]}",
        saml_provider_id="provider",
        oidc_provider_id="provider",
        client_id="client id",
        sealed_secret="client secret",  # noqa: S106
        trusts_mfa="trust in MFA",
        has_common_redirect="redirect address",
    )


def _row(
    run: Run, account: str, provider: SeedSignOnProvider, owner: RowMapping, before: RowMapping | None
) -> dict[str, Any]:
    folded = fold(provider.name)
    id = run.store.ids(ID_PREFIX, f"{account}/sign-on-provider/{folded}") if before is None else before["id"]
    sealed = None if before is None else before["sealed_secret"]
    sealed = provider.secret and run.seal(provider.secret, sign_on_secret_context(id), sealed)
    is_oidc = provider.oidc is not None
    if is_oidc:
        try:
            checked_client_id(provider.client_id, owner["client_ids"])
        except InvalidInput as error:
            run.problems.add(provider.line, error.message)
    return {
        "id": id,
        "account": account,
        "name": provider.name,
        "folded": folded,
        "saml_provider_id": None if is_oidc else owner["id"],
        "oidc_provider_id": owner["id"] if is_oidc else None,
        "client_id": provider.client_id,
        "sealed_secret": sealed,
        "scopes": list(provider.scopes),
        "roles": list(provider.roles),
        "trusts_mfa": provider.trusts_mfa,
        "has_common_redirect": _common_redirect(before, owner["id"], provider.client_id),
        "created": run.now,
    }


def _common_redirect(before: RowMapping | None, owner_id: str, client_id: str | None) -> bool | None:
    """Return whether a sign-on provider keeps the common redirect address: not with another client, set up anew."""
    if before is None or (before["oidc_provider_id"], before["client_id"]) != (owner_id, client_id):
        return None
    return bool(before["has_common_redirect"]) or None
