"""The sign-on providers of an account: identity providers whose people sign in with a browser.

Changing how the people of an identity provider get roles also requires IAM's permission to change that provider.
"""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.operation import Permission
from iam_guard.api.own.call_store import sign_on_providers_of
from iam_guard.authn.people.sign_on.sign_on_providers import SignOnProvider
from iam_guard.model.request import Resource


def add_provider(call: ServiceCall, parameters: Input) -> Output:
    """Add a sign-on provider. Raises `NoSuchEntity`, `EntityAlreadyExists`, `LimitExceeded`, `InvalidInput`."""
    added = sign_on_providers_of(call).add(
        call.account,
        parameters["name"],
        parameters["providerArn"],
        client_id=parameters.get("clientId"),
        client_secret=parameters.get("clientSecret"),
        scopes=parameters.get("scopes", ("openid",)),
        roles=parameters.get("roles", ()),
        trusts_mfa=parameters.get("trustsMfa", False),
    )
    return {"signOnProvider": _described(added)}


def list_providers(call: ServiceCall, parameters: Input) -> Output:
    """Return the sign-on providers of the account, by name."""
    return {"signOnProviders": [_described(provider) for provider in sign_on_providers_of(call).list(call.account)]}


def remove_provider(call: ServiceCall, parameters: Input) -> None:
    """Remove a sign-on provider. Raises `NoSuchEntity`."""
    sign_on_providers_of(call).remove(call.account, parameters["name"])


def provider_resource(call: ServiceCall, parameters: Input) -> Resource:
    """Return the identity provider of a call; everything for one that is not of the account."""
    arn = parameters.get("providerArn")
    if arn is None:
        providers = sign_on_providers_of(call).list(call.account)
        arn = next((each.provider for each in providers if each.name.lower() == parameters["name"].lower()), "*")
    is_own = arn.startswith(f"arn:{call.partition}:iam::{call.account}:")
    return call.resource(arn if is_own else "*")


def authority_of_provider(call: ServiceCall, parameters: Input) -> list[Permission]:
    """Require IAM's permission to change the identity provider."""
    provider = provider_resource(call, parameters)
    is_oidc = ":oidc-provider/" in provider.arn
    action = "iam:AddClientIDToOpenIDConnectProvider" if is_oidc else "iam:UpdateSAMLProvider"
    return [Permission(action, provider, {})]


def _described(provider: SignOnProvider) -> Output:
    is_oidc = provider.kind == "oidc"
    return {
        "name": provider.name,
        "providerArn": provider.provider,
        "issuer": provider.issuer or None,
        "clientId": provider.client_id,
        "scopes": list(provider.scopes) if is_oidc else None,
        "roles": list(provider.roles) if is_oidc else None,
        "trustsMfa": provider.trusts_mfa,
    }
