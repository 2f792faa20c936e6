"""Trusted identity propagation of SAML and OIDC providers: claims that become context, for an Identity Center.

The settings are stored and described only. The ARN of the Identity Center instance is checked for its form, since its
existence can't be checked here. Both kinds of provider have the same two columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.operation import Keys, KeySource
from iam_guard.errors import InvalidInput
from iam_guard.model.context import Given
from iam_guard.store.database.records import Row

_WORD = r"[A-Za-z0-9_.:/=+\-@#]+"
_KEY = re.compile(rf"{_WORD}(?: {_WORD})*")
_INSTANCE = re.compile(r"arn:[a-z0-9-]+:sso:::instance/(?:sso)?ins-[a-zA-Z0-9.-]{16}")


def new_propagation(parameters: Input) -> dict[str, Any]:
    """Return the columns of a new provider. Raises `InvalidInput`."""
    if "IdentityCenterInstanceArn" in parameters and "ContextProvider" not in parameters:
        raise InvalidInput("IdentityCenterInstanceArn requires ContextProvider.", place="IdentityCenterInstanceArn")
    return {"context_provider": _provider(parameters), "identity_center": _instance(parameters)}


def changed_propagation(row: Row, parameters: Input) -> dict[str, Any]:
    """Return the changed columns; empty for a call without such a change. Raises `InvalidInput`."""
    _refuse_both(parameters, "ContextProvider", "RemoveContextProvider")
    _refuse_both(parameters, "IdentityCenterInstanceArn", "RemoveIdentityCenterInstance")
    if changes_context(parameters) and changes_association(parameters):
        raise InvalidInput("A request can change either the context provider or the Identity Center instance.")
    if changes_context(parameters):
        if parameters.get("RemoveContextProvider") and row["identity_center"] is not None:
            raise InvalidInput("The Identity Center instance must be removed before the context provider.")
        return {"context_provider": _provider(parameters)}
    if changes_association(parameters):
        if "IdentityCenterInstanceArn" in parameters and row["context_provider"] is None:
            raise InvalidInput("IdentityCenterInstanceArn requires ContextProvider.", place="IdentityCenterInstanceArn")
        return {"identity_center": _instance(parameters)}
    return {}


def changes_context(parameters: Input) -> bool:
    """Return whether a call changes the context provider."""
    return "ContextProvider" in parameters or bool(parameters.get("RemoveContextProvider"))


def changes_association(parameters: Input) -> bool:
    """Return whether a call changes the provider's Identity Center instance."""
    return "IdentityCenterInstanceArn" in parameters or bool(parameters.get("RemoveIdentityCenterInstance"))


def describe_propagation(row: Row) -> Output:
    """Describe the propagation settings of a provider."""
    return {"ContextProvider": row["context_provider"], "IdentityCenterInstanceArn": row["identity_center"]}


def requested_propagation_keys(issuers: Callable[[Input], Sequence[str]]) -> KeySource:
    """Return the condition keys of the requested settings; `issuers` finds the issuers in the call."""

    def keys(call: ServiceCall, parameters: Input) -> Keys:
        found: dict[str, Given] = {
            "iam:EnableIdentityPropagation": "ContextProvider" in parameters,
            "iam:EnableIdentityCenterAssociation": "IdentityCenterInstanceArn" in parameters,
            "iam:RequestIdentityCenterInstanceArn": parameters.get("IdentityCenterInstanceArn"),
        }
        return {**found, "iam:RequestIdentityProviderIssuers": list(issuers(parameters)) or None}

    return keys


def stored_propagation_keys(
    member: str, find: Callable[[ServiceCall, str], Row | None], issuers: Callable[[Row], Sequence[str]]
) -> KeySource:
    """Return the condition keys of the settings of the provider named by its ARN."""

    def keys(call: ServiceCall, parameters: Input) -> Keys:
        row = find(call, parameters[member])
        if row is None:
            return {}
        return {
            "iam:ResourceIdentityCenterInstanceArn": row["identity_center"],
            "iam:ResourceIdentityProviderIssuers": list(issuers(row)) or None,
        }

    return keys


def _refuse_both(parameters: Input, value: str, removal: str) -> None:
    if value in parameters and parameters.get(removal):
        raise InvalidInput(f"{value} and {removal} exclude each other.", place=removal)


def _instance(parameters: Input) -> str | None:
    arn: str | None = parameters.get("IdentityCenterInstanceArn")
    if arn is not None and not _INSTANCE.fullmatch(arn):
        raise InvalidInput(f"ARN {arn} is not valid.", place="IdentityCenterInstanceArn")
    return arn


def _provider(parameters: Input) -> dict[str, Any] | None:
    provider: dict[str, Any] | None = parameters.get("ContextProvider")
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
