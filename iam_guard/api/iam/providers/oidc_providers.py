"""OIDC providers: issuers whose tokens roles can trust (G-77, P-1).

A provider is identified by its exact URL: `https://`, a host, optionally a path, as in the `iss` of its tokens. The
issuer is not contacted: for a call without thumbprints, AWS fetches one, and here the list stays empty.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.entities import require_quota, require_row
from iam_guard.api.iam.output_members import tag_list
from iam_guard.api.iam.policies.context_providers import changed_propagation, describe_propagation, new_propagation
from iam_guard.api.iam.tags import new_tags
from iam_guard.errors import EntityAlreadyExists, InvalidInput, LimitExceeded, NoSuchEntity, ValidationError
from iam_guard.model.request import Resource
from iam_guard.store.database.records import Row
from iam_guard.store.identifiers import PROVIDER_URL
from iam_guard.store.schema import oidc_providers

_THUMBPRINT = re.compile(r"[0-9a-fA-F]{40}")


def _arn(call: ServiceCall, provider: str) -> str:
    return call.arn("oidc-provider", "/", provider)


def new_oidc_provider(call: ServiceCall, parameters: Input) -> Resource:
    return call.resource(_arn(call, parameters["Url"].removeprefix("https://")))


def find_oidc_provider(call: ServiceCall, arn: str) -> Row | None:
    """Find a provider of the account by its exact ARN."""
    start = _arn(call, "")
    if not arn.startswith(start):
        return None
    return call.records.one(oidc_providers, account=call.account, url=arn.removeprefix(start))


def load_oidc_provider(call: ServiceCall, parameters: Input) -> Row:
    """Find the call's provider. Raises `NoSuchEntity`."""
    arn: str = parameters["OpenIDConnectProviderArn"]
    return require_row(find_oidc_provider(call, arn), f"OpenIDConnect Provider not found for arn {arn}")


def create_oidc_provider(call: ServiceCall, parameters: Input) -> Output:
    url = PROVIDER_URL.fullmatch(parameters["Url"])
    if url is None:
        raise ValidationError("Invalid Open ID Connect Provider URL", place="Url")
    if call.records.one(oidc_providers, account=call.account, url=url["provider"]) is not None:
        raise EntityAlreadyExists(f"Provider with url {parameters['Url']} already exists.")
    current = call.records.count(oidc_providers, account=call.account)
    require_quota(call.records, "OIDC providers per account", "OpenIdConnectProvidersPerAccount", current)
    tags = new_tags(parameters)
    call.records.insert(
        oidc_providers,
        id=call.new_id("oidc-provider", url["provider"]),
        account=call.account,
        url=url["provider"],
        client_ids=_client_ids(call, parameters.get("ClientIDList", ())),
        thumbprints=_thumbprints(call, parameters.get("ThumbprintList", ())),
        tags=tags,
        created=call.now,
        **new_propagation(parameters),
    )
    return {"OpenIDConnectProviderArn": _arn(call, url["provider"]), "Tags": tag_list(tags) or None}


def get_oidc_provider(call: ServiceCall, parameters: Input) -> Output:
    row = load_oidc_provider(call, parameters)
    return {
        "Url": row["url"],
        "ClientIDList": row["client_ids"],
        "ThumbprintList": row["thumbprints"],
        "CreateDate": instant(row["created"]),
        "Tags": tag_list(row["tags"]),
        **describe_propagation(row),
    }


def list_oidc_providers(call: ServiceCall, parameters: Input) -> Output:
    rows = call.records.all(oidc_providers, account=call.account, order=("url",))
    return {
        "OpenIDConnectProviderList": [
            {
                "Arn": _arn(call, row["url"]),
                "IsTrustedIdentityPropagationEnabled": row["identity_center"] is not None,
            }
            for row in rows
        ]
    }


def update_oidc_provider(call: ServiceCall, parameters: Input) -> None:
    """Change a provider's propagation settings."""
    row = load_oidc_provider(call, parameters)
    _update(call, row, changed_propagation(row, parameters))


def update_thumbprints(call: ServiceCall, parameters: Input) -> None:
    """Replace the thumbprints of a provider's certificates."""
    row = load_oidc_provider(call, parameters)
    _update(call, row, {"thumbprints": _thumbprints(call, parameters["ThumbprintList"])})


def add_client_id(call: ServiceCall, parameters: Input) -> None:
    """Add an audience; an existing one is no error."""
    row = load_oidc_provider(call, parameters)
    _update(call, row, {"client_ids": _client_ids(call, [*row["client_ids"], parameters["ClientID"]])})


def remove_client_id(call: ServiceCall, parameters: Input) -> None:
    """Remove an audience; a missing one is no error."""
    row = load_oidc_provider(call, parameters)
    client_ids = [client_id for client_id in row["client_ids"] if client_id != parameters["ClientID"]]
    _update(call, row, {"client_ids": client_ids})


def delete_oidc_provider(call: ServiceCall, parameters: Input) -> None:
    """Delete a provider of the account, if it exists; roles that trust it stay unchanged."""
    arn: str = parameters["OpenIDConnectProviderArn"]
    row = find_oidc_provider(call, arn)
    if row is not None:
        call.records.delete(oidc_providers, id=row["id"])
    elif not arn.startswith(_arn(call, "")):
        raise NoSuchEntity(f"OpenId connect Provider {arn} cannot be found.")


def _update(call: ServiceCall, row: Row, values: dict[str, Any]) -> None:
    if values:
        call.records.update(oidc_providers, values, id=row["id"])


def _client_ids(call: ServiceCall, client_ids: Sequence[str]) -> list[str]:
    ids = list(dict.fromkeys(client_ids))
    if not all(id.isprintable() for id in ids):
        raise InvalidInput("A client id must be printable.", place="ClientIDList")
    limit = call.records.quotas["client ids per OIDC provider"]
    if len(ids) > limit:
        raise LimitExceeded(f"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {limit}")
    return ids


def _thumbprints(call: ServiceCall, thumbprints: Sequence[str]) -> list[str]:
    limit = call.records.quotas["thumbprints per OIDC provider"]
    if len(thumbprints) > limit:
        raise InvalidInput(f"Thumbprint list must contain fewer than {limit} entries.", place="ThumbprintList")
    for thumbprint in thumbprints:
        if not _THUMBPRINT.fullmatch(thumbprint):
            raise InvalidInput(f"Invalid thumbprint: {thumbprint}", place="ThumbprintList")
    return list(thumbprints)
