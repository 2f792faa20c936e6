"""What a token of an OIDC provider means for a role: its claims as condition keys, tags, source identity (S-24, S-30,
K-32, K-34).

A provider is one that an account has registered, and it vouches for roles of that account alone. All claims are
condition keys of the decision, `<provider>:<claim>`; what lies inside an object is reached by slashes, as in
`<provider>:kubernetes.io/namespace`. Only `aud`, `sub` and `amr` stay in the session.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from iam_guard.authn.federation.role_session import FederatedIdentity
from iam_guard.authn.oidc_token import Token
from iam_guard.errors import ContextError, InvalidIdentityToken, InvalidInput
from iam_guard.model.context import Given, normalise
from iam_guard.model.principal import Principal
from iam_guard.store.records import Records
from iam_guard.store.schema import oidc_providers

ACTION: Final = "sts:AssumeRoleWithWebIdentity"
SCHEME: Final = "https://"

_AWS: Final = "https://aws.amazon.com/"
_TAGS: Final = _AWS + "tags"
_TAG: Final = _TAGS + "/principal_tags/"
_TRANSITIVE: Final = _TAGS + "/transitive_tag_keys"
_SOURCE_IDENTITY: Final = _AWS + "source_identity"
_ROLES: Final = _AWS + "roles"
_KEPT: Final = ("aud", "sub", "amr")


class Provider(NamedTuple):
    """A registered provider: its ARN, its name in condition keys, and the audiences that its tokens may be for."""

    arn: str
    name: str
    client_ids: tuple[str, ...]


class VerifiedToken(NamedTuple):
    """A token that is good, for roles of one account."""

    account: str
    token: Token


def find_provider(records: Records, partition: str, account: str, issuer: str) -> Provider:
    """Find the provider of an account that issues such tokens. Raises `InvalidIdentityToken` where there is none.

    One whose name could be taken for a service's in a condition key, or for another provider's, is none.
    """
    name = issuer.removeprefix(SCHEME)
    is_name = name != issuer and "." in name.partition("/")[0] and ":" not in name
    row = records.one(oidc_providers, account=account, url=name) if is_name else None
    if row is None:
        raise InvalidIdentityToken(f"No OpenIDConnect provider found in your account for {issuer[:200]}")
    return Provider(f"arn:{partition}:iam::{account}:oidc-provider/{name}", name, tuple(row["client_ids"]))


def audience_of(token: Token, provider: Provider) -> str:
    """Return whom the token is for, in one word: its authorized party, or else its registered audience (K-34).

    Both must be registered where there are both. Raises `InvalidIdentityToken`.
    """
    ours = [audience for audience in token.audiences if audience in provider.client_ids]
    party = token.authorized_party
    if not ours or (party is not None and party not in provider.client_ids):
        raise InvalidIdentityToken("Incorrect token audience")
    return ours[0] if party is None else party


def proved_by(
    token: Token,
    provider: Provider,
    role_arn: str,
    *,
    session_name: str,
    session_policies: tuple[str, ...] | None = None,
) -> FederatedIdentity:
    """Return what a good token proves for a role. Raises `InvalidIdentityToken` for claims that no session may have."""
    keys = _condition_keys(token, provider)
    kept = {key: keys[key] for claim in _KEPT if (key := f"{provider.name}:{claim}") in keys}
    keys |= {"aws:FederatedProvider": provider.arn, "sts:RoleAuthorizedByIdp": _is_authorized(token, role_arn)}
    tags, transitive = _tags(token.claims)
    userid = f"{provider.arn}:{keys[f'{provider.name}:aud']}:{token.subject}"
    try:
        return FederatedIdentity(
            principal=Principal.federated(provider.arn, userid=userid, keys=kept),
            action=ACTION,
            session_name=session_name,
            keys=keys,
            kept={**kept, "aws:FederatedProvider": provider.arn},
            tags=tags,
            transitive_tag_keys=transitive,
            source_identity=_optional_text(token.claims, _SOURCE_IDENTITY),
            session_policies=session_policies,
        )
    except InvalidInput as wrong:
        raise InvalidIdentityToken(wrong.message) from None


# --- condition keys ----------------------------------------------------------------------------------------------


def _condition_keys(token: Token, provider: Provider) -> dict[str, Given]:
    audiences = token.audiences
    found = {name: value for name, value in flattened(token.claims).items() if not name.startswith(_AWS)}
    found["aud"] = audience_of(token, provider)
    found["oaud"] = audiences[0] if len(audiences) == 1 else audiences
    return {f"{provider.name}:{name}": value for name, value in found.items()}


def flattened(claims: Mapping[str, Any]) -> dict[str, Given]:
    """Return the claims by name: texts, numbers, truths, and lists of them; inside objects, with slashes between.

    Raises `InvalidIdentityToken` for two that differ by letter case only, which no condition key may (C-4).
    """
    found: dict[str, Given] = {}
    folded: set[str] = set()
    for name, value in _leaves("", claims):
        if name.lower() in folded:
            raise InvalidIdentityToken("two claims of the token have the same name")
        folded.add(name.lower())
        try:
            found[name] = normalise(value, name)
        except ContextError:
            raise InvalidIdentityToken("a claim of the token is too large a number") from None
    return found


def _leaves(before: str, members: Mapping[str, Any]) -> Iterable[tuple[str, Given]]:
    for name, value in members.items():
        match value:
            case dict():
                yield from _leaves(f"{before}{name}/", value)
            case list() if any(each is None or isinstance(each, (list, dict)) for each in value):
                continue
            case None:
                continue
            case _:
                yield before + name, value


def _is_authorized(token: Token, role_arn: str) -> bool:
    """Return whether the token names the role; raise `InvalidIdentityToken` where it names others only (S-30)."""
    named = token.claims.get(_ROLES)
    if named is None:
        return False
    roles = [each.strip() for each in named.split(";")] if isinstance(named, str) else named
    if not isinstance(roles, list) or role_arn not in roles:
        raise InvalidIdentityToken("The role is not among those that the token is for")
    return True


# --- session tags ------------------------------------------------------------------------------------------------


def _tags(claims: Mapping[str, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return session tags and transitive keys: from one claim, or flattened into several (S-24)."""
    nested = claims.get(_TAGS, {})
    flat = {name.removeprefix(_TAG): value for name, value in claims.items() if name.startswith(_TAG)}
    if not isinstance(nested, dict) or (nested and flat):
        raise _bad_tags()
    given = nested.get("principal_tags", {}) if nested else flat
    keys = nested.get("transitive_tag_keys", []) if nested else claims.get(_TRANSITIVE, [])
    keys = [keys] if isinstance(keys, str) else keys
    if not isinstance(given, dict) or not isinstance(keys, list) or not all(isinstance(each, str) for each in keys):
        raise _bad_tags()
    return {key: _tag_value(value) for key, value in given.items()}, tuple(keys)


def _tag_value(given: Any) -> str:
    value = given[0] if isinstance(given, list) and len(given) == 1 else given
    if not isinstance(value, str):
        raise _bad_tags()
    return value


def _bad_tags() -> InvalidIdentityToken:
    return InvalidIdentityToken(f"expected session tags of one value each in the claim {_TAGS}")


def _optional_text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if name in claims and not isinstance(value, str):
        raise InvalidIdentityToken(f"expected a text as the claim {name}")
    return value
