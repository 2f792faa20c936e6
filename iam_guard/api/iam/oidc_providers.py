"""OIDC providers: issuers whose tokens roles may trust (rules G-77, P-1).

A provider is its URL: `https://`, a host, perhaps a path, as the `iss` of its tokens; two URLs that differ in a letter
are two providers. Nothing is asked of the issuer: where a call gives no thumbprints, AWS fetches one, and here the list
stays empty.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.context_providers import changed_propagation, described_propagation, new_propagation
from iam_guard.api.iam.entities import require_room
from iam_guard.api.iam.output_members import tag_list
from iam_guard.api.iam.tags import given_tags
from iam_guard.errors import EntityAlreadyExists, InvalidInput, LimitExceeded, NoSuchEntity, ValidationError
from iam_guard.model.request import Resource
from iam_guard.store.identifiers import PROVIDER_URL
from iam_guard.store.quotas import QUOTAS
from iam_guard.store.records import Row
from iam_guard.store.schema import oidc_providers

_SCHEME = "https://"
_THUMBPRINT = re.compile(r"[0-9a-fA-F]{40}")


def _arn(call: ServiceCall, provider: str) -> str:
    return f"arn:{call.partition}:iam::{call.account}:oidc-provider/{provider}"


def new_oidc_provider(call: ServiceCall, given: Input) -> Resource:
    """Return the provider that is to be made."""
    return Resource(_arn(call, given["Url"].removeprefix(_SCHEME)), account=call.account)


def find_oidc_provider(call: ServiceCall, arn: str) -> Row | None:
    """Find a provider of the account by its ARN, letter by letter."""
    start = _arn(call, "")
    if not arn.startswith(start):
        return None
    return call.records.one(oidc_providers, account=call.account, url=arn.removeprefix(start))


def the_oidc_provider(call: ServiceCall, given: Input) -> Row:
    """Find the provider that a call names. Raises `NoSuchEntity`."""
    arn: str = given["OpenIDConnectProviderArn"]
    row = find_oidc_provider(call, arn)
    if row is None:
        raise NoSuchEntity(f"OpenIDConnect Provider not found for arn {arn}")
    return row


def create_oidc_provider(call: ServiceCall, given: Input) -> Output:
    """Make a provider."""
    url = PROVIDER_URL.fullmatch(given["Url"])
    if url is None:
        raise ValidationError("Invalid Open ID Connect Provider URL", place="Url")
    if call.records.one(oidc_providers, account=call.account, url=url["provider"]) is not None:
        raise EntityAlreadyExists(f"Provider with url {given['Url']} already exists.")
    held = call.records.count(oidc_providers, account=call.account)
    require_room("OIDC providers per account", "OpenIdConnectProvidersPerAccount", held)
    tags = given_tags(given)
    call.records.insert(
        oidc_providers,
        id=call.new_id("oidc-provider", url["provider"]),
        account=call.account,
        url=url["provider"],
        client_ids=_client_ids(given.get("ClientIDList", ())),
        thumbprints=_thumbprints(given.get("ThumbprintList", ())),
        tags=tags,
        created=call.now,
        **new_propagation(given),
    )
    return {"OpenIDConnectProviderArn": _arn(call, url["provider"]), "Tags": tag_list(tags) or None}


def get_oidc_provider(call: ServiceCall, given: Input) -> Output:
    """Describe a provider."""
    row = the_oidc_provider(call, given)
    return {
        "Url": row["url"],
        "ClientIDList": row["client_ids"],
        "ThumbprintList": row["thumbprints"],
        "CreateDate": instant(row["created"]),
        "Tags": tag_list(row["tags"]),
        **described_propagation(row),
    }


def list_oidc_providers(call: ServiceCall, given: Input) -> Output:
    """List the providers."""
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


def update_oidc_provider(call: ServiceCall, given: Input) -> None:
    """Change what a provider propagates, or to which Identity Center it belongs."""
    row = the_oidc_provider(call, given)
    _update(call, row, changed_propagation(row, given))


def update_thumbprints(call: ServiceCall, given: Input) -> None:
    """Replace the thumbprints of a provider's certificates."""
    _update(call, the_oidc_provider(call, given), {"thumbprints": _thumbprints(given["ThumbprintList"])})


def add_client_id(call: ServiceCall, given: Input) -> None:
    """Let tokens for one more audience in; one that is there already is no error."""
    row = the_oidc_provider(call, given)
    _update(call, row, {"client_ids": _client_ids([*row["client_ids"], given["ClientID"]])})


def remove_client_id(call: ServiceCall, given: Input) -> None:
    """Keep tokens for an audience out; one that is not there is no error."""
    row = the_oidc_provider(call, given)
    _update(call, row, {"client_ids": [each for each in row["client_ids"] if each != given["ClientID"]]})


def delete_oidc_provider(call: ServiceCall, given: Input) -> None:
    """Delete a provider; roles that trust it stay as they are."""
    arn: str = given["OpenIDConnectProviderArn"]
    row = find_oidc_provider(call, arn)
    if row is None:
        raise NoSuchEntity(f"OpenId connect Provider {arn} cannot be found.")
    call.records.delete(oidc_providers, id=row["id"])


def _update(call: ServiceCall, row: Row, values: dict[str, Any]) -> None:
    if values:
        call.records.update(oidc_providers, values, id=row["id"])


def _client_ids(given: Sequence[str]) -> list[str]:
    ids = list(dict.fromkeys(given))
    if not all(each.isprintable() for each in ids):
        raise InvalidInput("A client id must be printable.", place="ClientIDList")
    most = QUOTAS["client ids per OIDC provider"]
    if len(ids) > most:
        raise LimitExceeded(f"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {most}")
    return ids


def _thumbprints(given: Sequence[str]) -> list[str]:
    if len(given) > QUOTAS["thumbprints per OIDC provider"]:
        raise InvalidInput("Thumbprint list must contain fewer than 5 entries.", place="ThumbprintList")
    for each in given:
        if not _THUMBPRINT.fullmatch(each):
            raise InvalidInput(f"Invalid thumbprint: {each}", place="ThumbprintList")
    return list(given)
