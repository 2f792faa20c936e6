"""Map an OIDC token to condition keys, session tags and source identity (S-24, S-30, K-32, K-34).

A provider is registered by an account and is valid for roles of that account only. All claims are condition keys of the
decision, `<provider>:<claim>`, nested ones with slashes: `<provider>:kubernetes.io/namespace`. The session keeps `aud`,
`sub` and `amr` only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from iam_guard.authn.federation.role_session import FederatedIdentity
from iam_guard.authn.tokens.oidc_token import Token
from iam_guard.errors import ContextError, InvalidIdentityToken, InvalidInput
from iam_guard.model.context import Given, normalise
from iam_guard.model.principal import Principal
from iam_guard.store.database.records import Records
from iam_guard.store.schema import oidc_providers

ACTION: Final = "sts:AssumeRoleWithWebIdentity"

_AWS: Final = "https://aws.amazon.com/"
_TAGS: Final = _AWS + "tags"
_TAG: Final = _TAGS + "/principal_tags/"
_TRANSITIVE: Final = _TAGS + "/transitive_tag_keys"
_SOURCE_IDENTITY: Final = _AWS + "source_identity"
_ROLES: Final = _AWS + "roles"
_SESSION_CLAIMS: Final = ("aud", "sub", "amr")


class Provider(NamedTuple):
    """A registered provider: its ARN, its name in condition keys, and the registered audiences.

    `audiences` are those of them that the application accepts; empty for all of them.
    """

    arn: str
    name: str
    client_ids: tuple[str, ...]
    audiences: tuple[str, ...] = ()


class VerifiedToken(NamedTuple):
    """A verified token, for roles of one account."""

    account: str
    token: Token


def find_provider(records: Records, partition: str, account: str, issuer: str) -> Provider:
    """Return the account's provider for an issuer. Raises `InvalidIdentityToken` without one.

    An issuer whose name could be confused with a service or another provider in condition keys is refused too.
    """
    name = issuer.removeprefix("https://")
    is_name = name != issuer and "." in name.partition("/")[0] and ":" not in name
    row = records.one(oidc_providers, account=account, url=name) if is_name else None
    if row is None:
        raise InvalidIdentityToken(f"No OpenIDConnect provider found in your account for {issuer[:200]}")
    return Provider(f"arn:{partition}:iam::{account}:oidc-provider/{name}", name, tuple(row["client_ids"]))


def audience_of(token: Token, provider: Provider) -> str:
    """Return the token's authorized party, else its first registered audience (K-34).

    If it has both, both must be registered, but the party need not be if the application chooses the audiences: clients
    of an application may register themselves with the issuer. Raises `InvalidIdentityToken`.
    """
    accepted = [
        audience
        for audience in token.audiences
        if audience in provider.client_ids and (not provider.audiences or audience in provider.audiences)
    ]
    party = token.authorized_party
    is_party_registered = party is None or party in provider.client_ids
    if not accepted or not (is_party_registered or provider.audiences):
        raise InvalidIdentityToken("Incorrect token audience")
    return accepted[0] if party is None or not is_party_registered else party


def federated_identity(
    token: Token,
    provider: Provider,
    role_arn: str,
    *,
    session_name: str,
    session_policies: tuple[str, ...] | None = None,
) -> FederatedIdentity:
    """Return the federated identity of a verified token. Raises `InvalidIdentityToken` for invalid session contents."""
    keys = _condition_keys(token, provider)
    session_keys = {key: keys[key] for claim in _SESSION_CLAIMS if (key := f"{provider.name}:{claim}") in keys}
    keys |= {"aws:FederatedProvider": provider.arn, "sts:RoleAuthorizedByIdp": _is_authorized(token, role_arn)}
    tags, transitive = _tags(token.claims)
    userid = f"{provider.arn}:{keys[f'{provider.name}:aud']}:{token.subject}"
    try:
        return FederatedIdentity(
            principal=Principal.federated(provider.arn, userid=userid, keys=session_keys),
            action=ACTION,
            session_name=session_name,
            keys=keys,
            session_keys={**session_keys, "aws:FederatedProvider": provider.arn},
            tags=tags,
            transitive_tag_keys=transitive,
            source_identity=_optional_text(token.claims, _SOURCE_IDENTITY),
            session_policies=session_policies,
        )
    except InvalidInput as error:
        raise InvalidIdentityToken(error.message) from None


# --- condition keys ----------------------------------------------------------------------------------------------


def _condition_keys(token: Token, provider: Provider) -> dict[str, Given]:
    audiences = token.audiences
    claims = {name: value for name, value in flattened(token.claims).items() if not name.startswith(_AWS)}
    claims["aud"] = audience_of(token, provider)
    claims["oaud"] = audiences[0] if len(audiences) == 1 else audiences
    return {f"{provider.name}:{name}": value for name, value in claims.items()}


def flattened(claims: Mapping[str, Any]) -> dict[str, Given]:
    """Return the claims by name: strings, numbers, booleans and lists of these; nested names are joined by slashes.

    Raises `InvalidIdentityToken` for names that differ by letter case only, as condition keys must not (C-4).
    """
    flat: dict[str, Given] = {}
    folded: set[str] = set()
    for name, value in _leaves("", claims):
        if name.lower() in folded:
            raise InvalidIdentityToken("expected claims whose names differ by more than letter case")
        folded.add(name.lower())
        try:
            flat[name] = normalise(value, name)
        except ContextError:
            raise InvalidIdentityToken("a number in the claims of the token is too large") from None
    return flat


def _leaves(prefix: str, members: Mapping[str, Any]) -> Iterable[tuple[str, Given]]:
    for name, value in members.items():
        match value:
            case dict():
                yield from _leaves(f"{prefix}{name}/", value)
            case list() if any(item is None or isinstance(item, (list, dict)) for item in value):
                continue
            case None:
                continue
            case _:
                yield prefix + name, value


def _is_authorized(token: Token, role_arn: str) -> bool:
    """Return whether the token names the role. Raises `InvalidIdentityToken` if it names only other roles (S-30)."""
    claim = token.claims.get(_ROLES)
    if claim is None:
        return False
    roles = [role.strip() for role in claim.split(";")] if isinstance(claim, str) else claim
    if not isinstance(roles, list) or role_arn not in roles:
        raise InvalidIdentityToken("The role is not among those that the token is for")
    return True


# --- session tags ------------------------------------------------------------------------------------------------


def _tags(claims: Mapping[str, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return session tags and transitive keys, from one claim or flattened into several (S-24)."""
    nested = claims.get(_TAGS, {})
    flat = {name.removeprefix(_TAG): value for name, value in claims.items() if name.startswith(_TAG)}
    if not isinstance(nested, dict) or (nested and flat):
        raise _bad_tags()
    tags = nested.get("principal_tags", {}) if nested else flat
    keys = nested.get("transitive_tag_keys", []) if nested else claims.get(_TRANSITIVE, [])
    keys = [keys] if isinstance(keys, str) else keys
    if not isinstance(tags, dict) or not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise _bad_tags()
    return {key: _tag_value(value) for key, value in tags.items()}, tuple(keys)


def _tag_value(claim: Any) -> str:
    value = claim[0] if isinstance(claim, list) and len(claim) == 1 else claim
    if not isinstance(value, str):
        raise _bad_tags()
    return value


def _bad_tags() -> InvalidIdentityToken:
    return InvalidIdentityToken(f"expected one value for each session tag in the claim {_TAGS}")


def _optional_text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if name in claims and not isinstance(value, str):
        raise InvalidIdentityToken(f"expected a string as the claim {name}")
    return value
