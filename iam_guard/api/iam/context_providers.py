"""Trusted identity propagation of SAML and OIDC providers: which claims become context, for which Identity Center.

It is kept and described; whether the instance of Identity Center exists cannot be told here, so its ARN must have the
form of one and no more. Both kinds of provider have it in the same two columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.operation import Keys, KeySource
from iam_guard.errors import InvalidInput
from iam_guard.model.context import Given
from iam_guard.store.records import Row

_WORD = r"[A-Za-z0-9_.:/=+\-@#]+"
_KEY = re.compile(rf"{_WORD}(?: {_WORD})*")
_INSTANCE = re.compile(r"arn:[a-z0-9-]+:sso:::instance/(?:sso)?ins-[a-zA-Z0-9.-]{16}")


def new_propagation(given: Input) -> dict[str, Any]:
    """Return what is stored with a new provider. Raises `InvalidInput`."""
    if "IdentityCenterInstanceArn" in given and "ContextProvider" not in given:
        raise InvalidInput("IdentityCenterInstanceArn requires ContextProvider.", place="IdentityCenterInstanceArn")
    return {"context_provider": _provider(given), "identity_center": _instance(given)}


def changed_propagation(row: Row, given: Input) -> dict[str, Any]:
    """Return what is stored after a change; empty where the call is about neither. Raises `InvalidInput`."""
    _refuse_both(given, "ContextProvider", "RemoveContextProvider")
    _refuse_both(given, "IdentityCenterInstanceArn", "RemoveIdentityCenterInstance")
    if changes_context(given) and changes_association(given):
        raise InvalidInput("A request can change either the context provider or the Identity Center instance.")
    if changes_context(given):
        if given.get("RemoveContextProvider") and row["identity_center"] is not None:
            raise InvalidInput("The Identity Center instance must be removed before the context provider.")
        return {"context_provider": _provider(given)}
    if changes_association(given):
        if "IdentityCenterInstanceArn" in given and row["context_provider"] is None:
            raise InvalidInput("IdentityCenterInstanceArn requires ContextProvider.", place="IdentityCenterInstanceArn")
        return {"identity_center": _instance(given)}
    return {}


def changes_context(given: Input) -> bool:
    """Return whether a call changes the context provider."""
    return "ContextProvider" in given or bool(given.get("RemoveContextProvider"))


def changes_association(given: Input) -> bool:
    """Return whether a call changes which Identity Center a provider belongs to."""
    return "IdentityCenterInstanceArn" in given or bool(given.get("RemoveIdentityCenterInstance"))


def described_propagation(row: Row) -> Output:
    """Describe what a provider propagates."""
    return {"ContextProvider": row["context_provider"], "IdentityCenterInstanceArn": row["identity_center"]}


def propagation_given(issuers: Callable[[Input], Sequence[str]]) -> KeySource:
    """Return the condition keys of what a call asks for; `issuers` finds who vouches, as the call says."""

    def keys(call: ServiceCall, given: Input) -> Keys:
        found: dict[str, Given] = {
            "iam:EnableIdentityPropagation": "ContextProvider" in given,
            "iam:EnableIdentityCenterAssociation": "IdentityCenterInstanceArn" in given,
            "iam:RequestIdentityCenterInstanceArn": given.get("IdentityCenterInstanceArn"),
        }
        return {**found, "iam:RequestIdentityProviderIssuers": list(issuers(given)) or None}

    return keys


def propagation_stored(
    find: Callable[[ServiceCall, Input], Row | None], issuers: Callable[[Row], Sequence[str]]
) -> KeySource:
    """Return the condition keys of what a provider has."""

    def keys(call: ServiceCall, given: Input) -> Keys:
        row = find(call, given)
        if row is None:
            return {}
        return {
            "iam:ResourceIdentityCenterInstanceArn": row["identity_center"],
            "iam:ResourceIdentityProviderIssuers": list(issuers(row)) or None,
        }

    return keys


def _refuse_both(given: Input, value: str, removal: str) -> None:
    if value in given and given.get(removal):
        raise InvalidInput(f"{value} and {removal} exclude each other.", place=removal)


def _instance(given: Input) -> str | None:
    arn: str | None = given.get("IdentityCenterInstanceArn")
    if arn is not None and not _INSTANCE.fullmatch(arn):
        raise InvalidInput(f"ARN {arn} is not valid.", place="IdentityCenterInstanceArn")
    return arn


def _provider(given: Input) -> dict[str, Any] | None:
    provider: dict[str, Any] | None = given.get("ContextProvider")
    if provider is None:
        return None
    if "SubjectTypeValue" in provider and "SubjectTypeSourceKey" in provider:
        raise InvalidInput("SubjectTypeValue and SubjectTypeSourceKey exclude each other.", place="ContextProvider")
    if not provider.get("SubjectTypeValue", "").isprintable():
        raise InvalidInput("SubjectTypeValue must be printable.", place="ContextProvider")
    keys = [provider[name] for name in ("SubjectSourceKey", "SubjectTypeSourceKey") if name in provider]
    for definition in provider.get("KeyDefinitionList", ()):
        keys += definition.values()
    for key in keys:
        if not _KEY.fullmatch(key):
            message = f"The key {key!r} must have letters, numbers, single spaces and _.:/=+-@# only."
            raise InvalidInput(message, place="ContextProvider")
    return provider
