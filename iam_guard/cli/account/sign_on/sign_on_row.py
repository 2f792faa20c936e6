"""What the commands of `iam-guard account sign-on` share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from iam_guard.authn.people.sign_on.saml_requests import ACS_PATH
from iam_guard.authn.people.sign_on.sign_on_providers import SignOnProvider, SignOnProviders, redirect_uri
from iam_guard.cli.kit.change_recording import recorded_store
from iam_guard.settings import Settings


@contextmanager
def opened_providers(store: str) -> Iterator[SignOnProviders]:
    """Yield the sign-on providers of a store; the operator's changes are recorded."""
    with recorded_store(store) as (opened, change_recorder):
        yield SignOnProviders(opened, change_recorder, lambda: datetime.now(UTC))


def provider_row(provider: SignOnProvider, settings: Settings) -> dict[str, Any]:
    return {
        "id": provider.id,
        "name": provider.name,
        "provider": provider.provider,
        "clientId": provider.client_id,
        "hasSecret": provider.client_secret is not None,
        "scopes": list(provider.scopes),
        "roles": list(provider.roles),
        "trustsMfa": provider.trusts_mfa,
        "returnUrl": return_url(settings, provider) if settings.site_url else None,
        "hasCommonRedirect": provider.has_common_redirect,
    }


def return_url(settings: Settings, provider: SignOnProvider) -> str:
    """Return the URL to register, at which an identity provider sends people back."""
    if provider.kind == "saml":
        return settings.site_url + ACS_PATH
    return redirect_uri(settings.site_url, replace(provider, has_common_redirect=False))
