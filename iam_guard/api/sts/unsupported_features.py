"""Operations and parameters of STS that are not supported, with the reasons for callers and the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from iam_guard.api.call import Input
from iam_guard.errors import NotSupported

NOT_SUPPORTED: Final[Mapping[str, str]] = {
    "GetDelegatedAccessToken": (
        "only AWS's console issues its token, for a delegation request of a partner that AWS has onboarded"
    ),
    "GetScopedCredentials": (
        "a session has one set of session policies, and a second set cannot be added: "
        "pass the policies when you create the session"
    ),
}
"""Operation -> why it is not supported."""

UNSUPPORTED_PARAMETERS: Final[Mapping[str, Mapping[str, str]]] = {
    "AssumeRole": {"ProvidedContexts": "no context provider is trusted here"},
    "AssumeRoleWithWebIdentity": {"ProviderId": "OAuth 2.0 access tokens are not validated here"},
}
"""Operation -> parameter -> why it is not supported."""


def refuse_parameters(operation: str, parameters: Input) -> None:
    """Raise `NotSupported` if the call has a parameter that is not supported."""
    for name, reason in UNSUPPORTED_PARAMETERS[operation].items():
        if name in parameters:
            raise NotSupported(f"The parameter {name} is not supported: {reason}.")
