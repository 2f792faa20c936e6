"""Operations of STS that are not supported, each with the reason, which its caller and the documentation are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NOT_SUPPORTED: Final[Mapping[str, str]] = {
    "AssumeRoleWithSAML": "assertions of SAML providers are not checked here",
    "GetDelegatedAccessToken": (
        "the token that it takes is handed out by AWS's own console, for a delegation request of a partner that Amazon "
        "has onboarded"
    ),
    "GetScopedCredentials": (
        "a session has one set of session policies here, and a further layer would have to be intersected with it: "
        "pass them when the session is made"
    ),
}
"""Operation -> why it is not supported."""
